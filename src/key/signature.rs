//! Signatures of people: SSHSIG, as `ssh-keygen -Y sign` makes them with whatever key somebody has (openssh's
//! PROTOCOL.sshsig and PROTOCOL.u2f).
//!
//! Verified in this process, and not by `ssh-keygen -Y verify`: whether somebody touched a hardware key stands in a byte
//! beside the signature that the signature covers, and ssh-keygen neither asks for it nor tells. A key that is held in
//! hardware must have been touched.

use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, EcdsaCurve, PublicKey, SshSig};

use crate::profile::types::SshKey;

/// The kinds of key whose signatures are taken. RSA is not: its implementation leaks timing (RUSTSEC-2023-0071) and would come
/// with it.
pub const ALGORITHMS: [&str; 4] = [
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
];

/// The largest signature that is looked at, in bytes. A real one has a few hundred.
pub const MAX_BYTES: u64 = 16 << 10;

/// A good signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// Whether its key is held in hardware, and somebody touched it.
    pub touched: bool,
    /// Whether the hardware asked for a PIN or a finger, too.
    pub verified: bool,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Fault {
    #[error("this is no signature of ssh-keygen's: it begins with -----BEGIN SSH SIGNATURE-----")]
    NotASignature,
    #[error("the signature was made with another key, {found}; {expected} is expected")]
    OtherKey { found: String, expected: String },
    #[error("the signature was made for another purpose, {found}: sign with `-n {expected}`")]
    OtherNamespace { found: String, expected: &'static str },
    #[error("the signature is not one of these bytes: they were altered after it was made")]
    Altered,
    #[error("the hardware key was not touched when this was signed")]
    Untouched,
    #[error("signatures by {0} keys are not taken")]
    Unsupported(String),
    #[error("{0}")]
    Whose(String),
}

/// The bits that the hardware signs together with what was signed (W3C Web Authentication, 6.1: UP and UV).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// What stands behind the signature of a hardware key: a byte of bits, and a counter of 32 bits (PROTOCOL.u2f).
const TRAILER: usize = 5;

/// What people compare of a key, as `ssh-keygen -l` shows it. A kind of key that is not taken here is shown as it stands.
pub fn fingerprint(key: &SshKey) -> String {
    let text = key.to_string();
    PublicKey::from_openssh(&text)
        .map_or(text, |key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
}

/// The key that a signature says it was made with.
///
/// # Errors
/// [`Fault`], when it is none.
pub fn signer(pem: &[u8]) -> Result<SshKey, Fault> {
    let signature = SshSig::from_pem(pem.trim_ascii()).map_err(|_| Fault::NotASignature)?;
    let key = PublicKey::new(signature.public_key().clone(), "").to_openssh();
    key.ok().and_then(|text| text.parse().ok()).ok_or(Fault::NotASignature)
}

/// Verifies that a key signed a message for a purpose.
///
/// # Errors
/// [`Fault`].
pub fn verify(
    key: &SshKey,
    namespace: &'static str,
    message: &[u8],
    pem: &[u8],
) -> Result<Good, Fault> {
    // Whoever saves it in an editor may leave empty lines around it.
    let pem = pem.trim_ascii();
    let signature = SshSig::from_pem(pem).map_err(|_| Fault::NotASignature)?;
    // Its version is not covered by the signature, and the parser takes 0 too.
    if signature.version() != SshSig::VERSION {
        return Err(Fault::NotASignature);
    }
    let expected = PublicKey::from_openssh(&key.to_string())
        .map_err(|_| Fault::Unsupported(key.algorithm().to_owned()))?;
    if signature.public_key() != expected.key_data() {
        let fingerprint =
            |key: &ssh_key::public::KeyData| key.fingerprint(ssh_key::HashAlg::Sha256);
        return Err(Fault::OtherKey {
            found: fingerprint(signature.public_key()).to_string(),
            expected: fingerprint(expected.key_data()).to_string(),
        });
    }
    if signature.namespace() != namespace {
        let found = signature.namespace().escape_debug().to_string();
        return Err(Fault::OtherNamespace { found, expected: namespace });
    }
    let is_hardware = match signature.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => false,
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => true,
        other => return Err(Fault::Unsupported(other.to_string())),
    };
    expected.verify(namespace, message, &signature).map_err(|_| Fault::Altered)?;
    if !is_hardware {
        return Ok(Good { touched: false, verified: false });
    }
    // Covered by the signature that has just been verified: over the application, these bytes and the message's digest.
    let bits = signature.signature_bytes().iter().rev().nth(TRAILER - 1).copied().unwrap_or(0);
    if bits & USER_PRESENT == 0 {
        return Err(Fault::Untouched);
    }
    Ok(Good { touched: true, verified: bits & USER_VERIFIED != 0 })
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
