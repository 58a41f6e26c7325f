//! The evidence log: what was done to this host and what was found on it, in an order that cannot be changed unnoticed.
//!
//! `/var/lib/holdfast/evidence/log.jsonl` is only ever appended to. Each line is a [`Record`] with the digest of the line
//! before it, so that whoever removes, alters or moves one breaks the chain there. What no chain shows, that its end was
//! cut off or all of it written anew, the journal shows: the newest digest is filed there by every command that looks at
//! the host or changes it.
//!
//! ```text
//! ended transactions ─┐
//!                     ├─ entries (pure) ─▶ Log::append ─▶ log.jsonl ─▶ Scan ─ chain, anchors, transactions ─▶ Problems
//! findings ───────────┘                         └─▶ journal (anchor) ───────────────┘                      (pure)
//! ```
//!
//! - [`record`]: a record, its line and its digest
//! - [`scan`]: the log as it is read, line by line; its end after a write that was cut off
//! - [`log`]: the file: appending to it, reading it
//! - [`entries`]: what goes in: ended transactions, findings that appear and end (pure)
//! - [`anchor`]: what the journal saw of it
//! - [`judge`]: what is wrong with it (pure)
//! - [`check`]: the same as a check of `verify`
//!
//! To record anything else: an [`Entry`] of a kind of its own, given to [`Log::append`]; then
//! [`journal::anchored`](crate::report::journal::anchored) with what that returns. No secret goes in: the log is shown.

pub mod anchor;
pub mod check;
pub mod entries;
#[cfg(test)]
mod entries_tests;
pub mod judge;
pub mod log;
pub mod record;
pub mod scan;
#[cfg(test)]
mod tests;

pub use log::{Appended, EvidenceError, Log};
pub use record::{Digest, Entry, Head, Record};
pub use scan::Scan;
