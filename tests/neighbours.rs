//! Other firewalls on the same host, and rules of others that lead around ours: each is found, named, and gone again
//! from the report once it is gone from the host.

use holdfast_test_host::Tcp;

use crate::support::*;

const RULES: &str = "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n";

const BYPASS: &str = "firewall.bypass";

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

on_hosts! {
    /// Every way around that is planted is named with its table, chain and rule; a packet proves the first of them.
    fn what_leads_around_the_firewall_is_found(host: &Host) {
        let peer = host.peer("attacker").unwrap();
        give(host, RULES);
        apply(host);
        assert_passes(&verify(host));
        let plants = [
            ("inet", "evil", "type nat hook prerouting priority -150; tcp dport 8080 redirect to :22", "rule 2 redirects packets: tcp dport 8080 redirect to :22"),
            ("ip", "evil", "type nat hook prerouting priority -150; tcp dport 8080 dnat to 192.0.2.1:22", "rule 2 gives packets another destination: tcp dport 8080 dnat to 192.0.2.1:22"),
            ("inet", "evil", "type filter hook prerouting priority -300; tcp dport 22 notrack", "rule 2 hides packets from connection tracking: tcp dport 22 notrack"),
            ("netdev", "evil", "type filter hook ingress device lo priority -500; tcp dport 8080 tcp dport set 22", "rule 2 writes into packets' headers: tcp dport 8080 tcp dport set 22"),
            ("netdev", "evil", "type filter hook ingress device lo priority -500; tcp dport 8080 fwd to lo", "rule 2 sends packets on before any firewall"),
            ("inet", "evil", "type filter hook input priority 10; tcp dport 22 tcp dport set 8080", "rule 2 writes into packets' headers: tcp dport 22 tcp dport set 8080"),
            ("ip", "evil", "type filter hook input priority -10; tcp dport 8080 synproxy mss 1460 wscale 7", "rule 2 answers in this host's stead"),
        ];
        for (index, (family, table, chain, words)) in plants.iter().enumerate() {
            sh(host, &format!("nft 'table {family} {table} {{ chain first {{ {chain}; }}; }}'"));
            if index == 0 {
                assert_eq!(peer.tcp_open(8080).unwrap(), Tcp::Open, "the bypass is one");
            }
            let report = verify(host);
            assert_eq!(report.outcome(BYPASS), "drift", "{chain}");
            assert_eq!(report.outcome("firewall.ruleset"), "pass", "{chain}");
            let observed = report.observed(BYPASS);
            assert!(observed.contains(&format!("table {family} {table}, chain first, {words}")), "{chain}: {observed}");
            let listed = holdfast(host, &["firewall", "tables"]).ok().unwrap().stdout;
            assert!(listed.contains(&format!("unknown     {family} {table}: ")), "{listed}");
            sh(host, &format!("nft delete table {family} {table}"));
            assert_passes(&verify(host));
        }
        assert_eq!(peer.tcp_open(8080).unwrap(), Tcp::Filtered);
        // By a map that has a name: nft lists all tables without what is in it.
        sh(host, "nft 'table inet evil { map doors { type inet_service : verdict; elements = { 8080 : jump inner }; }; chain inner { tcp dport 8080 redirect to :22; }; chain first { type nat hook prerouting priority -150; tcp dport vmap @doors; }; }'");
        assert_eq!(peer.tcp_open(8080).unwrap(), Tcp::Open, "the bypass is one");
        let report = verify(host);
        assert!(report.observed(BYPASS).contains("table inet evil, chain inner, rule"), "{}", report.observed(BYPASS));
        sh(host, "nft delete table inet evil");
        assert_passes(&verify(host));
        // What others keep for themselves is listed, and no finding.
        sh(host, "nft 'table inet f2b-table { set s { type ipv4_addr; }; chain f2b-chain { type filter hook input priority -1; tcp dport 22 ip saddr @s drop; }; }'
            nft 'table ip docker-bridges { chain nat-prerouting { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.17.0.2:80; }; }'
            nft 'table inet mine { chain in { type filter hook input priority 5; tcp dport 9999 drop; }; }'");
        let report = verify(host);
        assert_passes(&report);
        for table in ["inet f2b-table (bans)", "ip docker-bridges (docker)", "inet mine (unknown)"] {
            assert!(report.observed(BYPASS).contains(table), "{}", report.observed(BYPASS));
        }
        let json = holdfast(host, &["firewall", "tables", "--format", "json"]).ok().unwrap().stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let owners: Vec<_> = json["tables"].as_array().unwrap().iter().map(|t| t["owner"].as_str().unwrap()).collect();
        assert_eq!(owners, ["holdfast", "bans", "docker", "unknown"]);
        assert_eq!(json["tables"][0]["hooks"][0]["at"], "forward at -5");
        // Where one of them is before the apply, it is shown, and keeps nothing from being applied; so does a waiver.
        sh(host, "nft 'table inet evil { chain first { type nat hook prerouting priority -150; tcp dport 8080 redirect to :22; }; }'");
        give(host, &format!("{RULES}\n[[firewall.allow]]\nname = \"later\"\ntcp = [4122]\n"));
        let applied = crate::support::report(host, "apply");
        assert_eq!((applied.exit, applied.json["outcome"].as_str()), (2, Some("committed")), "{:#}", applied.json);
        assert_eq!(applied.with("drift"), [BYPASS], "{:#}", applied.json);
        sh(host, "nft list chain inet holdfast input | grep -q 4122");
        // Again: there is nothing to do, and it is shown all the same.
        let again = crate::support::report(host, "apply");
        assert_eq!((again.exit, again.json["outcome"].as_str()), (2, Some("unchanged")), "{:#}", again.json);
        give(host, &format!("{RULES}\n[[firewall.allow]]\nname = \"later\"\ntcp = [4122]\n[[waiver]]\ncheck = \"{BYPASS}\"\nreason = \"a test\"\napproved_by = \"bob\"\nuntil = 2099-01-01\n"));
        apply(host);
    }
}

/// A unit as another firewall's package brings it; it does nothing.
const OTHER: &str = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";

on_hosts! {
    /// Each other firewall that is enabled or active is a finding that says what to do, and gone when it is.
    fn other_firewalls_are_found(host: &Host) {
        give(host, RULES);
        apply(host);
        let check = |subject: &str| format!("firewall.neighbours/{subject}");
        let before = verify(host);
        assert_passes(&before);
        for absent in ["ufw.service", "firewalld.service", "netfilter-persistent.service"] {
            assert_eq!(before.outcome(&check(absent)), "not-applicable");
        }
        assert_eq!(before.outcome(&check("nftables.service")), "pass");
        assert_eq!(before.outcome(&check("iptables-legacy")), "pass");
        for unit in ["ufw.service", "firewalld.service", "netfilter-persistent.service"] {
            host.push(format!("/etc/systemd/system/{unit}"), OTHER, 0o644).unwrap();
        }
        sh(host, "mkdir -p /etc/ufw; echo ENABLED=no > /etc/ufw/ufw.conf; systemctl daemon-reload; systemctl enable ufw.service");
        assert_eq!(verify(host).outcome(&check("ufw.service")), "pass", "installed, and not in use");
        let plants = [
            ("nftables.service", "systemctl enable nftables.service", "systemctl disable nftables.service", "systemctl mask nftables.service"),
            ("ufw.service", "echo ENABLED=yes > /etc/ufw/ufw.conf", "echo ENABLED=no > /etc/ufw/ufw.conf", "ufw disable"),
            ("firewalld.service", "systemctl start firewalld.service", "systemctl stop firewalld.service", "systemctl mask firewalld.service"),
            ("netfilter-persistent.service", "systemctl enable netfilter-persistent.service", "systemctl disable netfilter-persistent.service", "systemctl mask netfilter-persistent.service"),
        ];
        for (subject, plant, remove, advice) in plants {
            sh(host, plant);
            let report = verify(host);
            let id = check(subject);
            assert!(["drift", "fail"].contains(&report.outcome(&id)), "{subject}: {}", report.outcome(&id));
            assert!(report.observed(&id).contains(advice), "{}", report.observed(&id));
            assert_eq!(report.findings().len(), 1, "{:?}", report.findings());
            sh(host, remove);
            assert_passes(&verify(host));
        }
        // A drop-in that takes the flush out of Debian's unit, and a file that does not flush: then it may stay.
        sh(host, "mkdir -p /etc/systemd/system/nftables.service.d
            printf '[Service]\\nExecStop=\\n' > /etc/systemd/system/nftables.service.d/keep.conf
            systemctl cat nftables.service | grep ExecReload
            systemctl daemon-reload; systemctl enable nftables.service");
        assert_ne!(verify(host).outcome(&check("nftables.service")), "pass", "its file still flushes");
        sh(host, "sed -i s/^flush/#flush/ /etc/nftables.conf; printf '[Service]\\nExecStop=\\nExecReload=\\n' > /etc/systemd/system/nftables.service.d/keep.conf; systemctl daemon-reload");
        assert_passes(&verify(host));
    }
}
