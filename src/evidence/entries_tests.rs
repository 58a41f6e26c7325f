//! What is recorded by itself: every transaction once, findings as they appear and end; and what is read of the journal.

use std::time::Duration;

use serde_json::json;

use super::{
    Digest, Log, Scan,
    anchor::{Anchor, parse},
    entries,
    judge::{self, Problem},
    tests::{bytes_of, now, put},
};
use crate::{
    engine::{
        check::{Evidence, Severity},
        outcome::{Applied, CheckResult, Outcome},
        store::{Ahead, Begin, Cause, End, Ending, Kind, Provisional, Store},
    },
    host::clock::Moment,
    profile::schema::Mode,
};

fn begin(id: u64) -> Begin {
    Begin {
        format: Begin::FORMAT,
        id,
        kind: Kind::Apply,
        command: "holdfast apply".to_owned(),
        by: "alice".to_owned(),
        started: now(),
        profile: None,
        confirm_within: None,
        steps: Vec::new(),
        before: Vec::new(),
    }
}

/// A transaction of this command, which was committed.
pub(super) fn begun(store: &Store, id: u64, command: &str) {
    let begin = Begin { command: command.to_owned(), ..begin(id) };
    store.begin(&Ahead::of(&begin)).unwrap().end(&committed()).unwrap();
}

fn committed() -> End {
    End::new(now(), Ending::Committed { applied: Applied::new(), confirmed: None })
}

#[test]
fn every_transaction_that_ended_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    let catch_up = || log.catch_up(&store, now()).unwrap().records;
    let subjects = || -> Vec<String> {
        log.newest(usize::MAX).unwrap().into_iter().map(|record| record.subject).collect()
    };
    assert_eq!(catch_up(), 0);
    for id in 1..=2 {
        store.begin(&Ahead::of(&begin(id))).unwrap().end(&committed()).unwrap();
    }
    let open = store.begin(&Ahead::of(&begin(3))).unwrap();
    assert_eq!(catch_up(), 2);
    assert_eq!(catch_up(), 0, "what was recorded is not recorded again");
    assert_eq!(subjects(), ["1", "2"], "an open one has not ended");
    open.end(&committed()).unwrap();
    // a write that was cut off in the middle of it
    catch_up();
    let whole = bytes_of(&log);
    put(&log.path(), &whole[..whole.len() - 30]);
    catch_up();
    assert_eq!(subjects(), ["1", "2", "log", "3"]);
    // how it really ended is written over it, when only the folder could not be synced
    let why = Ending::RolledBack {
        why: "no space".into(),
        cause: Cause::Failed,
        unrestored: Vec::new(),
        set_aside: Vec::new(),
    };
    store.end(3, &End::new(now(), why)).unwrap();
    let known = |scan: &Scan| judge::transactions(Some(scan), &entries::kept(&store).unwrap());
    let differs = [Problem::Differs { transaction: 3, file: "end.json" }];
    assert_eq!(known(&log.scan().unwrap().unwrap()), differs);
    catch_up();
    assert_eq!(subjects(), ["1", "2", "log", "3", "3"]);
    assert_eq!(known(&log.scan().unwrap().unwrap()), []);
    let last = log.newest(usize::MAX).unwrap().pop().unwrap().payload;
    assert_eq!(
        (&last["outcome"], &last["by"], &last["why"]),
        (&json!("rolled-back"), &json!("alice"), &json!("no space"))
    );
    // what cannot be read is recorded as that, and keeps nobody else from it
    store.begin(&Ahead::of(&begin(4))).unwrap().end(&committed()).unwrap();
    put(&dir.path().join("transactions/000004/begin.json"), b"{");
    store.begin(&Ahead::of(&begin(5))).unwrap().end(&committed()).unwrap();
    catch_up();
    assert_eq!(subjects()[5..], ["4", "5"]);
    assert_eq!(known(&log.scan().unwrap().unwrap()), []);
}

