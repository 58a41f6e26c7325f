//! What a restored backup is worth: pure, over what was found in it, what its database said of itself, and the last
//! backup that was proven.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    chain::Status,
    dkg::{self, By, Row},
    manifest::{Block, Check, Manifest, Outcome, Source},
};
use crate::{
    engine::check::Verdict,
    host::shell::word,
    profile::{schema::Backup, types::TableName},
};

/// The table of DKG rows.
pub const DKG_TABLE: &str = "sbtc_signer.dkg_shares";

/// How far the clocks of the database's host and of this one may be apart, in seconds.
const SKEW: i64 = 300;

/// What was found in a restored backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its DKG rows.
    pub dkg: Vec<Row>,
    /// The migrations it has had.
    pub migrations: Vec<String>,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    /// Its newest Bitcoin block.
    pub newest_block: Option<Block>,
}

/// What a backup is held to beside itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// The last backup that was proven; none: there is none.
    pub last: Option<&'a Manifest>,
    /// The tables that may be smaller than in that one, or gone, this once: a person has said so.
    pub accepted: &'a [String],
}

/// Judges it.
pub fn judge(
    found: &Found,
    source: &Source,
    before: Before<'_>,
    rules: &Backup,
    begun: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![
        rows(found, source),
        verified(found),
        migrations(found, source),
        shrunken(found, before, &rules.may_shrink),
        newest_block(found, rules, begun),
        clock(before.last, begun),
    ];
    checks.extend(each_row(&found.dkg, rules));
    checks
}

fn check(name: &str, held: Result<String, String>) -> Check {
    let (outcome, text) = match held {
        Ok(text) => (Outcome::Pass, text),
        Err(text) => (Outcome::Fail, text),
    };
    Check { name: name.to_owned(), outcome, text }
}

fn rows(found: &Found, source: &Source) -> Check {
    let (restored, counted) = (found.dkg.len() as u64, found.rows.get(DKG_TABLE).copied());
    let held = match (restored, source.dkg_rows) {
        (0, _) => Err("it has no DKG row: nothing in it can be used again".to_owned()),
        (_, Some(said)) if said != restored => {
            Err(format!("{restored} DKG rows were restored, and the database had {said}"))
        }
        _ if counted != Some(restored) => {
            let counted = counted.unwrap_or_default();
            Err(format!("{restored} DKG rows were restored, and {counted} are in the file"))
        }
        _ => Ok(format!("{restored} DKG rows, as in the database")),
    };
    check("dkg.rows", held)
}

fn verified(found: &Found) -> Check {
    let count = found.dkg.iter().filter(|row| row.dkg_shares_status == Status::Verified).count();
    let held = match count {
        0 => Err("none of its DKG rows is verified: there is no key that signs".to_owned()),
        count => Ok(format!("{count} of its DKG rows are verified")),
    };
    check("dkg.verified", held)
}

fn migrations(found: &Found, source: &Source) -> Check {
    let restored = found.migrations.len();
    let held = match &source.migrations {
        _ if restored == 0 => Err(
            "it has no bookkeeping of migrations: a signer would run them again over what is there"
                .to_owned(),
        ),
        Some(said) if *said != found.migrations => {
            Err(format!("it has {restored} migrations, and not the {} of the database", said.len()))
        }
        _ => Ok(format!("{restored} migrations, as in the database")),
    };
    check("migrations", held)
}

/// What is smaller than it was, as one check is called.
const SHRUNKEN: &str = "tables.shrunken";

/// A table that is smaller than it was by more than it may be.
#[derive(Debug)]
struct Shrunk<'a> {
    /// Its name as PostgreSQL writes it in COPY; plain names are written plainly there.
    table: &'a str,
    /// How many percent of its rows it has lost.
    percent: u64,
    /// In words.
    said: String,
}

