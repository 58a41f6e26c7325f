//! `holdfast exposure`: what listens is listed, with who serves there, and what it says of each is what a peer meets.

use std::{collections::BTreeSet, net::IpAddr};

use holdfast_test_host::{Peer, Tcp, Udp};
use serde_json::Value;

use crate::support::*;

const EXPOSURE: &str = "firewall.exposure";

/// Two open to all, one to the first peer's network over IPv4 only, and one on which nothing listens.
const RULES: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "p2p"
tcp = [4122]
udp = [4122]
[[firewall.allow]]
name = "office"
tcp = [7002]
udp = [7012]
from = ["10.99.1.0/24"]
[[firewall.allow]]
name = "later"
tcp = ["20000-20001"]
"#;

/// Serves at one socket: protocol, address, port, and whether IPv6 only. Answers every datagram.
const SERVER: &str = r#"
use IO::Socket::IP; use Socket;
my ($proto, $address, $port, $only) = @ARGV;
if ($proto eq "raw") {
    socket(my $raw, AF_INET, SOCK_RAW, $port) or die $!;
    sleep 1 while 1;
}
my %how = $proto eq "tcp" ? (Listen => 5) : ();
my @family = $address =~ /:/ ? (Family => AF_INET6, V6Only => $only) : (Family => AF_INET);
my $socket = IO::Socket::IP->new(LocalHost => $address, LocalPort => $port, Proto => $proto, ReuseAddr => 1, @family, %how) or die $@;
while (1) {
    if ($proto eq "tcp") { $socket->accept; next }
    my $from = $socket->recv(my $said, 1500);
    $socket->send($said, 0, $from);
}
"#;

/// Protocol, address, port, IPv6 only, reached over IPv4 and IPv6.
type Planted = (&'static str, &'static str, u16, bool, (bool, bool));

/// Every kind of listener: protocol, address, port, IPv6 only, and whether the outside reaches it without a firewall
/// over IPv4 and IPv6. `HOST` is the host's own address towards the peer.
const PLANTED: [Planted; 15] = [
    ("tcp", "0.0.0.0", 7001, false, (true, false)),
    ("tcp", "::", 7002, false, (true, true)),
    ("tcp", "::", 7003, true, (false, true)),
    ("tcp", "127.0.0.1", 7004, false, (false, false)),
    ("tcp", "::1", 7005, true, (false, false)),
    ("tcp", "HOST4", 7006, false, (true, false)),
    ("tcp", "HOST6", 7007, true, (false, true)),
    ("tcp", "::", 4122, false, (true, true)),
    ("udp", "0.0.0.0", 7011, false, (true, false)),
    ("udp", "::", 7012, false, (true, true)),
    ("udp", "::", 7013, true, (false, true)),
    ("udp", "127.0.0.1", 7014, false, (false, false)),
    ("udp", "::1", 7015, true, (false, false)),
    ("udp", "0.0.0.0", 4122, false, (true, false)),
    ("raw", "0.0.0.0", 89, false, (false, false)),
];

fn unit(protocol: &str, port: u16) -> String {
    format!("planted-{protocol}-{port}.service")
}

/// Starts every listener, each in a unit of its own, and waits until the kernel has them.
fn plant(host: &Host, peer: &Peer) {
    host.push("/root/server.pl", SERVER, 0o600).unwrap();
    let mut script = String::new();
    for (protocol, address, port, only, _) in PLANTED {
        let address = match address {
            "HOST4" => peer.host_v4().to_string(),
            "HOST6" => peer.host_v6().to_string(),
            other => other.to_owned(),
        };
        let (unit, only) = (unit(protocol, port), u8::from(only));
        script.push_str(&format!(
            "systemd-run -q --unit={unit} perl /root/server.pl {protocol} {address} {port} {only}\n"
        ));
    }
    let count = PLANTED.len();
    script.push_str(&format!(
        "for i in $(seq 100); do\n\
         n=$(cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 /proc/net/raw | \
             grep -cE ':(1B5[9-F]|1B6[0-7]|101A|0059) .*:[0-9A-F]{{4}} (0A|07) ')\n\
         [ $n -ge {count} ] && exit 0; sleep 0.1; done; echo only $n; exit 1\n"
    ));
    host.sh(&script).unwrap().ok().unwrap();
}

