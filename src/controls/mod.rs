//! The controls: each a section of the profile and the code that observes, judges and plans for it.
//!
//! To add one: a folder here, a section in [`crate::profile::schema`], a line in [`ALL`], and a test file.

pub mod backup;
mod dropin;
pub mod firewall;
pub mod journal;
pub mod keys;
pub mod login;
pub mod logs;
pub mod pull;
pub mod services;
mod sight;
pub mod ssh;
pub mod sysctl;

use std::{fmt, pin::Pin};

use crate::{
    engine::{
        change::{Change, Step},
        check::{CheckMeta, Judgement},
    },
    evidence,
    profile::schema::{Mode, Profile},
};

pub use sight::Sight;

/// Every control, in the order in which their changes are made: what can cut a login off comes last.
pub const ALL: &[&dyn Control] = &[
    &journal::Journal,
    &logs::LogsControl,
    &sysctl::Sysctl,
    &services::Services,
    &ssh::Ssh,
    &pull::PullControl,
    &firewall::FirewallControl,
    &login::LoginControl,
    &backup::BackupControl,
    &keys::KeysControl,
];

/// A section of the profile and what it means on a host.
pub trait Control: Sync + fmt::Debug {
    /// Name of the section, and the first part of its checks' ids.
    fn name(&self) -> &'static str;

    /// Every check it can ever report.
    fn checks(&self) -> &'static [CheckMeta];

    /// Whether the profile manages it, and how. `None`: the section is absent.
    fn mode(&self, profile: &Profile) -> Option<Mode>;

    /// Whether this change, made for this control's sake, can cut off a login. An apply with such a change is rolled
    /// back unless a person confirms it from a new one.
    fn can_cut_off_login(&self, _change: &Change) -> bool {
        false
    }

    /// Whether its steps can make this check (by its base id) hold. Where they cannot, that it differs is shown, and is
    /// no reason to take changes back.
    fn is_mended_by_steps(&self, _check: &str) -> bool {
        true
    }

    /// Reads the host. Never fails as a whole: what could not be read is judged [`Unknown`](crate::engine::check::Verdict::Unknown).
    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>>;
}

/// What the profile wants beside what the host has. Holds no handle to the host, so nothing here can change it.
pub trait Comparison: fmt::Debug {
    /// One judgement for each check the profile asks for.
    fn judge(&self) -> Vec<Judgement>;

    /// The steps that make the `wanted` checks hold (full ids, a subset of those judged as differing), in order.
    /// Empty where holdfast cannot put them right itself.
    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step>;

    /// What changes would do, as text before and after, where the change itself is not a file.
    fn previews(&self) -> Vec<Preview> {
        Vec::new()
    }

    /// What a person is to know before an apply begins, in a line each.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What later looks will have to know of this one: the name of a file in holdfast's own folder, and what is to be in it.
    fn note(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }

    /// What forbids an apply to begin at all. Empty: nothing does.
    fn obstacles(&self) -> Vec<Obstacle> {
        Vec::new()
    }
}

/// Why an apply must not begin: what it wants cannot be had, or would shut its owner out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The check that explains it (`holdfast explain`), in full.
    pub check: String,
    /// What is missing, and what to do.
    pub why: String,
    /// Whether a person may go on in spite of it (`apply --despite CHECK`).
    pub overridable: bool,
    /// The controls whose drift is not put right unattended either while this stands: nothing brings back what that
    /// would destroy.
    pub guards: &'static [&'static str],
}

/// What a change would do to something that is shown as text.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The change, as it is planned.
    pub change: Change,
    /// What it is about: the head of the diff.
    pub title: String,
    /// The text now.
    pub before: String,
    /// The text afterwards.
    pub after: String,
}

/// The checks that are to be put right.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a>(pub &'a std::collections::BTreeSet<String>);

impl Wanted<'_> {
    /// Whether this very check is to be put right.
    pub fn has(&self, id: &str) -> bool {
        self.0.contains(id)
    }

    /// The wanted checks among those with this base id (`base` or `base/…`).
    pub fn of(&self, base: &str) -> Vec<String> {
        let is_of = |id: &&String| {
            id.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().filter(is_of).cloned().collect()
    }
}

/// Every check that `verify` can report: those of the controls, and that of the evidence log, which no section of the
/// profile asks for.
pub fn checks() -> impl Iterator<Item = &'static CheckMeta> {
    ALL.iter().flat_map(|control| control.checks()).chain(evidence::check::CHECKS)
}

/// The fixed part of a check by its base id.
pub fn check_meta(base: &str) -> Option<&'static CheckMeta> {
    checks().find(|meta| meta.id == base)
}
