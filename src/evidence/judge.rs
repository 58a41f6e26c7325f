//! What is wrong with a log. Pure: over its lines, what the journal saw of it, and the transactions that are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    anchor::Anchor,
    record::{Digest, FORMAT},
    scan::{Before, Exposed, Line, Recorded, Scan, Seen},
};

/// Something that is wrong, or that cannot be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[allow(missing_docs, reason = "each variant's fields are what its words say")]
pub enum Problem {
    /// There is none, and there should be one.
    Missing,
    /// Records that nobody finds any more, before this line.
    Removed { line: usize, sequence: u64, last: u64 },
    /// A record that is not the one which the next was written after.
    Altered { line: usize, sequence: u64 },
    /// A record that is there twice.
    Duplicated { line: usize, sequence: u64 },
    /// A record that stands behind a later one.
    Reordered { line: usize, sequence: u64 },
    /// A line that is no record.
    Unreadable { line: usize },
    /// A record that says what was torn before it, which is not there.
    MendsNothing { line: usize, sequence: u64 },
    /// A record of a version that this holdfast does not know.
    Newer { line: usize, sequence: u64, format: u32 },
    /// The last write was cut off.
    Torn { line: usize },
    /// There were more records than there are.
    Shorter { sequence: u64, seen: Timestamp, last: u64 },
    /// There was another record than there is.
    Replaced { sequence: u64, seen: Timestamp },
    /// The journal has not seen the newest records.
    NotAnchored { sequence: u64, last: u64 },
    /// The journal cannot be asked.
    NoJournal { why: String },
    /// Others than root may write it.
    Exposed { uid: u32, mode: String },
    /// A transaction ended, and is not in the log.
    Unrecorded { transaction: u64 },
    /// A transaction's folder does not hold what was recorded.
    Differs { transaction: u64, file: &'static str },
}

impl Problem {
    /// Whether it says what cannot be known, and not that something is wrong.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::NotAnchored { .. } | Self::NoJournal { .. })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the log is gone: there is no record at all"),
            Self::Removed { line, sequence, last } if sequence == last => {
                write!(f, "record {sequence} is gone, before line {line}")
            }
            Self::Removed { line, sequence, last } => {
                write!(f, "records {sequence} to {last} are gone, before line {line}")
            }
            Self::Altered { line, sequence } => write!(
                f,
                "record {sequence} (line {line}) was altered: it is not what its neighbour in the chain has the digest of"
            ),
            Self::Duplicated { line, sequence } => {
                write!(f, "record {sequence} is there again, in line {line}")
            }
            Self::Reordered { line, sequence } => {
                write!(f, "record {sequence} (line {line}) stands behind a later one")
            }
            Self::Unreadable { line } => write!(f, "line {line} is no record"),
            Self::MendsNothing { line, sequence } => write!(
                f,
                "record {sequence} (line {line}) says what was torn before it, and that is not there"
            ),
            Self::Newer { line, sequence, format } => write!(
                f,
                "record {sequence} (line {line}) was written by a newer holdfast (format {format}, known is {FORMAT}); install that version"
            ),
            Self::Torn { line } => write!(
                f,
                "line {line} is not ended: a write was cut off; the next record says so and goes on behind it"
            ),
            Self::Shorter { sequence, seen, last } => write!(
                f,
                "the log ends with record {last}, and record {sequence} was there at {seen}: its end was cut off, or all of it replaced"
            ),
            Self::Replaced { sequence, seen } => write!(
                f,
                "record {sequence} is not the one that was there at {seen}: it was altered, or the log was replaced"
            ),
            Self::NotAnchored { sequence, last } if sequence == last => {
                write!(
                    f,
                    "nothing in the journal tells whether record {sequence} is as it was written"
                )
            }
            Self::NotAnchored { sequence, last } => write!(
                f,
                "nothing in the journal tells whether records {sequence} to {last} are as they were written"
            ),
            Self::NoJournal { why } => {
                write!(f, "whether the log was replaced cannot be told without the journal: {why}")
            }
            Self::Exposed { uid, mode } => write!(
                f,
                "others than root may write the log: it is of user {uid}, with mode {mode}; chown root: and chmod 600"
            ),
            Self::Unrecorded { transaction } => {
                write!(f, "transaction {transaction} has ended and is not in the log")
            }
            Self::Differs { transaction, file } => {
                write!(f, "{file} of transaction {transaction} is not the one that was recorded")
            }
        }
    }
}

