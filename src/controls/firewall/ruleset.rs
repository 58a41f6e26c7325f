//! The desired table, as nft's JSON commands: one transaction that replaces the old table by the new one.
//!
//! Equal sections give equal bytes. Ports and networks are sorted and merged, so that a profile that lists them in
//! another order, or twice, wants the same table.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nftables::{
    batch::Batch,
    schema::{Chain, NfListObject, Table},
    stmt::Statement,
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use serde_json::Value;

use super::{
    Facts, always, break_glass,
    terms::{INPUT, accept, any_of, at_most, count, field, ip_version, is, log, prefix, rule, run},
};
use crate::{
    host::nft::TABLE,
    profile::{
        schema::{Allow, Firewall},
        types::{Cidr, PortRange},
    },
};

/// What the kernel's log begins each dropped packet with.
const LOG_PREFIX: &str = "holdfast drop: ";

/// The hook's usual place, `filter`.
const PRIORITY: i32 = 0;

/// The commands that make the table what the section wants, for `nft -j -f -`.
///
/// # Errors
/// When the typed document cannot be put into JSON, which is a mistake of this program.
pub fn document(section: &Firewall, _facts: &Facts) -> Result<Value, serde_json::Error> {
    let mut batch = Batch::new();
    // `destroy table` would do in newer versions; nft 1.0.6 does not know it, so: see that it is there, then delete it.
    batch.add(table());
    batch.delete(table());
    batch.add(table());
    batch.add(NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        name: INPUT.into(),
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Input),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Drop),
        ..Chain::default()
    }));
    batch.add(break_glass::set());
    let rules = always::first()
        .into_iter()
        .chain([break_glass::let_in()])
        .chain(always::icmp(section.ping))
        .chain([always::invalid()])
        .chain(always::dhcp())
        .chain(section.allow.iter().flat_map(allow))
        .chain(last(section));
    rules.for_each(|rule| batch.add(rule));
    serde_json::to_value(batch.to_nftables())
}

fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: NfFamily::INet, name: TABLE[1].into(), handle: None })
}

/// What happens to the rest, before the policy drops it.
fn last(section: &Firewall) -> Vec<NfListObject<'static>> {
    let mut rules = vec![rule(always::DROPPED, vec![count()])];
    let drops = &section.log_drops;
    if drops.enabled {
        let statements = vec![at_most(drops.rate, drops.burst), log(LOG_PREFIX)];
        rules.push(rule("log of what is not let in", statements));
    }
    rules
}

/// One rule for each protocol and version of IP that an allow speaks of.
fn allow(allow: &Allow) -> Vec<NfListObject<'static>> {
    let mut rules = Vec::new();
    for (protocol, ports) in [("tcp", allow.tcp()), ("udp", allow.udp())] {
        let Some(ports) = port_match(protocol, ports) else { continue };
        for source in sources(allow.from.as_deref()) {
            let statements = source.into_iter().chain([ports.clone(), accept()]).collect();
            rules.push(rule(format!("allow {}", allow.name), statements));
        }
    }
    rules
}

/// `tcp dport …`; `None` when there is no port.
fn port_match(protocol: &'static str, ports: &[PortRange]) -> Option<Statement<'static>> {
    let runs = merged(ports);
    let right = match runs.as_slice() {
        [] => return None,
        [(first, last)] => run(*first, *last),
        several => any_of(several.iter().map(|(first, last)| run(*first, *last))),
    };
    Some(is(field(protocol, "dport"), right))
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
