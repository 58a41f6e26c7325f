//! Named sets: networks that have a name, sources that end, sources that are counted.
//!
//! They are written as nft's JSON, not with the typed schema: its elements carry a `null` for every time they do not
//! have, which nft refuses.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

use crate::{
    engine::document::UNTIL,
    host::nft::TABLE,
    profile::{
        schema::{Allow, Firewall},
        types::{Cidr, Moment, Rate, RateUnit},
    },
};

/// How many sources are counted at once. A flood from more (addresses can be made up) finds the set full, and then
/// the rule that drops does not match: who comes last is let in uncounted rather than shut out, because the last to
/// come may be the administrator. Kernels take some 200 bytes for each: 13 MB at most.
const COUNTED_SOURCES: u32 = 65_535;

/// How long a source is remembered at least, in seconds.
const SHORTEST_MEMORY_SECONDS: u32 = 60;

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Version {
    /// Both.
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The name of its header in rules.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// Its name among nft's protocol families.
    pub(super) const fn family(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }

    const fn set_type(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    /// Every address.
    fn all(self) -> IpNet {
        match self {
            Self::V4 => Ipv4Net::default().into(),
            Self::V6 => Ipv6Net::default().into(),
        }
    }
}

/// What a set is for: the first part of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `[[firewall.set]]`.
    Named,
    /// The sources of an allow that ends.
    Until,
    /// The sources whose connections are counted.
    Rate,
    /// The networks of a `[[firewall.block]]`.
    Block,
}

/// The name of a set.
pub(super) fn name(kind: Kind, of: &str, version: Version) -> String {
    let kind = match kind {
        Kind::Named => "set",
        Kind::Until => "until",
        Kind::Rate => "rate",
        Kind::Block => "block",
    };
    format!("{kind}-{of}-{}", version.suffix())
}

/// Sorted and joined, without what is in another.
pub(super) fn aggregated(networks: &[Cidr], version: Version) -> Vec<IpNet> {
    match version {
        Version::V4 => {
            let of = |cidr: &Cidr| if let IpNet::V4(net) = cidr.net() { Some(net) } else { None };
            let nets: Vec<Ipv4Net> = networks.iter().filter_map(of).collect();
            Ipv4Net::aggregate(&nets).into_iter().map(IpNet::V4).collect()
        }
        Version::V6 => {
            let of = |cidr: &Cidr| if let IpNet::V6(net) = cidr.net() { Some(net) } else { None };
            let nets: Vec<Ipv6Net> = networks.iter().filter_map(of).collect();
            Ipv6Net::aggregate(&nets).into_iter().map(IpNet::V6).collect()
        }
    }
}

/// The networks from which an allow lets in that ends: every address, where it names none.
pub(super) fn ending(section: &Firewall, allow: &Allow, version: Version) -> Vec<IpNet> {
    match section.networks(allow) {
        None => vec![version.all()],
        Some(networks) => aggregated(&networks, version),
    }
}

/// The commands that declare every set of a section. A set without an element of a version is not declared for it.
pub(super) fn declared(section: &Firewall) -> Vec<Value> {
    let mut sets = Vec::new();
    for version in Version::BOTH {
        for set in &section.set {
            let networks = aggregated(&set.elements, version);
            let elements: Vec<Value> = networks.iter().map(element).collect();
            sets.extend(interval(
                &name(Kind::Named, set.name.as_str(), version),
                version,
                elements,
            ));
        }
        for allow in &section.allow {
            let of = allow.name.as_str();
            if let Some(until) = allow.until {
                let networks = ending(section, allow, version);
                let elements: Vec<Value> =
                    networks.iter().map(|network| until_element(network, until)).collect();
                let set = interval(&name(Kind::Until, of, version), version, elements);
                sets.extend(set.map(|mut set| {
                    set["add"]["set"]["flags"] = json!(["interval", "timeout"]);
                    set
                }));
            }
            if let Some(rate) = allow.rate {
                sets.push(counting(&name(Kind::Rate, of, version), version, rate));
            }
        }
    }
    sets
}

fn interval(name: &str, version: Version, elements: Vec<Value>) -> Option<Value> {
    if elements.is_empty() {
        return None;
    }
    let mut set = declaration(name, version);
    set["flags"] = json!(["interval"]);
    set["elem"] = elements.into();
    Some(json!({"add": {"set": set}}))
}

/// A set that packets add to. Not said to be `dynamic`, which the JSON of nft 1.0.6 does not know: nft makes it so,
/// because a rule of the same transaction adds to it.
fn counting(name: &str, version: Version, rate: Rate) -> Value {
    let per = match rate.per {
        RateUnit::Second => 1,
        RateUnit::Minute => 60,
        RateUnit::Hour => 3_600,
        RateUnit::Day => 86_400,
    };
    let mut set = declaration(name, version);
    set["flags"] = json!(["timeout"]);
    // A source that has been away for as long as its count takes to fill again has nothing to be remembered for.
    set["timeout"] = per.max(SHORTEST_MEMORY_SECONDS).into();
    set["size"] = COUNTED_SOURCES.into();
    json!({"add": {"set": set}})
}

/// The beginning of every set.
pub(super) fn declaration(name: &str, version: Version) -> Value {
    json!({"family": TABLE[0], "table": TABLE[1], "name": name, "type": version.set_type()})
}

fn element(network: &IpNet) -> Value {
    if network.prefix_len() == network.max_prefix_len() {
        return network.addr().to_string().into();
    }
    json!({"prefix": {"addr": network.addr().to_string(), "len": network.prefix_len()}})
}

fn until_element(network: &IpNet, until: Moment) -> Value {
    json!({"elem": {"val": element(network), UNTIL: until.end().as_second()}})
}

/// The limit of one source, for the statement that adds it to a set. As many as the rate names may come at once.
pub(super) fn over(rate: Rate) -> Value {
    json!([{"limit": {"rate": rate.count, "per": rate.per.as_str(), "burst": rate.count, "inv": true}}])
}
