//! Whether every backup that was made is there, as it was signed. Each manifest names the one before it; what is gone from
//! the end, or with all of the folder, no manifest names, and the next one is made as if it had never been. The evidence log
//! names it still.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    backup::{
        catalogue::Entry,
        manifest::Kind,
        missing::{self, Made},
        rows::Rows,
        statement::Link,
    },
    engine::{check::Verdict, store::STATE_DIR},
    evidence::Log,
    host::error::chain,
};

/// What is on the shelf of a name, and what the evidence log says was put there, oldest first.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) rows: Result<Vec<Entry<Rows>>, String>,
    pub(super) made: Result<Vec<Made>, String>,
}

/// The backups of both kinds that were recorded, as far back as is read at a look.
pub(super) fn made(name: &str) -> Result<Vec<Made>, String> {
    let records = Log::below(STATE_DIR).recent().map_err(|error| chain(&error))?;
    Ok(missing::made(&records, name))
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
    for Made { link: Link { id, sha256 }, .. } in made {
        match links.get(id) {
            Some(found) if found == sha256 => {}
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
    let forgotten = forgotten(dumps) + forgotten(rows);
    let forgotten = match forgotten {
        0 => String::new(),
        count => format!("; {count} are lost, as a person has said (holdfast backup forget)"),
    };
    if bad.is_empty() {
        let there = dumps.iter().filter(|entry| !entry.is_deleted()).count();
        let observed = format!("{there} backups, all as they were signed{forgotten}");
        return Verdict::Holds { observed };
    }
    Verdict::Differs { observed: format!("{}{forgotten}", bad.join("; ")) }
}

fn forgotten<K: Kind>(entries: &[Entry<K>]) -> usize {
    entries.iter().filter(|entry| entry.is_lost()).count()
}

fn faults<K: Kind>(entries: &[Entry<K>]) -> Vec<String> {
    let faults = entries
        .iter()
        .flat_map(|entry| entry.faults.iter().map(move |fault| format!("{}: {fault}", entry.id)));
    faults.collect()
}
