//! Containers and the firewall: a port means the same whether a process or a container serves it.
//!
//! Real engines, published ports, real packets: a peer asks every TCP port over IPv4 and IPv6, and UDP ports that
//! answer when they are asked. What is declared is served by a process (8333), by a container (4122, UDP 20444), and by
//! nothing (20000-20001).

pub(crate) mod engine;
mod exposure;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    time::Instant,
};

use engine::{Answering, Echoing, Engine, UP_WITHIN, gets_out, greeting};
use holdfast_test_host::{Peer, Scan, Tcp, Udp};

use crate::support::*;

/// What the host lets in, wherever it comes from.
const ALLOW: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
[[firewall.allow]]
name = "bitcoin-p2p"
tcp = [8333]
[[firewall.allow]]
name = "stacks-p2p"
udp = [20444]
[[firewall.allow]]
name = "later"
tcp = ["20000-20001"]
"#;

/// Served by the declared ports' processes and containers.
const DECLARED: [u16; 3] = [22, 4122, 8333];

/// Declared, and served by nothing.
const UNSERVED: [u16; 2] = [20000, 20001];

/// Also served on all addresses: by a container, and by a process.
const UNDECLARED: [u16; 2] = [5432, 8801];

/// UDP ports that echo from a container, and whether they are declared.
const ECHOES: [(u16, bool); 2] = [(20444, true), (5353, false)];

/// UDP ports that every scanner tries, none of them declared: a process on the host echoes on each.
const WELL_KNOWN: [u16; 16] =
    [53, 69, 111, 123, 137, 161, 389, 500, 514, 623, 1194, 1900, 3478, 4500, 11211, 51820];

/// Listens in the host on a declared port and on one that is not.
fn listen(host: &Host) -> Vec<TcpListener> {
    let listen = |port: &u16| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).unwrap();
    host.within(|| [8333, 8801].iter().map(listen).collect()).unwrap()
}

fn ports(ports: impl IntoIterator<Item = u16>) -> BTreeSet<u16> {
    ports.into_iter().collect()
}

/// What the peer meets on all TCP ports, over IPv4 and IPv6.
fn scans(peer: &Peer) -> [Scan; 2] {
    [IpAddr::from(peer.host_v4()), peer.host_v6().into()].map(|to| peer.scan(to).unwrap())
}

/// All UDP ports that echo.
fn echoing() -> BTreeSet<u16> {
    ports(ECHOES.map(|(port, _)| port).into_iter().chain(WELL_KNOWN))
}

/// Those that echo to the peer, over IPv4 and IPv6, asked all at once.
fn echoes(peer: &Peer) -> [BTreeSet<u16>; 2] {
    let answered = Udp::Answered(b"echo".to_vec());
    let ask = |to: IpAddr, port| peer.udp_to((to, port).into(), b"echo").unwrap() == answered;
    [IpAddr::from(peer.host_v4()), peer.host_v6().into()].map(|to| {
        std::thread::scope(|scope| {
            let asked =
                echoing().into_iter().map(|port| (port, scope.spawn(move || ask(to, port))));
            let asked: Vec<_> = asked.collect();
            ports(
                asked
                    .into_iter()
                    .filter_map(|(port, echoes)| echoes.join().unwrap().then_some(port)),
            )
        })
    })
}

/// Those that echo, once all of these do: what has just been started may answer over IPv4 before it does over IPv6, where
/// the kernel first asks whether its address is another's.
fn echoes_of(all: &BTreeSet<u16>, peer: &Peer) -> [BTreeSet<u16>; 2] {
    let start = Instant::now();
    loop {
        let found = echoes(peer);
        if found.iter().all(|some| some.is_superset(all)) || start.elapsed() > UP_WITHIN {
            return found;
        }
    }
}

/// Asserts that a peer finds exactly what is declared, by every way there is.
fn only_the_declared(engine: Engine, host: &Host, peer: &Peer, when: &str) {
    for scan in scans(peer) {
        assert_eq!(scan.open, ports(DECLARED), "{when}");
        assert_eq!(scan.refused, ports(UNSERVED), "{when}");
    }
    let declared = ECHOES.iter().filter(|(_, is_declared)| *is_declared);
    let declared = ports(declared.map(|(port, _)| *port));
    assert_eq!(echoes_of(&declared, peer), [declared.clone(), declared], "{when}");
    for to in [IpAddr::from(peer.host_v4()), peer.host_v6().into()] {
        assert_eq!(greeting(peer, (to, 4122).into()), "from a container", "{when}");
    }
    // Around the published ports: the containers' own addresses lie behind the host, which routes.
    for name in ["signer", "database", "unpublished"] {
        let to = (engine.address(host, name), 80).into();
        assert_eq!(peer.tcp(to).unwrap(), Tcp::Filtered, "{when}: {name} at its own address");
    }
}

