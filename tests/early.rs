//! A reboot before a change is confirmed, on booted hosts: what the boot reads is what was confirmed, though all that
//! needs D-Bus is put back only later.

use holdfast_test_host::Tcp;
use serde_json::Value;

use crate::support::*;

/// What is confirmed. `log_martians` is a parameter that the pending profile does not have, so that nothing but the boot
/// itself, reading what is confirmed, can set it.
const CONFIRMED: &str = r#"
[sysctl.values]
"net.ipv4.conf.all.accept_redirects" = 0
"net.ipv4.conf.all.log_martians" = 1
[ssh]
max_auth_tries = 3
[services]
enabled = ["extra.service"]
[[firewall.allow]]
name = "ssh"
tcp = [22]
"#;

/// What waits: sshd on another port, other parameters, a unit masked.
const PENDING: &str = r#"
[sysctl.values]
"net.ipv4.conf.all.accept_redirects" = 1
"net.ipv4.conf.all.send_redirects" = 0
[ssh]
max_auth_tries = 5
ports = [2222]
[services]
masked = ["extra.service"]
[[firewall.allow]]
name = "ssh"
tcp = [2222]
"#;

const UNIT: &str =
    "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

/// Keeps the part that needs D-Bus from running in the boot, so that the early part is seen alone.
const LATER: &str = "[Unit]\nConditionPathExists=/run/go\n";

const WATCHED: [&str; 4] =
    ["/etc/ssh", "/etc/systemd", "/etc/sysctl.d", "/var/lib/holdfast/firewall.json"];

const OURS: &str = "/etc/sysctl.d/zz-holdfast.conf";

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// What is in force, past holdfast.
fn live(host: &Host) -> String {
    let keys = ["accept_redirects", "log_martians", "send_redirects"];
    let keys = keys.map(|key| format!("net.ipv4.conf.all.{key}")).join(" ");
    sh(
        host,
        &format!(
            "sysctl {keys}; nft -s list ruleset; sshd -T | sort; ss -ltnH | awk '{{print $4}}' | sort"
        ),
    )
}

/// A host on which [`CONFIRMED`] is, over a person's own files.
fn confirmed(host: &Host) {
    sh(host, "
        printf '# mine\\nMaxAuthTries 4\\n' >/etc/ssh/sshd_config.d/00-holdfast.conf
        chown 12:34 /etc/ssh/sshd_config.d/00-holdfast.conf; chmod 640 /etc/ssh/sshd_config.d/00-holdfast.conf
        setfacl -m u:99:r /etc/ssh/sshd_config.d/00-holdfast.conf; systemctl reload ssh");
    // Not in /etc, where it would be in the way of a mask.
    host.push("/usr/local/lib/systemd/system/extra.service", UNIT, 0o644).unwrap();
    host.push("/etc/systemd/system/holdfast-recover.service.d/later.conf", LATER, 0o644).unwrap();
    sh(host, "systemctl daemon-reload");
    give(host, CONFIRMED);
    apply(host);
    sh(
        host,
        "touch -d '2003-02-03 04:05:06.789' /etc/sysctl.d /etc/ssh/sshd_config.d /etc/systemd /etc/systemd/system",
    );
}

fn pend(host: &Host) -> u64 {
    give(host, PENDING);
    let words = ["apply", "--confirm-within", "10m", "--despite", "login.path", "--format", "json"];
    let output = holdfast(host, &words).ok().unwrap();
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "pending", "{report:#}");
    report["transaction"].as_u64().unwrap()
}

/// How a transaction ended, read past holdfast.
fn ending(host: &Host, id: u64) -> Option<Value> {
    let end = host.read(format!("/var/lib/holdfast/transactions/{id:06}/end.json")).ok()?;
    serde_json::from_slice(&end).ok()
}

/// Where sshd has listened in this boot, by its own words.
fn listened(host: &Host) -> Vec<String> {
    let script = "journalctl --sync; journalctl -q -b -o cat -g '^Server listening on ' | sed 's/.* port //; s/[.].*//' | sort -u";
    sh(host, script).lines().map(str::to_owned).collect()
}