/// What `holdfast exposure` says.
struct Said {
    exit: i32,
    json: Value,
}

impl Said {
    fn by(host: &Host) -> Self {
        let output = holdfast(host, &["exposure", "--format", "json"]);
        let json = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", output.stdout, output.stderr));
        Self { exit: output.status.unwrap_or(-1), json }
    }

    fn ways(&self) -> &[Value] {
        self.json["ways"].as_array().unwrap()
    }

    /// Protocol and port of what is a finding.
    fn findings(&self) -> BTreeSet<(String, u64)> {
        let bad = self.ways().iter().filter(|way| way["finding"] == true);
        bad.map(door).collect()
    }

    /// Whether it says that a client at this address reaches the port.
    fn says_reached(&self, protocol: &str, port: u16, from: IpAddr, to: IpAddr) -> bool {
        self.ways().iter().any(|way| {
            let address: IpAddr = way["address"].as_str().unwrap().parse().unwrap();
            let takes = match (address.is_unspecified(), address, to) {
                (true, IpAddr::V6(_), IpAddr::V4(_)) => way["v6_only"] == false,
                (true, IpAddr::V6(_), IpAddr::V6(_)) | (true, IpAddr::V4(_), IpAddr::V4(_)) => true,
                _ => address == to,
            };
            let admits = match way["reach"].as_str().unwrap() {
                "open" | "unproven" => true,
                "admitted" => way["by"].as_array().unwrap().iter().any(|allow| {
                    allow["from"].as_array().is_none_or(|nets| {
                        nets.iter().any(|net| {
                            let net: ipnet::IpNet = net.as_str().unwrap().parse().unwrap();
                            net.contains(&from)
                        })
                    })
                }),
                _ => false,
            };
            door(way) == (protocol.to_owned(), port.into()) && takes && admits
        })
    }
}

fn door(way: &Value) -> (String, u64) {
    (way["transport"].as_str().unwrap().to_owned(), way["port"].as_u64().unwrap())
}

/// Whether a peer really reaches a port.
fn reaches(peer: &Peer, protocol: &str, port: u16, to: IpAddr) -> bool {
    match protocol {
        "tcp" => peer.tcp((to, port).into()).unwrap() == Tcp::Open,
        _ => matches!(peer.udp_to((to, port).into(), b"?").unwrap(), Udp::Answered(_)),
    }
}

