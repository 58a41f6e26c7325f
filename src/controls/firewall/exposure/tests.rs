//! What listens against what is let in, without a host.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::{
    Apart, Engine, Exposure, Force, Owner, Publication, Reach,
    judge::{Seen, judge},
    owner::of_cgroups,
    published, verdict,
};
use crate::{
    controls::firewall::Facts,
    engine::check::Verdict,
    host::endpoints::{Endpoint, Transport},
    profile::schema::Firewall,
};

const SECTION: &str = r#"
[[allow]]
name = "ssh"
tcp = [22]
from = ["203.0.113.0/24"]
[[allow]]
name = "p2p"
tcp = [4122]
udp = ["4122-4130"]
[[allow]]
name = "six"
tcp = [80]
from = ["2001:db8::/32"]
[[allow]]
name = "nobody"
tcp = [99]
from = []
"#;

fn section(more: &str) -> Firewall {
    toml::from_str(&format!("{more}\n{SECTION}")).unwrap()
}

fn socket(transport: Transport, address: &str, port: u16) -> Endpoint {
    Endpoint {
        transport,
        port,
        address: address.parse().unwrap(),
        v6_only: None,
        interface: None,
        inode: 7,
    }
}

fn published(first: u16, last: u16, address: Option<&str>) -> Publication {
    Publication {
        transport: Transport::Tcp,
        first,
        last,
        address: address.map(|text| text.parse().unwrap()),
        engine: Engine::Docker,
        container: "web".to_owned(),
        inside: Some(80),
    }
}

fn judged(section: Option<&Firewall>, force: Force, seen: Seen) -> Exposure {
    judge(section, &Facts::default(), force, seen, jiff::Timestamp::UNIX_EPOCH)
}

/// What is said of one socket behind the firewall: the verdict, and by which entries.
fn behind(endpoint: Endpoint) -> String {
    let seen = Seen { sockets: vec![(endpoint, None)], ..Seen::default() };
    let found = judged(Some(&section("")), Force::Yes, seen);
    let way = &found.ways[0];
    assert!(!way.is_finding(), "the firewall is in force");
    match &way.reach {
        Reach::Admitted(allows) => {
            let names: Vec<_> = allows.iter().map(|allow| allow.name.as_str()).collect();
            format!("admitted {}", names.join(" "))
        }
        reach => reach.word().to_owned(),
    }
}

#[test]
fn sockets_behind_the_firewall() {
    use Transport::{Raw, Sctp, Tcp, Udp, UdpLite};
    let only = |address: &str, port| Endpoint { v6_only: Some(true), ..socket(Tcp, address, port) };
    for (endpoint, wanted) in [
        (socket(Tcp, "0.0.0.0", 22), "admitted ssh"),
        (socket(Tcp, "::", 22), "admitted ssh"),
        (only("::", 22), "denied"), // ssh is let in over IPv4 only
        (socket(Tcp, "::ffff:10.0.0.1", 22), "admitted ssh"),
        (socket(Tcp, "2001:db8::1", 22), "denied"),
        (socket(Tcp, "10.0.0.1", 4122), "admitted p2p"),
        (socket(Udp, "0.0.0.0", 4125), "admitted p2p"),
        (socket(Tcp, "0.0.0.0", 4125), "denied"),
        (socket(Tcp, "0.0.0.0", 80), "denied"),
        (socket(Tcp, "::", 80), "admitted six"),
        (socket(Tcp, "0.0.0.0", 99), "denied"),
        (socket(Tcp, "0.0.0.0", 5432), "denied"),
        (socket(Tcp, "127.0.0.53", 4122), "loopback"),
        (socket(Tcp, "::1", 4122), "loopback"),
        (socket(Tcp, "::ffff:127.0.0.1", 4122), "loopback"),
        (socket(Udp, "0.0.0.0", 68), "needed"),
        (socket(Udp, "fe80::1", 546), "needed"),
        (socket(UdpLite, "0.0.0.0", 4122), "denied"),
        (socket(Sctp, "0.0.0.0", 4122), "denied"),
        (socket(Raw, "::", 58), "needed"),
        (socket(Raw, "0.0.0.0", 255), "needed"),
        (socket(Raw, "0.0.0.0", 89), "denied"),
    ] {
        assert_eq!(behind(endpoint), wanted, "{endpoint:?}");
    }
    let bound = Endpoint { interface: Some(1), ..socket(Tcp, "0.0.0.0", 4122) };
    let interfaces = vec![(1, "lo".to_owned())];
    let seen = Seen { sockets: vec![(bound, None)], interfaces, ..Seen::default() };
    assert_eq!(judged(Some(&section("")), Force::Yes, seen).ways[0].reach, Reach::Loopback);
}

