//! Feldman's verifiable secret sharing among the signers, as WSTS does it, with all signers on one desk.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{AeadInOut as _, inout::InOutBuf},
};
use k256::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{PrimeField as _, group::GroupEncoding as _},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    messages::{
        DkgPublicShares, PartyCommitment, PartyState, PolyCommitment, Polynomial, PrivateKeyShare,
        ProofIdentifier, SignerDkgPublicShares, SignerState,
    },
    random::Random,
};

/// The signers of a group, sorted by their public keys as signers sort them.
#[derive(Clone)]
pub struct Group {
    seed: String,
    signers: Vec<([u8; 33], Scalar)>,
    threshold: u32,
}

impl Group {
    /// So many signers, of whom `threshold` can sign.
    pub fn new(seed: &str, signers: u32, threshold: u32) -> Self {
        let mut random = Random::of(&format!("keys {seed}"));
        let keys = (0..signers).map(|_| random.scalar());
        let mut signers: Vec<_> = keys.map(|key| (compressed(of(&key)), key)).collect();
        signers.sort_unstable_by_key(|(public, _)| *public);
        Self { seed: seed.to_owned(), signers, threshold }
    }

    /// How many signers there are.
    pub fn size(&self) -> u32 {
        u32::try_from(self.signers.len()).unwrap_or(u32::MAX)
    }

    /// A signer's private key.
    pub fn private_key(&self, signer: usize) -> [u8; 32] {
        self.signers[signer].1.to_bytes().into()
    }

    /// A signer's public key, compressed.
    pub fn public_key(&self, signer: usize) -> [u8; 33] {
        self.signers[signer].0
    }

    /// The round of this number: other numbers, other keys.
    pub fn round(&self, number: u32) -> Round {
        let mut random = Random::of(&format!("round {number} {}", self.seed));
        let coefficients =
            |random: &mut Random| (0..self.threshold).map(|_| random.scalar()).collect();
        let polynomials = (0..self.size()).map(|_| coefficients(&mut random)).collect();
        Round { group: self.clone(), number, polynomials, nonces: random.bytes() }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({}, {} of {})", self.seed, self.threshold, self.signers.len())
    }
}

/// A round that all signers took part in.
#[derive(Clone)]
pub struct Round {
    group: Group,
    number: u32,
    /// Each signer's secret polynomial.
    polynomials: Vec<Vec<Scalar>>,
    nonces: [u8; 32],
}

impl Round {
    /// The key that came of it.
    pub fn aggregate_key(&self) -> [u8; 33] {
        compressed(self.key())
    }

    fn key(&self) -> ProjectivePoint {
        of(&self.polynomials.iter().map(|polynomial| polynomial[0]).sum())
    }

    /// What a signer keeps, before it is encrypted.
    pub fn state(&self, signer: usize) -> SignerState {
        let id = number(signer);
        let at = Scalar::from(id + 1);
        let value = |polynomial: &Vec<Scalar>| {
            polynomial.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * at + coefficient)
        };
        let share: Scalar = self.polynomials.iter().map(value).sum();
        let own = self.polynomials[signer].iter().map(|each| (*each).into()).collect();
        SignerState {
            id,
            key_ids: vec![id + 1],
            num_keys: self.group.size(),
            num_parties: self.group.size(),
            threshold: self.group.threshold,
            group_key: Some(self.key().into()),
            parties: vec![PartyState {
                key_id: id,
                polynomial: Some(Polynomial { data: own }),
                private_keys: vec![PrivateKeyShare {
                    key_id: id + 1,
                    private_key: Some(share.into()),
                }],
            }],
        }
    }

    /// What all signers published.
    fn public_shares(&self) -> Vec<u8> {
        let share = |(signer, polynomial): (usize, &Vec<Scalar>)| {
            let id = number(signer);
            let commitment = PolyCommitment {
                id: Some(proof(id, &polynomial[0])),
                poly: polynomial.iter().map(|each| of(each).into()).collect(),
            };
            let commitments = vec![PartyCommitment { signer_id: id, commitment: Some(commitment) }];
            let dkg_id = u64::from(self.number);
            (id, SignerDkgPublicShares { dkg_id, signer_id: id, commitments })
        };
        let shares = self.polynomials.iter().enumerate().map(share).collect();
        DkgPublicShares { shares }.encode_to_vec()
    }

    /// What a signer has in its database after it, verified.
    pub fn row(&self, signer: usize) -> Row {
        let nonce =
            Sha256::new().chain_update(self.nonces).chain_update(number(signer).to_be_bytes());
        let nonce: [u8; 32] = nonce.finalize().into();
        let state = self.state(signer).encode_to_vec();
        let key = self.key();
        let hour = self.number % 24;
        Row {
            aggregate_key: self.aggregate_key().to_vec(),
            tweaked_aggregate_key: compressed(key + of(&tweak(&key))).to_vec(),
            encrypted_private_shares: seal(&self.group.private_key(signer), &nonce, &state),
            public_shares: self.public_shares(),
            script_pubkey: script(&key),
            signer_set_public_keys: self
                .group
                .signers
                .iter()
                .map(|(key, _)| key.to_vec())
                .collect(),
            signature_share_threshold: self.group.threshold.cast_signed(),
            created_at: format!("2026-10-{:02}T{hour:02}:00:00.123456+00:00", self.number / 24 + 1),
            status: Status::Verified,
            started_at_bitcoin_block_hash: Sha256::digest(self.number.to_be_bytes()).to_vec(),
            started_at_bitcoin_block_height: 900_000 + i64::from(self.number),
        }
    }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Round({} of {:?})", self.number, self.group)
    }
}

