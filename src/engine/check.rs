//! What a check is, what a control says about it, and what the engine makes of that.
//!
//! A control only ever gives a [`Verdict`]: what it saw against what it wanted. Whether a difference is a failure, a
//! drift or waived is decided in one place, [`super::outcome`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad it is when a check does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good housekeeping.
    Low,
    /// Weakens a defence.
    Medium,
    /// Removes a defence.
    High,
    /// The host or its key is at risk now.
    Critical,
}

/// How much a check proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// A file says so.
    Configured,
    /// The running system says so.
    Effective,
    /// The system was seen to behave so.
    Behavioural,
}

/// The fixed part of a check: the same on every host and in every version that has it.
#[derive(Debug)]
pub struct CheckMeta {
    /// Stable name, `control.check`.
    pub id: &'static str,
    /// What holds when it passes, in one line.
    pub title: &'static str,
    /// How bad it is when it does not.
    pub severity: Severity,
    /// How much it proves.
    pub evidence: Evidence,
    /// Ids of the published practices it serves (DESIGN: "The practices"), such as `net.default-deny`.
    pub practices: &'static [&'static str],
    /// Why it matters: what goes wrong on hosts that fail it.
    pub why: &'static str,
    /// Where that is written down: standard, manual page or published incident.
    pub source: &'static str,
    /// How a person puts it right by hand.
    pub fix: &'static str,
}

/// One check on one host: the fixed part and, where there are many of a kind, which one.
///
/// Prints as `ssh.effective/passwordauthentication`, or just `firewall.ruleset` where there is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckRef<'a> {
    /// The fixed part's id.
    pub base: &'a str,
    /// Which of many: a sysctl key, a unit, an sshd keyword.
    pub subject: Option<&'a str>,
}

impl<'a> CheckRef<'a> {
    /// Splits `base/subject`.
    pub fn parse(id: &'a str) -> Self {
        match id.split_once('/') {
            Some((base, subject)) => Self { base, subject: Some(subject) },
            None => Self { base: id, subject: None },
        }
    }
}

impl fmt::Display for CheckRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Some(subject) => write!(f, "{}/{subject}", self.base),
            None => f.write_str(self.base),
        }
    }
}

/// What a control saw, against what the profile wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is as the profile wants it.
    Holds {
        /// What was seen.
        observed: String,
    },
    /// It is not.
    Differs {
        /// What was seen instead; names the file and line at fault where that is known.
        observed: String,
    },
    /// It could not be seen. Never a pass, never a drift.
    Unknown {
        /// Why not, and what to do about it.
        why: String,
    },
    /// There is nothing here for the check to be about.
    NotApplicable {
        /// Why not.
        why: String,
    },
    /// It will be provable only when more time has passed.
    Accumulating {
        /// What was seen so far, and when it can be proven.
        observed: String,
    },
}

/// A control's word on one check.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// The fixed part.
    pub meta: &'static CheckMeta,
    /// Which of many, if the check is one of a kind.
    pub subject: Option<String>,
    /// What the profile wants, on one line. Part of the three-way comparison: a changed expectation is a new one.
    pub expected: String,
    /// What was seen.
    pub verdict: Verdict,
}

impl Judgement {
    /// A judgement on a check that has no subject.
    pub fn new(meta: &'static CheckMeta, expected: impl Into<String>, verdict: Verdict) -> Self {
        Self { meta, subject: None, expected: expected.into(), verdict }
    }

    /// The same, about one subject (a key, a unit, a keyword).
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The full id, `base` or `base/subject`.
    pub fn id(&self) -> String {
        CheckRef { base: self.meta.id, subject: self.subject.as_deref() }.to_string()
    }
}
