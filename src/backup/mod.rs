//! Proving a backup of an sBTC signer's database: what its rows are worth, and whether they are what the chain says.
//!
//! A backup's way: [`run`] has the dump made and [`stream`] makes a file of it; [`prove`] restores that very file, and
//! [`judge`] says what it is worth; a signed [`manifest`] keeps both; [`catalogue`] reads the folder, [`retention`] decides what
//! stays in it. Only [`run`], [`prove`], [`restore`], [`connection`], [`server`], [`ephemeral`] and [`signing`] touch the host, by what `host/` lends them.
//! All else is pure: it is given rows, answers and keys, and says what they come to.
//!
//! - [`curve`]: points of secp256k1, and the taproot output of one
//! - [`clarity`]: what a Stacks node answers for the aggregate key on chain, decoded strictly
//! - [`node`]: which node answered, and whether it is up to date
//! - [`chain`]: the rows' keys against the chain's
//! - [`dkg`]: the rows themselves: from public data alone, and with the signer's key

pub mod by_hand;
pub mod catalogue;
pub mod chain;
pub mod clarity;
pub mod connection;
pub mod conninfo;
pub mod copy;
pub mod curve;
pub mod dkg;
mod dump;
pub mod ephemeral;
pub mod judge;
pub mod manifest;
pub mod node;
pub mod prove;
pub mod restore;
pub mod retention;
pub mod role;
pub mod run;
pub mod server;
pub mod signing;
pub mod standing;
pub mod stream;
mod within;
