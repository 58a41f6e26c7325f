//! What is on a shelf: the backups of one name and kind, each with what is wrong with it. Pure: over names, sizes and texts.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use jiff::{Timestamp, tz::TimeZone};

use super::{
    manifest::{Database, Kind, Loss, Manifest, Tombstone},
    statement::{Link, SignatureFault, read},
};

/// A backup, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<K: Kind = Database> {
    /// Its id.
    pub id: String,
    /// Its manifest, if it is the host's, with the digest by which the next names it.
    pub manifest: Option<(Manifest<K>, String)>,
    /// What says that its file was deleted by the rules of its profile, or that it is lost.
    pub deleted: Option<Tombstone<K>>,
    /// Whether what says that it is lost lies beside its file.
    pub said_lost: bool,
    /// Whether its file's bytes were read for this, and are those that were signed.
    pub was_read: bool,
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
    #[error("its manifest is of a file that has another name than it: {0}")]
    OtherFile(String),
    #[error("it has no manifest: its run was killed, or somebody deleted it")]
    NoManifest,
    #[error("its file is gone, and not by prune")]
    NoArchive,
    #[error("its file has {found} bytes and not {said}")]
    Size { found: u64, said: u64 },
    #[error("its bytes are not those that the host signed")]
    Bytes,
    #[error("its file cannot be read: {0}")]
    Unreadable(String),
    #[error("what is said of it cannot be read: {0}")]
    UnreadableWord(String),
    #[error("the manifest before it, {0}, is gone")]
    NoPrevious(String),
    #[error("the manifest before it, {0}, is not the one that it was made after")]
    OtherPrevious(String),
    #[error("{other} has the number {number}, too: the folder was set back between the two")]
    SameNumber { other: String, number: u64 },
    #[error("what says that its file was deleted is not to be believed: {0}")]
    Tombstone(SignatureFault),
}

impl Fault {
    /// Whether it is another's loss, and nothing against the backup itself.
    const fn is_of_another(&self) -> bool {
        matches!(self, Self::NoPrevious(_) | Self::OtherPrevious(_) | Self::SameNumber { .. })
    }

    /// Whether it leaves unclear what the backup is: what is said of it is missing, is not this host's word, or gives it
    /// another's place.
    pub const fn is_unclear(&self) -> bool {
        matches!(
            self,
            Self::Manifest(_)
                | Self::UnreadableWord(_)
                | Self::Other(_)
                | Self::OtherFile(_)
                | Self::NoManifest
                | Self::Tombstone(_)
                | Self::SameNumber { .. }
        )
    }
}

/// A file as it lies there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// What is in it, of manifests and tombstones.
    pub text: Option<String>,
    /// Its SHA-256, of an archive that was read.
    pub sha256: Option<String>,
    /// Why it could not be read, when it was to be.
    pub unreadable: Option<String>,
}

/// The id of a backup begun at this time.
pub fn id<K: Kind>(name: &str, begun: Timestamp) -> String {
    format!("{name}{}", begun.to_zoned(TimeZone::UTC).strftime(K::TIME))
}

/// The id in a file's name, with what follows it.
fn split<K: Kind>(file: &str) -> Option<&str> {
    // A tombstone of rows ends as a manifest of rows does not, and the other way round: at most one fits, the longest first.
    [K::ENDS.archive, K::ENDS.tombstone, K::ENDS.manifest]
        .iter()
        .find_map(|end| file.strip_suffix(end))
}

/// The id that a file's name begins with, if it is one of the backup's of this name and kind.
pub fn id_of<'a, K: Kind>(file: &'a str, name: &str) -> Option<&'a str> {
    let id = split::<K>(file)?;
    let rest = id.strip_prefix(name)?;
    let is_alike = |(one, shape): (u8, u8)| match shape {
        b'0'..=b'9' => one.is_ascii_digit(),
        _ => one == shape,
    };
    let has_shape =
        rest.len() == K::SHAPE.len() && rest.bytes().zip(K::SHAPE.bytes()).all(is_alike);
    has_shape.then_some(id)
}

/// The name of the backup that a file is of, if it is of one of this kind.
pub fn name_of<K: Kind>(file: &str) -> Option<&str> {
    let id = split::<K>(file)?;
    let name = id.get(..id.len().checked_sub(K::SHAPE.len())?)?;
    id_of::<K>(file, name).map(|_| name)
}

