//! `[firewall]`: what may reach the host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::profile::types::{
    Cidr, ContainerName, FilePath, Interface, Moment, Port, PortRange, Rate, RateUnit, RuleName,
    Source, UnitName,
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
    /// that `allow` names. Absent: those of the default routes, of whatever routing table. They need not exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Vec<Interface>>,

    /// Networks that have a name, for `from`. Absent or empty: there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub set: Vec<NamedSet>,

    /// Networks from which nothing is let in, whatever `allow` says: not even what belongs to
    /// connections that are open. DHCP and the ICMP that IP needs pass. Absent or empty: nobody is
    /// blocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub block: Vec<Block>,

    /// What may leave by the interfaces that lead outside. Absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,

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
            set: Vec::new(),
            block: Vec::new(),
            egress: None,
            allow: Vec::new(),
        }
    }
}

impl Firewall {
    /// The entries that let anybody reach one of these TCP ports, in order. Whether they have ended is not asked.
    pub fn allowing<'a>(&'a self, ports: &'a [Port]) -> impl Iterator<Item = &'a Allow> {
        self.allow.iter().filter(|allow| {
            self.admits_somebody(allow)
                && ports.iter().any(|port| allow.tcp().iter().any(|range| range.contains(*port)))
        })
    }

    /// Where an entry lets come from, with the networks of its sets. `None`: from anywhere. A set that is not there
    /// has none.
    pub fn networks(&self, allow: &Allow) -> Option<Vec<Cidr>> {
        let of = |source: &Source| match source {
            Source::Network(network) => vec![*network],
            Source::Set(name) => self.named_set(name).map_or_else(Vec::new, |s| s.elements.clone()),
        };
        Some(allow.from.as_ref()?.iter().flat_map(of).collect())
    }

    /// The set of this name.
    pub fn named_set(&self, name: &RuleName) -> Option<&NamedSet> {
        self.set.iter().find(|set| set.name == *name)
    }

    /// Whether there is any source that an entry lets in.
    pub fn admits_somebody(&self, allow: &Allow) -> bool {
        self.networks(allow).is_none_or(|networks| !networks.is_empty())
    }

    /// Whether some source is let in by both.
    pub fn share_a_source(&self, one: &Allow, other: &Allow) -> bool {
        match (self.networks(one), self.networks(other)) {
            (None, other) | (other, None) => other.is_none_or(|networks| !networks.is_empty()),
            (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| a.overlaps(*b))),
        }
    }
}

/// Networks that have a name: `from = ["@office"]` means all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSet {
    /// The name; unique among the sets, and the key by which profiles that extend this one replace
    /// or remove it.
    pub name: RuleName,

    /// The networks. Empty: none, so an entry that lets in nobody else lets in nobody.
    pub elements: Vec<Cidr>,
}

/// Networks from which nothing is let in: those of a file, those named here, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What it is for; unique among the blocks, and the key by which profiles that extend this one
    /// replace or remove it.
    pub name: RuleName,

    /// The absolute path of a file with one network or address on each line, up to 100,000 of
    /// them; what follows `#` or `;` is a comment. Root's, and writable by nobody else. It is
    /// read again at each look: another file is another ruleset, which takes an apply. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,

    /// Networks. Absent or empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Cidr>>,
}

/// What may leave by the interfaces that lead outside: new connections of this host, and of the
/// containers on it. Answers, loopback, ICMP and DHCP always pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// What happens to what no entry allows.
    #[serde(default)]
    pub default: EgressDefault,

    /// Whether new connections to private addresses (RFC 1918, 100.64.0.0/10, 169.254.0.0/16,
    /// `fc00::/7`, `fe80::/10`) are dropped unless an entry allows them. A Stacks node probes the
    /// addresses its peers tell it, private ones among them, and hosting companies take that for
    /// an attack. Name resolvers and time servers with private addresses need an entry.
    #[serde(default)]
    pub deny_private: bool,

    /// What may leave. Absent or empty: nothing but the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-holdfast-merge-key" = "name"))]
    pub allow: Vec<EgressAllow>,
}

impl Egress {
    /// Whether names can be resolved: everything leaves, or an entry lets UDP port 53 out.
    pub fn lets_names_be_resolved(&self) -> bool {
        let is_dns = |range: &PortRange| range.first().get() <= DNS && DNS <= range.last().get();
        let has_dns = |allow: &EgressAllow| {
            let goes_somewhere = allow.to.as_ref().is_none_or(|to| !to.is_empty());
            let any_port = allow.tcp().is_empty() && allow.udp().is_empty();
            goes_somewhere && (any_port || allow.udp().iter().any(is_dns))
        };
        self.default == EgressDefault::Allow || self.allow.iter().any(has_dns)
    }
}

/// Where resolvers answer.
const DNS: u16 = 53;

/// What happens to what leaves and no entry allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EgressDefault {
    /// It leaves.
    #[default]
    Allow,
    /// It is dropped.
    Deny,
}

/// Something that may leave. Without ports: everything to these networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EgressAllow {
    /// What it is for; unique among the entries of egress, and their key.
    pub name: RuleName,

    /// TCP ports. Absent or empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Vec<PortRange>>,

    /// UDP ports. Absent or empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Vec<PortRange>>,

    /// Where to. Absent: anywhere. Empty: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<Cidr>>,
}

impl EgressAllow {
    /// The TCP ports, none when absent.
    pub fn tcp(&self) -> &[PortRange] {
        self.tcp.as_deref().unwrap_or_default()
    }

    /// The UDP ports, none when absent.
    pub fn udp(&self) -> &[PortRange] {
        self.udp.as_deref().unwrap_or_default()
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

    /// Where from: networks, and `@` with the name of a set. Absent: from anywhere. Empty: from
    /// nowhere, so nobody gets in by this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<Source>>,

    /// When it ends, by itself: the kernel forgets the sources at that moment, whether or not
    /// holdfast runs then. Connections that are open go on. Absent: it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,

    /// How often one source may open a connection (an IPv6 source is its /64); what comes more
    /// often is dropped. As many as the rate names may come at once. Entries without a rate are
    /// asked first. Absent: as often as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,

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
            until: None,
            rate: None,
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
}

const fn yes() -> bool {
    true
}
