//! `holdfast backup prune`

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use super::{host_key, job};
use crate::{
    backup::{
        catalogue::{Entry, Fault},
        folder::{self, Bytes},
        manifest::Manifest,
        retention::{Decision, Kept, decide, unclear},
        run::patience,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
        out::harmless,
    },
    evidence::record::kind,
    host::{clock, shelf::Shelf},
    profile::{Loaded, schema::Keep},
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
    let key = host_key(context, job)?;
    let shelf = Shelf::at(job.backup.store.as_str()).open_within(patience(job.backup))?;
    let mut entries =
        folder::entries(shelf.shelf(), job.name, &key.verifying_key(), Bytes::OfSmall)?;
    let now = clock::now();
    let decision = decide_on(shelf.shelf(), &mut entries, &job.backup.keep, now);
    // Said before it is done, and in the same words when it is not.
    let skipped = unclear(&entries);
    print(context, &decision, &skipped)?;
    if !args.dry_run {
        if !decision.delete.is_empty() {
            let payload = json!({ "deleted": decision.delete });
            record_act(context, kind::PRUNED, job.name, payload);
        }
        folder::remember(&shelf, &entries)?;
        folder::delete(&shelf, &entries, &decision.delete, &key, now)?;
    }
    let is_done = decision.halted.is_none() && skipped.is_empty();
    Ok(if is_done { Exit::Ok } else { Exit::Findings })
}

/// Decides. Before anything goes, what is relied upon is read: the newest proven one, and the newest that was restored as a
/// whole. One that has rotted is neither. What would go for having rotted is read, too: it may have been mended, and what
/// cannot be read may be read tomorrow.
fn decide_on(shelf: &Shelf, entries: &mut [Entry], keep: &Keep, now: Timestamp) -> Decision {
    let (mut read, mut unread) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let kept = Kept::all(entries, now);
        let decision = decide(&kept, keep, now).sparing(&unread);
        let newest = |is: fn(&Entry) -> Option<&Manifest>| {
            // What is unclear stays, and nothing goes for its sake.
            entries.iter().rposition(|entry| entry.is_clear() && is(entry).is_some())
        };
        let goes_as_rotten = |entry: &Entry| {
            decision.delete.contains(&entry.id) && entry.faults.contains(&Fault::Bytes)
        };
        let relied_upon = [newest(Entry::proven), newest(Entry::drilled)].into_iter().flatten();
        let rotten = (0..entries.len()).filter(|at| goes_as_rotten(&entries[*at]));
        let due = relied_upon.chain(rotten).find(|at| read.insert(*at));
        let due = due.filter(|_| !decision.delete.is_empty()).and_then(|at| entries.get_mut(at));
        let Some(entry) = due else { return decision };
        match entry.known().map(|manifest| folder::is_as_signed(shelf, manifest)) {
            Some(Ok(true)) => entry.faults.retain(|fault| *fault != Fault::Bytes),
            Some(Ok(false)) if entry.faults.contains(&Fault::Bytes) => {}
            Some(Ok(false)) => entry.faults.push(Fault::Bytes),
            Some(Err(_)) if entry.faults.contains(&Fault::Bytes) => {
                unread.insert(entry.id.clone());
            }
            Some(Err(error)) => {
                let why = format!("{} cannot be read: {}", entry.id, error.chain());
                return Decision::halted(&kept, why);
            }
            None => {}
        }
    }
}

fn print(
    context: &Context,
    decision: &Decision,
    skipped: &[(String, String)],
) -> Result<(), Failure> {
    let out = &context.out;
    if context.format == Format::Json {
        let keep: Vec<_> =
            decision.keep.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
        let skipped: Vec<_> =
            skipped.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
        let body = json!({
            "delete": decision.delete,
            "keep": keep,
            "skipped": skipped,
            "halted": decision.halted,
        });
        return Ok(out.raw(&report::json::document("backup prune", body))?);
    }
    if let Some(why) = &decision.halted {
        out.line(format!("nothing is deleted: {why}"))?;
    }
    for (id, why) in &decision.keep {
        out.line(format!("keep {id}: {}", why.join(", ")))?;
    }
    for (id, why) in skipped {
        out.line(harmless(&format!("skip {id}: {why}")).replace('\n', " "))?;
    }
    for id in &decision.delete {
        out.line(format!("delete {id}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backup::{
            manifest::{
                Drill,
                tests::{key, manifest_of},
            },
            statement::sign,
            stream,
        },
        profile::types::TimeSpan,
    };

    /// The newest is one of two of one number; what the others go for the sake of is older.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    fn nothing_goes_for_the_sake_of_what_has_rotted_beside_two_of_one_number() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (sha256, bytes) = stream::digest(&b"dump"[..]).unwrap();
        let mut previous = None;
        for (hour, number, is_drilled) in
            [(1, 1, false), (2, 2, false), (3, 3, true), (4, 4, true), (5, 4, true)]
        {
            let id = format!("signer-db-20261121T0{hour}0000Z");
            let link = previous.take().filter(|_| hour < 5);
            let mut manifest: Manifest = Manifest { number, ..manifest_of(&id, link) };
            (manifest.archive.sha256, manifest.archive.bytes) = (sha256.clone(), bytes);
            manifest.proof.drill = is_drilled.then_some(Drill {
                restore_milliseconds: 1,
                check_milliseconds: 1,
                damage: None,
            });
            previous = Some(manifest.link(&manifest.digest()));
            std::fs::write(folder.join(&manifest.archive.file), "dump").unwrap();
            let name = format!("{id}.manifest.json");
            std::fs::write(folder.join(name), sign(&manifest, &key(1))).unwrap();
        }
        let shelf = Shelf::fetched(folder.to_str().unwrap());
        let keep =
            Keep { last: 1, daily: 0, weekly: 0, monthly: 0, within: TimeSpan::from_secs(0) };
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let decided = || {
            let public = key(1).verifying_key();
            let mut entries =
                folder::entries(&shelf, "signer-db", &public, Bytes::OfSmall).unwrap();
            assert_eq!(unclear(&entries).len(), 2, "{entries:?}");
            decide_on(&shelf, &mut entries, &keep, now).delete
        };
        let (first, second) = ("signer-db-20261121T010000Z", "signer-db-20261121T020000Z");
        assert_eq!(decided(), [first, second]);
        std::fs::write(folder.join("signer-db-20261121T030000Z.pgdump.zst.age"), "rots").unwrap();
        assert_eq!(decided(), <[&str; 0]>::default());
    }
}
