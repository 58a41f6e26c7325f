//! What the journal files of a host hold together.

use std::collections::BTreeSet;

use super::{
    file::{self, Asked, Contents, Dropped, SLACK},
    forecast::DAY,
    numbers::{self, Hole, Range},
    samples::{FileNote, FileNotes},
    series::{Part, Series},
};
use crate::host::{Reader, journal_files::Found};

/// Over how long volume is measured, in seconds: a week, so that busy and idle days are in it.
pub(super) const WINDOW: u64 = 7 * DAY;

/// A journal file that cannot be read, or not in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls::logs) struct Faulty {
    /// Where it is.
    pub(in crate::controls::logs) path: String,
    /// What is wrong with it.
    pub(in crate::controls::logs) why: String,
}

/// All journal files of one folder. Moments and spans are in seconds, sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::controls::logs) struct Journal {
    /// The folder.
    pub(in crate::controls::logs) dir: String,
    /// How many files are in it.
    pub(in crate::controls::logs) files: u64,
    /// What they take.
    pub(in crate::controls::logs) used: u64,
    /// What the largest takes.
    pub(in crate::controls::logs) largest: u64,
    /// The longest time that one of its files spans, in seconds.
    pub(in crate::controls::logs) longest: u64,
    /// When anybody wrote.
    pub(in crate::controls::logs) all: Series,
    /// Entries were numbered before the oldest one that is kept, and are gone.
    pub(in crate::controls::logs) has_lost_its_beginning: bool,
    /// Entries that are missing between files.
    pub(in crate::controls::logs) holes: Vec<Hole>,
    /// Files that were not closed when the host went down, and were put aside.
    pub(in crate::controls::logs) unclean: Vec<String>,
    /// Files that cannot be read.
    pub(in crate::controls::logs) faulty: Vec<Faulty>,
    /// What was thrown away.
    pub(in crate::controls::logs) dropped: Vec<Dropped>,
    /// What it grows by in a day; `None` where less than a day of it has been seen.
    pub(in crate::controls::logs) per_day: Option<u64>,
    /// How many files are begun in a hundred days.
    pub(in crate::controls::logs) files_per_hundred_days: u64,
    /// What journald said that it may use, and that it leaves free.
    pub(in crate::controls::logs) limits: Option<(u64, u64)>,
}

/// What one journal has of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// When it wrote, in all files.
    pub(super) part: Part,
    /// What it took in the last days, in bytes.
    pub(super) recent: u64,
    /// Its newest entry, in seconds since the epoch: not looked for among all of them with each file that is added.
    newest: Option<u64>,
    /// The namespace of the journal that its newest entry is in.
    pub(super) namespace: Option<String>,
}

impl Kept {
    /// Adds what the journal of this namespace, or a file of it, has of the source.
    pub(super) fn add(&mut self, part: &Part, recent: u64, namespace: Option<&str>) {
        let newest = part.stretches.iter().map(|stretch| stretch.last).max();
        if newest > self.newest {
            self.newest = newest;
            self.namespace = namespace.map(str::to_owned);
        }
        self.part.stretches.extend(&part.stretches);
        self.part.future = self.part.future.saturating_add(part.future);
        self.recent = self.recent.saturating_add(recent);
    }
}

/// Reads the journal in a folder, and what it has of each source. `notes` are those of earlier looks, and become those
/// for later ones.
///
/// # Errors
/// When the folder is there and cannot be listed.
pub(super) fn read(
    host: &Reader,
    dir: &str,
    asked: &Asked<'_>,
    notes: &mut FileNotes,
) -> Result<(Journal, Vec<Kept>), String> {
    let found = host.files().journals(dir).map_err(|error| {
        let hint = if error.is_permission() { "; run holdfast as root" } else { "" };
        format!("{}{hint}", error.chain())
    })?;
    let mut journal = Journal { dir: dir.to_owned(), ..Journal::default() };
    let mut earlier = notes.take(dir);
    let (mut files, mut unknown): (Vec<(Found, Contents)>, _) = (Vec::new(), Vec::new());
    for each in found {
        match earlier.remove(&each.name).filter(|note| note.stamp == each.stamp) {
            Some(note) => {
                journal.count(&each);
                files.push((each, note.contents));
            }
            None => unknown.push(each),
        }
    }
    let read = host.files().look_into(&unknown, |found, file| file::read(file, &found.dir, asked));
    for (each, read) in unknown.into_iter().zip(read) {
        let (contents, fault) = match read {
            // journald has deleted it since the folder was listed.
            Ok(None) => continue,
            Ok(Some((contents, fault))) => (Some(contents), fault),
            Err(fault) => (None, Some(fault)),
        };
        journal.count(&each);
        journal.faulty.extend(fault.map(|why| Faulty { path: each.path(), why: why.to_string() }));
        files.extend(contents.map(|contents| (each, contents)));
    }
    journal.unclean.sort_unstable();
    let kept = journal.sum(&files, asked);
    let is_closed = |(found, contents): &(Found, Contents)| {
        (contents.is_closed || found.is_put_aside()) && contents.lasts(asked.now)
    };
    let faulty: BTreeSet<&String> = journal.faulty.iter().map(|each| &each.path).collect();
    let lasting = files.into_iter().filter(is_closed);
    let lasting = lasting.filter(|(found, _)| faulty.is_empty() || !faulty.contains(&found.path()));
    let lasting = lasting
        .map(|(found, contents)| (found.name, FileNote { stamp: found.stamp, contents }))
        .collect();
    notes.put(dir, lasting);
    Ok((journal, kept))
}

