//! What room each journal and each log file has, and what of it is noted for later looks.

use std::collections::BTreeMap;

use super::{
    Measured, Place, Series, Space, WHOLE,
    forecast::DAY,
    note_name, per_day,
    samples::{FileNotes, Sample, Samples},
    text::Text,
};
use crate::{host::Reader, profile::schema::Logs};

/// journald's own limits where it has not said them: a tenth of the file system and 15 %, 4 GB each at most;
/// journald.conf(5).
const DEFAULT_LIMIT: u64 = 4 << 30;

impl Measured {
    /// What room a log file has, without what others take of it: nothing but its file system limits it.
    pub(super) fn space_of_files(
        &self,
        path: &str,
        text: &Text,
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
            longest: 0,
            floor: None,
            files_per_hundred_days: 0,
            others_per_day: None,
        })
    }

    /// Works out what room each journal has, and what is to be noted.
    pub(super) fn rooms(
        &mut self,
        host: &Reader,
        logs: &Logs,
        samples: &Samples,
        files: (FileNotes, bool),
    ) {
        let mut looks = Vec::new();
        let keep = logs.longest_in_journal().as_secs();
        for each in self.journals.iter_mut().flatten().filter(|each| !each.is_in_memory) {
            let files = host.files();
            let space =
                files.total_bytes(&each.journal.dir).zip(files.free_bytes(&each.journal.dir));
            let Some((total, available)) = space else { continue };
            let journal = &each.journal;
            let default = |share: u64| (total / 100 * share).min(DEFAULT_LIMIT);
            // What journald runs with; where it has said so too long ago, what it would start with.
            let set = crate::controls::journal::limits(host, each.namespace.as_deref());
            let set_use = set.max_use.unwrap_or(default(10));
            let set_free = set.keep_free.unwrap_or(default(15));
            let (max_use, keep_free) = journal.limits.unwrap_or((set_use, set_free));
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
                max_files: set.max_files,
                longest: journal.longest,
                // A file may be older than the limit of its age and span more than that allows.
                floor: set.ceiling.map(|age| {
                    age.saturating_sub(set.file_age.unwrap_or(age).max(journal.longest))
                }),
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
}