/// How the next one names the one before it: the last that is known. Not one that is lost: it may be of a store that was
/// moved, and what was made since would be named by none.
pub fn last_link<K: Kind>(entries: &[Entry<K>]) -> Option<Link> {
    entries.iter().rev().filter(|entry| !entry.is_lost()).find_map(Entry::link)
}

/// The backups of a name, in the order in which they were made, which is that of their numbers; those of which nothing is
/// known last.
pub fn read_shelf<K: Kind>(files: &[File], name: &str, key: &VerifyingKey) -> Vec<Entry<K>> {
    let mut by_id: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files {
        if let Some(id) = id_of::<K>(&file.name, name) {
            by_id.entry(id).or_default().push(file);
        }
    }
    let mut entries: Vec<Entry<K>> =
        by_id.into_iter().map(|(id, files)| entry(id, name, &files, key)).collect();
    entries.sort_by_cached_key(|entry| (entry.number().unwrap_or(u64::MAX), entry.id.clone()));
    let faults: Vec<Vec<Fault>> =
        entries.iter().map(|entry| among(entry, &entries).collect()).collect();
    for (entry, faults) in entries.iter_mut().zip(faults) {
        entry.faults.extend(faults);
    }
    entries
}

/// What is wrong with one as the others have it.
fn among<K: Kind>(entry: &Entry<K>, all: &[Entry<K>]) -> impl Iterator<Item = Fault> {
    let link = entry.manifest.as_ref().and_then(|(manifest, _)| manifest.previous.clone());
    let previous = link.and_then(|link| {
        let found = all.iter().filter(|other| other.id == link.id).find_map(Entry::link);
        match found {
            None => Some(Fault::NoPrevious(link.id)),
            Some(found) if found != link => Some(Fault::OtherPrevious(link.id)),
            Some(_) => None,
        }
    });
    // What was made without the evidence log after a store was moved counts from one again: what is lost had these numbers, too.
    let number = entry.number().filter(|_| !entry.is_lost()).and_then(|number| {
        let same = |other: &&Entry<K>| {
            other.number() == Some(number) && other.id != entry.id && !other.is_lost()
        };
        let other = all.iter().find(same)?.id.clone();
        Some(Fault::SameNumber { other, number })
    });
    // The last word on its bytes: a copy may have been put in the place of what had rotted. What is read now counts more:
    // what has rotted on the host that made it may have been fetched before.
    let mut words = all.iter().rev().filter_map(|other| other.manifest.as_ref());
    let word = words.find_map(|(manifest, _)| manifest.read_again.get(&entry.id));
    let rotten =
        word == Some(&false) && !entry.was_read && entry.known().is_some() && entry.is_whole();
    previous.into_iter().chain(number).chain(rotten.then_some(Fault::Bytes))
}

