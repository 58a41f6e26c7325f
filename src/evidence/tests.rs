//! The log on a disk of its own: what is appended, what a cut-off write leaves, and that no edit goes unnoticed.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::{
    Appended, Digest, Entry, Head, Log, Scan,
    anchor::Anchor,
    judge::{self, Problem},
    record::kind,
    scan::Tail,
};

pub(super) fn now() -> Timestamp {
    "2026-11-21T07:00:00Z".parse().unwrap()
}

pub(super) fn entry(subject: &str) -> Entry {
    Entry { kind: "test", subject: subject.to_owned(), payload: json!({ "what": subject }) }
}

/// A log of so many records, its bytes, and the anchor of the newest.
pub(super) fn log_of(count: usize) -> (tempfile::TempDir, Log, Vec<u8>, Vec<Anchor>) {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::below(dir.path());
    let mut anchors = Vec::new();
    for n in 1..=count {
        let head = log.record(now(), |_| Ok(vec![entry(&n.to_string())])).unwrap().head.unwrap();
        anchors = vec![anchor(head)];
    }
    let bytes = bytes_of(&log);
    (dir, log, bytes, anchors)
}

pub(super) fn anchor(Head { sequence, digest }: Head) -> Anchor {
    Anchor { sequence, digest, at: now() }
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(super) fn bytes_of(log: &Log) -> Vec<u8> {
    fs::read(log.path()).unwrap_or_default()
}

pub(super) fn put(path: &Path, bytes: &[u8]) {
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// What is wrong with these bytes, given what the journal saw.
fn problems(bytes: &[u8], anchors: &[Anchor]) -> Vec<Problem> {
    judge::all(Some(&Scan::of(bytes).unwrap()), &Ok(anchors.to_vec()), &BTreeMap::new())
}

pub(super) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn records_follow_from_each_other() {
    let (_dir, _, bytes, anchors) = log_of(3);
    let records: Vec<serde_json::Value> =
        lines(&bytes).iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(records[0]["previous"], "0".repeat(64));
    for (n, pair) in lines(&bytes).windows(2).enumerate() {
        assert_eq!(records[n + 1]["sequence"], n + 2);
        // as sha256sum of the line without its end has it
        let line = pair[0].strip_suffix(b"\n").unwrap();
        assert_eq!(records[n + 1]["previous"], Digest::of(line).to_string());
    }
    assert_eq!(problems(&bytes, &anchors), []);
}

#[test]
fn a_digest_is_that_of_sha256sum() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of(b"abc").to_string(), abc);
    assert_eq!(abc.parse::<Digest>().unwrap(), Digest::of(b"abc"));
    for bad in ["", "ab", &abc.to_uppercase(), &format!("{}g", &abc[1..])] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}

#[test]
fn what_was_done_to_a_log_is_named() {
    let (_dir, _, bytes, anchors) = log_of(6);
    let edited = |edit: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines(&bytes);
        edit(&mut lines);
        problems(&lines.concat(), &anchors)
    };
    let at = now();
    assert_eq!(
        edited(&|lines| drop(lines.remove(2))),
        [Problem::Removed { line: 3, sequence: 3, last: 3 }]
    );
    assert_eq!(
        edited(&|lines| drop(lines.drain(1..4))),
        [Problem::Removed { line: 2, sequence: 2, last: 4 }]
    );
    assert_eq!(
        edited(&|lines| drop(lines.remove(0))),
        [Problem::Removed { line: 1, sequence: 1, last: 1 }]
    );
    assert_eq!(edited(&|lines| lines.swap(2, 3)), [Problem::Reordered { line: 4, sequence: 3 }]);
    assert_eq!(
        edited(&|lines| lines.insert(3, lines[1].clone())),
        [Problem::Duplicated { line: 4, sequence: 2 }]
    );
    let altered = |lines: &mut Vec<Vec<u8>>, n: usize| {
        let text = String::from_utf8(lines[n].clone()).unwrap();
        lines[n] = text.replace("\"what\":", "\"that\":").into_bytes();
    };
    assert_eq!(edited(&|lines| altered(lines, 2)), [Problem::Altered { line: 3, sequence: 3 }]);
    // nothing follows from the newest: only the journal knows
    assert_eq!(edited(&|lines| altered(lines, 5)), [Problem::Replaced { sequence: 6, seen: at }]);
    assert_eq!(
        edited(&|lines| lines.truncate(4)),
        [Problem::Shorter { sequence: 6, seen: at, last: 4 }]
    );
    assert_eq!(edited(&|lines| lines[2] = b"?\n".to_vec()), [Problem::Unreadable { line: 3 }]);
    let gone = edited(&|lines| lines.clear());
    assert_eq!(gone, [Problem::Missing, Problem::Shorter { sequence: 6, seen: at, last: 0 }]);
    assert_eq!(judge::all(None, &Ok(anchors.clone()), &BTreeMap::new()), gone);
    // a consistent one in its place, shorter and as long
    let (_dir, other, ..) = log_of(1);
    let longer: Vec<Entry> = (0..5).map(|n| entry(&format!("other {n}"))).collect();
    let shorter = bytes_of(&other);
    let seen = [Problem::Shorter { sequence: 6, seen: at, last: 1 }];
    assert_eq!(problems(&shorter, &anchors), seen);
    other.record(now(), |_| Ok(longer.clone())).unwrap();
    let seen = [Problem::Replaced { sequence: 6, seen: at }];
    assert_eq!(problems(&bytes_of(&other), &anchors), seen);
}

