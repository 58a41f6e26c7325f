//! The desired table in this machine's kernel and nft, in network namespaces made for the purpose: whether every one
//! loads, equals itself, and lets in what it says; what tampering is seen as; what else stays as it is.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    process::{Command, Stdio},
    time::Duration,
};

use holdfast::{
    controls::{
        Control as _, Sight,
        firewall::{
            self,
            model::{Door, Model, Protocol, Via},
        },
    },
    engine::check::Verdict,
    host::{Reader, nft::Listing},
    profile::{
        schema::{Firewall, Profile},
        types::Port,
    },
};
use nix::sched::{CloneFlags, setns, unshare};
use proptest::{prelude::*, sample, test_runner::TestRunner};

/// As long as a peer waits for an answer. In one kernel an answer takes microseconds.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A network namespace; goes when this goes.
pub(super) struct Namespace(File);

impl Namespace {
    pub(super) fn new() -> Self {
        crate::support::failures_show_at_once();
        let thread = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace: run the tests as root");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let namespace = Self(thread.join().unwrap());
        namespace.run("ip", &["link", "set", "lo", "up"], "");
        namespace
    }

    /// Runs something in a thread that is in this network.
    pub(super) fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program to its end; panics when it fails.
    pub(super) fn run(&self, program: &str, args: &[&str], input: &str) -> String {
        self.try_run(program, args, input)
            .unwrap_or_else(|stderr| panic!("{program} {args:?}: {stderr}"))
    }

    pub(super) fn try_run(
        &self,
        program: &str,
        args: &[&str],
        input: &str,
    ) -> Result<String, String> {
        self.within(|| {
            let mut child = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            if output.status.success() {
                Ok(text(&output.stdout))
            } else {
                Err(text(&output.stderr))
            }
        })
    }

    /// Loads what holdfast would.
    pub(super) fn load(&self, section: &Firewall) {
        let commands =
            firewall::at(&self.document(section), jiff::Timestamp::now(), firewall::Bulk::Full);
        self.run("nft", &["-j", "-f", "-"], &commands);
    }

    /// The handle of the rule with this comment.
    fn handle(&self, comment: &str) -> u64 {
        let listing = self.run("nft", &["-j", "list", "table", "inet", "holdfast"], "");
        let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
        let objects = listing["nftables"].as_array().unwrap().iter();
        let mut rules = objects.filter_map(|object| object.get("rule"));
        let rule = rules.find(|rule| rule["comment"] == comment).unwrap();
        rule["handle"].as_u64().unwrap()
    }

    /// What holdfast wants here.
    pub(super) fn document(&self, section: &Firewall) -> serde_json::Value {
        let facts = self.within(|| {
            let reader = Reader::live();
            runtime().block_on(firewall::Facts::gather(section, &Sight::of(&reader))).unwrap()
        });
        firewall::document(section, &facts).unwrap()
    }

    /// What holdfast sees: the verdict on the ruleset, and that on whether it is in the path.
    pub(super) fn judge(&self, section: &Firewall) -> [Verdict; 2] {
        let profile = Profile { firewall: Some(section.clone()), ..Profile::default() };
        self.within(|| {
            let reader = Reader::live();
            let sight = Sight::of(&reader);
            let observe = firewall::FirewallControl.observe(&profile, &sight);
            let comparison = runtime().block_on(observe);
            let verdicts: Vec<_> =
                comparison.judge().into_iter().map(|j| j.verdict).take(2).collect();
            verdicts.try_into().unwrap()
        })
    }

    pub(super) fn assert_holds(&self, section: &Firewall) {
        let verdicts = self.judge(section);
        assert!(verdicts.iter().all(|v| matches!(v, Verdict::Holds { .. })), "{verdicts:?}");
    }