fn shrunken(found: &Found, before: Before<'_>, may_shrink: &BTreeMap<TableName, u8>) -> Check {
    let Some(last) = before.last else {
        let text = "there is no proven backup before this one".to_owned();
        return Check { name: SHRUNKEN.into(), outcome: Outcome::NotApplicable, text };
    };
    let allowed = |table: &str| {
        let rule = may_shrink.iter().find(|(name, _)| name.as_str() == table);
        let rule = rule.filter(|_| may_lose_rows(table));
        rule.map_or(0, |(_, percent)| u64::from(*percent).min(WHOLE))
    };
    let shrunk = last.of.rows.iter().filter_map(|(table, had)| {
        let has = found.rows.get(table).copied();
        let said = has.map_or_else(
            || format!("{table} is gone"),
            |has| format!("{table} has {has} rows and had {had}"),
        );
        let percent = lost(has, *had);
        (percent > allowed(table)).then_some(Shrunk { table, percent, said })
    });
    let is_accepted = |each: &Shrunk<'_>| {
        may_lose_rows(each.table) && before.accepted.iter().any(|table| table == each.table)
    };
    let (accepted, bad): (Vec<_>, Vec<_>) = shrunk.partition(is_accepted);
    let words = |all: &[Shrunk<'_>]| {
        all.iter().map(|each| each.said.as_str()).collect::<Vec<_>>().join("; ")
    };
    let (id, between) = (&last.id, between(found, last));
    let taken = format!("accepted by who made this backup: {}", words(&accepted));
    let held = match (bad.is_empty(), accepted.is_empty()) {
        (true, true) => Ok(format!("no table is smaller than in {id} by more than it may be")),
        (true, false) => Ok(format!("since {id}, {taken}{between}")),
        (false, is_none) => {
            let taken = if is_none { String::new() } else { format!("; {taken}") };
            let advice = advice(last, &bad);
            Err(format!("since {id}: {}{taken}{between}. {advice}", words(&bad)))
        }
    };
    check(SHRUNKEN, held)
}

/// Whether anything may let a table lose rows. A DKG row that is lost cannot be made again, and no signer deletes one.
pub fn may_lose_rows(table: &str) -> bool {
    table != DKG_TABLE
}

/// What to do about tables that are smaller, when that is as it should be.
fn advice(last: &Manifest, shrunk: &[Shrunk<'_>]) -> String {
    let Manifest { id, name, .. } = last;
    let (others, dkg): (Vec<_>, Vec<_>) = shrunk.iter().partition(|each| may_lose_rows(each.table));
    let mut advice = Vec::new();
    if !others.is_empty() {
        let accept = |each: &&Shrunk<'_>| format!(" --accept-shrunken {}", word(each.table));
        let once: String = others.iter().map(accept).collect();
        let rule = |each: &&Shrunk<'_>| {
            // The profile has plain names only.
            let table: TableName = each.table.parse().ok()?;
            Some(format!("\"{table}\" = {}", each.percent))
        };
        let rules: Vec<_> = others.iter().filter_map(rule).collect();
        let for_good = if rules.is_empty() {
            String::new()
        } else {
            format!("; or for good, in [backup.{name}.may_shrink]: {}", rules.join(", "))
        };
        advice.push(format!(
            "If that is as it should be: `holdfast backup run {name}{once}`, once{for_good}"
        ));
    }
    if !dkg.is_empty() {
        advice.push(format!(
            "{DKG_ADVICE}. All of them are in {id}, too: `holdfast backup restore {id} --into NEW --identity FILE`, an empty \
             database beside it, and copy {DKG_TABLE} from there"
        ));
    }
    advice.join(". ")
}

/// What to do about DKG rows that are gone.
pub const DKG_ADVICE: &str = "No signer deletes DKG rows, and nothing lets them go: put them back with `holdfast backup restore-rows` \
     from one of `holdfast backup rows`; a database of another signer takes a section [backup.NAME] of its own";