/// Lets the rest be put back, and returns how that was filed.
fn let_the_rest_follow(host: &Host, id: u64) -> Value {
    assert_eq!(ending(host, id), None, "what is done early ends nothing");
    sh(host, "touch /run/go; systemctl start holdfast-recover.service");
    ending(host, id).unwrap()
}

on_hosts! {
    /// Kernel parameters, sshd and the firewall come up as they were confirmed, each from the first moment on.
    fn a_boot_reads_what_was_confirmed(host: &Host) {
        confirmed(host);
        let (files, before) = (host.snapshot(&WATCHED).unwrap(), live(host));
        let id = pend(host);
        assert_ne!(live(host), before);
        assert_ne!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        host.reboot().unwrap();

        // Nothing has ended it yet, and everything that a boot reads is as it was.
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);
        assert_eq!(listened(host), ["22"], "sshd never started with what waits");
        let peer = host.peer("client").unwrap();
        assert_eq!([22, 2222].map(|port| peer.tcp_open(port).unwrap()), [Tcp::Open, Tcp::Filtered]);
        // By its name: of a process that has ended by then journald does not learn the unit any more.
        let said = sh(host, "journalctl --sync; journalctl -q -b -o cat -t holdfast");
        assert!(said.contains(&format!("transaction {id} was open when the host went down")), "{said}");
        let entered = |unit: &str, at: &str| -> u64 {
            sh(host, &format!("systemctl show -P {at} {unit}")).trim().parse().unwrap()
        };
        let done = entered("holdfast-early.service", "ExecMainExitTimestampMonotonic");
        for unit in ["systemd-sysctl.service", "holdfast-firewall.service", "ssh.service"] {
            let started = entered(unit, "ExecMainStartTimestampMonotonic");
            assert!(0 < done && done <= started, "{unit}: {done} {started}");
        }

        let end = let_the_rest_follow(host, id);
        assert_eq!((&end["cause"], &end["unrestored"]), (&"rebooted".into(), &serde_json::json!([])), "{end:#}");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);
        // systemd, which had read a mask, has been told that there is none.
        assert_eq!(sh(host, "systemctl is-active extra.service; systemctl show -P LoadState extra.service"), "active\nloaded\n");
        give(host, CONFIRMED);
        assert_passes(&verify(host));
        // With nothing open it does nothing.
        sh(host, "systemctl start holdfast-early.service");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
    }
}

on_hosts! {
    /// An interrupted change, and a file that somebody has edited since: it is set aside, and named at the end.
    fn what_somebody_edited_is_set_aside_early(host: &Host) {
        confirmed(host);
        let before = host.read(OURS).unwrap();
        let id = pend(host);
        // As a kill after the last step leaves it.
        sh(host, &format!("rm /var/lib/holdfast/transactions/{id:06}/provisional.json; systemctl stop 'holdfast-expire@*.timer'"));
        host.push(OURS, "# edited\nnet.ipv4.conf.all.log_martians = 0\n", 0o644).unwrap();
        host.reboot().unwrap();
        let beside = format!("{OURS}.set-aside-by-holdfast");
        assert_eq!(host.read(OURS).unwrap(), before);
        assert!(String::from_utf8(host.read(&beside).unwrap()).unwrap().starts_with("# edited\n"));
        assert!(sh(host, "sysctl -n net.ipv4.conf.all.log_martians").starts_with('1'));
        let end = let_the_rest_follow(host, id);
        assert_eq!((&end["cause"], &end["set_aside"]), (&"interrupted".into(), &serde_json::json!([beside])), "{end:#}");
        assert_eq!(end["unrestored"], serde_json::json!([]), "{end:#}");
    }
}

on_hosts! {
    /// What may still be confirmed is left alone, and so is what another holdfast is at.
    fn what_waits_in_this_boot_is_left_alone(host: &Host) {
        confirmed(host);
        let id = pend(host);
        let files = host.snapshot(&WATCHED).unwrap();
        sh(host, "systemctl start holdfast-early.service");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        sh(host, "exec 9</run/holdfast/lock; flock 9; ! systemctl start holdfast-early.service");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(ending(host, id), None);
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
    }
}
