//! `backup`: whether the database can be had back. Only looks at the folder of the backups: names, sizes and signed
//! manifests. Nothing is decrypted, and the database is not asked.
//!
//! What makes backups are timers, and those are units: the control `services` wants them enabled, and `units` judges
//! whether they are holdfast's own.

mod checks;
mod units;

use std::pin::Pin;

use jiff::Timestamp;

use super::{Comparison, Control, Sight, Wanted};
use crate::{
    backup::{
        catalogue::Entry,
        manifest::{Outcome, seconds},
        run::catalogue,
        signing,
        standing::{Aged, Standing},
    },
    engine::{
        change::Step,
        check::{CheckMeta, Judgement, Verdict},
    },
    host::{HostError, clock, shelf::Shelf},
    profile::{
        schema::{Backup, Mode, Profile},
        types::TimeSpan,
    },
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

    /// A backup takes as long as it takes, and is made by its timer.
    fn is_mended_by_steps(&self, _check: &str) -> bool {
        false
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let now = clock::now();
            let shelves = profile.backup.iter().map(|(name, rules)| {
                let entries = entries(name.as_str(), rules).map_err(|error| error.chain());
                Looked { name: name.to_string(), rules: rules.clone(), entries, now }
            });
            let shelves = shelves.collect();
            let mut seen = Vec::new();
            for name in profile.backup.keys() {
                seen.push((name.to_string(), units::look(name.as_str(), sight.host).await));
            }
            Box::new(Compared { shelves, units: seen }) as Box<dyn Comparison>
        })
    }
}

/// The backups of a name; none where this host has never signed one.
fn entries(name: &str, rules: &Backup) -> Result<Vec<Entry>, HostError> {
    match signing::known_key()? {
        Some(key) => catalogue(&Shelf::at(rules.store.as_str()), name, &key),
        None => Ok(Vec::new()),
    }
}

/// A folder of backups, as it was seen.
#[derive(Debug)]
struct Looked {
    name: String,
    rules: Backup,
    entries: Result<Vec<Entry>, String>,
    now: Timestamp,
}

/// All of them.
#[derive(Debug)]
struct Compared {
    shelves: Vec<Looked>,
    units: Vec<(String, Vec<units::Seen>)>,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let units = self.units.iter().map(|(name, seen)| units::judge(name, seen));
        self.shelves.iter().flat_map(Looked::judge).chain(units).collect()
    }

    fn plan(&self, _wanted: &Wanted<'_>) -> Vec<Step> {
        Vec::new()
    }
}

impl Looked {
    fn judge(&self) -> [Judgement; 4] {
        let [age, proof, drill, shelf] = match &self.entries {
            Err(why) => [(); 4].map(|()| Verdict::Unknown { why: why.clone() }),
            Ok(entries) => {
                let standing = Standing::of(entries, self.now);
                [
                    young(standing.proven, self.rules.proven_within, "no backup was ever proven"),
                    proof(&standing),
                    drill(&standing, &self.rules),
                    shelf(entries),
                ]
            }
        };
        let within = |what: &str, within: TimeSpan| format!("{what} at most {within} old");
        [
            Judgement::new(checks::AGE, within("a proven backup", self.rules.proven_within), age),
            Judgement::new(checks::PROOF, "the newest backup is proven", proof),
            Judgement::new(
                checks::DRILL,
                within("a backup restored as a whole", self.rules.drilled_within),
                drill,
            ),
            Judgement::new(checks::SHELF, "every backup is there, as it was signed", shelf),
        ]
        .map(|judgement| judgement.about(&self.name))
    }
}

fn young(aged: Option<Aged<'_>>, within: TimeSpan, none: &str) -> Verdict {
    match aged {
        Some(aged) if aged.is_within(within) => Verdict::Holds { observed: aged.told() },
        Some(aged) => Verdict::Differs { observed: aged.told() },
        None => Verdict::Differs { observed: none.to_owned() },
    }
}

fn proof(standing: &Standing<'_>) -> Verdict {
    let Some((manifest, _)) = standing.newest.and_then(|entry| entry.manifest.as_ref()) else {
        return Verdict::Differs { observed: "there is no backup".to_owned() };
    };
    let checks = &manifest.proof.checks;
    let against = checks.iter().filter(|check| check.outcome == Outcome::Fail);
    let against: Vec<_> = against.map(|check| format!("{}: {}", check.name, check.text)).collect();
    if manifest.proof.proven {
        let took = seconds(manifest.proof.milliseconds);
        return Verdict::Holds { observed: format!("{}, proven in {took}", manifest.id) };
    }
    Verdict::Differs { observed: format!("{}: {}", manifest.id, against.join("; ")) }
}

fn drill(standing: &Standing<'_>, rules: &Backup) -> Verdict {
    let none = "no backup was ever restored as a whole";
    let verdict = young(standing.drilled, rules.drilled_within, none);
    let drill = standing.drilled.and_then(|aged| aged.manifest.proof.drill.as_ref());
    match (verdict, drill) {
        (Verdict::Holds { observed }, Some(drill)) => {
            let took = seconds(drill.restore_milliseconds);
            Verdict::Holds { observed: format!("{observed}; recovery took {took}") }
        }
        (verdict, _) => verdict,
    }
}

fn shelf(entries: &[Entry]) -> Verdict {
    let bad = entries
        .iter()
        .flat_map(|entry| entry.faults.iter().map(move |fault| format!("{}: {fault}", entry.id)));
    let bad: Vec<_> = bad.collect();
    if bad.is_empty() {
        let there = entries.iter().filter(|entry| !entry.deleted).count();
        return Verdict::Holds { observed: format!("{there} backups, all as they were signed") };
    }
    Verdict::Differs { observed: bad.join("; ") }
}

#[cfg(test)]
mod tests;
