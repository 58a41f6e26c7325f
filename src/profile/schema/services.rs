//! `[services]`: systemd's units.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::UnitName;

/// Which systemd units run and which do not. A unit stands in one list at most; one that is not
/// installed is not applicable in `disabled` and `masked`, and fails in `enabled`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// Units that start at boot and are running. Absent: not managed. Empty: none has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Vec<UnitName>>,

    /// Units that neither start at boot nor run; something else may still start them.
    /// Absent: not managed. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<Vec<UnitName>>,

    /// Units that nothing can start. Absent: not managed. Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<Vec<UnitName>>,
}
