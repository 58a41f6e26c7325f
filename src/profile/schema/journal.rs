//! `[journal]`: how journald keeps logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{Size, TimeSpan};

/// How journald keeps logs. Each key is one of journald.conf(5); an absent one is worked out from
/// `[logs]` where that needs it, and else left as the host has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// Where logs are kept (`Storage=`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// The most disk space logs may take (`SystemMaxUse=`). journald's own default is a tenth of
    /// the file system and at most 4G, whatever the age of what it deletes. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_use: Option<Size>,

    /// The disk space logs must leave free (`SystemKeepFree=`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_free: Option<Size>,

    /// How large one journal file may grow (`SystemMaxFileSize=`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<Size>,

    /// How many journal files are kept (`SystemMaxFiles=`). journald's own default of 100 caps
    /// `max_use` silently. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_files: Option<u32>,

    /// After how long a new journal file is begun (`MaxFileSec=`). Files are deleted whole, by the
    /// age of their first entry. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_age: Option<TimeSpan>,

    /// The age from which entries are deleted (`MaxRetentionSec=`): a ceiling, never a promise that
    /// they are kept so long. On Debian 12 each deletion for age begins a new file too (systemd issue
    /// 31315), so `max_files` is reached soon. Absent: none where `[logs]` is given, else not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retention: Option<TimeSpan>,

    /// The time in which `rate_limit_burst` messages of one service are taken
    /// (`RateLimitIntervalSec=`); `0s` lifts the limit. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_interval: Option<TimeSpan>,

    /// How many messages of one service are taken in that time (`RateLimitBurst=`); what exceeds it
    /// is lost. 0 lifts the limit. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_burst: Option<u32>,

    /// Whether messages are passed on to a syslog daemon too (`ForwardToSyslog=`).
    /// Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to_syslog: Option<bool>,

    /// Whether large entries are compressed (`Compress=`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,

    /// Whether journal files are sealed against later changes, where keys have been set up
    /// (`Seal=`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<bool>,
}

/// Where journald keeps logs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// On disk, the folder being made when it is missing.
    Persistent,
    /// In memory only: lost at the next boot.
    Volatile,
    /// On disk if `/var/log/journal` is there.
    Auto,
    /// Nowhere.
    None,
}

impl Storage {
    /// As journald.conf has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::Volatile => "volatile",
            Self::Auto => "auto",
            Self::None => "none",
        }
    }
}
