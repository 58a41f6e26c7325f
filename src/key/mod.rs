//! The ceremony that brings a key into cold storage: planned, rehearsed, carried out by two people, and proven to open.
//!
//! ```text
//! plan.toml ─read─▶ Plan ─┐
//!                         ├─ Ceremony ─▶ child: reads the key, seals it, opens that ─▶ envelopes ─▶ medium ─▶ read back: the same
//! room ─look─▶ Readings ──┘      └─▶ transcript: every step, chained, signed by both at the end
//! ```
//!
//! - [`plan`]: what will be done; strict, pure
//! - [`signature`]: the people's signatures (SSHSIG), and whether a hardware key was touched; pure
//! - [`material`]: the secret, and what everybody may know of it; pure, and used in the child only
//! - [`child`]: the short-lived process that holds the key, and what is said to it and by it
//! - [`preflight`]: what must hold of the room, judged; pure
//! - [`medium`]: what of a medium counts, judged
//! - [`kit`]: what a custodian gets; pure
//! - [`paper`]: sheets with an envelope on them, and what is typed from them; pure
//! - [`shares`]: a key that unlocks, split; pure
//! - [`transcript`]: the record; pure
//! - [`questions`]: what people are asked, and how a script answers
//! - [`ceremony`]: the steps in their order, and how an interrupted one goes on
//!
//! The key is in the memory of one process for milliseconds. Everything here but [`child`] handles ciphertext and
//! public facts only.

pub mod ceremony;
pub mod child;
pub mod kit;
pub mod material;
pub mod medium;
pub mod paper;
pub mod plan;
pub mod preflight;
pub mod questions;
pub mod shares;
pub mod signature;
mod step;
pub mod transcript;
