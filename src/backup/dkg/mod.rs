//! A signer's DKG rows: the only thing in its database that nobody can make again.
//!
//! A row holds what a round of distributed key generation left: the group's key, the public polynomials of all signers, and
//! this signer's private share, encrypted with its private key. [`Row`] is the row as PostgreSQL gives it; [`Row::check`]
//! proves from public data alone that it is whole and of this signer's group; [`Checked::open`] proves, with the key, that it
//! opens and that its share is the one the polynomials ask for. Together that is the joint proof: this key and this
//! backup belong together.
//!
//! Every signer of a group has the same public data: from that alone another signer's rows look right. Only the
//! key tells them apart.
//!
//! The messages in a row are protobuf (stacks-sbtc/sbtc, protobufs/crypto/). They are decoded by hand, in `wire`: a library
//! skips what it does not know, merges what stands twice, and copies secrets into vectors that nobody wipes.

mod flaw;
mod key;
mod private;
mod public;
mod row;
mod verdict;
mod wire;

pub use self::{
    flaw::Flaw,
    key::{KeyFault, SignerKey},
    public::Checked,
    row::{QUERY, Row, RowFault},
    verdict::{By, Verdict, prove},
    wire::Fault,
};

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
