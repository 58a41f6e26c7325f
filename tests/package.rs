//! The package: what installing and removing it does to a host, which is next to nothing.

use holdfast_test_host::Tcp;

use crate::support::*;

/// Everything outside the package's own paths and dpkg's own records.
const WATCHED: [&str; 3] = ["/etc", "/var/lib/systemd", "/var/spool"];

fn running(host: &Host) -> String {
    let script = "systemctl list-units --state=active,activating,failed --plain --no-legend --type=service,timer,socket | grep -v holdfast | awk '{print $1,$3}' | sort
        systemctl list-unit-files --plain --no-legend --state=enabled | sort; nft list ruleset; sysctl -a 2>/dev/null | grep -E '^net.ipv[46].conf.(all|default)'";
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn install_changes_nothing(suite: Suite) {
    let host = Host::blank(suite).unwrap();
    let deb = std::fs::read(Host::deb().unwrap()).unwrap();
    host.push("/root/holdfast.deb", deb, 0o644).unwrap();
    let (files, state) = (host.snapshot(&WATCHED).unwrap(), running(&host));
    host.run(["dpkg", "-i", "/root/holdfast.deb"]).unwrap().ok().unwrap();
    assert_eq!(running(&host), state, "installing started, stopped or enabled something");
    let found = changes(&files, &host.snapshot(&WATCHED).unwrap());
    let foreign: Vec<_> = found
        .iter()
        .filter(|change| {
            !change.contains("/etc/holdfast")
                && !change.contains("/etc mtime")
                && !change.starts_with("/etc:")
        })
        .collect();
    assert!(foreign.is_empty(), "installing changed {foreign:#?}");
    host.run(["holdfast", "check", "/usr/share/holdfast/profiles/sbtc-signer.toml"])
        .unwrap()
        .ok()
        .unwrap();
    let listed = host.run(["dpkg", "-L", "holdfast"]).unwrap().ok().unwrap().stdout;
    for file in ["man/man8/holdfast-apply.8.gz", "bash-completion/completions/holdfast"] {
        assert!(listed.lines().any(|line| line == format!("/usr/share/{file}")), "{listed}");
    }
    for unit in ["holdfast-verify.timer", "holdfast-correct.timer"] {
        assert_eq!(host.run(["systemctl", "is-enabled", unit]).unwrap().stdout.trim(), "disabled");
    }
    host.run(["dpkg", "--purge", "holdfast"]).unwrap().ok().unwrap();
    assert_eq!(running(&host), state, "removing started, stopped or enabled something");
}

#[test]
fn installing_changes_nothing_on_bookworm() {
    install_changes_nothing(Suite::Bookworm);
}

#[test]
fn installing_changes_nothing_on_trixie() {
    install_changes_nothing(Suite::Trixie);
}

on_hosts! {
    /// The sandboxed units do their work inside their sandboxes.
    fn timers_hold_a_host(host: &Host) {
        give(host, SIGNER);
        apply(host);
        host.run(["systemctl", "enable", "--now", "holdfast-verify.timer", "holdfast-correct.timer"]).unwrap().ok().unwrap();
        host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().ok().unwrap();

        // three kinds of drift, seen and put right by the units alone
        host.sh("nft add rule inet holdfast input tcp dport 9999 accept
            sysctl -q net.ipv4.conf.all.accept_redirects=1
            echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-aaa.conf; systemctl reload ssh").unwrap().ok().unwrap();
        let seen = host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap();
        assert_ne!(seen.status, Some(0), "a verify with findings must show as a failed unit");
        let shown = host.run(["systemctl", "show", "-P", "ExecMainStatus", "holdfast-verify.service"]).unwrap();
        assert_eq!(shown.stdout.trim(), "2");
        host.run(["systemctl", "start", "holdfast-correct.service"]).unwrap().ok().unwrap();
        assert_passes(&verify(host));
        host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().ok().unwrap();
        // By its name: of a process that has ended by then journald does not learn the unit any more. Nobody else saw it.
        let log = host.sh("journalctl --sync; journalctl -q -o cat -t holdfast").unwrap().ok().unwrap().stdout;
        for check in ["firewall.ruleset", "sysctl.live/net.ipv4.conf.all.accept_redirects", "ssh.effective/passwordauthentication"] {
            assert!(log.contains(&format!("drift {check}")), "{check} is not in the units' journal:\n{log}");
        }
    }
}

on_hosts! {
    fn units_are_well_formed(host: &Host) {
        let units = "/usr/lib/systemd/system/holdfast-";
        for unit in ["verify.service", "verify.timer", "correct.service", "correct.timer", "expire@.service", "early.service", "recover.service", "firewall.service"] {
            let output = host.run(["systemd-analyze", "verify", &format!("{units}{unit}")]).unwrap().ok().unwrap();
            assert!(!output.stderr.contains("holdfast"), "{}", output.stderr);
        }
        // systemd's own score, 0 (tight) to 10 (open): what is left is what each unit's work needs.
        for (unit, most) in [("verify.service", "40"), ("correct.service", "55"), ("expire@.service", "55"), ("early.service", "50"), ("recover.service", "55"), ("firewall.service", "30")] {
            host.run(["systemd-analyze", "security", "--offline=true", &format!("--threshold={most}"), &format!("{units}{unit}")])
                .unwrap().ok().unwrap();
        }
    }
}

on_hosts! {
    /// Removing the package leaves the host as closed as it was, over a reboot, and lets nobody out of it; installing it
    /// again takes over; purging says what it does.
    fn a_removed_package_leaves_the_host_closed(host: &Host) {
        let peer = host.peer("client").unwrap();
        let met = || [22, 4122, 111].map(|port| peer.tcp_open(port).unwrap());
        let (open, refused, filtered) = (Tcp::Open, Tcp::Refused, Tcp::Filtered);
        give(host, "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n[[firewall.allow]]\nname = \"p2p\"\ntcp = [4122]\n");
        apply(host);
        assert_eq!(met(), [open, refused, filtered]);
        host.push("/root/holdfast.deb", std::fs::read(Host::deb().unwrap()).unwrap(), 0o644).unwrap();
        host.run(["dpkg", "--remove", "holdfast"]).unwrap().ok().unwrap();
        assert_eq!(met(), [open, refused, filtered]);
        host.reboot().unwrap();
        assert_eq!(met(), [open, refused, filtered], "by nft alone");
        host.run(["dpkg", "-i", "/root/holdfast.deb"]).unwrap().ok().unwrap();
        assert_passes(&verify(host));
        host.reboot().unwrap();
        assert_passes(&verify(host));
        let purged = host.run(["dpkg", "--purge", "holdfast"]).unwrap().ok().unwrap();
        assert!(purged.stderr.contains("until the next boot"), "{purged}");
        assert_eq!(met(), [open, refused, filtered], "still loaded");
        host.reboot().unwrap();
        assert_eq!(met(), [open, refused, refused], "nothing is left of it");
    }
}
