//! Which interfaces there are and where routes lead, as the kernel tells it over netlink (`rtnetlink(7)`).
//!
//! Not from `/proc/net/route`: it has the main table alone, and of a route over several interfaces the first. A second
//! uplink by a policy (`ip rule`), or beside the first one, is not in it.

use std::{net::IpAddr, os::fd::AsRawFd as _};

use nix::sys::socket::{MsgFlags, SockProtocol, recv, send};

use super::{
    HostError,
    netlink::{self, DONE, ERROR, HEADER, attributes, message, u32_at},
};

/// `linux/rtnetlink.h`, `linux/netlink.h`.
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;
/// `struct ifinfomsg` and `struct rtmsg`, before their attributes; `struct rtnexthop`.
const LINK: usize = 16;
const ROUTE: usize = 12;
const NEXT_HOP: usize = 8;
/// `IFLA_*` and `IFLA_INFO_KIND`.
const NAME: u16 = 3;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const KIND: u16 = 1;
/// `RTA_*`.
const TO: u16 = 1;
const OUT: u16 = 4;
const GATEWAY: u16 = 5;
const SEVERAL: u16 = 9;
const VIA: u16 = 18;
/// `RTN_UNICAST`: a route that leads to somebody else.
const UNICAST: u8 = 1;
/// What follows an attribute's type when it has attributes within.
const TYPE: u16 = 0x3fff;

/// What the kernel puts into one answer at most.
const ANSWER: usize = 32 << 10;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    /// The bridge (or bond) that it is a port of.
    master: Option<u32>,
    /// `bridge`, `veth`, `vlan`; empty for hardware.
    kind: String,
}

/// The names of the interfaces through which routes lead to everybody: of all routing tables, of IPv4 and IPv6, sorted.
/// Halves count too (`0.0.0.0/1`, `2000::/3`): VPN clients write the default route so.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn to_everybody() -> Result<Vec<String>, HostError> {
    let asked = || -> nix::Result<Vec<String>> {
        let mut indices: Vec<u32> = Vec::new();
        let request = message_of(GET_ROUTE, REQUEST | DUMP, &[0; ROUTE]);
        ask(&request, |kind, body| {
            if kind == NEW_ROUTE && is_to_everybody(body) {
                indices.extend(ways(body));
            }
        })?;
        let links = if indices.is_empty() { Vec::new() } else { links()? };
        let is_one = |link: &Link| indices.contains(&link.index);
        let mut names: Vec<String> =
            links.into_iter().filter(is_one).map(|link| link.name).collect();
        names.sort();
        Ok(names)
    };
    asked().map_err(|source| HostError::Routes { source })
}

/// The bridge on which an address is, if all its ports are ends of containers' or guests' interfaces: whoever has that
/// address is on this machine. `None` for others: for one behind a gateway, as where this host is a container itself and
/// its own way out is a port of the bridge, and for a link-local address, which every interface may lead to.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn inner_bridge_to(address: IpAddr) -> Result<Option<String>, HostError> {
    if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return Ok(None);
    }
    let asked = || -> nix::Result<Option<String>> {
        let mut found = Vec::new();
        ask(&question(address), |kind, body| {
            if kind == NEW_ROUTE && !has_gateway(body) {
                found.extend(ways(body));
            }
        })?;
        let links = links()?;
        Ok(found.first().and_then(|index| inner_bridge(&links, *index)))
    };
    match asked() {
        Ok(found) => Ok(found),
        // There is no route to it (any more).
        Err(nix::Error::ENETUNREACH | nix::Error::EHOSTUNREACH) => Ok(None),
        Err(source) => Err(HostError::Routes { source }),
    }
}

fn inner_bridge(links: &[Link], index: u32) -> Option<String> {
    let bridge = links.iter().find(|link| link.index == index && link.kind == "bridge")?;
    let mut ports = links.iter().filter(|link| link.master == Some(index));
    let is_inner = |port: &Link| matches!(port.kind.as_str(), "veth" | "tun" | "dummy");
    ports.all(is_inner).then(|| bridge.name.clone())
}

fn links() -> nix::Result<Vec<Link>> {
    let mut links = Vec::new();
    ask(&message_of(GET_LINK, REQUEST | DUMP, &[0; LINK]), |kind, body| {
        links.extend(Some(body).filter(|_| kind == NEW_LINK).and_then(link));
    })?;
    Ok(links)
}

/// The way to one address.
fn question(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (nix::libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (nix::libc::AF_INET6, address.octets().to_vec()),
    };
    let byte = |number: usize| u8::try_from(number).unwrap_or_default();
    let mut body = vec![u8::try_from(family).unwrap_or_default(), byte(bytes.len() * 8)];
    body.resize(ROUTE, 0);
    body.extend(u16::from(byte(bytes.len() + 4)).to_ne_bytes());
    body.extend(TO.to_ne_bytes());
    body.extend(bytes);
    message_of(GET_ROUTE, REQUEST, &body)
}

fn message_of(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence and port: one question to a socket.
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// Asks, and hands on every message of the answer: its type and its body.
fn ask(request: &[u8], mut take: impl FnMut(u16, &[u8])) -> nix::Result<()> {
    let is_dump = request.get(6..8).is_some_and(|flags| flags == (REQUEST | DUMP).to_ne_bytes());
    let socket = netlink::open(SockProtocol::NetlinkRoute)?;
    send(socket.as_raw_fd(), request, MsgFlags::empty())?;
    let mut buffer = vec![0; ANSWER];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => {
                    let code = u32_at(body, 0).map_or(0, u32::cast_signed);
                    return Err(nix::Error::from_raw(code.saturating_neg()));
                }
                _ => take(kind, body),
            }
            rest = after;
        }
        if !is_dump {
            return Ok(());
        }
    }
}

