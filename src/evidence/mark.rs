//! Up to where the log was found whole, so that not every look reads all of it.
//!
//! `/var/lib/holdfast/evidence.json` is written after an append, and after a look that had to read. While the log is, to
//! its inode, size and times, the file that it was then, nothing of it but its last line is read: the kernel moves
//! `ctime` at every change, and no program can set it. Whoever can set the clock can deceive it, so everything is read
//! once a day in any case, and by `holdfast evidence verify` always. Losing the file costs a reading, and what only it
//! knew: the record that was the newest. That the journal knows, too.

use std::{collections::BTreeMap, fs, fs::Metadata, os::unix::fs::MetadataExt as _, path::Path};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    anchor::Anchor,
    record::{Digest, Head},
    scan::{Before, Recorded, Scan},
};
use crate::{engine::outcome::Outcome, report::saved};

/// Its name in the state folder.
const NAME: &str = "evidence.json";

/// How long it spares reading the log, and how long the journal is not told of the same record again: what is in the
/// journal may be lost with it.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// Which file it was, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    pub(super) bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// What is kept of a log that was found whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    file: Identity,
    head: Head,
    /// When this was written.
    at: Timestamp,
    /// When all of it was read.
    read: Timestamp,
    /// When the journal was told of the newest record.
    anchored: Timestamp,
    /// Bytes of its last line, without the end.
    last_line: u64,
    lines: usize,
    records: usize,
    /// Those that were recorded last.
    transactions: Vec<(u64, Recorded)>,
    pending: Option<(u64, Digest)>,
    findings: BTreeMap<String, Outcome>,
}

impl Mark {
    /// Of a log that was just found whole.
    pub(super) fn of(
        scan: &Scan,
        head: Head,
        file: Identity,
        (now, read, anchored): (Timestamp, Timestamp, Timestamp),
    ) -> Self {
        let before = scan.before.map_or(0, |before| before.lines);
        let recent = scan.recent.iter().filter_map(|id| Some((*id, *scan.transactions.get(id)?)));
        Self {
            file,
            head,
            at: now,
            read,
            anchored,
            last_line: scan.last_line,
            lines: before + scan.lines.len(),
            records: scan.count(),
            transactions: recent.collect(),
            pending: scan.pending,
            findings: scan.findings.clone(),
        }
    }

    /// Reads it; `None` when there is none, or none that can be read.
    #[expect(clippy::disallowed_methods, reason = "holdfast's own file, not the host's")]
    pub(super) fn load(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(state_dir.join(NAME)).ok()?).ok()
    }

    /// Keeps it. Where it cannot be kept the next look reads the log, and has the older one to hold it to.
    pub(super) fn keep(&self, state_dir: &Path) {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        drop(saved::keep(state_dir, NAME, &bytes));
    }

    /// What it knows of the log: the record that was the newest.
    pub(super) const fn known(&self) -> Anchor {
        Anchor { sequence: self.head.sequence, digest: self.head.digest, at: self.at }
    }

    /// Whether it spares reading this file now.
    pub(super) fn spares(&self, file: Identity, now: Timestamp) -> bool {
        self.file == file && is_recent(self.read, now)
    }

    /// Where the last line of the file is, and how long.
    pub(super) const fn last_line(&self) -> (u64, u64) {
        (self.file.bytes.saturating_sub(self.last_line + 1), self.last_line)
    }

    /// Whether that is its line.
    pub(super) fn is_last(&self, line: &[u8]) -> bool {
        line.strip_suffix(b"\n").is_some_and(|line| Digest::of(line) == self.head.digest)
    }

    /// When all of it was read.
    pub(super) const fn read(&self) -> Timestamp {
        self.read
    }

    /// When the journal was told of this record, if that is not long ago.
    pub(super) fn anchored(&self, head: Head, now: Timestamp) -> Option<Timestamp> {
        Some(self.anchored).filter(|at| self.head == head && is_recent(*at, now))
    }

    /// The log as it was, without its lines.
    pub(super) fn scan(&self) -> Scan {
        Scan {
            before: Some(Before { lines: self.lines, records: self.records, head: self.head }),
            head: Some(self.head),
            last_line: self.last_line,
            transactions: self.transactions.iter().copied().collect(),
            recent: self.transactions.iter().map(|(id, _)| *id).collect(),
            pending: self.pending,
            findings: self.findings.clone(),
            ..Scan::default()
        }
    }
}

/// Whether it was within the last day. After a clock was set back nobody knows.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    let ago = now.duration_since(at);
    !ago.is_negative() && ago < HOLDS
}
