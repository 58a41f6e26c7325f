//! Every socket of this network namespace at which somebody may knock, as the kernel lists them in `/proc/net`.
//!
//! Two things are not in there and are asked of the kernel's socket diagnostics (`sock_diag(7)`) over netlink: whether a
//! socket bound to `::` takes IPv4 too, and the interface it is bound to. Where that cannot be had (`None`), the wider
//! meaning is to be assumed.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{MsgFlags, SockProtocol, recv, send};
use serde::Serialize;

use super::{
    Files, HostError,
    netlink::{self, DONE, ERROR, HEADER, attributes, message, u32_at},
};

/// How packets come to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// SCTP.
    Sctp,
    /// Packets of one IP protocol as they are.
    Raw,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Sctp => "sctp",
            Self::Raw => "raw",
        })
    }
}

/// A socket that waits for connections, or for datagrams from anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// How packets come to it.
    pub transport: Transport,
    /// Its port; the number of the IP protocol where it is raw.
    pub port: u16,
    /// The address it is bound to; unspecified for all of them.
    pub address: IpAddr,
    /// Whether a socket bound to `::` takes IPv6 only; `None` when that is not known or means nothing.
    pub v6_only: Option<bool>,
    /// The index of the interface it is bound to, if it is known to be bound to one.
    pub interface: Option<u32>,
    /// The kernel's number for it; 0 when no process holds it.
    pub inode: u64,
}

/// The lists of this thread's network: the process's own may be another one.
const LISTS_AT: &str = "/proc/thread-self/net";

/// A file there and what it lists: the state in hex that sockets are in to which anybody may speak.
const LISTS: [(&str, Transport, &str); 8] = [
    ("tcp", Transport::Tcp, "0A"),
    ("tcp6", Transport::Tcp, "0A"),
    ("udp", Transport::Udp, "07"),
    ("udp6", Transport::Udp, "07"),
    ("udplite", Transport::UdpLite, "07"),
    ("udplite6", Transport::UdpLite, "07"),
    ("raw", Transport::Raw, "07"),
    ("raw6", Transport::Raw, "07"),
];

