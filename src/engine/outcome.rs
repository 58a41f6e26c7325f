//! From what a control saw to what it means: the three-way comparison of desired, last applied and observed.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::check::{CheckRef, Evidence, Judgement, Severity, Verdict};
use crate::profile::schema::{Mode, Waiver};

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Held after the last apply and does not now.
    Drift,
    /// Does not hold, and has not held since the profile asked for it.
    Fail,
    /// Could not be seen. Never a pass, never a drift.
    CannotCheck,
    /// Does not hold (or could not be seen), and a person answers for it until a date.
    Waived,
    /// Needs time to be provable.
    Accumulating,
    /// There is nothing here for it to be about.
    NotApplicable,
    /// Holds.
    Pass,
}

impl Outcome {
    /// As it is printed, filed and documented.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Fail => "fail",
            Self::CannotCheck => "cannot-check",
            Self::Waived => "waived",
            Self::Accumulating => "accumulating",
            Self::NotApplicable => "not-applicable",
            Self::Pass => "pass",
        }
    }

    /// Whether somebody has to do something: these make `verify` end with exit code 2.
    pub const fn needs_attention(self) -> bool {
        matches!(self, Self::Drift | Self::Fail | Self::CannotCheck)
    }
}

/// A person's word that a check may fail for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaiverNote {
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub approved_by: String,
    /// The last day on which it counts.
    pub until: Date,
}

/// A check with its outcome: one line of a report.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// Full id.
    pub check: String,
    /// The control it belongs to.
    pub control: &'static str,
    /// What the profile says is to be done about it.
    pub mode: Mode,
    /// What it came to.
    pub outcome: Outcome,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// How much it proves.
    pub evidence: Evidence,
    /// What the profile wants.
    pub expected: String,
    /// What was seen, or why nothing could be.
    pub observed: String,
    /// The published practices it serves.
    pub practices: &'static [&'static str],
    /// When the drift or failure was first seen, where an earlier report says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The waiver in force, whether or not it is needed today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<WaiverNote>,
}

/// What held after the last apply: full check id to what was expected then.
pub type Applied = BTreeMap<String, String>;

/// Gives a judgement its outcome.
pub fn decide(
    judgement: &Judgement,
    control: &'static str,
    mode: Mode,
    applied: Option<&Applied>,
    waivers: &[Waiver],
    today: Date,
) -> CheckResult {
    let check = judgement.id();
    let waiver = waiver_for(&check, waivers, today);
    let held = applied.and_then(|applied| applied.get(&check)) == Some(&judgement.expected);
    let (outcome, observed) = match &judgement.verdict {
        Verdict::Holds { observed } => (Outcome::Pass, observed),
        Verdict::NotApplicable { why } => (Outcome::NotApplicable, why),
        Verdict::Accumulating { observed } => (Outcome::Accumulating, observed),
        Verdict::Differs { observed } if waiver.is_some() => (Outcome::Waived, observed),
        Verdict::Unknown { why } if waiver.is_some() => (Outcome::Waived, why),
        Verdict::Differs { observed } if held => (Outcome::Drift, observed),
        Verdict::Differs { observed } => (Outcome::Fail, observed),
        Verdict::Unknown { why } => (Outcome::CannotCheck, why),
    };
    CheckResult {
        check,
        control,
        mode,
        outcome,
        severity: judgement.meta.severity,
        evidence: judgement.meta.evidence,
        expected: one_line(&judgement.expected),
        observed: one_line(observed),
        practices: judgement.meta.practices,
        since: None,
        waiver,
    }
}

/// The waiver in force for a check: its own, or one for all of its kind. One that has ended counts as nothing.
fn waiver_for(check: &str, waivers: &[Waiver], today: Date) -> Option<WaiverNote> {
    let base = CheckRef::parse(check).base;
    let mut fitting = waivers.iter().filter(|waiver| {
        let named = waiver.check.as_str();
        (named == check || named == base) && !waiver.is_expired(today)
    });
    fitting.next().map(|waiver| WaiverNote {
        reason: waiver.reason.to_string(),
        approved_by: waiver.approved_by.to_string(),
        until: waiver.until.date(),
    })
}

/// Findings are one line each, and what a host says may not bring escape sequences to a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
