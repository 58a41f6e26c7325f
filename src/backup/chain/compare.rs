//! The keys of the restored rows against the key on chain: more than equal or different, because a signer's rows are
//! verified before the chain has the key, and a node may lag.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{clarity::OnChain, node::Doubt};
use crate::{backup::curve::PublicKey, engine::check};

/// `sbtc_signer.dkg_shares_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The round ended, and its key has not signed yet. A signer that is started 10 blocks later makes it `failed`.
    Unverified,
    /// Its key has signed.
    Verified,
    /// It was given up.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Failed => "failed",
        })
    }
}

/// What of a row counts against the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRow {
    /// The key of the group.
    pub aggregate_key: PublicKey,
    /// How far it got.
    pub status: Status,
    /// When the row was made.
    pub created: Timestamp,
}

/// What the rows come to against the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The newest verified row has the key on chain.
    Equal {
        /// It.
        key: PublicKey,
        /// The row of a later round that is not verified yet.
        unverified: Option<PublicKey>,
    },
    /// The key on chain is that of an older verified row: the newest is yet to be set on chain.
    RotationPending {
        /// The one on chain.
        on_chain: PublicKey,
        /// The newest verified one.
        newest: PublicKey,
    },
    /// The key on chain is that of a row which is not verified.
    NotVerified {
        /// It.
        on_chain: PublicKey,
        /// How far the row got.
        status: Status,
    },
    /// No row has the key on chain.
    Absent {
        /// It.
        on_chain: PublicKey,
        /// How many rows there are.
        rows: usize,
    },
    /// There are rows, and none is verified.
    NoneVerified {
        /// How many are not verified yet.
        unverified: usize,
        /// How many were given up.
        failed: usize,
    },
    /// There are no rows at all.
    NoRows,
    /// The contract has no key yet, and there are verified rows.
    NotBootstrapped,
    /// The node's word does not count.
    StaleNode(Doubt),
}

/// Compares the rows of a backup with the chain, as a node tells it; `doubt` is why it is not to be believed. What is wrong with the rows alone comes first: no node is
/// needed for that. Then the node must be believed, whatever it says: a lagging one may well give a key that is equal.
pub fn compare(rows: &[KeyRow], on_chain: OnChain, doubt: Option<Doubt>) -> Verdict {
    if rows.is_empty() {
        return Verdict::NoRows;
    }
    let of = |status| rows.iter().filter(move |row| row.status == status);
    let newest = of(Status::Verified).max_by_key(|row| (row.created, row.aggregate_key));
    let key = match (newest, doubt, on_chain) {
        // A key on chain that only an unverified row has tells more than that none is verified.
        (None, None, OnChain::Key(key)) if rows.iter().any(|row| row.aggregate_key == key) => key,
        (None, _, _) => {
            let (unverified, failed) = (of(Status::Unverified).count(), of(Status::Failed).count());
            return Verdict::NoneVerified { unverified, failed };
        }
        (Some(_), Some(doubt), _) => return Verdict::StaleNode(doubt),
        (Some(_), None, OnChain::NotBootstrapped) => return Verdict::NotBootstrapped,
        (Some(_), None, OnChain::Key(key)) => key,
    };
    let Some(row) = rows.iter().find(|row| row.aggregate_key == key) else {
        return Verdict::Absent { on_chain: key, rows: rows.len() };
    };
    match newest {
        Some(newest) if newest.aggregate_key == key => {
            let later = of(Status::Unverified).filter(|row| row.created > newest.created);
            let unverified = later
                .max_by_key(|row| (row.created, row.aggregate_key))
                .map(|row| row.aggregate_key);
            Verdict::Equal { key, unverified }
        }
        Some(newest) if row.status == Status::Verified => {
            Verdict::RotationPending { on_chain: key, newest: newest.aggregate_key }
        }
        _ => Verdict::NotVerified { on_chain: key, status: row.status },
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal { key, unverified: None } => {
                write!(f, "the newest verified key is the one on chain: {key}")
            }
            Self::Equal { key, unverified: Some(later) } => write!(
                f,
                "the newest verified key is the one on chain: {key}; {later} is not verified yet: back up again when it is"
            ),
            Self::RotationPending { on_chain, newest } => write!(
                f,
                "the chain has {on_chain}, the key of an older verified row, and not yet {newest}: a rotation is pending, or the node follows a fork; look again"
            ),
            Self::NotVerified { on_chain, status } => write!(
                f,
                "the chain has {on_chain}, whose row is {status} in the backup, and a signer does not use it: back up again now"
            ),
            Self::Absent { on_chain, rows } => write!(
                f,
                "the chain has {on_chain}, and none of the {rows} rows has: the backup is older than the last rotation, or of another database"
            ),
            Self::NoneVerified { unverified, failed } => write!(
                f,
                "no row is verified: {unverified} unverified, {failed} failed; back up again when the round has ended"
            ),
            Self::NoRows => f.write_str(
                "there are no DKG rows: a dump of the schema only, or of a signer that has no share",
            ),
            Self::NotBootstrapped => f.write_str(
                "the contract on chain has no key yet, and the backup has verified rows: it is another deployer, or another network",
            ),
            Self::StaleNode(doubt) => write!(f, "the node's word does not count: {doubt}"),
        }
    }
}

impl Verdict {
    /// Its name, for programs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Equal { .. } => "equal",
            Self::RotationPending { .. } => "rotation-pending",
            Self::NotVerified { .. } => "not-verified",
            Self::Absent { .. } => "absent",
            Self::NoneVerified { .. } => "none-verified",
            Self::NoRows => "no-rows",
            Self::NotBootstrapped => "not-bootstrapped",
            Self::StaleNode(_) => "stale-node",
        }
    }

    /// The same as a control's word: what a node cannot be believed for is unknown, and never holds.
    pub fn judged(&self) -> check::Verdict {
        let text = self.to_string();
        match self {
            Self::Equal { .. } => check::Verdict::Holds { observed: text },
            Self::RotationPending { .. } | Self::StaleNode(_) => {
                check::Verdict::Unknown { why: text }
            }
            Self::NotVerified { .. }
            | Self::Absent { .. }
            | Self::NoneVerified { .. }
            | Self::NoRows
            | Self::NotBootstrapped => check::Verdict::Differs { observed: text },
        }
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