/// Everything that is wrong with a log. `anchors` as [`anchored`] takes them, `kept` as [`transactions`].
pub fn all(
    scan: Option<&Scan>,
    anchors: &Result<Vec<Anchor>, String>,
    kept: &BTreeMap<u64, Recorded>,
) -> Vec<Problem> {
    let is_empty = scan.is_none_or(Scan::is_empty);
    if is_empty {
        let was_there = anchors.as_ref().is_ok_and(|all| !all.is_empty());
        let shorter = anchored(scan, anchors);
        return match (was_there, kept.is_empty()) {
            (true, _) => [vec![Problem::Missing], shorter].concat(),
            (false, false) => vec![Problem::Missing],
            // Nothing ever ended here, as far as anybody knows.
            (false, true) => Vec::new(),
        };
    }
    let mut problems = scan.map(chain).unwrap_or_default();
    problems.extend(scan.and_then(exposed));
    problems.extend(anchored(scan, anchors));
    problems.extend(transactions(scan, kept));
    problems
}

/// What is wrong with a log as far as it tells by itself, and by what was known of it when it was last found whole.
pub fn by_itself(scan: &Scan) -> Vec<Problem> {
    let mut problems = chain(scan);
    problems.extend(exposed(scan));
    let since = anchored(Some(scan), &Ok(scan.known.into_iter().collect()));
    // What came after is nothing to wonder at.
    problems.extend(since.into_iter().filter(|problem| !problem.is_unknown()));
    problems
}

fn exposed(scan: &Scan) -> Option<Problem> {
    let Exposed { uid, mode } = scan.exposed?;
    Some(Problem::Exposed { uid, mode: format!("{mode:04o}") })
}

/// Whether every record follows from the one before.
pub fn chain(scan: &Scan) -> Vec<Problem> {
    let present: BTreeSet<u64> = scan.records().map(|(_, seen)| seen.sequence).collect();
    let mut problems = Vec::new();
    let mut met: BTreeSet<u64> = BTreeSet::new();
    // The record that the next has to follow: its line, its number as it should be, its digest.
    let mut last: Option<(usize, u64, Digest)> =
        scan.before.map(|before| (before.lines, before.head.sequence, before.head.digest));
    let earlier = scan.before.map_or(0, |before| before.lines);
    let mut unreadable = 0;
    for (index, line) in scan.lines.iter().enumerate() {
        let number = earlier + index + 1;
        let seen = match line {
            Line::SetAside => continue,
            Line::Unreadable => {
                // That is said of the end.
                if index + 1 < scan.lines.len() || !scan.is_unended() {
                    problems.push(Problem::Unreadable { line: number });
                    unreadable += 1;
                }
                continue;
            }
            Line::Record(seen) => seen,
        };
        let Seen { sequence, previous, digest, newer, mends_nothing, .. } = *seen;
        if mends_nothing {
            problems.push(Problem::MendsNothing { line: number, sequence });
        }
        if let Some(format) = newer {
            problems.push(Problem::Newer { line: number, sequence, format });
        }
        let (before, expected) =
            last.map_or((Digest::NONE, 1), |(_, n, digest)| (digest, n.saturating_add(1)));
        if !met.insert(sequence) {
            problems.push(Problem::Duplicated { line: number, sequence });
            continue;
        }
        if sequence != expected && previous == before {
            // It does follow; only its number was changed.
            problems.push(Problem::Altered { line: number, sequence: expected });
            last = Some((number, expected, digest));
            unreadable = 0;
            continue;
        }
        if sequence < expected {
            problems.push(Problem::Reordered { line: number, sequence });
            continue;
        }
        if sequence > expected {
            let there = present.range(expected..sequence).count();
            let gone = (sequence - expected).saturating_sub(there as u64);
            // An unreadable line is what one of them has become.
            if gone > unreadable {
                let absent = |n: &u64| !present.contains(n);
                let first = (expected..sequence).find(absent).unwrap_or(expected);
                let end = (expected..sequence).rev().find(absent).unwrap_or(sequence - 1);
                problems.push(Problem::Removed { line: number, sequence: first, last: end });
            }
        } else if previous != before {
            let (line, sequence) = last.map_or((number, sequence), |(line, n, _)| (line, n));
            problems.push(Problem::Altered { line, sequence });
        }
        last = Some((number, sequence, digest));
        unreadable = 0;
    }
    if scan.is_unended() {
        problems.push(Problem::Torn { line: earlier + scan.lines.len() });
    }
    problems
}

