//! One look: at every journal file, and at the logs that sources keep themselves.

use super::{
    Measured, OnHost, Place, Series, Source, WHOLE,
    file::{Asked, Dropped, Wanted},
    forecast::DAY,
    journal, note_name, per_day,
    place::{IN_MEMORY, dirs, place},
    samples::{self, Samples},
    text,
};
use crate::{
    host::{Reader, clock},
    profile::schema::{LogSource, Logs},
};

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
                let is_in_memory = dir.starts_with(IN_MEMORY);
                for ((source, kept), found) in logs.source.iter().zip(&mut kept).zip(found) {
                    let asked = source.namespace.as_ref().map(ToString::to_string);
                    // What is gone at the next boot is not kept.
                    if !is_in_memory && (asked.is_none() || asked == namespace) {
                        kept.add(&found.part, found.recent, namespace.as_deref());
                    }
                }
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
            Place::Nowhere(why) | Place::Unread(why) => found.series = Err(why.clone()),
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
                found.lost = Some(self.lost(field, found.keep));
                found.series = match &self.journals {
                    Ok(_) => Ok(series),
                    Err(why) => Err(why.clone()),
                };
            }
        }
        found
    }

    /// What was thrown away, within its retention, that this field's source may have written.
    fn lost(&self, field: &str, keep: u64) -> Vec<Dropped> {
        let unit = field.strip_prefix("_SYSTEMD_UNIT=");
        let is_its = |dropped: &&Dropped| match unit {
            Some(unit) => dropped.unit == unit,
            // Docker's containers write through its service, Podman's through a scope of their own.
            None => dropped.unit == "docker.service" || dropped.unit.starts_with("libpod-"),
        };
        let journals = self.journals.iter().flatten();
        let dropped = journals.flat_map(|each| &each.journal.dropped).filter(is_its);
        dropped.filter(|each| each.at.saturating_add(keep) >= self.now).cloned().collect()
    }
}
