//! `[login]`: how administrators get in, and what proves that they still can.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::types::{Cidr, TimeSpan};

/// How administrators get in over the network, and how long an apply that can cut them off waits
/// for the word that it has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// How long an apply that can cut off a login waits for `holdfast confirm` before it is rolled
    /// back. Longer than it takes to log in anew with a hardware key, shorter than you can do
    /// without the host.
    #[serde(default = "Login::default_confirm_within")]
    pub confirm_within: TimeSpan,

    /// Where administrators come from. An apply after which none of these could open an SSH
    /// session is refused. Absent: whoever the firewall lets in counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Cidr>>,
}

impl Login {
    /// Junos's `commit confirmed` waits as long.
    const fn default_confirm_within() -> TimeSpan {
        TimeSpan::from_secs(600)
    }
}

impl Default for Login {
    fn default() -> Self {
        Self { confirm_within: Self::default_confirm_within(), from: None }
    }
}
