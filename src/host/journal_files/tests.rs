use std::{cell::Cell, hash::Hasher as _};

use proptest::prelude::*;
use siphasher::sip::SipHasher24;

use super::*;

const FILE_ID: [u8; 16] = *b"0123456789abcdef";
const TABLE: usize = 280;
const BUCKETS: usize = 4;

/// Bytes that count how often they are read.
#[derive(Debug)]
struct Counted(Vec<u8>, Cell<u64>);

impl Source for Counted {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.set(self.1.get() + 1);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let count = buffer.len().min(self.0.len() - from);
        buffer[..count].copy_from_slice(&self.0[from..from + count]);
        Ok(count)
    }
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// Adds an object of this kind and size, and says where it is.
fn object(bytes: &mut Vec<u8>, kind: u8, size: usize) -> usize {
    let at = bytes.len();
    bytes.resize(at + size.next_multiple_of(8), 0);
    bytes[at] = kind;
    put(bytes, at + 8, size as u64);
    at
}

/// Adds a list of these places, two to the first array and to each other twice as many as to the one before, and says where
/// its first and its last array are, and how many are in the last; 0 where there is none.
fn array(bytes: &mut Vec<u8>, mut places: &[usize], compact: bool) -> (u64, usize, usize) {
    let (mut first, mut link, mut room, mut held) = (0, 0, 2, 0);
    while !places.is_empty() {
        let each = if compact { 4 } else { 8 };
        let at = object(bytes, 6, 24 + room * each);
        let (here, rest) = places.split_at(room.min(places.len()));
        (places, held, room) = (rest, here.len(), room * 2);
        for (index, place) in here.iter().enumerate() {
            let item = at + 24 + index * each;
            if compact {
                let place = u32::try_from(*place).unwrap();
                bytes[item..item + 4].copy_from_slice(&place.to_le_bytes());
            } else {
                put(bytes, item, *place as u64);
            }
        }
        if link == 0 {
            first = at;
        } else {
            put(bytes, link, at as u64);
        }
        link = at + 16;
    }
    (first as u64, link.saturating_sub(16), held)
}

/// Writes a journal file: a small hash table, so that values share their places; arrays of two and more, so that there are many.
fn journal(entries: &[(u64, &[&str])], compact: bool) -> Vec<u8> {
    let mut bytes = vec![0; TABLE + BUCKETS * 16];
    let head = if compact { 72 } else { 64 };
    let mut data: Vec<(&str, usize, Vec<usize>)> = Vec::new();
    let mut all = Vec::new();
    for (time, fields) in entries {
        let mut items = Vec::new();
        for field in *fields {
            let known = data.iter().position(|(text, ..)| text == field).unwrap_or_else(|| {
                let at = object(&mut bytes, 1, head + field.len());
                let mut hasher = SipHasher24::new_with_key(&FILE_ID);
                hasher.write(field.as_bytes());
                let hash = hasher.finish();
                put(&mut bytes, at + 16, hash);
                bytes[at + head..at + head + field.len()].copy_from_slice(field.as_bytes());
                // The chain of its bucket.
                let bucket = TABLE + usize::try_from(hash % BUCKETS as u64).unwrap() * 16;
                let mut link = bucket;
                loop {
                    let next = u64::from_le_bytes(bytes[link..link + 8].try_into().unwrap());
                    if next == 0 {
                        break;
                    }
                    link = usize::try_from(next).unwrap() + 24;
                }
                put(&mut bytes, link, at as u64);
                data.push((field, at, Vec::new()));
                data.len() - 1
            });
            items.push(known);
        }
        let each = if compact { 4 } else { 16 };
        let at = object(&mut bytes, 3, 64 + items.len() * each);
        put(&mut bytes, at + 24, *time);
        for (index, known) in items.into_iter().enumerate() {
            let item = at + 64 + index * each;
            let offset = data[known].1;
            if compact {
                let offset = u32::try_from(offset).unwrap();
                bytes[item..item + 4].copy_from_slice(&offset.to_le_bytes());
            } else {
                put(&mut bytes, item, offset as u64);
            }
            data[known].2.push(at);
        }
        all.push(at);
    }
    for (_, at, places) in data {
        put(&mut bytes, at + 40, places[0] as u64);
        let (first, last, held) = array(&mut bytes, &places[1..], compact);
        put(&mut bytes, at + 48, first);
        put(&mut bytes, at + 56, places.len() as u64);
        if compact && last > 0 {
            put(&mut bytes, at + 64, last as u64 | (held as u64) << 32);
        }
    }
    let (root, ..) = array(&mut bytes, &all, compact);
    bytes[..8].copy_from_slice(b"LPKSHHRH");
    bytes[12] = if compact { 4 | 16 } else { 4 };
    bytes[16] = 2;
    bytes[24..40].copy_from_slice(&FILE_ID);
    let size = bytes.len();
    for (at, number) in [
        (88, 272),
        (96, size as u64 - 272),
        (104, TABLE as u64),
        (112, BUCKETS as u64 * 16),
        (152, entries.len() as u64),
        (168, 1),
        (176, root),
        (184, entries.first().map_or(0, |entry| entry.0)),
        (192, entries.last().map_or(0, |entry| entry.0)),
    ] {
        put(&mut bytes, at, number);
    }
    bytes
}

