//! A real folder, from which files go while it is read.
#![expect(clippy::disallowed_methods, reason = "a fixture")]

use std::{cell::Cell, path::Path};

use super::*;
use crate::backup::manifest::tests::{key, manifest_of};

const IDS: [&str; 2] =
    ["signer-db-rows-20261121T010000.000Z", "signer-db-rows-20261121T020000.000Z"];

const ENDS: super::super::manifest::Ends = Rows::ENDS;

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// Two files of rows, the one after the other.
fn made(folder: &Path) -> Vec<Manifest<Rows>> {
    let (mut all, mut previous) = (Vec::new(), None);
    for (number, id) in (1..).zip(IDS) {
        let mut manifest = Manifest { number, ..manifest_of::<Rows>(id, previous.take()) };
        let (sha256, bytes) = stream::digest(&b"rows"[..]).unwrap();
        (manifest.archive.sha256, manifest.archive.bytes) = (sha256, bytes);
        previous = Some(manifest.link(&manifest.digest()));
        write(folder, &manifest.archive.file, "rows");
        write(folder, &format!("{id}{}", ENDS.manifest), &sign(&manifest, &key(1)));
        all.push(manifest);
    }
    all
}

/// What is seen when the rules let the first go amid the listing, or right after it.
fn seen(amid: bool, lets_go: bool) -> Vec<Entry<Rows>> {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, looks) = (temporary.path(), Cell::new(0));
    let first = made(folder).remove(0);
    let stone = format!("{}{}", first.id, ENDS.tombstone);
    let go = |name: &str| std::fs::remove_file(folder.join(name)).unwrap();
    let shelf = Shelf::fetched(folder.to_str().unwrap());
    let list = || {
        let mut items = shelf.items()?;
        looks.set(looks.get() + 1);
        if looks.get() == 1 {
            if lets_go {
                let link = first.link(&first.digest());
                let stone_of = Tombstone::<Rows>::new(link, first.number, first.made);
                write(folder, &stone, &sign(&stone_of, &key(1)));
            }
            go(&first.archive.file);
            if amid {
                // It was gone before the listing came to it, and is said to be deleted after that.
                items.retain(|item| item.name != first.archive.file);
            } else {
                go(&format!("{}{}", first.id, ENDS.manifest));
            }
        }
        Ok(items)
    };
    entries_listed(&shelf, list, "signer-db", &key(1).verifying_key(), Bytes::OfSmall).unwrap()
}

#[test]
fn what_the_rules_let_go_meanwhile_is_not_missed() {
    for amid in [true, false] {
        let entries = seen(amid, true);
        assert!(entries.iter().all(|entry| entry.faults.is_empty()), "{entries:?}");
        assert!(entries.iter().map(|entry| entry.id.as_str()).eq(IDS));
        assert!(entries[0].is_deleted() && entries[1].proven().is_some());
    }
}

#[test]
fn what_goes_without_a_word_is_missed() {
    let entries = seen(false, false);
    let before = Fault::NoPrevious(IDS[0].to_owned());
    assert!(entries.len() == 1 && entries[0].faults == [before], "{entries:?}");
    assert_eq!(seen(true, false)[0].faults, [Fault::NoArchive]);
}
