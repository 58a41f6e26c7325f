//! What goes through a host, with packets: a client, a host that publishes ports as container engines do, a container.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use super::namespaces::{ANSWER_WITHIN, Namespace, section};

/// Published ports: 8080 and 4122 lead to 80, 5433 leads to 5432. The host itself has 22.
const PUBLISHED: &str = "
table inet engine {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname \"veth1\" ip daddr 10.77.1.1 tcp dport { 8080, 4122 } dnat ip to 10.77.2.2:80
    iifname \"veth1\" ip daddr 10.77.1.1 tcp dport 5433 dnat ip to 10.77.2.2:5432
    iifname \"veth1\" ip6 daddr fd00:77:1::1 tcp dport { 8080, 4122 } dnat ip6 to [fd00:77:2::2]:80
    iifname \"veth1\" ip6 daddr fd00:77:1::1 tcp dport 5433 dnat ip6 to [fd00:77:2::2]:5432
  }
}
";

/// One port for all, one for the client's network only, and one for another network.
const RULES: &str = r#"
outside = ["veth1"]
[[allow]]
name = "web"
tcp = [8080]
[[allow]]
name = "p2p"
tcp = ["4120-4125"]
from = ["10.77.1.0/24", "fd00:77:9::/64"]
"#;

/// A client and a container, and the host between them.
pub(super) struct Three {
    pub(super) client: Namespace,
    pub(super) host: Namespace,
    pub(super) container: Namespace,
    /// Those of the container, 80 and 5432, and the client's.
    pub(super) listeners: Vec<TcpListener>,
}

impl Three {
    pub(super) fn new() -> Self {
        let [client, host, container] = [(); 3].map(|()| Namespace::new());
        host.connect(&client, 1);
        host.connect(&container, 2);
        for (namespace, number) in [(&client, 1), (&container, 2)] {
            for (version, via) in
                [("-4", format!("10.77.{number}.1")), ("-6", format!("fd00:77:{number}::1"))]
            {
                namespace.run("ip", &[version, "route", "add", "default", "via", &via], "");
            }
        }
        host.within(|| {
            for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{key}"), "1").unwrap();
            }
        });
        host.run("nft", &["-f", "-"], PUBLISHED);
        let listen = |port: u16| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        let mut listeners = container.within(|| vec![listen(80), listen(5432)]);
        listeners.push(client.within(|| listen(7)));
        Self { client, host, container, listeners }
    }

    /// Which of the addresses a namespace can connect to.
    pub(super) fn reached(from: &Namespace, to: &[&str]) -> Vec<String> {
        let open = |to: &&&str| {
            let to: SocketAddr = to.parse().unwrap();
            from.within(|| TcpStream::connect_timeout(&to, ANSWER_WITHIN).is_ok())
        };
        thread::scope(|scope| {
            let tries: Vec<_> = to.iter().map(|to| (to, scope.spawn(move || open(&to)))).collect();
            let reached =
                tries.into_iter().filter_map(|(to, open)| open.join().unwrap().then_some(to));
            reached.map(ToString::to_string).collect()
        })
    }
}

/// What the client tries: published ports, and the container itself.
pub(super) const TRIED: [&str; 9] = [
    "10.77.1.1:8080",
    "10.77.1.1:4122",
    "10.77.1.1:5433",
    "10.77.2.2:80",
    "10.77.2.2:5432",
    "[fd00:77:1::1]:8080",
    "[fd00:77:1::1]:4122",
    "[fd00:77:1::1]:5433",
    "[fd00:77:2::2]:80",
];

/// The way out of the container.
pub(super) const OUT: [&str; 2] = ["10.77.1.2:7", "[fd00:77:1::2]:7"];

#[test]
fn a_port_means_the_same_whether_a_process_or_a_container_serves_it() {
    let three = Three::new();
    assert_eq!(Three::reached(&three.client, &TRIED), TRIED, "before");
    three.host.load(&section(RULES));
    let allowed = ["10.77.1.1:8080", "10.77.1.1:4122", "[fd00:77:1::1]:8080"];
    assert_eq!(Three::reached(&three.client, &TRIED), allowed);
    assert_eq!(Three::reached(&three.container, &OUT), OUT, "containers get out");
    three.host.assert_holds(&section(RULES));
    // The engine forgets and publishes again, as when it is restarted.
    three.host.run("nft", &["delete", "table", "inet", "engine"], "");
    three.host.run("nft", &["-f", "-"], PUBLISHED);
    assert_eq!(Three::reached(&three.client, &TRIED), allowed, "after the engine's restart");
    // A pattern means the same.
    let pattern = RULES.replace("veth1", "veth1*");
    three.host.load(&section(&pattern));
    three.host.assert_holds(&section(&pattern));
    assert_eq!(Three::reached(&three.client, &TRIED), allowed, "by pattern");
}

#[test]
fn forwarding_is_denied_or_left_alone_where_that_is_asked_for() {
    let three = Three::new();
    let denied = section("forward = \"deny\"\n[[allow]]\nname = \"web\"\ntcp = [8080]");
    three.host.load(&denied);
    three.host.assert_holds(&denied);
    assert!(Three::reached(&three.client, &TRIED).is_empty());
    assert!(Three::reached(&three.container, &OUT).is_empty());
    let off = section("forward = \"off\"");
    three.host.load(&off);
    three.host.assert_holds(&off);
    assert_eq!(Three::reached(&three.client, &TRIED), TRIED);
    assert_eq!(Three::reached(&three.container, &OUT), OUT);
}

#[test]
fn a_connection_to_a_container_outlives_a_rule_and_new_ones_do_not() {
    let three = Three::new();
    three.host.load(&section(RULES));
    let to: SocketAddr = "10.77.1.1:8080".parse().unwrap();
    let stream = three.client.within(|| TcpStream::connect_timeout(&to, ANSWER_WITHIN).unwrap());
    three.host.load(&section("outside = [\"veth1\"]"));
    assert!(Three::reached(&three.client, &TRIED).is_empty());
    let (mut served, _) = three.listeners[0].accept().unwrap();
    (&stream).write_all(b"still here").unwrap();
    served.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let mut heard = [0; 10];
    served.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");
}

#[test]
fn every_uplink_leads_outside_whatever_table_or_route_names_it() {
    let three = Three::new();
    let elsewhere = Namespace::new();
    three.host.connect(&elsewhere, 3);
    let rules = section(&RULES.replace("outside = [\"veth1\"]\n", ""));
    let allowed = ["10.77.1.1:8080", "10.77.1.1:4122", "[fd00:77:1::1]:8080"];
    let main = ["default", "via", "10.77.3.2"];
    // By a policy; beside another one; as VPN clients write it.
    let ways: [&[&[&str]]; 3] = [
        &[&main, &["default", "via", "10.77.1.2", "table", "100"]],
        &[&["default", "nexthop", "via", "10.77.3.2", "nexthop", "via", "10.77.1.2"]],
        &[&main, &["0.0.0.0/1", "via", "10.77.1.2"], &["128.0.0.0/1", "via", "10.77.1.2"]],
    ];
    for routes in ways {
        let route = |verb: &str| {
            for words in routes {
                let words = [&["route", verb], *words].concat();
                three.host.run("ip", &words, "");
            }
        };
        route("add");
        three.host.load(&rules);
        three.host.assert_holds(&rules);
        let reached = Three::reached(&three.client, &TRIED);
        assert_eq!(reached, allowed, "{routes:?}");
        three.host.run("nft", &["delete", "table", "inet", "holdfast"], "");
        route("del");
    }
}
