//! A scan of every TCP port, as fast as an attacker's: bare SYN segments from a raw socket, and what comes back.
//!
//! A second is enough for all 65,535 ports; as many connections by the kernel's own calls would take minutes where a
//! firewall drops them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto,
    setsockopt, socket,
};

use crate::Peer;

/// How often a port is asked that has not answered: a queue on the way may have been full.
const PASSES: u16 = 2;

/// The source port of the first pass; each pass has its own, so that no state of an earlier one is in the way.
const SOURCE_PORT: u16 = 61_000;

/// How many segments to send before reading what has come back.
const BATCH: usize = 128;

/// How long to wait for answers after a pass.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// Room for answers that arrive while segments are being sent, in bytes.
const BUFFER: usize = 32 << 20;

/// TCP's flags, by RFC 9293.
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Every port that answered. The others are filtered: no word, though asked twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Ports that accept connections.
    pub open: BTreeSet<u16>,
    /// Ports that refuse them: nothing listens there, and no filter is in the way.
    pub refused: BTreeSet<u16>,
}

impl Peer {
    /// Asks every TCP port of an address.
    ///
    /// # Errors
    /// When the peer is gone, or there is no way to the address.
    pub fn scan(&self, to: IpAddr) -> Result<Scan> {
        let ports: Vec<u16> = (1..=u16::MAX).collect();
        self.prober(to)?.scan(&ports, Duration::ZERO)
    }

    /// Asks these TCP ports of an address, with a pause after each 128: a slow machine loses what comes faster than it
    /// reads, and what is lost looks filtered.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_slowly(&self, to: IpAddr, ports: &[u16], pause: Duration) -> Result<Scan> {
        self.prober(to)?.scan(ports, pause)
    }

    /// What asks single ports of an address, and sees the answers.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn prober(&self, to: IpAddr) -> Result<Prober> {
        let from: IpAddr = if to.is_ipv4() { self.v4().into() } else { self.v6().into() };
        self.within(|| Prober::open(from, to))?
    }
}

/// A raw socket from a peer to one address: it sends bare SYN segments and reads what comes back.
#[derive(Debug)]
pub struct Prober {
    socket: OwnedFd,
    from: IpAddr,
    to: IpAddr,
}

impl Prober {
    /// Opens the socket in the network of the calling thread.
    fn open(from: IpAddr, to: IpAddr) -> Result<Prober> {
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Raw, flags, SockProtocol::Tcp)
            .context("Cannot open a raw socket")?;
        setsockopt(&socket, RcvBufForce, &BUFFER).context("Cannot enlarge a buffer")?;
        Ok(Prober { socket, from, to })
    }

    fn scan(&self, ports: &[u16], pause: Duration) -> Result<Scan> {
        let mut scan = Scan::default();
        for pass in 0..PASSES {
            let source = SOURCE_PORT + pass;
            let is_left = |port: &u16| !scan.open.contains(port) && !scan.refused.contains(port);
            let left: Vec<u16> = ports.iter().copied().filter(is_left).collect();
            for ports in left.chunks(BATCH) {
                for port in ports {
                    self.knock(source, *port)?;
                }
                self.answers(&mut scan)?;
                sleep(pause);
            }
            let until = Instant::now() + ANSWER_WITHIN.max(pause * 4);
            while Instant::now() < until {
                self.answers(&mut scan)?;
                sleep(Duration::from_millis(5));
            }
        }
        Ok(scan)
    }

    /// Sends one SYN. A full queue is a lost segment, as on any network.
    ///
    /// # Errors
    /// When there is no way to the address.
    pub fn knock(&self, source: u16, port: u16) -> Result<()> {
        let segment = syn(self.from, self.to, source, port);
        // Port 0: a raw socket of IPv6 refuses any other.
        let to = SockaddrStorage::from(SocketAddr::from((self.to, 0)));
        match sendto(self.socket.as_raw_fd(), &segment, &to, MsgFlags::empty()) {
            Ok(_) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EPERM) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("Cannot probe {}", self.to)),
        }
    }

    /// Adds what has come back so far, from whatever port.
    ///
    /// # Errors
    /// When the socket cannot be read.
    pub fn answers(&self, scan: &mut Scan) -> Result<()> {
        let mut buffer = [0; 256];
        loop {
            let received = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut buffer);
            let (size, sender) = match received {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Ok(()),
                // Word of an earlier segment, that there is no way: the same as no answer.
                Err(Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EACCES) => continue,
                Err(error) => return Err(error).context("Cannot read a probe's answer"),
            };
            let sender = sender.and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
            });
            if sender != Some(self.to) {
                continue;
            }
            // IPv4 hands over its own header too, whose length is in its first byte in words of four.
            let header = if self.to.is_ipv4() { usize::from(buffer[0] & 0x0f) * 4 } else { 0 };
            let Some(segment) = buffer[..size].get(header..).filter(|rest| rest.len() >= 20) else {
                continue;
            };
            let port = u16::from_be_bytes([segment[0], segment[1]]);
            if segment[13] & RST != 0 {
                scan.refused.insert(port);
            } else if segment[13] & (SYN | ACK) == SYN | ACK {
                scan.open.insert(port);
            }
        }
    }
}

/// A TCP segment that asks for a connection.
fn syn(from: IpAddr, to: IpAddr, source: u16, port: u16) -> [u8; 20] {
    let mut segment = [0; 20];
    segment[0..2].copy_from_slice(&source.to_be_bytes());
    segment[2..4].copy_from_slice(&port.to_be_bytes());
    segment[4..8].copy_from_slice(&u32::from(port).to_be_bytes()); // any sequence number
    segment[12] = 5 << 4; // the header's length in words of four bytes
    segment[13] = SYN;
    segment[14..16].copy_from_slice(&1024u16.to_be_bytes()); // a window
    let checksum = checksum(from, to, &segment);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

/// TCP's checksum: over both addresses, the protocol's number (6), the length, and the segment (RFC 9293, 3.1).
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let mut sum = 6 + u32::try_from(segment.len()).unwrap_or_default();
    let mut add = |bytes: &[u8]| {
        for pair in bytes.chunks(2) {
            let low = pair.get(1).copied().unwrap_or_default();
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    };
    for address in [from, to] {
        match address {
            IpAddr::V4(address) => add(&address.octets()),
            IpAddr::V6(address) => add(&address.octets()),
        }
    }
    add(segment);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment with its checksum in place sums up to zero.
    #[test]
    fn segments_have_the_right_checksum() {
        let pairs = [("10.99.1.2", "10.99.1.1"), ("fd00:99:1::2", "fd00:99:1::1")];
        for (from, to) in pairs {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            for port in [1, 22, 255, 256, 65535] {
                assert_eq!(checksum(from, to, &syn(from, to, 61_000, port)), 0, "{to}:{port}");
            }
        }
    }
}
