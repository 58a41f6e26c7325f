//! What is on a shelf: the backups of one name, each with what is wrong with it. Pure: over names, sizes and texts.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    manifest::{Link, Manifest, SignatureFault, Tombstone, read},
    retention::Kept,
};

/// What the name of a backup's file ends in: PostgreSQL's custom format, compressed, encrypted.
pub const ARCHIVE: &str = ".pgdump.zst.age";

/// What its manifest's does.
pub const MANIFEST: &str = ".manifest.json";

/// What the statement that its file was deleted does.
pub const TOMBSTONE: &str = ".deleted.json";

/// A backup, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its manifest, if it is the host's, with the digest by which the next names it.
    pub manifest: Option<(Manifest, String)>,
    /// Whether its file was deleted by `prune`.
    pub deleted: bool,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// What can be wrong with a backup on a shelf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Fault {
    #[error("its manifest is not to be believed: {0}")]
    Manifest(SignatureFault),
    #[error("its manifest is another's: {0}")]
    Other(String),
    #[error("it has no manifest: its run was killed, or somebody deleted it")]
    NoManifest,
    #[error("its file is gone, and not by prune")]
    NoArchive,
    #[error("its file has {found} bytes and not {said}")]
    Size { found: u64, said: u64 },
    #[error("its bytes are not those that the host signed")]
    Bytes,
    #[error("the manifest before it, {0}, is gone")]
    NoPrevious(String),
    #[error("the manifest before it, {0}, is not the one that it was made after")]
    OtherPrevious(String),
    #[error("what says that its file was deleted is not to be believed: {0}")]
    Tombstone(SignatureFault),
}

/// A file as it lies there; of manifests and tombstones the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// What is in it, if it is small.
    pub text: Option<String>,
}

/// The id of a backup begun at this time.
pub fn id(name: &str, begun: Timestamp) -> String {
    format!("{name}-{}", begun.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ"))
}

/// How many characters the time in an id has, with the hyphen before it.
const TIME: usize = "-20260102T030405Z".len();

/// The id that a file's name begins with, if it is one of the backup's of this name.
pub fn id_of<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let id = [ARCHIVE, MANIFEST, TOMBSTONE].iter().find_map(|end| file.strip_suffix(end))?;
    let time = id.strip_prefix(name)?;
    let is_time = time.len() == TIME
        && time.starts_with('-')
        && time[1..].chars().all(|c| c.is_ascii_digit() || "TZ".contains(c));
    is_time.then_some(id)
}

/// The name of the backup that a file is of, if it is of one.
pub fn name_of(file: &str) -> Option<&str> {
    let id = [ARCHIVE, MANIFEST, TOMBSTONE].iter().find_map(|end| file.strip_suffix(end))?;
    let name = id.get(..id.len().checked_sub(TIME)?)?;
    id_of(file, name).map(|_| name)
}

/// The backups of a name, in the order in which they were made.
pub fn read_shelf(files: &[File], name: &str, key: &VerifyingKey) -> Vec<Entry> {
    let mut by_id: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files {
        if let Some(id) = id_of(&file.name, name) {
            by_id.entry(id).or_default().push(file);
        }
    }
    let entries: Vec<Entry> =
        by_id.into_iter().map(|(id, files)| entry(id, name, &files, key)).collect();
    let digests: BTreeMap<&str, Option<&String>> = entries
        .iter()
        .map(|entry| (entry.id.as_str(), entry.manifest.as_ref().map(|(_, digest)| digest)))
        .collect();
    let broken: Vec<Option<Fault>> = entries
        .iter()
        .map(|entry| {
            let Link { id, sha256 } = entry.manifest.as_ref()?.0.previous.as_ref()?;
            match digests.get(id.as_str()) {
                None | Some(None) => Some(Fault::NoPrevious(id.clone())),
                Some(Some(digest)) if *digest != sha256 => Some(Fault::OtherPrevious(id.clone())),
                Some(Some(_)) => None,
            }
        })
        .collect();
    let mut entries: Vec<Entry> = entries
        .into_iter()
        .zip(broken)
        .map(|(mut entry, fault)| {
            entry.faults.extend(fault);
            entry
        })
        .collect();
    entries.sort_by_key(|entry| (entry.made(), entry.id.clone()));
    entries
}