fn open(bytes: Vec<u8>) -> Result<JournalFile<Counted>, Fault> {
    let size = bytes.len() as u64;
    JournalFile::open(Counted(bytes, Cell::new(0)), size)
}

const A: &str = "_SYSTEMD_UNIT=a.service";
const B: &str = "_SYSTEMD_UNIT=b.service";

fn sample(compact: bool) -> Vec<u8> {
    journal(
        &[
            (100, &[A, "MESSAGE=one", "PRIORITY=6"]),
            (200, &[B, "MESSAGE=two", "PRIORITY=6"]),
            (300, &[A, "MESSAGE=three", "N_DROPPED=7"]),
            (400, &[A, "MESSAGE=four"]),
            (500, &[A, "MESSAGE=five"]),
            (600, &["MESSAGE=six"]),
        ],
        compact,
    )
}

#[test]
fn lists_give_times_and_fields() {
    for compact in [false, true] {
        let file = open(sample(compact)).unwrap();
        assert_eq!((file.header.head, file.header.tail, file.header.entries), (100, 600, 6));
        let times = |entries: &Entries| {
            (0..entries.len()).map(|index| file.time(entries, index).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(times(&file.all()), [100, 200, 300, 400, 500, 600]);
        let of_a = file.with(A).unwrap();
        assert_eq!(times(&of_a), [100, 300, 400, 500]);
        assert_eq!(times(&file.with(B).unwrap()), [200]);
        assert!(file.with("_SYSTEMD_UNIT=c.service").unwrap().is_empty());
        assert!(file.with(&"x".repeat(600)).unwrap().is_empty());
        assert_eq!(file.fields(&of_a, 1).unwrap(), [A, "MESSAGE=three", "N_DROPPED=7"]);
        assert!(file.time(&of_a, 4).is_err(), "beyond the last");
        // What entries weigh adds up to all entries and values, but for what is lost in dividing.
        let all = file.all();
        let total: u64 = (0..6).map(|index| file.weight(&all, index).unwrap()).sum();
        let objects: u64 = if compact { 6 * 64 + 13 * 4 } else { 6 * 64 + 13 * 16 };
        assert!(total > objects, "{total} {objects}");
    }
}

/// A compact file says where the last entry of a value is: what lies between is not read for it.
#[test]
fn the_last_entry_is_found_without_those_before_it() {
    let units: Vec<(u64, &[&str])> = (1..4001).map(|at| (at, &[A] as &[&str])).collect();
    let reads = |compact: bool, bytes: Vec<u8>| {
        let file = open(bytes).unwrap();
        let entries = file.with(A).unwrap();
        assert_eq!(
            (entries.len(), file.time(&entries, 3999)),
            (4000, Ok(4000)),
            "compact: {compact}"
        );
        assert_eq!(file.time(&entries, 0), Ok(1));
        file.source_reads()
    };
    let units = |compact| journal(&units, compact);
    let (short, long) = (reads(true, units(true)), reads(false, units(false)));
    assert!(short < long, "{short} {long}");
    // Where it says nonsense of that, its whole list is gone through.
    let mut bytes = units(true);
    let data = bytes.windows(A.len()).position(|text| text == A.as_bytes()).unwrap() - 72;
    put(&mut bytes, data + 64, u64::MAX);
    reads(true, bytes);
}

#[test]
fn heads_that_contradict_themselves_are_told_apart() {
    let fault = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sample(false);
        change(&mut bytes);
        open(bytes).map(|_| ()).unwrap_err()
    };
    assert_eq!(fault(&|bytes| bytes.clear()), Fault::NotAJournal);
    assert_eq!(fault(&|bytes| bytes[0] = b'X'), Fault::NotAJournal);
    assert_eq!(fault(&|bytes| bytes.truncate(100)), Fault::Cut);
    assert_eq!(fault(&|bytes| bytes.truncate(400)), Fault::Cut);
    assert!(matches!(fault(&|bytes| bytes[13] = 1), Fault::Unknown(_)));
    assert!(matches!(fault(&|bytes| bytes[96..104].fill(0xff)), Fault::Damaged(_) | Fault::Cut));
    assert!(matches!(fault(&|bytes| bytes[89] = 0), Fault::Damaged(_)));
    assert!(matches!(fault(&|bytes| bytes[176..184].fill(0x7f)), Fault::Damaged(_)));
    assert!(matches!(fault(&|bytes| bytes[184..192].fill(0)), Fault::Damaged(_)));
}

#[test]
fn a_file_hashed_as_long_ago_is_unknown_and_its_times_are_not() {
    let mut bytes = sample(false);
    bytes[12] = 0;
    let file = open(bytes).unwrap();
    assert!(matches!(file.with(A), Err(Fault::Unknown(_))));
    assert_eq!(file.time(&file.all(), 0), Ok(100));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test lays out the files it looks into")]
fn many_files_are_looked_into_in_their_order() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..MANY * 2 + 3 {
        let bytes = journal(&[(1 + number as u64, &[A])], true);
        fs::write(root.path().join(format!("{number:03}.journal")), bytes).unwrap();
    }
    fs::write(root.path().join("010.journal"), "LPKSHHRHx").unwrap();
    let files = Files::below(root.path());
    let found = files.journals("/").unwrap();
    assert_eq!(found.len(), MANY * 2 + 3);
    fs::remove_file(root.path().join("007.journal")).unwrap();
    let read = files.look_into(&found, |found, file| Ok((found.name.clone(), file.header.head)));
    for (number, read) in read.into_iter().enumerate() {
        let expected = match number {
            7 => Ok(None),
            10 => Err(Fault::Cut),
            _ => Ok(Some((format!("{number:03}.journal"), 1 + number as u64))),
        };
        assert_eq!(read, expected);
    }
}

proptest! {
    /// Whatever is in a file, it is read to an end, with a bounded number of reads and no panic.
    #[test]
    fn no_file_is_read_for_ever(
        compact: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
        numbers in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..3000), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample(compact);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for (at, number) in numbers {
            let at = at.index(bytes.len() / 8) * 8;
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let signed = bytes.len().min(8);
        bytes[..signed].copy_from_slice(&b"LPKSHHRH"[..signed]);
        let size = bytes.len() as u64;
        if let Ok(file) = open(bytes) {
            for entries in [Ok(file.all()), file.with(A), file.with(B)].into_iter().flatten() {
                for index in [0, 1, entries.len() / 2, entries.len().wrapping_sub(1)] {
                    drop((file.time(&entries, index), file.fields(&entries, index), file.weight(&entries, index)));
                }
            }
            // Each list leads forward through objects of 16 bytes at least.
            prop_assert!(file.source_reads() <= 3 * (size / 4) + 12 * 3 * 1024);
        }
    }
}

impl JournalFile<Counted> {
    fn source_reads(&self) -> u64 {
        self.source().1.get()
    }
}
