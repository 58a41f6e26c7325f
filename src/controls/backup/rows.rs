//! DKG rows: what the last look saw, against what proven backups hold.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::checks::{CHAIN, DKG};
use crate::{
    backup::{
        catalogue::Entry,
        chain::{self, Answer, Status, Verdict as OnChain},
        folder::{self, Bytes},
        manifest::{Check, Database, Outcome},
        rows::{
            note::{Asked, Note},
            print::Print,
            watch,
        },
        signing,
    },
    engine::check::{Judgement, Verdict},
    host::{Reader, clock, shelf::Shelf, watched},
    profile::{schema::Backup, types::TimeSpan},
};

/// A backup that is whole, and what of it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) id: String,
    pub(super) made: Timestamp,
    /// Of dumps only those that were proven as a whole; of a file of rows each row that was.
    pub(super) rows: Vec<Print>,
}

/// What was read of one backup.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) saved: Result<Vec<Saved>, String>,
    pub(super) note: Option<Note>,
    pub(super) now: Timestamp,
    /// For how long this host has been up.
    pub(super) up: TimeSpan,
    pub(super) within: TimeSpan,
    /// How often the chain is asked; `None`: never.
    pub(super) asked_every: Option<TimeSpan>,
}

impl Seen {
    pub(super) fn read(name: &str, section: &Backup, host: &Reader) -> Self {
        Self {
            saved: saved(name, section),
            note: watched::note(host.files(), &Note::name(name)),
            now: clock::now(),
            up: TimeSpan::from_secs(clock::since_boot()),
            within: section.watched_within,
            asked_every: section.chain.as_ref().map(|chain| chain.look_every),
        }
    }

    pub(super) fn judge(&self, name: &str) -> Vec<Judgement> {
        let wanted = "every DKG row is in a proven backup";
        let mut all = vec![Judgement::new(DKG, wanted, self.dkg()).about(name)];
        if let Some(every) = self.asked_every {
            let wanted = "the key on chain is the newest verified one of a proven backup";
            all.push(Judgement::new(CHAIN, wanted, self.chain(every)).about(name));
        }
        all
    }

    fn dkg(&self) -> Verdict {
        let saved = match &self.saved {
            Ok(saved) => saved,
            Err(why) => return Verdict::Unknown { why: why.clone() },
        };
        let Some(note) = &self.note else {
            let never = "nobody has looked for rows since this host was started; see: systemctl status holdfast-backup-watch@NAME.timer";
            // A boot comes to it by itself.
            return if self.up.as_secs() > self.within.as_secs() {
                Verdict::Differs { observed: never.into() }
            } else {
                Verdict::Unknown { why: never.into() }
            };
        };
        if !note.unsaved.is_empty() {
            return Verdict::Differs { observed: watch::unsaved_words(&note.unsaved) };
        }
        let has = |row: &Print| {
            saved.iter().any(|file| {
                file.rows.iter().any(|each| each.is_same_row(row) && each.status == row.status)
            })
        };
        let missing: Vec<_> = note.rows.iter().filter(|row| !has(row)).collect();
        if !missing.is_empty() {
            let keys: Vec<_> =
                missing.iter().map(|row| format!("{} ({})", row.key, row.status)).collect();
            let observed = format!("not in any proven backup: {}", keys.join(", "));
            return Verdict::Differs { observed };
        }
        if let Some(lost) = lost(saved, &note.rows) {
            return Verdict::Differs { observed: lost };
        }
        let age = self.now.as_second().saturating_sub(note.at.as_second());
        if age < 0 {
            let why =
                format!("the last look was at {}: this host's clock has been set back", note.at);
            return Verdict::Unknown { why };
        }
        let age = TimeSpan::from_secs(u64::try_from(age).unwrap_or(u64::MAX));
        if age.as_secs() > self.within.as_secs() {
            let observed = format!(
                "nobody has looked for new rows for {age}; at most {} is allowed",
                self.within
            );
            return Verdict::Differs { observed };
        }
        if note.rows.is_empty() {
            return Verdict::NotApplicable { why: "the database has no DKG row yet".into() };
        }
        let (rows, at) = (note.rows.len(), note.at);
        Verdict::Holds {
            observed: format!("all of its {rows} rows are, as the look at {at} saw them"),
        }
    }

