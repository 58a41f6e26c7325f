//! The firewall: what a peer can reach before and after, what tampering is seen and put right, what stays as it was.

mod forward;
mod large;
mod limits;
mod namespaces;
mod sources;

use std::{
    io::{Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream},
    time::Duration,
};

use holdfast_test_host::{Peer, Tcp};

use crate::support::*;

/// SSH and the signer's port, and one range on which nothing listens.
const RULES: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
[[firewall.allow]]
name = "later"
tcp = ["20000-20001"]
"#;

/// The same, for peers on one network only.
const RULES_FROM: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
from = ["10.99.1.0/24", "fd00:99:1::/64"]
"#;

const RULESET: &str = "firewall.ruleset";
const IN_PATH: &str = "firewall.in-path";

/// Listens in the host on the ports that a signer's host has open, on IPv4 and IPv6. sshd has 22.
fn listen(host: &Host) -> Vec<TcpListener> {
    let listen = |port: &u16| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).unwrap();
    host.within(|| [4122, 5432, 9184].iter().map(listen).collect()).unwrap()
}

/// What a peer meets on each port, over IPv4 and IPv6 alike.
fn scan(peer: &Peer, ports: &[u16]) -> Vec<(u16, Tcp, Tcp)> {
    std::thread::scope(|scope| {
        let probes: Vec<_> = ports
            .iter()
            .map(|port| {
                scope.spawn(move || {
                    (*port, peer.tcp_open(*port).unwrap(), peer.tcp_open_v6(*port).unwrap())
                })
            })
            .collect();
        probes.into_iter().map(|probe| probe.join().unwrap()).collect()
    })
}

fn table(host: &Host) -> String {
    host.sh("nft -s list table inet holdfast 2>/dev/null || true").unwrap().ok().unwrap().stdout
}

on_hosts! {
    /// From outside: everything before, the declared ports and nothing else afterwards; the link itself keeps working.
    fn a_peer_reaches_the_declared_ports_only(host: &Host) {
        let _listeners = listen(host);
        let peer = host.peer("client").unwrap();
        let (o, r, f) = (Tcp::Open, Tcp::Refused, Tcp::Filtered);
        let ports = [22, 4122, 5432, 9184, 20000, 20001, 20002, 111];
        assert_eq!(
            scan(&peer, &ports),
            [(22, o, o), (4122, o, o), (5432, o, o), (9184, o, o), (20000, r, r), (20001, r, r), (20002, r, r), (111, r, r)],
            "before"
        );
        give(host, RULES);
        let before = verify(host);
        assert_eq!(before.exit, 2);
        assert_eq!(before.outcome(RULESET), "fail");
        assert_eq!(before.outcome(IN_PATH), "fail");
        apply(host);
        assert_passes(&verify(host));
        assert_eq!(verify(host).outcome(IN_PATH), "pass");
        // Neighbours are forgotten, so that they have to be discovered through the rules.
        host.run(["ip", "neigh", "flush", "all"]).unwrap().ok().unwrap();
        peer.run(["ip", "neigh", "flush", "all"]).unwrap().ok().unwrap();
        assert_eq!(
            scan(&peer, &ports),
            [(22, o, o), (4122, o, o), (5432, f, f), (9184, f, f), (20000, r, r), (20001, r, r), (20002, f, f), (111, f, f)],
            "after"
        );
        assert!(peer.ssh_banner(22).unwrap().is_some(), "sshd answers");
        for address in [peer.host_v4().to_string(), peer.host_v6().to_string()] {
            // The host's own ping, with the peer's network: this machine may have none.
            let root = host.root().display().to_string();
            let ping = peer.run(["chroot", &root, "ping", "-n", "-c", "1", "-W", "5", &address]);
            let ping = ping.unwrap();
            assert_eq!(ping.status, Some(0), "{ping}");
        }
        // The host itself gets out, and its answers come back in.
        let listener = peer.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 7)).unwrap()).unwrap();
        for address in [peer.v4().into(), std::net::IpAddr::from(peer.v6())] {
            let out = host.within(|| TcpStream::connect_timeout(&(address, 7).into(), Duration::from_secs(5)));
            out.unwrap().unwrap();
        }
        drop(listener);
    }
}

