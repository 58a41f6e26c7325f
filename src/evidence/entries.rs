//! What goes into the log by itself: transactions that have ended, findings that appear and end.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    record::{Digest, Entry, kind},
    scan::{Recorded, Scan},
};
use crate::engine::{
    outcome::CheckResult,
    store::{End, Ending, Kind, ProfileRef, Store, StoreError},
};

const BEGIN: &str = "begin.json";
const END: &str = "end.json";
const PROVISIONAL: &str = "provisional.json";

/// Of a `begin.json` what is recorded. The rest, which may be megabytes of before-images, is passed over.
#[derive(Deserialize)]
struct Brief {
    kind: Kind,
    command: String,
    by: String,
    started: Timestamp,
    profile: Option<ProfileRef>,
    confirm_within: Option<u64>,
    steps: Vec<BriefStep>,
}

#[derive(Deserialize)]
struct BriefStep {
    because: Vec<String>,
}

/// Of a `provisional.json` what is recorded.
#[derive(Deserialize)]
struct BriefWait {
    until: Timestamp,
    within: u64,
}

/// The transactions that have ended and are not in the log as they ended, oldest first, and the one that waits for a
/// person's word. At most one is open at a time, so they end in their order: before the newest one that was recorded
/// none is missing.
///
/// # Errors
/// When transactions cannot be listed, or one cannot be read from the disk.
pub fn transactions(store: &Store, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    for id in store.ids()?.into_iter().rev() {
        let Some(end) = store.file(id, END)? else {
            if let Some(waits) = store.file(id, PROVISIONAL)? {
                entries.extend(pending(id, store.file(id, BEGIN)?.as_deref(), &waits, scan));
            }
            continue;
        };
        let known = scan.transactions.get(&id).and_then(|known| known.end_sha256);
        if known == Some(Digest::of(&end)) {
            break;
        }
        entries.push(transaction(id, store.file(id, BEGIN)?.as_deref(), &end));
    }
    entries.reverse();
    Ok(entries)
}

/// The digests of the files of every transaction that is kept and has ended.
///
/// # Errors
/// As [`transactions`].
pub fn kept(store: &Store) -> Result<BTreeMap<u64, Recorded>, StoreError> {
    let mut kept = BTreeMap::new();
    for id in store.ids()? {
        if let Some(end) = store.file(id, END)? {
            kept.insert(id, digests(store.file(id, BEGIN)?.as_deref(), &end));
        }
    }
    Ok(kept)
}

/// A change that holds and waits, unless that is known.
fn pending(id: u64, begin: Option<&[u8]>, waits: &[u8], scan: &Scan) -> Option<Entry> {
    let digest = Digest::of(waits);
    if scan.pending == Some((id, digest)) {
        return None;
    }
    // One that cannot be read counts as none: it is rolled back, and that is recorded.
    let BriefWait { until, within } = serde_json::from_slice(waits).ok()?;
    let begin: Option<Brief> = serde_json::from_slice(begin.unwrap_or_default()).ok();
    let payload = json!({
        "command": begin.as_ref().map(|begin| &begin.command),
        "by": begin.as_ref().map(|begin| &begin.by),
        "until": until,
        "within": within,
        "provisional_sha256": digest,
    });
    Some(Entry { kind: kind::PENDING, subject: id.to_string(), payload })
}

fn digests(begin: Option<&[u8]>, end: &[u8]) -> Recorded {
    Recorded { begin_sha256: begin.map(Digest::of), end_sha256: Some(Digest::of(end)) }
}

fn transaction(id: u64, begin: Option<&[u8]>, end: &[u8]) -> Entry {
    let told = serde_json::from_slice(begin.unwrap_or_default())
        .and_then(|begin| Ok(told(&begin, &serde_json::from_slice(end)?)));
    // That it cannot be read is what there is to say of it; it must not keep the others from being recorded.
    let mut payload = told.unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
    let Recorded { begin_sha256, end_sha256 } = digests(begin, end);
    payload["begin_sha256"] = json!(begin_sha256);
    payload["end_sha256"] = json!(end_sha256);
    Entry { kind: kind::TRANSACTION, subject: id.to_string(), payload }
}

fn told(begin: &Brief, end: &End) -> serde_json::Value {
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
