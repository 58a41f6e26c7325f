//! `[keys.NAME]`: a key that must be in cold storage, and how lately that was seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::types::{SignerPublicKey, TimeSpan};

/// A key that must be in cold storage: exported by `holdfast key export` from a plan that calls it by this name, opened again by
/// drills, and by custodians who prove that they can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColdKey {
    /// The public half that an sBTC signer's key has: an export of another one, of before a rotation for one, does not count.
    /// Absent: any key of this name counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<SignerPublicKey>,

    /// How old the newest export may be. Absent: any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exported_within: Option<TimeSpan>,

    /// How long ago the last drill may be that opened the key, or the export where there was none since. The plan's own day
    /// of the next drill counts beside it.
    #[serde(default = "ColdKey::default_drilled_within")]
    pub drilled_within: TimeSpan,

    /// How long ago each single copy, on a medium or on paper, may have been seen to be good, when it was made or in a drill.
    #[serde(default = "ColdKey::default_copies_within")]
    pub copies_within: TimeSpan,

    /// How long ago each custodian may have shown that they can open: by the receipt of a challenge, or in a drill of a copy of
    /// theirs.
    #[serde(default = "ColdKey::default_proved_within")]
    pub proved_within: TimeSpan,
}

impl ColdKey {
    /// A quarter, and what people are late by.
    const fn default_drilled_within() -> TimeSpan {
        TimeSpan::from_days(100)
    }

    /// A year, and what people are late by.
    const fn default_copies_within() -> TimeSpan {
        TimeSpan::from_days(400)
    }

    /// Half a year, and what people are late by.
    const fn default_proved_within() -> TimeSpan {
        TimeSpan::from_days(200)
    }
}