/// Whether it is the log that the journal saw. `anchors`: what the journal has, or why it could not be asked.
pub fn anchored(scan: Option<&Scan>, anchors: &Result<Vec<Anchor>, String>) -> Vec<Problem> {
    let anchors = match anchors {
        Ok(anchors) => anchors,
        Err(why) => return vec![Problem::NoJournal { why: why.clone() }],
    };
    let mut digests: BTreeMap<u64, Vec<Digest>> = BTreeMap::new();
    if let Some(Before { head, .. }) = scan.and_then(|scan| scan.before) {
        digests.entry(head.sequence).or_default().push(head.digest);
    }
    for (_, seen) in scan.into_iter().flat_map(Scan::records) {
        digests.entry(seen.sequence).or_default().push(seen.digest);
    }
    let last = digests.keys().next_back().copied().unwrap_or(0);
    let holds = |anchor: &&Anchor| {
        digests.get(&anchor.sequence).is_some_and(|found| found.contains(&anchor.digest))
    };
    // One that is not there at all is a gap in the chain.
    let is_other = |anchor: &&Anchor| digests.contains_key(&anchor.sequence) && !holds(anchor);
    let mut problems = Vec::new();
    let beyond = anchors.iter().filter(|anchor| anchor.sequence > last);
    if let Some(anchor) = beyond.max_by_key(|anchor| anchor.sequence) {
        let Anchor { sequence, at, .. } = *anchor;
        problems.push(Problem::Shorter { sequence, seen: at, last });
    }
    if let Some(anchor) = anchors.iter().filter(is_other).min_by_key(|anchor| anchor.sequence) {
        problems.push(Problem::Replaced { sequence: anchor.sequence, seen: anchor.at });
    }
    // What is under an anchor is under it with all that came before.
    let newest = anchors.iter().filter(holds).map(|anchor| anchor.sequence).max().unwrap_or(0);
    if newest < last && problems.is_empty() {
        problems.push(Problem::NotAnchored { sequence: newest + 1, last });
    }
    problems
}

/// Whether every transaction that ended and is kept was recorded, and is as it was then. `kept`: by number, the digests
/// of its files.
pub fn transactions(scan: Option<&Scan>, kept: &BTreeMap<u64, Recorded>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (&transaction, files) in kept {
        let Some(recorded) = scan.and_then(|scan| scan.transactions.get(&transaction)) else {
            problems.push(Problem::Unrecorded { transaction });
            continue;
        };
        for (file, then, now) in [
            ("begin.json", recorded.begin_sha256, files.begin_sha256),
            ("end.json", recorded.end_sha256, files.end_sha256),
        ] {
            if then != now {
                problems.push(Problem::Differs { transaction, file });
            }
        }
    }
    problems
}
