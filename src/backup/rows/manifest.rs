//! What is known of a file of rows, beyond what is known of any backup.

use serde::{Deserialize, Serialize};

use super::print::Print;
use crate::backup::manifest::{self, Ends, Kind};

/// The manifest of a file of rows.
pub type Manifest = manifest::Manifest<Rows>;

/// The DKG rows of a database, alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// The rows in it.
    pub rows: Vec<Print>,
    /// What had changed since the file before it.
    pub changes: Vec<String>,
}

impl Kind for Rows {
    const SIGNED_AS: &'static str = "holdfast-dkg-rows@v1";
    const DELETED_AS: &'static str = "holdfast-dkg-rows-deleted@v1";
    const ENDS: Ends = Ends {
        archive: ".dkg-rows.zst.age",
        manifest: ".dkg-rows.json",
        tombstone: ".dkg-rows.deleted.json",
    };
    /// To the millisecond: two statuses may follow one another at once.
    const TIME: &'static str = "-rows-%Y%m%dT%H%M%S.%3fZ";
    const SHAPE: &'static str = "-rows-20260102T030405.678Z";
    const IS_SMALL: bool = true;
    const STAYS: bool = false;

    fn told(&self) -> String {
        format!(" {} rows,", self.rows.len())
    }
}
