//! `logs`: whose logs are kept, and for how long.

mod measured;

use std::pin::Pin;

use super::{Comparison, Control, Wanted};
use crate::{
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    host::Reader,
    profile::schema::{Logs, Mode, Profile},
};

pub use self::measured::table::{Faulty, Files, Row, Silence};

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

static CHECKS: &[CheckMeta] =
    &[measured::KEPT, measured::GAPS, measured::LOST, measured::FORECAST, measured::FILES];

impl Control for LogsControl {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        CHECKS
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.logs.as_ref().map(|logs| logs.mode)
    }

    fn is_mended_by_steps(&self) -> bool {
        false
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        host: &'a Reader,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let measured = measured::Measured::read(profile.logs.as_ref().unwrap_or(&Logs::default()), host);
            Box::new(Compared { measured }) as Box<dyn Comparison>
        })
    }
}

/// Both sides, of every part.
#[derive(Debug)]
struct Compared {
    measured: measured::Measured,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        self.measured.judge()
    }

    fn plan(&self, _wanted: &Wanted<'_>) -> Vec<Step> {
        Vec::new()
    }

    fn note(&self) -> Option<(&'static str, Vec<u8>)> {
        self.measured.notes()
    }
}
