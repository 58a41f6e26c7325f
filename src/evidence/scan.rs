//! The log as it is read: every line a record, or bytes that a write which was cut off has left.
//!
//! Nothing is ever taken out of the log, not even after a crash: what was torn is ended as a line of its own, and the
//! record after it, of kind `mended`, says how many bytes stand there and what their digest is. So one write mends it,
//! and it can be cut off as well; and the file may carry the append-only attribute (`chattr +a`).

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    anchor::Anchor,
    record::{Digest, Entry, FORMAT, Head, kind},
};
use crate::engine::outcome::Outcome;

/// Bytes of the longest line that is taken for a record: hundreds of times what the longest of them has.
pub(super) const LONGEST: usize = 1 << 20;

/// How many transactions count as recorded lately. To see what was not recorded yet the newest that was is enough.
const RECENT: usize = 16;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Record(Seen),
    /// Bytes that are no record.
    Unreadable,
    /// Bytes that are no record, and the record after them says so.
    SetAside,
}

/// A record, as far as the chain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub sequence: u64,
    /// What it says the digest of the line before it is.
    pub previous: Digest,
    /// The digest of its line.
    pub digest: Digest,
    /// The version of its format, if this holdfast does not know it.
    pub newer: Option<u32>,
    /// Whether it says that something torn stands before it, which does not.
    pub mends_nothing: bool,
}

/// Bytes that stand where a record should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    /// How many, the ends of lines included.
    pub bytes: u64,
    /// Their digest.
    pub sha256: Digest,
}

impl Torn {
    /// The entry that says so.
    pub(super) fn entry(self) -> Entry {
        Entry { kind: kind::MENDED, subject: "log".to_owned(), payload: json!(self) }
    }
}

/// How a log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// As it should.
    #[default]
    Whole,
    /// With a whole record whose line was not ended.
    Unended,
    /// With bytes that are no record.
    Torn {
        /// What they will be once their line is ended.
        torn: Torn,
        /// Whether it is: a write that began to mend what was torn can be cut off there.
        is_ended: bool,
    },
}

/// What of a transaction was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The digest of its `begin.json`.
    pub begin_sha256: Option<Digest>,
    /// The digest of its `end.json`.
    pub end_sha256: Option<Digest>,
}

/// What was read and found whole before, and is not read again: see [`super::mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// How many lines.
    pub lines: usize,
    /// How many records.
    pub records: usize,
    /// The newest of them.
    pub head: Head,
}

/// Who else than root may write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// Whose it is.
    pub uid: u32,
    /// Its mode.
    pub mode: u32,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// What stands before the lines.
    pub before: Option<Before>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Bytes of the newest record's line, without its end.
    pub last_line: u64,
    /// The record that was the newest when it was last found whole, and when that was.
    pub known: Option<Anchor>,
    /// Who else may write it.
    pub exposed: Option<Exposed>,
    /// How it ends.
    pub tail: Tail,
    /// The record with the highest number.
    pub head: Option<Head>,
    /// The transactions that were recorded, each as it was last.
    pub transactions: BTreeMap<u64, Recorded>,
    /// Those that were recorded last, in that order. Not those with the highest numbers: whoever moves a damaged folder
    /// away begins at 1 again.
    pub recent: VecDeque<u64>,
    /// The newest change that was recorded as waiting for a person's word, and the digest of its `provisional.json`.
    pub pending: Option<(u64, Digest)>,
    /// The findings that have appeared and not ended.
    pub findings: BTreeMap<String, Outcome>,
}

/// A record but for what its kind makes of it.
#[derive(Deserialize)]
struct Fields {
    format: u32,
    sequence: u64,
    #[serde(rename = "at")]
    _at: Timestamp,
    kind: String,
    subject: String,
    previous: Digest,
    #[serde(rename = "payload")]
    _payload: IgnoredAny,
}

/// The rest, as a kind has it.
#[derive(Deserialize)]
struct Payload<T> {
    payload: T,
}

/// What is read of a change that waits.
#[derive(Deserialize)]
struct Waits {
    provisional_sha256: Digest,
}

/// What is read of a finding that has appeared.
#[derive(Deserialize)]
struct Appeared {
    outcome: Outcome,
}

/// Bytes since the last record.
#[derive(Default)]
struct Between {
    hash: Sha256,
    bytes: u64,
    lines: usize,
}