#[test]
fn the_oldest_are_forgotten_only_when_they_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    for id in 1..=205 {
        store.begin(&Ahead::of(&begin(id))).unwrap().end(&committed()).unwrap();
    }
    assert_eq!(store.ids().unwrap().len(), 205, "beginning one forgets none");
    log.catch_up(&store, now()).unwrap();
    store.prune().unwrap();
    assert_eq!(store.ids().unwrap().first(), Some(&6));
    let scan = log.scan().unwrap().unwrap();
    assert_eq!(scan.transactions.len(), 205);
    assert_eq!(judge::transactions(Some(&scan), &entries::kept(&store).unwrap()), []);
}

fn result(check: &str, outcome: Outcome) -> CheckResult {
    CheckResult {
        check: check.to_owned(),
        control: "a",
        mode: Mode::Enforce,
        outcome,
        severity: Severity::High,
        evidence: Evidence::Effective,
        expected: "1".to_owned(),
        observed: "2".to_owned(),
        practices: &[],
        since: None,
        waiver: None,
    }
}

#[test]
fn a_finding_is_recorded_when_it_appears_changes_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::below(dir.path());
    let told = |results: &[CheckResult]| -> Vec<String> {
        let before = log.newest(usize::MAX).unwrap().len();
        log.record(now(), |scan| Ok(entries::findings(results, "digest", scan))).unwrap();
        let new = log.newest(usize::MAX).unwrap().split_off(before);
        new.into_iter()
            .map(|one| format!("{} {} {}", one.kind, one.subject, one.payload["outcome"]))
            .collect()
    };
    let both = [result("a.b", Outcome::Drift), result("a.c", Outcome::Pass)];
    assert_eq!(told(&both), ["finding a.b \"drift\""]);
    assert_eq!(told(&both), Vec::<String>::new());
    assert_eq!(told(&[result("a.b", Outcome::CannotCheck)]), ["finding a.b \"cannot-check\""]);
    assert_eq!(told(&[result("a.b", Outcome::Waived)]), ["finding-ended a.b \"waived\""]);
    assert_eq!(told(&both), ["finding a.b \"drift\""]);
    assert_eq!(told(&[]), ["finding-ended a.b null"]);
}

#[test]
fn a_change_that_waits_is_recorded_each_time_it_is_given_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    let open = store.begin(&Ahead::of(&begin(1))).unwrap();
    let moment = Moment { boot: "b".to_owned(), up: Duration::from_secs(100) };
    let provisional = Provisional::new(&moment, Duration::from_secs(600), now(), Applied::new());
    store.wait(1, &provisional).unwrap();
    for _ in 0..2 {
        log.catch_up(&store, now()).unwrap();
    }
    store.wait(1, &provisional.extended(&moment, Duration::from_secs(700), now())).unwrap();
    log.catch_up(&store, now()).unwrap();
    open.end(&committed()).unwrap();
    log.catch_up(&store, now()).unwrap();
    let all = log.newest(9).unwrap();
    let told: Vec<(&str, &serde_json::Value)> =
        all.iter().map(|one| (one.kind.as_str(), &one.payload["within"])).collect();
    let none = serde_json::Value::Null;
    let waits = [("pending", &json!(600)), ("pending", &json!(700)), ("transaction", &none)];
    assert_eq!(told, waits);
    assert_eq!(all[0].payload["by"], "alice");
}

#[test]
fn the_journals_words_are_read() {
    let digest = Digest::of(b"abc");
    let text = format!(
        "{{\"__CURSOR\":\"s=1\",\"__REALTIME_TIMESTAMP\":\"1795244400123456\",\"HOLDFAST_SEQUENCE\":\"7\",\"HOLDFAST_DIGEST\":\"{digest}\"}}\nno JSON\n{{\"HOLDFAST_SEQUENCE\":\"8\"}}\n"
    );
    let at = "2026-11-21T07:00:00Z".parse().unwrap();
    assert_eq!(parse(text.as_bytes()), [Anchor { sequence: 7, digest, at }]);
}
