//! `logs`: whose logs are kept, how, and for how long.
//!
//! How large the journal may grow, in how many files, is worked out here ([`journal_for`]) and written by the control
//! `journal`, so that one drop-in has one author. What this control writes itself is for single sources:
//!
//! - `logs.config/<source>`: the rule by which logrotate rotates a file; the drop-in of a journal namespace
//! - `logs.effective/<source>`: where the source's output really goes: the unit's, the container's log driver, who
//!   writes the file and how
//! - `logs.space`: whether the file system can hold what is to be kept
//! - `logs.sealed`: whether there is a key, where `journal.seal` asks for sealed files
//! - `logs.copy`: whether rsyslog keeps a second copy, and for how long
//!
//! What is really kept, since when, and whether it will last, is measured ([`table`]): `logs.kept`, `logs.gaps`,
//! `logs.lost`, `logs.forecast` and `logs.files`.
//!
//! Only `logs.config` is holdfast's to put right: a container's driver is chosen when it is made, and a program's own
//! configuration is its owner's.

mod checks;
mod configured;
mod measured;

use std::pin::Pin;

pub(in crate::controls) use self::configured::journal_for;
pub use self::measured::table::{Faulty, Files, Row, Silence};
use super::{Comparison, Control, Obstacle, Sight, Wanted};
use crate::{
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    host::Reader,
    profile::schema::{Logs, Mode, Profile},
};

/// What `holdfast logs` shows.
#[derive(Debug)]
pub struct Table {
    /// Whole journals, then sources.
    pub rows: Vec<Row>,
    /// Journals' files.
    pub journals: Vec<Files>,
    /// What all of it comes to.
    pub judgements: Vec<Judgement>,
    /// What is to be noted for later looks: a name in holdfast's folder, and what is to be in it.
    pub note: Option<(&'static str, Vec<u8>)>,
}

/// Measures what is kept, of the sources in this section. Without one the whole journal is held to the defaults.
pub fn table(logs: Option<&Logs>, host: &Reader) -> Table {
    let defaults = Logs::default();
    let measured = measured::Measured::read(logs.unwrap_or(&defaults), host);
    Table {
        rows: measured.rows(),
        journals: measured.files(),
        judgements: measured.judge(),
        note: measured.notes(),
    }
}

/// The control.
#[derive(Debug)]
pub struct LogsControl;

impl Control for LogsControl {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.logs.as_ref().map(|logs| logs.mode)
    }

    fn is_mended_by_steps(&self, check: &str) -> bool {
        check == checks::CONFIG.id
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let configured = configured::observe(profile, sight.host).await;
            let defaults = Logs::default();
            let measured =
                measured::Measured::read(profile.logs.as_ref().unwrap_or(&defaults), sight.host);
            Box::new(Compared { configured, measured }) as Box<dyn Comparison>
        })
    }
}

/// Both sides, of every part.
#[derive(Debug)]
struct Compared {
    configured: configured::Compared,
    measured: measured::Measured,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let mut judgements = self.configured.judge(self.measured.per_day());
        judgements.extend(self.measured.judge());
        judgements
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        self.configured.plan(*wanted)
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        let journals = self.measured.journals.as_deref().unwrap_or_default();
        self.configured.obstacles(self.measured.per_day(), journals)
    }

    fn note(&self) -> Option<(&'static str, Vec<u8>)> {
        self.measured.notes()
    }
}
