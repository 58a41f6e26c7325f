//! The plan: what a ceremony will do, written, reviewed and signed before anybody enters the room.
//!
//! It is the only input. Reviewers read one file; its digest, over the bytes as they are, stands on everything that comes
//! out. [`read`] refuses whatever is not said exactly; what depends on the day or on the host is judged by the ceremony.

mod judge;
mod schema;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

pub use schema::{
    Custodian, Exception, From, Key, KeyKind, Medium, Network, Origin, Plan, Role, RoleName,
};
use sha2::{Digest as _, Sha256};

use crate::{
    backup::curve::hex,
    profile::document::{self, Document, Faulty},
};

/// The largest plan that is read, in bytes. A real one has a few kilobytes.
pub const MAX_BYTES: u64 = 256 << 10;

/// The namespace of signatures of plans (SSHSIG, openssh's PROTOCOL.sshsig): a signature made for anything else is none of
/// a plan.
pub const NAMESPACE: &str = "holdfast-plan@v1";

/// Reads a plan.
///
/// # Errors
/// Everything that is wrong with it, with file, line and column.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Document<Plan>, Faulty> {
    document::read(path, bytes, "holdfast key ceremony plan", judge::judge)
}

/// SHA-256 of a plan's bytes as they are, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
