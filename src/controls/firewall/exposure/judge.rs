//! Whether the outside can reach what listens. Pure.

use std::net::IpAddr;

use super::{Apart, Exposed, Exposure, Force, Idle, Owner, Publication, Reach, What};
use crate::{
    controls::firewall::{
        Facts,
        model::{Admitting, Door, Model, Protocol, Via},
    },
    host::endpoints::{Endpoint, Transport},
    profile::{
        schema::{Firewall, Mode},
        types::{Port, PortRange},
    },
};

/// Processes of engines that hold a published port on the host's side. One line says it: the engine's.
const PROXIES: [&str; 4] = ["docker-proxy", "conmon", "rootlessport", "exe"];

/// IP protocols that a raw socket may be for: `icmp`, `ipv6-icmp`, and `raw`, which only sends.
const ICMP: u16 = 1;
const ICMPV6: u16 = 58;
const SENDS_ONLY: u16 = 255;

/// The ports at which DHCP clients hear their servers.
const DHCP_CLIENT: u16 = 68;
const DHCPV6_CLIENT: u16 = 546;

/// What was seen of the host.
#[derive(Debug, Clone, Default)]
pub(in crate::controls::firewall) struct Seen {
    /// The sockets, each with who serves there once that was looked up.
    pub(in crate::controls::firewall) sockets: Vec<(Endpoint, Option<Owner>)>,
    /// The name of each interface that a socket is bound to, by index.
    pub(in crate::controls::firewall) interfaces: Vec<(u32, String)>,
    /// Ports that lead into containers.
    pub(in crate::controls::firewall) publications: Vec<Publication>,
    /// Containers beside this host.
    pub(in crate::controls::firewall) apart: Vec<Apart>,
    /// What could not be asked, and why.
    pub(in crate::controls::firewall) unseen: Vec<String>,
}

/// Judges everything seen. `force` says whether the desired table is the live one.
pub(in crate::controls::firewall) fn judge(
    section: Option<&Firewall>,
    facts: &Facts,
    force: Force,
    seen: Seen,
    now: jiff::Timestamp,
) -> Exposure {
    let enforced = section.map(|section| Firewall { mode: Mode::Enforce, ..section.clone() });
    let rules = Rules {
        declared: Model::of(enforced.as_ref(), facts, now),
        model: Model::of(section, facts, now),
        force: force.clone(),
    };
    let Seen { sockets, interfaces, publications, apart, unseen } = seen;
    let interface = |index: u32| {
        let known = interfaces.iter().find(|(known, _)| *known == index);
        known.map_or_else(|| format!("interface {index}"), |(_, name)| name.clone())
    };
    let own = sockets.into_iter().filter(|(endpoint, owner)| {
        let is_proxy =
            owner.as_ref().is_some_and(|owner| PROXIES.contains(&owner.process.as_str()));
        !(is_proxy && publications.iter().any(|each| covers(each, endpoint)))
    });
    let mut ways: Vec<Exposed> = own
        .map(|(endpoint, owner)| {
            let name = endpoint.interface.map(interface);
            rules.socket(endpoint, owner, name)
        })
        .collect();
    ways.extend(publications.into_iter().map(|each| rules.published(each)));
    ways.sort_by_key(|way| (rank(way), sort_key(way)));
    let filled = section.map(|section| facts.services.fill(section));
    let idle = filled.map_or_else(Vec::new, |section| idle(&section, &ways));
    Exposure { force, ways, apart, idle, unseen }
}

/// Whether the section, enforced, judges what is forwarded to containers.
pub(in crate::controls::firewall) fn judges_forwarded(section: &Firewall, facts: &Facts) -> bool {
    let enforced = Firewall { mode: Mode::Enforce, ..section.clone() };
    let model = Model::of(Some(&enforced), facts, jiff::Timestamp::UNIX_EPOCH);
    model.admitting(Door { via: Via::Forward, ..Door::tcp(Port::SSH) }).is_ok()
}

fn rank(way: &Exposed) -> u8 {
    match (&way.reach, way.is_finding()) {
        (_, true) => 0,
        (Reach::Open(_) | Reach::Unproven(_), false) => 1,
        (Reach::Admitted(_), _) => 2,
        (Reach::Needed(_), _) => 3,
        (Reach::Denied, _) => 4,
        (Reach::Loopback, _) => 5,
    }
}

fn sort_key(way: &Exposed) -> (Transport, u16, Option<IpAddr>) {
    match &way.what {
        What::Socket(endpoint, _) => (endpoint.transport, endpoint.port, Some(endpoint.address)),
        What::Published(each) => (each.transport, each.first, each.address),
    }
}

/// Whether a socket is the host's side of a published port.
fn covers(publication: &Publication, endpoint: &Endpoint) -> bool {
    publication.transport == endpoint.transport
        && (publication.first..=publication.last).contains(&endpoint.port)
}

/// What the always-present rules let in for it, if it is for that.
pub(super) fn needed(endpoint: &Endpoint) -> Option<&'static str> {
    match (endpoint.transport, endpoint.port) {
        (Transport::Udp, DHCP_CLIENT | DHCPV6_CLIENT) => Some("answers of DHCP servers"),
        (Transport::Raw, ICMP | ICMPV6) => Some("the ICMP that IP needs"),
        (Transport::Raw, SENDS_ONLY) => Some("nothing: it only sends"),
        _ => None,
    }
}

