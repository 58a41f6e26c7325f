//! The process that holds the key, and nothing else does.
//!
//! It is this program started anew ([`crate::locked`]): the very file whose digest was recorded is what runs. Before it is
//! told anything it locks its memory, forbids dumps and tracers, and is without a network.
//!
//! To seal, a line of JSON goes in ([`talk`]: an [`Order`](talk::Order)), one comes out ([`Answer`](talk::Answer)), and it ends.
//! Ciphertext and public facts are all that it ever says. The key is read and sealed, each envelope is opened again with
//! an identity that was made for this, and all of it is gone before anybody is asked for a medium. What is read back
//! from one then is held to the very bytes that opened ([`Child::holds`]): no process that could open them waits for people.
//! To open again ([`open`]) it has custodians' identities, and answers until its input ends.

pub mod open;
mod process;
mod read;
mod run;
mod seal;
mod split;
pub mod talk;
#[cfg(test)]
mod tests;
mod unseal;
#[cfg(test)]
mod unseal_tests;
#[cfg(test)]
mod vectors_tests;

pub use process::{Child, ChildError};
pub use run::{UNLOCKED, run};
