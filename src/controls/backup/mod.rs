//! `backup`: whether what a signer's database has, and nobody can make again, is in backups that were proven.
//!
//! Judged from what is kept: signed manifests, and the note of the last look for DKG rows. No database is asked, and no node.
//!
//! - `backup.dkg/<name>`: every DKG row that was seen last is in a proven backup ([`rows`])
//! - `backup.chain/<name>`: so is the key that is on chain
//!
//! None of it can be put right by a step: backups are made by their own timers.

mod checks;
mod rows;

use std::{collections::BTreeMap, pin::Pin};

use super::{Comparison, Control, Sight, Wanted};
use crate::{
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    profile::schema::{Mode, Profile},
};

/// The control.
#[derive(Debug)]
pub struct BackupControl;

impl Control for BackupControl {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        (!profile.backup.is_empty()).then_some(Mode::Enforce)
    }

    fn is_mended_by_steps(&self, _check: &str) -> bool {
        false
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let each = profile.backup.iter().map(|(name, section)| {
                let seen = rows::Seen::read(name.as_str(), section, sight.host);
                (name.to_string(), seen)
            });
            Box::new(Compared { rows: each.collect() }) as Box<dyn Comparison>
        })
    }
}

/// What was read of each backup.
#[derive(Debug)]
struct Compared {
    rows: BTreeMap<String, rows::Seen>,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        self.rows.iter().flat_map(|(name, seen)| seen.judge(name)).collect()
    }

    fn plan(&self, _wanted: &Wanted<'_>) -> Vec<Step> {
        Vec::new()
    }
}
