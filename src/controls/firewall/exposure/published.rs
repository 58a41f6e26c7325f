//! Ports of the host that lead into containers, in the words of those that lead them there.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use serde_json::Value;

use crate::host::endpoints::Transport;

/// Who leads a port of the host elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman, as root.
    Podman,
    /// A NAT rule of the kernel, whoever made it.
    Nat,
}

impl Engine {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nat => "nat",
        }
    }
}

/// A port of the host that leads into a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Publication {
    /// The protocol.
    pub transport: Transport,
    /// The first of the host's ports.
    pub first: u16,
    /// The last of them; mostly the first again.
    pub last: u16,
    /// The host's address; `None` for all of them.
    pub address: Option<IpAddr>,
    /// Who leads it there.
    pub engine: Engine,
    /// The container's name; for a NAT rule where it leads.
    pub container: String,
    /// The port inside, if it is told.
    pub inside: Option<u16>,
}

/// A container with an address of its own on a network outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Whose it is.
    pub engine: Engine,
    /// The container's name.
    pub container: String,
    /// The network.
    pub network: String,
    /// `macvlan` or `ipvlan`.
    pub driver: String,
    /// Its address there, as the engine has it.
    pub address: String,
}

/// What an engine says of its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Their published ports.
    pub(super) publications: Vec<Publication>,
    /// Those that stand beside this host rather than behind it.
    pub(super) apart: Vec<Apart>,
    /// Names by id.
    pub(super) names: BTreeMap<String, String>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn port(value: &Value, key: &str) -> Option<u16> {
    value.get(key).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok())
}

fn transport(name: &str) -> Option<Transport> {
    match name {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        _ => None,
    }
}

/// Bound to every address: engines leave it empty, or write the unspecified one of each family.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Docker's `/containers/json` and `/networks`. `None`: that is not what they look like.
pub(super) fn docker(containers: &Value, networks: &Value) -> Option<Told> {
    let drivers: BTreeMap<&str, &str> = networks
        .as_array()?
        .iter()
        .map(|network| (text(network, "Name"), text(network, "Driver")))
        .collect();
    let mut told = Told::default();
    for container in containers.as_array()? {
        let id = text(container, "Id").to_owned();
        let name = list(container, "Names").find_map(Value::as_str);
        let name = name.map_or(id.as_str(), |name| name.trim_start_matches('/')).to_owned();
        for each in list(container, "Ports") {
            // What is exposed and not published has no public port.
            let (Some(first), Some(transport)) =
                (port(each, "PublicPort"), transport(text(each, "Type")))
            else {
                continue;
            };
            told.publications.push(Publication {
                transport,
                first,
                last: first,
                address: address(text(each, "IP")),
                engine: Engine::Docker,
                container: name.clone(),
                inside: port(each, "PrivatePort"),
            });
        }
        let joined = container.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
        for (network, settings) in joined.into_iter().flatten() {
            let driver = drivers.get(network.as_str()).copied().unwrap_or_default();
            if matches!(driver, "macvlan" | "ipvlan") {
                told.apart.push(Apart {
                    engine: Engine::Docker,
                    container: name.clone(),
                    network: network.clone(),
                    driver: driver.to_owned(),
                    address: text(settings, "IPAddress").to_owned(),
                });
            }
        }
        told.names.insert(id, name);
    }
    Some(told)
}

/// `podman ps --format json`. `None`: that is not what it looks like.
pub(super) fn podman(containers: &Value) -> Option<Told> {
    let mut told = Told::default();
    // Without any container it says null.
    if containers.is_null() {
        return Some(told);
    }
    for container in containers.as_array()? {
        let id = text(container, "Id").to_owned();
        let name = list(container, "Names").find_map(Value::as_str);
        let name = name.unwrap_or(id.as_str()).to_owned();
        for each in list(container, "Ports") {
            let Some(first) = port(each, "host_port") else { continue };
            let last = first.saturating_add(port(each, "range").unwrap_or(1).max(1) - 1);
            for protocol in text(each, "protocol").split(',') {
                let Some(transport) = transport(protocol.trim()) else { continue };
                told.publications.push(Publication {
                    transport,
                    first,
                    last,
                    address: address(text(each, "host_ip")),
                    engine: Engine::Podman,
                    container: name.clone(),
                    inside: port(each, "container_port"),
                });
            }
        }
        told.names.insert(id, name);
    }
    Some(told)
}

/// The rules in nft's text listing (`-n`) that lead a port of the host elsewhere, whoever made them: what is to be had
/// when an engine does not answer. Rules on an address inside (hairpins) and other forms are passed over.
pub(super) fn nat(listing: &str) -> Vec<Publication> {
    let mut found: Vec<Publication> = listing.lines().filter_map(nat_rule).collect();
    found.sort();
    found.dedup();
    found
}

fn nat_rule(line: &str) -> Option<Publication> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let to = words.windows(2).position(|two| two == ["dnat", "to"]).map(|at| at + 2);
    // Podman's engine writes the family between the two.
    let to = to.or_else(|| {
        let three = |three: &[&str]| three[0] == "dnat" && three[2] == "to";
        words.windows(3).position(three).map(|at| at + 3)
    })?;
    let target = *words.get(to)?;
    let dport = words.iter().position(|word| *word == "dport")?;
    let transport = transport(words.get(dport.checked_sub(1)?)?)?;
    let ports = words.get(dport + 1)?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let daddr = words.iter().position(|word| *word == "daddr").and_then(|at| words.get(at + 1));
    Some(Publication {
        transport,
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        address: daddr.and_then(|text| text.parse().ok()),
        engine: Engine::Nat,
        container: target.to_owned(),
        inside: target.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
    })
}
