//! What leaves by the interfaces that lead outside: of this host in chain `output`, of its containers in chain `forward`,
//! and both judged alike in chain `leaving`.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nftables::{
    expr::Expression,
    schema::NfListObject,
    types::{NfChainPolicy, NfHook},
};

use super::{
    Facts,
    allows::ports,
    always,
    forward::{FORWARD, base_chain, named_chain},
    sets::{Version, aggregated},
    terms::{
        accept, any_of, count, ct_state, drop_it, field, ip_version, is, jump, leaves_by, number,
        prefix, protocol, rule, to_loopback,
    },
};
use crate::profile::schema::{EgressAllow, EgressDefault, Firewall, Forward};

/// The chain that sees what this host sends.
const OUTPUT: &str = "output";
/// The chain that judges what leaves.
pub(super) const LEAVING: &str = "leaving";

/// The comment of the rules that count what was not let out.
pub(super) const NOT_OUT: &str = "not let out";
/// The comment of the rules that count what was not let out to private addresses.
pub(super) const PRIVATE: &str = "not let out to private addresses";

/// Private, shared and link-local addresses: RFC 1918, RFC 6598, RFC 3927.
const PRIVATE_V4: [(u32, u8); 5] =
    [(0x0a00_0000, 8), (0x6440_0000, 10), (0xa9fe_0000, 16), (0xac10_0000, 12), (0xc0a8_0000, 16)];
/// Unique local and link-local addresses: RFC 4193, RFC 4291.
const PRIVATE_V6: [(u128, u8); 2] = [(0xfc00 << 112, 7), (0xfe80 << 112, 10)];

/// The numbers of ICMP for IPv4 and for IPv6 among the protocols of IP.
const ICMP: [u8; 2] = [1, 58];

/// The chains, and then their rules. Empty where the section says nothing of what leaves.
pub(super) fn chains_and_rules(
    section: &Firewall,
    facts: &Facts,
) -> (Vec<NfListObject<'static>>, Vec<NfListObject<'static>>) {
    let Some(egress) = &section.egress else { return (Vec::new(), Vec::new()) };
    let chains =
        vec![base_chain(OUTPUT, NfHook::Output, NfChainPolicy::Accept), named_chain(LEAVING)];
    let mut rules = vec![
        rule(OUTPUT, "this host to itself", vec![to_loopback(), accept()]),
        rule(
            OUTPUT,
            "answers, and what was let out before",
            vec![ct_state(&["established", "related"]), accept()],
        ),
    ];
    let mut from = vec![OUTPUT];
    // Where nothing is forwarded, or forwarding is left alone, nobody's packets but the host's are judged.
    if section.forward == Forward::Containers {
        from.push(FORWARD);
    }
    for chain in from {
        rules.extend(facts.outside.iter().map(|interface| {
            let statements = vec![leaves_by(interface), jump(LEAVING)];
            rule(chain, format!("to the outside by {interface}"), statements)
        }));
    }
    rules.extend(ICMP.map(|number| rule(LEAVING, "icmp", vec![protocol(number), accept()])));
    rules.extend(dhcp());
    rules.extend(egress.allow.iter().flat_map(allow));
    if egress.deny_private {
        for version in Version::BOTH {
            let to =
                is(field(version.header(), "daddr"), any_of(private(version).iter().map(network)));
            rules.push(rule(LEAVING, PRIVATE, vec![to, count(), drop_it()]));
        }
    }
    if egress.default == EgressDefault::Deny {
        rules.push(rule(LEAVING, NOT_OUT, vec![count()]));
        rules.extend(always::log_drops(section, LEAVING));
        rules.push(rule(LEAVING, "not allowed to leave", vec![drop_it()]));
    }
    (chains, rules)
}

/// The comment of an entry's rules; `status` counts by it.
pub(super) fn comment(allow: &EgressAllow) -> String {
    format!("let out {}", allow.name)
}

fn allow(allow: &EgressAllow) -> Vec<NfListObject<'static>> {
    let to: Vec<_> = match &allow.to {
        None => vec![None],
        Some(to) => Version::BOTH
            .into_iter()
            .filter_map(|version| {
                let networks = aggregated(to, version);
                let right = match networks.as_slice() {
                    [] => return None,
                    [one] if one.prefix_len() > 0 => network(one),
                    [_] => return Some(Some(ip_version(version.family()))),
                    several => any_of(several.iter().map(network)),
                };
                Some(Some(is(field(version.header(), "daddr"), right)))
            })
            .collect(),
    };
    let mut matches: Vec<_> = [("tcp", allow.tcp()), ("udp", allow.udp())]
        .into_iter()
        .filter_map(|(name, ranges)| ports(name, ranges))
        .map(Some)
        .collect();
    if matches.is_empty() {
        matches.push(None);
    }
    let mut rules = Vec::new();
    for to in &to {
        for ports in &matches {
            let matched = to.iter().chain(ports).cloned();
            let statements = matched.chain([count(), accept()]).collect();
            rules.push(rule(LEAVING, comment(allow), statements));
        }
    }
    rules
}

/// What a DHCP client sends; without it the host loses its address.
fn dhcp() -> Vec<NfListObject<'static>> {
    let client = |name: &'static str, from: u16, to: u16| {
        let port = |which, number_of_it| is(field("udp", which), number(number_of_it));
        rule(LEAVING, name, vec![port("sport", from), port("dport", to), accept()])
    };
    vec![client("dhcp of this host", 68, 67), client("dhcpv6 of this host", 546, 547)]
}

fn network(net: &IpNet) -> Expression<'static> {
    prefix(&net.network(), net.prefix_len())
}

/// The private networks of a version of IP.
fn private(version: Version) -> Vec<IpNet> {
    match version {
        Version::V4 => PRIVATE_V4
            .iter()
            .filter_map(|(bits, len)| Ipv4Net::new((*bits).into(), *len).ok())
            .map(IpNet::V4)
            .collect(),
        Version::V6 => PRIVATE_V6
            .iter()
            .filter_map(|(bits, len)| Ipv6Net::new((*bits).into(), *len).ok())
            .map(IpNet::V6)
            .collect(),
    }
}
