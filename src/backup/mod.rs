//! Proving a backup of an sBTC signer's database: what its rows are worth, and whether they are what the chain says.
//!
//! A backup's way: [`run`] has the dump made and [`stream`] makes a file of it; [`prove`] restores that very file (after a `survey` of all of it), and
//! [`judge`] says what it is worth; a signed [`manifest`] keeps both; [`catalogue`] says what lies in the [`folder`], [`retention`] decides what
//! stays in it. Only [`folder`], [`run`], [`prove`], [`restore`] (and `restorer`), [`connection`], [`server`], [`ephemeral`] and [`signing`] touch the host, by what `host/` lends them.
//! All else is pure: it is given rows, answers and keys, and says what they come to.
//!
//! - [`curve`]: points of secp256k1, and the taproot output of one
//! - [`chain`]: the rows' keys against the chain's, as a Stacks node tells it
//! - [`dkg`]: the rows themselves: from public data alone, and with the signer's key
//! - [`joint`]: the latter on the host, in a process of its own

pub mod arguments;
pub mod by_hand;
pub mod catalogue;
pub mod chain;
pub mod connection;
pub mod conninfo;
pub mod copy;
pub mod curve;
pub mod dkg;
mod dump;
pub mod ephemeral;
pub mod folder;
pub mod joint;
pub mod judge;
pub mod manifest;
pub mod missing;
mod pieces;
mod plain;
pub mod prove;
pub mod restore;
mod restorer;
pub mod retention;
pub mod role;
pub mod rows;
pub mod run;
pub mod server;
pub mod signing;
pub mod standing;
pub mod statement;
pub mod stream;
mod survey;
pub mod transport;
mod within;
