//! The host's own key, with which it signs what it says of its backups.

use ed25519_dalek::SigningKey;

use super::{curve::hex, folder};
use crate::host::{HostError, secret, shelf::Shelf};

/// The key for what is on this shelf, made at first use; and whether it was made now. Never beside manifests that another
/// one signed: with a new key none of them would be believed.
///
/// # Errors
/// When it cannot be read or made, or others may read it; when it is gone, and the shelf has manifests.
pub fn host_key(shelf: &Shelf) -> Result<(SigningKey, bool), HostError> {
    if let Some(key) = known_key()? {
        return Ok((key, false));
    }
    if folder::has_manifests(shelf)? {
        return Err(HostError::Refused(format!(
            "this host's key, {}, is gone, and {} has manifests that it signed; put the key back, or move that folder away: \
             with a new key none of them is believed",
            secret::HOST_KEY,
            shelf.shown("")
        )));
    }
    Ok((SigningKey::from_bytes(&*secret::host_key()?), true))
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
