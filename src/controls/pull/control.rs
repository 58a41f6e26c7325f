//! The control as the list of controls has it.

use std::pin::Pin;

use super::{
    checks::{CHECKS, PATH, SESSION},
    judge, observe,
    observed::Observed,
    plan,
};
use crate::{
    controls::{Comparison, Control, Sight, Wanted},
    engine::{
        change::{Change, Step},
        check::{CheckMeta, Judgement},
    },
    profile::schema::{Mode, Profile},
};

/// See the [module](super).
#[derive(Debug)]
pub struct PullControl;

impl Control for PullControl {
    fn name(&self) -> &'static str {
        "pull"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        CHECKS
    }

    /// Its own lines let nobody in and keep nobody out but the account; but a reload has sshd read what others wrote.
    fn can_cut_off_login(&self, change: &Change) -> bool {
        matches!(change, Change::Run { .. })
    }

    /// Nobody else's coming and going is, and the firewall is a section of its own.
    fn is_mended_by_steps(&self, check: &str) -> bool {
        ![PATH.id, SESSION.id].contains(&check)
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.pull.as_ref().map(|pull| pull.mode)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async { Box::new(observe::observe(profile, sight).await) as Box<dyn Comparison> })
    }
}

impl Comparison for Observed {
    fn judge(&self) -> Vec<Judgement> {
        judge::judge(self)
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        plan::plan(self, *wanted)
    }
}
