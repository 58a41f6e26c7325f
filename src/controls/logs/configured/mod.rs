//! How the sources' logs are set up to be kept, and where their output really goes.
//!
//! What is read is kept as plain data, one type for each kind of source; judging and planning are pure. Nothing is
//! asked that the profile has no source for, and no process is started unless a container of Podman is one.

mod container;
mod copy;
mod cut;
mod file;
mod namespace;
mod own;
mod rotation;
mod rules;
mod sealing;
mod sizing;
mod space;
mod unit;

use std::collections::{BTreeMap, BTreeSet};

use self::own::Own;
pub(in crate::controls) use self::sizing::journal_for;
use super::{checks, measured::OnHost};
use crate::{
    controls::{Obstacle, Wanted},
    engine::{
        change::Step,
        check::{Judgement, Verdict},
    },
    host::Reader,
    profile::{
        schema::{Journal, LogSource, Logs, Mode, Profile},
        types::TimeSpan,
    },
};

/// What journald's journal on disk is below.
const LOG: &str = "/var/log/journal";

/// Both sides.
#[derive(Debug)]
pub(super) struct Compared {
    /// Where each source's output goes, by name.
    effective: Vec<(String, String, Verdict)>,
    /// The files that holdfast has of its own.
    own: Vec<Own>,
    /// What journald is to be held to, by namespace; the host's own journal has none.
    limits: BTreeMap<Option<String>, Journal>,
    /// Into how many journals the budget is divided.
    parts: u64,
    /// Of rotations that must not be set up, which source and why.
    hazards: Vec<String>,
    space: space::Found,
    copy: Result<Option<copy::Copy>, String>,
    /// Where sealing is asked for.
    sealing: Option<Result<Option<String>, String>>,
}

/// Reads what the profile's sources are about.
pub(super) async fn observe(profile: &Profile, host: &Reader) -> Compared {
    let logs = profile.logs.clone().unwrap_or_default();
    let size = host.files().total_bytes(LOG);
    let is_sealed = profile.journal.as_ref().is_some_and(|journal| journal.seal == Some(true));
    let mut compared = Compared {
        effective: Vec::new(),
        own: Vec::new(),
        limits: BTreeMap::new(),
        parts: sizing::parts(&logs),
        hazards: Vec::new(),
        space: space::Found::new(profile, &logs, 0, size),
        copy: copy::read(host).await,
        sealing: is_sealed.then(|| sealing::read(host)),
    };
    let mut namespaces: BTreeMap<String, TimeSpan> = BTreeMap::new();
    for source in &logs.source {
        let verdict = one(&logs, source, host, &mut namespaces, &mut compared).await;
        let expected = expected(&logs, source);
        compared.effective.push((source.name.as_str().to_owned(), expected, verdict));
    }
    // Where `[journal]` is only looked at, nothing is written for the host's own.
    let journal = profile.journal.clone().unwrap_or_default();
    if journal.mode == Mode::Enforce {
        compared.limits.insert(None, journal_for(&journal, &logs, size));
    }
    let named: BTreeSet<_> =
        logs.source.iter().filter_map(|source| source.namespace.as_ref()).collect();
    let unnamed = namespaces.keys().filter(|seen| named.iter().all(|name| name.as_str() != *seen));
    compared.space = space::Found::new(profile, &logs, unnamed.count() as u64, size);
    for (name, keep) in &namespaces {
        compared.limits.insert(Some(name.clone()), sizing::namespace_for(*keep, &logs, size));
        compared.own.push(namespace::own(name, *keep, &logs, size, host).await);
    }
    let wanted: BTreeSet<String> = compared.own.iter().map(|own| own.path.clone()).collect();
    compared.own.extend(rotation::left_over(host, &wanted));
    compared.own.extend(namespace::left_over(host, &wanted).await);
    compared
}

