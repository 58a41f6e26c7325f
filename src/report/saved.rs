//! The last report, kept so that the next one can say since when.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::outcome::{CheckResult, Outcome};

/// A finding of the last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFinding {
    /// What it came to.
    pub outcome: Outcome,
    /// When it was first seen to.
    pub since: Timestamp,
}

/// The last report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When it was made.
    pub at: Timestamp,
    /// How many checks came to what.
    pub summary: BTreeMap<String, usize>,
    /// The findings that need attention.
    pub findings: BTreeMap<String, SavedFinding>,
}

/// Dates the findings that an earlier report knew already, and makes the report that the next one will know.
pub fn date(results: &mut [CheckResult], earlier: Option<&Saved>, now: Timestamp) -> Saved {
    let mut findings = BTreeMap::new();
    for result in results.iter_mut().filter(|result| result.outcome.needs_attention()) {
        let known = earlier.and_then(|saved| saved.findings.get(&result.check));
        let since = known.filter(|known| known.outcome == result.outcome).map(|known| known.since);
        // A clock that was set back must not make a finding begin in the future.
        let since = since.map(|since| since.min(now));
        result.since = since;
        let finding = SavedFinding { outcome: result.outcome, since: since.unwrap_or(now) };
        findings.insert(result.check.clone(), finding);
    }
    let summary = super::json::summary(results);
    let summary = summary.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    Saved { at: now, summary, findings }
}

/// Reads the last report; `None` when there is none or it cannot be read, which costs only the dates.
#[expect(clippy::disallowed_methods, reason = "holdfast's own file, not the host's")]
pub fn load(state_dir: &Path) -> Option<Saved> {
    serde_json::from_slice(&fs::read(state_dir.join("report.json")).ok()?).ok()
}

/// Keeps a report.
///
/// # Errors
/// When it cannot be written.
pub fn store(state_dir: &Path, saved: &Saved) -> io::Result<()> {
    keep(state_dir, "report.json", &serde_json::to_vec_pretty(saved)?)
}

/// Keeps what later looks will have to know, whole or not at all.
///
/// # Errors
/// When it cannot be written.
#[expect(clippy::disallowed_methods, reason = "holdfast's own file, not the host's")]
pub fn keep(state_dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let staged = state_dir.join(format!(".{name}"));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(bytes)?;
    fs::rename(staged, state_dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::check::{Evidence, Severity},
        profile::schema::Mode,
    };

    fn result(outcome: Outcome) -> CheckResult {
        CheckResult {
            check: "a.b".to_owned(),
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

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_finding_keeps_the_time_it_was_first_seen() {
        let first = date(&mut [result(Outcome::Drift)], None, at(100));
        let mut again = [result(Outcome::Drift)];
        let second = date(&mut again, Some(&first), at(200));
        assert_eq!(again[0].since, Some(at(100)));
        // another outcome is another finding, and one that went away is forgotten
        let mut other = [result(Outcome::CannotCheck)];
        date(&mut other, Some(&second), at(300));
        assert_eq!(other[0].since, None);
        assert!(date(&mut [result(Outcome::Pass)], Some(&second), at(300)).findings.is_empty());
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_date_a_finding_in_the_future() {
        let first = date(&mut [result(Outcome::Drift)], None, at(1000));
        let mut again = [result(Outcome::Drift)];
        date(&mut again, Some(&first), at(10));
        assert_eq!(again[0].since, Some(at(10)));
    }
}
