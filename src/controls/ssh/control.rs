//! The control as the list of controls has it.

use std::pin::Pin;

use super::{checks::CHECKS, judge, observe, observed::Observed, plan};
use crate::{
    controls::{Comparison, Control, Sight, Wanted},
    engine::{
        change::{Change, Step},
        check::{CheckMeta, Judgement},
    },
    profile::schema::{Mode, Profile},
};

/// `[ssh]`.
#[derive(Debug, Clone, Copy)]
pub struct Ssh;

impl Control for Ssh {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        &CHECKS
    }

    fn can_cut_off_login(&self, _change: &Change) -> bool {
        true
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.ssh.as_ref().map(|ssh| ssh.mode)
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
