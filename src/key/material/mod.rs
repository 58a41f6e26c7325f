//! The secret itself: read strictly, compared by its public half, and shown to nobody.
//!
//! [`Material`] exists in the ceremony's child process only. What leaves it is [`Facts`], which everybody may know.

mod address;
mod known;
mod locate;
#[cfg(test)]
mod tests;

use std::fmt;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::plan::{KeyKind, Network};
use crate::backup::{
    curve::{PublicKey, hex},
    dkg::{KeyFault, SignerKey},
};
pub use address::{peer_id, stacks_address};
pub use locate::{Located, NotThere, in_toml, in_variables};

/// The longest secret of the kind `text`, in bytes. Half of what a QR code holds, and far more than any key has.
pub const LONGEST_TEXT: usize = 4096;

/// A secret, as it is put into envelopes: what a person would put back into a configuration. Wiped when dropped, and printed
/// nowhere.
pub struct Material {
    kind: KeyKind,
    text: Zeroizing<Vec<u8>>,
    facts: Facts,
}

/// What everybody may know of a key. Never a digest of the secret: whoever guesses one could make sure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// Its public half in hexadecimal; `None` for one that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// libp2p's name for the signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The signer's own address on Stacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks_address: Option<String>,
    /// Whether the `bootstrap_signing_set` that stands beside it has its public half; `None` where there is no such set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_signing_set: Option<bool>,
    /// Of a seed: whether it was 32 bytes where it was read, and not digits. It is brought back like that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
    /// How long it is and of what characters, for one that has no public half: by that people see that it is no other file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
}

/// Why what was read is no key. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Fault {
    #[error(transparent)]
    Signer(#[from] KeyFault),
    #[error("a seed of Ed25519 has 32 bytes, or 64 hexadecimal digits; this has {0} bytes")]
    Seed(usize),
    #[error("this is empty")]
    Empty,
    #[error("this has {0} bytes, more than 4096")]
    TooLong(usize),
    #[error("this is a published key, and everybody has it: {0}")]
    Published(&'static str),
    #[error("this is no random key: hardly any two of its bytes differ")]
    NotRandom,
}

impl Material {
    /// The key that bytes are, as a file or a configuration has them. White space around them is none of it.
    ///
    /// # Errors
    /// When they are none of this kind, or one that is known to everybody.
    pub fn parse(kind: KeyKind, network: Network, bytes: &[u8]) -> Result<Self, Fault> {
        match kind {
            KeyKind::SbtcSigner => Self::signer(network, bytes.trim_ascii()),
            KeyKind::Ed25519 => Self::seed(bytes),
            KeyKind::Text => Self::text(bytes),
        }
    }

    fn signer(network: Network, bytes: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(bytes).map_err(|_| KeyFault::NotHex)?;
        let key = SignerKey::from_hex(text)?;
        known::refuse(key.bytes(), &key.public())?;
        let public = key.public();
        let facts = Facts {
            public: Some(public.to_string()),
            peer_id: Some(peer_id(&public)),
            stacks_address: Some(stacks_address(&public, network)),
            in_signing_set: None,
            raw: false,
            shape: None,
        };
        // Without the suffix 01, which says nothing: every copy is the same.
        Ok(Self { kind: KeyKind::SbtcSigner, text: line_of(key.bytes()), facts })
    }

    fn seed(bytes: &[u8]) -> Result<Self, Fault> {
        let mut seed = Zeroizing::new([0; 32]);
        let raw = <&[u8; 32]>::try_from(bytes).ok();
        if let Some(raw) = raw {
            seed.copy_from_slice(raw);
        } else {
            unhex_into(bytes.trim_ascii(), &mut seed).ok_or(Fault::Seed(bytes.len()))?;
        }
        known::is_random(&seed)?;
        // It wipes itself when dropped.
        let key = SigningKey::from_bytes(&seed);
        let public = Some(hex(key.verifying_key().as_bytes()));
        let facts = Facts { public, raw: raw.is_some(), ..Facts::default() };
        Ok(Self { kind: KeyKind::Ed25519, text: line_of(&seed), facts })
    }

    fn text(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.trim_ascii().is_empty() {
            return Err(Fault::Empty);
        }
        if bytes.len() > LONGEST_TEXT {
            return Err(Fault::TooLong(bytes.len()));
        }
        let text = Zeroizing::new(bytes.to_vec());
        let facts = Facts { shape: Some(shape(bytes)), ..Facts::default() };
        Ok(Self { kind: KeyKind::Text, text, facts })
    }

    /// What is encrypted. Handed to nobody else.
    pub(super) fn secret(&self) -> &[u8] {
        &self.text
    }

    /// What it is when it is used again: without the end of a line that envelopes have behind digits; of a seed that was read
    /// as 32 bytes (`raw`) those, as holdfast reads its own; of a text every byte.
    pub(super) fn restored(&self, raw: bool) -> Zeroizing<Vec<u8>> {
        let digits = self.text.trim_ascii_end();
        match self.kind {
            KeyKind::Text => self.text.clone(),
            KeyKind::Ed25519 if raw => {
                let mut seed = Zeroizing::new([0; 32]);
                // They were written from a seed, and cannot be anything else.
                let _read = unhex_into(digits, &mut seed);
                Zeroizing::new(seed.to_vec())
            }
            KeyKind::SbtcSigner | KeyKind::Ed25519 => Zeroizing::new(digits.to_vec()),
        }
    }

    /// What it is.
    pub(super) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What everybody may know of it.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Only what everybody may know.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// How long a secret is, and of what it is made.
fn shape(bytes: &[u8]) -> String {
    let text = bytes.trim_ascii();
    let lines = text.split(|byte| *byte == b'\n').count();
    let of = if text.iter().all(u8::is_ascii_hexdigit) {
        "of hexadecimal digits"
    } else if text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
        "of printable characters"
    } else {
        "not of ASCII text"
    };
    format!("{} bytes in {lines} lines, {of}", bytes.len())
}

/// 32 bytes as a line of 64 digits. Room for all of it is there at once: what grows leaves copies.
fn line_of(bytes: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = Zeroizing::new(Vec::with_capacity(65));
    for byte in bytes {
        line.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
    }
    line.push(b'\n');
    line
}

/// 64 hexadecimal digits as bytes, with no copy elsewhere.
fn unhex_into(digits: &[u8], bytes: &mut [u8; 32]) -> Option<()> {
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let digit = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(())
}

/// Whether a set of public keys, as `bootstrap_signing_set` has them, has this one; `None` when one of them is no key: then
/// nothing can be said.
pub fn is_in_set<'a>(public: &str, set: impl Iterator<Item = &'a str>) -> Option<bool> {
    let mut found = false;
    for each in set {
        let each = each.strip_prefix("0x").unwrap_or(each);
        let bytes = crate::backup::curve::unhex(each)?;
        found |= PublicKey::from_bytes(&bytes).ok()?.to_string() == public;
    }
    Some(found)
}