on_hosts! {
    /// Sources count: one peer is let in, the other is not.
    fn sources_are_told_apart(host: &Host) {
        let (one, two) = (host.peer("one").unwrap(), host.peer("two").unwrap());
        let (inside, outside) = if one.v4().octets()[2] == 1 { (one, two) } else { (two, one) };
        assert_eq!(inside.v4().octets()[2], 1, "the profile's network is a peer's");
        give(host, RULES_FROM);
        apply(host);
        assert_eq!(scan(&inside, &[22]), [(22, Tcp::Open, Tcp::Open)]);
        assert_eq!(scan(&outside, &[22]), [(22, Tcp::Filtered, Tcp::Filtered)]);
    }
}

on_hosts! {
    /// A connection that was open before goes on through apply, correct and another apply.
    fn established_connections_survive(host: &Host) {
        let listeners = listen(host);
        let peer = host.peer("client").unwrap();
        let to = (peer.host_v4(), 4122).into();
        let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
        let client = peer.within(connect).unwrap();
        let (server, _) = listeners[0].accept().unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let talk = |when: &str| {
            let mut byte = [0];
            for (mut from, mut to) in [(&client, &server), (&server, &client)] {
                from.write_all(b"?").unwrap();
                to.read_exact(&mut byte).unwrap_or_else(|error| panic!("{when}: {error}"));
            }
        };
        talk("before");
        give(host, RULES);
        apply(host);
        talk("after apply");
        host.sh("nft insert rule inet holdfast input tcp dport 9999 accept").unwrap().ok().unwrap();
        correct(host);
        talk("after correct");
        give(host, RULES_FROM);
        apply(host);
        talk("after another apply, that no longer allows its port");
    }
}

on_hosts! {
    /// Every kind of tampering is drift, named, and put right; a peer confirms both.
    fn tampering_is_flagged_and_corrected(host: &Host) {
        let _listeners = listen(host);
        let peer = host.peer("attacker").unwrap();
        give(host, RULES);
        apply(host);
        let whole = table(host);
        // What is done; how the finding begins; whether the signer's database is then open to the peer.
        let cases = [
            ("nft insert rule inet holdfast input tcp dport 5432 accept",
             "rule added to chain input: tcp dport 5432 accept", true),
            ("nft add rule inet holdfast input tcp dport 5432 accept",
             "rule added to chain input: tcp dport 5432 accept", false),
            ("nft 'chain inet holdfast input { policy accept; }'",
             "policy of chain input is accept, not drop", false),
            ("nft 'add chain inet holdfast in2 { type filter hook input priority -10; policy accept; }'",
             "chain in2 added (hook input, priority -10)", false),
            ("nft 'add table inet holdfast { flags dormant; }'",
             "the table is dormant: none of its rules is in force", true),
            ("nft flush chain inet holdfast input", "rule missing from chain input: ", false),
            ("nft delete table inet holdfast", "table inet holdfast is missing", true),
            ("nft flush ruleset", "table inet holdfast is missing", true),
            ("nft 'add set inet holdfast friends { type ipv4_addr; }'", "set friends added", false),
        ];
        for (script, wanted, opens) in cases {
            host.sh(script).unwrap().ok().unwrap();
            let report = verify(host);
            assert_eq!(report.exit, 2, "{script}");
            assert_eq!(report.outcome(RULESET), "drift", "{script}");
            assert!(report.observed(RULESET).starts_with(wanted), "{script}: {}", report.observed(RULESET));
            let is_open = peer.tcp_open(5432).unwrap() == Tcp::Open;
            assert_eq!(is_open, opens, "{script}: what the peer meets");
            correct(host);
            assert_passes(&verify(host));
            assert_eq!(table(host), whole, "{script}");
            assert_eq!(peer.tcp_open(5432).unwrap(), Tcp::Filtered, "{script}: after correct");
            assert_eq!(peer.tcp_open(4122).unwrap(), Tcp::Open, "{script}: after correct");
        }
    }
}

