//! What the journal files of a host hold.

use super::{
    forecast::DAY,
    series::{self, Part, Series},
};
use crate::host::{
    Reader,
    journal_files::{Entries, Fault, Found, JournalFile, State},
};

/// What journald says when it has thrown messages away, `SD_MESSAGE_JOURNAL_DROPPED` in sd-messages(3).
const DROPPED: &str = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e";

/// What journald says of its limits when it opens a journal, `SD_MESSAGE_JOURNAL_USAGE` in sd-messages(3).
const USAGE: &str = "MESSAGE_ID=ec387f577b844b8fa948f33cad9a75e6";

/// How many of the newest such messages are read in each file; of more it is said that there are at least so many.
const DROPPED_READ: u64 = 200;

/// How many of the newest messages about limits are read until one is of this journal.
const USAGE_READ: u64 = 8;

/// From how many entries of a file it is told what an entry of a source takes.
const WEIGHED: u64 = 8;

/// Over how long volume is measured, in seconds: a week, so that busy and idle days are in it.
const WINDOW: u64 = 7 * DAY;

/// A clock that is a little behind the one that wrote is no finding, in seconds.
pub(super) const SLACK: u64 = 300;

/// A source in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its entries have this, as `FIELD=value`.
    pub(super) field: String,
    /// The longest silence that is no gap, in seconds.
    pub(super) max_gap: u64,
}

/// Messages that journald threw away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls::logs) struct Dropped {
    /// Whose.
    pub(in crate::controls::logs) unit: String,
    /// How many.
    pub(in crate::controls::logs) count: u64,
    /// When that was said, in seconds since the epoch.
    pub(in crate::controls::logs) at: u64,
}

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
    /// When anybody wrote.
    pub(in crate::controls::logs) all: Series,
    /// Entries were numbered before the oldest one that is kept, and are gone.
    pub(in crate::controls::logs) has_lost_its_beginning: bool,
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
    /// When it wrote, file by file.
    pub(super) parts: Vec<Part>,
    /// What it took in the last days, in bytes.
    pub(super) recent: u64,
}

/// Reads the journal in a folder, and what it has of each source. `max_gap` is that of the journal as a whole.
///
/// # Errors
/// When the folder is there and cannot be listed.
pub(super) fn read(
    host: &Reader,
    dir: &str,
    wanted: &[Wanted],
    max_gap: u64,
    now: u64,
) -> Result<(Journal, Vec<Kept>), String> {
    let found = host.files().journals(dir).map_err(|error| {
        let hint = if error.is_permission() { "; run holdfast as root" } else { "" };
        format!("{}{hint}", error.chain())
    })?;
    let mut journal = Journal { dir: dir.to_owned(), ..Journal::default() };
    let mut kept = vec![Kept::default(); wanted.len()];
    let mut parts = Vec::new();
    let mut recent = 0;
    let mut begins: Option<(u64, u64)> = None;
    for each in &found {
        journal.files += 1;
        journal.used = journal.used.saturating_add(each.disk_bytes);
        journal.largest = journal.largest.max(each.disk_bytes);
        if each.is_put_aside() {
            journal.unclean.push(each.path.clone());
        }
        let fault = |fault: &Fault| Faulty { path: each.path.clone(), why: fault.to_string() };
        let file = match &each.file {
            Ok(file) => file,
            Err(why) => {
                journal.faulty.push(fault(why));
                continue;
            }
        };
        if file.header.entries == 0 {
            continue;
        }
        match whole(file, max_gap, now) {
            Ok((all, part)) => {
                if let Some(first) = part.stretches.first()
                    && begins.is_none_or(|(oldest, _)| first.first < oldest)
                {
                    begins = Some((first.first, file.header.head_seqnum));
                }
                parts.push(part);
                let bytes = recent_bytes(each, file, now);
                recent += bytes;
                let read = sources(file, &all, wanted, &mut kept, bytes, now)
                    .and_then(|()| dropped(file, now, &mut journal.dropped));
                if let Err(why) = read {
                    journal.faulty.push(fault(&why));
                }
            }
            Err(why) => journal.faulty.push(fault(&why)),
        }
    }
    journal.limits = limits(&found, dir);
    journal.all = Series::join(parts, max_gap);
    journal.has_lost_its_beginning = begins.is_some_and(|(_, seqnum)| seqnum > 1);
    volume(&mut journal, &found, recent, now);
    Ok((journal, kept))
}

