//! The evidence log: what was done to this host and what was found on it, in an order that cannot be changed unnoticed.
//!
//! `/var/lib/holdfast/evidence/log.jsonl` is only ever appended to. Each line is a [`Record`] with the digest of the line
//! before it, so that whoever removes, alters or moves one breaks the chain there. What no chain shows, that its end was
//! cut off or all of it written anew, the journal shows: the newest digest is filed there after every
//! append, and once a day.
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
//! - `mark`: up to where it was found whole, so that not every look reads all of it
//! - [`entries`]: what goes in: ended transactions, findings that appear and end (pure)
//! - [`anchor`]: what the journal saw of it
//! - [`judge`]: what is wrong with it (pure)
//! - [`check`]: the same as a check of `verify`
//!
//! To record anything else: a kind of its own in [`record::kind`], and [`Log::append`], which takes the lock, syncs and
//! tells the journal. No secret goes in: the log is shown.
//!
//! A record has some 400 to 900 bytes. A host on which nothing happens adds none; one that `correct` has to put right
//! every quarter of an hour adds some 35,000 a year, about 25 MB. Nothing is ever deleted.

pub mod anchor;
pub mod check;
pub mod entries;
#[cfg(test)]
mod entries_tests;
pub mod judge;
pub mod log;
mod mark;
#[cfg(test)]
mod mark_tests;
pub mod record;
pub mod scan;
#[cfg(test)]
mod tests;

pub use log::{Appended, EvidenceError, Log};
pub use record::{Digest, Entry, Head, Record};
pub use scan::Scan;
