//! What is known of a backup: one line of JSON, and under it the host's signature over the bytes of that line.
//!
//! age does not say who made a file: anybody who knows a recipient can. The signature does. Each manifest names the one
//! before it by its digest, so that one that is missing, altered or put in another's place shows.

use std::collections::BTreeMap;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::curve::{hex, unhex};

/// The version of the form. One that is larger is not read.
pub const FORMAT: u32 = 1;

/// What precedes the signed bytes, so that the key's signature on something else is none on this.
const CONTEXT: &[u8] = b"holdfast-backup@v1\n";

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the holdfast that wrote it.
    pub format: u32,
    /// What it is called: the backup's name in the profile, and when it was begun.
    pub id: String,
    /// The backup's name in the profile.
    pub name: String,
    /// The database.
    pub database: String,
    /// When the dump was begun: what is newer is not in it.
    pub begun: Timestamp,
    /// When the file was finished.
    pub made: Timestamp,
    /// The file.
    pub archive: Archive,
    /// Who can open it, by name.
    pub recipients: BTreeMap<String, String>,
    /// The recipient that proved it, whose identity was never outside of memory and is gone.
    pub drill: String,
    /// The server's version, as `server_version_num` has it.
    pub server_version: u32,
    /// The major version of `pg_dump`.
    pub client_major: u32,
    /// What the database said of itself, in the transaction that was dumped.
    pub source: Source,
    /// How many rows each table has in the file.
    pub rows: BTreeMap<String, u64>,
    /// The newest Bitcoin block in it.
    pub newest_block: Option<Block>,
    /// What became of the proof.
    pub proof: Proof,
    /// The manifest before this one; none: this is the first.
    pub previous: Option<Link>,
}

/// The file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name, in the manifest's folder.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// The bytes of the dump in it.
    pub plain: u64,
}

/// What a database said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The migrations it has had; none: it has no bookkeeping of them.
    pub migrations: Option<Vec<String>>,
    /// Its DKG rows; none: it has no table of them.
    pub dkg_rows: Option<u64>,
    /// The bytes of all its files, which is what restoring all of it takes.
    #[serde(default)]
    pub bytes: u64,
}

/// A Bitcoin block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: i64,
    /// When the signer learned of it.
    pub seen: Timestamp,
}

/// The restored file, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whether nothing was found against it.
    pub proven: bool,
    /// When it was judged.
    pub at: Timestamp,
    /// How long opening, restoring and judging it took, in milliseconds.
    pub milliseconds: u64,
    /// The major version of the server that it was restored into; none: it got into none.
    pub server_major: Option<u32>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What came of restoring all of it; none: only what it is judged by was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

impl Proof {
    /// Before it was begun.
    pub fn none(at: Timestamp) -> Self {
        let checks = Vec::new();
        Self { proven: false, at, milliseconds: 0, server_major: None, checks, drill: None }
    }
}

/// All of a backup, restored and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// How long opening and restoring all of it took, in milliseconds: the recovery time, measured.
    pub restore_milliseconds: u64,
    /// How long `pg_amcheck` took, in milliseconds.
    pub check_milliseconds: u64,
    /// What it found; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl Drill {
    /// What it says of the backup.
    pub fn check(&self) -> Check {
        let (restored, checked) =
            (seconds(self.restore_milliseconds), seconds(self.check_milliseconds));
        let whole = format!(
            "all of it was restored in {restored}, and every page and index checked in {checked}"
        );
        let damaged = |damage| format!("what was restored is damaged: {damage}");
        let (outcome, text) = self
            .damage
            .as_ref()
            .map_or((Outcome::Pass, whole), |damage| (Outcome::Fail, damaged(damage)));
        Check { name: "drill".into(), outcome, text }
    }
}

/// Milliseconds as people read them.
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub text: String,
}

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not as it should be: the backup is not proven.
    Fail,
    /// The profile does not ask.
    NotApplicable,
}

/// Another manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its id.
    pub id: String,
    /// SHA-256 of its signed line.
    pub sha256: String,
}

/// That a backup's file was deleted, and by which decision: its manifest stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The backup.
    pub deleted: Link,
    /// When.
    pub at: Timestamp,
}

impl Manifest {
    /// The digest by which the next one names it.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(line(self).as_bytes()))
    }

    /// The names of the checks that failed.
    pub fn failed(&self) -> Vec<&str> {
        failed(&self.proof.checks)
    }
}

/// The names of the checks that failed.
pub fn failed(checks: &[Check]) -> Vec<&str> {
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail);
    failed.map(|check| check.name.as_str()).collect()
}

/// A statement as it is signed. Of our own types there is none that JSON cannot say.
fn line(statement: &impl Serialize) -> String {
    serde_json::to_string(statement).unwrap_or_default()
}

/// The second line.
#[derive(Debug, Serialize, Deserialize)]
struct Signed {
    key: String,
    signature: String,
}

/// Why a text is no statement of this host's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum SignatureFault {
    #[error("it is not two lines of JSON")]
    Form,
    #[error("it is signed with another key, {0}")]
    OtherKey(String),
    #[error("its signature is not over what it says: it was altered")]
    Altered,
    #[error("it is of a newer holdfast")]
    Newer,
}

/// Signs a statement.
pub fn sign(statement: &impl Serialize, key: &SigningKey) -> String {
    let line = line(statement);
    let signature = key.sign(&signed_bytes(&line)).to_bytes();
    let key = hex(key.verifying_key().as_bytes());
    let signed = Signed { key, signature: hex(&signature) };
    format!("{line}\n{}\n", self::line(&signed))
}

fn signed_bytes(line: &str) -> Vec<u8> {
    [CONTEXT, line.as_bytes()].concat()
}

/// Reads a statement that `key` must have signed; with the digest by which others name it.
///
/// # Errors
/// [`SignatureFault`].
pub fn read<T: DeserializeOwned>(
    text: &str,
    key: &VerifyingKey,
) -> Result<(T, String), SignatureFault> {
    let mut lines = text.split('\n');
    let (Some(line), Some(signed), Some(""), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(SignatureFault::Form);
    };
    let signed: Signed = serde_json::from_str(signed).map_err(|_| SignatureFault::Form)?;
    if signed.key != hex(key.as_bytes()) {
        // Others' words end up on a terminal.
        let shown = signed.key.chars().filter(char::is_ascii_hexdigit).take(64).collect();
        return Err(SignatureFault::OtherKey(shown));
    }
    let bytes = unhex(&signed.signature).and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let bytes = bytes.ok_or(SignatureFault::Form)?;
    // Of a signature there is one form, and of that one spelling, so nothing in the file can be altered unseen.
    if hex(&bytes) != signed.signature {
        return Err(SignatureFault::Form);
    }
    let signature = Signature::from_bytes(&bytes);
    key.verify_strict(&signed_bytes(line), &signature).map_err(|_| SignatureFault::Altered)?;
    let version: Version = serde_json::from_str(line).map_err(|_| SignatureFault::Form)?;
    if version.format.is_some_and(|format| format > FORMAT) {
        return Err(SignatureFault::Newer);
    }
    let statement = serde_json::from_str(line).map_err(|_| SignatureFault::Form)?;
    Ok((statement, hex(&Sha256::digest(line.as_bytes()))))
}

/// What of a statement is read first.
#[derive(Deserialize)]
struct Version {
    format: Option<u32>,
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
pub(crate) mod tests;