/// Somebody else's tables, as Docker and fail2ban have them.
const FOREIGN: &str = "
table ip nat {
  chain DOCKER { tcp dport 8080 dnat to 172.17.0.2:80; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER; }
}
table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 192.0.2.66 } }
  chain f2b-chain { type filter hook input priority filter - 1; policy accept; tcp dport 22 ip saddr @addr-set-sshd reject; }
}
";

on_hosts! {
    /// Foreign tables stay, handles and all; the second apply changes nothing; a roll-back brings back what was there.
    fn everything_else_stays_as_it_is(host: &Host) {
        host.push("/root/foreign.nft", FOREIGN, 0o600).unwrap();
        host.sh("nft -f /root/foreign.nft").unwrap().ok().unwrap();
        // With handles: a table that was loaded again would have others.
        let foreign = || {
            let script = "nft -a list table ip nat; nft -a list table inet f2b-table";
            host.sh(script).unwrap().ok().unwrap().stdout
        };
        // Somebody's own table of our name, which a roll-back must bring back.
        host.sh("nft add table inet holdfast; nft add chain inet holdfast mine; nft add rule inet holdfast mine tcp dport 1 counter accept")
            .unwrap().ok().unwrap();
        let (theirs, ours) = (foreign(), table(host));
        give(host, RULES);
        let plan = holdfast(host, &["plan"]);
        assert_eq!(plan.status, Some(2), "{plan}");
        assert!(plan.stdout.contains("+\t\ttcp dport 4122 counter accept comment \"allow signer-p2p\""), "{plan}");
        assert!(plan.stdout.contains("-\tchain mine {"), "{plan}");
        assert_eq!((foreign(), table(host)), (theirs.clone(), ours.clone()), "plan changes nothing");

        let first = apply(host).transaction();
        assert_eq!(foreign(), theirs, "after apply");
        let handles = || host.sh("nft -a -s list table inet holdfast").unwrap().ok().unwrap().stdout;
        let loaded = handles();
        apply(host);
        assert_eq!(handles(), loaded, "the second apply does not load the table again");
        host.sh("nft insert rule inet holdfast input accept").unwrap().ok().unwrap();
        correct(host);
        assert_eq!(foreign(), theirs, "after correct");
        holdfast(host, &["rollback", &first.to_string()]).ok().unwrap();
        assert_eq!(foreign(), theirs, "after rollback");
        assert_eq!(table(host), ours, "after rollback");
    }
}

on_hosts! {
    /// What cannot be seen is said to be so, with what to do; never a pass, never a drift.
    fn what_cannot_be_seen_is_not_judged(host: &Host) {
        give(host, RULES);
        apply(host);
        host.sh("mv /usr/sbin/nft /root/nft").unwrap().ok().unwrap();
        let report = verify(host);
        assert_eq!(report.exit, 2);
        for check in [RULESET, IN_PATH] {
            assert_eq!(report.outcome(check), "cannot-check");
            let observed = report.observed(check);
            assert!(observed.contains("apt-get install nftables"), "{observed}");
        }
        host.sh("mv /root/nft /usr/sbin/nft").unwrap().ok().unwrap();
        // Without the capability to look: setpriv takes it from the bounding set, and so from root.
        let words = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "holdfast", "verify", "--format", "json"];
        let output = host.run(words).unwrap();
        let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let result = json["results"].as_array().unwrap().iter().find(|r| r["check"] == RULESET).unwrap();
        assert_eq!(result["outcome"], "cannot-check", "{result}");
        assert!(result["observed"].as_str().unwrap().contains("CAP_NET_ADMIN"), "{result}");
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// Logins that come too often are dropped, of one source and not of another; what is counted is no drift.
    fn logins_are_counted_by_source(host: &Host) {
        let (often, other) = (host.peer("often").unwrap(), host.peer("other").unwrap());
        give(host, "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\nrate = \"3/hour\"\n");
        apply(host);
        let tries = |peer: &Peer| (0..5).map(|_| peer.tcp_open(22).unwrap()).filter(|met| *met == Tcp::Open).count();
        assert_eq!(tries(&often), 3);
        assert_eq!(other.tcp_open(22).unwrap(), Tcp::Open, "another source");
        assert_passes(&verify(host));
        correct(host);
        assert_eq!(often.tcp_open(22).unwrap(), Tcp::Filtered, "a correction forgives nothing");
    }
}