impl Between {
    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn torn(self) -> Torn {
        Torn { bytes: self.bytes, sha256: Digest::finish(self.hash) }
    }
}

impl Scan {
    /// Reads a log.
    ///
    /// # Errors
    /// When it cannot be read on.
    pub fn of(mut log: impl BufRead) -> io::Result<Self> {
        let mut scan = Self::default();
        let mut between = Between::default();
        let mut piece = Vec::new();
        // Whether the piece before was the beginning of an overlong line.
        let mut goes_on = false;
        loop {
            piece.clear();
            let limit = LONGEST as u64;
            if io::Read::take(&mut log, limit).read_until(b'\n', &mut piece)? == 0 {
                break;
            }
            let line = piece.strip_suffix(b"\n");
            let is_ended = line.is_some();
            let is_last = !is_ended && log.fill_buf()?.is_empty();
            let fields = (!goes_on && (is_ended || is_last))
                .then(|| serde_json::from_slice::<Fields>(line.unwrap_or(&piece)).ok())
                .flatten();
            if let Some(fields) = fields {
                let line = line.unwrap_or(&piece);
                scan.record(&fields, line, std::mem::take(&mut between));
                scan.tail = if is_ended { Tail::Whole } else { Tail::Unended };
            } else {
                if !goes_on {
                    scan.lines.push(Line::Unreadable);
                    between.lines += 1;
                }
                between.take(&piece);
                goes_on = !is_ended;
            }
        }
        if between.lines > 0 {
            if goes_on {
                // Its line is ended by whoever mends it.
                between.take(b"\n");
            }
            scan.tail = Tail::Torn { torn: between.torn(), is_ended: !goes_on };
        }
        Ok(scan)
    }

    fn record(&mut self, fields: &Fields, line: &[u8], between: Between) {
        let newer = Some(fields.format).filter(|format| *format > FORMAT);
        let digest = Digest::of(line);
        let mut mends_nothing = false;
        match fields.kind.as_str() {
            kind::MENDED => {
                let from = self.lines.len() - between.lines;
                mends_nothing = between.lines == 0 || payload::<Torn>(line) != Some(between.torn());
                if !mends_nothing {
                    self.lines[from..].fill(Line::SetAside);
                }
            }
            kind::TRANSACTION => {
                if let (Ok(id), Some(recorded)) = (fields.subject.parse(), payload(line)) {
                    self.transactions.insert(id, recorded);
                    self.recent.push_back(id);
                    if self.recent.len() > RECENT {
                        self.recent.pop_front();
                    }
                }
            }
            kind::PENDING => {
                if let (Ok(id), Some(waits)) = (fields.subject.parse(), payload::<Waits>(line)) {
                    self.pending = Some((id, waits.provisional_sha256));
                }
            }
            kind::FINDING => {
                if let Some(Appeared { outcome }) = payload(line) {
                    self.findings.insert(fields.subject.clone(), outcome);
                }
            }
            kind::FINDING_ENDED => drop(self.findings.remove(&fields.subject)),
            _ => {}
        }
        let (sequence, previous) = (fields.sequence, fields.previous);
        self.lines.push(Line::Record(Seen { sequence, previous, digest, newer, mends_nothing }));
        self.last_line = line.len() as u64;
        if self.head.is_none_or(|head| head.sequence <= sequence) {
            self.head = Some(Head { sequence, digest });
        }
    }

    /// Takes in a line, without its end, that was appended to what was read.
    pub(super) fn add(&mut self, line: &[u8]) {
        if let Ok(fields) = serde_json::from_slice::<Fields>(line) {
            self.record(&fields, line, Between::default());
        }
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.before.is_none() && self.lines.is_empty()
    }

    /// How many records there are.
    pub fn count(&self) -> usize {
        self.before.map_or(0, |before| before.records) + self.records().count()
    }

    /// Whether its last line has no end: a write was cut off.
    pub const fn is_unended(&self) -> bool {
        matches!(self.tail, Tail::Unended | Tail::Torn { is_ended: false, .. })
    }

    /// The records, with the numbers of their lines, from 1 up.
    pub fn records(&self) -> impl Iterator<Item = (usize, &Seen)> {
        self.lines.iter().enumerate().filter_map(|(index, line)| match line {
            Line::Record(seen) => Some((index + 1, seen)),
            _ => None,
        })
    }
}

fn payload<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Payload<T>>(line).ok().map(|found| found.payload)
}
