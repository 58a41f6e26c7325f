//! `[logs]`: whose logs are kept, and for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{ContainerName, FilePath, RuleName, Size, TimeSpan, UnitName};

/// Whose logs are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// How long the entries of each source must be kept: from a second to 10 years.
    #[serde(default = "Logs::default_keep")]
    pub keep: TimeSpan,

    /// The most disk space the journal may take, divided evenly between the host's own and each namespace that the profile
    /// names; one that only its unit names takes as much beyond it. Absent: worked out from the size of the file system, or
    /// `journal.max_use` where that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Size>,

    /// A source that is silent for longer than this has a gap.
    #[serde(default = "Logs::default_max_gap")]
    pub max_gap: TimeSpan,

    /// Whose logs must be kept. Absent: no source is judged by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub source: Vec<LogSource>,
}

impl Logs {
    /// The longest retention that may be asked for: ten years.
    pub const LONGEST_KEEP: TimeSpan = TimeSpan::from_days(3650);

    /// What the published practice asks for: "at least 90 days".
    const fn default_keep() -> TimeSpan {
        TimeSpan::from_days(90)
    }

    /// A node that has said nothing for a day has stopped, or its log has.
    const fn default_max_gap() -> TimeSpan {
        TimeSpan::from_days(1)
    }

    /// How long this source's entries must be kept.
    pub fn keep_of(&self, source: &LogSource) -> TimeSpan {
        source.keep.unwrap_or(self.keep)
    }

    /// From how long a silence on this source has a gap.
    pub fn max_gap_of(&self, source: &LogSource) -> TimeSpan {
        source.max_gap.unwrap_or(self.max_gap)
    }

    /// The longest retention that the main journal must give: that of the section, and of each source that may be in it.
    pub fn longest_in_journal(&self) -> TimeSpan {
        let may_be = |source: &&LogSource| source.file.is_none() && source.namespace.is_none();
        let keeps = self.source.iter().filter(may_be).map(|source| self.keep_of(source));
        keeps.fold(self.keep, TimeSpan::max)
    }

    /// How long a journal file spans (`MaxFileSec=`) where `[journal]` does not say: what is deleted at a time. A day;
    /// of a retention under ten days a tenth, of one over a year its 365th part, so that no retention takes more than
    /// some 365 files for their age alone.
    pub fn file_age(keep: TimeSpan) -> TimeSpan {
        const DAY: u64 = 86_400;
        let keep = keep.as_secs();
        TimeSpan::from_secs(DAY.min((keep / 10).max(1)).max(keep / 365))
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            keep: Self::default_keep(),
            budget: None,
            max_gap: Self::default_max_gap(),
            source: Vec::new(),
        }
    }
}

/// One whose log must be kept. Exactly one of `unit`, `container` and `file` says where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSource {
    /// What it is; unique among the sources, and the key by which profiles that extend this one
    /// replace or remove it.
    pub name: RuleName,

    /// The unit that logs to the journal. Absent: it is no unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,

    /// The Docker or Podman container whose output is logged. Absent: it is no container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,

    /// The file that the program itself writes, such as bitcoind's `debug.log`. Absent: it is no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,

    /// How long its entries must be kept. Absent: as `logs.keep` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<TimeSpan>,

    /// From how long a silence on it has a gap. Absent: as `logs.max_gap` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<TimeSpan>,

    /// Of a unit: the journal namespace it logs to (`LogNamespace=`). holdfast then keeps that
    /// namespace's journal as long too. Absent: read from the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<RuleName>,

    /// Of a file: the unit whose main process opens the file anew on SIGHUP. holdfast then has
    /// logrotate rename the file each day and send that signal. Never name a program that SIGHUP
    /// ends, as it does the sBTC signer. Absent: no unit is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_by: Option<UnitName>,

    /// Of a file: the Docker container whose main process opens the file anew on SIGHUP, likewise.
    /// Absent: no container is told. Without either the file is not rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened_by_container: Option<ContainerName>,

    /// Of a file that is bitcoind's `debug.log`: its `bitcoin.conf`. Without `shrinkdebugfile=0` in
    /// it bitcoind cuts the file to its last 10 MB when it starts. Absent: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitcoin_conf: Option<FilePath>,
}

impl LogSource {
    /// A source of this name that is not said to be anywhere yet.
    pub const fn named(name: RuleName) -> Self {
        Self {
            name,
            unit: None,
            container: None,
            file: None,
            keep: None,
            max_gap: None,
            namespace: None,
            reopened_by: None,
            reopened_by_container: None,
            bitcoin_conf: None,
        }
    }

    /// Whether holdfast has its file rotated: somebody is named who opens it anew.
    pub const fn is_rotated(&self) -> bool {
        self.reopened_by.is_some() || self.reopened_by_container.is_some()
    }
}
