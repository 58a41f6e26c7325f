//! The sysctl control on booted hosts. The judges are `sysctl -n` and what systemd-sysctl really sets when it is run.

use crate::support::*;

const HELD: &str = r#"
[sysctl.values]
"kernel.dmesg_restrict" = 1
"kernel.nonsense" = 1
"net.ipv4.conf.all.accept_redirects" = 0
"net.ipv4.conf.all.send_redirects" = 0
"net.ipv4.conf.default.accept_redirects" = 0
"net.ipv6.conf.all.accept_redirects" = 0
"net.ipv4.ip_local_port_range" = "20000 60000"
"net.ipv4.tcp_syncookies" = 2
"#;

const DROP_IN: &str = "/etc/sysctl.d/zz-holdfast.conf";
const REDIRECTS: &str = "net.ipv4.conf.all.accept_redirects";

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn live(host: &Host, key: &str) -> String {
    let value = host.run(["sysctl", "-n", key]).unwrap().ok().unwrap().stdout;
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the next boot does.
fn boot_sets(host: &Host) {
    sh(host, "systemctl reset-failed systemd-sysctl; systemctl restart systemd-sysctl");
}

/// The interface by which a host with a peer is reached.
fn interface(host: &Host) -> String {
    let names = sh(host, "ls /sys/class/net");
    names.lines().find(|name| *name != "lo").unwrap().to_owned()
}

on_hosts! {
    fn a_blank_host_is_brought_there_and_back(host: &Host) {
        let _peer = host.peer("neighbour").unwrap();
        let nic = interface(host);
        let on_nic = |key: &str| live(host, &format!("net.{key}.conf.{nic}.accept_redirects"));
        give(host, HELD);
        let before = host.snapshot(&["/etc/sysctl.d"]).unwrap();
        let values = "sysctl -a 2>/dev/null | grep -E '^net|^kernel.dmesg' | grep -Ev 'stat|netfilter.*count|fib_|rnd|random|lookup'";
        let values_before = sh(host, values);
        let report = verify(host);
        for check in [
            "sysctl.config",
            "sysctl.boot/net.ipv4.tcp_syncookies",
            "sysctl.live/net.ipv4.conf.all.accept_redirects",
            "sysctl.live/net.ipv4.ip_local_port_range",
            "sysctl.interfaces/net.ipv6.conf.all.accept_redirects",
            "sysctl.interfaces/net.ipv4.conf.all.send_redirects",
        ] {
            assert_eq!(report.outcome(check), "fail", "{check}");
        }
        assert_eq!(report.outcome("sysctl.live/kernel.nonsense"), "not-applicable");
        assert!(report.observed("sysctl.interfaces/net.ipv6.conf.all.accept_redirects").contains(&nic));

        let id = apply(host).transaction();
        assert_passes(&verify(host));
        let all_as_wanted = || {
            assert_eq!(live(host, REDIRECTS), "0");
            assert_eq!(live(host, "net.ipv4.ip_local_port_range"), "20000 60000");
            assert_eq!(live(host, "net.ipv4.tcp_syncookies"), "2");
            assert_eq!(live(host, &format!("net.ipv4.conf.{nic}.send_redirects")), "0");
            assert_eq!((on_nic("ipv4").as_str(), on_nic("ipv6").as_str()), ("0", "0"));
        };
        all_as_wanted();

        let files = host.snapshot(&["/etc/sysctl.d"]).unwrap();
        assert_eq!(apply(host).json["outcome"], "unchanged");
        assert_eq!(changes(&files, &host.snapshot(&["/etc/sysctl.d"]).unwrap()), Vec::<String>::new());

        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/sysctl.d"]).unwrap()), Vec::<String>::new());
        let values_after = sh(host, values);
        let changed: Vec<_> = values_before.lines().zip(values_after.lines()).filter(|(a, b)| a != b).collect();
        assert!(changed.is_empty(), "{changed:?}");

        apply(host);
        // what the next boot would do alone, from values that are all wrong
        sh(host, &format!("sysctl -q {REDIRECTS}=1 net.ipv4.tcp_syncookies=0 net.ipv4.ip_local_port_range='1024 2048'
            sysctl -q net.ipv6.conf.{nic}.accept_redirects=1 net.ipv4.conf.{nic}.send_redirects=1"));
        boot_sets(host);
        all_as_wanted();
        assert_passes(&verify(host));
    }
}

on_hosts! {
    fn faults_are_found_and_put_right(host: &Host) {
        let _peer = host.peer("neighbour").unwrap();
        let nic = interface(host);
        give(host, HELD);
        apply(host);
        let boot = format!("sysctl.boot/{REDIRECTS}");
        let live_id = format!("sysctl.live/{REDIRECTS}");
        let interfaces = format!("sysctl.interfaces/{REDIRECTS}");
        let faults: &[(String, &[&str])] = &[
            (format!("sysctl -q {REDIRECTS}=1"), &[&interfaces, &live_id]),
            ("sysctl -q net.ipv4.ip_local_port_range='1024 2048'".into(), &["sysctl.live/net.ipv4.ip_local_port_range"]),
            (format!("sysctl -q net.ipv6.conf.{nic}.accept_redirects=1"), &["sysctl.interfaces/net.ipv6.conf.all.accept_redirects"]),
            (format!("sysctl -q net.ipv4.conf.{nic}.accept_redirects=1"), &[&interfaces]),
            (format!("sed -i 's/^{REDIRECTS} = 0/{REDIRECTS} = 1/' {DROP_IN}"), &[&boot, "sysctl.config"]),
            (format!("chmod 622 {DROP_IN}"), &["sysctl.config"]),
            (format!("echo >> {DROP_IN}"), &["sysctl.config"]),
            (format!("echo '{REDIRECTS}=1' > /etc/sysctl.d/zzz.conf"), &[&boot]),
            ("echo -net/ipv4/conf/all/accept_redirects > /etc/sysctl.d/zzz.conf".into(), &[&boot]),
        ];
        for (fault, ids) in faults {
            sh(host, fault);
            let report = verify(host);
            assert_eq!(report.with("drift"), *ids, "{fault}: {:?}", report.findings());
            correct(host);
            assert_passes(&verify(host));
            // and it stays so over the next boot
            sh(host, &format!("sysctl -q {REDIRECTS}=1"));
            boot_sets(host);
            assert_passes(&verify(host));
            assert_eq!(live(host, REDIRECTS), "0", "{fault}");
        }
    }
}

on_hosts! {
    /// A later file is named by file and line, set aside whole, and brought back by a roll-back.
    fn a_later_file(host: &Host) {
        give(host, HELD);
        apply(host);
        sh(host, &format!("
            printf '# role\\n\\n{REDIRECTS} = 1\\n' > /etc/sysctl.d/zzz-role.conf
            chmod 600 /etc/sysctl.d/zzz-role.conf; touch -d '2001-02-03 04:05:06.789' /etc/sysctl.d/zzz-role.conf"));
        let before = host.snapshot(&["/etc/sysctl.d"]).unwrap();
        let boot = format!("sysctl.boot/{REDIRECTS}");
        assert_eq!(verify(host).observed(&boot), "1 (/etc/sysctl.d/zzz-role.conf:3)");
        boot_sets(host);
        assert_eq!(live(host, REDIRECTS), "1", "the fault is one");
        let id = correct(host).transaction();
        boot_sets(host);
        assert_eq!(live(host, REDIRECTS), "0");
        assert_passes(&verify(host));
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/sysctl.d"]).unwrap()), Vec::<String>::new());
        assert_eq!(live(host, REDIRECTS), "1");

        // one that is not in /etc: apply is all or nothing; correct says so and mends everything else
        sh(host, &format!("rm /etc/sysctl.d/zzz-role.conf {DROP_IN}; mkdir -p /run/sysctl.d
            echo '{REDIRECTS}=1' > /run/sysctl.d/zzz.conf"));
        let refused = report(host, "apply");
        assert_eq!((refused.exit, &refused.json["outcome"]), (1, &"rolled back, verified".into()));
        let applied = report(host, "correct");
        assert_eq!((applied.exit, &applied.json["outcome"]), (2, &"committed".into()));
        assert_eq!(applied.with("drift"), [boot.as_str()]);
        assert_eq!(applied.observed(&boot), "1 (/run/sysctl.d/zzz.conf:1)");
        sh(host, "rm /run/sysctl.d/zzz.conf; systemctl mask -q systemd-sysctl");
        let masked = verify(host);
        assert!(masked.observed(&boot).contains("masked by /etc/systemd/system/systemd-sysctl.service"));
        assert_ne!(masked.outcome(&boot), "pass");
    }
}

on_hosts! {
    /// What holdfast makes of sysctl.d is what systemd-sysctl makes of it.
    fn the_merge_is_systemds(host: &Host) {
        let _peer = host.peer("neighbour").unwrap();
        let nic = interface(host);
        let key = format!("net.ipv4.conf.{nic}.tag");
        give(host, &format!("[sysctl.values]\n\"{key}\" = 77\n"));
        let cases: &[(&str, &str, u32)] = &[
            // where, what, and what comes out of all files so far
            ("/usr/lib/sysctl.d/50-a.conf", "net.ipv4.conf.*.tag = 1", 1),
            ("/usr/lib/sysctl.d/60-b.conf", "net/ipv4/conf/[!x]*/tag=2", 2),
            ("/etc/sysctl.d/10-c.conf", "KEY = 3", 3),
            ("/run/sysctl.d/10-c.conf", "KEY = 4", 3),
            ("/run/sysctl.d/20-d.conf", "-KEY=5", 5),
            ("/etc/sysctl.d/20-d.conf", "", 3),
            ("/usr/local/lib/sysctl.d/30-e.conf", "# KEY=6\n ; KEY=6\nKEY=6", 6),
            ("/etc/sysctl.d/40-f.conf", "  KEY   =   7  ", 7),
            ("/etc/sysctl.d/41-g.txt", "KEY=8", 7),
            ("/etc/sysctl.d/.42-h.conf", "KEY=8", 7),
            ("/etc/sysctl.d/99-i.conf", "net.ipv4.conf.????*.tag=9", 7),
            ("/etc/sysctl.d/99-j.conf", "-KEY", 0),
            ("/etc/sysctl.d/99-k.conf", "KEY=10", 10),
            ("/etc/sysctl.d/99-l.conf", "KEY=7\nKEY=10\nKEY", 10),
        ];
        for (path, text, expected) in cases {
            host.push(path, format!("{}\n", text.replace("KEY", &key)), 0o644).unwrap();
            if text.is_empty() {
                sh(host, &format!(": > {path}"));
            }
            sh(host, &format!("sysctl -q {key}=0"));
            // a line that is no assignment fails the unit and is passed over
            sh(host, "systemctl reset-failed systemd-sysctl; systemctl restart systemd-sysctl || true");
            assert_eq!(live(host, &key), expected.to_string(), "systemd: {path} {text}");
            let report = verify(host);
            let observed = report.observed(&format!("sysctl.boot/{key}"));
            let value = if *expected == 0 { "not set at boot: ".to_owned() } else { format!("{expected} (") };
            assert!(observed.starts_with(&value), "{observed} <> {value}: {path} {text}");
        }
    }
}

on_hosts! {
    /// Containers need forwarding: it is left to them, whether their engine was here before or comes later.
    fn containers_are_not_fought(host: &Host) {
        let forward = "net.ipv4.ip_forward";
        give(host, "[sysctl.values]\n\"net.ipv4.ip_forward\" = 0\n\"net.ipv4.tcp_syncookies\" = 1\n");
        sh(host, "sysctl -q net.ipv4.ip_forward=1");
        apply(host);
        assert_eq!(live(host, forward), "0");
        assert!(sh(host, &format!("cat {DROP_IN}")).contains("ip_forward"));

        // an engine comes, and turns forwarding on
        sh(host, "ip link add docker0 type bridge; sysctl -q net.ipv4.ip_forward=1");
        let report = verify(host);
        for check in [format!("sysctl.live/{forward}"), format!("sysctl.boot/{forward}")] {
            assert_eq!(report.outcome(&check), "not-applicable");
            assert_eq!(report.observed(&check), "containers on this host need forwarding (interface docker0)");
        }
        assert!(report.with("drift").is_empty(), "{:?}", report.findings());
        assert_eq!(report.with("fail"), ["sysctl.config"], "the next boot would stop its containers");
        apply(host);
        assert_passes(&verify(host));
        boot_sets(host);
        assert_eq!(live(host, forward), "1");
        assert!(!sh(host, &format!("cat {DROP_IN}")).contains("ip_forward"));

        // known by its unit as well, while it is enabled or runs
        sh(host, "ip link delete docker0
            printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/docker.service
            systemctl daemon-reload");
        assert_eq!(verify(host).outcome(&format!("sysctl.live/{forward}")), "fail");
        sh(host, "systemctl start docker");
        assert!(verify(host).observed(&format!("sysctl.live/{forward}")).contains("docker.service"));
        sh(host, "systemctl stop docker; systemctl -q enable docker");
        assert_eq!(verify(host).outcome(&format!("sysctl.live/{forward}")), "not-applicable");
        sh(host, "systemctl stop dbus.socket dbus.service");
        assert_eq!(verify(host).outcome(&format!("sysctl.live/{forward}")), "not-applicable");
    }
}

on_hosts! {
    /// What the container shares with its machine is not its to set, and is not called a fault.
    fn shared_parameters(host: &Host) {
        let shared = sh(host, "sysctl -n kernel.kptr_restrict").trim().to_owned();
        let other = if shared == "2" { "1" } else { "2" };
        give(host, &format!("[sysctl.values]\n\"kernel.kptr_restrict\" = {other}\n"));
        apply(host);
        let report = verify(host);
        assert_passes(&report);
        let check = "sysctl.live/kernel.kptr_restrict";
        assert_eq!(report.outcome(check), "not-applicable");
        assert!(report.observed(check).contains("which alone may set /proc/sys/kernel/kptr_restrict"));
        assert_eq!(report.outcome("sysctl.boot/kernel.kptr_restrict"), "pass");
        give(host, &format!("[sysctl.values]\n\"kernel.kptr_restrict\" = {shared}\n"));
        assert_eq!(verify(host).outcome(check), "pass");
    }
}
