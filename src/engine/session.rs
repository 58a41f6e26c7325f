//! One look at a host: every control's comparison, judged and planned for. Nothing here can change the host.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::civil::Date;

use super::{
    change::{Change, RunVerb, Step},
    check::{CheckMeta, CheckRef},
    outcome::{Applied, CheckResult, Outcome, decide},
};
use crate::{
    controls::{self, Comparison, Control, Obstacle, Sight, Wanted},
    host::Reader,
    profile::schema::{Mode, Profile, Waiver},
};

/// What one control saw.
#[derive(Debug)]
pub struct Look {
    /// The control.
    pub control: &'static dyn Control,
    /// What the profile says is to be done about it.
    pub mode: Mode,
    /// Desired beside observed.
    pub comparison: Box<dyn Comparison>,
}

/// What is to be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that differs: a person asked for the profile.
    Everything,
    /// Only what held after the last apply, in this control: nobody is watching.
    Drift(&'static str),
}

/// What is to be done, and for the sake of which checks. Pure data.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The checks they are to put right.
    pub wanted: BTreeSet<String>,
}

/// Looks at everything the profile manages, all controls at once.
pub async fn look(profile: &Profile, reader: &Reader) -> Vec<Look> {
    all(profile, &Sight::of(reader)).await
}

/// The same, with what changes would do as text.
pub async fn look_with_previews(profile: &Profile, reader: &Reader) -> Vec<Look> {
    all(profile, &Sight::of(reader).with_previews()).await
}

async fn all(profile: &Profile, sight: &Sight<'_>) -> Vec<Look> {
    let managed = controls::ALL.iter().filter_map(|control| {
        let mode = control.mode(profile).filter(|mode| *mode != Mode::Off)?;
        Some(async move {
            let comparison = control.observe(profile, sight).await;
            Look { control: *control, mode, comparison }
        })
    });
    join_all(managed).await
}

/// Gives every check its outcome, in the order of the controls.
pub fn judge(
    looks: &[Look],
    applied: Option<&Applied>,
    waivers: &[Waiver],
    today: Date,
) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for look in looks {
        for judgement in look.comparison.judge() {
            let name = look.control.name();
            results.push(decide(&judgement, name, look.mode, applied, waivers, today));
        }
    }
    results
}

/// Plans what puts the host right. Given no handle to the host, so it cannot change it.
pub fn plan(looks: &[Look], results: &[CheckResult], scope: Scope) -> Plan {
    // Nothing that is done here mends these, so nothing is taken back for their sake either.
    let is_mended = |result: &&CheckResult| {
        let of = |look: &&Look| look.control.name() == result.control;
        let base = CheckRef::parse(&result.check).base;
        looks.iter().find(of).is_none_or(|look| look.control.is_mended_by_steps(base))
    };
    let is_wanted = |result: &&CheckResult| match scope {
        Scope::Everything => {
            result.mode == Mode::Enforce && matches!(result.outcome, Outcome::Drift | Outcome::Fail)
        }
        Scope::Drift(control) => result.control == control && is_drift(result),
    };
    let wanted: BTreeSet<String> = results
        .iter()
        .filter(is_mended)
        .filter(is_wanted)
        .map(|result| result.check.clone())
        .collect();
    let mut steps: Vec<Step> = Vec::new();
    let is_in_scope = |look: &&Look| match scope {
        Scope::Everything => look.mode == Mode::Enforce,
        Scope::Drift(control) => look.mode == Mode::Enforce && look.control.name() == control,
    };
    for look in looks.iter().filter(is_in_scope) {
        steps.extend(look.comparison.plan(&Wanted(&wanted)));
    }
    steps.extend(flushed(looks, &steps));
    Plan { steps, wanted }
}

/// What loads the firewall again after steps that have every table flushed: stopping Debian's nftables.service does.
/// Without this the check that held before would not hold after, and the roll-back would flush once more.
fn flushed(looks: &[Look], steps: &[Step]) -> Vec<Step> {
    let flushes = |step: &Step| match &step.change {
        Change::Run { unit, verb } => {
            unit == "nftables.service" && matches!(verb, RunVerb::Stop | RunVerb::Restart)
        }
        _ => false,
    };
    let loads = |step: &Step| matches!(step.change, Change::Table { .. });
    let Some(last) = steps.iter().rposition(flushes) else { return Vec::new() };
    if steps[last..].iter().any(loads) {
        return Vec::new();
    }
    let is_firewall =
        |look: &&Look| look.control.name() == "firewall" && look.mode == Mode::Enforce;
    let wanted = BTreeSet::from(["firewall.ruleset".to_owned()]);
    let again = looks.iter().find(is_firewall).map(|look| look.comparison.plan(&Wanted(&wanted)));
    again.unwrap_or_default()
}

