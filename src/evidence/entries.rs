//! What goes into the log by itself: transactions that have ended, findings that appear and end.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    record::{Digest, Entry, kind},
    scan::{Recorded, Scan},
};
use crate::engine::{
    outcome::CheckResult,
    store::{Begin, End, Ending, Kind, Record, Store, StoreError},
};

/// The transactions that have ended and are not in the log as they ended, oldest first. At most one is open at a time,
/// so they end in their order: before the newest one that was recorded none is missing.
///
/// # Errors
/// When transactions cannot be listed, or an ending cannot be read from the disk.
pub fn transactions(store: &Store, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for id in store.ids()?.into_iter().rev() {
        let files = files(store, id)?;
        if files.end_sha256.is_none() {
            continue;
        }
        if scan.transactions.get(&id).is_some_and(|known| known.end_sha256 == files.end_sha256) {
            break;
        }
        entries.push(transaction(id, store.record(id), files));
    }
    entries.reverse();
    Ok(entries)
}

/// The digests of the files of every transaction that is kept and has ended.
///
/// # Errors
/// As [`transactions`].
pub fn kept(store: &Store) -> Result<BTreeMap<u64, Recorded>, StoreError> {
    let all = store.ids()?.into_iter().map(|id| Ok((id, files(store, id)?)));
    let ended = |one: &Result<(u64, Recorded), StoreError>| {
        one.as_ref().map_or(true, |(_, files)| files.end_sha256.is_some())
    };
    all.filter(ended).collect()
}

fn files(store: &Store, id: u64) -> Result<Recorded, StoreError> {
    let digest = |name| Ok::<_, StoreError>(store.file(id, name)?.map(|bytes| Digest::of(&bytes)));
    Ok(Recorded { begin_sha256: digest("begin.json")?, end_sha256: digest("end.json")? })
}

fn transaction(id: u64, record: Result<Record, StoreError>, files: Recorded) -> Entry {
    let mut payload = match record {
        Ok(Record { begin, end: Some(end), .. }) => told(&begin, &end),
        Ok(_) => json!({ "unreadable": "it has no ending" }),
        // That it cannot be read is what there is to say of it; it must not keep the others from being recorded.
        Err(error) => json!({ "unreadable": crate::host::error::chain(&error) }),
    };
    payload["begin_sha256"] = json!(files.begin_sha256);
    payload["end_sha256"] = json!(files.end_sha256);
    Entry { kind: kind::TRANSACTION, subject: id.to_string(), payload }
}

fn told(begin: &Begin, end: &End) -> serde_json::Value {
    let (action, of) = match begin.kind {
        Kind::Apply => ("apply", None),
        Kind::Correct => ("correct", None),
        Kind::Rollback { of } => ("rollback", Some(of)),
    };
    let checks: BTreeSet<&str> =
        begin.steps.iter().flat_map(|step| &step.because).map(String::as_str).collect();
    let mut told = json!({
        "action": action,
        "of": of,
        "command": begin.command,
        "by": begin.by,
        "started": begin.started,
        "finished": end.finished,
        "profile": begin.profile,
        "changes": begin.steps.len(),
        "checks": checks,
        "confirm_within": begin.confirm_within,
    });
    match &end.ending {
        Ending::Committed { applied, confirmed } => {
            told["outcome"] = json!("committed");
            told["held"] = json!(applied.len());
            told["confirmed"] = json!(confirmed);
        }
        Ending::RolledBack { why, cause, unrestored, set_aside } => {
            told["outcome"] = json!("rolled-back");
            told["cause"] = json!(cause);
            told["why"] = json!(why);
            told["unrestored"] = json!(unrestored);
            told["set_aside"] = json!(set_aside);
        }
    }
    told
}

/// What has appeared, come to something else or ended among the findings since the log was last told.
pub fn findings(results: &[CheckResult], profile: &str, scan: &Scan) -> Vec<Entry> {
    let now: BTreeMap<&str, &CheckResult> =
        results.iter().map(|result| (result.check.as_str(), result)).collect();
    let ended = scan.findings.iter().filter_map(|(check, was)| {
        let found = now.get(check.as_str()).map(|result| result.outcome);
        let is_over = found.is_none_or(|outcome| !outcome.needs_attention());
        is_over.then(|| Entry {
            kind: kind::FINDING_ENDED,
            subject: check.clone(),
            payload: json!({ "was": was, "outcome": found, "profile": profile }),
        })
    });
    let appeared = results.iter().filter(|result| {
        result.outcome.needs_attention()
            && scan.findings.get(&result.check) != Some(&result.outcome)
    });
    let appeared = appeared.map(|result| Entry {
        kind: kind::FINDING,
        subject: result.check.clone(),
        payload: json!({
            "outcome": result.outcome,
            "severity": result.severity,
            "expected": result.expected,
            "observed": result.observed,
            "profile": profile,
        }),
    });
    ended.chain(appeared).collect()
}
