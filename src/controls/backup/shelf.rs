//! Whether every backup that was made is there, as it was signed. Each manifest names the one before it; what is gone from
//! the end, or with all of the folder, no manifest names, and the next one is made as if it had never been. The evidence log
//! names it still.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    backup::{
        catalogue::{self, Entry},
        manifest::{Database, Kind},
        rows::Rows,
    },
    engine::{check::Verdict, store::STATE_DIR},
    evidence::{
        log::Log,
        record::{Record, kind},
    },
    host::error::chain,
};

/// What the evidence log has of a backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) id: String,
    /// The digest of its manifest.
    pub(super) manifest: String,
}

/// What is on the shelf of a name, and what the evidence log says was put there, oldest first.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) rows: Result<Vec<Entry<Rows>>, String>,
    pub(super) made: Result<Vec<Made>, String>,
}

/// The backups of both kinds that were recorded, as far back as is read at a look.
pub(super) fn made(name: &str) -> Result<Vec<Made>, String> {
    let records = Log::below(STATE_DIR).recent().map_err(|error| chain(&error))?;
    Ok(records.iter().filter_map(|record| recorded(record, name)).collect())
}

fn recorded(record: &Record, name: &str) -> Option<Made> {
    let is_it = record.kind == kind::BACKUP && record.subject == name;
    let word = |key: &str| record.payload.get(key)?.as_str().map(str::to_owned);
    let (id, manifest) = (word("id").filter(|_| is_it)?, word("manifest")?);
    let is_one = is_of::<Database>(&id, name) || is_of::<Rows>(&id, name);
    is_one.then_some(Made { id, manifest })
}

fn is_of<K: Kind>(id: &str, name: &str) -> bool {
    catalogue::id_of::<K>(&format!("{id}{}", K::ENDS.archive), name).is_some()
}

/// How many that are gone are named: a folder that is not mounted has none of them.
const NAMED: usize = 3;

pub(super) fn judge(dumps: &[Entry], seen: &Seen) -> Verdict {
    let (rows, made) = match (&seen.rows, &seen.made) {
        (Ok(rows), Ok(made)) => (rows, made),
        (Err(why), _) | (_, Err(why)) => return Verdict::Unknown { why: why.clone() },
    };
    let mut bad = [faults(dumps), faults(rows)].concat();
    let links = dumps.iter().map(Entry::link).chain(rows.iter().map(Entry::link));
    let links: BTreeMap<_, _> = links.flatten().map(|link| (link.id, link.sha256)).collect();
    let known = dumps.iter().map(|entry| &entry.id).chain(rows.iter().map(|entry| &entry.id));
    let known: BTreeSet<_> = known.collect();
    let mut gone = Vec::new();
    for Made { id, manifest } in made {
        match links.get(id) {
            Some(sha256) if sha256 == manifest => {}
            Some(_) => {
                bad.push(format!("{id}: its manifest is not the one that the evidence log names"));
            }
            // What is there of it has a fault of its own.
            None if known.contains(id) => {}
            None => gone.push(id),
        }
    }
    let named = gone.iter().rev().take(NAMED).map(|id| {
        format!("{id}: the evidence log says that it was made, and nothing of it is there")
    });
    bad.extend(named);
    if gone.len() > NAMED {
        bad.push(format!("nor of {} before", gone.len().saturating_sub(NAMED)));
    }
    if bad.is_empty() {
        let there = dumps.iter().filter(|entry| !entry.is_deleted()).count();
        return Verdict::Holds { observed: format!("{there} backups, all as they were signed") };
    }
    Verdict::Differs { observed: bad.join("; ") }
}

fn faults<K: Kind>(entries: &[Entry<K>]) -> Vec<String> {
    let faults = entries
        .iter()
        .flat_map(|entry| entry.faults.iter().map(move |fault| format!("{}: {fault}", entry.id)));
    faults.collect()
}
