//! What was measured, as it is shown.

use jiff::Timestamp;
use serde::Serialize;

use super::{Forecast, Measured, OnHost, Place, Series, Source, Space};

/// A line of the table: the journal as a whole, a namespace's, or a source.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The source's name; of a whole journal its folder.
    pub name: String,
    /// `journal`, `unit`, `container` or `file`.
    pub kind: &'static str,
    /// By what its entries are known: `FIELD=value`, or a path.
    pub from: String,
    /// How long it must be kept, in seconds.
    pub keep: u64,
    /// The oldest entry.
    pub oldest: Option<Timestamp>,
    /// The newest.
    pub newest: Option<Timestamp>,
    /// How far back it reaches, in seconds.
    pub reach: Option<u64>,
    /// How many entries there are; null where they are not counted.
    pub entries: Option<u64>,
    /// What it grows by in a day, in bytes.
    pub bytes_per_day: Option<u64>,
    /// How many seconds' worth of entries its journal will hold.
    pub holds: Option<u64>,
    /// From when on entries will be deleted too early.
    pub short_on: Option<Timestamp>,
    /// Longer silences than allowed, within the retention.
    pub gaps: Vec<Silence>,
    /// How many of its messages were thrown away; null where it does not go through journald.
    pub lost: Option<u64>,
    /// Why nothing can be said of it.
    pub why: Option<String>,
}

/// A silence.
#[derive(Debug, Clone, Serialize)]
pub struct Silence {
    /// The last entry before it.
    pub from: Option<Timestamp>,
    /// The first after it, or now.
    pub to: Option<Timestamp>,
}

/// A journal's files.
#[derive(Debug, Clone, Serialize)]
pub struct Files {
    /// The folder.
    pub dir: String,
    /// The journal namespace; null for the host's own.
    pub namespace: Option<String>,
    /// Gone at the next boot.
    pub in_memory: bool,
    /// How many files.
    pub files: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// What they may take, as the file system is now, in bytes.
    pub capacity: Option<u64>,
    /// What others on its file system grow by in a day, in bytes; null while that is not known.
    pub others_per_day: Option<u64>,
    /// Entries from the future.
    pub future: u64,
    /// Older entries were there, and are gone.
    pub begins_with_a_deletion: bool,
    /// Files that were not closed cleanly.
    pub unclean: Vec<String>,
    /// Files that cannot be read: `path`, `why`.
    pub faulty: Vec<Faulty>,
}

/// A file that cannot be read.
#[derive(Debug, Clone, Serialize)]
pub struct Faulty {
    /// Where.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Measured {
    /// The table: whole journals first, then the sources in the profile's order.
    pub(in crate::controls::logs) fn rows(&self) -> Vec<Row> {
        let journals = self.journals.iter().flatten().map(|each| self.journal_row(each));
        journals.chain(self.sources.iter().map(|source| self.source_row(source))).collect()
    }

    /// What there is of files.
    pub(in crate::controls::logs) fn files(&self) -> Vec<Files> {
        let files = |each: &OnHost| Files {
            dir: each.journal.dir.clone(),
            namespace: each.namespace.clone(),
            in_memory: each.is_in_memory,
            files: each.journal.files,
            bytes: each.journal.used,
            capacity: each.space.map(|space| space.capacity()),
            others_per_day: each.space.and_then(|space| space.others_per_day),
            future: each.journal.all.future,
            begins_with_a_deletion: each.journal.has_lost_its_beginning,
            unclean: each.journal.unclean.clone(),
            faulty: each
                .journal
                .faulty
                .iter()
                .map(|each| Faulty { path: each.path.clone(), why: each.why.clone() })
                .collect(),
        };
        self.journals.iter().flatten().map(files).collect()
    }

    fn journal_row(&self, each: &OnHost) -> Row {
        let (holds, short_on) = self.lasts(each.space);
        let keep = each.space.map_or(self.keep, |space| space.keep);
        let dropped =
            each.journal.dropped.iter().filter(|each| each.at.saturating_add(keep) >= self.now);
        Row {
            name: each.journal.dir.clone(),
            kind: "journal",
            from: each.journal.dir.clone(),
            keep,
            bytes_per_day: each.journal.per_day,
            holds,
            short_on,
            lost: Some(dropped.map(|each| each.count).sum()),
            ..self.row(&each.journal.all, keep, self.max_gap)
        }
    }

    fn source_row(&self, source: &Source) -> Row {
        let (kind, from) = match &source.place {
            Place::Journal(field) if field.starts_with("_SYSTEMD_UNIT=") => ("unit", field.clone()),
            Place::Journal(field) => ("container", field.clone()),
            Place::File(path) => ("file", path.clone()),
            Place::Nowhere(_) | Place::Unread(_) => ("container", String::new()),
        };
        let none = Series::default();
        let series = source.series.as_ref().unwrap_or(&none);
        let in_journal = matches!(source.place, Place::Journal(_));
        let journal = self.journal_of(source).filter(|_| in_journal);
        let space = journal.map_or(source.space, |journal| journal.space);
        let (holds, short_on) = self.lasts(space);
        let row = self.row(series, source.keep, source.max_gap);
        Row {
            name: source.name.clone(),
            kind,
            from,
            entries: row.entries.filter(|_| in_journal),
            bytes_per_day: source.per_day,
            holds,
            short_on,
            lost: source.lost.as_ref().map(|lost| lost.iter().map(|each| each.count).sum()),
            why: source.series.as_ref().err().cloned(),
            ..row
        }
    }

    /// What a series itself says.
    fn row(&self, series: &Series, keep: u64, max_gap: u64) -> Row {
        let gaps = series.gaps(self.now.saturating_sub(keep), self.now, max_gap);
        let gaps = gaps.into_iter().map(|gap| Silence { from: at(gap.from), to: at(gap.to) });
        Row {
            name: String::new(),
            kind: "journal",
            from: String::new(),
            keep,
            oldest: series.oldest().and_then(at),
            newest: series.newest().and_then(at),
            reach: series.oldest().map(|oldest| self.now.saturating_sub(oldest)),
            entries: Some(series.entries()),
            bytes_per_day: None,
            holds: None,
            short_on: None,
            gaps: gaps.collect(),
            lost: None,
            why: None,
        }
    }

    fn lasts(&self, space: Option<Space>) -> (Option<u64>, Option<Timestamp>) {
        let on = |short_in: u64| at(self.now.saturating_add(short_in));
        match space.map(|space| space.forecast()) {
            None | Some(Forecast::TooYoung) => (None, None),
            Some(Forecast::Ceiling { floor }) => (Some(floor), None),
            Some(Forecast::Lasts { holds, short_in }) => (Some(holds), short_in.and_then(on)),
            Some(Forecast::Short { holds, short_in, .. }) => (Some(holds), on(short_in)),
        }
    }
}

fn at(second: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(second).ok()?).ok()
}
