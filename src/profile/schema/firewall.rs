//! `[firewall]`: what may reach the host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{
    Cidr, ContainerName, FilePath, Interface, Port, PortRange, Rate, RateUnit, RuleName, UnitName,
};

/// What may reach this host over the network. Everything that is not allowed is dropped; answers
/// to what the host itself asked, loopback, and the ICMP that IP needs always pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// What is done about this section.
    #[serde(default)]
    pub mode: Mode,

    /// Whether and how often dropped packets are logged.
    #[serde(default)]
    pub log_drops: LogDrops,

    /// Whether the host answers ping (echo requests, at a limited rate).
    #[serde(default = "yes")]
    pub ping: bool,

    /// What is done about packets that go through this host to containers and virtual machines.
    #[serde(default)]
    pub forward: Forward,

    /// The interfaces that lead outside. What enters by them reaches a container only by a port
    /// that `allow` names. Absent: those of the default routes. They need not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Vec<Interface>>,

    /// What is let in. Absent or empty: nothing is, not even SSH.
    #[serde(default)]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub allow: Vec<Allow>,
}

impl Default for Firewall {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            log_drops: LogDrops::default(),
            ping: true,
            forward: Forward::default(),
            outside: None,
            allow: Vec::new(),
        }
    }
}

impl Firewall {
    /// The entries that let anybody reach one of these TCP ports, in order.
    pub fn allowing<'a>(&'a self, ports: &'a [Port]) -> impl Iterator<Item = &'a Allow> {
        self.allow.iter().filter(|allow| {
            allow.admits_somebody()
                && ports.iter().any(|port| allow.tcp().iter().any(|range| range.contains(*port)))
        })
    }
}

/// What is done about packets that go through this host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forward {
    /// A port means the same whether a process or a container serves it: what enters by an
    /// interface that leads outside reaches a container only by a published port that `allow`
    /// names. What containers send, and what goes between them, passes.
    #[default]
    Containers,
    /// Nothing goes through. For hosts without containers and virtual machines.
    Deny,
    /// Not managed: what goes through is the business of others.
    Off,
}

/// Whether and how often dropped packets are logged. The limit is on the log, never on the drop:
/// a port scan must not push everything else out of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogDrops {
    /// Whether dropped packets are logged at all.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// How often at most.
    #[serde(default = "LogDrops::default_rate")]
    pub rate: Rate,

    /// How many may come at once before the rate counts.
    #[serde(default = "LogDrops::default_burst")]
    #[schemars(range(min = 1))]
    pub burst: u32,
}

impl LogDrops {
    const fn default_rate() -> Rate {
        Rate { count: 10, per: RateUnit::Minute }
    }

    const fn default_burst() -> u32 {
        5 // nftables' own default
    }
}

impl Default for LogDrops {
    fn default() -> Self {
        Self { enabled: true, rate: Self::default_rate(), burst: Self::default_burst() }
    }
}

/// Something that is let in. At least one of `tcp` and `udp` is needed, or `from_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// What it is for; unique, and the key by which profiles that extend this one replace or
    /// remove it.
    pub name: RuleName,

    /// TCP ports. Absent or empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Vec<PortRange>>,

    /// UDP ports. Absent or empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Vec<PortRange>>,

    /// Where from. Absent: from anywhere. Empty: from nowhere, so nobody gets in by this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Cidr>>,

    /// The service whose own configuration says which ports and protocols these are, so that it
    /// and the firewall cannot disagree. Instead of `tcp` and `udp`. A configuration that is
    /// missing or cannot be read opens nothing and is a finding; a changed one is a finding until
    /// `holdfast apply` follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_config: Option<Service>,

    /// Its configuration file. Absent: the one its unit or container is started with, else where
    /// the service is usually configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<FilePath>,

    /// A file of `NAME=value` lines that is in the service's environment, such as the `.env` of
    /// Docker Compose. Variables of the environment win over the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<FilePath>,

    /// The unit that runs the service: its command line and environment count. Absent: the unit
    /// the service usually has, where there is one and no container is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,

    /// The Docker container that runs the service: its command line, environment and mounts count,
    /// and ports are those of the host that it publishes the service's ports at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,
}

/// A service whose configuration says where its peers reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// The sBTC signer: `signer.p2p.listen_on`.
    SbtcSigner,
    /// A Stacks node: `node.p2p_bind`.
    StacksNode,
    /// Bitcoin Core: `port`, `bind`, `whitebind` and `listen`.
    Bitcoind,
}

impl Service {
    /// Its name, as profiles have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SbtcSigner => "sbtc-signer",
            Self::StacksNode => "stacks-node",
            Self::Bitcoind => "bitcoind",
        }
    }
}

impl Allow {
    /// An allow of this name, that lets nothing in yet.
    pub fn named(name: RuleName) -> Self {
        Self {
            name,
            tcp: None,
            udp: None,
            from: None,
            from_config: None,
            config_file: None,
            env_file: None,
            unit: None,
            container: None,
        }
    }

    /// The TCP ports, none when absent.
    pub fn tcp(&self) -> &[PortRange] {
        self.tcp.as_deref().unwrap_or_default()
    }

    /// The UDP ports, none when absent.
    pub fn udp(&self) -> &[PortRange] {
        self.udp.as_deref().unwrap_or_default()
    }

    /// Whether there is any source it lets in.
    pub fn admits_somebody(&self) -> bool {
        self.from.as_ref().is_none_or(|from| !from.is_empty())
    }

    /// Whether some source is let in by both.
    pub fn shares_source_with(&self, other: &Self) -> bool {
        match (&self.from, &other.from) {
            (None, _) => other.admits_somebody(),
            (_, None) => self.admits_somebody(),
            (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| a.overlaps(*b))),
        }
    }
}

const fn yes() -> bool {
    true
}