/// The controls in which something has drifted that is to be put right, in their order.
pub fn drifted(results: &[CheckResult]) -> Vec<&'static str> {
    let mut controls: Vec<&'static str> =
        results.iter().filter(|result| is_drift(result)).map(|result| result.control).collect();
    controls.dedup();
    controls
}

fn is_drift(result: &CheckResult) -> bool {
    result.mode == Mode::Enforce && result.outcome == Outcome::Drift
}

/// What a person is to know before an apply begins, of the controls whose changes cannot mend it.
pub fn warnings(looks: &[Look]) -> Vec<String> {
    let asked = looks.iter().filter(|look| {
        let mends = |check: &CheckMeta| look.control.is_mended_by_steps(check.id);
        !look.control.checks().iter().any(mends) && look.mode == Mode::Enforce
    });
    asked.flat_map(|look| look.comparison.warnings()).collect()
}

/// What forbids an apply to begin, but for what a person goes on in spite of.
pub fn obstacles(looks: &[Look], despite: &[String]) -> Vec<Obstacle> {
    let enforced = looks.iter().filter(|look| look.mode == Mode::Enforce);
    let all = enforced.flat_map(|look| look.comparison.obstacles());
    all.filter(|each| !(each.overridable && despite.contains(&each.check))).collect()
}

/// What forbids the drift of a control to be put right with nobody there.
pub fn guards(looks: &[Look], control: &str) -> Vec<Obstacle> {
    let mut all = obstacles(looks, &[]);
    all.retain(|each| each.guards.contains(&control));
    all
}

/// What holds, and will be what drift is measured against.
pub fn held(results: &[CheckResult]) -> Applied {
    let holds = results.iter().filter(|result| result.outcome == Outcome::Pass);
    holds.map(|result| (result.check.clone(), result.expected.clone())).collect()
}

/// The checks that are not as a transaction for `wanted` must leave them: wanted ones that do not hold, and ones that
/// held before and do not now.
pub fn broken(
    before: &[CheckResult],
    after: &[CheckResult],
    wanted: &BTreeSet<String>,
) -> Vec<CheckResult> {
    let held_before = |check: &str| {
        before.iter().any(|result| result.check == check && result.outcome == Outcome::Pass)
    };
    let is_broken = |result: &&CheckResult| {
        result.outcome.needs_attention()
            && (wanted.contains(&result.check) || held_before(&result.check))
    };
    after.iter().filter(is_broken).cloned().collect()
}

/// One line that says what a change does.
pub fn describe(change: &Change) -> String {
    use super::change::{AccountState, FileState, Gate, TableState, UnitVerb};
    match change {
        Change::Put { path, to } => match to {
            FileState::Absent => format!("remove {path}"),
            FileState::File { .. } => format!("write {path}"),
            FileState::Symlink { target, .. } => format!("link {path} to {target}"),
            FileState::Directory { .. } => format!("make {path}/"),
        },
        Change::Account { name, to: AccountState::Absent } => format!("remove the account {name}"),
        Change::Account { name, .. } => format!("make the account {name}"),
        Change::Sysctl { key, value } => format!("set {key} = {value}"),
        Change::Table { to: TableState::Absent } => "remove table inet holdfast".to_owned(),
        Change::Table { .. } => "replace table inet holdfast".to_owned(),
        Change::UnitFile { unit, verb } => {
            let verb = match verb {
                UnitVerb::Enable => "enable",
                UnitVerb::Disable => "disable",
                UnitVerb::Mask => "mask",
                UnitVerb::Unmask => "unmask",
            };
            format!("{verb} {unit}")
        }
        Change::UnitLinks { unit, .. } => format!("put the links of {unit} back"),
        Change::Run { unit, verb } => {
            let verb = match verb {
                RunVerb::Start => "start",
                RunVerb::Stop => "stop",
                RunVerb::Restart => "restart",
                RunVerb::Reload => "reload",
            };
            format!("{verb} {unit}")
        }
        Change::Require { gate: Gate::Sshd } => "test sshd's configuration (sshd -t)".to_owned(),
    }
}
