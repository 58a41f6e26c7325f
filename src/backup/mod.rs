//! Proving a backup of an sBTC signer's database: what its rows are worth, and whether they are what the chain says.
//!
//! Everything here is pure: it is given rows, answers and keys, and says what they come to.
//!
//! - [`curve`]: points of secp256k1, and the taproot output of one
//! - [`clarity`]: what a Stacks node answers for the aggregate key on chain, decoded strictly
//! - [`node`]: which node answered, and whether it is up to date
//! - [`chain`]: the rows' keys against the chain's
//! - [`dkg`]: the rows themselves: from public data alone, and with the signer's key

pub mod chain;
pub mod clarity;
pub mod curve;
pub mod dkg;
pub mod node;
