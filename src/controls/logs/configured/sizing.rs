//! How large a journal may grow, in how many files, of what span: worked out together, pure.
//!
//! journald deletes whole archived files, the oldest first, while there are too many bytes or too many files, or when a
//! file's *first* entry is older than its ceiling. Each of the three can undo what the others keep: 12.5 GB and more
//! never fit into its 100 files of 128M, files of a month each are deleted a month too early by a ceiling. So there is
//! no ceiling here, files enough for every day of every user, and bytes are what is left to be measured.

use crate::profile::{
    schema::{Journal, Logs, Storage},
    types::{Size, TimeSpan},
};

const DAY: u64 = 86_400;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What is set aside for a day where no budget is given. The sBTC signer at `RUST_LOG=info,signer=debug` beside a
/// Stacks and a Bitcoin node was given 40G for 90 days before this was worked out: 455 MiB a day.
const BYTES_PER_DAY: u64 = 512 * MIB;

/// What journald itself leaves free at most (`SystemKeepFree=`, journald.conf(5)): 4G.
const MOST_KEPT_FREE: u64 = 4 * GIB;

/// journald keeps a journal for each user too (`SplitMode=uid`), whose files count among those of the whole. So many
/// that write every day, the system's own included, are made room for.
const JOURNALS: u64 = 8;

/// Files that are begun before their time: at each start after a crash, at a jump of the clock, by hand.
const UNTIMELY_FILES: u64 = 100;

/// Messages of one service within [`RATE_INTERVAL`] that are still taken. journald's own 10000 in 30 s is for all
/// containers of Docker together, and a signer at debug level beside nodes that catch up goes beyond.
const RATE_BURST: u32 = 100_000;
const RATE_INTERVAL: TimeSpan = TimeSpan::from_secs(30);

/// The keys of `[journal]` as they are held to: its own, and for each that is absent what `[logs]` needs. `size` is that
/// of the journal's file system, in bytes; where it is not known, nothing that hangs on it is set.
pub(in crate::controls) fn journal_for(
    journal: &Journal,
    logs: &Logs,
    size: Option<u64>,
) -> Journal {
    let is_read = logs.source.iter().any(|source| source.file.is_none());
    sized(journal, logs, logs.longest_in_journal(), is_read, size)
}

/// What the journal of a namespace is held to: as the main one, for the sources that are in it.
pub(super) fn namespace_for(keep: TimeSpan, logs: &Logs, size: Option<u64>) -> Journal {
    sized(&Journal::default(), logs, keep, true, size)
}

fn sized(
    journal: &Journal,
    logs: &Logs,
    keep: TimeSpan,
    is_read: bool,
    size: Option<u64>,
) -> Journal {
    let mut journal = journal.clone();
    journal.storage.get_or_insert(Storage::Persistent);
    let age = *journal.max_file_age.get_or_insert(Logs::file_age(keep));
    // `0s` is no ceiling: it takes back one that another file of the host's sets.
    journal.max_retention.get_or_insert(TimeSpan::from_secs(0));
    if is_read && journal.rate_limit_interval.is_none() && journal.rate_limit_burst.is_none() {
        journal.rate_limit_interval = Some(RATE_INTERVAL);
        journal.rate_limit_burst = Some(RATE_BURST);
    }
    let given = logs.budget.map(|budget| budget.bytes() / parts(logs));
    let max_use = match (journal.max_use, given, size) {
        (Some(max_use), ..) => max_use,
        (None, Some(given), _) => Size::from_bytes(given),
        (None, None, Some(size)) => Size::from_bytes(share(size, keep, parts(logs))),
        (None, None, None) => return journal,
    };
    journal.max_use = Some(max_use);
    if let Some(size) = size {
        journal.keep_free.get_or_insert(Size::from_bytes(kept_free(size)));
    }
    let file_size = *journal.max_file_size.get_or_insert(file_size(max_use));
    journal.max_files.get_or_insert(files(max_use, file_size, keep, age));
    journal
}