    /// A cable to another namespace, and the addresses of both ends: `10.77.N.1` and `fd00:77:N::1` here, `.2` and
    /// `::2` there.
    pub(super) fn connect(&self, peer: &Self, number: u8) {
        let place = format!("/proc/{}/fd/{}", std::process::id(), peer.0.as_raw_fd());
        let commands = format!(
            "link add veth{number} type veth peer name eth0 netns {place}\n\
             addr add 10.77.{number}.1/24 dev veth{number}\n\
             addr add fd00:77:{number}::1/64 dev veth{number} nodad\n\
             addr add fe80::1/64 dev veth{number} nodad\n\
             link set veth{number} up\n"
        );
        self.run("ip", &["-batch", "-"], &commands);
        let commands = format!(
            "addr add 10.77.{number}.2/24 dev eth0\naddr add fd00:77:{number}::2/64 dev eth0 nodad\n\
             addr add fe80::2/64 dev eth0 nodad\nlink set eth0 up\n"
        );
        peer.run("ip", &["-batch", "-"], &commands);
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub(super) fn section(toml: &str) -> Firewall {
    toml::from_str(toml).unwrap()
}

pub(super) fn observed(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Differs { observed } => observed,
        other => panic!("not seen as a difference: {other:?}"),
    }
}

/// A section that says something of every kind.
const SECTION: &str = r#"
[[allow]]
name = "ssh"
tcp = [22]
from = ["10.77.1.0/24", "192.0.2.7", "fd00:77:1::/64"]
[[allow]]
name = "p2p"
tcp = [4122, "20000-20010"]
udp = [4122]
"#;

#[test]
fn tampering_is_seen_and_named() {
    // What is done; how the finding begins.
    let cases: [(&str, &str); 15] = [
        (
            "insert rule inet holdfast input tcp dport 9999 accept",
            "rule added to chain input: tcp dport 9999 accept",
        ),
        (
            "add rule inet holdfast input tcp dport 9999 accept",
            "rule added to chain input: tcp dport 9999 accept",
        ),
        (
            "add rule inet holdfast input position LOOPBACK meta mark 0x2a accept",
            "rule added to chain input: meta mark 0x0000002a accept",
        ),
        (
            "delete rule inet holdfast input handle LOOPBACK",
            "rule missing from chain input: iif \"lo\" accept comment \"this host to itself\"",
        ),
        (
            "replace rule inet holdfast input handle LOOPBACK accept",
            "rule added to chain input: accept; rule missing from chain input: iif \"lo\"",
        ),
        (
            "chain inet holdfast input { policy accept; }",
            "policy of chain input is accept, not drop",
        ),
        (
            "add chain inet holdfast evil { type filter hook input priority -10; policy accept; }",
            "chain evil added (hook input, priority -10)",
        ),
        (
            "add chain inet holdfast evil; add rule inet holdfast evil accept; insert rule inet holdfast input jump evil",
            "rule added to chain input: jump evil; chain evil added; rule added to chain evil: accept",
        ),
        (
            "add chain inet holdfast evil { type nat hook prerouting priority -100; }; \
          add rule inet holdfast evil tcp dport 22 redirect to :5432",
            "chain evil added (hook prerouting, priority -100); rule added to chain evil: tcp dport 22 redirect to :5432",
        ),
        ("flush chain inet holdfast input", "rule missing from chain input: counter"),
        ("delete chain inet holdfast input", "chain input is missing"),
        (
            "add set inet holdfast friends { type ipv4_addr; elements = { 192.0.2.1 }; }",
            "set friends added",
        ),
        (
            "add table inet holdfast { flags dormant; }",
            "the table is dormant: none of its rules is in force",
        ),
        ("delete table inet holdfast", "table inet holdfast is missing"),
        ("flush ruleset", "table inet holdfast is missing"),
    ];
    let section = section(SECTION);
    for (script, wanted) in cases {
        let namespace = Namespace::new();
        namespace.load(&section);
        namespace.assert_holds(&section);
        let loopback = namespace.handle("this host to itself").to_string();
        namespace.run("nft", &["-f", "-"], &script.replace("LOOPBACK", &loopback));
        let [ruleset, _] = namespace.judge(&section);
        assert!(observed(&ruleset).starts_with(wanted), "{script}: {ruleset:?}");
        namespace.load(&section);
        namespace.assert_holds(&section);
    }
}

#[test]
fn foreign_tables_are_not_touched() {
    let foreign = "table ip nat {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t\ttcp dport 8080 dnat to 172.17.0.2:80\n\t}\n}\n\
                   table inet other {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1 }\n\t}\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tip saddr @s counter packets 0 bytes 0 accept\n\t}\n}\n";
    let namespace = Namespace::new();
    namespace.run("nft", &["-f", "-"], foreign);
    // With handles: a table that was loaded again would have others.
    let look = || {
        ["ip nat", "inet other"].map(|table| {
            let args: Vec<_> =
                ["-a", "list", "table"].into_iter().chain(table.split(' ')).collect();
            namespace.run("nft", &args, "")
        })
    };
    let before = look();
    for toml in [SECTION, "", SECTION] {
        namespace.load(&section(toml));
        assert_eq!(look(), before);
    }
    namespace.assert_holds(&section(SECTION));
    assert_eq!(look(), before, "looking changes nothing either");
}

#[test]
fn a_document_that_is_refused_leaves_the_old_table() {
    let namespace = Namespace::new();
    let section = section(SECTION);
    namespace.load(&section);
    let before = namespace.run("nft", &["-s", "-a", "list", "ruleset"], "");
    let mut document = namespace.document(&section);
    let rule = serde_json::json!({"add": {"rule": {"family": "inet", "table": "holdfast", "chain": "nowhere", "expr": [{"accept": null}]}}});
    document["nftables"].as_array_mut().unwrap().push(rule);
    namespace.try_run("nft", &["-j", "-f", "-"], &document.to_string()).unwrap_err();
    assert_eq!(namespace.run("nft", &["-s", "-a", "list", "ruleset"], ""), before);
    namespace.assert_holds(&section);
}

#[test]
fn the_listing_for_before_images_can_be_loaded_again() {
    let namespace = Namespace::new();
    namespace.load(&section(SECTION));
    let read = || {
        let text = runtime().block_on(Reader::live().own_table_text(Listing::Exact));
        text.unwrap().unwrap()
    };
    let before = namespace.within(read);
    namespace.run("nft", &["delete", "table", "inet", "holdfast"], "");
    namespace.run("nft", &["-f", "-"], &before);
    assert_eq!(namespace.within(read), before);
    namespace.assert_holds(&section(SECTION));
}

#[test]
fn leases_are_not_lost() {
    let (host, peer) = (Namespace::new(), Namespace::new());
    host.connect(&peer, 1);
    host.load(&section(""));
    // Client's address and port, server's source; whether it is let in.
    let index = |namespace: &Namespace, name: &str| -> u32 {
        let json = namespace.run("ip", &["-j", "link", "show", "dev", name], "");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json[0]["ifindex"].as_u64().unwrap().try_into().unwrap()
    };
    let (there, here) = (index(&peer, "eth0"), index(&host, "veth1"));
    let link = |address: &str, port, scope| -> SocketAddr {
        SocketAddrV6::new(address.parse().unwrap(), port, 0, scope).into()
    };
    let v4 = |last, port| -> SocketAddr { (Ipv4Addr::new(10, 77, 1, last), port).into() };
    let cases = [
        (v4(1, 68), v4(2, 67), v4(1, 68), true),
        (v4(1, 68), v4(2, 1067), v4(1, 68), false),
        (
            link("fe80::1", 546, here),
            link("fe80::2", 547, there),
            link("fe80::1", 546, there),
            true,
        ),
        (
            link("fe80::1", 546, here),
            link("fe80::2", 1547, there),
            link("fe80::1", 546, there),
            false,
        ),
    ];
    for (client, server, to, is_let_in) in cases {
        let client = host.within(|| UdpSocket::bind(client).unwrap());
        client.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        let sent = peer.within(|| UdpSocket::bind(server).unwrap().send_to(b"offer", to));
        sent.unwrap();
        assert_eq!(client.recv(&mut [0; 16]).is_ok(), is_let_in, "{server} to {to}");
    }
}

/// The ports that random lists choose from, and that are probed.
const PORTS: [u16; 7] = [22, 80, 4122, 20000, 20005, 20010, 65535];

/// The peers, and how many there are of them.
const PEERS: u8 = 2;

fn any_ports() -> impl Strategy<Value = Vec<String>> {
    let port = prop_oneof![
        4 => sample::select(&PORTS[..]).prop_map(|port| format!("\"{port}\"")),
        1 => Just("\"20000-20009\"".to_owned()),
        1 => Just("\"23-4122\"".to_owned()),
        1 => (1u16..=65535, 1u16..=65535).prop_map(|(a, b)| format!("\"{}-{}\"", a.min(b), a.max(b))),
    ];
    prop::collection::vec(port, 0..4)
}

fn any_section() -> impl Strategy<Value = String> {
    let nets = [
        "10.77.1.0/24",
        "10.77.2.2",
        "10.77.0.0/16",
        "0.0.0.0/0",
        "192.0.2.0/24",
        "fd00:77:1::/64",
        "fd00:77:2::2",
        "fd00::/8",
        "::/0",
        "2001:db8::/32",
    ];
    let from =
        prop::option::weighted(0.7, prop::collection::vec(sample::select(nets.to_vec()), 0..4));
    let allow = (any_ports(), any_ports(), from);
    (any::<bool>(), any::<bool>(), prop::collection::vec(allow, 0..5)).prop_map(
        |(ping, log, allows)| {
            let mut toml = format!("ping = {ping}\n[log_drops]\nenabled = {log}\n");
            for (index, (tcp, udp, from)) in allows.into_iter().enumerate() {
                toml.push_str(&format!(
                    "[[allow]]\nname = \"a{index}\"\ntcp = [{}]\nudp = [{}]\n",
                    tcp.join(", "),
                    udp.join(", ")
                ));
                if let Some(from) = from {
                    toml.push_str(&format!("from = {from:?}\n"));
                }
            }
            toml
        },
    )
}

/// Whether the section, read as a person would read it, lets this in.
fn lets_in(section: &Firewall, protocol: &str, from: std::net::IpAddr, port: u16) -> bool {
    section.allow.iter().any(|allow| {
        let ports = if protocol == "tcp" { allow.tcp() } else { allow.udp() };
        ports.iter().any(|range| (range.first().get()..=range.last().get()).contains(&port))
            && section
                .networks(allow)
                .is_none_or(|nets| nets.iter().any(|n| n.net().contains(&from)))
    })
}

/// Whether the model says that TCP and UDP get in.
fn modelled(section: &Firewall, from: std::net::IpAddr, port: u16) -> [bool; 2] {
    let (facts, now) = (firewall::Facts::default(), jiff::Timestamp::now());
    let model = Model::of(Some(section), &facts, now);
    [Protocol::Tcp, Protocol::Udp].map(|protocol| {
        let door = Door { protocol, port: Port::new(port).unwrap(), via: Via::Input };
        model.meets(from, door).gets_in()
    })
}

#[test]
fn any_list_loads_holds_and_has_one_canonical_form() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let namespace = Namespace::new();
    runner
        .run(&any_section(), |toml| {
            let section = section(&toml);
            namespace.load(&section);
            let verdicts = namespace.judge(&section);
            prop_assert!(
                verdicts.iter().all(|v| matches!(v, Verdict::Holds { .. })),
                "{:?}",
                verdicts
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn packets_are_let_in_as_the_list_says() {
    let host = Namespace::new();
    let peers: Vec<Namespace> = (1..=PEERS).map(|_| Namespace::new()).collect();
    for (peer, number) in peers.iter().zip(1..) {
        host.connect(peer, number);
    }
    let udp: Vec<UdpSocket> = PORTS
        .iter()
        .map(|port| {
            let socket = host.within(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, *port)).unwrap());
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&any_section(), |toml| {
            let section = section(&toml);
            host.load(&section);
            let mut probes = Vec::new();
            for (peer, number) in peers.iter().zip(1..=PEERS) {
                let addresses: [(std::net::IpAddr, std::net::IpAddr); 2] = [
                    (
                        Ipv4Addr::new(10, 77, number, 2).into(),
                        Ipv4Addr::new(10, 77, number, 1).into(),
                    ),
                    (
                        Ipv6Addr::new(0xfd00, 0x77, number.into(), 0, 0, 0, 0, 2).into(),
                        Ipv6Addr::new(0xfd00, 0x77, number.into(), 0, 0, 0, 0, 1).into(),
                    ),
                ];
                for (from, to) in addresses {
                    probes.extend(PORTS.map(|port| (peer, from, SocketAddr::new(to, port))));
                }
            }
            // Nothing listens on TCP: what is let in is refused, what is not is not answered at all.
            let answered: Vec<bool> = std::thread::scope(|scope| {
                let threads: Vec<_> = probes
                    .iter()
                    .map(|(peer, from, to)| {
                        scope.spawn(move || {
                            peer.within(|| {
                                let socket = UdpSocket::bind((*from, 0)).unwrap();
                                socket.send_to(from.to_string().as_bytes(), to).unwrap();
                                let error =
                                    TcpStream::connect_timeout(to, ANSWER_WITHIN).unwrap_err();
                                error.kind() == std::io::ErrorKind::ConnectionRefused
                            })
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut arrived = std::collections::BTreeSet::new();
            for (socket, port) in udp.iter().zip(PORTS) {
                let mut buffer = [0; 64];
                while let Ok(size) = socket.recv(&mut buffer) {
                    arrived.insert((String::from_utf8_lossy(&buffer[..size]).into_owned(), port));
                }
            }
            for ((_, from, to), is_answered) in probes.iter().zip(answered) {
                let wanted = lets_in(&section, "tcp", *from, to.port());
                prop_assert_eq!(is_answered, wanted, "tcp from {} to {}", from, to);
                let has_arrived = arrived.contains(&(from.to_string(), to.port()));
                let modelled = modelled(&section, *from, to.port());
                prop_assert_eq!([is_answered, has_arrived], modelled, "model: {} to {}", from, to);
                let wanted = lets_in(&section, "udp", *from, to.port());
                prop_assert_eq!(has_arrived, wanted, "udp from {} to {}", from, to);
            }
            Ok(())
        })
        .unwrap();
}
