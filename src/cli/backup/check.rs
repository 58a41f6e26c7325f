//! `holdfast backup check`: on the host that fetched backups. It needs no profile and no root, only the key by which the
//! other host signs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use super::{fetched::public_key, shown::each};
use crate::{
    backup::{
        catalogue::{self, Entry},
        folder::{self, Bytes},
        manifest::Database,
        rows::Rows,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    host::{clock, shelf::Shelf},
    profile::types::TimeSpan,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that they were fetched into
    folder: String,

    /// The public key of the host that made them, as its `holdfast backup status` says it
    #[arg(long, value_name = "HEX")]
    key: String,

    /// How old the newest proven one of each name may be
    #[arg(long, value_name = "TIME")]
    newest_within: Option<TimeSpan>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let key = public_key(&args.key)?;
    let (shelf, now) = (Shelf::fetched(&args.folder), clock::now());
    let items = shelf.items()?;
    let names = |of: fn(&str) -> Option<&str>| -> BTreeSet<&str> {
        items.iter().filter_map(|item| of(&item.name)).collect()
    };
    let names: BTreeSet<&str> =
        &names(catalogue::name_of::<Database>) | &names(catalogue::name_of::<Rows>);
    if names.is_empty() {
        return Err(Failure::new(Exit::Data, format!("there is no backup in {}", args.folder)));
    }
    let (mut exit, mut documents, mut old) = (Exit::Ok, (Vec::new(), Vec::new()), Vec::new());
    for name in names {
        let dumps = folder::entries::<Database>(&shelf, name, &key, Bytes::OfAll)?;
        let rows = folder::entries::<Rows>(&shelf, name, &key, Bytes::OfAll)?;
        let are_whole =
            [each(context, &dumps, &mut documents.0)?, each(context, &rows, &mut documents.1)?];
        if are_whole != [true; 2] {
            exit = Exit::Findings;
        }
        let Some(within) = args.newest_within else { continue };
        if let Some(why) = too_old(&dumps, within, now) {
            exit = Exit::Findings;
            old.push(format!("{name}: {why}"));
        }
    }
    match context.format {
        Format::Json => {
            let (dumps, rows) = documents;
            let body = json!({ "backups": dumps, "rows": rows, "too_old": old });
            context.out.raw(&report::json::document("backup check", body))?;
        }
        Format::Text => {
            for text in &old {
                context.out.line(context.out.paint(Tone::Bad, text))?;
            }
        }
    }
    Ok(exit)
}

/// Why the newest proven one is not new enough.
fn too_old(entries: &[Entry], within: TimeSpan, now: Timestamp) -> Option<String> {
    let Some(manifest) = entries.iter().rev().find_map(Entry::proven) else {
        return Some("no backup of the whole database is proven and whole".to_owned());
    };
    if manifest.begun > now {
        return Some(format!("{} is of the future: one of the two clocks is wrong", manifest.id));
    }
    let seconds = now.as_second().saturating_sub(manifest.begun.as_second());
    let age = TimeSpan::from_secs(u64::try_from(seconds).unwrap_or(0));
    (age.as_secs() > within.as_secs())
        .then(|| format!("the newest proven one is {age} old; at most {within} is allowed"))
}
