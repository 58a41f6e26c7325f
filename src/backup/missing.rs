//! What was made and is not there: by the evidence log, which names each backup as it is made, and by the manifest after it,
//! which names the one before. Pure.
//!
//! What is gone for good stays a finding until a person says so (`holdfast backup forget`). That is recorded in the evidence
//! log, and signed where the backup was: a [`Tombstone`](super::manifest::Tombstone) with a [`Loss`](super::manifest::Loss)
//! stands for it from then on, until its file is there again: who writes there next takes that word away, so that it is missed
//! when it goes a second time.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    catalogue::{self, Entry, Fault},
    manifest::{Database, Kind},
    rows::Rows,
    statement::Link,
};
use crate::evidence::record::{Record, kind};

/// What the evidence log has of a backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// How the next one names it.
    pub link: Link,
    /// Its number.
    pub number: u64,
}

/// The backups of a name, of both kinds, that these records name.
pub fn made(records: &[Record], name: &str) -> Vec<Made> {
    records.iter().filter_map(|record| recorded(record, name)).collect()
}

fn recorded(record: &Record, name: &str) -> Option<Made> {
    let is_it = record.kind == kind::BACKUP && record.subject == name;
    let word = |key: &str| record.payload.get(key)?.as_str().map(str::to_owned);
    let (id, sha256) = (word("id").filter(|_| is_it)?, word("manifest")?);
    let number = record.payload.get("number").and_then(serde_json::Value::as_u64);
    let is_one = is_of::<Database>(&id, name) || is_of::<Rows>(&id, name);
    is_one.then(|| Made { link: Link { id, sha256 }, number: number.unwrap_or_default() })
}

/// The number of the next one of this kind: after all that are there and all that were recorded. The numbers of a folder that
/// was moved are not given again, nor that of a manifest that cannot be read today: both may be there again tomorrow.
pub fn next_number<K: Kind>(entries: &[Entry<K>], made: &[Made], name: &str) -> u64 {
    let recorded = made.iter().filter(|one| is_of::<K>(&one.link.id, name)).map(|one| one.number);
    let numbers = entries.iter().filter_map(Entry::number).chain(recorded);
    numbers.max().unwrap_or_default().saturating_add(1)
}

/// Whether an id is one of this name and kind.
fn is_of<K: Kind>(id: &str, name: &str) -> bool {
    catalogue::id_of::<K>(&format!("{id}{}", K::ENDS.archive), name).is_some()
}