fn entry(id: &str, name: &str, files: &[&File], key: &VerifyingKey) -> Entry {
    let find = |end| files.iter().find(|file| file.name.ends_with(end));
    let text = |file: &&&File| file.text.clone().unwrap_or_default();
    let mut entry = Entry { id: id.to_owned(), manifest: None, deleted: false, faults: Vec::new() };
    match find(MANIFEST).map(|file| read::<Manifest>(&text(&file), key)) {
        None => entry.faults.push(Fault::NoManifest),
        Some(Err(fault)) => entry.faults.push(Fault::Manifest(fault)),
        Some(Ok((manifest, _))) if manifest.id != id || manifest.name != name => {
            entry.faults.push(Fault::Other(manifest.id));
        }
        Some(Ok(read)) => entry.manifest = Some(read),
    }
    if let Some(file) = find(TOMBSTONE) {
        match (read::<Tombstone>(&text(&file), key), &entry.manifest) {
            (Err(fault), _) => entry.faults.push(Fault::Tombstone(fault)),
            (Ok((stone, _)), Some((_, digest))) => {
                entry.deleted = stone.deleted == Link { id: id.to_owned(), sha256: digest.clone() };
            }
            (Ok(_), None) => {}
        }
    }
    if let Some((manifest, _)) = &entry.manifest {
        match find(ARCHIVE) {
            None if !entry.deleted => entry.faults.push(Fault::NoArchive),
            Some(file) if file.bytes != manifest.archive.bytes => {
                let (found, said) = (file.bytes, manifest.archive.bytes);
                entry.faults.push(Fault::Size { found, said });
            }
            _ => {}
        }
    }
    entry
}

impl Entry {
    /// When it was made; of one without a manifest, nobody knows, and its name is all that orders it.
    pub fn made(&self) -> Timestamp {
        self.manifest.as_ref().map_or_else(|| self.named(), |(manifest, _)| manifest.made)
    }

    /// The time in its id.
    fn named(&self) -> Timestamp {
        let time = &self.id[self.id.len().saturating_sub(TIME - 1)..];
        let parsed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok();
        let zoned = parsed.and_then(|time| time.to_zoned(TimeZone::UTC).ok());
        zoned.map_or(Timestamp::MIN, |time| time.timestamp())
    }

    /// Whether its file is there, as its manifest says, and was proven.
    pub fn is_proven(&self) -> bool {
        let proven = self.manifest.as_ref().is_some_and(|(manifest, _)| manifest.proof.proven);
        proven && !self.deleted && self.is_whole()
    }

    /// Whether it is proven, and all of it was restored for that.
    pub fn is_drilled(&self) -> bool {
        self.is_proven()
            && self.manifest.as_ref().is_some_and(|(manifest, _)| manifest.proof.drill.is_some())
    }

    /// Whether nothing is wrong with it itself. That the one before it is gone is that one's loss.
    fn is_whole(&self) -> bool {
        let about_another =
            |fault: &Fault| matches!(fault, Fault::NoPrevious(_) | Fault::OtherPrevious(_));
        self.faults.iter().all(about_another)
    }

