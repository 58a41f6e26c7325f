//! DKG rounds as sBTC signers keep them: real shares of a real key on secp256k1, encrypted as the signer does, and the SQL
//! that loads them into PostgreSQL. The same seed gives the same bytes.
//!
//! The form of the rows is from stacks-sbtc/sbtc (protobufs/crypto/, signer/migrations/, wsts/); no code of it is
//! here. The messages are written by prost, so that holdfast's own decoder is not its own judge.
//!
//! - [`Group`]: the signers and their keys
//! - [`Round`]: one round of key generation among them
//! - [`Row`]: what one signer keeps of it; its columns can be altered, to plant a fault
//! - [`Database`]: rows, blocks and the bookkeeping of migrations, as SQL

mod messages;
mod random;
mod round;
mod sql;

pub use self::{
    messages::SignerState,
    round::{Group, Round, Row, Status, seal},
    sql::{Database, MIGRATIONS},
};
