//! The steps that put sshd right. Pure.
//!
//! ```text
//! folder ─▶ what overrides us is set aside ─▶ our drop-in ─▶ sshd -t ─▶ reload
//! ```
//!
//! Nothing reaches the running sshd before `sshd -t` has passed. `sshd_config` itself and files outside its drop-in
//! folder are never touched: where one of those is at fault, nothing is planned for the check, and a person reads which
//! line it is.

use super::{
    checks::{CONFIG, EFFECTIVE, RUNNING, VALID, WIRE},
    glob,
    judge::is_ours,
    judge_daemon::overriding,
    observed::{Answers, Observed},
    settings::{self, DROP_IN, DROP_IN_DIR, Setting},
};
use crate::{
    controls::Wanted,
    engine::change::{Change, FileState, Gate, RunVerb, Step},
};

/// Appended to the name of a drop-in that overrides the profile: no longer `*.conf`, so sshd passes it over.
const SET_ASIDE: &str = ".set-aside-by-holdfast";

/// Where sshd goes without privilege; systemd makes it when it starts ssh.service, and takes it over if it is there.
pub(in crate::controls) const RUNTIME_DIR: &str = "/run/sshd";

/// The unit, as Debian names it.
pub(in crate::controls) const UNIT: &str = "ssh.service";

/// The steps for the wanted checks.
pub(super) fn plan(seen: &Observed, wanted: Wanted<'_>) -> Vec<Step> {
    let config = wanted.of(CONFIG.id);
    let fixable: Vec<&Setting> = seen
        .settings
        .iter()
        .filter(|setting| wanted.has(&effective_id(setting)) && is_fixable(seen, setting))
        .collect();
    let mut steps = set_aside(seen, &fixable);

    // Written for its own check's sake only: where that is not wanted, a person has not applied what it would say now.
    let may_write = !config.is_empty();
    let mut because = config;
    because.extend(fixable.iter().filter(|s| !is_in_drop_in(seen, s)).map(|s| effective_id(s)));
    let is_as_wanted = seen.drop_in.as_ref().is_ok_and(|state| is_ours(state, &seen.settings));
    // Written where nothing includes it, it would do nothing, and the whole would be rolled back.
    if may_write && !is_as_wanted && seen.future.includes(DROP_IN) {
        if matches!(seen.folder, Ok(FileState::Absent)) {
            let to = FileState::directory();
            steps.push(put(DROP_IN_DIR, to, because.clone()));
        }
        let to = FileState::config(settings::drop_in(&seen.settings));
        steps.push(put(DROP_IN, to, because));
    }
    let mut because: Vec<String> = Vec::new();
    for id in steps.iter().flat_map(|step| &step.because) {
        if !because.contains(id) {
            because.push(id.clone());
        }
    }
    because.extend(wanted.of(RUNNING.id).into_iter().filter(|_| is_stale(seen)));
    if because.is_empty() {
        return steps;
    }
    because.extend(wanted.of(VALID.id));
    because.extend(wanted.of(WIRE.id));
    if matches!(seen.answers, Answers::NoRuntimeDir) {
        steps.push(put(RUNTIME_DIR, FileState::directory(), because.clone()));
    }
    steps.push(Step { change: Change::Require { gate: Gate::Sshd }, because: because.clone() });
    if seen.daemon.as_ref().is_ok_and(super::observed::Daemon::is_running) {
        let change = Change::Run { unit: UNIT.to_owned(), verb: RunVerb::Reload };
        steps.push(Step { change, because });
    }
    steps
}

fn effective_id(setting: &Setting) -> String {
    format!("{}/{}", EFFECTIVE.id, setting.key())
}

fn put(path: &str, to: FileState, because: Vec<String>) -> Step {
    Step { change: Change::Put { path: path.to_owned(), to }, because }
}

/// Whether a reload helps: not against options on the command line, nor while sshd refuses what it would read.
fn is_stale(seen: &Observed) -> bool {
    let has_options = seen.daemon.as_ref().is_ok_and(|daemon| overriding(daemon).is_some());
    !has_options && !matches!(seen.answers, Answers::Refused(_))
}

/// Whether everything that would still override the drop-in can be set aside.
fn is_fixable(seen: &Observed, setting: &Setting) -> bool {
    seen.future.includes(DROP_IN)
        && seen.future.culprits(setting).iter().all(|line| can_be_set_aside(seen, &line.file))
}

/// Whether the drop-in as it is on the disk already says what is wanted for every login.
fn is_in_drop_in(seen: &Observed, setting: &Setting) -> bool {
    let ours = |line: &&super::tree::Line| line.file == DROP_IN && line.scope.is_none();
    let key = setting.key();
    let mut lines = seen.tree.setting(&key).filter(ours).peekable();
    let nothing_to_say = setting.values().is_empty();
    (nothing_to_say || lines.peek().is_some()) && lines.all(|l| setting.agrees(&l.keyword, &l.args))
}

/// Our own drop-in is written anew; of the others, those in its folder that sshd will not read under another name.
fn can_be_set_aside(seen: &Observed, path: &str) -> bool {
    let new = format!("{path}{SET_ASIDE}");
    path == DROP_IN
        || seen.foreign.contains_key(path)
            && !seen.future.patterns.iter().any(|pattern| glob::matches(pattern, &new))
}

/// Gives each drop-in that overrides one of these settings a name that sshd does not read. Its content, mode, owner
/// and times go with it.
fn set_aside(seen: &Observed, settings: &[&Setting]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (path, state) in &seen.foreign {
        let overridden = settings
            .iter()
            .filter(|setting| seen.future.culprits(setting).iter().any(|line| line.file == *path));
        let because: Vec<String> = overridden.map(|setting| effective_id(setting)).collect();
        if !because.is_empty() {
            steps.push(put(&free_name(seen, path), state.clone(), because.clone()));
            steps.push(put(path, FileState::Absent, because));
        }
    }
    steps
}

/// A name beside `path` that nothing has: what was set aside earlier is not overwritten.
fn free_name(seen: &Observed, path: &str) -> String {
    let first = format!("{path}{SET_ASIDE}");
    let is_taken = |candidate: &String| {
        let name = candidate.rsplit('/').next().unwrap_or_default();
        seen.names.iter().any(|taken| taken == name)
    };
    let numbered = (2..).map(|n: u32| format!("{first}.{n}"));
    std::iter::once(first.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(first)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
