//! The profile, section by section: the one source of truth.
//!
//! serde reads into these types; the JSON Schema that editors and `profile::check` use and the
//! reference in `docs/profile.md` are generated from them. Their doc comments are the
//! descriptions, so they are written for the person who writes a profile.
//!
//! Every list and value is an `Option` or has a default that is said: absent means *not managed*
//! (or inherited through `extends`), an empty list means *none*.
//!
//! A new control is a new file here, a field of [`Profile`], and nothing else in this folder.

mod backup;
mod chain;
mod firewall;
mod journal;
mod keys;
mod login;
mod logs;
mod people;
mod pull;
mod services;
mod ssh;
mod sysctl;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::backup::{Backup, Keep, Percent};
pub use self::chain::Chain;
pub use self::firewall::{
    Allow, Block, Egress, EgressAllow, EgressDefault, Firewall, Forward, LogDrops, NamedSet,
    Service,
};
pub use self::journal::{Journal, Storage};
pub use self::keys::ColdKey;
pub use self::login::Login;
pub use self::logs::{LogSource, Logs};
pub use self::people::{About, Person, Waiver};
pub use self::pull::Pull;
pub use self::services::Services;
pub use self::ssh::{
    Admitted, GatewayPorts, LogLevel, PermitRootLogin, PermitTunnel, Ssh, TcpForwarding,
};
pub use self::sysctl::Sysctl;
use super::types::{RuleName, Text};

/// A holdfast profile: what a Debian host is held to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The profiles this one builds on, in order: a later one wins over an earlier one, and this
    /// file wins over all. A name is looked up beside this file and then among the shipped
    /// profiles; anything with a `/` or ending in `.toml` is a path, relative to this file.
    /// Absent: this file stands alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extends: Vec<Text>,

    /// What this profile is and where it is kept. Absent: nothing is said about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,

    /// Who may administer this host, approve changes and hold custody. Absent: nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub people: Vec<Person>,

    /// How administrators get in, and what proves that they still can. Absent: the defaults below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,

    /// What may reach this host over the network. Absent: the firewall is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,

    /// How journald keeps logs. Absent: journald is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,

    /// Whose logs are kept, and for how long. `MaxRetentionSec=90day` does not do it. It is a ceiling:
    /// journald deletes what is older, and keeps nothing for its sake. It deletes whole files by the
    /// age of their *first* entry, and a file spans a month by default, so entries 60 days old go.
    /// Size decides long before: 10 % of the file system, at most 4G, and at most 100 files. holdfast
    /// works out size, number and span of the files together, sets no ceiling (`[journal]`'s own keys
    /// win), and measures what is really there (`holdfast logs`). Absent: no retention is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,

    /// How sshd admits people. Absent: sshd is not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,

    /// Kernel parameters. Absent: none is managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctl: Option<Sysctl>,

    /// Which systemd units run and which do not. Absent: no unit is managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,

    /// Backups of a signer's database, each with a name of its own. Absent: none is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"format": "holdfast-rule-name"}))]
    pub backup: BTreeMap<RuleName, Backup>,

    /// Who fetches finished backups from this host. Absent: the account for it is not managed; one that was made stays, with
    /// its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,

    /// Keys that must be in cold storage, each by the name that its plan calls it. Absent: none is asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"format": "holdfast-rule-name"}))]
    pub keys: BTreeMap<RuleName, ColdKey>,

    /// Checks that may fail for a while, each with a reason, an approver and an end.
    /// Absent: nothing is waived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "check"))]
    pub waiver: Vec<Waiver>,
}

/// What is done about a section.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Checked, and put right by `apply` and `correct`.
    #[default]
    Enforce,
    /// Checked and reported, never changed.
    Audit,
    /// Neither checked nor changed.
    Off,
}
