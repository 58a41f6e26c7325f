//! What the section lets in, as rules: the same words for the ports of this host and for those that containers publish.

use std::collections::BTreeMap;

use ipnet::IpNet;
use nftables::{
    schema::NfListObject,
    stmt::{Set, SetOp, Statement},
};
use serde_json::Value;

use super::{
    sets::{self, Version},
    terms::{
        INPUT, accept, any_of, count, drop_it, field, first_port, from_set, ip_version, is, masked,
        prefix, protocol, rule, run,
    },
};
use crate::profile::{
    schema::{Allow, Firewall, NamedSet},
    types::{Cidr, PortRange, Source},
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
        match self {
            Self::Input => ports(name, ranges).map(|matched| vec![matched]).into_iter().collect(),
            // One rule for each run: nft 1.0.6 lists a set of these ports as "invalid type", and cannot read that back.
            Self::Published => {
                let rule = |(first, last): &(u16, u16)| {
                    vec![protocol(number), is(first_port(), run(*first, *last))]
                };
                merged(ranges).iter().map(rule).collect()
            }
        }
    }
}

/// The comment of an allow's rules; `status` counts by it.
pub(super) fn comment(allow: &Allow) -> String {
    format!("allow {}", allow.name)
}

/// The comment of the rules that drop what comes too often.
pub(super) fn over_comment(allow: &Allow) -> String {
    format!("too often for {}", allow.name)
}

/// The rules of every allow. Those that let in without counting come first: a source that is named in one is not
/// counted by another that is for everybody.
pub(super) fn rules(section: &Firewall, at: At) -> Vec<NfListObject<'static>> {
    let (plain, counted): (Vec<_>, Vec<_>) =
        section.allow.iter().partition(|allow| allow.rate.is_none());
    plain.into_iter().chain(counted).flat_map(|allow| rules_of(section, allow, at)).collect()
}

/// One rule for each protocol, way to tell the source and, where there is no other way, run of ports; before it, if
/// sources are counted, those that drop what comes too often.
fn rules_of(section: &Firewall, allow: &Allow, at: At) -> Vec<NfListObject<'static>> {
    let mut rules = Vec::new();
    for (name, number, ports) in [("tcp", 6, allow.tcp()), ("udp", 17, allow.udp())] {
        for ports in at.ports(name, number, ports) {
            for source in sources(section, allow) {
                let matched: Vec<_> = source.matched.into_iter().chain(ports.clone()).collect();
                if allow.rate.is_some() {
                    rules.extend(source.versions.iter().map(|version| {
                        let counted = counted_in(allow, *version);
                        let statements = [matched.clone(), vec![counted, count(), drop_it()]];
                        rule(at.chain(), over_comment(allow), statements.concat())
                    }));
                }
                let statements = [matched, vec![count(), accept()]].concat();
                rules.push(rule(at.chain(), comment(allow), statements));
            }
        }
    }
    rules
}

/// Goes on if the source of the packet comes more often than the allow lets it. IPv6 sources are counted by /64, which
/// is what one customer has at least.
fn counted_in(allow: &Allow, version: Version) -> Statement<'static> {
    let source = field(version.header(), "saddr");
    let elem = match version {
        Version::V4 => source,
        Version::V6 => masked(source, "ffff:ffff:ffff:ffff::"),
    };
    let set = format!("@{}", sets::name(sets::Kind::Rate, allow.name.as_str(), version));
    Statement::Set(Set { op: SetOp::Update, elem, set: set.into() })
}

/// Puts the limits into the statements that add to a set: the typed schema has no place for them.
pub(super) fn put_limits(document: &mut Value, section: &Firewall) {
    let limits: BTreeMap<String, Value> = section
        .allow
        .iter()
        .filter_map(|allow| Some((allow, allow.rate?)))
        .flat_map(|(allow, rate)| {
            Version::BOTH.map(|version| {
                let set = sets::name(sets::Kind::Rate, allow.name.as_str(), version);
                (format!("@{set}"), sets::over(rate))
            })
        })
        .collect();
    let commands = document.get_mut("nftables").and_then(Value::as_array_mut).into_iter().flatten();
    let rules = commands.filter_map(|command| command.get_mut("add")?.get_mut("rule"));
    let statements = rules.filter_map(|rule| rule.get_mut("expr")?.as_array_mut()).flatten();
    for update in statements.filter_map(|statement| statement.get_mut("set")?.as_object_mut()) {
        let limit = update.get("set").and_then(Value::as_str).and_then(|set| limits.get(set));
        if let Some(limit) = limit.cloned() {
            update.insert("stmt".to_owned(), limit);
        }
    }
}

/// The match on the destination port; `None` when there is no port.
pub(super) fn ports(protocol: &'static str, ranges: &[PortRange]) -> Option<Statement<'static>> {
    let right = match merged(ranges).as_slice() {
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

/// A way to tell that a packet comes from where it may.
struct From {
    /// The match; `None`: it may come from anywhere.
    matched: Option<Statement<'static>>,
    /// Which versions of IP it may be of.
    versions: Vec<Version>,
}

/// One for each rule that is needed. Empty: from nowhere.
fn sources(section: &Firewall, allow: &Allow) -> Vec<From> {
    let one = |matched, version| From { matched: Some(matched), versions: vec![version] };
    let in_set = |kind, name: &str, version: Version| {
        let set = from_set(&sets::name(kind, name, version));
        one(is(field(version.header(), "saddr"), set), version)
    };
    if allow.until.is_some() {
        let versions = Version::BOTH.into_iter();
        let some = versions.filter(|version| !sets::ending(section, allow, *version).is_empty());
        return some.map(|v| in_set(sets::Kind::Until, allow.name.as_str(), v)).collect();
    }
    let Some(from) = &allow.from else {
        return vec![From { matched: None, versions: Version::BOTH.to_vec() }];
    };
    let network = |source: &Source| match source {
        Source::Network(network) => Some(*network),
        Source::Set(_) => None,
    };
    let networks: Vec<Cidr> = from.iter().filter_map(network).collect();
    let mut named: Vec<&NamedSet> = from
        .iter()
        .filter_map(|source| match source {
            Source::Set(name) => section.named_set(name),
            Source::Network(_) => None,
        })
        .collect();
    named.sort_by_key(|set| &set.name);
    named.dedup_by_key(|set| &set.name);
    let mut sources = Vec::new();
    for version in Version::BOTH {
        let matched = source_match(version, &sets::aggregated(&networks, version));
        sources.extend(matched.map(|matched| one(matched, version)));
        let some = named.iter().filter(|set| !sets::aggregated(&set.elements, version).is_empty());
        sources.extend(some.map(|set| in_set(sets::Kind::Named, set.name.as_str(), version)));
    }
    sources
}

/// `ip saddr …`; `None` when there is no network of this version.
fn source_match(version: Version, nets: &[IpNet]) -> Option<Statement<'static>> {
    let network = |net: &IpNet| prefix(&net.network(), net.prefix_len());
    let right = match nets {
        [] => return None,
        // Every address of this version.
        [all] if all.prefix_len() == 0 => return Some(ip_version(version.family())),
        [one] => network(one),
        several => any_of(several.iter().map(network)),
    };
    Some(is(field(version.header(), "saddr"), right))
}
