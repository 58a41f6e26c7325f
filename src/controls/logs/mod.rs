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
}

/// How many files a journal may have, `SystemMaxFiles=`: by journald.conf(5) a hundred.
fn max_files(host: &Reader, namespace: Option<&str>) -> u64 {
    let _ = (host, namespace);
    100
}
