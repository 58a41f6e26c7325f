//! What the host says and signs: one line of JSON, and under it the signature over the bytes of that line.
//!
//! age does not say who made a file: anybody who knows a recipient can. The signature does. What is signed begins with what
//! kind of statement it is, so that one of a kind is never taken for one of another.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::curve::{hex, unhex};

/// The version of the form. One that is larger is not read.
pub const FORMAT: u32 = 1;

/// What can be signed.
pub trait Statement: Serialize + DeserializeOwned {
    /// The line that precedes the signed bytes: another for each kind of statement.
    const CONTEXT: &'static str;
}

/// Another manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// Its id.
    pub id: String,
    /// SHA-256 of its signed line.
    pub sha256: String,
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
    #[error("its signature is not over what it says, or not as this: it was altered")]
    Altered,
    #[error("it is of a newer holdfast")]
    Newer,
}

/// The digest by which others name a statement: SHA-256 of its line.
pub fn digest(statement: &impl Statement) -> String {
    hex(&Sha256::digest(line(statement).as_bytes()))
}

/// Signs a statement.
pub fn sign<T: Statement>(statement: &T, key: &SigningKey) -> String {
    let line = line(statement);
    let signature = key.sign(&signed_bytes::<T>(&line)).to_bytes();
    let key = hex(key.verifying_key().as_bytes());
    let signed = Signed { key, signature: hex(&signature) };
    format!("{line}\n{}\n", self::line(&signed))
}

fn signed_bytes<T: Statement>(line: &str) -> Vec<u8> {
    format!("{}\n{line}", T::CONTEXT).into_bytes()
}

/// Reads a statement that `key` must have signed; with the digest by which others name it.
///
/// # Errors
/// [`SignatureFault`].
pub fn read<T: Statement>(text: &str, key: &VerifyingKey) -> Result<(T, String), SignatureFault> {
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
    key.verify_strict(&signed_bytes::<T>(line), &signature).map_err(|_| SignatureFault::Altered)?;
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
#[path = "statement_tests.rs"]
mod tests;
