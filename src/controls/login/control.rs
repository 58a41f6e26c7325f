//! The control as the list of controls has it.

use std::pin::Pin;

use super::{checks::CHECKS, judge, observe, observed::Observed};
use crate::{
    controls::{Comparison, Control, Obstacle, Sight, Wanted},
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    profile::schema::{Mode, Profile},
};

/// See the [module](super).
#[derive(Debug)]
pub struct LoginControl;

impl Control for LoginControl {
    fn name(&self) -> &'static str {
        "login"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        &CHECKS
    }

    /// What can cut a login off brings it along, `[login]` or not.
    fn mode(&self, profile: &Profile) -> Option<Mode> {
        let firewall = profile.firewall.as_ref().map(|section| section.mode);
        let ssh = profile.ssh.as_ref().map(|section| section.mode);
        // `Enforce` is the least of the modes.
        [firewall, ssh].into_iter().flatten().min()
    }

    fn is_mended_by_steps(&self, _check: &str) -> bool {
        false
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

    /// Nothing: who is to get in is for a person to say, in other sections.
    fn plan(&self, _wanted: &Wanted<'_>) -> Vec<Step> {
        Vec::new()
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        judge::obstacles(self)
    }

    fn warnings(&self) -> Vec<String> {
        judge::warnings(self)
    }
}
