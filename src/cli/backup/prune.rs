//! `holdfast backup prune`

use serde_json::json;

use super::job;
use crate::{
    backup::{
        catalogue::{ARCHIVE, Entry, TOMBSTONE},
        manifest::{Link, Tombstone, sign},
        retention::{Decision, decide},
        run::catalogue,
        signing,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
    },
    evidence::record::kind,
    host::{clock, shelf::Shelf},
    profile::Loaded,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name in the profile
    name: String,

    /// Decide, and delete nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let job = job(loaded, &args.name)?;
    let key = signing::host_key()?;
    let shelf = Shelf::at(job.backup.store.as_str()).open()?;
    let entries = catalogue(shelf.shelf(), job.name, &key)?;
    let now = clock::now();
    let kept: Vec<_> = entries.iter().filter_map(Entry::kept).collect();
    let decision = decide(&kept, &job.backup.keep, now);
    // Said before it is done, and in the same words when it is not.
    print(context, &decision)?;
    if !args.dry_run {
        if !decision.delete.is_empty() {
            let payload = json!({ "deleted": decision.delete });
            record_act(context, kind::PRUNED, job.name, payload);
        }
        for id in &decision.delete {
            let manifest = entries.iter().find(|entry| entry.id == *id);
            if let Some((_, sha256)) = manifest.and_then(|entry| entry.manifest.as_ref()) {
                let deleted = Link { id: id.clone(), sha256: sha256.clone() };
                // Killed in between, the file is deleted by the next one.
                let stone = sign(&Tombstone { deleted, at: now }, &key);
                let name = format!("{id}{TOMBSTONE}");
                shelf.remove(&name)?;
                shelf.put(&name, &stone)?;
            }
            shelf.remove(&format!("{id}{ARCHIVE}"))?;
        }
        // What a killed prune has said to be deleted.
        for entry in entries.iter().filter(|entry| entry.deleted) {
            shelf.remove(&format!("{}{ARCHIVE}", entry.id))?;
        }
    }
    Ok(if decision.halted.is_some() { Exit::Findings } else { Exit::Ok })
}

fn print(context: &Context, decision: &Decision) -> Result<(), Failure> {
    let out = &context.out;
    if context.format == Format::Json {
        let keep: Vec<_> =
            decision.keep.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
        let body = json!({ "delete": decision.delete, "keep": keep, "halted": decision.halted });
        return Ok(out.raw(&report::json::document("backup prune", body))?);
    }
    if let Some(why) = &decision.halted {
        out.line(format!("nothing is deleted: {why}"))?;
    }
    for (id, why) in &decision.keep {
        out.line(format!("keep {id}: {}", why.join(", ")))?;
    }
    for id in &decision.delete {
        out.line(format!("delete {id}"))?;
    }
    Ok(())
}
