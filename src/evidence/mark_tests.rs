//! What is remembered of a log that was found whole, and what happens to its file: replaced, exposed, filled with what is
//! no record.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Log, check,
    entries_tests::begun,
    judge::{self, Problem},
    record::kind,
    tests::{bytes_of, entry, lines, log_of, now, put},
};
use crate::engine::{check::Verdict, store::Store};

fn later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

/// Writes it in place until the kernel's clock has ticked and the file's times tell.
fn edit(path: &Path, bytes: &[u8]) {
    let changed = || {
        let meta = fs::metadata(path).unwrap();
        (meta.ctime(), meta.ctime_nsec())
    };
    let before = changed();
    while changed() == before {
        put(path, bytes);
    }
}

/// Whether a look reads all of it, and what it finds.
fn looked(log: &Log, at: Timestamp) -> (bool, Vec<Problem>) {
    let scan = log.look(at).unwrap();
    (scan.before.is_none(), judge::by_itself(&scan))
}

#[test]
fn what_has_not_changed_is_not_read() {
    let (dir, log, bytes, _) = log_of(3);
    let scan = log.look(now()).unwrap();
    assert_eq!((scan.lines.len(), scan.count()), (0, 3));
    assert_eq!(check::judge(&scan).verdict, Verdict::Holds { observed: "3 records, whole".into() });
    // an append needs no more, and is followed from
    log.record(now(), |scan| {
        assert_eq!((scan.lines.len(), scan.head.unwrap().sequence), (0, 3));
        Ok(vec![entry("4"), entry("5")])
    })
    .unwrap();
    let scan = log.look(now()).unwrap();
    assert_eq!((scan.lines.len(), scan.count()), (0, 5));
    assert_eq!(judge::chain(&log.scan().unwrap().unwrap()), []);
    // once a day everything is read, and when the clock was set back
    assert_eq!(looked(&log, later(23)), (false, vec![]));
    assert_eq!(looked(&log, later(25)), (true, vec![]));
    assert_eq!(looked(&log, later(-1)), (true, vec![]));
    log.record(later(25), |_| Ok(Vec::new())).unwrap();
    assert_eq!(looked(&log, later(26)), (false, vec![]));
    // and when nothing is remembered, or nothing that can be read
    for lost in [&b""[..], b"{\"file\":1}", b"\0\0\0"] {
        put(&dir.path().join("evidence.json"), lost);
        assert_eq!(looked(&log, later(26)), (true, vec![]));
    }
    assert!(bytes_of(&log).starts_with(&bytes));
}

#[test]
fn what_was_changed_since_is_found_by_the_next_look() {
    let (_dir, log, bytes, _) = log_of(4);
    let mut altered = bytes.clone();
    let at = lines(&bytes)[0].len() + 60;
    altered[at] = if altered[at] == b'1' { b'2' } else { b'1' };
    edit(&log.path(), &altered);
    for _ in 0..2 {
        let (is_read, found) = looked(&log, now());
        assert!(is_read && !found.is_empty(), "{found:?}");
        log.record(now(), |_| Ok(vec![entry("more")])).unwrap();
    }
    // in the last line, even between two ticks
    let (_dir, log, bytes, _) = log_of(4);
    let mut altered = bytes.clone();
    let end = altered.len() - 20;
    altered[end] ^= 1;
    put(&log.path(), &altered);
    assert!(!looked(&log, now()).1.is_empty());
    // put back, it is whole again, with what came after
    put(&log.path(), &bytes);
    assert_eq!(looked(&log, now()).1, []);
}

