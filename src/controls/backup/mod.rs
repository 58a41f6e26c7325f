//! `backup`: whether the database can be had back. Only looks at the folder of the backups: names, sizes and signed
//! manifests. Nothing is decrypted, and the database is not asked.
//!
//! What makes backups are timers, and those are units: the control `services` wants them enabled, and `units` judges
//! whether they are holdfast's own.
//!
//! DKG rows have files of their own, and are judged in `rows`.

mod checks;
mod rows;
mod shelf;
mod units;

use std::pin::Pin;

use jiff::Timestamp;

use super::{Comparison, Control, Sight, Wanted};
use crate::{
    backup::{
        catalogue::Entry,
        folder::{self, Bytes},
        manifest::{Outcome, seconds},
        rows::{Rows, watch},
        server, signing,
        standing::{Aged, Standing},
    },
    engine::{
        change::Step,
        check::{CheckMeta, Judgement, Verdict},
    },
    host::{HostError, Reader, clock, shelf::Shelf},
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
                // First what was recorded: what is made meanwhile is not missed.
                let made = shelf::made(name.as_str());
                let entries = entries(name.as_str(), rules).map_err(|error| error.chain());
                let rows = rows_of(name.as_str(), rules).map_err(|error| error.chain());
                let shelf = shelf::Seen { rows, made };
                Looked { name: name.to_string(), rules: rules.clone(), entries, shelf, now }
            });
            let shelves = shelves.collect();
            let rows = profile.backup.iter().map(|(name, rules)| {
                (name.to_string(), rows::Seen::read(name.as_str(), rules, sight.host))
            });
            let (rows, mut units) = (rows.collect(), Vec::new());
            for name in profile.backup.keys() {
                units.push((name.to_string(), units::look(name.as_str(), sight.host).await));
            }
            Box::new(Compared { shelves, rows, units }) as Box<dyn Comparison>
        })
    }
}

/// How the DKG rows of a backup stand, as `verify` says it.
pub fn rows(name: &str, rules: &Backup, host: &Reader) -> Vec<Judgement> {
    rows::Seen::read(name, rules, host).judge(name)
}

/// The backups of a name; none where this host has never signed one.
fn entries(name: &str, rules: &Backup) -> Result<Vec<Entry>, HostError> {
    match signing::known_key()? {
        Some(key) => {
            let shelf = Shelf::at(rules.store.as_str());
            folder::entries(&shelf, name, &key.verifying_key(), Bytes::OfSmall)
        }
        None => Ok(Vec::new()),
    }
}

/// Those of its rows alone.
fn rows_of(name: &str, rules: &Backup) -> Result<Vec<Entry<Rows>>, HostError> {
    match signing::known_key()? {
        Some(key) => watch::entries(rules.store.as_str(), name, &key),
        None => Ok(Vec::new()),
    }
}

/// A folder of backups, as it was seen.
#[derive(Debug)]
struct Looked {
    name: String,
    rules: Backup,
    entries: Result<Vec<Entry>, String>,
    shelf: shelf::Seen,
    now: Timestamp,
}

/// All of them.
#[derive(Debug)]
struct Compared {
    shelves: Vec<Looked>,
    rows: Vec<(String, rows::Seen)>,
    units: Vec<(String, Vec<units::Seen>)>,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let rows = self.rows.iter().flat_map(|(name, seen)| seen.judge(name));
        let units = self.units.iter().map(|(name, seen)| units::judge(name, seen));
        self.shelves.iter().flat_map(Looked::judge).chain(rows).chain(units).collect()
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
                    shelf::judge(entries, &self.shelf),
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
    let Some(manifest) = standing.newest.and_then(Entry::known) else {
        return Verdict::Differs { observed: "there is no backup".to_owned() };
    };
    let checks = &manifest.proof.checks;
    let of = |outcome: Outcome| checks.iter().filter(move |check| check.outcome == outcome);
    // Where nothing is said against it, it is why nothing could be said.
    let against = of(Outcome::Fail).chain(of(Outcome::CannotCheck));
    let against: Vec<_> = against.map(|check| format!("{}: {}", check.name, check.text)).collect();
    let (server, client) = (manifest.server_version / 10_000, manifest.client_major);
    if manifest.proof.proven && !server::takes(server, client) {
        let observed = format!(
            "{} comes back only into a server of {client} or newer, not into its own of {server}: {}",
            manifest.id,
            server::install_client(server)
        );
        return Verdict::Differs { observed };
    }
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

#[cfg(test)]
mod tests;