#[test]
fn without_a_firewall_in_force_all_is_open() {
    let all = [22, 4122, 5432].map(|port| (socket(Transport::Tcp, "0.0.0.0", port), None));
    let local = (socket(Transport::Tcp, "127.0.0.1", 1), None);
    let seen =
        || Seen { sockets: [&all[..], std::slice::from_ref(&local)].concat(), ..Seen::default() };
    let cases = [
        (Some(section("")), Force::No("dormant".to_owned()), "open"),
        (Some(section("")), Force::Unproven("who knows".to_owned()), "unproven"),
        (Some(section("mode = \"audit\"")), Force::Yes, "open"),
        (Some(section("mode = \"off\"")), Force::Yes, "open"),
    ];
    for (section, force, word) in cases {
        let found = judged(section.as_ref(), force, seen());
        // ssh is declared for some, so it is a finding that anybody gets there; p2p is declared for anybody.
        let findings: Vec<_> = found.findings().map(super::Exposed::door).collect();
        assert_eq!(findings, ["tcp 22", "tcp 5432"], "{word}");
        let words: Vec<_> = found.ways.iter().map(|way| way.reach.word()).collect();
        assert_eq!(words, [word, word, word, "loopback"]);
        assert!(found.needs_attention());
    }
    let found = judged(None, Force::No("no firewall".to_owned()), seen());
    assert_eq!(found.findings().count(), 3);
    assert!(found.idle.is_empty());
}

#[test]
fn the_hosts_side_of_a_published_port_is_one_line_with_it() {
    let proxy = Owner { pid: 9, process: "docker-proxy".to_owned(), ..Owner::default() };
    let seen = Seen {
        sockets: vec![
            (socket(Transport::Tcp, "0.0.0.0", 8080), Some(proxy.clone())),
            (socket(Transport::Tcp, "0.0.0.0", 9090), Some(proxy)),
        ],
        publications: vec![published(8080, 8080, None), published(1, 1, Some("127.0.0.1"))],
        ..Seen::default()
    };
    let found = judged(Some(&section("")), Force::No("none".to_owned()), seen);
    let doors: Vec<_> = found.ways.iter().map(super::Exposed::door).collect();
    // Without the engine's word the proxy still tells.
    assert_eq!(doors, ["tcp 8080", "tcp 9090", "tcp 1"]);
    assert_eq!(found.ways[0].who(), "docker container web");
    assert_eq!(found.ways[2].reach, Reach::Loopback);
}

#[test]
fn a_range_is_declared_when_all_of_it_is() {
    let declared = |first, last| {
        let mut each = published(first, last, None);
        each.transport = Transport::Udp;
        let seen = Seen { publications: vec![each], ..Seen::default() };
        let found = judged(Some(&section("")), Force::No("none".to_owned()), seen);
        !found.ways[0].is_finding()
    };
    assert!(declared(4122, 4130));
    assert!(!declared(4122, 4131));
    assert!(!declared(4121, 4130));
}