#[test]
fn another_log_in_its_place_is_not_taken_for_it_by_what_comes_later() {
    let (dir, log, bytes, _) = log_of(3);
    let (_other_dir, other, ..) = log_of(1);
    let more = vec![entry("a"), entry("b"), entry("c")];
    other.record(now(), |_| Ok(more.clone())).unwrap();
    let aside = dir.path().join("aside");
    put(&aside, &bytes_of(&other));
    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fs::rename(&aside, log.path()).unwrap();
    for _ in 0..3 {
        let found = looked(&log, now()).1;
        assert!(matches!(found[..], [Problem::Replaced { sequence: 3, .. }]), "{found:?}");
        log.record(now(), |_| Ok(vec![entry("later")])).unwrap();
    }
    // as is none at all
    fs::remove_dir_all(dir.path().join("evidence")).unwrap();
    let found = looked(&log, now()).1;
    assert!(matches!(found[..], [Problem::Shorter { sequence: 3, last: 0, .. }]), "{found:?}");
    fs::create_dir(dir.path().join("evidence")).unwrap();
    put(&log.path(), &bytes);
    fs::set_permissions(log.path(), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(looked(&log, now()), (true, vec![]));
}

#[test]
fn a_log_that_others_may_write_is_a_finding() {
    let (_dir, log, ..) = log_of(2);
    fs::set_permissions(log.path(), Permissions::from_mode(0o620)).unwrap();
    let judged = check::judge(&log.look(now()).unwrap()).verdict;
    let Verdict::Differs { observed } = judged else { panic!("{judged:?}") };
    assert!(observed.contains("with mode 0620"), "{observed}");
    // and keeps nobody from recording
    assert_eq!(log.record(now(), |_| Ok(vec![entry("3")])).unwrap().records, 1);
}

#[test]
fn a_record_is_never_longer_than_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::below(dir.path());
    let long = "é".repeat(1 << 20);
    let many: Vec<u32> = (0..100_000).collect();
    let table: serde_json::Map<_, _> =
        (0..100_000).map(|n| (format!("{n:06}"), json!({ "a": [1, 2, 3] }))).collect();
    let wide: Vec<_> = (0..32).map(|_| json!(vec!["x".repeat(250); 32])).collect();
    for payload in [
        json!({ "why": long, "outcome": "failed" }),
        json!({ "checks": many, "outcome": "failed" }),
        json!({ "outcome": "failed", "wide": wide }),
        json!(table),
        json!([long.clone(), long.clone()]),
    ] {
        log.append(kind::BACKUP, "signer-db", payload).unwrap();
    }
    log.append(kind::BACKUP, long, json!({})).unwrap();
    let scan = log.scan().unwrap().unwrap();
    assert_eq!((judge::chain(&scan), scan.count()), (vec![], 6));
    assert!(bytes_of(&log).len() < 6 * (64 << 10));
    let all = log.newest(9).unwrap();
    for record in &all[..3] {
        assert_eq!(record.payload["outcome"], "failed", "{:.300}", record.payload.to_string());
    }
    let why = all[0].payload["why"].as_str().unwrap();
    assert!(why.ends_with("… 2096640 bytes more"), "{why}");
    assert_eq!(all[1].payload["checks"][32], "… 99968 more");
}

#[test]
fn a_transaction_with_a_command_of_megabytes_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    begun(&store, 1, &"x".repeat(2 << 20));
    assert_eq!(log.catch_up(&store, now()).unwrap().records, 1);
    assert_eq!(log.catch_up(&store, now()).unwrap().records, 0);
    put(&dir.path().join("evidence.json"), b"");
    assert_eq!(log.catch_up(&store, now()).unwrap().records, 0);
}

#[test]
fn transactions_that_begin_at_one_again_are_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    (1..=20).for_each(|id| begun(&store, id, "holdfast apply"));
    assert_eq!(log.catch_up(&store, now()).unwrap().records, 20);
    fs::remove_dir_all(dir.path().join("transactions")).unwrap();
    for id in 1..=3 {
        begun(&store, id, "holdfast correct");
        assert_eq!(log.catch_up(&store, now()).unwrap().records, 1);
        assert_eq!(log.catch_up(&store, now()).unwrap().records, 0);
        assert!(log.look(now()).unwrap().before.is_some());
    }
}

#[test]
fn what_is_no_record_is_set_aside_and_named() {
    // a block of zeros, which a power cut leaves; a line of megabytes; other bytes
    for rest in [vec![0; 4096], vec![b'x'; 5 << 20], b"\n\n\xff\xfe{}\n".to_vec()] {
        let (_dir, log, whole, _) = log_of(2);
        let left = [whole, rest].concat();
        put(&log.path(), &left);
        log.record(now(), |_| Ok(vec![entry("next")])).unwrap();
        assert!(bytes_of(&log).starts_with(&left));
        let kinds: Vec<String> =
            log.newest(2).unwrap().into_iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [kind::MENDED, "test"]);
        assert_eq!(looked(&log, now()), (true, vec![]));
        log.record(now(), |_| Ok(Vec::new())).unwrap();
        assert_eq!(looked(&log, now()), (false, vec![]));
    }
}

#[test]
fn a_log_that_is_replaced_meanwhile_is_the_one_that_is_written() {
    let (dir, log, bytes, _) = log_of(2);
    let held = File::open(log.path()).unwrap();
    held.lock().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| log.record(now(), |_| Ok(vec![entry("3")])).unwrap());
        // Whether it waits by then or has yet to begin, it has to come to the same.
        std::thread::sleep(Duration::from_millis(50));
        let aside = dir.path().join("aside");
        put(&aside, &bytes);
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        fs::rename(&aside, log.path()).unwrap();
        held.unlock().unwrap();
        assert_eq!(waiting.join().unwrap().records, 1);
    });
    assert_eq!(log.newest(9).unwrap().len(), 3);
    assert_eq!(judge::chain(&log.scan().unwrap().unwrap()), []);
}
