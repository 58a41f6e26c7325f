//! `holdfast backup forget`

use std::collections::BTreeMap;

use serde_json::json;

use super::{host_key, job};
use crate::{
    backup::{
        catalogue::Entry,
        folder::{self, Bytes},
        manifest::{Database, Kind, Loss},
        missing::{self, Made},
        rows::{self, Rows},
        run::patience,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::{by, one_line},
    },
    engine::store::STATE_DIR,
    evidence::{self, Log, record::kind},
    host::{clock, shelf::Shelf},
    profile::Loaded,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name in the profile
    name: String,

    /// The backups, of the database or of DKG rows
    #[arg(required_unless_present = "missing")]
    ids: Vec<String>,

    /// All of that name that were made and are not there. Of a folder that is not mounted, that is each: see --dry-run first
    #[arg(long, conflicts_with = "ids")]
    missing: bool,

    /// Why they are gone; the evidence log has it, with who said so
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,

    /// Say which ones, and write nothing: what is said to be lost is missed no more, and nothing takes that back but its file
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let job = job(loaded, &args.name)?;
    let loss =
        Loss { by: by(context), reason: one_line(args.reason.as_deref().unwrap_or_default()) };
    if loss.reason.is_empty() && !args.dry_run {
        return Err(Failure::new(Exit::Usage, "--reason says nothing")
            .hint("say why they are gone: whoever reads the evidence has nothing else"));
    }
    let (key, store) = (host_key(context, job)?, job.backup.store.as_str());
    let log = Log::below(STATE_DIR);
    // Nobody makes or deletes any meanwhile.
    let dumps = Shelf::at(store).open_within(patience(job.backup))?;
    let small = rows::shelf(store, job.name).open_within(patience(job.backup))?;
    let made = missing::made(&log.newest(usize::MAX)?, job.name);
    let public = key.verifying_key();
    let entries = (
        folder::entries::<Database>(dumps.shelf(), job.name, &public, Bytes::OfSmall)?,
        folder::entries::<Rows>(small.shelf(), job.name, &public, Bytes::OfSmall)?,
    );
    let mut gone = (
        missing::missing(&entries.0, &made, job.name),
        missing::missing(&entries.1, &made, job.name),
    );
    if !args.missing {
        for id in &args.ids {
            if !gone.0.contains_key(id) && !gone.1.contains_key(id) {
                let why = there(&entries.0, id).or_else(|| there(&entries.1, id));
                return Err(refused(id, why));
            }
        }
        gone.0.retain(|id, _| args.ids.contains(id));
        gone.1.retain(|id, _| args.ids.contains(id));
    }
    // First the record: what is missed no more is so by somebody's word, and that is nowhere else when this is cut off.
    let all: BTreeMap<&String, &Made> = gone.0.iter().chain(&gone.1).collect();
    if !args.dry_run {
        let records: Vec<_> =
            all.iter().map(|(id, made)| record(job.name, id, made, &loss)).collect();
        let now = clock::now();
        log.record(now, |_| Ok(records.clone()))?;
        folder::forget::<Database>(&dumps, gone.0.values(), &loss, &key, now)?;
        folder::forget::<Rows>(&small, gone.1.values(), &loss, &key, now)?;
    }
    match context.format {
        Format::Json => {
            let ids: Vec<_> = all.keys().collect();
            let body = json!({ "forgotten": ids, "by": loss.by, "reason": loss.reason });
            context.out.raw(&report::json::document("backup forget", body))?;
        }
        Format::Text => {
            for id in all.keys() {
                context.out.line(format!("forgotten {id}"))?;
            }
            if all.is_empty() {
                context.out.say("Nothing is missing.");
            }
        }
    }
    Ok(Exit::Ok)
}

fn record(name: &str, id: &str, made: &Made, loss: &Loss) -> evidence::Entry {
    let payload = json!({
        "name": name,
        "by": loss.by,
        "reason": loss.reason,
        "number": made.number,
        "manifest": made.link.sha256,
    });
    evidence::Entry { kind: kind::FORGOTTEN, subject: id.to_owned(), payload }
}

/// What is known of one that is not missing.
fn there<K: Kind>(entries: &[Entry<K>], id: &str) -> Option<String> {
    let entry = entries.iter().find(|entry| entry.id == id)?;
    let faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
    Some(match entry.loss() {
        Some(loss) => format!("it is forgotten already, by {}: {}", loss.by, loss.reason),
        None if entry.is_deleted() => "it was deleted by the rules of the profile".to_owned(),
        None if faults.is_empty() => "it is there, as it was signed".to_owned(),
        None => format!("something of it is still there: {}", faults.join("; ")),
    })
}

fn refused(id: &str, why: Option<String>) -> Failure {
    match why {
        Some(why) => Failure::new(Exit::Data, format!("{id} is not forgotten: {why}")).hint(
            "only what is gone is forgotten; move away what cannot be mended, and say so again",
        ),
        None => Failure::new(Exit::Usage, format!("nothing says that a backup {id} was ever made"))
            .hint("holdfast verify names what is missing"),
    }
}
