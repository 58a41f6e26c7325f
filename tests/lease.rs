//! The host's own address under the applied firewall: a lease that is taken anew from a DHCP server on another host.
//! Losing it hours after an apply is a lock-out that no confirmation shows.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use holdfast_test_host::Peer;

use crate::support::*;

/// What the server hands out, and for how long: asked anew after `T1`, of anybody after `T2`, gone after the end.
const LEASED: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 77);
const T1_SECS: u32 = 2;
const T2_SECS: u32 = 4;
const LEASE_SECS: u32 = 8;

/// BOOTP, RFC 951 and 2131: where the fields are.
const XID: std::ops::Range<usize> = 4..8;
const CIADDR: std::ops::Range<usize> = 12..16;
const YIADDR: std::ops::Range<usize> = 16..20;
const OPTIONS: usize = 240;

/// A server that hears broadcasts only: a client that has a lease gets it anew when it rebinds, and the answer, which
/// comes from an address it did not send to, is to connection tracking no answer.
struct Server {
    rebound: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(peer: &Peer) -> Self {
        let rules = "add table ip deaf; add chain ip deaf input { type filter hook input priority 0; }; \
                     add rule ip deaf input ip daddr != 255.255.255.255 udp dport 67 drop";
        peer.run(["nft", rules]).unwrap().ok().unwrap();
        let socket = peer.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)).unwrap()).unwrap();
        socket.set_broadcast(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let (rebound, ends) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end, from) = (Arc::clone(&rebound), Arc::clone(&ends), peer.v4());
        let thread = std::thread::spawn(move || {
            let mut asked = [0; 1500];
            while !end.load(Ordering::Relaxed) {
                let Ok((size, client)) = socket.recv_from(&mut asked) else { continue };
                let Some(answer) = answer(&asked[..size], from) else { continue };
                let has_lease = asked[CIADDR] != [0; 4];
                let to = if has_lease { client } else { (Ipv4Addr::BROADCAST, 68).into() };
                socket.send_to(&answer, to).unwrap();
                counter.fetch_add(u32::from(has_lease), Ordering::Relaxed);
            }
        });
        Self { rebound, ends, thread: Some(thread) }
    }

    fn rebound(&self) -> u32 {
        self.rebound.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// An option's value.
fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = message.get(OPTIONS..)?;
    loop {
        match *rest.first()? {
            0 => rest = &rest[1..],
            255 => return None,
            code => {
                let len = usize::from(*rest.get(1)?);
                let value = rest.get(2..2 + len)?;
                if code == wanted {
                    return Some(value);
                }
                rest = &rest[2 + len..];
            }
        }
    }
}

/// The offer to a discovery (1), the acknowledgement (5) to a request (3).
fn answer(asked: &[u8], server: Ipv4Addr) -> Option<Vec<u8>> {
    let kind = match option(asked, 53)? {
        [1] => 2,
        [3] => 5,
        _ => return None,
    };
    let mut answer = vec![0; OPTIONS];
    answer[..4].copy_from_slice(&[2, 1, 6, 0]);
    answer[XID].copy_from_slice(&asked[XID]);
    answer[10..12].copy_from_slice(&asked[10..12]);
    answer[CIADDR].copy_from_slice(&asked[CIADDR]);
    answer[YIADDR].copy_from_slice(&LEASED.octets());
    answer[28..34].copy_from_slice(&asked[28..34]);
    answer[236..240].copy_from_slice(&[99, 130, 83, 99]);
    answer.extend([53, 1, kind, 54, 4]);
    answer.extend(server.octets());
    answer.extend([1, 4, 255, 255, 255, 0]);
    for (code, seconds) in [(51, LEASE_SECS), (58, T1_SECS), (59, T2_SECS)] {
        answer.extend([code, 4]);
        answer.extend(seconds.to_be_bytes());
    }
    answer.push(255);
    Some(answer)
}

/// The client's side of the cable is networkd's, with a lease and nothing else.
const NETWORK: &str = "[Match]\nName=lease\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\
    [DHCPv4]\nRequestBroadcast=yes\nClientIdentifier=mac\n";

/// Whether the leased address is there within a while.
fn has_lease(host: &Host) -> bool {
    let wait = format!(
        "for i in $(seq 100); do ip -4 addr show dev lease | grep -q 'inet {LEASED}/' && exit 0; sleep 0.1; done; exit 1"
    );
    host.sh(&wait).unwrap().status == Some(0)
}

on_hosts! {
    /// The lease stays, long past its end, by what the firewall lets in for it; and without that it is lost.
    fn a_lease_is_kept(host: &Host) {
        let peer = host.peer("lease").unwrap();
        assert_eq!(peer.v4(), Ipv4Addr::new(10, 99, 1, 2));
        give(host, "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n");
        apply(host);
        let server = Server::start(&peer);
        host.push("/etc/systemd/network/10-lease.network", NETWORK, 0o644).unwrap();
        host.sh("systemctl start systemd-networkd").unwrap().ok().unwrap();
        assert!(has_lease(host), "{:?}", host.sh("networkctl status lease; journalctl -u systemd-networkd | tail").unwrap());
        std::thread::sleep(Duration::from_secs(u64::from(LEASE_SECS * 2)));
        assert!(has_lease(host), "the lease was lost after {} rebindings", server.rebound());
        assert!(server.rebound() >= 2, "it was kept without being asked for anew");
        assert_passes(&verify(host));

        let rule = "handle=$(nft -a list chain inet holdfast input | sed -n 's/.*dhcp to its client.*# handle //p'); \
                    nft delete rule inet holdfast input handle $handle";
        host.sh(rule).unwrap().ok().unwrap();
        // It may be had again at once, from an offer that networkd reads past the firewall.
        let lost = format!("for i in $(seq {}); do journalctl -q -u systemd-networkd | grep -q 'DHCP lease lost' && exit 0; sleep 0.1; done; exit 1", LEASE_SECS * 30);
        assert_eq!(host.sh(&lost).unwrap().status, Some(0), "the rule is not what kept it");
    }
}
