//! What was seen of sshd, beside what is wanted of it. Plain data: judged and planned for without a host.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{effective::Effective, logins::Login, settings::Setting, tree::Tree};
use crate::{
    engine::change::{FileState, FileTime},
    host::bus::{ServiceStatus, UnitStatus},
};

/// Everything judged and planned from.
#[derive(Debug)]
pub(super) struct Observed {
    /// What the profile wants.
    pub(super) settings: Vec<Setting>,
    /// Why nothing can be said about sshd on this host at all, and what to do.
    pub(super) absent: Option<String>,
    /// What is at the drop-in's path.
    pub(super) drop_in: Result<FileState, String>,
    /// What is at its folder's.
    pub(super) folder: Result<FileState, String>,
    /// The names in that folder.
    pub(super) names: Vec<String>,
    /// What is at each path there that sshd reads, ours excepted.
    pub(super) foreign: BTreeMap<String, FileState>,
    /// The configuration as it is.
    pub(super) tree: Tree,
    /// The configuration as it would be with the drop-in as it is wanted.
    pub(super) future: Tree,
    /// What sshd says it would do.
    pub(super) answers: Answers,
    /// How many logins were not tried because there are too many.
    pub(super) more: usize,
    /// The running sshd.
    pub(super) daemon: Result<Daemon, String>,
    /// The file sshd reads that changed last, and when.
    pub(super) newest: Option<(String, FileTime)>,
    /// When this was seen, in seconds since the epoch.
    pub(super) now: i64,
    /// What answers on each port.
    pub(super) wires: Vec<Wire>,
}

/// What `sshd -T` says.
#[derive(Debug, Clone)]
pub(in crate::controls) enum Answers {
    /// For each login (`None`: for all, as there is no `Match`), what it would do, or why that could not be asked.
    Given(Vec<(Option<Login>, Result<Effective, String>)>),
    /// It refuses the configuration, in these words.
    Refused(String),
    /// Its runtime directory is missing, so it answers nothing.
    NoRuntimeDir,
    /// It could not be asked, and why.
    Unknown(String),
}

/// The sshd that runs.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    /// systemd's word on ssh.service.
    pub(super) service: UnitStatus,
    /// Whether ssh.socket waits for connections and starts sshd at the first.
    pub(super) has_socket: bool,
    /// And on its processes.
    pub(super) processes: ServiceStatus,
    /// That process's command line, which sshd rewrites to tell its options.
    pub(super) title: Option<String>,
    /// The sockets of that process (and of systemd, where there is an ssh.socket); `None` when they may not be seen.
    pub(super) sockets: Option<BTreeSet<u64>>,
}

impl Daemon {
    pub(super) fn is_running(&self) -> bool {
        self.service.is_running()
    }

    /// When sshd was last told to read its files, in microseconds since the epoch: whatever changed before then it has
    /// read. Not when systemd called the reload done: from 9.8 on that is some 20 ms after sshd has read them.
    pub(super) fn told_to_read_at(&self) -> u64 {
        let ServiceStatus { main_started, reloads, .. } = &self.processes;
        match reloads.as_slice() {
            // The last command is the signal; those before it only test.
            [.., signal] if *signal > 0 => *signal.max(main_started),
            [test, ..] if *test > 0 => *main_started,
            // systemd has forgotten (daemon-reload), or there was no reload yet.
            _ if self.service.changed > self.service.started => self.service.changed,
            _ => *main_started,
        }
    }
}

/// What is at a port.
#[derive(Debug)]
pub(super) struct Wire {
    /// The port.
    pub(super) port: u16,
    /// What was heard there.
    pub(super) heard: Heard,
    /// The sockets that listen there, by inode.
    pub(super) listeners: Vec<u64>,
}

/// What was heard at a port.
#[derive(Debug)]
pub(super) enum Heard {
    /// These bytes.
    Bytes(SocketAddr, Vec<u8>),
    /// Nobody listens.
    Nobody,
    /// Not asked: a connection would start sshd.
    NotAsked,
    /// No answer, and why.
    Failed(String),
}
