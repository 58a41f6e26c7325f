//! What the section lets in, as rules: the same words for the ports of this host and for those that containers publish.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nftables::{schema::NfListObject, stmt::Statement};

use super::terms::{
    INPUT, accept, any_of, count, field, first_port, ip_version, is, prefix, protocol, rule, run,
};
use crate::profile::{
    schema::{Allow, Firewall},
    types::{Cidr, PortRange},
};

/// The chain that judges what is sent to a port that a container publishes.
pub(super) const PUBLISHED: &str = "published";

/// Where a packet is met, which decides how its port is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// In chain `input`, with the port it was sent to.
    Input,
    /// On its way to a container. An engine has replaced its destination by then; what was asked for is the port that
    /// connection tracking remembers.
    Published,
}

impl At {
    const fn chain(self) -> &'static str {
        match self {
            Self::Input => INPUT,
            Self::Published => PUBLISHED,
        }
    }

    /// The matches on the port, one for each rule that is needed.
    fn ports(
        self,
        name: &'static str,
        number: u8,
        ranges: &[PortRange],
    ) -> Vec<Vec<Statement<'static>>> {
        let runs = merged(ranges);
        match self {
            Self::Input => {
                let right = match runs.as_slice() {
                    [] => return Vec::new(),
                    [(first, last)] => run(*first, *last),
                    several => any_of(several.iter().map(|(first, last)| run(*first, *last))),
                };
                vec![vec![is(field(name, "dport"), right)]]
            }
            // One rule for each run: nft 1.0.6 lists a set of these ports as "invalid type", and cannot read that back.
            Self::Published => {
                let rule = |(first, last): &(u16, u16)| {
                    vec![protocol(number), is(first_port(), run(*first, *last))]
                };
                runs.iter().map(rule).collect()
            }
        }
    }
}

/// The comment of an allow's rules; `status` counts by it.
pub(super) fn comment(allow: &Allow) -> String {
    format!("allow {}", allow.name)
}

/// The rules of every allow.
pub(super) fn rules(section: &Firewall, at: At) -> Vec<NfListObject<'static>> {
    section.allow.iter().flat_map(|allow| rules_of(allow, at)).collect()
}

/// One rule for each protocol, version of IP and, where there is no other way, run of ports.
fn rules_of(allow: &Allow, at: At) -> Vec<NfListObject<'static>> {
    let mut rules = Vec::new();
    for (name, number, ports) in [("tcp", 6, allow.tcp()), ("udp", 17, allow.udp())] {
        for ports in at.ports(name, number, ports) {
            for source in sources(allow.from.as_deref()) {
                let statements =
                    source.into_iter().chain(ports.clone()).chain([count(), accept()]).collect();
                rules.push(rule(at.chain(), comment(allow), statements));
            }
        }
    }
    rules
}

/// Sorted, without overlaps, neighbours joined.
fn merged(ports: &[PortRange]) -> Vec<(u16, u16)> {
    let mut sorted: Vec<_> = ports.iter().map(|p| (p.first().get(), p.last().get())).collect();
    sorted.sort_unstable();
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match runs.last_mut() {
            Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
            _ => runs.push((first, last)),
        }
    }
    runs
}

/// The matches on the source, one for each rule that is needed. `[None]`: from anywhere. Empty: from nowhere.
fn sources(from: Option<&[Cidr]>) -> Vec<Option<Statement<'static>>> {
    let Some(from) = from else { return vec![None] };
    let (mut v4, mut v6): (Vec<Ipv4Net>, Vec<Ipv6Net>) = (Vec::new(), Vec::new());
    for cidr in from {
        match cidr.net() {
            IpNet::V4(net) => v4.push(net),
            IpNet::V6(net) => v6.push(net),
        }
    }
    let v4 = Ipv4Net::aggregate(&v4).into_iter().map(IpNet::V4).collect::<Vec<_>>();
    let v6 = Ipv6Net::aggregate(&v6).into_iter().map(IpNet::V6).collect::<Vec<_>>();
    [source_match("ip", "ipv4", &v4), source_match("ip6", "ipv6", &v6)]
        .into_iter()
        .flatten()
        .map(Some)
        .collect()
}

/// `ip saddr …`; `None` when there is no network of this version.
fn source_match(
    protocol: &'static str,
    version: &'static str,
    nets: &[IpNet],
) -> Option<Statement<'static>> {
    let network = |net: &IpNet| prefix(&net.network(), net.prefix_len());
    let right = match nets {
        [] => return None,
        // Every address of this version.
        [all] if all.prefix_len() == 0 => return Some(ip_version(version)),
        [one] => network(one),
        several => any_of(several.iter().map(network)),
    };
    Some(is(field(protocol, "saddr"), right))
}
