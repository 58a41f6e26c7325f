//! What one journal file holds, of everybody and of each source.
//!
//! Where a whole file lies within the longest silence allowed, its head says all there is to say of everybody; for a
//! source a few entries are looked at. An archived file never changes, so that what was read of it is noted, and not read
//! again ([`super::samples`]).

use serde::{Deserialize, Serialize};

use super::series::{self, Part, Stretch};
use crate::host::journal_files::{Entries, Fault, JournalFile, Source, State};

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::controls::logs) struct Dropped {
    /// Whose.
    pub(in crate::controls::logs) unit: String,
    /// How many.
    pub(in crate::controls::logs) count: u64,
    /// When that was said, in seconds since the epoch.
    pub(in crate::controls::logs) at: u64,
}

/// What is asked of each file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The sources.
    pub(super) wanted: &'a [Wanted],
    /// The longest silence of the journal as a whole that is no gap, in seconds.
    pub(super) max_gap: u64,
    /// Now, in seconds since the epoch.
    pub(super) now: u64,
    /// Since when volume is measured, likewise.
    pub(super) weighed_since: u64,
}

impl Asked<'_> {
    /// The same for as long as the profile asks the same.
    pub(super) fn key(&self) -> String {
        let sources = self.wanted.iter().map(|each| format!("|{} {}", each.field, each.max_gap));
        format!("{}{}", self.max_gap, sources.collect::<String>())
    }
}

/// What a file holds. Moments are in seconds since the epoch, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Noted", into = "Noted")]
pub(super) struct Contents {
    /// Nobody writes to it any more.
    pub(super) is_closed: bool,
    /// How many entries are in it.
    pub(super) entries: u64,
    /// The number of the first.
    pub(super) head_seqnum: u64,
    /// The number of the last.
    pub(super) tail_seqnum: u64,
    /// What distinguishes the count that these are of from others; 0 where that is not known.
    pub(super) count: u64,
    /// When the first was written.
    pub(super) head: u64,
    /// When the last was written.
    pub(super) tail: u64,
    /// How much of it is written.
    pub(super) written: u64,
    /// When anybody wrote.
    pub(super) all: Part,
    /// Of each source, in the order in which they were asked for.
    pub(super) sources: Vec<OfSource>,
    /// What was thrown away, as it was said in this file.
    pub(super) dropped: Vec<Dropped>,
    /// What journald said last, in this file, that it may use, and that it leaves free.
    pub(super) limits: Option<(u64, u64)>,
}

/// How it is noted: without names, which are longer than what they name, and there are a thousand of these.
type Noted = (bool, [u64; 7], Part, Vec<OfSource>, Vec<Dropped>, Option<(u64, u64)>);

impl From<Noted> for Contents {
    fn from((is_closed, numbers, all, sources, dropped, limits): Noted) -> Self {
        let [entries, head_seqnum, tail_seqnum, count, head, tail, written] = numbers;
        Self {
            is_closed,
            entries,
            head_seqnum,
            tail_seqnum,
            count,
            head,
            tail,
            written,
            all,
            sources,
            dropped,
            limits,
        }
    }
}

impl From<Contents> for Noted {
    fn from(of: Contents) -> Self {
        let numbers =
            [of.entries, of.head_seqnum, of.tail_seqnum, of.count, of.head, of.tail, of.written];
        (of.is_closed, numbers, of.all, of.sources, of.dropped, of.limits)
    }
}

/// What a file has of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Part, u64)", into = "(Part, u64)")]
pub(super) struct OfSource {
    /// When it wrote.
    pub(super) part: Part,
    /// Its share of the file, in millionths; 0 for a file too old to be weighed.
    pub(super) share: u64,
}

impl From<(Part, u64)> for OfSource {
    fn from((part, share): (Part, u64)) -> Self {
        Self { part, share }
    }
}

impl From<OfSource> for (Part, u64) {
    fn from(of: OfSource) -> Self {
        (of.part, of.share)
    }
}

impl Contents {
    /// Whether this can be held to for as long as the file is the same: entries from the future will not be from there
    /// for ever.
    pub(super) fn lasts(&self, now: u64) -> bool {
        self.all.future == 0 && self.tail <= now
    }
}