    /// What its keeping goes by; `None` for what is deleted already, and for what nothing is known of: a file whose manifest
    /// cannot be believed, because the host has another key now, say, may be the last good one.
    pub fn kept(&self) -> Option<Kept> {
        let known = self.manifest.is_some() && !self.deleted;
        let (proven, drilled) = (self.is_proven(), self.is_drilled());
        known.then(|| Kept { id: self.id.clone(), made: self.made(), proven, drilled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::{
        sign,
        tests::{key, manifest},
    };

    const IDS: [&str; 3] =
        ["signer-db-20261121T010000Z", "signer-db-20261121T020000Z", "signer-db-20261121T030000Z"];

    /// Three backups, each after the one before it.
    fn shelf() -> Vec<File> {
        let (mut files, mut previous) = (Vec::new(), None);
        for (hour, id) in IDS.into_iter().enumerate() {
            let made = format!("2026-11-21T0{}:00:05Z", hour + 1).parse().unwrap();
            let text = sign(&Manifest { made, ..manifest(id, previous.take()) }, &key(1));
            let (_, sha256) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
            previous = Some(Link { id: id.to_owned(), sha256 });
            files.push(File { name: format!("{id}{ARCHIVE}"), bytes: 5, text: None });
            let bytes = text.len() as u64;
            files.push(File { name: format!("{id}{MANIFEST}"), bytes, text: Some(text) });
        }
        files
    }

    fn faults(files: &[File]) -> Vec<(String, Vec<Fault>)> {
        let entries = read_shelf(files, "signer-db", &key(1).verifying_key());
        let bad = entries.into_iter().filter(|entry| !entry.faults.is_empty());
        bad.map(|entry| (entry.id, entry.faults)).collect()
    }

    #[test]
    fn a_whole_shelf_has_no_faults() {
        let files = shelf();
        assert!(faults(&files).is_empty());
        let entries = read_shelf(&files, "signer-db", &key(1).verifying_key());
        assert_eq!(entries.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), IDS);
        assert!(entries.iter().all(Entry::is_proven));
    }

    #[test]
    fn another_backups_files_are_not_this_ones() {
        assert_eq!(id_of("signer-db-two-20261121T010000Z.manifest.json", "signer-db"), None);
        assert_eq!(id_of("signer-db-20261121T010000Z.txt", "signer-db"), None);
        let two = "signer-db-two-20261121T010000Z.manifest.json";
        assert_eq!(name_of(two), Some("signer-db-two"));
        for none in
            ["x.manifest.json", "-20261121T010000Z.txt", "ä20261121T010000Z.deleted.json", ""]
        {
            assert_eq!(name_of(none), None, "{none}");
        }
        assert_eq!(id_of("signer-db-20261121T010000Z.manifest.json", "signer-db"), Some(IDS[0]));
    }

    #[test]
    fn what_nothing_is_known_of_is_never_deleted() {
        let kept = |files: &[File], seed| {
            let entries = read_shelf(files, "signer-db", &key(seed).verifying_key());
            entries.iter().filter_map(Entry::kept).count()
        };
        let mut files = shelf();
        assert_eq!((kept(&files, 1), kept(&files, 2)), (3, 0));
        files[1].text = Some(String::new());
        files.remove(5);
        assert_eq!(kept(&files, 1), 1);
    }

    #[test]
    fn a_missing_manifest_shows_twice() {
        let mut files = shelf();
        files.retain(|file| file.name != format!("{}{MANIFEST}", IDS[1]));
        let expected = [
            (IDS[1].to_owned(), vec![Fault::NoManifest]),
            (IDS[2].to_owned(), vec![Fault::NoPrevious(IDS[1].to_owned())]),
        ];
        assert_eq!(faults(&files), expected);
    }

    #[test]
    fn a_manifest_in_anothers_place_shows() {
        let mut files = shelf();
        let first = files[1].text.clone();
        files[3].text = first;
        let found = faults(&files);
        assert_eq!(found[0], (IDS[1].to_owned(), vec![Fault::Other(IDS[0].to_owned())]));
        assert_eq!(found[1], (IDS[2].to_owned(), vec![Fault::NoPrevious(IDS[1].to_owned())]));
    }

    #[test]
    fn a_manifest_made_anew_shows_in_the_next() {
        let mut files = shelf();
        let mut anew = manifest(IDS[0], None);
        anew.archive.plain = 8;
        files[1].text = Some(sign(&anew, &key(1)));
        let found = faults(&files);
        assert_eq!(found, [(IDS[1].to_owned(), vec![Fault::OtherPrevious(IDS[0].to_owned())])]);
    }

    #[test]
    fn a_file_that_is_gone_or_of_another_size_shows_and_proves_nothing() {
        let mut files = shelf();
        files[4].bytes = 4;
        files.remove(0);
        let expected = [
            (IDS[0].to_owned(), vec![Fault::NoArchive]),
            (IDS[2].to_owned(), vec![Fault::Size { found: 4, said: 5 }]),
        ];
        assert_eq!(faults(&files), expected);
        let entries = read_shelf(&files, "signer-db", &key(1).verifying_key());
        let proven: Vec<_> = entries.iter().map(Entry::is_proven).collect();
        assert_eq!(proven, [false, true, false]);
    }

    #[test]
    fn what_prune_deleted_is_not_missed() {
        let mut files = shelf();
        let text = files[1].text.clone().unwrap();
        let (_, sha256) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
        let stone = |sha256: String| Tombstone {
            deleted: Link { id: IDS[0].to_owned(), sha256 },
            at: Timestamp::from_second(1_790_000_001).unwrap(),
        };
        files.remove(0);
        let name = format!("{}{TOMBSTONE}", IDS[0]);
        let bury = |files: &mut Vec<File>, text: String| {
            files.push(File { name: name.clone(), bytes: text.len() as u64, text: Some(text) });
        };
        let mut buried = files.clone();
        bury(&mut buried, sign(&stone(sha256), &key(1)));
        assert!(faults(&buried).is_empty());
        bury(&mut files, sign(&stone("00".repeat(32)), &key(1)));
        assert_eq!(faults(&files), [(IDS[0].to_owned(), vec![Fault::NoArchive])]);
    }
}