#[test]
fn declared_ports_at_which_nobody_serves() {
    let seen = Seen {
        sockets: vec![
            (socket(Transport::Tcp, "127.0.0.1", 4122), None),
            (socket(Transport::Udp, "0.0.0.0", 4130), None),
        ],
        publications: vec![published(22, 22, None)],
        ..Seen::default()
    };
    let found = judged(Some(&section("")), Force::Yes, seen);
    let idle: Vec<_> = found
        .idle
        .iter()
        .map(|each| format!("{} {} {}", each.allow, each.protocol, each.ports))
        .collect();
    assert_eq!(idle, ["p2p tcp 4122", "six tcp 80"]);
}

#[test]
fn what_stands_beside_the_host_is_not_held_against_the_table() {
    let apart = Apart {
        engine: Engine::Docker,
        container: "node".to_owned(),
        network: "lan".to_owned(),
        driver: "macvlan".to_owned(),
        address: "203.0.113.9".to_owned(),
    };
    let seen = Seen { apart: vec![apart], ..Seen::default() };
    let found = judged(Some(&section("")), Force::Yes, seen);
    assert!(found.needs_attention());
    let judgements = verdict::exposed(&Ok(found));
    assert!(matches!(judgements[0].verdict, Verdict::Holds { .. }));
    assert_eq!(judgements[1].id(), "firewall.exposure/unfiltered");
    assert!(
        matches!(&judgements[1].verdict, Verdict::Unknown { why } if why.contains("node at 203.0.113.9"))
    );
    let unread = verdict::exposed(&Err("no /proc".to_owned()));
    assert!(matches!(unread[0].verdict, Verdict::Unknown { .. }));
}

#[test]
fn an_engine_that_does_not_answer_matters_where_nothing_is_in_force() {
    let seen =
        || Seen { unseen: vec!["what Docker publishes: it hangs".to_owned()], ..Seen::default() };
    assert!(!judged(Some(&section("")), Force::Yes, seen()).needs_attention());
    assert!(judged(Some(&section("")), Force::No("x".to_owned()), seen()).needs_attention());
}

#[test]
fn whose_a_process_is() {
    let id = "0123456789abcdef".repeat(4);
    for (text, unit, container) in [
        ("0::/system.slice/ssh.service\n".to_owned(), Some("ssh.service"), None),
        ("0::/init.scope\n".to_owned(), None, None),
        (
            "9:name=systemd:/system.slice/cron.service\n8:pids:/x.service\n0::/\n".to_owned(),
            Some("cron.service"),
            None,
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service".to_owned(),
            Some("web.service"),
            None,
        ),
        (format!("0::/system.slice/docker-{id}.scope\n"), Some("docker"), Some(&id)),
        (format!("0::/system.slice/docker-{id}.scope/init.scope\n"), Some("docker"), Some(&id)),
        (format!("0::/docker/{id}\n"), None, Some(&id)),
        (format!("0::/machine.slice/libpod-conmon-{id}.scope\n"), Some("libpod"), Some(&id)),
        ("garbage\n0:\n::\n".to_owned(), None, None),
    ] {
        let (found, within) = of_cgroups(&text);
        assert_eq!(found.is_some(), unit.is_some(), "{text}");
        assert!(found.unwrap_or_default().starts_with(unit.unwrap_or_default()), "{text}");
        assert_eq!(within.as_deref(), container.map(String::as_str), "{text}");
    }
}

fn lines(publications: &[Publication]) -> Vec<String> {
    let line = |each: &Publication| {
        let address =
            each.address.map_or_else(|| "*".to_owned(), |address: IpAddr| address.to_string());
        format!(
            "{} {address} {}-{} {} {:?}",
            each.transport, each.first, each.last, each.container, each.inside
        )
    };
    publications.iter().map(line).collect()
}