    fn chain(&self, every: TimeSpan) -> Verdict {
        let unknown = |why: String| Verdict::Unknown { why };
        let saved = match &self.saved {
            Ok(saved) => saved,
            Err(why) => return unknown(why.clone()),
        };
        let asked = self.note.as_ref().and_then(|note| Some((note, note.chain.as_ref()?)));
        let Some((note, Asked { answer: Some(answer), fault, .. })) = asked else {
            let fault = asked.and_then(|(_, asked)| asked.fault.clone());
            return unknown(fault.unwrap_or_else(|| "no node has been asked yet".into()));
        };
        // What was on chain an hour ago still must be in a backup; that it is the newest is known no more.
        let age = self.now.as_second().saturating_sub(answer.at.as_second());
        let patience = every.as_secs().saturating_mul(3).max(self.within.as_secs());
        let patience = i64::try_from(patience).unwrap_or(i64::MAX);
        let verdict = verdict(saved, answer, note.height);
        match verdict.judged() {
            Verdict::Holds { .. } if !(0..=patience).contains(&age) => {
                let why = fault.clone().unwrap_or_else(|| "nobody has looked since".into());
                unknown(format!("the last answer is of {}: {why}", answer.at))
            }
            Verdict::Holds { observed } => match &note.heightless {
                None => Verdict::Holds { observed },
                Some(why) => unknown(format!(
                    "whether the node is behind the signer is not known, because the signer's newest Bitcoin block is not: {why}"
                )),
            },
            other => other,
        }
    }
}

/// The rows of all backups, of each the newest backup's word, against the chain.
fn verdict(saved: &[Saved], answer: &Answer, height: Option<u64>) -> OnChain {
    // A signer takes no row back to unverified; so such a word is an older one, whatever the clock said when it was kept.
    let when = |file: &Saved, row: &Print| (row.status != Status::Unverified, file.made);
    let mut newest: BTreeMap<&str, ((bool, Timestamp), &Print)> = BTreeMap::new();
    for file in saved {
        for row in &file.rows {
            let when = when(file, row);
            if newest.get(row.key.as_str()).is_none_or(|(known, _)| *known <= when) {
                newest.insert(&row.key, (when, row));
            }
        }
    }
    let rows: Vec<_> = newest.values().filter_map(|(_, row)| row.key_row()).collect();
    let doubt = answer.doubt(answer.at, height);
    answer.on_chain().map_or(OnChain::NoRows, |on_chain| chain::compare(&rows, on_chain, doubt))
}

/// A row that a backup has, and the database no more or not as it was.
fn lost(saved: &[Saved], now: &[Print]) -> Option<String> {
    saved.iter().find_map(|file| {
        file.rows.iter().find_map(|row| match now.iter().find(|each| each.key == row.key) {
            Some(there) if there.digest == row.digest => None,
            Some(_) => Some(format!(
                "{} is another row now than in {}, and no signer alters one",
                row.key, file.id
            )),
            None => Some(format!(
                "{} is in {} and no more in the database: no signer deletes one",
                row.key, file.id
            )),
        })
    })
}

fn saved(name: &str, section: &Backup) -> Result<Vec<Saved>, String> {
    let key = signing::known_key().map_err(|error| error.chain())?;
    let Some(key) = key else { return Ok(Vec::new()) };
    let store = section.store.as_str();
    let (shelf, public) = (Shelf::at(store), key.verifying_key());
    let dumps = folder::entries::<Database>(&shelf, name, &public, Bytes::OfSmall);
    let dumps = dumps.map_err(|error| error.chain())?;
    let dumps = dumps.iter().filter_map(Entry::proven).map(|manifest| Saved {
        id: manifest.id.clone(),
        made: manifest.made,
        rows: manifest.of.dkg.clone(),
    });
    let files = watch::entries(store, name, &key).map_err(|error| error.chain())?;
    let files = files.iter().filter_map(|entry| entry.whole()).map(|manifest| Saved {
        id: manifest.id.clone(),
        made: manifest.made,
        rows: good(&manifest.of.rows, &manifest.proof.checks),
    });
    Ok(dumps.chain(files).collect())
}

/// The rows against which nothing was found.
fn good(rows: &[Print], checks: &[Check]) -> Vec<Print> {
    let failed = |name: &str| {
        checks.iter().any(|check| check.name == name && check.outcome == Outcome::Fail)
    };
    if failed("dkg.rows") || failed(watch::COLUMNS) {
        return Vec::new();
    }
    let good = rows.iter().filter(|row| !failed(&format!("dkg.row/{}", row.key)));
    good.cloned().collect()
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
