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
    profile::{schema::Backup, types::TableName},
};

/// The table of DKG rows.
pub const DKG_TABLE: &str = "sbtc_signer.dkg_shares";

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

/// Judges it.
pub fn judge(
    found: &Found,
    source: &Source,
    before: Option<&Manifest>,
    rules: &Backup,
    begun: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![
        rows(found, source),
        verified(found),
        migrations(found, source),
        shrunken(found, before, &rules.may_shrink),
        newest_block(found, rules, begun),
        clock(before, begun),
    ];
    checks.extend(each_row(found, rules));
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

/// `name` in a count is as PostgreSQL writes it in COPY; plain names are written plainly there.
fn shrunken(
    found: &Found,
    before: Option<&Manifest>,
    may_shrink: &BTreeMap<TableName, u8>,
) -> Check {
    let Some(before) = before else {
        let text = "there is no proven backup before this one".to_owned();
        return Check { name: "tables.shrunken".into(), outcome: Outcome::NotApplicable, text };
    };
    let allowed = |table: &str| {
        let rule = may_shrink.iter().find(|(name, _)| name.as_str() == table);
        rule.map_or(0, |(_, percent)| u64::from(*percent).min(100))
    };
    let mut bad = Vec::new();
    for (table, had) in &before.rows {
        match found.rows.get(table) {
            None => bad.push(format!("{table} is gone")),
            // In 128 bits: a hundredfold of any count fits.
            Some(has)
                if u128::from(*has) * 100 < u128::from(*had) * u128::from(100 - allowed(table)) =>
            {
                bad.push(format!("{table} has {has} rows and had {had}"));
            }
            Some(_) => {}
        }
    }
    let held = if bad.is_empty() {
        Ok(format!("no table is smaller than in {} by more than it may be", before.id))
    } else {
        Err(format!("since {}: {}", before.id, bad.join("; ")))
    };
    check("tables.shrunken", held)
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
            if u64::try_from(age).is_ok_and(|age| age > within.as_secs()) {
                Err(format!("{text}, and at most {within} is allowed: the signer had stopped"))
            } else {
                Ok(text)
            }
        }
    };
    check(name, held)
}

fn clock(before: Option<&Manifest>, begun: Timestamp) -> Check {
    let held = match before {
        Some(before) if begun < before.begun => Err(format!(
            "it was begun at {begun}, before {} was: this host's clock has been set back",
            before.id
        )),
        _ => Ok(format!("it was begun at {begun}, after the one before it")),
    };
    check("clock", held)
}

fn each_row(found: &Found, rules: &Backup) -> Vec<Check> {
    let keys: Vec<_> = rules.signer_keys.iter().flatten().map(|key| key.key()).collect();
    let verdicts = dkg::prove(&found.dkg, By::PublicKeys(&keys));
    let judged = found.dkg.iter().zip(verdicts).map(|(row, verdict)| {
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