#[test]
fn what_cannot_be_known_is_no_pass() {
    let (_dir, log, bytes, anchors) = log_of(2);
    let scan = Scan::of(&bytes[..]).unwrap();
    let none = problems(&bytes, &[]);
    assert_eq!(none, [Problem::NotAnchored { sequence: 1, last: 2 }]);
    let silent = judge::all(Some(&scan), &Err("no journalctl".into()), &BTreeMap::new());
    assert_eq!(silent, [Problem::NoJournal { why: "no journalctl".into() }]);
    log.record(now(), |_| Ok(vec![entry("later")])).unwrap();
    let later = problems(&bytes_of(&log), &anchors);
    assert_eq!(later, [Problem::NotAnchored { sequence: 3, last: 3 }]);
    let newer = String::from_utf8(bytes).unwrap().replacen("\"format\":1", "\"format\":2", 1);
    let newer = judge::chain(&Scan::of(newer.as_bytes()).unwrap());
    assert!(newer.contains(&Problem::Newer { line: 1, sequence: 1, format: 2 }), "{newer:?}");
    for problem in [none, silent, later].concat() {
        assert!(problem.is_unknown(), "{problem}");
    }
    // nothing was ever recorded, and the journal knows of nothing
    assert_eq!(judge::all(None, &Ok(Vec::new()), &BTreeMap::new()), []);
}

#[test]
fn a_write_that_was_cut_off_is_mended_and_told() {
    let (_dir, log, whole, _) = log_of(3);
    let last = lines(&whole)[2].len();
    // at each byte of the last line: nothing of it, a part, all but its end
    for cut in 0..last {
        let left = &whole[..whole.len() - last + cut];
        put(&log.path(), left);
        let head = log.record(now(), |scan| {
            assert_eq!(scan.tail == Tail::Whole, cut == 0);
            Ok(vec![entry("next")])
        });
        let mended = bytes_of(&log);
        assert_eq!(&mended[..left.len()], left, "what is there is never touched");
        assert_eq!(problems(&mended, &[anchor(head.unwrap().head.unwrap())]), [], "cut at {cut}");
        let records = log.newest(usize::MAX).unwrap();
        let kinds: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
        if cut == 0 {
            assert_eq!(kinds, ["test", "test", "test"]);
        } else if cut == last - 1 {
            // Nothing of the record was lost, only the end of its line.
            assert_eq!(kinds, ["test", "test", "test", "test"]);
            assert_eq!(records[2].subject, "3");
        } else {
            assert_eq!(kinds, ["test", "test", kind::MENDED, "test"]);
            assert_eq!(records[2].payload["bytes"], cut + 1);
            let torn = [&left[left.len() - cut..], b"\n"].concat();
            assert_eq!(records[2].payload["sha256"], Digest::of(&torn).to_string());
        }
    }
}

