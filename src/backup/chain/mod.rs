//! The keys in a backup against the key on the Stacks chain.
//!
//! - [`look`]: asks a node who it is, whether it is up to date, and for the key
//! - [`node`]: which node answered, and whether it is to be believed; pure
//! - [`clarity`]: the value it gives, decoded strictly; pure
//! - [`compare`](mod@compare): what rows and chain come to together; pure
//! - [`word`]: what is kept of it, in manifests and between two looks

pub mod clarity;
mod compare;
pub mod look;
pub mod node;
pub mod word;

pub use self::{
    compare::{KeyRow, Status, Verdict, compare},
    look::{Inquiry, LookFault},
    word::{Answer, Word},
};