fn link(body: &[u8]) -> Option<Link> {
    let mut link =
        Link { index: u32_at(body, 4)?, name: String::new(), master: None, kind: String::new() };
    for (kind, value) in attributes(body.get(LINK..)?) {
        match kind & TYPE {
            NAME => link.name = text(value),
            MASTER => link.master = u32_at(value, 0),
            LINK_INFO => {
                let kind = attributes(value).find(|(kind, _)| kind & TYPE == KIND);
                link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

/// A string of the kernel's, without the zero at its end.
fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Whether a route leads to all addresses or a great part of them.
fn is_to_everybody(route: &[u8]) -> bool {
    let [family, length, _, _, _, _, _, kind, ..] = *route else { return false };
    let most = if i32::from(family) == nix::libc::AF_INET6 { 3 } else { 1 };
    let is_ip = [nix::libc::AF_INET, nix::libc::AF_INET6].contains(&i32::from(family));
    is_ip && kind == UNICAST && length <= most
}

/// Whether a route leads to somebody who sends packets on.
fn has_gateway(route: &[u8]) -> bool {
    let mut attributes = attributes(route.get(ROUTE..).unwrap_or_default());
    attributes.any(|(kind, _)| [GATEWAY, VIA].contains(&(kind & TYPE)))
}

/// The interfaces through which a route leads.
fn ways(route: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    for (kind, value) in attributes(route.get(ROUTE..).unwrap_or_default()) {
        match kind & TYPE {
            OUT => found.extend(u32_at(value, 0)),
            SEVERAL => {
                let mut rest = value;
                while let (Some(length), Some(index)) = (rest.first_chunk::<2>(), u32_at(rest, 4)) {
                    found.push(index);
                    let length = usize::from(u16::from_ne_bytes(*length)).max(NEXT_HOP);
                    rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route to a network of this length, of this kind, with these attributes.
    fn route(family: i32, length: u8, kind: u8, attributes: &[u8]) -> Vec<u8> {
        let mut body = vec![u8::try_from(family).unwrap(), length, 0, 0, 254, 3, 0, kind];
        body.extend([0; 4]);
        body.extend(attributes);
        body
    }

    #[test]
    fn routes_to_everybody_are_told_from_others() {
        let is = |family, length, kind| is_to_everybody(&route(family, length, kind, &[]));
        let (v4, v6) = (nix::libc::AF_INET, nix::libc::AF_INET6);
        assert!(is(v4, 0, UNICAST) && is(v4, 1, UNICAST) && !is(v4, 2, UNICAST));
        assert!(is(v6, 0, UNICAST) && is(v6, 3, UNICAST) && !is(v6, 4, UNICAST));
        assert!(!is(v4, 0, 7), "unreachable");
        assert!(!is(v6, 0, 2), "this host itself");
        assert!(!is(nix::libc::AF_MPLS, 0, UNICAST));
        assert!(!is_to_everybody(&[2, 0, 0]), "cut short");
    }

    #[test]
    fn a_route_leads_through_one_interface_or_several() {
        let one = [8, 0, 4, 0, 7, 0, 0, 0];
        assert_eq!(ways(&route(2, 0, UNICAST, &one)), [7]);
        assert!(!has_gateway(&route(2, 32, UNICAST, &one)));
        let behind = [&one[..], &[8, 0, 5, 0, 10, 0, 0, 2]].concat();
        assert!(has_gateway(&route(2, 32, UNICAST, &behind)));
        let hop = |index: u8| [16, 0, 0, 0, index, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 2];
        let several = [&[36, 0, 9, 0][..], &hop(3), &hop(4)].concat();
        assert_eq!(ways(&route(2, 0, UNICAST, &several)), [3, 4]);
        assert!(ways(&route(2, 0, UNICAST, &several[..20])).is_empty(), "cut short");
        assert!(ways(&[]).is_empty());
        // A length of nothing at all is no way to stay here for ever.
        let odd = [12, 0, 9, 0, 0, 0, 0, 0, 5, 0, 0, 0];
        assert_eq!(ways(&route(2, 0, UNICAST, &odd)), [5]);
    }

    #[test]
    fn a_bridge_of_containers_is_told_from_one_with_a_way_out() {
        let link = |index, kind: &str, master| Link {
            index,
            name: format!("if{index}"),
            master,
            kind: kind.to_owned(),
        };
        let links = [
            link(1, "", None),
            link(2, "bridge", None),
            link(3, "veth", Some(2)),
            link(4, "tun", Some(2)),
            link(5, "bridge", None),
            link(6, "veth", Some(5)),
            link(7, "vlan", Some(5)),
            link(8, "veth", None),
            link(9, "bridge", None),
        ];
        let found = |index| inner_bridge(&links, index);
        assert_eq!(found(2).as_deref(), Some("if2"));
        assert_eq!(found(9).as_deref(), Some("if9"), "its container has just gone");
        for other in [1, 5, 8, 77] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn the_kernel_answers() {
        assert!(links().unwrap().iter().any(|link| link.name == "lo"));
        assert_eq!(inner_bridge_to(IpAddr::from([127, 0, 0, 1])).unwrap(), None);
        to_everybody().unwrap();
    }
}
