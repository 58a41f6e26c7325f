//! What must be observed over time: how fast others fill the file system that the journal is on, and which entries were
//! there once.
//!
//! Each look notes how full it is, what of that is the journal, and the oldest entry of each source;
//! `/var/lib/holdfast/log-samples.json` holds a month of these notes. What archived files hold is noted there too, so that
//! each is read once. It is holdfast's own; when it is lost, the forecast begins anew and the next look takes longer.

use std::{
    collections::BTreeMap,
    hash::{Hash as _, Hasher as _},
};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use super::{file::Contents, forecast::DAY};
use crate::host::journal_files::Stamp;

/// Where the notes are, and under which name in holdfast's folder.
pub(super) const PATH: &str = "/var/lib/holdfast/log-samples.json";
pub(super) const NAME: &str = "log-samples.json";

/// How far apart notes are at least, and how long they are kept, in seconds.
const EVERY: u64 = DAY / 4;
const KEPT: u64 = 30 * DAY;

/// The version of their format; another one counts as none.
const FORMAT: u32 = 2;

/// One look at a file system. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::controls::logs) struct Sample {
    /// When, in seconds since the epoch.
    pub(in crate::controls::logs) at: u64,
    /// Which journal's.
    pub(in crate::controls::logs) dir: String,
    /// How large it is.
    pub(in crate::controls::logs) total: u64,
    /// What is free.
    pub(in crate::controls::logs) available: u64,
    /// What the journal takes.
    pub(in crate::controls::logs) journal: u64,
}

impl Sample {
    /// What everything else takes.
    fn others(&self) -> u64 {
        self.total.saturating_sub(self.available).saturating_sub(self.journal)
    }
}

/// The notes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::controls::logs) struct Samples {
    format: u32,
    looks: Vec<Sample>,
    /// By source, the oldest entry that any look has seen, in seconds since the epoch.
    #[serde(default)]
    first: BTreeMap<String, u64>,
    #[serde(default)]
    files: FileNotes,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            format: FORMAT,
            looks: Vec::new(),
            first: BTreeMap::new(),
            files: FileNotes::default(),
        }
    }
}

/// What journal files that nobody writes to any more hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileNotes {
    /// What they were asked for: who asks for something else asks them anew.
    asked: String,
    /// By folder and name.
    dirs: BTreeMap<String, BTreeMap<String, FileNote>>,
}

/// What was read of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(Stamp, Contents)", into = "(Stamp, Contents)")]
pub(super) struct FileNote {
    /// Which file it was: while this is the same, so is what it holds.
    pub(super) stamp: Stamp,
    /// What it holds.
    pub(super) contents: Contents,
}

impl From<(Stamp, Contents)> for FileNote {
    fn from((stamp, contents): (Stamp, Contents)) -> Self {
        Self { stamp, contents }
    }
}

impl From<FileNote> for (Stamp, Contents) {
    fn from(note: FileNote) -> Self {
        (note.stamp, note.contents)
    }
}

impl FileNotes {
    /// The notes that answer what is asked.
    pub(super) fn of(self, asked: &str) -> Self {
        if self.asked == asked {
            return self;
        }
        Self { asked: asked.to_owned(), dirs: BTreeMap::new() }
    }

    /// Takes those of a folder out.
    pub(super) fn take(&mut self, dir: &str) -> BTreeMap<String, FileNote> {
        self.dirs.remove(dir).unwrap_or_default()
    }

    /// Puts those of a folder in.
    pub(super) fn put(&mut self, dir: &str, notes: BTreeMap<String, FileNote>) {
        if !notes.is_empty() {
            self.dirs.insert(dir.to_owned(), notes);
        }
    }

    /// Which files they are of.
    fn stamps(&self) -> impl Iterator<Item = (&String, &String, Stamp)> {
        let dirs = self.dirs.iter();
        dirs.flat_map(|(dir, files)| files.iter().map(move |(name, note)| (dir, name, note.stamp)))
    }

    /// One number that is another one when any file is.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = SipHasher24::new();
        self.asked.hash(&mut hasher);
        self.stamps().for_each(|stamp| stamp.hash(&mut hasher));
        hasher.finish()
    }
}

impl Samples {
    /// Reads the notes; damaged ones are none.
    pub(super) fn parse(text: &str) -> Self {
        let read = serde_json::from_str(text).ok();
        read.filter(|samples: &Self| samples.format == FORMAT).unwrap_or_default()
    }

    /// Takes out what is known of files.
    pub(super) fn take_files(&mut self) -> FileNotes {
        std::mem::take(&mut self.files)
    }