/// Every table but ours, with the handles that a table loaded again would not keep.
fn foreign(host: &Host) -> String {
    let script = "nft list tables | grep -v 'inet holdfast' | while read -r _ family name; do
                      nft -s -a list table $family $name
                  done";
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// What the peer finds open on the host's loopback address, to which it has set a route: its neighbours can do that.
fn loopback(peer: &Peer) -> BTreeSet<u16> {
    let (host, address) = (peer.host_v4(), Ipv4Addr::LOCALHOST);
    let route = |script: String| {
        peer.run(["sh", "-euc", &script]).unwrap().ok().unwrap();
    };
    route(format!(
        "sysctl -qw net.ipv4.conf.eth0.route_localnet=1
         ip address delete 127.0.0.1/8 dev lo; ip route add {address}/32 via {host} dev eth0"
    ));
    let met = peer.scan(address.into()).unwrap();
    route("ip route delete 127.0.0.1/32; ip address add 127.0.0.1/8 dev lo".to_string());
    met.open
}

/// The whole story for one engine; `outside` is how the profile says, or does not say, where the outside is.
fn holds(engine: Engine, host: &Host, outside: &str) {
    engine.start(host);
    let _listeners = listen(host);
    let _echoing = Echoing::start(host, &WELL_KNOWN);
    let peer = host.peer("outside0").unwrap();
    let _answering = Answering::start(&peer);
    if outside.is_empty() {
        host.sh("ip route add default via 10.99.1.2; ip -6 route add default via fd00:99:1::2")
            .unwrap()
            .ok()
            .unwrap();
    }

    let open = ports(DECLARED.into_iter().chain(UNDECLARED));
    for scan in scans(&peer) {
        assert_eq!(scan.open, open, "before: {}", foreign(host));
    }
    assert_eq!(echoes_of(&echoing(), &peer), [echoing(), echoing()], "before");
    let database = engine.address(host, "database");
    assert_eq!(peer.tcp((database, 80).into()).unwrap(), Tcp::Open, "before: routed to directly");

    // What is published on the host's loopback address only, neighbours reach too.
    let open = loopback(&peer);
    assert_eq!(open, ports([4122, 5432, 9184]), "before: on loopback");
    // A firewall that judges only what is for the host itself is what everybody has, and containers bypass it.
    give(host, &format!("[firewall]\nforward = \"off\"\n{outside}{ALLOW}"));
    let unjudged = report(host, "apply");
    assert_eq!(unjudged.json["outcome"], "committed", "{:#}", unjudged.json);
    assert_eq!(unjudged.with("cannot-check"), ["firewall.exposure/unfiltered"]);
    assert_eq!(peer.tcp_open(8801).unwrap(), Tcp::Filtered, "input only: a process");
    assert_eq!(peer.tcp_open(5432).unwrap(), Tcp::Open, "input only: a container");

    let theirs = foreign(host);
    assert!(theirs.contains("5432"), "the engine's rules are there: {theirs}");
    give(host, &format!("[firewall]\n{outside}{ALLOW}"));
    apply(host);
    assert_passes(&verify(host));
    assert_eq!(foreign(host), theirs, "the engine's tables are not touched");
    only_the_declared(engine, host, &peer, "after apply");
    assert_eq!(loopback(&peer), ports([4122]), "after apply: on loopback");
    for to in [IpAddr::from(peer.v4()), peer.v6().into()] {
        if to.is_ipv4() || engine != Engine::Docker {
            gets_out(engine, host, to);
        }
    }

    engine.restart_container(host);
    only_the_declared(engine, host, &peer, "after a container's restart");
    engine.restart(host);
    only_the_declared(engine, host, &peer, "after the engine's restart");
    gets_out(engine, host, peer.v4().into());
    assert_passes(&verify(host));
    let theirs = foreign(host);
    host.sh("nft delete table inet holdfast").unwrap().ok().unwrap();
    assert_eq!(peer.tcp_open(5432).unwrap(), Tcp::Open, "without the table");
    correct(host);
    assert_eq!(foreign(host), theirs, "the engine's tables are not touched by a correction");
    only_the_declared(engine, host, &peer, "after a correction");
}

on_hosts! {
    Image::Containers;
    /// Docker as Debian ships it, with the outside named.
    fn docker(host: &Host) {
        holds(Engine::Docker, host, "outside = [\"outside0\"]\n");
    }
}

on_hosts! {
    Image::Containers;
    /// Docker by the kernel alone, with IPv6, and the outside where the default routes lead.
    fn docker_without_its_proxy(host: &Host) {
        holds(Engine::DockerWithoutProxy, host, "");
    }
}

on_hosts! {
    Image::Containers;
    /// Podman, with the outside by a pattern.
    fn podman(host: &Host) {
        holds(Engine::Podman, host, "outside = [\"outside*\"]\n");
    }
}
