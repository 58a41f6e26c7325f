//! What is recorded by itself: every transaction once, findings as they appear and end; and what is read of the journal.

use serde_json::json;

use super::{
    Digest, Head, Log, Scan,
    anchor::{Anchor, parse},
    check, entries,
    judge::{self, Problem},
    tests::{bytes_of, lines, log_of, now, put},
};
use crate::{
    engine::{
        check::{Evidence, Severity, Verdict},
        outcome::{Applied, CheckResult, Outcome},
        store::{Ahead, Begin, Cause, End, Ending, Kind, Store},
    },
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

fn committed() -> End {
    End::new(now(), Ending::Committed { applied: Applied::new(), confirmed: None })
}

#[test]
fn every_transaction_that_ended_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (Store::below(dir.path()), Log::below(dir.path()));
    let catch_up = || log.catch_up(&store, now()).unwrap().records;
    let subjects = || -> Vec<String> {
        log.records().unwrap().into_iter().map(|record| record.subject).collect()
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
    let last = log.records().unwrap().pop().unwrap().payload;
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
        let before = log.records().unwrap().len();
        log.append(now(), |scan| Ok(entries::findings(results, "digest", scan))).unwrap();
        let new = log.records().unwrap().split_off(before);
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
fn the_check_remembers_what_the_last_report_saw() {
    let (_dir, log, bytes, anchors) = log_of(3);
    let scan = log.scan().unwrap().unwrap();
    let mut saved = crate::report::saved::date(&mut [], None, now());
    saved.evidence = Some(Head { sequence: 3, digest: anchors[0].digest });
    let verdict = |scan: &Scan| check::judge(scan, Some(&saved)).verdict;
    assert_eq!(verdict(&scan), Verdict::Holds { observed: "3 records, whole".into() });
    let cut = Scan::of(&lines(&bytes)[..2].concat()[..]).unwrap();
    for scan in [&cut, &Scan::default()] {
        assert!(matches!(verdict(scan), Verdict::Differs { .. }), "{:?}", verdict(scan));
    }
    let empty = check::judge(&Scan::default(), None).verdict;
    assert!(matches!(empty, Verdict::NotApplicable { .. }));
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
