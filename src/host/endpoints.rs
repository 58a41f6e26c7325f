//! Every socket of this network namespace at which somebody may knock, as the kernel lists them.
//!
//! Those of TCP are asked of its socket diagnostics, which go through what listens and nothing else; `/proc/net/tcp` goes
//! through every connection there could be, and is read where these do not answer. The others are in `/proc/net`, but for
//! two things that only the diagnostics know: whether a socket bound to `::` takes IPv4 too, and the interface it is
//! bound to. Where that cannot be had (`None`), the wider meaning is to be assumed.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::libc::{IPPROTO_TCP, IPPROTO_UDP};
use serde::Serialize;

use super::{Files, HostError, sock_diag};

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

/// The state of a socket that waits for connections, in hex.
const LISTENING: &str = "0A";
/// That of one without a peer: anybody may speak to it.
const UNCONNECTED: &str = "07";

/// The files there that list what waits for connections.
const TCP_LISTS: [&str; 2] = ["tcp", "tcp6"];

/// Those that list what takes datagrams.
const LISTS: [(&str, Transport); 6] = [
    ("udp", Transport::Udp),
    ("udp6", Transport::Udp),
    ("udplite", Transport::UdpLite),
    ("udplite6", Transport::UdpLite),
    ("raw", Transport::Raw),
    ("raw6", Transport::Raw),
];

/// Every such socket, sorted.
pub(super) fn all(files: &Files) -> Result<Vec<Endpoint>, HostError> {
    let mut found = Vec::new();
    for (name, transport) in LISTS {
        found.extend(parse(&list(files, name)?, transport, UNCONNECTED));
    }
    found.extend(parse_sctp(&list(files, "sctp/eps")?));
    let told = sock_diag::sockets(IPPROTO_UDP, sock_diag::UNCONNECTED).unwrap_or_default();
    let details: BTreeMap<u64, _> = told.into_iter().map(|each| (each.inode, each)).collect();
    for endpoint in &mut found {
        if let Some(detail) = details.get(&endpoint.inode).filter(|_| endpoint.inode != 0) {
            endpoint.v6_only = detail.v6_only;
            endpoint.interface = detail.interface;
        }
    }
    found.extend(tcp(files)?);
    found.sort_unstable();
    Ok(found)
}

/// The sockets that wait for TCP connections.
pub(super) fn tcp(files: &Files) -> Result<Vec<Endpoint>, HostError> {
    if let Ok(told) = sock_diag::sockets(IPPROTO_TCP, sock_diag::LISTENING) {
        let endpoint = |socket: sock_diag::Socket| Endpoint {
            transport: Transport::Tcp,
            port: socket.port,
            address: socket.address,
            v6_only: socket.v6_only,
            interface: socket.interface,
            inode: socket.inode,
        };
        return Ok(told.into_iter().map(endpoint).collect());
    }
    let mut found = Vec::new();
    for name in TCP_LISTS {
        found.extend(parse(&list(files, name)?, Transport::Tcp, LISTENING));
    }
    Ok(found)
}

/// A list's text; empty without IPv6, or without the protocol.
fn list(files: &Files, name: &str) -> Result<String, HostError> {
    Ok(files.text(&format!("{LISTS_AT}/{name}"))?.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::{fd::AsRawFd as _, linux::fs::MetadataExt as _},
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

    /// Both ways of asking the kernel for the same sockets: while other tests open and close theirs, of ours.
    #[test]
    fn the_diagnostics_list_what_the_files_list() {
        let all = ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"]
            .map(|at| TcpListener::bind(at).unwrap());
        let ports = all.each_ref().map(|socket| socket.local_addr().unwrap().port());
        let files = Files::below("/");
        let plain = |found: Vec<Endpoint>| -> Vec<Endpoint> {
            let ours = found.into_iter().filter(|each| ports.contains(&each.port));
            let mut ours: Vec<_> =
                ours.map(|each| Endpoint { v6_only: None, interface: None, ..each }).collect();
            ours.sort_unstable();
            // A list is read in parts, and names one again when another went from before it.
            ours.dedup();
            ours
        };
        let told = plain(tcp(&files).unwrap());
        let listed =
            TCP_LISTS.map(|name| parse(&list(&files, name).unwrap(), Transport::Tcp, LISTENING));
        assert_eq!(told, plain(listed.concat()));
        assert_eq!(told.len(), all.len());
    }
}
