//! What the profile wants of units beside what systemd says: judged and planned for, pure.

use std::collections::BTreeSet;

use super::{
    checks,
    judge::{AtBoot, at_boot, can_be_set_up, is_active, is_masked, judge},
};
use crate::{
    controls::{Comparison, Wanted},
    engine::{
        change::{Change, RunVerb, Step, UnitVerb},
        check::{CheckMeta, Judgement},
    },
    host::bus::UnitStatus,
};

/// Which list a unit stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Enabled,
    Disabled,
    Masked,
}

impl Wish {
    fn meta(self) -> &'static CheckMeta {
        match self {
            Self::Enabled => checks::ENABLED,
            Self::Disabled => checks::DISABLED,
            Self::Masked => checks::MASKED,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Enabled => "enabled, active",
            Self::Disabled => "disabled, inactive",
            Self::Masked => "masked, inactive",
        }
    }
}

/// A unit the profile names, and what systemd says of it.
#[derive(Debug)]
pub(super) struct Asked {
    /// Which list it stands in.
    pub(super) wish: Wish,
    /// Its name there.
    pub(super) name: String,
    /// What systemd knows.
    pub(super) status: Result<UnitStatus, String>,
    /// The running units that can start it, where it is to be disabled.
    pub(super) triggers: Vec<UnitStatus>,
    /// The units that are enabled and disabled with it.
    pub(super) together: BTreeSet<String>,
    /// Its unit file, where that is an administrator's own: no mask can be made in its place.
    pub(super) own_file: Option<String>,
    /// Whether this host is a container.
    pub(super) in_container: bool,
}

/// Every unit of the profile.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) asked: Vec<Asked>,
}

/// The order in which changes are safe: what may start again first, then what must not, and units are stopped only
/// once nothing brings them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Unmask,
    Mask,
    Disable,
    Enable,
    DisableAgain,
    StopTrigger,
    Stop,
    StartTrigger,
    Start,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let judged = self.asked.iter().map(|asked| {
            Judgement::new(asked.wish.meta(), asked.wish.expected(), judge(asked))
                .about(&asked.name)
        });
        judged.collect()
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        let mut steps: Vec<(Phase, Step)> = Vec::new();
        for asked in &self.asked {
            let id = format!("{}/{}", asked.wish.meta().id, asked.name);
            let Ok(unit) = &asked.status else { continue };
            if !wanted.has(&id) || !unit.exists() {
                continue;
            }
            let planned = match asked.wish {
                Wish::Enabled => enable(unit),
                Wish::Disabled => disable(unit),
                Wish::Masked => mask(asked, unit),
            };
            // A unit's own name: links are not made for its other ones.
            let step = |(phase, change)| (phase, Step { change, because: vec![id.clone()] });
            steps.extend(planned.into_iter().map(step));
        }
        steps.extend(self.taken_along(&steps));
        steps.sort_by_key(|(phase, _)| *phase);
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

impl Compared {
    /// What puts right again the units that a planned change would set up too, because their `Also=` says so, and
    /// that the profile wants otherwise.
    fn taken_along(&self, steps: &[(Phase, Step)]) -> Vec<(Phase, Step)> {
        let mut more: Vec<(Phase, Step)> = Vec::new();
        for (_, step) in steps {
            let (unit, wish, phase, back) = match &step.change {
                Change::UnitFile { unit, verb: UnitVerb::Disable } => {
                    (unit, Wish::Enabled, Phase::Enable, UnitVerb::Enable)
                }
                Change::UnitFile { unit, verb: UnitVerb::Enable } => {
                    (unit, Wish::Disabled, Phase::DisableAgain, UnitVerb::Disable)
                }
                _ => continue,
            };
            let cause = self.asked.iter().find(|asked| asked.unit_name() == Some(unit));
            for asked in self.asked.iter().filter(|asked| asked.wish == wish) {
                let Ok(status) = &asked.status else { continue };
                let is_taken = cause.is_some_and(|cause| cause.together.contains(&status.id));
                if !is_taken || status.id == *unit || !can_be_set_up(status) {
                    continue;
                }
                let change = set_up(status, back);
                // What is disabled first is enabled again by what comes after; the other way round once is enough.
                let is_planned = back == UnitVerb::Enable
                    && steps.iter().chain(&more).any(|(_, step)| step.change == change);
                if !is_planned {
                    more.push((phase, Step { change, because: step.because.clone() }));
                }
            }
        }
        more
    }
}

impl Asked {
    /// Its own name, where systemd knows it.
    fn unit_name(&self) -> Option<&String> {
        self.status.as_ref().ok().map(|status| &status.id)
    }
}

/// Empty where it would not help: what cannot be enabled and is not started by others stays so.
fn enable(unit: &UnitStatus) -> Vec<(Phase, Change)> {
    let mut changes = Vec::new();
    let is_masked = unit.load == "masked";
    if is_masked {
        changes.push((Phase::Unmask, set_up(unit, UnitVerb::Unmask)));
    }
    match at_boot(unit) {
        AtBoot::Starts | AtBoot::Pulled => {}
        // What a masked unit is underneath is not known before it is unmasked.
        AtBoot::Stays | AtBoot::Runtime if is_masked || can_be_set_up(unit) => {
            changes.push((Phase::Enable, set_up(unit, UnitVerb::Enable)));
        }
        AtBoot::Stays | AtBoot::Runtime => return Vec::new(),
    }
    if !unit.is_running() {
        let phase = if is_trigger(unit) { Phase::StartTrigger } else { Phase::Start };
        changes.push((phase, run(unit, RunVerb::Start)));
    }
    changes
}

fn disable(unit: &UnitStatus) -> Vec<(Phase, Change)> {
    let mut changes = Vec::new();
    if unit.load != "masked" {
        match at_boot(unit) {
            AtBoot::Stays => {}
            // A socket or timer may start it again; that is for the profile to say.
            AtBoot::Pulled if unit.wanted_by.is_empty() => {}
            AtBoot::Starts | AtBoot::Runtime | AtBoot::Pulled if can_be_set_up(unit) => {
                changes.push((Phase::Disable, set_up(unit, UnitVerb::Disable)));
            }
            // It comes back at the next boot whatever is done now.
            AtBoot::Starts | AtBoot::Runtime | AtBoot::Pulled => return Vec::new(),
        }
    }
    changes.extend(stop(unit));
    changes
}

fn mask(asked: &Asked, unit: &UnitStatus) -> Vec<(Phase, Change)> {
    let mut changes = Vec::new();
    if !is_masked(unit) {
        // A mask of another name leaves the unit itself as it is; a file in its place cannot be replaced.
        if asked.own_file.is_some() || unit.id != asked.name {
            return Vec::new();
        }
        changes.push((Phase::Mask, set_up(unit, UnitVerb::Mask)));
    }
    changes.extend(stop(unit));
    changes
}

fn stop(unit: &UnitStatus) -> Option<(Phase, Change)> {
    let phase = if is_trigger(unit) { Phase::StopTrigger } else { Phase::Stop };
    is_active(unit).then(|| (phase, run(unit, RunVerb::Stop)))
}

/// Whether it is of a kind that starts others.
fn is_trigger(unit: &UnitStatus) -> bool {
    [".socket", ".timer", ".path", ".automount"].iter().any(|suffix| unit.id.ends_with(suffix))
}

fn set_up(unit: &UnitStatus, verb: UnitVerb) -> Change {
    Change::UnitFile { unit: unit.id.clone(), verb }
}

fn run(unit: &UnitStatus, verb: RunVerb) -> Change {
    Change::Run { unit: unit.id.clone(), verb }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
