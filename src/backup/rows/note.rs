//! What the last look saw, for the looks that may not ask the database themselves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::print::Print;
use crate::backup::chain::Answer;

/// A note of the watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When it looked.
    pub at: Timestamp,
    /// The rows in the database then.
    pub rows: Vec<Print>,
    /// The height of the newest Bitcoin block that the signer had seen.
    pub height: Option<u64>,
    /// Why that height is not known, when the database has such a table: no row waits for it.
    #[serde(default)]
    pub heightless: Option<String>,
    /// Columns of the table that no backup of rows has.
    #[serde(default)]
    pub unsaved: Vec<String>,
    /// What a node said of the chain, if one was asked.
    pub chain: Option<Asked>,
}

/// A look at the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// The newest answer that there was.
    pub answer: Option<Answer>,
    /// Why there was none this time.
    pub fault: Option<String>,
}

impl Note {
    /// Its name among notes.
    pub fn name(backup: &str) -> String {
        format!("backup-{backup}")
    }

    /// The name of the note of why the last look failed; empty: it did not.
    pub fn failure(backup: &str) -> String {
        format!("backup-{backup}-failed")
    }
}