/// What was made of this kind and is not there, by id: neither what is there in part is among it, unless that is a manifest
/// alone, nor what is said to be deleted or lost.
pub fn missing<K: Kind>(entries: &[Entry<K>], made: &[Made], name: &str) -> BTreeMap<String, Made> {
    let there: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let before = entries.iter().filter_map(|entry| {
        let (manifest, _) = entry.manifest.as_ref()?;
        let link = manifest.previous.clone()?;
        Some(Made { link, number: manifest.number.saturating_sub(1) })
    });
    let gone = before.chain(made.iter().cloned());
    let gone =
        gone.filter(|one| is_of::<K>(&one.link.id, name) && !there.contains(one.link.id.as_str()));
    let alone = entries.iter().filter(|entry| entry.faults.contains(&Fault::NoArchive));
    let alone =
        alone.filter_map(|entry| Some(Made { link: entry.link()?, number: entry.number()? }));
    gone.chain(alone).map(|one| (one.link.id.clone(), one)).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        backup::{
            catalogue::{File, read_shelf},
            manifest::{
                Loss, Manifest, Tombstone,
                tests::{key, manifest_of},
            },
            statement::sign,
        },
        evidence::record::{Digest, FORMAT},
    };

    const IDS: [&str; 3] =
        ["signer-db-20261121T010000Z", "signer-db-20261121T020000Z", "signer-db-20261121T030000Z"];

    fn record(id: &str, number: u64, sha256: &str) -> Record {
        Record {
            format: FORMAT,
            sequence: 1,
            at: Timestamp::UNIX_EPOCH,
            kind: kind::BACKUP.into(),
            subject: "signer-db".into(),
            payload: json!({ "id": id, "number": number, "manifest": sha256 }),
            previous: Digest::NONE,
        }
    }

    /// Three in a row, and what the log has of them.
    fn three() -> (Vec<File>, Vec<Made>) {
        let (mut files, mut records, mut previous) = (Vec::new(), Vec::new(), None);
        for (number, id) in (1..).zip(IDS) {
            let manifest: Manifest = Manifest { number, ..manifest_of(id, previous.take()) };
            let digest = manifest.digest();
            previous = Some(manifest.link(&digest));
            records.push(record(id, number, &digest));
            let (name, bytes) = (manifest.archive.file.clone(), manifest.archive.bytes);
            files.push(File { name, bytes, ..File::default() });
            let text = Some(sign(&manifest, &key(1)));
            let name = format!("{id}{}", Database::ENDS.manifest);
            files.push(File { name, text, ..File::default() });
        }
        (files, made(&records, "signer-db"))
    }

    fn entries(files: &[File]) -> Vec<Entry> {
        read_shelf(files, "signer-db", &key(1).verifying_key())
    }

    fn stone(one: &Made) -> File {
        let loss = Loss { by: "alice".into(), reason: "the disk is gone".into() };
        let stone: Tombstone =
            Tombstone::lost(one.link.clone(), one.number, Timestamp::UNIX_EPOCH, loss);
        let name = format!("{}{}", one.link.id, Database::ENDS.tombstone);
        File { name, text: Some(sign(&stone, &key(1))), ..File::default() }
    }

    #[test]
    fn what_is_gone_is_missing_and_what_is_there_in_part_is_not() {
        let (files, made) = three();
        let missing = |files: &[File], made: &[Made]| {
            missing(&entries(files), made, "signer-db").into_values().collect::<Vec<_>>()
        };
        assert_eq!(missing(&files, &made), []);
        // All of the second: by the log, and by the third alone.
        let without: Vec<_> = [&files[..2], &files[4..]].concat();
        assert_eq!(missing(&without, &made), made[1..2]);
        assert_eq!(missing(&without, &[]), made[1..2]);
        // The newest, which only the log names; a file whose manifest is alone; a manifest that is gone from beside its file.
        assert_eq!(missing(&files[..4], &made), made[2..]);
        assert_eq!(missing(&files[1..], &made), made[..1]);
        assert_eq!(missing(&[&files[..1], &files[2..]].concat(), &made), []);
        // Of another name or kind, or led out of the folder.
        assert_eq!(super::missing::<Rows>(&[], &made, "signer-db").len(), 0);
        assert_eq!(super::missing::<Database>(&[], &made, "signer").len(), 0);
        let (other, out) = (record(IDS[0], 1, "00"), record("../x", 1, "00"));
        assert_eq!(super::made(&[other, out.clone()], "signer-db").len(), 1);
        assert_eq!(super::made(&[out], "signer-db"), []);
    }

    #[test]
    fn what_is_forgotten_is_missed_no_more_until_it_is_there_again() {
        let (files, made) = three();
        let mut without: Vec<_> = [&files[..2], &files[4..]].concat();
        without.push(stone(&made[1]));
        let found = entries(&without);
        assert!(found.iter().all(|entry| entry.faults.is_empty()), "{found:?}");
        assert!(found[1].is_lost() && found[1].known().is_none());
        assert!(missing(&found, &made, "signer-db").is_empty());
        // The same of a manifest whose file is gone.
        let mut alone = files[1..].to_vec();
        alone.push(stone(&made[0]));
        let found = entries(&alone);
        assert!(found.iter().all(|entry| entry.faults.is_empty()) && found[0].is_lost());
        // Found again, it counts for what it is.
        let mut again = files.clone();
        again.push(stone(&made[1]));
        let found = entries(&again);
        assert!(found.iter().all(|entry| entry.proven().is_some()), "{found:?}");
        assert!(found.iter().map(Entry::is_found_again).eq([false, true, false]), "{found:?}");
        // Not while its file is still being written.
        again[2].bytes -= 1;
        assert!(!entries(&again).iter().any(Entry::is_found_again));
    }

    #[test]
    fn the_next_number_is_one_that_none_had() {
        let (mut files, made) = three();
        let next = |files: &[File], made: &[Made]| next_number(&entries(files), made, "signer-db");
        assert_eq!((next(&[], &[]), next(&files, &[]), next(&files, &made)), (1, 4, 4));
        // Of a folder that was moved, and of a log that is younger than what is there.
        assert_eq!(
            (next(&[], &made), next(&files[..2], &made), next(&files, &made[..1])),
            (4, 4, 4)
        );
        // While the newest cannot be read.
        files[5].unreadable = Some("I/O error".into());
        assert_eq!((next(&files, &[]), next(&files, &made)), (3, 4));
        // Each kind counts by itself.
        assert_eq!(next_number::<Rows>(&[], &made, "signer-db"), 1);
    }

    /// What counts from one again after a store was emptied, because there was no log: what is said of the old ones spoils none
    /// of the new.
    #[test]
    fn what_is_forgotten_takes_no_number_and_is_not_what_comes_before() {
        let (_, made) = three();
        let anew = "signer-db-20261122T010000Z";
        let manifest: Manifest = manifest_of(anew, None);
        let link = manifest.link(&manifest.digest());
        let text = Some(sign(&manifest, &key(1)));
        let (name, bytes) = (manifest.archive.file, manifest.archive.bytes);
        let mut files: Vec<_> = made.iter().map(stone).collect();
        files.push(File { name, bytes, ..File::default() });
        let name = format!("{anew}{}", Database::ENDS.manifest);
        files.push(File { name, text, ..File::default() });
        let found = entries(&files);
        assert!(found.iter().all(|entry| entry.faults.is_empty()), "{found:?}");
        assert_eq!(next_number(&found, &[], "signer-db"), 4);
        assert_eq!(catalogue::last_link(&found), Some(link));
    }
}
