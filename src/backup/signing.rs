//! The host's own key, with which it signs what it says of its backups.

use ed25519_dalek::SigningKey;

use super::curve::hex;
use crate::host::{HostError, secret};

/// The key, made at first use.
///
/// # Errors
/// When it cannot be read or made, or others may read it.
pub fn host_key() -> Result<SigningKey, HostError> {
    Ok(SigningKey::from_bytes(&*secret::host_key()?))
}

/// The key, if it was made.
///
/// # Errors
/// When it is there and cannot be read, or others may read it.
pub fn known_key() -> Result<Option<SigningKey>, HostError> {
    Ok(secret::known_host_key()?.map(|seed| SigningKey::from_bytes(&seed)))
}

/// Its public half as people write it down, on paper or in another host's configuration.
pub fn public(key: &SigningKey) -> String {
    hex(key.verifying_key().as_bytes())
}