impl Journal {
    fn count(&mut self, found: &Found) {
        self.files += 1;
        self.used = self.used.saturating_add(found.disk_bytes);
        self.largest = self.largest.max(found.disk_bytes);
        if found.is_put_aside() {
            self.unclean.push(found.path());
        }
    }

    /// Puts together what its files hold.
    fn sum(&mut self, files: &[(Found, Contents)], asked: &Asked<'_>) -> Vec<Kept> {
        let mut kept = vec![Kept::default(); asked.wanted.len()];
        let mut recent = 0;
        for (found, contents) in files {
            let bytes = recent_bytes(found, contents, asked.now);
            recent += bytes;
            for (kept, of) in kept.iter_mut().zip(&contents.sources) {
                let share = u128::from(bytes) * u128::from(of.share) / 1_000_000;
                kept.add(&of.part, u64::try_from(share).unwrap_or(bytes), None);
            }
            self.dropped.extend(contents.dropped.iter().cloned());
        }
        self.all = Series::join(files.iter().map(|(_, contents)| &contents.all), asked.max_gap);
        let begins = |(_, contents): &&(Found, Contents)| {
            contents.all.stretches.first().map_or(u64::MAX, |stretch| stretch.first)
        };
        let oldest = files.iter().filter(|(_, contents)| contents.entries > 0).min_by_key(begins);
        self.has_lost_its_beginning = oldest.is_some_and(|(_, oldest)| oldest.head_seqnum > 1);
        let spans = files.iter().map(|(_, contents)| contents.tail.saturating_sub(contents.head));
        self.longest = spans.max().unwrap_or(0);
        self.holes = numbers::holes(files.iter().filter_map(range));
        let said = files.iter().filter(|(_, contents)| contents.limits.is_some());
        let newest = said.max_by_key(|(_, contents)| contents.tail);
        self.limits = newest.and_then(|(_, contents)| contents.limits);
        self.grow(files, recent, asked.now);
        kept
    }

    /// Works out what it grows by: the greater of what the last week and what all of it says.
    fn grow(&mut self, files: &[(Found, Contents)], recent: u64, now: u64) {
        let Some(oldest) = self.all.oldest() else { return };
        let age = now.saturating_sub(oldest);
        if age < DAY {
            return;
        }
        let per_day = |bytes: u64, span: u64| {
            u64::try_from(u128::from(bytes) * u128::from(DAY) / u128::from(span.max(1)))
                .unwrap_or(u64::MAX)
        };
        let all =
            per_day(files.iter().map(|(found, contents)| written(found, contents)).sum(), age);
        self.per_day = Some(all.max(per_day(recent, age.min(WINDOW))));
        self.files_per_hundred_days = per_day(self.files.saturating_mul(100), age);
    }
}

/// Which entries a file has, where that is known.
fn range((found, contents): &(Found, Contents)) -> Option<Range> {
    let is_known = contents.entries > 0 && contents.count > 0;
    is_known.then_some(Range {
        count: contents.count,
        head: contents.head_seqnum,
        tail: contents.tail_seqnum,
        first: contents.head,
        last: contents.tail,
        is_systems: found.name.starts_with("system"),
        is_closed: contents.is_closed || found.is_put_aside(),
    })
}

/// How much of a file was written in the last days.
fn recent_bytes(found: &Found, contents: &Contents, now: u64) -> u64 {
    let (head, tail) = (contents.head, contents.tail);
    let (from, to) = (head.max(now.saturating_sub(WINDOW)), tail.min(now));
    if contents.entries == 0 || head > now + SLACK || to < from {
        return 0;
    }
    let bytes = written(found, contents);
    let share = u128::from(bytes) * u128::from(to - from + 1) / u128::from((tail - head) + 1);
    u64::try_from(share).unwrap_or(bytes).min(bytes)
}

/// What of a file is written: the one in use has been given room in advance.
fn written(found: &Found, contents: &Contents) -> u64 {
    if contents.is_closed { found.disk_bytes } else { found.disk_bytes.min(contents.written) }
}
