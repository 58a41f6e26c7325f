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
//! Only `logs.config` is holdfast's to put right: a container's driver is chosen when it is made, and a program's own
//! configuration is its owner's.

mod checks;
mod configured;

use std::pin::Pin;

pub(in crate::controls) use self::configured::journal_for;
use super::{Comparison, Control, Obstacle, Wanted};
use crate::{
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    host::Reader,
    profile::schema::{Mode, Profile},
};

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

    fn mends(&self, check: &str) -> bool {
        check.starts_with("logs.config/")
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        host: &'a Reader,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let configured = configured::observe(profile, host).await;
            Box::new(Compared { configured }) as Box<dyn Comparison>
        })
    }
}

/// Both sides, of every part.
#[derive(Debug)]
struct Compared {
    configured: configured::Compared,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        self.configured.judge()
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        self.configured.plan(*wanted)
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        self.configured.obstacles()
    }
}
