//! A folder of backups, read and written: what [`super::catalogue`] judges comes from here.

use std::collections::BTreeMap;

use ed25519_dalek::{SigningKey, VerifyingKey};
use jiff::Timestamp;

use super::{
    catalogue::{self, Entry, Fault, File},
    manifest::{Database, Kind, Loss, Manifest, Tombstone},
    missing::Made,
    rows::Rows,
    statement::{read, sign},
    stream,
};
use crate::host::{
    HostError,
    shelf::{Item, OpenShelf, Shelf},
};

/// In how many runs each kept file is read again, once.
const ROTA: u64 = 7;

/// Of which archives the bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// Those that are always small.
    OfSmall,
    /// All: that takes as long as it takes.
    OfAll,
}

/// How often a folder is looked at that loses files meanwhile; the last time it is taken for what was seen.
const LOOKS: usize = 5;

/// The backups of a name, as they lie there, by the public half of the key that signed them.
///
/// # Errors
/// When the folder cannot be read.
pub fn entries<K: Kind>(
    shelf: &Shelf,
    name: &str,
    key: &VerifyingKey,
    bytes: Bytes,
) -> Result<Vec<Entry<K>>, HostError> {
    entries_listed(shelf, || shelf.items(), name, key, bytes)
}

/// The same by a listing. What is deleted by the rules between the listing and the reading was there and is said to be
/// deleted; seen half, it would look stolen. So the folder is looked at again.
fn entries_listed<K: Kind>(
    shelf: &Shelf,
    mut list: impl FnMut() -> Result<Vec<Item>, HostError>,
    name: &str,
    key: &VerifyingKey,
    bytes: Bytes,
) -> Result<Vec<Entry<K>>, HostError> {
    let mut list = || -> Result<Vec<Item>, HostError> {
        let mut items = list()?;
        items.retain(|item| catalogue::id_of::<K>(&item.name, name).is_some());
        Ok(items)
    };
    let (mut items, mut looks) = (list()?, 1);
    loop {
        let files: Vec<_> =
            items.iter().filter_map(|item| read_file::<K>(shelf, item, bytes)).collect();
        let now = list()?;
        if looks == LOOKS || !loses::<K>(&items, &now) {
            return Ok(catalogue::read_shelf(&files, name, key));
        }
        (items, looks) = (now, looks + 1);
    }
}

/// Whether a file went between two listings, or was said to: a listing that is made meanwhile may see either alone.
fn loses<K: Kind>(before: &[Item], now: &[Item]) -> bool {
    let has = |items: &[Item], name: &str| {
        items.binary_search_by(|item| item.name.as_str().cmp(name)).is_ok()
    };
    let is_stone = |item: &&Item| item.name.ends_with(K::ENDS.tombstone);
    before.iter().any(|item| !has(now, &item.name))
        || now.iter().filter(is_stone).any(|item| !has(before, &item.name))
}

/// A file as it lies there; none: it was deleted meanwhile.
fn read_file<K: Kind>(shelf: &Shelf, item: &Item, bytes: Bytes) -> Option<File> {
    let mut file = File { name: item.name.clone(), bytes: item.bytes, ..File::default() };
    // One that cannot be read is a loss of its own, and hides no other.
    if !file.name.ends_with(K::ENDS.archive) {
        match shelf.text(&file.name) {
            Ok(text) => file.text = Some(text),
            Err(error) if error.is_gone() => return None,
            Err(error) if error.is_unreadable() => file.unreadable = Some(error.chain()),
            // What is no text is not to be believed.
            Err(_) => file.text = Some(String::new()),
        }
    } else if K::IS_SMALL || bytes == Bytes::OfAll {
        match digest(shelf, &file.name) {
            Ok(sha256) => file.sha256 = Some(sha256),
            Err(error) if error.is_gone() => return None,
            Err(error) => file.unreadable = Some(error.chain()),
        }
    }
    Some(file)
}

/// Whether there is a manifest of any backup, whoever signed it.
///
/// # Errors
/// When the folder cannot be read.
pub fn has_manifests(shelf: &Shelf) -> Result<bool, HostError> {
    fn is_one<K: Kind>(file: &str) -> bool {
        file.ends_with(K::ENDS.manifest) && catalogue::name_of::<K>(file).is_some()
    }
    let items = shelf.items()?;
    Ok(items.iter().any(|item| is_one::<Database>(&item.name) || is_one::<Rows>(&item.name)))
}

fn digest(shelf: &Shelf, file: &str) -> Result<String, HostError> {
    let digest = stream::digest(shelf.read(file)?);
    Ok(digest.map_err(HostError::file("read", shelf.shown(file)))?.0)
}

