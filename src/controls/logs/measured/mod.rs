//! What is really kept: read from the journal files and logs themselves, never inferred from a setting.
//!
//! - `logs.kept`, `logs.kept/<source>`: is the oldest entry as old as the retention
//! - `logs.gaps`, `logs.gaps/<source>`: was nobody silent for longer than allowed
//! - `logs.lost/<source>`: has journald thrown messages away
//! - `logs.forecast`: will what is written today last
//! - `logs.files`: is the journal on disk and whole
//!
//! A unit's log is what it wrote itself (`_SYSTEMD_UNIT=`); what systemd says about it is not counted. Nothing here is
//! holdfast's to put right, so there are no steps.

mod checks;
pub(in crate::controls::logs) mod container;
mod file;
mod forecast;
mod journal;
mod judge;
mod look;
mod numbers;
mod outlook;
mod place;
mod room;
mod samples;
mod series;
mod stamp;
pub(in crate::controls::logs) mod table;
mod text;

use self::forecast::DAY;
pub(in crate::controls::logs) use self::{
    checks::{FILES, FORECAST, GAPS, KEPT, LOST},
    file::Dropped,
    forecast::{Forecast, Space},
    journal::Journal,
    place::Place,
    samples::Samples,
    series::Series,
};
use crate::engine::check::Judgement;

/// What was found of one source. Spans are in seconds, sizes in bytes.
#[derive(Debug)]
pub(in crate::controls::logs) struct Source {
    /// Its name in the profile.
    pub(in crate::controls::logs) name: String,
    /// Where it is.
    pub(in crate::controls::logs) place: Place,
    /// How long it must be kept.
    pub(in crate::controls::logs) keep: u64,
    /// The longest silence that is no gap.
    pub(in crate::controls::logs) max_gap: u64,
    /// When it wrote, or why that is not known.
    pub(in crate::controls::logs) series: Result<Series, String>,
    /// What it grew by in a day, in the last week.
    pub(in crate::controls::logs) per_day: Option<u64>,
    /// What of it journald threw away; `None` where it does not go through journald.
    pub(in crate::controls::logs) lost: Option<Vec<Dropped>>,
    /// Files in which gaps are not seen.
    pub(in crate::controls::logs) undated: Vec<String>,
    /// The oldest entry that any look has seen, in seconds since the epoch.
    pub(in crate::controls::logs) first_seen: Option<u64>,
    /// The namespace in whose journal its newest entry is, or that the profile names; `None` for the host's own.
    pub(in crate::controls::logs) namespace: Option<String>,
    /// Its log is a container's, and goes when that does.
    pub(in crate::controls::logs) goes_with_container: bool,
    /// What there is room for, where it has files of its own.
    pub(in crate::controls::logs) space: Option<Space>,
}

/// A journal with the file system that it is on.
#[derive(Debug)]
pub(in crate::controls::logs) struct OnHost {
    /// What is in it.
    pub(in crate::controls::logs) journal: Journal,
    /// The namespace; `None` for the host's own journal.
    pub(in crate::controls::logs) namespace: Option<String>,
    /// Gone at the next boot.
    pub(in crate::controls::logs) is_in_memory: bool,
    /// What there is room for; `None` where that cannot be told, or it is in memory.
    pub(in crate::controls::logs) space: Option<Space>,
}

/// Everything that was measured.
#[derive(Debug)]
pub(in crate::controls::logs) struct Measured {
    /// When, in seconds since the epoch.
    pub(in crate::controls::logs) now: u64,
    /// How long the journal must be kept, in seconds.
    pub(in crate::controls::logs) keep: u64,
    /// The longest silence of the whole journal that is no gap, in seconds.
    pub(in crate::controls::logs) max_gap: u64,
    /// Every journal, or why none can be read.
    pub(in crate::controls::logs) journals: Result<Vec<OnHost>, String>,
    /// Every source of the profile, in its order.
    pub(in crate::controls::logs) sources: Vec<Source>,
    /// The oldest entry of the journal that any look has seen.
    pub(in crate::controls::logs) first_seen: Option<u64>,
    /// What is to be noted for later looks.
    notes: Option<Samples>,
}

/// Under which name the journal as a whole is noted: no source can have it.
const WHOLE: &str = "*";

impl Measured {
    /// What all journals on disk grow by in a day, in bytes; `None` while that is known of none.
    pub(in crate::controls::logs) fn per_day(&self) -> Option<u64> {
        let on_disk = self.journals.iter().flatten().filter(|each| !each.is_in_memory);
        on_disk.filter_map(|each| each.journal.per_day).reduce(u64::saturating_add)
    }

    /// The journal on disk that a source's entries are in.
    pub(in crate::controls::logs) fn journal_of(&self, source: &Source) -> Option<&OnHost> {
        let mut on_disk = self.journals.iter().flatten().filter(|each| !each.is_in_memory);
        on_disk.find(|each| each.namespace == source.namespace)
    }

    /// The host's own journal on disk.
    pub(in crate::controls::logs) fn whole(&self) -> Option<&OnHost> {
        let mut journals = self.journals.iter().flatten();
        journals.find(|each| each.namespace.is_none() && !each.is_in_memory)
    }

    /// What is to be noted for later looks, and under which name; `None` where nothing is.
    pub(in crate::controls::logs) fn notes(&self) -> Option<(&'static str, Vec<u8>)> {
        Some((samples::NAME, serde_json::to_vec(self.notes.as_ref()?).ok()?))
    }

    /// One judgement for each check.
    pub(in crate::controls::logs) fn judge(&self) -> Vec<Judgement> {
        judge::all(self)
    }
}

/// Under which name a source is noted: one that moved is another one.
///
/// Not so a container whose log goes with it: made anew, it has another file, and what was in the old one is lost.
fn note_name(source: &Source) -> String {
    let name = &source.name;
    match &source.place {
        Place::File(_) if source.goes_with_container => format!("{name} json-file"),
        Place::Journal(what) | Place::File(what) | Place::Nowhere(what) | Place::Unread(what) => {
            format!("{name} {what}")
        }
    }
}

fn per_day(bytes: u64, span: u64) -> u64 {
    let bytes = u128::from(bytes) * u128::from(DAY) / u128::from(span.max(1));
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
