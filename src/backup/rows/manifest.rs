//! What is known of a file of rows: signed by the host, and naming the one before it, as a dump's manifest is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::print::Print;
use crate::backup::manifest::{Archive, Link, Proof};

/// The version of the form.
pub const FORMAT: u32 = 1;

/// A file of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the holdfast that wrote it.
    pub format: u32,
    /// What it is called.
    pub id: String,
    /// Its place among the files of its name, from 1 on. Their order is by this and not by any time: a clock can be set back.
    pub number: u64,
    /// The backup's name in the profile.
    pub name: String,
    /// The database.
    pub database: String,
    /// When the rows were read: what is newer is not in it.
    pub begun: Timestamp,
    /// When the file was finished.
    pub made: Timestamp,
    /// The file.
    pub archive: Archive,
    /// Who can open it, by name.
    pub recipients: BTreeMap<String, String>,
    /// The recipient that proved it, whose identity was never outside of memory and is gone.
    pub drill: String,
    /// The server's version, as `server_version_num` has it.
    pub server_version: u32,
    /// The rows in it.
    pub rows: Vec<Print>,
    /// What had changed since the file before it.
    pub changes: Vec<String>,
    /// What became of the proof.
    pub proof: Proof,
    /// The manifest before this one; none: this is the first.
    pub previous: Option<Link>,
}

impl Manifest {
    /// How it is named in the next one, when its signed line has this digest.
    pub fn link(&self, sha256: &str) -> Link {
        Link { id: self.id.clone(), sha256: sha256.to_owned() }
    }
}
