//! Shelves of either kind, and what is done to them.

use super::*;
use crate::backup::{
    manifest::tests::{key, manifest_of},
    rows::Rows,
    statement::sign,
};

const DUMPS: [&str; 3] =
    ["signer-db-20261121T010000Z", "signer-db-20261121T020000Z", "signer-db-20261121T030000Z"];

const ROWS: [&str; 3] = [
    "signer-db-rows-20261121T010000.000Z",
    "signer-db-rows-20261121T020000.000Z",
    "signer-db-rows-20261121T030000.000Z",
];

/// The ids, and three backups, each after the one before it: of each a file and a manifest.
fn shelf<K: Kind + Default>() -> ([&'static str; 3], Vec<File>) {
    let ids = if K::IS_SMALL { ROWS } else { DUMPS };
    (ids, made::<K>(&ids, |_| {}))
}

fn made<K: Kind + Default>(ids: &[&str], alter: impl Fn(&mut Manifest<K>)) -> Vec<File> {
    let (mut files, mut previous) = (Vec::new(), None);
    for (number, id) in (1..).zip(ids) {
        let mut manifest = Manifest { number, ..manifest_of::<K>(id, previous.take()) };
        alter(&mut manifest);
        previous = Some(manifest.link(&manifest.digest()));
        files.push(File {
            name: manifest.archive.file.clone(),
            bytes: 5,
            sha256: Some(manifest.archive.sha256.clone()),
            ..File::default()
        });
        files.push(signed::<K>(id, sign(&manifest, &key(1))));
    }
    files
}

fn signed<K: Kind>(id: &str, text: String) -> File {
    let name = format!("{id}{}", K::ENDS.manifest);
    File { name, bytes: text.len() as u64, text: Some(text), ..File::default() }
}

fn stone<K: Kind + Default>(of: &File, sha256: Option<&str>) -> File {
    let text = of.text.clone().unwrap();
    let (manifest, own) = read::<Manifest<K>>(&text, &key(1).verifying_key()).unwrap();
    let stone: Tombstone<K> =
        Tombstone::new(manifest.link(sha256.unwrap_or(&own)), manifest.number, manifest.made);
    let text = sign(&stone, &key(1));
    let name = format!("{}{}", manifest.id, K::ENDS.tombstone);
    File { name, bytes: text.len() as u64, text: Some(text), ..File::default() }
}

fn entries<K: Kind>(files: &[File]) -> Vec<Entry<K>> {
    read_shelf(files, "signer-db", &key(1).verifying_key())
}

fn faults<K: Kind>(files: &[File]) -> Vec<(String, Vec<Fault>)> {
    let bad = entries::<K>(files).into_iter().filter(|entry| !entry.faults.is_empty());
    bad.map(|entry| (entry.id, entry.faults)).collect()
}

fn both(test: [fn(); 2]) {
    for test in test {
        test();
    }
}

#[test]
fn a_whole_shelf_has_no_faults() {
    fn test<K: Kind + Default>() {
        let (ids, files) = shelf::<K>();
        assert_eq!(faults::<K>(&files), []);
        let entries = entries::<K>(&files);
        assert!(entries.iter().map(|entry| entry.id.as_str()).eq(ids));
        assert!(entries.iter().all(|entry| entry.proven().is_some()));
    }
    both([test::<Database>, test::<Rows>]);
}

#[test]
fn ids_are_of_one_name_and_kind() {
    fn test<K: Kind + Default, Other: Kind>() {
        let (ids, _) = shelf::<K>();
        for end in [K::ENDS.archive, K::ENDS.manifest, K::ENDS.tombstone] {
            let file = format!("{}{end}", ids[0]);
            assert_eq!(id_of::<K>(&file, "signer-db"), Some(ids[0]));
            assert_eq!(name_of::<K>(&file), Some("signer-db"));
            assert_eq!((id_of::<K>(&file, "signer"), name_of::<Other>(&file)), (None, None));
        }
        for none in
            ["x.manifest.json", "-20261121T010000Z.txt", "x.unfinished", "rows.dkg-rows.json", ""]
        {
            assert_eq!(name_of::<K>(none), None, "{none}");
        }
    }
    let at = "2026-11-21T14:30:15.123456Z".parse().unwrap();
    assert_eq!(id::<Rows>("signer-db", at), "signer-db-rows-20261121T143015.123Z");
    assert_eq!(id::<Database>("signer-db", at), "signer-db-20261121T143015Z");
    both([test::<Database, Rows>, test::<Rows, Database>]);
    assert_eq!(name_of::<Database>("ä20261121T010000Z.deleted.json"), None);
    let two = "signer-db-two-20261121T010000Z.manifest.json";
    assert_eq!(
        (id_of::<Database>(two, "signer-db"), name_of::<Database>(two)),
        (None, Some("signer-db-two"))
    );
}

/// The newest is the one that was made last, whatever the clock said then.
#[test]
fn a_clock_that_was_ahead_or_set_back_changes_no_order() {
    fn test<K: Kind + Default>() {
        let (ids, _) = shelf::<K>();
        let files = made::<K>(&[ids[2], ids[0], ids[1]], |manifest| {
            manifest.made = if manifest.number == 1 {
                "2031-01-01T00:00:00Z".parse().unwrap()
            } else {
                "2026-11-20T00:00:00Z".parse().unwrap()
            };
        });
        let entries = entries::<K>(&files);
        assert_eq!(faults::<K>(&files), []);
        assert!(entries.iter().map(|entry| entry.id.as_str()).eq([ids[2], ids[0], ids[1]]));
    }
    both([test::<Database>, test::<Rows>]);
}

#[test]
fn what_nothing_is_known_of_is_not_known() {
    fn test<K: Kind + Default>() {
        let known = |files: &[File], seed| {
            let entries = read_shelf::<K>(files, "signer-db", &key(seed).verifying_key());
            entries.iter().filter(|entry| entry.known().is_some()).count()
        };
        let (_, mut files) = shelf::<K>();
        assert_eq!((known(&files, 1), known(&files, 2)), (3, 0));
        files[1].text = Some(String::new());
        files.remove(5);
        assert_eq!(known(&files, 1), 1);
    }
    both([test::<Database>, test::<Rows>]);
}

#[test]
fn what_was_done_to_manifests_shows() {
    fn test<K: Kind + Default>() {
        let (ids, whole) = shelf::<K>();
        let no_previous = (ids[2].to_owned(), vec![Fault::NoPrevious(ids[1].to_owned())]);
        let mut files = whole.clone();
        files.remove(3);
        let gone = (ids[1].to_owned(), vec![Fault::NoManifest]);
        assert_eq!(faults::<K>(&files), [no_previous.clone(), gone]);

        // In another's place.
        let mut files = whole.clone();
        files[3].text = whole[1].text.clone();
        let other = (ids[1].to_owned(), vec![Fault::Other(ids[0].to_owned())]);
        assert_eq!(faults::<K>(&files), [no_previous, other]);

        // Made anew, by whoever has the key.
        let mut files = whole.clone();
        let mut anew = manifest_of::<K>(ids[0], None);
        anew.archive.plain = 8;
        files[1] = signed::<K>(ids[0], sign(&anew, &key(1)));
        let expected = (ids[1].to_owned(), vec![Fault::OtherPrevious(ids[0].to_owned())]);
        assert_eq!(faults::<K>(&files), [expected]);

        // Of a file that lies elsewhere: no reader is led out of the folder.
        let mut files = whole.clone();
        anew.archive.file = "../host-key".into();
        files[1] = signed::<K>(ids[0], sign(&anew, &key(1)));
        let found = faults::<K>(&files);
        assert!(found.contains(&(ids[0].to_owned(), vec![Fault::OtherFile("../host-key".into())])));

        // The folder was put back to what it was before the third, which was fetched, and another third was made.
        let mut files = whole.clone();
        let (second, sha256) =
            read::<Manifest<K>>(whole[3].text.as_ref().unwrap(), &key(1).verifying_key()).unwrap();
        let id = ids[2].replace("T03", "T04");
        let anew = Manifest { number: 3, ..manifest_of::<K>(&id, Some(second.link(&sha256))) };
        files.push(File { name: anew.archive.file.clone(), bytes: 5, ..File::default() });
        files.push(signed::<K>(&id, sign(&anew, &key(1))));
        let same = |other: &str| vec![Fault::SameNumber { other: other.to_owned(), number: 3 }];
        assert_eq!(
            faults::<K>(&files),
            [(ids[2].to_owned(), same(&id)), (id.clone(), same(ids[2]))]
        );
    }
    both([test::<Database>, test::<Rows>]);
}

#[test]
fn what_was_done_to_files_shows_and_proves_nothing() {
    fn test<K: Kind + Default>() {
        let (ids, mut files) = shelf::<K>();
        files[4].bytes = 4;
        files[2].sha256 = Some("11".repeat(32));
        files.remove(0);
        let expected = [
            (ids[0].to_owned(), vec![Fault::NoArchive]),
            (ids[1].to_owned(), vec![Fault::Bytes]),
            (ids[2].to_owned(), vec![Fault::Size { found: 4, said: 5 }]),
        ];
        assert_eq!(faults::<K>(&files), expected);
        assert!(entries::<K>(&files).iter().all(|entry| entry.proven().is_none()));
    }
    both([test::<Database>, test::<Rows>]);
}

/// A bad sector, or a mode: nothing of it counts, all else does, and of what nothing is known nothing may go.
#[test]
fn what_cannot_be_read_is_a_loss_of_its_own() {
    fn test<K: Kind + Default>() {
        let why = || "cannot read it".to_owned();
        let (ids, whole) = shelf::<K>();
        let mut files = whole.clone();
        (files[2].sha256, files[2].unreadable) = (None, Some(why()));
        assert_eq!(faults::<K>(&files), [(ids[1].to_owned(), vec![Fault::Unreadable(why())])]);
        let proven = |entry: &Entry<K>| entry.proven().is_some();
        assert!(entries::<K>(&files).iter().map(proven).eq([true, false, true]));

        let mut files = whole.clone();
        (files[3].text, files[3].unreadable) = (None, Some(why()));
        let unknown = Fault::UnreadableWord(why());
        assert!(unknown.is_unclear());
        let no_previous = vec![Fault::NoPrevious(ids[1].to_owned())];
        let expected = [(ids[2].to_owned(), no_previous), (ids[1].to_owned(), vec![unknown])];
        assert_eq!(faults::<K>(&files), expected);
    }
    both([test::<Database>, test::<Rows>]);
}

/// A later manifest says that the bytes had rotted; one after it, that they are as they were again.
#[test]
fn what_was_read_again_shows_until_it_is_mended() {
    let word = |number: u64, good: bool| {
        made::<Database>(&DUMPS, move |manifest| {
            manifest.archive.sha256 = "22".repeat(32);
            if manifest.number == 2 || manifest.number == number {
                let good = manifest.number != 2 && good;
                manifest.read_again.insert(DUMPS[0].to_owned(), good);
            }
        })
    };
    // What was not read now.
    let faults = |files: Vec<File>| {
        let unread: Vec<_> =
            files.iter().map(|file| File { sha256: None, ..file.clone() }).collect();
        assert_eq!(faults::<Database>(&files), [], "what is read now counts more");
        faults::<Database>(&unread)
    };
    let rotten = [(DUMPS[0].to_owned(), vec![Fault::Bytes])];
    assert_eq!(faults(word(2, false)), rotten);
    assert_eq!(faults(word(3, false)), rotten);
    assert_eq!(faults(word(3, true)), []);
}

#[test]
fn what_was_deleted_by_the_rules_is_not_missed() {
    fn test<K: Kind + Default>() {
        let (ids, mut files) = shelf::<K>();
        files.push(stone::<K>(&files[1], None));
        // Killed amid it: the file is still there, and does not count.
        assert_eq!((faults::<K>(&files), entries::<K>(&files)[0].known()), (vec![], None));
        files.remove(0);
        assert_eq!(faults::<K>(&files), []);
        // The statement stands for the manifest, and keeps its number.
        files.remove(0);
        assert_eq!(faults::<K>(&files), []);
        assert_eq!(
            (entries::<K>(&files)[0].id.as_str(), entries::<K>(&files)[0].number()),
            (ids[0], Some(1))
        );

        let (_, mut files) = shelf::<K>();
        let other = "00".repeat(32);
        files.push(stone::<K>(&files[1], Some(&other)));
        files.remove(0);
        assert_eq!(faults::<K>(&files), [(ids[0].to_owned(), vec![Fault::NoArchive])]);
    }
    both([test::<Database>, test::<Rows>]);
}
