//! What can be wrong with a row.

use super::wire::Fault;
use crate::backup::curve::{PointFault, PublicKey};

/// Why a row is not what a signer of this group could use. The first that is found; nothing secret is in any.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// `aggregate_key` is no key.
    #[error("its aggregate key is no key: {0}")]
    AggregateKey(PointFault),
    /// `script_pubkey` is that of another key.
    #[error("its script is not the taproot output of its aggregate key")]
    Script,
    /// One of `signer_set_public_keys` is no key.
    #[error("signer {0} of its signer set is no key: {1}")]
    SignerSet(usize, PointFault),
    /// They are not in ascending order, or one stands twice.
    #[error("its signer set is not sorted, or has a signer twice")]
    SignerOrder,
    /// `signature_share_threshold` is 0, or more than there are signers.
    #[error("its threshold is {threshold}, and its signer set has {signers}")]
    Threshold {
        /// As the row has it.
        threshold: i32,
        /// How many signers.
        signers: usize,
    },
    /// `public_shares` is not what it should be.
    #[error("its public shares cannot be read: {0}")]
    PublicShares(Fault),
    /// A signer's polynomial has not one coefficient for each signer that the threshold asks for.
    #[error(
        "the polynomial of signer {signer} has {found} coefficients, and the threshold is {threshold}"
    )]
    Degree {
        /// The signer, from 0 on.
        signer: u32,
        /// How many it has.
        found: usize,
        /// As the row has it.
        threshold: i32,
    },
    /// The public shares of all signers come to another key.
    #[error("its public shares do not add up to its aggregate key")]
    Sum,
    /// This signer is not in the set.
    #[error("the signer {0} is not in its signer set: it is a row of another group")]
    NotInSet(PublicKey),
    /// `encrypted_private_shares` is shorter than a nonce and a tag.
    #[error("its encrypted share has {0} bytes, too few for any")]
    TooShort(usize),
    /// The tag is not that of this key.
    #[error("it does not open under the key of {0}: it is another signer's row, or damaged")]
    DoesNotOpen(PublicKey),
    /// What it opened to is not what it should be.
    #[error("it opens, and its share cannot be read: {0}")]
    PrivateShare(Fault),
    /// The share inside is of another group.
    #[error("it opens, and its share is for the key {found}, not for its aggregate key")]
    GroupKey {
        /// The key inside.
        found: PublicKey,
    },
    /// The share inside is of a round with other numbers.
    #[error(
        "it opens, and its share is of a round with {what} {found}, where the row has {expected}"
    )]
    Round {
        /// Which number.
        what: &'static str,
        /// Inside.
        found: u64,
        /// In the row.
        expected: u64,
    },
    /// The share is not on the polynomials.
    #[error(
        "it opens, and its share {key_id} does not fit the public shares: nobody could sign with it"
    )]
    Share {
        /// Which of the group's keys.
        key_id: u32,
    },
}
