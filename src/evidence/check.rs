//! `evidence.log`: the log as a check of `verify`, which asks no journal: `holdfast evidence verify` does.

use super::{
    EvidenceError, Scan,
    judge::{self, Problem},
};
use crate::{
    engine::check::{CheckMeta, Evidence, Judgement, Severity, Verdict},
    host::error::chain,
};

/// The checks of the evidence log.
pub static CHECKS: &[CheckMeta] = &[CheckMeta {
    id: "evidence.log",
    title: "the evidence log can be written, and every record in it follows from the one before",
    severity: Severity::High,
    evidence: Evidence::Effective,
    practices: &["access.four-eyes"],
    why: "The log says who changed what on this host and what was found when. Whoever hides that has to remove or alter \
          records; each has the digest of the one before it, so that this breaks the chain. A log that cannot be \
          written says nothing of what comes next.",
    source: "Haber, Stornetta: How to Time-Stamp a Digital Document (1991); NIST SP 800-92 (integrity of logs)",
    fix: "Look at the record and the line that is named (holdfast evidence verify, holdfast evidence list), and at who \
          was on the host then: holdfast never alters a record. If the disk is full or read-only, mend that. Once it is \
          understood, a new log begins when /var/lib/holdfast/evidence and /var/lib/holdfast/evidence.json are moved \
          elsewhere; or waive it with a reason",
}];

const EXPECTED: &str = "every record follows from the one before";

/// Judges the log as it was read.
pub fn judge(scan: &Scan) -> Judgement {
    Judgement::new(&CHECKS[0], EXPECTED, verdict(scan))
}

/// Judges a log that could not be read or written.
pub fn failed(error: &EvidenceError) -> Judgement {
    let why = chain(error);
    let verdict = if error.is_of_writing() {
        Verdict::Differs { observed: why }
    } else {
        Verdict::Unknown { why }
    };
    Judgement::new(&CHECKS[0], EXPECTED, verdict)
}

fn verdict(scan: &Scan) -> Verdict {
    let problems = judge::by_itself(scan);
    let Some(first) = problems.iter().find(|problem| !problem.is_unknown()).or(problems.first())
    else {
        return match scan.count() {
            0 => Verdict::NotApplicable { why: "nothing was recorded yet".to_owned() },
            count => Verdict::Holds { observed: counted(count) },
        };
    };
    let rest = match problems.len() {
        1 => String::new(),
        count => format!("; {} more: holdfast evidence verify", count - 1),
    };
    let observed = format!("{first}{rest}");
    if problems.iter().all(Problem::is_unknown) {
        Verdict::Unknown { why: observed }
    } else {
        Verdict::Differs { observed }
    }
}

/// So many records, all of them whole.
pub fn counted(records: usize) -> String {
    match records {
        1 => "1 record, whole".to_owned(),
        count => format!("{count} records, whole"),
    }
}