/// All of a table, in percent.
const WHOLE: u64 = 100;

/// How many percent of its rows a table has lost, each begun one counted; one that is gone has lost all, though it had none.
fn lost(has: Option<u64>, had: u64) -> u64 {
    let Some(has) = has else { return WHOLE };
    // In 128 bits: a hundredfold of any count fits.
    let lost = u128::from(had.saturating_sub(has)) * u128::from(WHOLE);
    lost.div_ceil(u128::from(had.max(1))).try_into().unwrap_or(WHOLE)
}

/// The migrations that ran since, in words: where tables went with one, it was the signer who took them away.
fn between(found: &Found, before: &Manifest) -> String {
    let had = before.of.source.migrations.as_deref().unwrap_or_default();
    let new: Vec<_> = found.migrations.iter().filter(|each| !had.contains(each)).cloned().collect();
    match new.as_slice() {
        [] => "; no migration ran in between".to_owned(),
        [one] => format!("; migration {one} ran in between"),
        more => format!("; migrations {} ran in between", more.join(", ")),
    }
}

fn newest_block(found: &Found, rules: &Backup, begun: Timestamp) -> Check {
    let name = "blocks.newest";
    let Some(within) = rules.newest_block_within else {
        let text = found.newest_block.as_ref().map_or_else(
            || "it has no Bitcoin block, and the profile asks for none".to_owned(),
            |block| format!("Bitcoin block {}, seen {}", block.height, block.seen),
        );
        return Check { name: name.into(), outcome: Outcome::NotApplicable, text };
    };
    let held = match &found.newest_block {
        None => Err("it has no Bitcoin block".to_owned()),
        Some(Block { height, seen }) => {
            let age = begun.as_second().saturating_sub(seen.as_second());
            let text = format!("Bitcoin block {height} was seen {age} s before it was begun");
            if age < -SKEW {
                let ahead = age.saturating_neg();
                Err(format!(
                    "Bitcoin block {height} was seen {ahead} s after it was begun: its age is not known, because one of the two clocks is wrong"
                ))
            } else if u64::try_from(age).is_ok_and(|age| age > within.as_secs()) {
                Err(format!("{text}, and at most {within} is allowed: the signer had stopped"))
            } else {
                Ok(text)
            }
        }
    };
    check(name, held)
}

/// A clock that was wrong is nothing against the file: which of the two times is, nobody here knows.
fn clock(before: Option<&Manifest>, begun: Timestamp) -> Check {
    let (outcome, text) = match before {
        Some(before) if begun < before.begun => (
            Outcome::CannotCheck,
            format!(
                "it was begun at {begun}, and {}, made before it, at {}: this host's clock was ahead then, or has been set back",
                before.id, before.begun
            ),
        ),
        _ => (Outcome::Pass, format!("it was begun at {begun}, after the one before it")),
    };
    Check { name: "clock".into(), outcome, text }
}

/// Judges rows one by one, from public data.
pub fn each_row(rows: &[Row], rules: &Backup) -> Vec<Check> {
    let keys: Vec<_> = rules.signer_keys.iter().flatten().map(|key| key.key()).collect();
    let verdicts = dkg::prove(rows, By::PublicKeys(&keys));
    let judged = rows.iter().zip(verdicts).map(|(row, verdict)| {
        let name = format!("dkg.row/{}", row.name());
        let (outcome, text) = match verdict.judged(row.dkg_shares_status) {
            Verdict::Holds { observed } => (Outcome::Pass, observed),
            Verdict::Differs { observed } => (Outcome::Fail, observed),
            Verdict::NotApplicable { why } => (Outcome::NotApplicable, why),
            // Whole by public data; whose it is, the profile does not ask.
            _ => (
                Outcome::NotApplicable,
                "it is whole; the profile has no signer_keys to tell whose it is".into(),
            ),
        };
        Check { name, outcome, text }
    });
    judged.collect()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