/// Reads one source, and judges where its output goes.
async fn one(
    logs: &Logs,
    source: &LogSource,
    host: &Reader,
    namespaces: &mut BTreeMap<String, TimeSpan>,
    compared: &mut Compared,
) -> Verdict {
    let keep = logs.keep_of(source);
    if let Some(unit) = &source.unit {
        let found = unit::read(host, unit.as_str()).await;
        let named = source.namespace.as_ref().map(|name| name.as_str().to_owned());
        let seen = || found.as_ref().ok().and_then(unit::Found::namespace);
        if let Some(name) = named.clone().or_else(seen) {
            let longest = namespaces.entry(name).or_insert(keep);
            *longest = keep.max(*longest);
        }
        return unit::judge(&found, named.as_deref());
    }
    if let Some(name) = &source.container {
        let found = container::read(host, name.as_str()).await;
        return container::judge(&found, keep);
    }
    let Some(path) = &source.file else {
        return Verdict::Unknown { why: "the profile does not say where it is".to_owned() };
    };
    let found = file::read(host, source, path.as_str()).await;
    if let Some(hazard) = file::hazard(&found) {
        compared.hazards.push(format!("{}: {hazard}", source.name));
    } else if source.is_rotated() && !file::has_other_rule(&found) {
        compared.own.push(rotation::own(source, path.as_str(), keep, host));
    }
    file::judge(&found, source.is_rotated(), keep)
}

/// What is expected of where its output goes, in words that change when the profile does.
fn expected(logs: &Logs, source: &LogSource) -> String {
    let keep = logs.keep_of(source);
    match (&source.unit, &source.container, &source.file, &source.namespace) {
        (Some(unit), _, _, Some(name)) => {
            format!("{unit} logs to the journal of namespace {name}")
        }
        (Some(unit), ..) => format!("{unit} logs to the journal"),
        (_, Some(container), ..) => format!("container {container} keeps its log for {keep}"),
        (_, _, Some(file), _) => format!("{file} is only ever appended to, and kept for {keep}"),
        _ => String::new(),
    }
}

impl Compared {
    /// One judgement for each check that the profile asks for. `per_day` is what the journals grow by in a day, in bytes,
    /// where that has been measured.
    pub(super) fn judge(&self, per_day: Option<u64>) -> Vec<Judgement> {
        let effective = self.effective.iter().map(|(name, expected, verdict)| {
            Judgement::new(checks::EFFECTIVE, expected, verdict.clone()).about(name)
        });
        let mut judgements: Vec<Judgement> = effective.collect();
        judgements.extend(self.own.iter().map(Own::judge));
        judgements.push(self.space.judge(per_day));
        judgements.push(copy::judge(&self.copy));
        judgements.extend(self.sealing.as_ref().map(sealing::judge));
        judgements
    }

    /// The steps for holdfast's own files.
    pub(super) fn plan(&self, wanted: Wanted<'_>) -> Vec<Step> {
        self.own.iter().flat_map(|own| own.plan(wanted)).collect()
    }

    /// A file system that is too small, limits that would have journald delete what is kept now, and a rotation that would
    /// end the program it is for.
    pub(super) fn obstacles(&self, per_day: Option<u64>, journals: &[OnHost]) -> Vec<Obstacle> {
        let hazards = self.hazards.iter().map(|why| Obstacle {
            check: checks::EFFECTIVE.id.to_owned(),
            why: why.clone(),
            overridable: false,
            guards: &[],
        });
        let cuts = journals.iter().filter_map(|each| {
            let wanted = self.limits.get(&each.namespace)?;
            cut::obstacle(&each.journal.dir, each.space.as_ref()?, wanted, self.parts)
        });
        hazards.chain(self.space.obstacle(per_day)).chain(cuts).collect()
    }
}

/// A verdict in one line.
#[cfg(test)]
fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Holds { observed } => format!("holds: {observed}"),
        Verdict::Differs { observed } => format!("differs: {observed}"),
        Verdict::Unknown { why } => format!("unknown: {why}"),
        Verdict::NotApplicable { why } => format!("not applicable: {why}"),
        Verdict::Accumulating { observed } => format!("accumulating: {observed}"),
    }
}