    /// The oldest entry of a source that any look has seen, in seconds since the epoch.
    pub(super) fn first(&self, source: &str) -> Option<u64> {
        self.first.get(source).copied()
    }

    /// Adds a look, if the last one was long enough ago, the oldest entries of the sources that there are now, and what
    /// files hold, which may be what was known before; `None` where there is nothing to write.
    pub(super) fn with(
        &self,
        new: &[Sample],
        oldest: &BTreeMap<String, u64>,
        (files, are_new): (FileNotes, bool),
        now: u64,
    ) -> Option<Self> {
        // A clock that was set back leaves notes of the future: they go.
        let is_kept = |sample: &&Sample| sample.at <= now && now - sample.at <= KEPT;
        let mut samples: Vec<Sample> = self.looks.iter().filter(is_kept).cloned().collect();
        let before = samples.len();
        for each in new {
            let last =
                samples.iter().filter(|sample| sample.dir == each.dir).map(|each| each.at).max();
            if last.is_none_or(|last| each.at.saturating_sub(last) >= EVERY) {
                samples.push(each.clone());
            }
        }
        let mut first = oldest.clone();
        for (source, seen) in &self.first {
            // What is not kept at all now was kept once.
            let entry = first.entry(source.clone()).or_insert(*seen);
            *entry = (*entry).min(*seen);
        }
        let is_new = are_new || samples.len() > before || first != self.first;
        is_new.then_some(Self { format: FORMAT, looks: samples, first, files })
    }

    /// What others grew by in a day, up to this look; `None` where less than a day has been observed. A file system of
    /// another size is another one.
    pub(super) fn growth(&self, now: &Sample) -> Option<u64> {
        let is_of_it = |sample: &&Sample| {
            sample.dir == now.dir
                && sample.total == now.total
                && sample.at <= now.at
                && now.at - sample.at <= KEPT
        };
        let first = self.looks.iter().filter(is_of_it).min_by_key(|sample| sample.at)?;
        let span = now.at - first.at;
        if span < DAY {
            return None;
        }
        let grown = u128::from(now.others().saturating_sub(first.others()));
        u64::try_from(grown * u128::from(DAY) / u128::from(span)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> (FileNotes, bool) {
        (FileNotes::default(), false)
    }

    fn sample(at: u64, available: u64, journal: u64) -> Sample {
        Sample { at, dir: "/j".to_owned(), total: 1000, available, journal }
    }

    #[test]
    fn what_others_grow_by() {
        let samples =
            Samples::default().with(&[sample(0, 900, 50)], &BTreeMap::new(), none(), 0).unwrap();
        assert_eq!(samples.growth(&sample(DAY - 1, 500, 50)), None);
        // A hundred less in ten days, of which the journal took fifty.
        assert_eq!(samples.growth(&sample(10 * DAY, 800, 100)), Some(5));
        assert_eq!(samples.growth(&sample(10 * DAY, 950, 50)), Some(0), "they have shrunk");
        let other = Sample { total: 2000, ..sample(10 * DAY, 800, 100) };
        assert_eq!(samples.growth(&other), None, "another file system");
        assert_eq!(samples.growth(&sample(40 * DAY, 0, 0)), None, "too long ago");
    }

    #[test]
    fn notes_are_few_and_end() {
        let mut samples = Samples::default();
        for at in (0..60 * DAY).step_by(3600) {
            if let Some(more) = samples.with(&[sample(at, 900, 50)], &BTreeMap::new(), none(), at) {
                samples = more;
            }
        }
        assert!(samples.looks.len() <= 122, "{}", samples.looks.len());
        assert!(samples.looks.iter().all(|each| each.at >= 29 * DAY));
        let text = serde_json::to_string(&samples).unwrap();
        assert_eq!(Samples::parse(&text), samples);
        for damaged in ["", "{}", &text[1..], &text.replace("\"format\":2", "\"format\":3")] {
            assert_eq!(Samples::parse(damaged), Samples::default());
        }
        // A clock that was set back a year.
        let back = samples.with(&[sample(5, 900, 50)], &BTreeMap::new(), none(), 5).unwrap();
        assert_eq!(back.looks.len(), 1);
    }

    #[test]
    fn what_was_seen_once_is_remembered() {
        let seen = |source: &str, at: u64| BTreeMap::from([(source.to_owned(), at)]);
        let samples = Samples::default().with(&[], &seen("a", 100), none(), 200).unwrap();
        assert_eq!(samples.first("a"), Some(100));
        assert!(samples.with(&[], &seen("a", 150), none(), 200).is_none(), "nothing new");
        let both = samples.with(&[], &seen("b", 150), none(), 200).unwrap();
        assert_eq!((both.first("a"), both.first("b")), (Some(100), Some(150)));
    }
}