/// How far a round got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its key has not signed yet.
    Unverified,
    /// It has.
    Verified,
    /// It was given up.
    Failed,
}

impl Status {
    /// As the database has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }
}

/// A row of `sbtc_signer.dkg_shares`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are called so")]
pub struct Row {
    pub aggregate_key: Vec<u8>,
    pub tweaked_aggregate_key: Vec<u8>,
    pub encrypted_private_shares: Vec<u8>,
    pub public_shares: Vec<u8>,
    pub script_pubkey: Vec<u8>,
    pub signer_set_public_keys: Vec<Vec<u8>>,
    pub signature_share_threshold: i32,
    pub created_at: String,
    pub status: Status,
    pub started_at_bitcoin_block_hash: Vec<u8>,
    pub started_at_bitcoin_block_height: i64,
}

/// Encrypts as the signer does: a nonce of 12 bytes, AES-256-GCM under the key as it is, the tag at the end.
pub fn seal(key: &[u8; 32], nonce: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let mut nonce_bytes = [0; 12];
    nonce_bytes.copy_from_slice(&nonce[..12]);
    let mut text = plain.to_vec();
    let cipher = Aes256Gcm::new(key.into());
    let buffer = InOutBuf::from(text.as_mut_slice());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce_bytes), &[], buffer);
    // It refuses texts of 64 GiB.
    let tag = tag.map(Vec::from_iter).unwrap_or_default();
    [&nonce_bytes[..], &text, &tag].concat()
}

fn of(scalar: &Scalar) -> ProjectivePoint {
    ProjectivePoint::GENERATOR * scalar
}

fn compressed(point: ProjectivePoint) -> [u8; 33] {
    point.to_bytes().into()
}

fn number(signer: usize) -> u32 {
    u32::try_from(signer).unwrap_or(u32::MAX)
}

/// A scalar of 32 bytes; 0 for the one in 2^128 that are none.
fn reduced(bytes: [u8; 32]) -> Scalar {
    Option::from(Scalar::from_repr(FieldBytes::from(bytes))).unwrap_or(Scalar::ZERO)
}

/// A proof that the signer knows its constant coefficient: Schnorr's, with a challenge of our own. After the round nobody
/// reads it.
fn proof(id: u32, secret: &Scalar) -> ProofIdentifier {
    let nonce = reduced(Sha256::digest([&secret.to_bytes()[..], b"nonce"].concat()).into());
    let response = of(&nonce);
    let challenge = [&id.to_be_bytes()[..], &compressed(response), &compressed(of(secret))];
    let challenge = reduced(Sha256::digest(challenge.concat()).into());
    ProofIdentifier {
        id: Some(Scalar::from(id).into()),
        schnorr_response: Some(response.into()),
        aggregate_commitment: Some((nonce + challenge * secret).into()),
    }
}

/// BIP 341's tweak of a key without scripts.
fn tweak(key: &ProjectivePoint) -> Scalar {
    let tag = Sha256::digest(b"TapTweak");
    let x = &compressed(*key)[1..];
    reduced(Sha256::new().chain_update(tag).chain_update(tag).chain_update(x).finalize().into())
}

/// Its output: that of the point with the same x and an even y.
fn script(key: &ProjectivePoint) -> Vec<u8> {
    let even = if compressed(*key)[0] == 3 { -*key } else { *key };
    let output = compressed(even + of(&tweak(key)));
    [&[0x51, 0x20], &output[1..]].concat()
}
