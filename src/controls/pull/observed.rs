//! What was seen, beside what is wanted. Plain data: judged and planned for without a host.

use ipnet::IpNet;
use jiff::Timestamp;

use super::{desired::Desired, session::Sessions};
use crate::{
    controls::{firewall::model::Model, ssh::Effective},
    engine::change::FileState,
    profile::types::{Port, TimeSpan},
};

/// Everything judged and planned from.
#[derive(Debug)]
pub(super) struct Observed {
    /// What the profile wants; `None`: it has no backup that could be served.
    pub(super) wanted: Option<Desired>,
    /// Why nothing can be said about sshd on this host.
    pub(super) absent: Option<String>,
    /// The account; `None`: there is none.
    pub(super) account: Result<Option<Account>, String>,
    /// The folders from the root to the one that is served, in this order.
    pub(super) way: Vec<Folder>,
    /// What is in the served folder and is no finished file, with why.
    pub(super) strange: Result<Vec<String>, String>,
    /// What is at the drop-in's path.
    pub(super) drop_in: Result<FileState, String>,
    /// Whether its folder is there.
    pub(super) has_dir: bool,
    /// Whether sshd reads it.
    pub(super) is_included: bool,
    /// What is at the path of the file of keys.
    pub(super) keys: Result<FileState, String>,
    /// What sshd would do with the account, by where it comes from.
    pub(super) answers: Vec<(String, Result<Effective, String>)>,
    /// What the profile's firewall lets in.
    pub(super) firewall: Result<Model, String>,
    /// Where sshd listens.
    pub(super) ports: Vec<Port>,
    /// Where those who fetch come from; `None`: not said.
    pub(super) from: Option<Vec<IpNet>>,
    /// How long ago the last login may be, when it was, and what time it is; `None`: the profile does not ask.
    pub(super) sessions: Option<(TimeSpan, Result<Sessions, String>, Timestamp)>,
    /// Whether the directory is missing without which sshd answers nothing.
    pub(super) has_no_runtime_dir: bool,
}

/// The account as the host has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// Its uid.
    pub(super) uid: u32,
    /// Its login shell.
    pub(super) shell: String,
    /// Whether that lets anybody in.
    pub(super) can_log_in: bool,
    /// Whether a password fits; why that is not known.
    pub(super) has_password: Result<bool, String>,
    /// The groups it is in.
    pub(super) groups: Vec<String>,
    /// Other accounts with the same uid.
    pub(super) same_uid: Vec<String>,
}

/// A folder on the way to the one that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    /// Absolute path.
    pub(super) path: String,
    /// What is there.
    pub(super) state: Result<FileState, String>,
    /// Its owner and mode, links followed; `None`: it is not there.
    pub(super) access: Option<(u32, u32)>,
    /// The mode that holdfast gives it; `None`: it is not holdfast's.
    pub(super) mode: Option<u32>,
}
