//! `holdfast exposure` where containers serve: what engines publish is listed by name, and judged as the firewall does.

use std::collections::BTreeMap;

use holdfast_test_host::Tcp;
use serde_json::Value;

use super::{
    ALLOW,
    engine::{Engine, greeting, import},
};
use crate::support::*;

/// What is said of each published port: by `tcp 4122`, the container and how it is reached. A port that is published for
/// IPv4 and for IPv6 is said to be reached one way.
fn published(host: &Host) -> (Value, BTreeMap<String, (String, String)>) {
    let output = holdfast(host, &["exposure", "--format", "json"]);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    let mut found: BTreeMap<String, (String, String)> = BTreeMap::new();
    for way in json["ways"].as_array().unwrap().iter().filter(|way| way["kind"] == "published") {
        let text = |key: &str| way[key].as_str().unwrap().to_owned();
        let said = (text("container"), text("reach"));
        let door = format!("{} {}", text("transport"), way["port"]);
        let before = found.insert(door.clone(), said.clone());
        assert!(before.is_none_or(|before| before == said), "{door} in {json:#}");
    }
    (json, found)
}

fn all(reaches: [(&str, &str, &str); 5]) -> BTreeMap<String, (String, String)> {
    let one = |(door, container, reach): (&str, &str, &str)| {
        (door.to_owned(), (container.to_owned(), reach.to_owned()))
    };
    reaches.into_iter().map(one).collect()
}

fn listed(engine: Engine, host: &Host) {
    engine.start(host);
    let _peer = host.peer("outside0").unwrap();
    give(host, &format!("[firewall]\noutside = [\"outside0\"]\n{ALLOW}"));
    let (before, found) = published(host);
    let open = all([
        ("tcp 4122", "signer", "open"),
        ("tcp 5432", "database", "open"),
        ("tcp 9184", "metrics", "loopback"),
        ("udp 20444", "datagrams", "open"),
        ("udp 5353", "datagrams", "open"),
    ]);
    assert_eq!(found, open, "{before:#}");
    assert_eq!(before["unseen"], Value::Array(Vec::new()));
    let doors = |json: &Value| -> Vec<String> {
        let bad = json["ways"].as_array().unwrap().iter().filter(|way| way["finding"] == true);
        let mut doors: Vec<_> = bad
            .map(|way| format!("{} {}", way["transport"].as_str().unwrap(), way["port"]))
            .collect();
        doors.sort();
        doors.dedup();
        doors
    };
    assert_eq!(doors(&before), ["tcp 5432", "udp 5353"], "{before:#}");
    // A firewall that does not judge what is forwarded: in force, and these stay open.
    give(host, &format!("[firewall]\nforward = \"off\"\noutside = [\"outside0\"]\n{ALLOW}"));
    apply_with_findings(host);
    let (around, found) = published(host);
    assert_eq!((found, &around["in_force"]), (open, &Value::Bool(true)));
    assert_eq!(verify(host).outcome("firewall.exposure"), "pass");
    assert_eq!(verify(host).outcome("firewall.exposure/unfiltered"), "cannot-check");

    give(host, &format!("[firewall]\noutside = [\"outside0\"]\n{ALLOW}"));
    apply(host);
    let (after, found) = published(host);
    let closed = all([
        ("tcp 4122", "signer", "admitted"),
        ("tcp 5432", "database", "denied"),
        ("tcp 9184", "metrics", "loopback"),
        ("udp 20444", "datagrams", "admitted"),
        ("udp 5353", "datagrams", "denied"),
    ]);
    assert_eq!(found, closed, "{after:#}");
    assert_eq!(doors(&after), Vec::<String>::new());
}

/// Applies; that something besides the rules cannot be told is no reason to go back.
fn apply_with_findings(host: &Host) {
    let report = report(host, "apply");
    assert_eq!(
        (report.exit, &report.json["outcome"]),
        (2, &"committed".into()),
        "{:#}",
        report.json
    );
}