/// Into how many journals the budget is divided: the main one, and each namespace that the profile names.
pub(super) fn parts(logs: &Logs) -> u64 {
    let mut names: Vec<_> = logs.source.iter().filter_map(|s| s.namespace.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    1 + names.len() as u64
}

/// A quarter of the file system at most, and no more than the retention is taken to need.
fn share(size: u64, keep: TimeSpan, parts: u64) -> u64 {
    let needed = rounded(keep.as_secs().div_ceil(DAY).saturating_mul(BYTES_PER_DAY));
    rounded((size / 4).min(needed) / parts).max(MIB)
}

/// What is left free of a file system of this size.
fn kept_free(size: u64) -> u64 {
    rounded(size / 10).min(MOST_KEPT_FREE)
}

/// A hundredth of the whole is deleted at a time. Not below journald's least, 512K, nor above a GiB.
fn file_size(max_use: Size) -> Size {
    Size::from_bytes((max_use.bytes() / 100 / MIB * MIB).clamp(MIB, GIB))
}

/// As many files as either the bytes or the days can fill.
fn files(max_use: Size, file_size: Size, keep: TimeSpan, age: TimeSpan) -> u32 {
    let by_size = max_use.bytes().div_ceil(file_size.bytes().max(1));
    let by_age = match age.as_secs() {
        0 => 0,
        age => (keep.as_secs().div_ceil(age) + 1).saturating_mul(JOURNALS),
    };
    let files = by_size.saturating_add(by_age).saturating_add(UNTIMELY_FILES);
    u32::try_from(files).unwrap_or(u32::MAX)
}

/// Down to whole GiB where there are many of them, else to whole MiB: a number that people can read, and that stays the
/// same on a file system whose size changes by a little.
fn rounded(bytes: u64) -> u64 {
    let unit = if bytes >= 4 * GIB { GIB } else { MIB };
    bytes / unit * unit
}

/// What a journal needs and what its file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Of the whole file system, in bytes.
    pub(super) size: u64,
    /// What all journals may use together, in bytes.
    pub(super) budget: u64,
    /// What they leave free, in bytes.
    pub(super) keep_free: u64,
    /// Somebody asked for just this much to be left free: else it grows with the file system.
    pub(super) is_free_given: bool,
    /// How long entries are kept.
    pub(super) keep: TimeSpan,
}

/// Whether there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fits {
    /// For so many bytes a day over the whole retention.
    PerDay(u64),
    /// The file system would have to have so many bytes.
    Needs {
        /// What the budget would have to be.
        budget: u64,
        /// How large the file system would have to be for that.
        size: u64,
    },
}

impl Room {
    /// Whether the retention fits: what is written in a day is `observed`, in bytes, where that has been measured.
    ///
    /// A file that is deleted takes with it entries that are younger by its span, so a day more is counted, and a tenth
    /// for days that are busier than those that were measured.
    pub(super) fn fits(&self, observed: Option<u64>) -> Fits {
        let days = (self.keep.as_secs().div_ceil(DAY) + 1).max(1);
        let needed = observed.map_or(0, |rate| {
            let exact = u128::from(rate) * u128::from(days);
            u64::try_from(exact + exact / 10).unwrap_or(u64::MAX)
        });
        let total = needed.max(self.budget).saturating_add(self.keep_free);
        if needed > self.budget || total > self.size {
            let budget = needed.max(self.budget).div_ceil(MIB).saturating_mul(MIB);
            return Fits::Needs { budget, size: self.size_for(budget) };
        }
        Fits::PerDay(self.budget / days)
    }

    /// How large a file system would have to be for this budget, what is then left free of it included.
    fn size_for(&self, budget: u64) -> u64 {
        if self.is_free_given {
            return budget.saturating_add(self.keep_free);
        }
        let tenth = budget.div_ceil(9).saturating_mul(10);
        tenth.min(budget.saturating_add(MOST_KEPT_FREE))
    }
}

#[cfg(test)]
#[path = "sizing_tests.rs"]
mod tests;