/// Reads the file of one again; whether its bytes are those that were signed.
///
/// # Errors
/// When it cannot be read, which may pass.
pub fn is_as_signed<K: Kind>(shelf: &Shelf, manifest: &Manifest<K>) -> Result<bool, HostError> {
    digest(shelf, &manifest.archive.file).map(|found| found == manifest.archive.sha256)
}

/// Reads some of the files again, for the manifest of this number: each once in [`ROTA`] runs, and what had rotted each
/// time, because it may have been mended. Nothing is said of one that cannot be read this time: what is said to have rotted
/// is kept for nothing any more.
pub fn read_again(shelf: &Shelf, entries: &[Entry], number: u64) -> BTreeMap<String, bool> {
    let known = entries.iter().filter_map(|entry| Some((entry, entry.known()?)));
    let due = known.filter(|(entry, manifest)| {
        let is_turn = entry.whole().is_some() && manifest.number % ROTA == number % ROTA;
        is_turn || entry.faults.contains(&Fault::Bytes)
    });
    let read = |(entry, manifest): (&Entry, &Manifest)| {
        Some((entry.id.clone(), is_as_signed(shelf, manifest).ok()?))
    };
    due.filter_map(read).collect()
}

/// Clears what a run left that was killed. Killed between naming its file and naming the manifest, all of it was done and on
/// the disk: then that is finished.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn clear<K: Kind>(shelf: &OpenShelf, key: &SigningKey) -> Result<(), HostError> {
    let there = shelf.shelf().items()?;
    for file in shelf.unfinished()? {
        let Some(id) = file.becomes().strip_suffix(K::ENDS.manifest) else { continue };
        let text = shelf.shelf().text(file.name()).unwrap_or_default();
        let archive = format!("{id}{}", K::ENDS.archive);
        let is_signed = read::<Manifest<K>>(&text, &key.verifying_key())
            .is_ok_and(|(manifest, _)| manifest.archive.file == archive);
        let is_there = |name: &str| there.iter().any(|item| item.name == name);
        if is_signed && is_there(&archive) && !is_there(file.becomes()) {
            file.finish()?;
        }
    }
    Ok(())
}

/// Deletes the files of these ids, and what was said to be deleted by a run that was killed amid it. That each is deleted is
/// signed first.
///
/// # Errors
/// When the folder cannot be written.
pub fn delete<K: Kind>(
    shelf: &OpenShelf,
    entries: &[Entry<K>],
    ids: &[String],
    key: &SigningKey,
    now: Timestamp,
) -> Result<(), HostError> {
    for entry in entries {
        let id = &entry.id;
        if ids.contains(id)
            && let (Some(link), Some(number)) = (entry.link(), entry.number())
        {
            let name = format!("{id}{}", K::ENDS.tombstone);
            shelf.remove(&name)?;
            shelf.put(&name, &sign(&Tombstone::<K>::new(link, number, now), key))?;
        } else if !entry.is_deleted() || entry.is_lost() {
            // What is lost was not there to be deleted; who finds it may be putting it back just now.
            continue;
        }
        shelf.remove(&format!("{id}{}", K::ENDS.archive))?;
        if !K::STAYS {
            shelf.remove(&format!("{id}{}", K::ENDS.manifest))?;
        }
    }
    Ok(())
}

/// Signs that these are lost, in their places.
///
/// # Errors
/// When the folder cannot be written.
pub fn forget<'a, K: Kind>(
    shelf: &OpenShelf,
    lost: impl IntoIterator<Item = &'a Made>,
    loss: &Loss,
    key: &SigningKey,
    now: Timestamp,
) -> Result<(), HostError> {
    for Made { link, number } in lost {
        let name = format!("{}{}", link.id, K::ENDS.tombstone);
        let stone = Tombstone::<K>::lost(link.clone(), *number, now, loss.clone());
        shelf.remove(&name)?;
        shelf.put(&name, &sign(&stone, key))?;
    }
    Ok(())
}

/// Takes away what says that these are lost, of those that were found again: when one goes a second time, it is missed
/// again.
///
/// # Errors
/// When the folder cannot be written.
pub fn remember<K: Kind>(shelf: &OpenShelf, entries: &[Entry<K>]) -> Result<(), HostError> {
    let mut found = entries.iter().filter(|entry| entry.is_found_again());
    found.try_for_each(|entry| shelf.remove(&format!("{}{}", entry.id, K::ENDS.tombstone)))
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