struct Rules {
    /// The section as if it were enforced: what the profile declares.
    declared: Model,
    /// The section as it is.
    model: Model,
    force: Force,
}

impl Rules {
    fn socket(
        &self,
        endpoint: Endpoint,
        owner: Option<Owner>,
        interface: Option<String>,
    ) -> Exposed {
        let declared =
            self.declared_for(endpoint.transport, endpoint.port, endpoint.port, &|allow| {
                admits_family(allow, takes_v4(&endpoint), takes_v6(&endpoint))
            });
        let is_loopback =
            endpoint.address.to_canonical().is_loopback() || interface.as_deref() == Some("lo");
        let reach = if is_loopback {
            Reach::Loopback
        } else {
            let needed = needed(&endpoint);
            self.reach(endpoint.transport, endpoint.port, Via::Input, &declared, needed)
        };
        let filtered = self.filters(Via::Input);
        Exposed { what: What::Socket(endpoint, owner), interface, reach, filtered, declared }
    }

    fn published(&self, each: Publication) -> Exposed {
        let (v4, v6) = match each.address {
            None => (true, true),
            Some(address) => (address.is_ipv4(), address.is_ipv6()),
        };
        let admits = |allow: &Admitting| admits_family(allow, v4, v6);
        let declared = self.declared_for(each.transport, each.first, each.last, &admits);
        let reach = if each.address.is_some_and(|address| address.to_canonical().is_loopback()) {
            Reach::Loopback
        } else {
            self.reach(each.transport, each.first, Via::Forward, &declared, None)
        };
        let filtered = self.filters(Via::Forward);
        Exposed { what: What::Published(each), interface: None, reach, filtered, declared }
    }

    /// Whether the section judges this way when it is enforced.
    fn filters(&self, via: Via) -> bool {
        self.declared.admitting(Door { via, ..Door::tcp(Port::SSH) }).is_ok()
    }

    /// The entries that speak of every one of these ports.
    fn declared_for(
        &self,
        transport: Transport,
        first: u16,
        last: u16,
        admits: &dyn Fn(&Admitting) -> bool,
    ) -> Vec<Admitting> {
        let of = |port| -> Vec<Admitting> {
            let Some(door) = door(transport, port, Via::Input) else { return Vec::new() };
            let allows = self.declared.admitting(door).unwrap_or_default();
            allows.into_iter().filter(|allow| admits(allow)).cloned().collect()
        };
        let mut declared = of(first);
        for port in (first..=last).skip(1) {
            let here = of(port);
            declared.retain(|allow| here.contains(allow));
        }
        declared
    }

    fn reach(
        &self,
        transport: Transport,
        port: u16,
        via: Via,
        declared: &[Admitting],
        needed: Option<&'static str>,
    ) -> Reach {
        // Whether this way is judged at all does not depend on the port; other transports than TCP and UDP go the same.
        let way = door(transport, port, via).unwrap_or(Door { via, ..Door::tcp(Port::SSH) });
        if let Err(open) = self.model.admitting(way) {
            return Reach::Open(open.to_string());
        }
        match &self.force {
            Force::Yes => {}
            Force::No(why) => return Reach::Open(why.clone()),
            Force::Unproven(why) => return Reach::Unproven(why.clone()),
        }
        match (declared, needed) {
            ([], Some(needed)) => Reach::Needed(needed),
            ([], None) => Reach::Denied,
            (allows, _) => Reach::Admitted(allows.to_vec()),
        }
    }
}

/// What a client knocks at, where it is a door that the section can speak of.
fn door(transport: Transport, port: u16, via: Via) -> Option<Door> {
    let protocol = match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
        _ => return None,
    };
    Some(Door { protocol, port: Port::new(port)?, via })
}

fn takes_v4(endpoint: &Endpoint) -> bool {
    match endpoint.address.to_canonical() {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.is_unspecified() && endpoint.v6_only != Some(true),
    }
}

fn takes_v6(endpoint: &Endpoint) -> bool {
    endpoint.address.to_canonical().is_ipv6()
}

/// Whether an entry lets in anybody who speaks one of these versions of IP.
fn admits_family(allow: &Admitting, v4: bool, v6: bool) -> bool {
    allow.from.as_ref().is_none_or(|nets| {
        nets.iter().any(|net| match net {
            ipnet::IpNet::V4(_) => v4,
            ipnet::IpNet::V6(_) => v6,
        })
    })
}

/// The declared ports at which nobody outside would find anything.
fn idle(section: &Firewall, ways: &[Exposed]) -> Vec<Idle> {
    let serves = |transport: Transport, range: PortRange| {
        ways.iter().filter(|way| way.reach != Reach::Loopback).any(|way| match &way.what {
            What::Socket(endpoint, _) => {
                endpoint.transport == transport
                    && Port::new(endpoint.port).is_some_and(|port| range.contains(port))
            }
            What::Published(each) => {
                each.transport == transport
                    && each.first <= range.last().get()
                    && range.first().get() <= each.last
            }
        })
    };
    let mut idle = Vec::new();
    for allow in section.allow.iter().filter(|allow| section.admits_somebody(allow)) {
        for (protocol, transport, ranges) in
            [("tcp", Transport::Tcp, allow.tcp()), ("udp", Transport::Udp, allow.udp())]
        {
            let unserved = ranges.iter().filter(|range| !serves(transport, **range));
            idle.extend(unserved.map(|range| Idle {
                allow: allow.name.to_string(),
                protocol,
                ports: *range,
            }));
        }
    }
    idle
}
