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
mod container;
mod file;
mod forecast;
mod journal;
mod judge;
mod outlook;
mod place;
mod samples;
mod series;
mod stamp;
pub(in crate::controls::logs) mod table;
mod text;

use std::collections::BTreeMap;

pub(in crate::controls::logs) use self::{
    checks::{FILES, FORECAST, GAPS, KEPT, LOST},
    file::Dropped,
    forecast::{Forecast, Space},
    journal::Journal,
    place::Place,
    samples::Samples,
    series::Series,
};
use self::{
    file::{Asked, Wanted},
    forecast::DAY,
    place::{IN_MEMORY, dirs, place},
    samples::{FileNotes, Sample},
};
use crate::{
    engine::check::Judgement,
    host::{Reader, clock},
    profile::schema::{LogSource, Logs},
};

/// journald's own limits where it has not said them: a tenth of the file system and 15 %, 4 GB each at most;
/// journald.conf(5).
const DEFAULT_LIMIT: u64 = 4 << 30;

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
    /// Looks at every journal file, and at the logs that sources keep themselves.
    pub(in crate::controls::logs) fn read(logs: &Logs, host: &Reader) -> Self {
        let now = u64::try_from(clock::now().as_second()).unwrap_or_default();
        let max_gap = logs.max_gap.as_secs();
        let keep = logs.keep.as_secs();
        let places: Vec<Place> = logs.source.iter().map(|source| place(host, source)).collect();
        let wanted: Vec<Wanted> = logs
            .source
            .iter()
            .zip(&places)
            .map(|(source, place)| Wanted {
                // What is not in the journal is looked for under a value that no entry has.
                field: if let Place::Journal(field) = place {
                    field.clone()
                } else {
                    String::new()
                },
                max_gap: logs.max_gap_of(source).as_secs(),
            })
            .collect();
        let samples = host.files().text(samples::PATH).ok().flatten();
        let mut samples = samples.map(|text| Samples::parse(&text)).unwrap_or_default();
        let weighed_since = now.saturating_sub(journal::WINDOW);
        let asked = Asked { wanted: &wanted, max_gap, now, weighed_since };
        let known = samples.take_files();
        let before = known.digest();
        let mut files = known.of(&asked.key());
        let mut kept = vec![journal::Kept::default(); wanted.len()];
        let journals = dirs(host).and_then(|dirs| {
            let mut journals = Vec::new();
            for (dir, namespace) in dirs {
                let (journal, found) = journal::read(host, &dir, &asked, &mut files)?;
                if journal.files == 0 {
                    continue;
                }
                for ((source, kept), found) in logs.source.iter().zip(&mut kept).zip(found) {
                    let asked = source.namespace.as_ref().map(ToString::to_string);
                    if asked.is_none() || asked == namespace {
                        kept.add(&found.part, found.recent, namespace.as_deref());
                    }
                }
                let is_in_memory = dir.starts_with(IN_MEMORY);
                journals.push(OnHost { journal, namespace, is_in_memory, space: None });
            }
            Ok(journals)
        });
        let mut measured = Self {
            now,
            keep,
            max_gap,
            journals,
            sources: Vec::new(),
            first_seen: samples.first(WHOLE),
            notes: None,
        };
        for ((source, place), kept) in logs.source.iter().zip(places).zip(kept) {
            let found = measured.source(logs, source, place, &kept, host, &samples);
            measured.sources.push(found);
        }
        let are_new = files.digest() != before;
        measured.rooms(host, logs, &samples, (files, are_new));
        measured
    }

    fn source(
        &self,
        logs: &Logs,
        source: &LogSource,
        place: Place,
        kept: &journal::Kept,
        host: &Reader,
        samples: &Samples,
    ) -> Source {
        let max_gap = logs.max_gap_of(source).as_secs();
        let mut found = Source {
            name: source.name.to_string(),
            keep: logs.keep_of(source).as_secs(),
            max_gap,
            series: Ok(Series::default()),
            per_day: None,
            lost: None,
            undated: Vec::new(),
            first_seen: None,
            namespace: source.namespace.as_ref().map(ToString::to_string),
            goes_with_container: source.container.is_some() && matches!(place, Place::File(_)),
            space: None,
            place,
        };
        found.first_seen = samples.first(&note_name(&found));
        match &found.place {
            Place::Nowhere(why) => found.series = Err(why.clone()),
            Place::File(path) => match text::read(host, path, max_gap, self.now) {
                Err(why) => found.series = Err(why),
                Ok(None) => {}
                Ok(Some(text)) => {
                    let age = text.series.oldest().map(|oldest| self.now.saturating_sub(oldest));
                    found.per_day =
                        age.filter(|age| *age >= DAY).map(|age| per_day(text.bytes, age));
                    found.space = self.space_of_files(path, &text, found.keep, host);
                    found.series = Ok(text.series);
                    found.undated = text.undated;
                }
            },
            Place::Journal(field) => {
                found.namespace = found.namespace.or_else(|| kept.namespace.clone());
                let series = Series::join([&kept.part], max_gap);
                let age = series.oldest().map(|oldest| self.now.saturating_sub(oldest));
                let age = age.filter(|age| *age >= DAY);
                found.per_day = age.map(|age| per_day(kept.recent, age.min(7 * DAY)));
                found.lost = Some(self.lost(field));
                found.series = match &self.journals {
                    Ok(_) => Ok(series),
                    Err(why) => Err(why.clone()),
                };
            }
        }
        found
    }

    /// What room a log file has, without what others take of it: nothing but its file system limits it.
    fn space_of_files(
        &self,
        path: &str,
        text: &text::Text,
        keep: u64,
        host: &Reader,
    ) -> Option<Space> {
        let age = self.now.saturating_sub(text.series.oldest()?);
        Some(Space {
            keep,
            per_day: Some(per_day(text.bytes, age)).filter(|_| age >= DAY),
            used: text.bytes,
            available: host.files().free_bytes(path)?,
            max_use: u64::MAX,
            keep_free: 0,
            file: 0,
            files: text.files,
            max_files: u64::MAX,
            files_per_hundred_days: 0,
            others_per_day: None,
        })
    }

    /// What was thrown away that this field's source may have written.
    fn lost(&self, field: &str) -> Vec<Dropped> {
        let unit = field.strip_prefix("_SYSTEMD_UNIT=");
        let is_its = |dropped: &&Dropped| match unit {
            Some(unit) => dropped.unit == unit,
            // Docker's containers write through its service, Podman's through a scope of their own.
            None => dropped.unit == "docker.service" || dropped.unit.starts_with("libpod-"),
        };
        let journals = self.journals.iter().flatten();
        let dropped = journals.flat_map(|each| &each.journal.dropped).filter(is_its);
        dropped.filter(|each| each.at.saturating_add(self.keep) >= self.now).cloned().collect()
    }

    /// Works out what room each journal has, and what is to be noted.
    fn rooms(&mut self, host: &Reader, logs: &Logs, samples: &Samples, files: (FileNotes, bool)) {
        let mut looks = Vec::new();
        let keep = logs.longest_in_journal().as_secs();
        for each in self.journals.iter_mut().flatten().filter(|each| !each.is_in_memory) {
            let files = host.files();
            let space =
                files.total_bytes(&each.journal.dir).zip(files.free_bytes(&each.journal.dir));
            let Some((total, available)) = space else { continue };
            let journal = &each.journal;
            let default = |share: u64| (total / 100 * share).min(DEFAULT_LIMIT);
            let (max_use, keep_free) = journal.limits.unwrap_or((default(10), default(15)));
            let look = Sample {
                at: self.now,
                dir: journal.dir.clone(),
                total,
                available,
                journal: journal.used,
            };
            let in_it = self.sources.iter().filter(|source| source.namespace == each.namespace);
            let keep = match each.namespace {
                None => keep,
                Some(_) => in_it.map(|source| source.keep).max().unwrap_or(self.keep),
            };
            each.space = Some(Space {
                keep,
                per_day: journal.per_day,
                used: journal.used,
                available,
                max_use,
                keep_free,
                file: journal.largest,
                files: journal.files,
                max_files: crate::controls::journal::max_files(host, each.namespace.as_deref()),
                files_per_hundred_days: journal.files_per_hundred_days,
                others_per_day: samples.growth(&look),
            });
            looks.push(look);
        }
        for source in &mut self.sources {
            let (Place::File(path), Some(space)) = (&source.place, &mut source.space) else {
                continue;
            };
            let Some(total) = host.files().total_bytes(path) else { continue };
            let (dir, available) = (path.clone(), space.available);
            let look = Sample { at: self.now, dir, total, available, journal: space.used };
            space.others_per_day = samples.growth(&look);
            looks.push(look);
        }
        let mut oldest = BTreeMap::new();
        let whole = self.whole().and_then(|whole| whole.journal.all.oldest());
        oldest.extend(whole.map(|oldest| (WHOLE.to_owned(), oldest)));
        for source in &self.sources {
            let seen = source.series.as_ref().ok().and_then(Series::oldest);
            oldest.extend(seen.map(|seen| (note_name(source), seen)));
        }
        self.notes = samples.with(&looks, &oldest, files, self.now);
    }

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
        Place::Journal(what) | Place::File(what) | Place::Nowhere(what) => format!("{name} {what}"),
    }
}

fn per_day(bytes: u64, span: u64) -> u64 {
    let bytes = u128::from(bytes) * u128::from(DAY) / u128::from(span.max(1));
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
