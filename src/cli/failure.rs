//! What goes wrong, as a person sees it and as a script does: a message, its causes, what to do, and the exit code.

use std::process::ExitCode;

use crate::{
    controls::Obstacle,
    engine::{
        apply::ApplyError, confirm::ConfirmError, store::StoreError, transaction::BeginError,
    },
    evidence::EvidenceError,
    host::{HostError, error::chain, lock::LockError},
};

/// The exit codes. An interface: documented in README.md and never changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exit {
    /// All right.
    #[default]
    Ok = 0,
    /// It could not be done.
    Failed = 1,
    /// There are findings, or for `plan`, changes.
    Findings = 2,
    /// The command line is wrong (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// The profile or other data is wrong (`EX_DATAERR`).
    Data = 65,
    /// Another holdfast is at work (`EX_TEMPFAIL`).
    Locked = 75,
    /// Not permitted (`EX_NOPERM`).
    NotPermitted = 77,
}

impl Exit {
    /// Each with its meaning, as the manual and README.md have it.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Ok, "all right"),
        (
            Self::Failed,
            "it could not be done; the host is as it was, or what could not be restored is named",
        ),
        (Self::Findings, "there are findings (`plan`: changes)"),
        (Self::Usage, "the command line is wrong"),
        (Self::Data, "the profile or other data is wrong"),
        (
            Self::Locked,
            "another holdfast is at work, or another change waits to be confirmed; try later",
        ),
        (Self::NotPermitted, "not permitted"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, causes included, on one line; empty when it has been said already.
    pub message: String,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new() }
    }

    /// A failure about which everything has been said.
    pub fn said(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The same, with something to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::NoSuch(_) => Exit::Usage,
            StoreError::Damaged { .. } | StoreError::Newer { .. } => Exit::Data,
            StoreError::Io { .. } | StoreError::Host(_) => Exit::Failed,
        };
        Self::new(exit, chain(&error))
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Begin(BeginError::Store(error)) => {
                let mut failure = Self::from(error);
                failure.message = format!("nothing was changed: {}", failure.message);
                failure
            }
            ApplyError::Begin(error) => Self::new(Exit::Failed, chain(&error)),
            ApplyError::Store(error) => error.into(),
            ApplyError::Pending { id, .. } => Self::new(Exit::Locked, error.to_string())
                .hint(format!("holdfast confirm {id}, from a new login, lets it last"))
                .hint(format!("holdfast rollback {id} takes it back at once")),
            ApplyError::Refused(ref obstacles) => {
                let hint = |each: &Obstacle| format!("holdfast explain {}", each.check);
                let hints = obstacles.iter().map(hint).collect();
                // What is wrong then is a file that a person wrote, as it is with a profile.
                let is_data = obstacles.iter().any(|each| each.check == "firewall.blocklists");
                let exit = if is_data { Exit::Data } else { Exit::Failed };
                Self { exit, message: chain(&error), hints }
            }
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::Held(_) | LockError::Read => {
                Self::new(Exit::Locked, error.to_string()).hint("try again when it has ended")
            }
            LockError::Host(host) if host.is_permission() => {
                Self::new(Exit::NotPermitted, chain(host)).hint("run it as root")
            }
            LockError::Host(host) => Self::new(Exit::Failed, chain(host)),
        }
    }
}

impl From<ConfirmError> for Failure {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Refused(refusal) => {
                Self::new(Exit::Failed, refusal.to_string()).hint(refusal.hint())
            }
            ConfirmError::Host(error) => error.into(),
            ConfirmError::Store(error) => error.into(),
        }
    }
}

impl From<EvidenceError> for Failure {
    fn from(error: EvidenceError) -> Self {
        let exit = match &error {
            EvidenceError::Busy { .. } => Exit::Locked,
            EvidenceError::Io { .. } | EvidenceError::NotAFile { .. } | EvidenceError::Store(_) => {
                Exit::Failed
            }
        };
        Self::new(exit, chain(&error))
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        if matches!(error, HostError::Busy(_)) {
            return Self::new(Exit::Locked, error.chain()).hint("try again when it has ended");
        }
        let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Failed };
        Self::new(exit, error.chain())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot write the output: {error}"))
    }
}
