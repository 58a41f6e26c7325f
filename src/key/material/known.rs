//! Keys that are none: published with samples, or not random. Whoever exports one has forgotten to make their own.

use super::Fault;
use crate::backup::curve::PublicKey;

/// Public halves of private keys that stand in public files, and whose they are.
const PUBLISHED: &[(&str, &str)] = &[
    (
        "035249137286c077ccee65ecc43e724b9b9e5a588e3d7f51e3b62f9624c2a49e46",
        "it is signer 1 of sBTC's development environment, and the default of its configuration",
    ),
    (
        "031a4d9f4903da97498945a4e01a5023a1d53bc96ad670bfe03adf8a06c52e6380",
        "it is signer 2 of sBTC's development environment",
    ),
    (
        "02007311430123d4cad97f4f7e86e023b28143130a18099ecf094d36fef0f6135c",
        "it is signer 3 of sBTC's development environment",
    ),
    (
        "0390a5cac7c33fda49f70bc1b0866fa0ba7a9440d9de647fecb8132ceb76a94dfa",
        "it is the deployer of Clarinet's development network",
    ),
    (
        "03cd2cfdbd2ad9332828a7a13ef62cb999e063421c708e863a7ffed71fb61c88c9",
        "it is wallet 1 of Clarinet's development network",
    ),
];

/// A random key has fewer different bytes than this about once in 10^30.
const LEAST_DIFFERENT: usize = 10;

/// Refuses what everybody has, or could guess.
pub(super) fn refuse(bytes: &[u8; 32], public: &PublicKey) -> Result<(), Fault> {
    let public = public.to_string();
    match PUBLISHED.iter().find(|(known, _)| *known == public) {
        Some((_, whose)) => Err(Fault::Published(whose)),
        None => is_random(bytes),
    }
}

/// Refuses 00…01, 1111…, 0123… and their like.
pub(super) fn is_random(bytes: &[u8; 32]) -> Result<(), Fault> {
    let different = (0..bytes.len()).filter(|at| !bytes[..*at].contains(&bytes[*at])).count();
    if different < LEAST_DIFFERENT { Err(Fault::NotRandom) } else { Ok(()) }
}
