//! By what a row is known again: a digest over every column but its status, which the server reckons, too. So a look costs
//! some bytes for each row, and what was saved is held to what the server has.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::backup::{
    chain::{KeyRow, Status},
    curve::{PublicKey, hex, unhex},
    dkg::Row,
};

/// Asks for the print of every row, one JSON object on a line. Each column's own digest first, so that nothing can move
/// from one to the next unseen. No output of it depends on a setting of the session.
pub const QUERY: &str = "\
SELECT json_build_object(\
'key', encode(aggregate_key, 'hex'), \
'status', concat(dkg_shares_status), \
'created', created_at, \
'digest', encode(sha256(\
sha256(aggregate_key) || sha256(tweaked_aggregate_key) || sha256(encrypted_private_shares) || \
sha256(public_shares) || sha256(script_pubkey) || sha256(started_at_bitcoin_block_hash) || \
sha256(convert_to((SELECT coalesce(string_agg(encode(key, 'hex'), ',' ORDER BY place), '') \
FROM unnest(signer_set_public_keys) WITH ORDINALITY AS signer (key, place)), 'UTF8')) || \
sha256(convert_to(concat_ws(' ', signature_share_threshold, \
(extract(epoch FROM created_at) * 1000000)::bigint, started_at_bitcoin_block_height), 'UTF8'))\
), 'hex')) FROM sbtc_signer.dkg_shares ORDER BY aggregate_key";

/// What is known of a row without having it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Print {
    /// Its aggregate key, in hexadecimal.
    pub key: String,
    /// How far it got.
    pub status: Status,
    /// When it was made.
    pub created: Timestamp,
    /// SHA-256 over all other columns.
    pub digest: String,
}

impl Print {
    /// Of a row.
    pub fn of(row: &Row) -> Self {
        let set: Vec<_> = row.signer_set_public_keys.iter().map(|key| hex(key)).collect();
        let set = set.join(",");
        let numbers = format!(
            "{} {} {}",
            row.signature_share_threshold,
            row.created_at.as_microsecond(),
            row.started_at_bitcoin_block_height
        );
        let columns: [&[u8]; 8] = [
            &row.aggregate_key,
            &row.tweaked_aggregate_key,
            &row.encrypted_private_shares,
            &row.public_shares,
            &row.script_pubkey,
            &row.started_at_bitcoin_block_hash,
            set.as_bytes(),
            numbers.as_bytes(),
        ];
        let each = columns
            .iter()
            .fold(Sha256::new(), |sum, column| sum.chain_update(Sha256::digest(column)));
        Self {
            key: row.name(),
            status: row.dkg_shares_status,
            created: row.created_at,
            digest: hex(&each.finalize()),
        }
    }

    /// What of it is compared with the chain; `None` when its key is none.
    pub fn key_row(&self) -> Option<KeyRow> {
        let aggregate_key = PublicKey::from_bytes(&unhex(&self.key)?).ok()?;
        Some(KeyRow { aggregate_key, status: self.status, created: self.created })
    }

    /// Whether another is of the same row, whatever its status.
    pub fn is_same_row(&self, other: &Self) -> bool {
        self.key == other.key && self.digest == other.digest
    }
}

/// Of the rows, in the order in which the server gives them.
pub fn all(rows: &[Row]) -> Vec<Print> {
    let mut prints: Vec<_> = rows.iter().map(Print::of).collect();
    prints.sort();
    prints
}

/// The server's answer to [`QUERY`].
///
/// # Errors
/// When a line of it is none.
pub fn from_lines(text: &str) -> Result<Vec<Print>, serde_json::Error> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let prints: Result<Vec<Print>, _> = lines.map(serde_json::from_str).collect();
    let mut prints = prints?;
    prints.sort();
    Ok(prints)
}

/// What is other than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// There is a row that was not.
    New(Print),
    /// It got further, or was given up.
    Status(Print, Status),
    /// Another column is another one, which no signer does.
    Altered(Print),
    /// It is gone, which no signer does.
    Gone(Print),
    /// The profile has other custodians, or other recipients of theirs: by name, who can open the newest file and who shall.
    Custodians(String, String),
}

