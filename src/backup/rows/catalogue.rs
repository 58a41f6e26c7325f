//! What is in a folder of rows: each file with what is wrong with it. Pure: over names, sizes and texts.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use jiff::{Timestamp, tz::TimeZone};

use super::{keep::Kept, manifest::Manifest};
use crate::backup::{
    catalogue::{Fault, File},
    manifest::{Link, Tombstone, read},
};

/// What the name of a file of rows ends in.
pub const ARCHIVE: &str = ".dkg-rows.zst.age";

/// What its manifest's does.
pub const MANIFEST: &str = ".dkg-rows.json";

/// What the statement that it was deleted does.
pub const TOMBSTONE: &str = ".dkg-rows.deleted.json";

/// A file, or what is left of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its manifest, if it is the host's, with the digest by which the next names it.
    pub manifest: Option<(Manifest, String)>,
    /// The name that the next has for it, if it was deleted by the rule of [`super::keep`].
    pub deleted: Option<Link>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// The id of one begun at this time. To the millisecond: two statuses may follow one another at once.
pub fn id(name: &str, begun: Timestamp) -> String {
    format!("{name}-rows-{}", begun.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S.%3fZ"))
}

/// The number of the next one.
pub fn next_number(entries: &[Entry]) -> u64 {
    let known = entries.iter().filter_map(|entry| entry.manifest.as_ref());
    known.map(|(manifest, _)| manifest.number).max().unwrap_or_default().saturating_add(1)
}

/// What an id has after the name, in shape.
const REST: &str = "-rows-20260102T030405.678Z";

/// The id that a file's name begins with, if it is one of the rows' of this backup.
pub fn id_of<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let id = [ARCHIVE, TOMBSTONE, MANIFEST].iter().find_map(|end| file.strip_suffix(end))?;
    let rest = id.strip_prefix(name)?;
    let is_alike = |(one, shape): (u8, u8)| match shape {
        b'0'..=b'9' => one.is_ascii_digit(),
        _ => one == shape,
    };
    let has_shape = rest.len() == REST.len() && rest.bytes().zip(REST.bytes()).all(is_alike);
    has_shape.then_some(id)
}

/// The name of the backup whose rows a file has or is about, if it is of any.
pub fn name_of(file: &str) -> Option<&str> {
    let id = [ARCHIVE, TOMBSTONE, MANIFEST].iter().find_map(|end| file.strip_suffix(end))?;
    let name = id.get(..id.len().checked_sub(REST.len())?)?;
    id_of(file, name).map(|_| name)
}

/// Whether the text of a file of this name is wanted.
pub fn is_statement(file: &str) -> bool {
    file.ends_with(MANIFEST) || file.ends_with(TOMBSTONE)
}

/// The files, in the order in which they were made; those without a manifest last.
pub fn read_folder(files: &[File], name: &str, key: &VerifyingKey) -> Vec<Entry> {
    let mut by_id: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files {
        if let Some(id) = id_of(&file.name, name) {
            by_id.entry(id).or_default().push(file);
        }
    }
    let mut entries: Vec<_> = by_id.iter().map(|(id, files)| entry(id, name, files, key)).collect();
    let known: BTreeSet<Link> = entries.iter().filter_map(Entry::link).collect();
    let ids: BTreeSet<String> = known.iter().map(|link| link.id.clone()).collect();
    for entry in &mut entries {
        let Some(previous) = entry.manifest.as_ref().and_then(|(one, _)| one.previous.clone())
        else {
            continue;
        };
        if !ids.contains(&previous.id) {
            entry.faults.push(Fault::NoPrevious(previous.id));
        } else if !known.contains(&previous) {
            entry.faults.push(Fault::OtherPrevious(previous.id));
        }
    }
    entries.sort_by(|one, other| (one.number(), &one.id).cmp(&(other.number(), &other.id)));
    entries
}