on_hosts! {
    Image::Containers;
    /// Docker's published ports by name; without its answer by what the kernel and its proxies show; and an allow that
    /// takes its ports from a container.
    fn docker(host: &Host) {
        listed(Engine::Docker, host);
        // The signer in its container listens on port 80, which is the host's 4122.
        host.push("/etc/sbtc-signer/signer-config.toml", "[signer.p2p]\nlisten_on = [\"tcp://0.0.0.0:80\"]\n", 0o600).unwrap();
        let from_container = "[firewall]\noutside = [\"outside0\"]\n[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n\
            [[firewall.allow]]\nname = \"p2p\"\nfrom_config = \"sbtc-signer\"\n\
            config_file = \"/etc/sbtc-signer/signer-config.toml\"\ncontainer = \"signer\"\n";
        give(host, from_container);
        apply(host);
        let (said, found) = published(host);
        assert_eq!(found["tcp 4122"].1, "admitted", "{said:#}");
        assert_eq!(found["udp 20444"].1, "denied", "{said:#}");
        assert_eq!(verify(host).observed("firewall.from-config/p2p"), "tcp 4122");
        // An engine that hangs: what it publishes is still found, and it is said that it was not asked.
        host.sh("kill -STOP $(cat /run/docker.pid)").unwrap().ok().unwrap();
        let (said, found) = published(host);
        host.sh("kill -CONT $(cat /run/docker.pid)").unwrap().ok().unwrap();
        assert!(said["unseen"][0].as_str().unwrap().contains("what Docker publishes"), "{said:#}");
        let proxies = said["ways"].as_array().unwrap().iter().filter(|way| way["owner"]["process"] == "docker-proxy");
        let mut ports: Vec<u64> = proxies.map(|way| way["port"].as_u64().unwrap()).collect();
        ports.extend(found.keys().filter_map(|door| door.split(' ').nth(1)?.parse::<u64>().ok()));
        for port in [4122, 5432, 20444, 5353] {
            assert!(ports.contains(&port), "{port} in {said:#}");
        }
    }
}

on_hosts! {
    Image::Containers;
    /// Podman's published ports by name.
    fn podman(host: &Host) {
        listed(Engine::Podman, host);
    }
}

on_hosts! {
    Image::Containers;
    /// A container in the host's own network is judged as a process of the host; one beside the host (macvlan) is out of
    /// its firewall's reach, and is named. Rules of the older interface, which nft does not show, are named too.
    fn containers_as_the_host_and_beside_it(host: &Host) {
        let peer = host.peer("outside0").unwrap();
        import(host, "docker");
        let page = "box /bin/httpd -f -h /www -p";
        let beside = std::net::Ipv4Addr::from(u32::from(peer.host_v4()) | 0x70);
        host.sh(&format!("
            docker network create -d macvlan -o parent=outside0 --subnet {} --gateway {} --ip-range {beside}/32 beside
            docker run -d --name within --network host {page} 7100
            docker run -d --name apart --network beside --ip {beside} {page} 7100", net(beside), peer.v4()))
            .unwrap().ok().unwrap();
        give(host, &format!("[firewall]\noutside = [\"outside0\"]\n{ALLOW}"));
        apply_with_findings(host);
        let output = holdfast(host, &["exposure", "--format", "json"]);
        let said: Value = serde_json::from_str(&output.stdout).unwrap();
        let ways = said["ways"].as_array().unwrap();
        let within = ways.iter().find(|way| way["port"] == 7100).unwrap();
        assert_eq!((&within["reach"], &within["owner"]["container"]), (&"denied".into(), &"within".into()), "{within:#}");
        assert_eq!(peer.tcp_open(7100).unwrap(), Tcp::Filtered);
        assert_eq!(said["apart"][0]["container"], "apart", "{said:#}");
        assert_eq!(said["apart"][0]["driver"], "macvlan", "{said:#}");
        assert_eq!(greeting(&peer, (beside, 7100).into()), "from a container");
        let seen = verify(host);
        assert_eq!(seen.outcome("firewall.exposure/unfiltered"), "cannot-check");
        assert!(seen.observed("firewall.exposure/unfiltered").contains("apart"), "{}", seen.observed("firewall.exposure/unfiltered"));

        assert_eq!(seen.outcome("firewall.neighbours/iptables-legacy"), "pass");
        host.sh("iptables-legacy -I INPUT -p tcp --dport 7100 -j ACCEPT").unwrap().ok().unwrap();
        let legacy = verify(host);
        assert_eq!(legacy.outcome("firewall.neighbours/iptables-legacy"), "drift");
        assert!(legacy.observed("firewall.neighbours/iptables-legacy").contains("tables filter"));
        assert_eq!(peer.tcp_open(7100).unwrap(), Tcp::Filtered, "they only close more");
        // An apply goes on beside what it cannot mend.
        give(host, &format!("[firewall]\noutside = [\"outside0\"]\nping = false\n{ALLOW}"));
        apply_with_findings(host);
    }
}

/// The network of 256 addresses that one is in.
fn net(address: std::net::Ipv4Addr) -> String {
    let [a, b, c, _] = address.octets();
    format!("{a}.{b}.{c}.0/24")
}