/// Reads a file in this folder, and what is wrong with a part of it.
///
/// # Errors
/// When it cannot be told when anything was written.
pub(super) fn read<S: Source>(
    file: &JournalFile<S>,
    dir: &str,
    asked: &Asked<'_>,
) -> Result<(Contents, Option<Fault>), Fault> {
    let header = &file.header;
    let mut contents = Contents {
        is_closed: header.state == State::Archived,
        entries: header.entries,
        head_seqnum: header.head_seqnum,
        tail_seqnum: header.tail_seqnum,
        count: header.seqnum_id.iter().take(8).fold(0, |count, byte| count << 8 | u64::from(*byte)),
        head: header.head / 1_000_000,
        tail: header.tail / 1_000_000,
        written: header.written(),
        all: Part::default(),
        sources: Vec::new(),
        dropped: Vec::new(),
        limits: None,
    };
    if header.entries > 0 {
        contents.all = whole(file, &contents, asked)?;
    }
    let fault =
        if header.entries > 0 { parts(file, dir, asked, &mut contents).err() } else { None };
    contents.sources.resize(asked.wanted.len(), OfSource::default());
    Ok((contents, fault))
}

/// When anybody wrote.
fn whole<S: Source>(
    file: &JournalFile<S>,
    contents: &Contents,
    asked: &Asked<'_>,
) -> Result<Part, Fault> {
    let (first, last) = (contents.head, contents.tail);
    let is_short = last.checked_sub(first).is_some_and(|span| span <= asked.max_gap);
    if is_short && last <= asked.now + SLACK {
        let all = Stretch { first, last, entries: contents.entries };
        return Ok(Part { stretches: vec![all], future: 0 });
    }
    series_of(file, &file.all(), asked.max_gap, asked.now)
}

fn series_of<S: Source>(
    file: &JournalFile<S>,
    entries: &Entries,
    max_gap: u64,
    now: u64,
) -> Result<Part, Fault> {
    series::part(entries.len(), now + SLACK, max_gap, |index| {
        file.time(entries, index).map(|micros| micros / 1_000_000)
    })
}

/// What has to be looked up.
fn parts<S: Source>(
    file: &JournalFile<S>,
    dir: &str,
    asked: &Asked<'_>,
    contents: &mut Contents,
) -> Result<(), Fault> {
    let is_weighed = contents.tail >= asked.weighed_since && contents.head <= asked.now + SLACK;
    let mut of_all = None;
    for wanted in asked.wanted {
        // What is not in the journal is asked for by no field.
        if wanted.field.is_empty() {
            contents.sources.push(OfSource::default());
            continue;
        }
        let entries = file.with(&wanted.field)?;
        let part = series_of(file, &entries, wanted.max_gap, asked.now)?;
        let mut share = 0;
        if is_weighed && !entries.is_empty() {
            let of_all = match of_all {
                Some(weight) => weight,
                None => *of_all.insert(weight(file, &file.all())?),
            };
            let own = weight(file, &entries)?.min(of_all);
            share = u64::try_from(own * 1_000_000 / of_all.max(1)).unwrap_or_default();
        }
        contents.sources.push(OfSource { part, share });
    }
    dropped(file, asked.now, &mut contents.dropped)?;
    contents.limits = limits(file, dir)?;
    Ok(())
}

/// What entries take of a file, told from a few of them that lie evenly.
fn weight<S: Source>(file: &JournalFile<S>, entries: &Entries) -> Result<u128, Fault> {
    let count = entries.len().min(WEIGHED);
    let mut total: u128 = 0;
    for index in 0..count {
        total += u128::from(file.weight(entries, index * entries.len() / count)?);
    }
    Ok(total * u128::from(entries.len()) / u128::from(count.max(1)))
}

fn dropped<S: Source>(
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

/// What journald said last, in this file, of the limits of the journal in this folder.
fn limits<S: Source>(file: &JournalFile<S>, dir: &str) -> Result<Option<(u64, u64)>, Fault> {
    let entries = file.with(USAGE)?;
    for index in (entries.len().saturating_sub(USAGE_READ)..entries.len()).rev() {
        if let Some(limits) = limits_of(&file.fields(&entries, index)?, dir) {
            return Ok(Some(limits));
        }
    }
    Ok(None)
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
