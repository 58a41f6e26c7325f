//! A key that unlocks the envelopes, made in this process, split among the custodians, and tried in every way.

use age::{secrecy::ExposeSecret as _, x25519};
use sha2::{Digest as _, Sha256};

use super::{
    seal::{Proof, open},
    talk::{SealedKey, SealedShare, Split},
};
use crate::{backup::curve::hex, key::shares, profile::types::AgeRecipient};

/// The key that unlocks. Random, and nowhere but here: it is not the one that is exported.
pub(super) struct Unlock(x25519::Identity);

impl Unlock {
    pub(super) fn new() -> Self {
        Self(x25519::Identity::generate())
    }

    /// To whom the keys are encrypted.
    pub(super) fn recipient(&self) -> x25519::Recipient {
        self.0.to_public()
    }

    /// Splits it, and has every set of enough shares open every key's envelopes.
    pub(super) fn split(
        &self,
        needed: u8,
        custodians: &[AgeRecipient],
        proof: &Proof,
        keys: &[SealedKey],
    ) -> Result<Split, String> {
        let count = u8::try_from(custodians.len()).map_err(|_| "there are too many custodians")?;
        if needed < 2 || needed > count {
            return Err(format!("{needed} of {count} shares cannot be asked for"));
        }
        let secret = self.0.to_string();
        let texts = shares::split(secret.expose_secret().as_bytes(), needed, count);
        let sealed = texts.iter().zip(custodians).zip(1_u8..).map(|((text, custodian), number)| {
            let envelope = proof.seal(text.as_bytes(), custodian.as_age())?;
            if proof.open(&envelope)?.as_slice() != text.as_bytes() {
                return Err("what was sealed opens, and is another share".to_owned());
            }
            Ok(SealedShare { number, sha256: digest(text.as_bytes()), envelope })
        });
        let sealed: Vec<SealedShare> = sealed.collect::<Result<_, String>>()?;
        let mut tried = 0;
        for places in shares::subsets(texts.len(), usize::from(needed)) {
            let some: Vec<&str> = places.iter().map(|at| texts[*at].as_str()).collect();
            unlocks(&some, keys)
                .map_err(|why| format!("shares {places:?} unlock nothing: {why}"))?;
            tried += 1;
        }
        Ok(Split { needed, shares: sealed, tried })
    }
}

/// Whether these shares open all that is sealed.
fn unlocks(texts: &[&str], keys: &[SealedKey]) -> Result<(), String> {
    let identity = identity(texts)?;
    for envelope in keys.iter().flat_map(|key| &key.envelopes) {
        drop(open(&identity, envelope)?);
    }
    Ok(())
}

/// The identity that shares come to.
pub(super) fn identity(texts: &[&str]) -> Result<x25519::Identity, String> {
    let secret = shares::combine(texts).map_err(|fault| fault.to_string())?;
    let text = str::from_utf8(&secret).map_err(|_| "these shares do not belong together")?;
    text.parse().map_err(|_| "these shares do not belong together".to_owned())
}

/// What tells a share from another, and everybody may know.
pub(super) fn digest(share: &[u8]) -> String {
    hex(&Sha256::digest(share))
}