fn entry(id: &str, name: &str, files: &[&File], key: &VerifyingKey) -> Entry {
    let find = |end| files.iter().find(|file| file.name.ends_with(end));
    let text = |file: &&&File| file.text.clone().unwrap_or_default();
    let mut entry = Entry { id: id.to_owned(), manifest: None, deleted: None, faults: Vec::new() };
    match find(TOMBSTONE).map(|file| read::<Tombstone>(&text(&file), key)) {
        None => {}
        Some(Err(fault)) => entry.faults.push(Fault::Tombstone(fault)),
        Some(Ok((stone, _))) if stone.deleted.id == id => entry.deleted = Some(stone.deleted),
        Some(Ok((stone, _))) => entry.faults.push(Fault::Other(stone.deleted.id)),
    }
    match find(MANIFEST).map(|file| read::<Manifest>(&text(&file), key)) {
        None if entry.deleted.is_some() => {}
        None => entry.faults.push(Fault::NoManifest),
        Some(Err(fault)) => entry.faults.push(Fault::Manifest(fault)),
        Some(Ok((manifest, _))) if manifest.id != id || manifest.name != name => {
            entry.faults.push(Fault::Other(manifest.id));
        }
        Some(Ok(read)) => entry.manifest = Some(read),
    }
    if let (Some((manifest, _)), None) = (&entry.manifest, &entry.deleted) {
        match find(ARCHIVE) {
            None => entry.faults.push(Fault::NoArchive),
            Some(file) if file.bytes != manifest.archive.bytes => {
                let (found, said) = (file.bytes, manifest.archive.bytes);
                entry.faults.push(Fault::Size { found, said });
            }
            Some(_) => {}
        }
    }
    entry
}

impl Entry {
    /// How the next one names it.
    pub fn link(&self) -> Option<Link> {
        let own = self.manifest.as_ref().map(|(manifest, sha256)| manifest.link(sha256));
        own.or_else(|| self.deleted.clone())
    }

    /// Its place in their order.
    fn number(&self) -> u64 {
        self.manifest.as_ref().map_or(u64::MAX, |(manifest, _)| manifest.number)
    }

    /// Its manifest, if the file is there as that says.
    pub fn whole(&self) -> Option<&Manifest> {
        let about_another =
            |fault: &Fault| matches!(fault, Fault::NoPrevious(_) | Fault::OtherPrevious(_));
        let is_whole = self.deleted.is_none() && self.faults.iter().all(about_another);
        self.manifest.as_ref().filter(|_| is_whole).map(|(manifest, _)| manifest)
    }

    /// Its manifest, if the file is there as that says and was proven.
    pub fn proven(&self) -> Option<&Manifest> {
        self.whole().filter(|manifest| manifest.proof.proven)
    }

