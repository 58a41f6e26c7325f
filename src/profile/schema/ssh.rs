//! `[ssh]`: how sshd admits people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{Algorithm, Cidr, KeysFile, MaxStartups, Port, TimeSpan, UserName};

/// How sshd admits people. Each key is one of `sshd_config(5)` and is judged by what sshd really
/// does (`sshd -T`), not by what a file says; an absent one is left as the host has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// The ports sshd listens on (`Port`). The firewall does not follow by itself: allow them there
    /// too. Absent: not managed, and taken to be 22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ports: Option<Vec<Port>>,

    /// Whether and how root may log in (`PermitRootLogin`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_root_login: Option<PermitRootLogin>,

    /// Whether a password is enough to log in (`PasswordAuthentication`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_authentication: Option<bool>,

    /// Whether PAM may ask questions, a password for one (`KbdInteractiveAuthentication`). With
    /// `password_authentication` off and this on, passwords still work. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard_interactive_authentication: Option<bool>,

    /// Whether public keys are accepted (`PubkeyAuthentication`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubkey_authentication: Option<bool>,

    /// Whether an empty password is a password (`PermitEmptyPasswords`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_empty_passwords: Option<bool>,

    /// Whether graphical programs may be shown on the client (`X11Forwarding`). Absent: not
    /// managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x11_forwarding: Option<bool>,

    /// Whether a client's agent may be used from this host (`AllowAgentForwarding`). Absent: not
    /// managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_agent_forwarding: Option<bool>,

    /// Which TCP connections may be forwarded (`AllowTcpForwarding`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_tcp_forwarding: Option<TcpForwarding>,

    /// Whether other hosts may use forwarded ports (`GatewayPorts`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ports: Option<GatewayPorts>,

    /// Whether network tunnels may be opened (`PermitTunnel`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_tunnel: Option<PermitTunnel>,

    /// Whether a user's own files may set environment variables (`PermitUserEnvironment`). Absent:
    /// not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_user_environment: Option<bool>,

    /// How many attempts one connection gets (`MaxAuthTries`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_auth_tries: Option<u32>,

    /// How many sessions one connection may open (`MaxSessions`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_sessions: Option<u32>,

    /// How long logging in may take (`LoginGraceTime`); `0s` means for ever. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_grace_time: Option<TimeSpan>,

    /// After how long a silence the client is asked whether it is there (`ClientAliveInterval`);
    /// `0s` means never. Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_alive_interval: Option<TimeSpan>,

    /// How many of these questions may go unanswered (`ClientAliveCountMax`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub client_alive_count_max: Option<u32>,

    /// How many connections may be waiting to log in (`MaxStartups`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_startups: Option<MaxStartups>,

    /// How much sshd logs (`LogLevel`). Anything above `VERBOSE` logs what users do. Absent: not
    /// managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,

    /// Where a user's public keys are (`AuthorizedKeysFile`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub authorized_keys_file: Option<Vec<KeysFile>>,

    /// Who may log in (`AllowUsers`). Absent: not managed. Empty: nobody is named, and sshd takes
    /// that to mean everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_users: Option<Vec<UserName>>,

    /// Members of which groups may log in (`AllowGroups`). Absent: not managed. Empty: no group is
    /// named, and sshd takes that to mean everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_groups: Option<Vec<UserName>>,

    /// The ciphers offered, the best first (`Ciphers`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ciphers: Option<Vec<Algorithm>>,

    /// The message authentication codes offered, the best first (`MACs`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub macs: Option<Vec<Algorithm>>,

    /// The key exchanges offered, the best first (`KexAlgorithms`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub kex_algorithms: Option<Vec<Algorithm>>,

    /// The kinds of host key offered, the best first (`HostKeyAlgorithms`). Absent: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub host_key_algorithms: Option<Vec<Algorithm>>,

    /// The kinds of public key accepted from users (`PubkeyAcceptedAlgorithms`). Absent: not
    /// managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub pubkey_accepted_algorithms: Option<Vec<Algorithm>>,

    /// Whose logins are tried when sshd's effective configuration is read, because `Match` blocks
    /// change it from one to the next. Absent: every account with a login shell, from a sample
    /// address of each source the firewall allows. Empty: only the configuration before any
    /// `Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<Vec<Admitted>>,
}

/// A login that is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// Who logs in.
    pub user: UserName,

    /// Where from; of a network, its first address.
    pub from: Cidr,
}

/// Whether and how root may log in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PermitRootLogin {
    /// Not at all.
    No,
    /// With a key only.
    ProhibitPassword,
    /// With a key that is tied to one command only.
    ForcedCommandsOnly,
    /// As everybody else.
    Yes,
}

impl PermitRootLogin {
    /// As sshd has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::ProhibitPassword => "prohibit-password",
            Self::ForcedCommandsOnly => "forced-commands-only",
            Self::Yes => "yes",
        }
    }
}

/// Which TCP connections may be forwarded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum TcpForwarding {
    /// None.
    No,
    /// All.
    Yes,
    /// Those from the client to somewhere behind this host.
    Local,
    /// Those from this host to somewhere behind the client.
    Remote,
}

impl TcpForwarding {
    /// As sshd has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// Whether other hosts may use forwarded ports.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayPorts {
    /// This host only.
    No,
    /// Everybody.
    Yes,
    /// As the client asks.
    Clientspecified,
}

impl GatewayPorts {
    /// As sshd has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Clientspecified => "clientspecified",
        }
    }
}

/// Whether network tunnels may be opened.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PermitTunnel {
    /// None.
    No,
    /// All.
    Yes,
    /// Of IP packets.
    PointToPoint,
    /// Of Ethernet frames.
    Ethernet,
}

impl PermitTunnel {
    /// As sshd has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::PointToPoint => "point-to-point",
            Self::Ethernet => "ethernet",
        }
    }
}

/// How much sshd logs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Nothing.
    Quiet,
    /// What makes it stop.
    Fatal,
    /// Errors.
    Error,
    /// Logins and failures.
    Info,
    /// The fingerprints of keys too.
    Verbose,
    /// What users do.
    Debug,
    /// The same as `DEBUG`.
    Debug1,
    /// More of it.
    Debug2,
    /// All of it.
    Debug3,
}

impl LogLevel {
    /// As sshd has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "QUIET",
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Info => "INFO",
            Self::Verbose => "VERBOSE",
            Self::Debug => "DEBUG",
            Self::Debug1 => "DEBUG1",
            Self::Debug2 => "DEBUG2",
            Self::Debug3 => "DEBUG3",
        }
    }
}
