//! A row of `sbtc_signer.dkg_shares` as PostgreSQL gives it, one JSON object on a line.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::{
    chain::{KeyRow, Status},
    curve::PublicKey,
};

/// Asks for every row, the oldest first: one JSON object for each, with all eleven columns (stacks-sbtc/sbtc,
/// signer/migrations/0003 and 0012). `encode`, because what a `bytea` prints as is up to `bytea_output`.
pub const QUERY: &str = "\
SELECT json_build_object(\
'aggregate_key', encode(aggregate_key, 'hex'), \
'tweaked_aggregate_key', encode(tweaked_aggregate_key, 'hex'), \
'encrypted_private_shares', encode(encrypted_private_shares, 'hex'), \
'public_shares', encode(public_shares, 'hex'), \
'script_pubkey', encode(script_pubkey, 'hex'), \
'signer_set_public_keys', (SELECT coalesce(json_agg(encode(key, 'hex') ORDER BY place), '[]'::json) \
FROM unnest(signer_set_public_keys) WITH ORDINALITY AS signer (key, place)), \
'signature_share_threshold', signature_share_threshold, \
'created_at', created_at, \
'dkg_shares_status', concat(dkg_shares_status), \
'started_at_bitcoin_block_hash', encode(started_at_bitcoin_block_hash, 'hex'), \
'started_at_bitcoin_block_height', started_at_bitcoin_block_height) \
FROM sbtc_signer.dkg_shares ORDER BY created_at, aggregate_key";

/// A row. Every column, so that writing it again loses nothing; none is judged yet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The key of the group, 33 bytes.
    #[serde(with = "hex")]
    pub aggregate_key: Vec<u8>,
    /// Reckoned from it. Not held to `script_pubkey`: for a key with odd y the signer has another point here.
    #[serde(with = "hex")]
    pub tweaked_aggregate_key: Vec<u8>,
    /// This signer's share, encrypted with its private key.
    #[serde(with = "hex")]
    pub encrypted_private_shares: Vec<u8>,
    /// What all signers published in the round.
    #[serde(with = "hex")]
    pub public_shares: Vec<u8>,
    /// Where the group's bitcoin are.
    #[serde(with = "hex")]
    pub script_pubkey: Vec<u8>,
    /// The signers of the group.
    #[serde(with = "hexes")]
    pub signer_set_public_keys: Vec<Vec<u8>>,
    /// How many of them it takes to sign.
    pub signature_share_threshold: i32,
    /// When the row was made.
    pub created_at: Timestamp,
    /// How far it got.
    pub dkg_shares_status: Status,
    /// The Bitcoin block in which the round began.
    #[serde(with = "hex")]
    pub started_at_bitcoin_block_hash: Vec<u8>,
    /// Its height.
    pub started_at_bitcoin_block_height: i64,
}

/// A line of the answer that is no row.
#[derive(Debug, thiserror::Error)]
#[error("row {row} of dkg_shares is not what was asked for")]
pub struct RowFault {
    /// Which one, from 1 on.
    pub row: usize,
    source: serde_json::Error,
}

impl Row {
    /// The rows of the answer to [`QUERY`]: one on each line.
    ///
    /// # Errors
    /// When a line is none.
    pub fn from_lines(text: &str) -> Result<Vec<Self>, RowFault> {
        let lines = text.lines().filter(|line| !line.is_empty()).enumerate();
        let rows = lines.map(|(at, line)| {
            serde_json::from_str(line).map_err(|source| RowFault { row: at + 1, source })
        });
        rows.collect()
    }

    /// What of it is compared with the chain; `None` when its aggregate key is none, which [`Row::check`] names.
    pub fn key_row(&self) -> Option<KeyRow> {
        let aggregate_key = PublicKey::from_bytes(&self.aggregate_key).ok()?;
        Some(KeyRow { aggregate_key, status: self.dkg_shares_status, created: self.created_at })
    }

    /// Its aggregate key as it stands there, in hexadecimal.
    pub fn name(&self) -> String {
        hex::text(&self.aggregate_key)
    }
}

/// Without the encrypted share: nobody needs it in a log.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, status) = (self.name(), self.dkg_shares_status);
        write!(f, "Row({key}, {status}, {})", self.created_at)
    }
}

/// Bytes as hexadecimal text. What is refused is not quoted.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::backup::curve::unhex;

    pub(super) fn text(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&text(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        unhex(&text).ok_or_else(|| D::Error::custom("a column is not hexadecimal"))
    }
}

/// A list of them.
mod hexes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::backup::curve::unhex;

    pub(super) fn serialize<S: Serializer>(list: &[Vec<u8>], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|bytes| super::hex::text(bytes)))
    }

    pub(super) fn deserialize<'de, D>(from: D) -> Result<Vec<Vec<u8>>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(from)?.into_iter();
        let all = texts.map(|text| unhex(&text)).collect::<Option<_>>();
        all.ok_or_else(|| D::Error::custom("a signer's key is not hexadecimal"))
    }
}
