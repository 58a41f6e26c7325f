//! `[sysctl]`: kernel parameters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{SysctlKey, SysctlValue};

/// Kernel parameters, on disk and live. One that this kernel does not have is not applicable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// The parameters and their values, each name in quotes because of its dots. Absent or empty:
    /// none is managed.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "holdfast-sysctl-key"}))]
    pub values: BTreeMap<SysctlKey, SysctlValue>,
}