/// Holds what is said of every listed TCP and UDP port against what each peer meets there.
fn agrees(said: &Said, peers: &[&Peer], when: &str) {
    let doors: BTreeSet<(String, u16)> = said
        .ways()
        .iter()
        .map(door)
        .filter(|(protocol, _)| protocol == "tcp" || protocol == "udp")
        .map(|(protocol, port)| (protocol, u16::try_from(port).unwrap()))
        .collect();
    assert!(doors.len() >= PLANTED.len() - 1, "{when}: {doors:?}");
    std::thread::scope(|scope| {
        let mut probes = Vec::new();
        for peer in peers {
            let ways: [(IpAddr, IpAddr); 2] = [
                (peer.v4().into(), peer.host_v4().into()),
                (peer.v6().into(), peer.host_v6().into()),
            ];
            for (protocol, port) in &doors {
                for (from, to) in ways {
                    let wanted = said.says_reached(protocol, *port, from, to);
                    let probe = scope.spawn(move || reaches(peer, protocol, *port, to));
                    probes.push((
                        format!("{when}: {protocol} {port} from {from} to {to}"),
                        wanted,
                        probe,
                    ));
                }
            }
        }
        let wrong: Vec<_> = probes
            .into_iter()
            .map(|(what, said, probe)| (what, said, probe.join().unwrap()))
            .filter(|(_, said, met)| said != met)
            .map(|(what, said, met)| format!("{what}: said to be reached: {said}, reached: {met}"))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

on_hosts! {
    /// Listeners of every kind, before a firewall and behind one: what is said is what two peers meet.
    fn what_is_said_is_what_a_peer_meets(host: &Host) {
        let (one, two) = (host.peer("one").unwrap(), host.peer("two").unwrap());
        let (inside, outside) = if one.v4().octets()[2] == 1 { (one, two) } else { (two, one) };
        plant(host, &inside);
        give(host, RULES);
        let before = Said::by(host);
        assert_eq!(before.exit, 2);
        assert_eq!(before.json["in_force"], false);
        // Every listener is there, with the unit that runs it.
        for (protocol, _, port, _, (v4, v6)) in PLANTED {
            let wanted = (protocol.to_owned(), u64::from(port));
            let fitting: Vec<_> = before.ways().iter().filter(|way| door(way) == wanted).collect();
            assert_eq!(fitting.len(), 1, "{wanted:?} in {:#}", before.json);
            assert_eq!(fitting[0]["owner"]["unit"], unit(protocol, port).as_str());
            assert_eq!(fitting[0]["owner"]["process"], "perl");
            let reach = if v4 || v6 || protocol == "raw" { "open" } else { "loopback" };
            assert_eq!(fitting[0]["reach"], reach, "{wanted:?}");
        }
        let sshd = before.ways().iter().find(|way| door(way) == ("tcp".to_owned(), 22)).unwrap();
        assert_eq!(sshd["owner"]["unit"], "ssh.service");
        agrees(&before, &[&inside, &outside], "before");
        // Declared for anybody: no finding. Declared for some: more can reach it now.
        let findings = before.findings();
        for (protocol, _, port, _, (v4, v6)) in PLANTED {
            let is_finding = (v4 || v6 || protocol == "raw") && port != 4122;
            let door = (protocol.to_owned(), u64::from(port));
            assert_eq!(findings.contains(&door), is_finding, "{door:?}");
        }
        let verified = verify(host);
        assert_eq!(verified.outcome(EXPOSURE), "fail");
        assert!(verified.observed(EXPOSURE).contains("planted-"), "{}", verified.observed(EXPOSURE));

        apply(host);
        let after = Said::by(host);
        assert_eq!((after.exit, &after.json["in_force"]), (0, &Value::Bool(true)), "{:#}", after.json);
        assert_eq!(after.findings(), BTreeSet::new());
        agrees(&after, &[&inside, &outside], "after");
        assert_passes(&verify(host));
        // A way for each verdict, in words.
        let text = holdfast(host, &["exposure"]).stdout;
        for part in [
            "let in by p2p from anywhere", "let in by office from 10.99.1.0/24",
            "denied: no rule lets anybody in", "this host only",
            "tcp 20000-20001: later lets it in, and nothing listens",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("OPEN"), "{text}");
    }
}

on_hosts! {
    /// A firewall that is not provably in force keeps nobody out, and correct makes it so again.
    fn what_an_intruder_opens_is_said_to_be_open(host: &Host) {
        let peer = host.peer("one").unwrap();
        plant(host, &peer);
        give(host, RULES);
        apply(host);
        // A table of somebody else's making keeps out what nobody can tell.
        for (script, outcome) in [
            ("nft insert rule inet holdfast input tcp dport 7001 accept", "cannot-check"),
            ("nft 'add table inet holdfast { flags dormant; }'", "drift"),
            ("nft delete table inet holdfast", "drift"),
        ] {
            host.sh(script).unwrap().ok().unwrap();
            assert!(reaches(&peer, "tcp", 7001, peer.host_v4().into()), "{script}");
            let said = Said::by(host);
            assert_eq!((said.exit, &said.json["in_force"]), (2, &Value::Bool(false)), "{script}");
            assert!(said.findings().contains(&("tcp".to_owned(), 7001)), "{script}");
            assert_eq!(verify(host).outcome(EXPOSURE), outcome, "{script}");
            correct(host);
            assert_eq!(Said::by(host).exit, 0, "{script}");
            assert!(!reaches(&peer, "tcp", 7001, peer.host_v4().into()), "{script}");
        }
    }
}

on_hosts! {
    /// Without a firewall in the profile everything that listens is open and undeclared.
    fn a_profile_without_a_firewall_declares_nothing(host: &Host) {
        give(host, "");
        let said = Said::by(host);
        assert_eq!(said.exit, 2);
        assert!(said.findings().contains(&("tcp".to_owned(), 22)), "{:#}", said.json);
        give(host, "[firewall]\nmode = \"audit\"\n[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n");
        let said = Said::by(host);
        let sshd = said.ways().iter().find(|way| door(way) == ("tcp".to_owned(), 22)).unwrap();
        assert_eq!((&sshd["reach"], &sshd["finding"]), (&"open".into(), &false.into()), "declared");
    }
}