/// All entries of a file, and when they were written.
fn whole<S: crate::host::journal_files::Source>(
    file: &JournalFile<S>,
    max_gap: u64,
    now: u64,
) -> Result<(Entries, Part), Fault> {
    let all = file.all()?;
    let part = series::part(all.len(), now + SLACK, max_gap, |index| {
        file.time(&all, index).map(|micros| micros / 1_000_000)
    })?;
    Ok((all, part))
}

fn sources<S: crate::host::journal_files::Source>(
    file: &JournalFile<S>,
    all: &Entries,
    wanted: &[Wanted],
    kept: &mut [Kept],
    bytes: u64,
    now: u64,
) -> Result<(), Fault> {
    let mut weight_of_all = None;
    for (wanted, kept) in wanted.iter().zip(kept) {
        let entries = file.with(&wanted.field)?;
        if entries.is_empty() {
            continue;
        }
        kept.parts.push(series::part(entries.len(), now + SLACK, wanted.max_gap, |index| {
            file.time(&entries, index).map(|micros| micros / 1_000_000)
        })?);
        if bytes > 0 {
            let of_all = match weight_of_all {
                Some(weight) => weight,
                None => *weight_of_all.insert(weight(file, all)?),
            };
            let own = weight(file, &entries)?.min(of_all);
            let share = u128::from(bytes) * own / of_all.max(1);
            kept.recent = kept.recent.saturating_add(u64::try_from(share).unwrap_or(u64::MAX));
        }
    }
    Ok(())
}

/// What entries take of a file, told from a few of them that lie evenly.
fn weight<S: crate::host::journal_files::Source>(
    file: &JournalFile<S>,
    entries: &Entries,
) -> Result<u128, Fault> {
    let count = entries.len().min(WEIGHED);
    let mut total: u128 = 0;
    for index in 0..count {
        total += u128::from(file.weight(entries, index * entries.len() / count)?);
    }
    Ok(total * u128::from(entries.len()) / u128::from(count.max(1)))
}

/// How much of a file was written in the last days.
fn recent_bytes<S: crate::host::journal_files::Source>(
    found: &Found,
    file: &JournalFile<S>,
    now: u64,
) -> u64 {
    let (head, tail) = (file.header.head / 1_000_000, file.header.tail / 1_000_000);
    let (from, to) = (head.max(now.saturating_sub(WINDOW)), tail.min(now));
    if head > now + SLACK || to < from {
        return 0;
    }
    let bytes = written(found, file);
    let share = u128::from(bytes) * u128::from(to - from + 1) / u128::from((tail - head) + 1);
    u64::try_from(share).unwrap_or(bytes).min(bytes)
}

/// What of a file is written: the one in use has been given room in advance.
fn written<S: crate::host::journal_files::Source>(found: &Found, file: &JournalFile<S>) -> u64 {
    match file.header.state {
        State::Archived => found.disk_bytes,
        State::Online | State::Offline => found.disk_bytes.min(file.header.written()),
    }
}

/// Works out what a journal grows by: the greater of what the last week and what all of it says.
fn volume(journal: &mut Journal, found: &[Found], recent: u64, now: u64) {
    let Some(oldest) = journal.all.oldest() else { return };
    let age = now.saturating_sub(oldest);
    if age < DAY {
        return;
    }
    let per_day = |bytes: u64, span: u64| {
        u64::try_from(u128::from(bytes) * u128::from(DAY) / u128::from(span.max(1)))
            .unwrap_or(u64::MAX)
    };
    let sound = found.iter().filter_map(|each| Some(written(each, each.file.as_ref().ok()?)));
    let all = per_day(sound.sum(), age);
    journal.per_day = Some(all.max(per_day(recent, age.min(WINDOW))));
    journal.files_per_hundred_days = per_day(journal.files.saturating_mul(100), age);
}

