//! Sockets by protocol and state, from the kernel's socket diagnostics (`sock_diag(7)`) over netlink.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    libc::{AF_INET, AF_INET6},
    sys::socket::{MsgFlags, SockProtocol, recv, send},
};

use super::netlink::{self, DONE, ERROR, HEADER, attributes, message, u32_at};

/// TCP's state of a socket that waits for connections, as a mask of states.
pub(super) const LISTENING: u32 = 1 << 10;
/// That of a UDP socket that has no peer.
pub(super) const UNCONNECTED: u32 = 1 << 7;

/// `linux/netlink.h`, `linux/sock_diag.h`, `linux/inet_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const INET_DIAG_SKV6ONLY: u16 = 11;
const REQUEST: usize = 56;
/// `struct inet_diag_msg`, before its attributes; and where in it are the local port and address, the interface and the
/// inode.
const MESSAGE: usize = 72;
const PORT: usize = 4;
const ADDRESS: usize = 8;
const INTERFACE: usize = 4 + 36;
const INODE: usize = MESSAGE - 4;

/// A socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    /// The address it is bound to.
    pub(super) address: IpAddr,
    /// Its port.
    pub(super) port: u16,
    /// Whether one bound to `::` takes IPv6 only.
    pub(super) v6_only: Option<bool>,
    /// The index of the interface it is bound to.
    pub(super) interface: Option<u32>,
    /// The kernel's number for it; 0 when no process holds it.
    pub(super) inode: u64,
}

/// The sockets of a protocol that are in one of these states, IPv4 and IPv6, of this thread's network namespace.
///
/// # Errors
/// When the kernel does not tell all of them: its modules may be missing, and then nobody may load them.
pub(super) fn sockets(protocol: i32, states: u32) -> nix::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let socket = netlink::open(SockProtocol::NetlinkSockDiag)?;
        send(socket.as_raw_fd(), &request(family, protocol, states), MsgFlags::empty())?;
        read_all(&socket, &mut found)?;
    }
    Ok(found)
}

fn request(family: i32, protocol: i32, states: u32) -> Vec<u8> {
    let byte = |number: i32| u8::try_from(number).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    let length = u32::try_from(HEADER + REQUEST).unwrap_or_default();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port: one question to a socket
    bytes.extend([byte(family), byte(protocol), 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.resize(HEADER + REQUEST, 0); // no socket in particular
    bytes
}

fn read_all(socket: &OwnedFd, found: &mut Vec<Socket>) -> nix::Result<()> {
    // The kernel fills a page or two at a time.
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Err(nix::Error::EBADMSG);
        }
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(nix::Error::ENOTSUP),
                SOCK_DIAG_BY_FAMILY => found.push(told(body).ok_or(nix::Error::EBADMSG)?),
                _ => {}
            }
            rest = after;
        }
    }
}

/// What a message tells of a socket; `None` when it is cut short.
fn told(body: &[u8]) -> Option<Socket> {
    let (port, address) = (body.get(PORT..PORT + 2)?, body.get(ADDRESS..ADDRESS + 16)?);
    let address = if i32::from(*body.first()?) == AF_INET {
        IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&address[..4]).ok()?))
    } else {
        IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?))
    };
    let (interface, inode) = (u32_at(body, INTERFACE)?, u32_at(body, INODE)?);
    let v6_only = attributes(body.get(MESSAGE..)?)
        .filter(|(kind, _)| *kind == INET_DIAG_SKV6ONLY)
        .find_map(|(_, value)| value.first().map(|flag| *flag != 0));
    let interface = (interface != 0).then_some(interface);
    let port = u16::from_be_bytes(port.try_into().ok()?);
    Some(Socket { address, port, v6_only, interface, inode: inode.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_no_socket() {
        assert_eq!(told(&[0; MESSAGE - 1]), None);
        // an attribute that is cut short is none
        let odd = [[0; MESSAGE].to_vec(), vec![3, 0, 11, 0, 1]].concat();
        assert_eq!(told(&odd).map(|socket| (socket.v6_only, socket.interface)), Some((None, None)));
    }
}
