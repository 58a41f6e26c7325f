//! Large sets: what is known of them is not listed again, and whatever anybody changes is.

use crate::support::*;

const RULES: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
rate = "600/minute"
[[firewall.block]]
name = "listed"
file = "/etc/holdfast/listed"
"#;

const RULESET: &str = "firewall.ruleset";

/// How a passing look ends that did not list the sets.
const KNOWN: &str = "; no table was changed since its sets were last listed or loaded";

const NOTE: &str = "/run/holdfast/seen.json";

/// 3,000 networks, none next to another.
fn list() -> String {
    (0..3000u32)
        .map(|n| format!("{}/24\n", std::net::Ipv4Addr::from(0x0b00_0000 + n * 512)))
        .collect()
}

fn prepare(host: &Host) {
    host.push("/etc/holdfast/listed", list(), 0o600).unwrap();
    give(host, RULES);
    apply(host);
}

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// Whether the sets were known; the whole report passes.
fn passes_knowing(host: &Host) -> bool {
    let report = verify(host);
    assert_passes(&report);
    report.observed(RULESET).ends_with(KNOWN)
}

on_hosts! {
    /// After an apply, and after a look that listed them, the sets are known; packets and times do not change that.
    fn what_is_known_is_not_listed_again(host: &Host) {
        prepare(host);
        assert!(passes_knowing(host), "nft has loaded them");
        sh(host, &format!("rm {NOTE}"));
        assert!(!passes_knowing(host), "there is no note");
        assert!(passes_knowing(host), "they were listed");
        // A source is counted in a set, and an element of another table ends by itself.
        sh(host, "nft add table inet other; nft 'add set inet other s { type ipv4_addr; timeout 1s; }'; nft 'add element inet other s { 192.0.2.1 }'");
        assert!(!passes_knowing(host), "another table was changed");
        assert!(passes_knowing(host));
        assert!(host.peer("client").unwrap().ssh_banner(22).unwrap().is_some());
        let counted = sh(host, "nft list set inet holdfast rate-ssh-v4");
        assert!(counted.contains("elements = "), "{counted}");
        let ended = sh(host, "for i in $(seq 100); do nft list set inet other s | grep -q 192.0.2.1 || break; sleep 0.1; done; nft list set inet other s");
        assert!(!ended.contains("192.0.2.1"), "{ended}");
        assert!(passes_knowing(host), "neither packets nor times change a table");
        // Another profile is another document, though nobody has changed a table.
        host.push("/etc/holdfast/listed", format!("{}198.51.100.0/24\n", list()), 0o600).unwrap();
        let report = verify(host);
        assert_eq!(report.outcome(RULESET), "fail");
        assert!(report.observed(RULESET).starts_with("element missing from set block-listed-v4: 198.51.100.0/24"), "{}", report.observed(RULESET));
    }
}

/// How often nft is asked for a whole table in a look that finds something.
fn whole_listings(host: &Host) -> usize {
    let script = "strace -f -qq -e trace=execve -o /tmp/asked holdfast --quiet verify >/dev/null || test $? = 2; grep -c '\"list\", \"table\"' /tmp/asked";
    sh(host, script).trim().parse().unwrap()
}

on_hosts! {
    /// Other rules stand in front of the same sets: these are not listed for their sake, and the rules are named.
    fn other_rules_do_not_list_the_sets(host: &Host) {
        prepare(host);
        give(host, &format!("{RULES}[[firewall.allow]]\nname = \"metrics\"\ntcp = [9184]\n"));
        // The desired table is listed in its scratch namespace, and the live one is not.
        assert_eq!(whole_listings(host), 1);
        let report = verify(host);
        assert_eq!(report.outcome(RULESET), "fail");
        let observed = report.observed(RULESET);
        assert!(observed.contains("tcp dport 9184"), "in nft's words: {observed}");
        apply(host);
        assert!(passes_knowing(host));
        sh(host, &format!("rm {NOTE}"));
        give(host, RULES);
        assert_eq!(whole_listings(host), 2, "without the note both are");
    }
}

on_hosts! {
    /// Whatever is done to a set, through whatever tables, is drift.
    fn what_is_changed_is_seen(host: &Host) {
        prepare(host);
        let cases = [
            ("nft delete element inet holdfast block-listed-v4 { 11.0.0.0/24 }",
             "element missing from set block-listed-v4: 11.0.0.0/24"),
            ("nft add element inet holdfast block-listed-v4 { 203.0.113.0/24 }",
             "element added to set block-listed-v4: 203.0.113.0/24"),
            ("nft flush set inet holdfast block-listed-v4", "element missing from set block-listed-v4: 11.0.0.0/24"),
            // The table as it was, but for one element, loaded again by somebody.
            ("nft -n list table inet holdfast | sed 's/11.0.0.0.24, //' > /root/t; nft delete table inet holdfast; nft -f /root/t",
             "element missing from set block-listed-v4: 11.0.0.0/24"),
            // The note of before does not help.
            (&format!("cp -p {NOTE} /root/note; nft delete element inet holdfast block-listed-v4 {{ 11.0.0.0/24 }}; cp -p /root/note {NOTE}"),
             "element missing from set block-listed-v4: 11.0.0.0/24"),
            // A rule is seen even if somebody makes the note say that nothing was changed.
            (&format!("old=$(grep -o '\"generation\":[0-9]*' {NOTE} | grep -o '[0-9]*'); nft insert rule inet holdfast input tcp dport 5432 accept; sed -i \"s/\\\"generation\\\":$old/\\\"generation\\\":$((old + 1))/\" {NOTE}"),
             "rule added to chain input: tcp dport 5432 accept"),
        ];
        for (script, wanted) in cases {
            assert!(passes_knowing(host), "before: {script}");
            sh(host, script);
            let report = verify(host);
            assert_eq!(report.outcome(RULESET), "drift", "{script}");
            assert!(report.observed(RULESET).starts_with(wanted), "{script}: {}", report.observed(RULESET));
            correct(host);
        }
        // The same table, loaded by somebody else: all of it is looked at again, and it is right.
        sh(host, "nft -n list table inet holdfast > /root/t; nft delete table inet holdfast; nft -f /root/t");
        assert!(!passes_knowing(host));
        assert!(passes_knowing(host));
    }
}

on_hosts! {
    /// A note that cannot be trusted costs time and nothing else; none outlives its boot.
    fn a_note_that_is_not_roots_own_or_damaged_is_none(host: &Host) {
        prepare(host);
        let scripts = [
            format!("chown nobody {NOTE}"),
            format!("chmod 666 {NOTE}"),
            format!("truncate -s -1 {NOTE}"),
            format!("echo nonsense > {NOTE}"),
            format!("sed -i 's/\"format\":2/\"format\":3/' {NOTE}"),
            format!("rm {NOTE}; ln -s /etc/passwd {NOTE}"),
            format!("rm {NOTE}; mkfifo {NOTE}"),
        ];
        for script in scripts {
            assert!(passes_knowing(host), "before: {script}");
            sh(host, &script);
            assert!(!passes_knowing(host), "{script}");
        }
        sh(host, &format!("cp -p {NOTE} /root/note"));
        host.reboot().unwrap();
        sh(host, &format!("install -d /run/holdfast; cp -p /root/note {NOTE}"));
        assert!(!passes_knowing(host), "another boot");
        // The unit with its sandbox keeps and uses the note too.
        sh(host, &format!("rm {NOTE}; systemctl start holdfast-verify.service; test -s {NOTE}"));
        assert!(passes_knowing(host));
    }
}
