//! What can go wrong at the door. Each error names the operation and the path, unit or program; the cause is its source.

use std::{io, net::SocketAddr, time::Duration};

/// A failure to read or change the host.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum HostError {
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: String, source: io::Error },
    #[error("{path} is {found}, where {wanted} is expected; move it away")]
    WrongKind { path: String, found: &'static str, wanted: &'static str },
    #[error("{path} is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("{path} is immutable; run: chattr -i {path}")]
    Immutable { path: String },
    #[error("{path} is on a file system that is mounted read-only")]
    ReadOnly { path: String },
    #[error("{path} is on a file system with only {free} bytes left, and {needed} are needed")]
    NoSpace { path: String, free: u64, needed: u64 },
    #[error("program {program} is not installed; run: apt-get install {package}")]
    NoProgram { program: String, package: &'static str },
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("{command} was still running after {limit:?} and was stopped")]
    Timeout { command: String, limit: Duration },
    #[error("{command} printed more than {limit} bytes")]
    TooMuchOutput { command: String, limit: usize },
    #[error("{command} failed with {status}: {stderr}")]
    Failed { command: String, status: String, stderr: String },
    #[error("{command} printed what is not JSON")]
    NotJson { command: String, source: serde_json::Error },
    #[error("cannot reach systemd over D-Bus; is dbus running? (systemctl status dbus)")]
    NoBus { source: Box<zbus::Error> },
    #[error("systemd did not answer {call} for {unit}")]
    Bus { call: &'static str, unit: String, source: Box<zbus::Error> },
    #[error("{verb} of {unit} ended as \"{result}\"; see: systemctl status {unit}")]
    Job { verb: &'static str, unit: String, result: String },
    #[error("cannot make a namespace")]
    Namespace { source: nix::Error },
    #[error("the kernel does not number its firewall rules for us")]
    Netlink { source: nix::Error },
    #[error("the kernel does not tell its routes")]
    Routes { source: nix::Error },
    #[error("no conversation with {to}")]
    Connect { to: SocketAddr, source: io::Error },
    #[error("refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Busy(String),
}

impl HostError {
    /// Names the operation and the path of an I/O error.
    pub fn file(action: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// Whether the kernel does not give a file that is there.
    pub fn is_unreadable(&self) -> bool {
        let Self::File { source, .. } = self else { return false };
        source.raw_os_error().is_some() && source.kind() != io::ErrorKind::NotFound
    }

    /// Whether there is no such file.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the cause is a lack of privilege.
    pub fn is_permission(&self) -> bool {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } => {
                source.kind() == io::ErrorKind::PermissionDenied
            }
            Self::Namespace { source } | Self::Netlink { source } | Self::Routes { source } => {
                *source == nix::Error::EPERM
            }
            Self::Failed { stderr, .. } => stderr.contains("Operation not permitted"),
            _ => false,
        }
    }

    /// Whether the same may work when it is tried again: a disk that is full, a bus that is not there yet.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::OutOfMemory
                    | io::ErrorKind::WouldBlock
                    | io::ErrorKind::ResourceBusy
            ),
            Self::ReadOnly { .. }
            | Self::Immutable { .. }
            | Self::NoSpace { .. }
            | Self::Timeout { .. }
            | Self::NoProgram { .. }
            | Self::Busy(_)
            | Self::NoBus { .. } => true,
            // What systemd itself says no to, it will say no to again.
            Self::Bus { source, .. } => !matches!(**source, zbus::Error::MethodError(..)),
            _ => false,
        }
    }

    /// Whether nobody listens at the address.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused)
    }

    /// The error and its causes on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes on one line, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        // zbus and io errors often repeat their source's words
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = source.source();
    }
    line
}