fn dropped<S: crate::host::journal_files::Source>(
    file: &JournalFile<S>,
    now: u64,
    into: &mut Vec<Dropped>,
) -> Result<(), Fault> {
    let entries = file.with(DROPPED)?;
    for index in entries.len().saturating_sub(DROPPED_READ)..entries.len() {
        let at = file.time(&entries, index)? / 1_000_000;
        let fields = file.fields(&entries, index)?;
        into.extend(drop_of(&fields, at.min(now)));
    }
    Ok(())
}

/// Reads such a message. journald names the unit of the process that wrote too much, where that still runs, and in its
/// text what it counts by: the unit, or its control group.
fn drop_of(fields: &[String], at: u64) -> Option<Dropped> {
    let of = |name: &str| fields.iter().find_map(|field| field.strip_prefix(name));
    let count = of("N_DROPPED=")?.parse().ok()?;
    let text = of("MESSAGE=").unwrap_or_default();
    let counted = text.rsplit_once(" from ").map(|(_, name)| name.trim_end_matches('.'));
    let unit = of("OBJECT_SYSTEMD_UNIT=").or(counted).unwrap_or("an unknown unit");
    let unit = unit.rsplit('/').next().unwrap_or(unit).to_owned();
    Some(Dropped { unit, count, at })
}

/// What journald said last of this journal's limits.
fn limits(found: &[Found], dir: &str) -> Option<(u64, u64)> {
    let mut files: Vec<_> = found.iter().filter_map(|each| each.file.as_ref().ok()).collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.header.tail));
    files.into_iter().find_map(|file| {
        let entries = file.with(USAGE).ok()?;
        let newest = (entries.len().saturating_sub(USAGE_READ)..entries.len()).rev();
        newest.into_iter().find_map(|index| limits_of(&file.fields(&entries, index).ok()?, dir))
    })
}

fn limits_of(fields: &[String], dir: &str) -> Option<(u64, u64)> {
    let of = |name: &str| fields.iter().find_map(|field| field.strip_prefix(name));
    let number = |name: &str| of(name)?.parse().ok();
    (of("JOURNAL_PATH=")? == dir).then_some((number("MAX_USE=")?, number("DISK_KEEP_FREE=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn whose_messages_were_thrown_away() {
        let unit = |text: &str| drop_of(&fields(text), 7).map(|found| (found.unit, found.count));
        assert_eq!(
            unit("MESSAGE=Suppressed 12 messages from signer.service|N_DROPPED=12"),
            Some(("signer.service".to_owned(), 12))
        );
        assert_eq!(
            unit("MESSAGE=Suppressed 12 messages from /system.slice/docker.service|N_DROPPED=12"),
            Some(("docker.service".to_owned(), 12))
        );
        assert_eq!(
            unit("N_DROPPED=3|OBJECT_SYSTEMD_UNIT=a.service|MESSAGE=Suppressed 3 messages from b"),
            Some(("a.service".to_owned(), 3))
        );
        assert_eq!(unit("MESSAGE=Suppressed 12 messages from x"), None);
        assert_eq!(unit("N_DROPPED=-1|MESSAGE="), None);
    }

    #[test]
    fn limits_are_those_of_this_journal() {
        let said = fields("JOURNAL_PATH=/var/log/journal/a|MAX_USE=10|DISK_KEEP_FREE=5");
        assert_eq!(limits_of(&said, "/var/log/journal/a"), Some((10, 5)));
        assert_eq!(limits_of(&said, "/run/log/journal/a"), None);
    }
}
