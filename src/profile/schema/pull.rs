//! `[pull]`: backups that another host fetches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{Cidr, SshKey, TimeSpan};

/// Finished backups, fetched by another host: over SFTP by the account `holdfast-pull`, which can list and read them and
/// do nothing else. A host that is broken into can then not delete what was fetched from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pull {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// The public keys that fetch, Ed25519 or its hardware kind; each is made for this and used for nothing else.
    /// Empty: nobody fetches.
    pub keys: Vec<SshKey>,

    /// Where those who fetch come from. The firewall does not follow by itself: allow them there, too; `pull.path` tells where
    /// it keeps them out. Absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub from: Option<Vec<Cidr>>,

    /// How long ago the last login of whoever fetches may be. What was read is not known here: `holdfast backup check` on
    /// the other host says what arrived. Absent: any time, and never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_within: Option<TimeSpan>,
}