/// Every such socket, sorted.
pub(super) fn all(files: &Files) -> Result<Vec<Endpoint>, HostError> {
    let mut found = Vec::new();
    for (name, transport, state) in LISTS {
        // Without IPv6, or without the protocol, there is no such file.
        let text = files.text(&format!("{LISTS_AT}/{name}"))?;
        found.extend(parse(&text.unwrap_or_default(), transport, state));
    }
    let sctp = files.text(&format!("{LISTS_AT}/sctp/eps"))?;
    found.extend(parse_sctp(&sctp.unwrap_or_default()));
    if found.iter().any(|each| each.address.is_ipv6()) {
        let details = diagnostics();
        for endpoint in &mut found {
            if let Some(detail) = details.get(&endpoint.inode).filter(|_| endpoint.inode != 0) {
                endpoint.v6_only = detail.v6_only;
                endpoint.interface = detail.interface;
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn parse(text: &str, transport: Transport, state: &str) -> Vec<Endpoint> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != state {
            return None;
        }
        let (address, port) = fields.get(1)?.rsplit_once(':')?;
        Some(Endpoint {
            transport,
            port: u16::from_str_radix(port, 16).ok()?,
            address: address_of(address)?,
            v6_only: None,
            interface: None,
            inode: fields.get(9)?.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

/// Addresses stand there as 32-bit numbers of this machine that hold the bytes in the network's order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let number = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        Some(number.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for part in 0..4 {
                bytes[part * 4..part * 4 + 4].copy_from_slice(&word(part * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// `ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS`; state 10 is LISTEN.
fn parse_sctp(text: &str) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(&"10"), Some(port), Some(inode)) = (fields.get(3), fields.get(5), fields.get(7))
        else {
            continue;
        };
        let (Ok(port), Ok(inode)) = (port.parse(), inode.parse()) else { continue };
        let addresses = fields[8..].iter().filter_map(|text| text.parse().ok());
        found.extend(addresses.map(|address| Endpoint {
            transport: Transport::Sctp,
            port,
            address,
            v6_only: None,
            interface: None,
            inode,
        }));
    }
    found
}

/// What `sock_diag` knows besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    v6_only: Option<bool>,
    interface: Option<u32>,
}

/// `linux/netlink.h`, `linux/sock_diag.h`, `linux/inet_diag.h`.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const INET_DIAG_SKV6ONLY: u16 = 11;
const REQUEST: usize = 56;
/// `struct inet_diag_msg`, before its attributes.
const MESSAGE: usize = 72;

/// By inode. Empty for what the kernel does not tell: its modules may be missing, and then nobody may load them.
fn diagnostics() -> BTreeMap<u64, Detail> {
    let mut found = BTreeMap::new();
    let families = [nix::libc::AF_INET, nix::libc::AF_INET6];
    // TCP's listening state, and the closed one of a UDP socket that has no peer.
    for (protocol, states) in
        [(nix::libc::IPPROTO_TCP, 1u32 << 10), (nix::libc::IPPROTO_UDP, 1 << 7)]
    {
        for family in families {
            // What has been told until then is true even if the rest cannot be had.
            let _ = dump(family, protocol, states, &mut found);
        }
    }
    found
}

fn dump(
    family: i32,
    protocol: i32,
    states: u32,
    found: &mut BTreeMap<u64, Detail>,
) -> nix::Result<()> {
    let socket = netlink::open(SockProtocol::NetlinkSockDiag)?;
    send(socket.as_raw_fd(), &request(family, protocol, states), MsgFlags::empty())?;
    read_all(&socket, found)
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

fn read_all(socket: &OwnedFd, found: &mut BTreeMap<u64, Detail>) -> nix::Result<()> {
    // The kernel fills a page or two at a time.
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Ok(());
        }
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                DONE | ERROR => return Ok(()),
                SOCK_DIAG_BY_FAMILY => found.extend(detail(body)),
                _ => {}
            }
            rest = after;
        }
    }
}

/// The inode of a socket, and what is told of it.
fn detail(body: &[u8]) -> Option<(u64, Detail)> {
    const INTERFACE: usize = 4 + 36;
    let interface = u32_at(body, INTERFACE)?;
    let inode = u32_at(body, MESSAGE - 4)?;
    let v6_only = attributes(body.get(MESSAGE..)?)
        .filter(|(kind, _)| *kind == INET_DIAG_SKV6ONLY)
        .find_map(|(_, value)| value.first().map(|flag| *flag != 0));
    let interface = (interface != 0).then_some(interface);
    Some((inode.into(), Detail { v6_only, interface }))
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::linux::fs::MetadataExt as _,
    };

    use super::*;

    #[test]
    fn lists() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   \
            1: 00000000:0050 0100007F:A31C 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n   \
            2: B80D0120000000000000000001000000:08AE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n\
            odd line\n   3: XX:1 0 0A\n";
        let found: Vec<_> = parse(text, Transport::Tcp, "0A")
            .iter()
            .map(|each| format!("{} {} {}", each.address, each.port, each.inode))
            .collect();
        assert_eq!(found, ["127.0.0.1 22 1", "2001:db8::1 2222 3"]);
        let sctp = " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS\n\
            ffff8800 ffff8801 2   10  29   11165   200 2996 10.0.0.1 ::1 \n\
            ffff8800 ffff8801 2   7   29   11166   200 2997 10.0.0.1\n";
        let found: Vec<_> = parse_sctp(sctp).iter().map(|each| (each.address, each.port)).collect();
        assert_eq!(found, [("10.0.0.1".parse().unwrap(), 11165), ("::1".parse().unwrap(), 11165)]);
    }

    #[test]
    fn what_is_cut_short_ends_the_reading() {
        assert_eq!(detail(&[0; MESSAGE - 1]), None);
        let odd = [[0; MESSAGE].to_vec(), vec![3, 0, 11, 0, 1]].concat();
        assert_eq!(detail(&odd), Some((0, Detail { v6_only: None, interface: None })));
    }

    /// Sockets of this very process, in the kernel's own words.
    #[test]
    fn the_kernel_lists_what_is_open() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let spoken_for = UdpSocket::bind("127.0.0.1:0").unwrap();
        spoken_for.connect(udp.local_addr().unwrap()).unwrap();
        let found = all(&Files::below("/")).unwrap();
        let inode = |fd: i32| std::fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().st_ino();
        let of = |inode: u64| found.iter().find(|each| each.inode == inode).copied();
        let listed = of(inode(v4.as_raw_fd())).unwrap();
        assert_eq!(
            (listed.transport, listed.port),
            (Transport::Tcp, v4.local_addr().unwrap().port())
        );
        let listed = of(inode(udp.as_raw_fd())).unwrap();
        assert_eq!(
            (listed.transport, listed.port),
            (Transport::Udp, udp.local_addr().unwrap().port())
        );
        assert_eq!(of(inode(v6.as_raw_fd())).unwrap().address, "::1".parse::<IpAddr>().unwrap());
        assert_eq!(of(inode(spoken_for.as_raw_fd())), None, "only its peer may speak to it");
    }
}
