//! The messages in a row (protobufs/crypto/common.proto, wsts/state.proto, wsts/wsts.proto).

use std::collections::BTreeMap;

use k256::{ProjectivePoint, Scalar, elliptic_curve::group::GroupEncoding as _};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Uint256 {
    #[prost(fixed64, tag = "1")]
    part0: u64,
    #[prost(fixed64, tag = "2")]
    part1: u64,
    #[prost(fixed64, tag = "3")]
    part2: u64,
    #[prost(fixed64, tag = "4")]
    part3: u64,
}

impl From<[u8; 32]> for Uint256 {
    fn from(bytes: [u8; 32]) -> Self {
        let part = |at: usize| {
            let eight = bytes[at * 8..].iter().take(8).rev();
            eight.fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        Self { part0: part(0), part1: part(1), part2: part(2), part3: part(3) }
    }
}

/// A number below the order of the curve.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Number {
    #[prost(message, optional, tag = "1")]
    value: Option<Uint256>,
}

impl From<Scalar> for Number {
    fn from(scalar: Scalar) -> Self {
        Self { value: Some(<[u8; 32]>::from(scalar.to_bytes()).into()) }
    }
}

/// A point of the curve.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Point {
    #[prost(message, optional, tag = "1")]
    x_coordinate: Option<Uint256>,
    #[prost(bool, tag = "2")]
    parity_is_odd: bool,
}

impl From<ProjectivePoint> for Point {
    fn from(point: ProjectivePoint) -> Self {
        let [parity, x @ ..] = <[u8; 33]>::from(point.to_bytes());
        Self { x_coordinate: Some(x.into()), parity_is_odd: parity == 3 }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DkgPublicShares {
    #[prost(btree_map = "uint32, message", tag = "1")]
    pub(crate) shares: BTreeMap<u32, SignerDkgPublicShares>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SignerDkgPublicShares {
    #[prost(uint64, tag = "1")]
    pub(crate) dkg_id: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) signer_id: u32,
    #[prost(message, repeated, tag = "3")]
    pub(crate) commitments: Vec<PartyCommitment>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PartyCommitment {
    #[prost(uint32, tag = "1")]
    pub(crate) signer_id: u32,
    #[prost(message, optional, tag = "2")]
    pub(crate) commitment: Option<PolyCommitment>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PolyCommitment {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<ProofIdentifier>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) poly: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ProofIdentifier {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Number>,
    #[prost(message, optional, tag = "2")]
    pub(crate) schnorr_response: Option<Point>,
    #[prost(message, optional, tag = "3")]
    pub(crate) aggregate_commitment: Option<Number>,
}

/// What a signer keeps of a round, before it is encrypted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignerState {
    /// Which signer, from 0 on.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// The numbers of its keys: one, and from 1 on.
    #[prost(uint32, repeated, tag = "2")]
    pub key_ids: Vec<u32>,
    /// How many keys the group has.
    #[prost(uint32, tag = "3")]
    pub num_keys: u32,
    /// How many signers.
    #[prost(uint32, tag = "4")]
    pub num_parties: u32,
    /// How many it takes.
    #[prost(uint32, tag = "5")]
    pub threshold: u32,
    /// The key of the group.
    #[prost(message, optional, tag = "6")]
    pub group_key: Option<Point>,
    /// Its shares.
    #[prost(message, repeated, tag = "7")]
    pub parties: Vec<PartyState>,
}

/// The shares of one party.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartyState {
    /// Which party.
    #[prost(uint32, tag = "1")]
    pub key_id: u32,
    /// Its own polynomial.
    #[prost(message, optional, tag = "2")]
    pub polynomial: Option<Polynomial>,
    /// Its shares of the group's private key.
    #[prost(message, repeated, tag = "3")]
    pub private_keys: Vec<PrivateKeyShare>,
}

/// The coefficients of a polynomial.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Polynomial {
    /// From the constant one up.
    #[prost(message, repeated, tag = "1")]
    pub data: Vec<Number>,
}

/// A share of the group's private key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PrivateKeyShare {
    /// Which of the group's keys.
    #[prost(uint32, tag = "1")]
    pub key_id: u32,
    /// The share.
    #[prost(message, optional, tag = "2")]
    pub private_key: Option<Number>,
}