#[test]
fn a_mending_can_be_cut_off_too() {
    let (_dir, log, whole, _) = log_of(2);
    put(&log.path(), &whole[..whole.len() - 20]);
    log.record(now(), |_| Ok(vec![entry("next")])).unwrap();
    let mended = bytes_of(&log);
    for cut in whole.len() - 20..mended.len() {
        put(&log.path(), &mended[..cut]);
        let head = log.record(now(), |_| Ok(vec![entry("again")])).unwrap().head.unwrap();
        let bytes = bytes_of(&log);
        assert_eq!(problems(&bytes, &[anchor(head)]), [], "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.starts_with(&mended[..cut]));
        let records = log.newest(usize::MAX).unwrap();
        assert!(records.iter().any(|record| record.kind == kind::MENDED));
        assert_eq!(records.last().unwrap().subject, "again");
    }
}

#[test]
fn what_is_said_to_be_torn_has_to_be_there() {
    let (_dir, log, whole, _) = log_of(2);
    put(&log.path(), &whole[..whole.len() - 20]);
    let head = log.record(now(), |_| Ok(vec![entry("next")])).unwrap().head.unwrap();
    let all = lines(&bytes_of(&log));
    let anchors = [anchor(head)];
    assert_eq!(problems(&all.concat(), &anchors), []);
    let without = [&all[..1], &all[2..]].concat().concat();
    assert_eq!(problems(&without, &anchors), [Problem::MendsNothing { line: 2, sequence: 2 }]);
    let mut other = all;
    other[1][5] ^= 1;
    let found = problems(&other.concat(), &anchors);
    assert!(found.contains(&Problem::Unreadable { line: 2 }), "{found:?}");
}

#[test]
fn an_overlong_line_is_no_record_and_takes_no_memory() {
    let (_dir, _, whole, anchors) = log_of(2);
    let all = lines(&whole);
    let long = [vec![b'x'; 3 << 20], b"\n".to_vec()].concat();
    let found = problems(&[all[0].clone(), long, all[1].clone()].concat(), &anchors);
    assert_eq!(found, [Problem::Unreadable { line: 2 }]);
}

#[test]
fn what_is_no_file_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::below(dir.path());
    fs::create_dir(dir.path().join("evidence")).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    put(&elsewhere, b"");
    std::os::unix::fs::symlink(&elsewhere, log.path()).unwrap();
    let error = log.record(now(), |_| Ok(vec![entry("1")])).unwrap_err();
    assert!(error.to_string().starts_with("cannot append to"), "{error}");
    assert!(error.is_of_writing());
    assert_eq!(fs::metadata(&elsewhere).unwrap().len(), 0);
    // and where there is nothing to record nothing is made
    let other = Log::below(dir.path().join("other"));
    assert_eq!(other.record(now(), |_| Ok(Vec::new())).unwrap(), Appended::default());
    assert!(!dir.path().join("other").exists());
}

#[test]
fn several_at_once_lose_nothing() {
    let (_dir, log, ..) = log_of(1);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0..10 {
                    log.record(now(), |_| Ok(vec![entry(&format!("{thread} {n}"))])).unwrap();
                }
            });
        }
    });
    let scan = log.scan().unwrap().unwrap();
    assert_eq!(judge::chain(&scan), []);
    assert_eq!(scan.head.unwrap().sequence, 41);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Whatever single byte is changed, put in or taken out, it shows.
    #[test]
    fn no_edit_of_a_byte_goes_unnoticed(at in any::<prop::sample::Index>(), to in any::<u8>(), how in 0..3) {
        let (whole, anchors) = sample();
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = to,
            1 => bytes.insert(at, to),
            _ => drop(bytes.remove(at)),
        }
        prop_assume!(bytes != *whole);
        let found = problems(&bytes, anchors);
        prop_assert!(!found.is_empty(), "byte {at}: {}", String::from_utf8_lossy(&bytes));
        for problem in found {
            prop_assert!(!problem.to_string().is_empty());
        }
    }

    /// Nor does any edit of whole lines.
    #[test]
    fn no_edit_of_lines_goes_unnoticed(order in prop::collection::vec(0..9_usize, 0..12)) {
        let (whole, anchors) = sample();
        let all = lines(whole);
        let bytes: Vec<u8> = order.iter().filter_map(|n| all.get(*n)).flatten().copied().collect();
        prop_assume!(bytes != *whole);
        prop_assert!(!problems(&bytes, anchors).is_empty());
    }

    /// Whatever bytes stand there, reading and judging them ends, and appending goes on behind them.
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..400_usize) {
        let (whole, _) = sample();
        let bytes = [&whole[..cut.min(whole.len())], &bytes].concat();
        let dir = tempfile::tempdir().unwrap();
        let log = Log::below(dir.path());
        fs::create_dir(dir.path().join("evidence")).unwrap();
        put(&log.path(), &bytes);
        let before = problems(&bytes, &[]);
        log.record(now(), |_| Ok(vec![entry("next")])).unwrap().head.unwrap();
        let after = bytes_of(&log);
        prop_assert!(after.starts_with(&bytes));
        let records = log.newest(usize::MAX).unwrap();
        prop_assert_eq!(&records.last().unwrap().subject, "next");
        drop(before);
    }
}

/// A log with a write in it that was cut off, and the anchor of its newest record.
fn sample() -> &'static (Vec<u8>, Vec<Anchor>) {
    static SAMPLE: std::sync::OnceLock<(Vec<u8>, Vec<Anchor>)> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (_dir, log, whole, _) = log_of(4);
        put(&log.path(), &whole[..whole.len() - 25]);
        let last = vec![entry("5"), entry("6")];
        let head = log.record(now(), |_| Ok(last.clone())).unwrap().head.unwrap();
        let sample = bytes_of(&log);
        assert_eq!(problems(&sample, &[anchor(head)]), []);
        (sample, vec![anchor(head)])
    })
}