impl Change {
    /// Whether this is the work of a signer, or of the profile.
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::New(_) | Self::Status(..) | Self::Custodians(..))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(row) => write!(f, "new: {}, {}", row.key, row.status),
            Self::Status(row, before) => {
                write!(f, "{}: {before} before, now {}", row.key, row.status)
            }
            Self::Altered(row) => {
                write!(f, "{}: the row was altered, and no signer does that", row.key)
            }
            Self::Gone(row) => write!(f, "{}: the row is gone, and no signer deletes one", row.key),
            Self::Custodians(before, now) => {
                write!(f, "custodians: {before} before, now {now}, as the profile has them")
            }
        }
    }
}

/// What has changed between two looks.
pub fn changes(before: &[Print], now: &[Print]) -> Vec<Change> {
    let known = |key: &str| before.iter().find(|print| print.key == key);
    let here = now.iter().filter_map(|print| match known(&print.key) {
        None => Some(Change::New(print.clone())),
        Some(old) if old.digest != print.digest => Some(Change::Altered(print.clone())),
        Some(old) if old.status != print.status => Some(Change::Status(print.clone(), old.status)),
        Some(_) => None,
    });
    let gone = before.iter().filter(|old| now.iter().all(|print| print.key != old.key));
    here.chain(gone.map(|old| Change::Gone(old.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;

    fn rows() -> Vec<Row> {
        let group = Group::new("prints", 3, 2);
        let lines: Vec<_> = (1..4).map(|n| group.round(n).row(0).json()).collect();
        Row::from_lines(&lines.join("\n")).unwrap()
    }

    #[test]
    fn every_column_but_the_status_counts() {
        let row = rows().remove(0);
        let print = Print::of(&row);
        let alter: [fn(&mut Row); 11] = [
            |row| row.aggregate_key[1] ^= 1,
            |row| row.tweaked_aggregate_key[1] ^= 1,
            |row| row.encrypted_private_shares[1] ^= 1,
            |row| row.public_shares[1] ^= 1,
            |row| row.script_pubkey[1] ^= 1,
            |row| row.signer_set_public_keys[1][1] ^= 1,
            |row| row.signer_set_public_keys.swap(0, 1),
            |row| row.signature_share_threshold += 1,
            |row| row.created_at += jiff::SignedDuration::from_micros(1),
            |row| row.started_at_bitcoin_block_hash[1] ^= 1,
            |row| row.started_at_bitcoin_block_height += 1,
        ];
        for (at, alter) in alter.into_iter().enumerate() {
            let mut other = row.clone();
            alter(&mut other);
            assert_ne!(Print::of(&other).digest, print.digest, "{at}");
            assert!(!Print::of(&other).is_same_row(&print), "{at}");
        }
        // From the end of one column to the beginning of the next.
        let mut moved = row.clone();
        let byte = moved.encrypted_private_shares.pop().unwrap();
        moved.public_shares.insert(0, byte);
        assert_ne!(Print::of(&moved).digest, print.digest);
        let mut failed = row;
        failed.dkg_shares_status = Status::Failed;
        assert!(Print::of(&failed).is_same_row(&print));
    }

    #[test]
    fn what_has_changed_is_told() {
        let rows = rows();
        let before = all(&rows[..2]);
        assert_eq!(changes(&before, &before), []);
        let mut now = rows.clone();
        now[0].dkg_shares_status = Status::Failed;
        now[1].public_shares[1] ^= 1;
        let found = changes(&before, &all(&now));
        assert_eq!(found.len(), 3);
        assert!(found.contains(&Change::Status(Print::of(&now[0]), Status::Verified)));
        assert!(found.contains(&Change::Altered(Print::of(&now[1]))));
        assert!(found.contains(&Change::New(Print::of(&now[2]))));
        let gone = changes(&before, &all(&rows[1..2]));
        assert_eq!(gone, [Change::Gone(Print::of(&rows[0]))]);
        assert!(!gone[0].is_usual());
    }
}