    /// What its keeping goes by; `None` for what is deleted already, or not known.
    pub fn kept(&self) -> Option<Kept> {
        let (manifest, _) = self.manifest.as_ref().filter(|_| self.deleted.is_none())?;
        let proven = self.proven().is_some();
        let (id, rows) = (self.id.clone(), manifest.rows.clone());
        Some(Kept { id, number: manifest.number, made: manifest.made, proven, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{
        chain::Status,
        manifest::{sign, tests::key, tests::manifest as dump},
        rows::print::Print,
    };

    fn manifest(id: &str, previous: Option<Link>) -> Manifest {
        let of = dump(id, None);
        Manifest {
            format: super::super::manifest::FORMAT,
            id: id.to_owned(),
            number: IDS.iter().position(|each| *each == id).unwrap() as u64 + 1,
            name: of.name,
            database: of.database,
            begun: of.begun,
            made: of.made,
            archive: of.archive,
            recipients: of.recipients,
            drill: of.drill,
            server_version: of.server_version,
            rows: vec![Print {
                key: "02".into(),
                status: Status::Verified,
                created: of.begun,
                digest: "d".into(),
            }],
            changes: Vec::new(),
            proof: of.proof,
            previous,
        }
    }

    const IDS: [&str; 3] = [
        "signer-db-rows-20261121T010000.000Z",
        "signer-db-rows-20261121T020000.000Z",
        "signer-db-rows-20261121T030000.000Z",
    ];

    fn folder() -> Vec<File> {
        let (mut files, mut previous) = (Vec::new(), None);
        for id in IDS {
            let text = sign(&manifest(id, previous.take()), &key(1));
            let (_, sha256) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
            previous = Some(Link { id: id.to_owned(), sha256 });
            files.push(File { name: format!("{id}{ARCHIVE}"), bytes: 5, text: None });
            let bytes = text.len() as u64;
            files.push(File { name: format!("{id}{MANIFEST}"), bytes, text: Some(text) });
        }
        files
    }

    fn entries(files: &[File]) -> Vec<Entry> {
        read_folder(files, "signer-db", &key(1).verifying_key())
    }

    fn faults(files: &[File]) -> Vec<(String, Vec<Fault>)> {
        let bad = entries(files).into_iter().filter(|entry| !entry.faults.is_empty());
        bad.map(|entry| (entry.id, entry.faults)).collect()
    }

    #[test]
    fn ids_are_in_order_and_name_a_moment() {
        let at = "2026-11-21T14:30:15.123456Z".parse().unwrap();
        assert_eq!(id("signer-db", at), "signer-db-rows-20261121T143015.123Z");
        for end in [ARCHIVE, MANIFEST, TOMBSTONE] {
            let file = format!("{}{end}", IDS[0]);
            assert_eq!(id_of(&file, "signer-db"), Some(IDS[0]));
            assert_eq!(name_of(&file), Some("signer-db"));
            assert_eq!(id_of(&file, "signer"), None);
            // Neither is taken for the other.
            assert_eq!(crate::backup::catalogue::name_of(&file), None);
        }
        let others =
            ["x.unfinished", "signer-db-20261121T010000Z.manifest.json", "rows.dkg-rows.json"];
        assert_eq!(others.map(name_of), [None; 3]);
    }

    /// The newest is the one that was made last, whatever the clock said then: else every look would make it anew.
    #[test]
    fn a_clock_that_was_set_back_changes_no_order() {
        let mut files = folder();
        for (at, made) in
            [(1, "2026-11-21T12:00:00Z"), (3, "2026-11-21T11:00:00Z"), (5, "2026-11-20T00:00:00Z")]
        {
            let text = files[at].text.take().unwrap();
            let (mut one, _) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
            one.made = made.parse().unwrap();
            files[at].text = Some(sign(&one, &key(1)));
        }
        let entries = entries(&files);
        assert!(entries.iter().map(|entry| entry.id.as_str()).eq(IDS));
        assert_eq!((next_number(&entries), next_number(&[])), (4, 1));
    }

    #[test]
    fn what_was_done_to_files_shows() {
        let whole = folder();
        assert_eq!(faults(&whole), []);
        assert_eq!(entries(&whole).iter().filter(|entry| entry.proven().is_some()).count(), 3);
        let mut files = whole.clone();
        files.remove(3);
        let expected = [
            (IDS[2].to_owned(), vec![Fault::NoPrevious(IDS[1].to_owned())]),
            (IDS[1].to_owned(), vec![Fault::NoManifest]),
        ];
        assert_eq!(faults(&files), expected);
        let mut files = whole.clone();
        files[4].bytes = 4;
        files.remove(0);
        let expected = [
            (IDS[0].to_owned(), vec![Fault::NoArchive]),
            (IDS[2].to_owned(), vec![Fault::Size { found: 4, said: 5 }]),
        ];
        assert_eq!(faults(&files), expected);
        let mut files = whole;
        files[3].text = files[1].text.clone();
        assert_eq!(faults(&files)[1], (IDS[1].to_owned(), vec![Fault::Other(IDS[0].to_owned())]));
    }

    #[test]
    fn what_the_rule_deleted_is_not_missed() {
        let mut files = folder();
        let text = files[1].text.clone().unwrap();
        let (one, sha256) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
        let stone = Tombstone { deleted: one.link(&sha256), at: one.made };
        let text = sign(&stone, &key(1));
        let name = format!("{}{TOMBSTONE}", IDS[0]);
        files.push(File { name, bytes: text.len() as u64, text: Some(text) });
        // Killed amid it: the file is still there, and does not count.
        assert_eq!((faults(&files), entries(&files)[0].kept()), (vec![], None));
        let files = files.split_off(2);
        assert_eq!(faults(&files), []);
        assert_eq!(entries(&files).last().unwrap().deleted, Some(one.link(&sha256)));
    }
}