#[test]
fn what_docker_says() {
    let containers = json!([{
        "Id": "abc", "Names": ["/web"],
        "Ports": [
            { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
            { "IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
            { "IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp" },
            { "PrivatePort": 443, "Type": "tcp" },
        ],
        "NetworkSettings": { "Networks": { "lan": { "IPAddress": "203.0.113.9" }, "bridge": { "IPAddress": "172.17.0.2" } } },
    }]);
    let networks =
        json!([{ "Name": "bridge", "Driver": "bridge" }, { "Name": "lan", "Driver": "ipvlan" }]);
    let told = published::docker(&containers, &networks).unwrap();
    assert_eq!(
        lines(&told.publications),
        [
            "tcp 0.0.0.0 8080-8080 web Some(80)",
            "tcp :: 8080-8080 web Some(80)",
            "udp 127.0.0.1 5353-5353 web Some(53)"
        ]
    );
    assert_eq!(told.apart.len(), 1);
    assert_eq!(
        (told.apart[0].driver.as_str(), told.apart[0].address.as_str()),
        ("ipvlan", "203.0.113.9")
    );
    assert_eq!(told.names["abc"], "web");
    assert!(published::docker(&json!({}), &networks).is_none());
    assert!(published::docker(&json!([3, {}]), &json!([])).is_some());
}

#[test]
fn what_podman_says() {
    let containers = json!([{
        "Id": "abc", "Names": ["web"],
        "Ports": [
            { "host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp" },
            { "host_ip": "127.0.0.1", "container_port": 90, "host_port": 9000, "range": 3, "protocol": "tcp,udp" },
        ],
    }, { "Id": "def", "Names": ["quiet"], "Ports": null }]);
    let told = published::podman(&containers).unwrap();
    assert_eq!(
        lines(&told.publications),
        [
            "tcp * 8080-8080 web Some(80)",
            "tcp 127.0.0.1 9000-9002 web Some(90)",
            "udp 127.0.0.1 9000-9002 web Some(90)"
        ]
    );
    assert_eq!(published::podman(&serde_json::Value::Null).unwrap().names.len(), 0);
    assert!(published::podman(&json!("no")).is_none());
}

#[test]
fn what_the_kernels_rules_lead_elsewhere() {
    let listing = "table ip nat {\n\tchain DOCKER {\n\
        \t\tiifname \"docker0\" counter packets 0 bytes 0 return\n\
        \t\tiifname != \"docker0\" tcp dport 8080 counter packets 1 bytes 60 dnat to 172.17.0.2:80\n\
        \t\tip daddr 127.0.0.1 iifname != \"docker0\" udp dport 53 counter packets 0 bytes 0 dnat to 172.17.0.3:53\n\
        \t\tip daddr 10.0.0.1 tcp dport 9000-9002 dnat ip to 10.88.0.2:90\n\
        \t\ttcp dport 1 accept\n\t\tdnat to 10.0.0.1\n\t\ttcp dport { 1, 2 } dnat to 10.0.0.1\n\t}\n}\n";
    assert_eq!(
        lines(&published::nat(listing)),
        [
            "tcp * 8080-8080 172.17.0.2:80 Some(80)",
            "tcp 10.0.0.1 9000-9002 10.88.0.2:90 Some(90)",
            "udp 127.0.0.1 53-53 172.17.0.3:53 Some(53)",
        ]
    );
}

proptest! {
    #[test]
    fn nothing_an_engine_or_a_kernel_prints_is_too_odd(text in ".{0,200}", words in proptest::collection::vec("dnat|to|ip|tcp|dport|daddr|[0-9]{1,6}|[a-f0-9:.]{1,12}", 0..12)) {
        published::nat(&words.join(" "));
        of_cgroups(&text);
    }

    /// Behind a firewall in force nothing is a finding, and what is said to be let in is declared.
    #[test]
    fn behind_the_firewall_nothing_is_a_finding(port in 1u16.., v6 in any::<bool>(), only in any::<Option<bool>>()) {
        let address = if v6 { "::" } else { "0.0.0.0" };
        let endpoint = Endpoint { v6_only: only, ..socket(Transport::Tcp, address, port) };
        let said = behind(endpoint);
        let is_admitted = match port {
            22 => !v6 || only != Some(true),
            80 => v6,
            4122 => true,
            _ => false,
        };
        prop_assert_eq!(said.starts_with("admitted"), is_admitted);
    }
}
