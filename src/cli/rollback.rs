//! `holdfast rollback`

use serde_json::json;

use super::{
    Context, Format,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    engine::{apply::roll_back_to, change::Step, session::describe, store::Kind},
    report::{self, journal},
};

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The transaction before which the host is to be again; see `holdfast history`
    id: u64,
}

pub(super) async fn run(context: &Context, args: &RollbackArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let writer = host::writer(context).await?;
    let request = host::request(context, Kind::Rollback { of: args.id }, None);
    let progress = |index: usize, total: usize, step: &Step| {
        context.out.progress(index, total, &describe(&step.change));
    };
    let rolling = roll_back_to(&writer, &host::store(), args.id, request, progress).await?;
    context.out.progress_ends();
    let (exit, outcome, id, changes, why, unrestored) = match rolling {
        Ok((id, steps)) => {
            let changes: Vec<String> = steps.iter().map(|step| describe(&step.change)).collect();
            journal::committed(journal::RETURNED, id, &changes);
            (Exit::Ok, "rolled back, verified", id, changes, None, Vec::new())
        }
        Err(failed) => {
            journal::rolled_back(journal::ROLLED_BACK, &failed);
            let told = host::told(&failed);
            context.out.error(&format!("the host stays as it is: {told}"), &[]);
            (Exit::Failed, "failed", failed.id, Vec::new(), Some(failed.why), failed.unrestored)
        }
    };
    match context.format {
        Format::Json => {
            let body = json!({
                "outcome": outcome,
                "of": args.id,
                "transaction": id,
                "changes": changes,
                "why": why,
                "unrestored": unrestored,
            });
            context.out.raw(&report::json::document("rollback", body))?;
        }
        Format::Text if exit == Exit::Ok => {
            let text = format!("Transaction {id}: as before transaction {}: {outcome}.", args.id);
            context.out.line(context.out.paint(Tone::Good, &text))?;
        }
        Format::Text => {}
    }
    Ok(exit)
}
