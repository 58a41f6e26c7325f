//! What a row proves with the signer's key: the joint proof of a key and a backup.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};
use k256::{FieldBytes, ProjectivePoint, Scalar, elliptic_curve::PrimeField as _};
use zeroize::Zeroizing;

use super::{
    flaw::Flaw,
    key::SignerKey,
    public::Checked,
    wire::{Fault, Fields, point, scalar},
};
use crate::backup::curve::PublicKey;

/// AES-256-GCM's nonce, in front.
const NONCE: usize = 12;

/// Its tag, at the end.
const TAG: usize = 16;

impl Checked<'_> {
    /// Proves that the row opens under the key, and that the share in it is the one that the public shares ask for.
    /// What it opened to is wiped before this returns, and nothing of it is told. What the arithmetic leaves on the stack is
    /// not wiped: where the key must not outlive the proof, it runs in a short-lived process of its own.
    ///
    /// # Errors
    /// With the first flaw that is found.
    pub fn open(&self, key: &SignerKey) -> Result<(), Flaw> {
        let position = self.position(key.public())?;
        let state = decrypt(&self.row.encrypted_private_shares, key)?;
        let state = State::decode(&state).map_err(Flaw::PrivateShare)?;
        if state.group_key != self.aggregate_key {
            return Err(Flaw::GroupKey { found: state.group_key });
        }
        let signers = self.signers.len() as u64;
        let numbers = [
            ("signer number", u64::from(state.id), u64::from(position)),
            ("threshold", u64::from(state.threshold), u64::from(self.threshold)),
            ("number of signers", u64::from(state.num_parties), signers),
            ("number of keys", u64::from(state.num_keys), signers),
        ];
        for (what, found, expected) in numbers {
            if found != expected {
                return Err(Flaw::Round { what, found, expected });
            }
        }
        // One signer, one key; its number is the signer's, counted from 1.
        let [Share { key_id, private }] = &state.shares[..] else {
            let found = state.shares.len() as u64;
            return Err(Flaw::Round { what: "number of shares", found, expected: 1 });
        };
        let [listed] = state.key_ids[..] else {
            let found = state.key_ids.len() as u64;
            return Err(Flaw::Round { what: "number of own keys", found, expected: 1 });
        };
        for found in [listed, *key_id] {
            let (found, expected) = (u64::from(found), u64::from(position) + 1);
            if found != expected {
                return Err(Flaw::Round { what: "key number", found, expected });
            }
        }
        if ProjectivePoint::GENERATOR * **private == self.public_share(*key_id) {
            Ok(())
        } else {
            Err(Flaw::Share { key_id: *key_id })
        }
    }
}

/// Opens `nonce ‖ ciphertext ‖ tag`, without associated data, under the key's own bytes
/// (stacks-sbtc/sbtc, wsts/src/util.rs).
fn decrypt(sealed: &[u8], key: &SignerKey) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let too_short = Flaw::TooShort(sealed.len());
    let Some((nonce, rest)) = sealed.split_first_chunk::<NONCE>() else { return Err(too_short) };
    let Some((text, tag)) = rest.split_last_chunk::<TAG>() else { return Err(too_short) };
    let mut opened = Zeroizing::new(text.to_vec());
    let cipher = Aes256Gcm::new(key.bytes().into());
    let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
    let buffer = InOutBuf::from(opened.as_mut_slice());
    cipher
        .decrypt_inout_detached(&nonce, &[], buffer, &tag)
        .map_err(|_| Flaw::DoesNotOpen(key.public()))?;
    Ok(opened)
}

/// `crypto.wsts.SignerState`: what of it can be held to the row. Not printable: it has the share.
struct State {
    id: u32,
    key_ids: Vec<u32>,
    num_keys: u32,
    num_parties: u32,
    threshold: u32,
    group_key: PublicKey,
    shares: Vec<Share>,
}

/// A share of the group's private key.
struct Share {
    key_id: u32,
    private: Zeroizing<Scalar>,
}

impl State {
    fn decode(message: &[u8]) -> Result<Self, Fault> {
        const NAME: &str = "SignerState";
        let (mut id, mut num_keys, mut num_parties, mut threshold) = (0, 0, 0, 0);
        let (mut key_ids, mut group_key, mut parties) = (Vec::new(), None, Vec::new());
        let mut fields = Fields::of(NAME, message).with_list(7);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => id = field.number32()?,
                2 => key_ids = Fields::of(NAME, field.bytes()?).numbers()?,
                3 => num_keys = field.number32()?,
                4 => num_parties = field.number32()?,
                5 => threshold = field.number32()?,
                6 => group_key = Some(point(NAME, field.bytes()?)?),
                7 => parties.push(field.bytes()?),
                _ => return Err(field.unknown()),
            }
        }
        // A signer is one party, and refuses a row that says otherwise.
        let [party] = parties[..] else { return Err(Fault::Count(NAME, parties.len())) };
        let group_key = group_key.ok_or(Fault::Missing(NAME, 6))?;
        let shares = party_shares(party)?;
        Ok(Self { id, key_ids, num_keys, num_parties, threshold, group_key, shares })
    }
}

/// `crypto.wsts.PartyState`: the shares. Its own polynomial and, in older rows, a nonce are secrets that prove nothing here,
/// and are not decoded.
fn party_shares(message: &[u8]) -> Result<Vec<Share>, Fault> {
    const NAME: &str = "PartyState";
    let mut shares = Vec::new();
    let mut fields = Fields::of(NAME, message).with_list(3);
    while let Some(field) = fields.next()? {
        match field.number {
            // The number of the party, which the signer does not read either.
            1 => _ = field.number32()?,
            2 | 4 => _ = field.bytes()?,
            3 => shares.push(share(field.bytes()?)?),
            _ => return Err(field.unknown()),
        }
    }
    Ok(shares)
}

/// `crypto.wsts.PrivateKeyShare`.
fn share(message: &[u8]) -> Result<Share, Fault> {
    const NAME: &str = "PrivateKeyShare";
    let (mut key_id, mut private) = (0, None);
    let mut fields = Fields::of(NAME, message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key_id = field.number32()?,
            2 => private = Some(scalar(NAME, field.bytes()?)?),
            _ => return Err(field.unknown()),
        }
    }
    let bytes = private.ok_or(Fault::Missing(NAME, 2))?;
    let scalar: Option<Scalar> = Scalar::from_repr(FieldBytes::from(*bytes)).into();
    let private = Zeroizing::new(scalar.ok_or(Fault::Scalar(NAME))?);
    Ok(Share { key_id, private })
}