fn entry<K: Kind>(id: &str, name: &str, files: &[&File], key: &VerifyingKey) -> Entry<K> {
    let find = |end: &str| files.iter().find(|file| file.name == format!("{id}{end}"));
    let text = |file: &&&File| file.text.clone().unwrap_or_default();
    let (id_text, faults) = (id.to_owned(), Vec::new());
    let mut entry = Entry {
        id: id_text,
        manifest: None,
        deleted: None,
        said_lost: false,
        was_read: false,
        faults,
    };
    let unreadable = |end: &str| find(end).and_then(|file| file.unreadable.clone());
    let words = [K::ENDS.tombstone, K::ENDS.manifest];
    if let Some(why) = words.into_iter().find_map(unreadable) {
        entry.faults.push(Fault::UnreadableWord(why));
        return entry;
    }
    match find(K::ENDS.tombstone).map(|file| read::<Tombstone<K>>(&text(&file), key)) {
        None => {}
        Some(Err(fault)) => entry.faults.push(Fault::Tombstone(fault)),
        Some(Ok((stone, _))) if stone.deleted.id != id => {
            entry.faults.push(Fault::Other(stone.deleted.id));
        }
        // It was lost, and is there again.
        Some(Ok((stone, _))) if stone.lost.is_some() && find(K::ENDS.archive).is_some() => {
            entry.said_lost = true;
        }
        Some(Ok((stone, _))) => entry.deleted = Some(stone),
    }
    match find(K::ENDS.manifest).map(|file| read::<Manifest<K>>(&text(&file), key)) {
        None if entry.deleted.is_some() => {}
        None => entry.faults.push(Fault::NoManifest),
        Some(Err(fault)) => entry.faults.push(Fault::Manifest(fault)),
        Some(Ok((manifest, _))) if manifest.id != id || manifest.name != name => {
            entry.faults.push(Fault::Other(manifest.id));
        }
        Some(Ok((manifest, _))) if manifest.archive.file != format!("{id}{}", K::ENDS.archive) => {
            entry.faults.push(Fault::OtherFile(manifest.archive.file));
        }
        Some(Ok((manifest, sha256))) => {
            // A statement on another manifest of this id says nothing of this one.
            let link = manifest.link(&sha256);
            entry.deleted = entry.deleted.take().filter(|stone| stone.deleted == link);
            entry.manifest = Some((manifest, sha256));
        }
    }
    if let Some((manifest, _)) = &entry.manifest {
        let said = &manifest.archive;
        match find(K::ENDS.archive) {
            None if entry.is_deleted() => {}
            None => entry.faults.push(Fault::NoArchive),
            Some(file) if file.bytes != said.bytes => {
                entry.faults.push(Fault::Size { found: file.bytes, said: said.bytes });
            }
            Some(file) if file.sha256.as_ref().is_some_and(|found| *found != said.sha256) => {
                entry.faults.push(Fault::Bytes);
            }
            Some(File { unreadable: Some(why), .. }) => {
                entry.faults.push(Fault::Unreadable(why.clone()));
            }
            Some(file) => entry.was_read = file.sha256.is_some(),
        }
    }
    entry
}

impl<K: Kind> Entry<K> {
    /// How the next one names it.
    pub fn link(&self) -> Option<Link> {
        let own = self.manifest.as_ref().map(|(manifest, sha256)| manifest.link(sha256));
        own.or_else(|| self.deleted.as_ref().map(|stone| stone.deleted.clone()))
    }

    /// Its place in their order.
    pub fn number(&self) -> Option<u64> {
        let own = self.manifest.as_ref().map(|(manifest, _)| manifest.number);
        own.or(self.deleted.as_ref().map(|stone| stone.number))
    }

    /// Whether its file was deleted by the rules of its profile, or is lost.
    pub const fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// What a person has said of it, if it is lost.
    pub fn loss(&self) -> Option<&Loss> {
        self.deleted.as_ref()?.lost.as_ref()
    }

    /// Whether it is lost, as a person has said.
    pub fn is_lost(&self) -> bool {
        self.loss().is_some()
    }

    /// Whether it is clear what it is.
    pub fn is_clear(&self) -> bool {
        !self.faults.iter().any(Fault::is_unclear)
    }

    /// Its manifest, if the file was not deleted. Of a file whose manifest cannot be believed nothing is known: because
    /// the host has another key now, say. It may be the last good one.
    pub fn known(&self) -> Option<&Manifest<K>> {
        self.manifest.as_ref().filter(|_| !self.is_deleted()).map(|(manifest, _)| manifest)
    }

    /// Its manifest, if the file is there as that says.
    pub fn whole(&self) -> Option<&Manifest<K>> {
        self.known().filter(|_| self.is_whole())
    }

    /// Whether it was lost, as a person has said, and is there again. Not while somebody is putting it back.
    pub fn is_found_again(&self) -> bool {
        self.said_lost && self.whole().is_some()
    }

    /// Its manifest, if the file is there as that says and was proven.
    pub fn proven(&self) -> Option<&Manifest<K>> {
        self.whole().filter(|manifest| manifest.proof.proven)
    }

    /// The same, if all of it was restored for that.
    pub fn drilled(&self) -> Option<&Manifest<K>> {
        self.proven().filter(|manifest| manifest.proof.drill.is_some())
    }

    /// Whether nothing is wrong with it itself. That the one before it is gone is that one's loss.
    fn is_whole(&self) -> bool {
        self.faults.iter().all(Fault::is_of_another)
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
