//! `holdfast confirm`

use std::path::Path;

use serde_json::json;

use super::{
    Context, Format,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    engine::{
        confirm,
        store::{Confirmation, Ending, Record, Store},
    },
    profile::{self, RealSources, Trust},
    report::{self, journal},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The transaction; without it, the one that waits
    id: Option<u64>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let writer = host::writer(context).await?;
    let store = host::store();
    let Some((record, provisional)) = store.pending(writer.reader())? else {
        return Err(nothing_waits(&store, args.id)?);
    };
    let id = record.begin.id;
    if let Some(asked) = args.id.filter(|asked| *asked != id) {
        let text =
            format!("transaction {asked} does not wait to be confirmed; transaction {id} does");
        return Err(Failure::new(Exit::Failed, text).hint(format!("holdfast confirm {id}")));
    }
    // One that cannot be read any more must not keep anybody from saying that they are in.
    let path = record.begin.profile.as_ref().map(|profile| Path::new(&profile.path));
    let load = |path| profile::load(path, &RealSources, &host::options(Trust::Check)).ok();
    let profile = path.and_then(load).map(|loaded| loaded.profile);
    let confirmed = confirm::confirm(&writer, &store, &record, &provisional, profile.as_ref());
    let confirmation = confirmed.await?;
    host::record(context);
    drop(writer);
    let words = words(&confirmation);
    journal::confirmed(id, &words);
    match context.format {
        Format::Json => {
            let body = json!({ "transaction": id, "confirmed": confirmation });
            context.out.raw(&report::json::document("confirm", body))?;
        }
        Format::Text => {
            let text = format!("Transaction {id}: {words}. It lasts.");
            context.out.line(context.out.paint(Tone::Good, &text))?;
        }
    }
    Ok(Exit::Ok)
}

/// Who confirmed, from where, and how long after the change they had come in.
pub(super) fn words(confirmation: &Confirmation) -> String {
    let Confirmation { by, login, seconds_after, .. } = confirmation;
    let after = seconds_after.map(|seconds| format!(", {seconds} s after the change"));
    format!("confirmed by {by} from {login}{}", after.unwrap_or_default())
}

/// Says what has become of the transaction that somebody wants to confirm.
fn nothing_waits(store: &Store, id: Option<u64>) -> Result<Failure, Failure> {
    let record: Option<Record> = match id {
        Some(id) => Some(store.record(id)?),
        None => store.held_still()?,
    };
    let Some(record) = record else {
        return Ok(Failure::new(Exit::Failed, "nothing waits to be confirmed"));
    };
    let id = record.begin.id;
    Ok(match record.end.as_ref().map(|end| (&end.ending, end.finished)) {
        Some((Ending::RolledBack { why, .. }, at)) => {
            let text = format!("transaction {id} was rolled back at {at}: {why}");
            Failure::new(Exit::Failed, text).hint("holdfast apply makes the change anew")
        }
        Some((Ending::Committed { confirmed: Some(confirmation), .. }, at)) => {
            let words = words(confirmation);
            Failure::new(Exit::Failed, format!("transaction {id} was {words}, at {at}"))
        }
        _ => Failure::new(Exit::Failed, format!("transaction {id} does not wait to be confirmed")),
    })
}
