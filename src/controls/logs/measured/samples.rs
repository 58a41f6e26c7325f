//! What must be observed over time: how fast others fill the file system that the journal is on, and which entries were
//! there once.
//!
//! Each look notes how full it is, what of that is the journal, and the oldest entry of each source; `/var/lib/holdfast/log-samples.json` holds a month of
//! these notes. It is holdfast's own, and costs a forecast when it is lost, nothing more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::forecast::DAY;

/// Where the notes are, and under which name in holdfast's folder.
pub(super) const PATH: &str = "/var/lib/holdfast/log-samples.json";
pub(super) const NAME: &str = "log-samples.json";

/// How far apart notes are at least, and how long they are kept, in seconds.
const EVERY: u64 = DAY / 4;
const KEPT: u64 = 30 * DAY;

/// The version of their format; another one counts as none.
const FORMAT: u32 = 1;

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
}

impl Default for Samples {
    fn default() -> Self {
        Self { format: FORMAT, looks: Vec::new(), first: BTreeMap::new() }
    }
}

impl Samples {
    /// Reads the notes; damaged ones are none.
    pub(super) fn parse(text: &str) -> Self {
        let read = serde_json::from_str(text).ok();
        read.filter(|samples: &Self| samples.format == FORMAT).unwrap_or_default()
    }

    /// The oldest entry of a source that any look has seen, in seconds since the epoch.
    pub(super) fn first(&self, source: &str) -> Option<u64> {
        self.first.get(source).copied()
    }

    /// Adds a look, if the last one was long enough ago, and the oldest entries of the sources that there are now; `None`
    /// where there is nothing to write.
    pub(super) fn with(
        &self,
        new: &[Sample],
        oldest: &BTreeMap<String, u64>,
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
        let is_new = samples.len() > before || first != self.first;
        is_new.then_some(Self { format: FORMAT, looks: samples, first })
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

    fn sample(at: u64, available: u64, journal: u64) -> Sample {
        Sample { at, dir: "/j".to_owned(), total: 1000, available, journal }
    }

    #[test]
    fn what_others_grow_by() {
        let samples = Samples::default().with(&[sample(0, 900, 50)], &BTreeMap::new(), 0).unwrap();
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
            if let Some(more) = samples.with(&[sample(at, 900, 50)], &BTreeMap::new(), at) {
                samples = more;
            }
        }
        assert!(samples.looks.len() <= 122, "{}", samples.looks.len());
        assert!(samples.looks.iter().all(|each| each.at >= 29 * DAY));
        let text = serde_json::to_string(&samples).unwrap();
        assert_eq!(Samples::parse(&text), samples);
        for damaged in ["", "{}", &text[1..], &text.replace("\"format\":1", "\"format\":2")] {
            assert_eq!(Samples::parse(damaged), Samples::default());
        }
        // A clock that was set back a year.
        let back = samples.with(&[sample(5, 900, 50)], &BTreeMap::new(), 5).unwrap();
        assert_eq!(back.looks.len(), 1);
    }

    #[test]
    fn what_was_seen_once_is_remembered() {
        let seen = |source: &str, at: u64| BTreeMap::from([(source.to_owned(), at)]);
        let samples = Samples::default().with(&[], &seen("a", 100), 200).unwrap();
        assert_eq!(samples.first("a"), Some(100));
        assert!(samples.with(&[], &seen("a", 150), 200).is_none(), "nothing new");
        let both = samples.with(&[], &seen("b", 150), 200).unwrap();
        assert_eq!((both.first("a"), both.first("b")), (Some(100), Some(150)));
    }
}
