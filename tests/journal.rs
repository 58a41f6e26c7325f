//! The journal control on booted hosts. The judges are journald's own words at its start and the messages themselves.

use std::time::Duration;

use crate::support::*;

const KEPT: &str = r#"
[journal]
storage = "persistent"
max_use = "300M"
max_file_age = "1d"
"#;

const DROP_IN: &str = "/etc/systemd/journald.conf.d/zz-holdfast.conf";

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// What the running journald says that it keeps to, in MiB: it logs that when it opens its files.
fn max_use(host: &Host) -> u64 {
    let script = "journalctl -q --no-pager -o json -n 1 MESSAGE_ID=ec387f577b844b8fa948f33cad9a75e6 \
                  _PID=$(systemctl show -P MainPID systemd-journald)";
    let json = host.sh(script).unwrap().ok().unwrap().stdout;
    let said: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    said["MAX_USE"].as_str().unwrap().parse::<u64>().unwrap() >> 20
}

fn journald(host: &Host) -> String {
    sh(host, "systemctl show -P MainPID systemd-journald")
}

/// The messages of one identifier that are in the files on disk.
fn on_disk(host: &Host, identifier: &str) -> Vec<String> {
    let script =
        format!("journalctl --sync; journalctl -q -D /var/log/journal -o cat -t {identifier}");
    sh(host, &script).lines().map(str::to_owned).collect()
}

on_hosts! {
    fn a_blank_host_is_brought_there_and_back(host: &Host) {
        give(host, KEPT);
        let before = host.snapshot(&["/etc/systemd"]).unwrap();
        let report = verify(host);
        assert_eq!(
            report.with("fail"),
            ["journal.config", "journal.effective/MaxFileSec", "journal.effective/Storage", "journal.effective/SystemMaxUse"]
        );
        assert_ne!(max_use(host), 300);

        let id = apply(host).transaction();
        assert_passes(&verify(host));
        assert_eq!(max_use(host), 300);
        sh(host, "logger -t probe kept");
        assert_eq!(on_disk(host, "probe"), ["kept"]);

        // again: nothing is touched, nothing is restarted
        let (files, pid) = (host.snapshot(&["/etc/systemd"]).unwrap(), journald(host));
        assert_eq!(apply(host).json["outcome"], "unchanged");
        assert_eq!(changes(&files, &host.snapshot(&["/etc/systemd"]).unwrap()), Vec::<String>::new());
        assert_eq!(journald(host), pid);

        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/systemd"]).unwrap()), Vec::<String>::new());
        assert_ne!(max_use(host), 300);
    }
}

on_hosts! {
    /// Each fault is found under the right name and put right; journald then says the right number.
    fn faults_are_found_and_put_right(host: &Host) {
        give(host, KEPT);
        apply(host);
        let config = ["journal.config", "journal.running"];
        let faults: &[(&str, &[&str])] = &[
            (&format!("sed -i s/300M/10M/ {DROP_IN}"), &["journal.config", "journal.effective/SystemMaxUse", "journal.running"]),
            (&format!("chmod 666 {DROP_IN}"), &config),
            (&format!("chown 1000 {DROP_IN}"), &config),
            (&format!("cp {DROP_IN} /root/copy; ln -sf /root/copy {DROP_IN}"), &config),
            (&format!("rm {DROP_IN}"), &["journal.config", "journal.effective/MaxFileSec", "journal.effective/Storage", "journal.effective/SystemMaxUse", "journal.running"]),
            ("rm -r /etc/systemd/journald.conf.d", &["journal.config", "journal.effective/MaxFileSec", "journal.effective/Storage", "journal.effective/SystemMaxUse"]),
            ("echo MaxLevelStore=info >> /etc/systemd/journald.conf", &["journal.running"]),
            ("journalctl --relinquish-var; logger hello", &["journal.persistent"]),
            ("old=$(systemctl show -P MainPID systemd-journald); rm -r /var/log/journal; systemctl kill -s KILL systemd-journald
              until test $(systemctl show -P MainPID systemd-journald) != $old && systemctl is-active -q systemd-journald; do :; done
              rm -rf /var/log/journal", &["journal.persistent"]),
        ];
        for (fault, ids) in faults {
            sh(host, fault);
            let report = verify(host);
            assert_eq!(report.with("drift"), *ids, "{fault}: {:?}", report.findings());
            correct(host);
            assert_passes(&verify(host));
            assert_eq!(max_use(host), 300, "{fault}");
            sh(host, "logger -t probe again");
            assert_eq!(on_disk(host, "probe").last().map(String::as_str), Some("again"), "{fault}");
        }
        assert_eq!(host.read("/root/copy").unwrap().len(), host.read(DROP_IN).unwrap().len());
    }
}

on_hosts! {
    /// A drop-in that comes later is named by file and line, set aside whole, and brought back by a roll-back.
    fn a_later_drop_in(host: &Host) {
        give(host, KEPT);
        apply(host);
        sh(host, "
            cd /etc/systemd/journald.conf.d
            printf '# role\\n[Journal]\\nSystemMaxUse=10M\\n' > zzz-role.conf
            chmod 640 zzz-role.conf; chown 0:4 zzz-role.conf; touch -d '2001-02-03 04:05:06.789' zzz-role.conf
            systemctl restart systemd-journald");
        assert_eq!(max_use(host), 10);
        let before = host.snapshot(&["/etc/systemd"]).unwrap();
        let report = verify(host);
        assert_eq!(report.with("drift"), ["journal.effective/SystemMaxUse"]);
        assert_eq!(
            report.observed("journal.effective/SystemMaxUse"),
            "10M (/etc/systemd/journald.conf.d/zzz-role.conf:3)"
        );
        let id = correct(host).transaction();
        assert_passes(&verify(host));
        assert_eq!(max_use(host), 300);
        let after = host.snapshot(&["/etc/systemd/journald.conf.d"]).unwrap();
        let at = |snapshot: &holdfast_test_host::Snapshot, name: &str| {
            snapshot.iter().find(|(path, _)| path.ends_with(name)).map(|(_, entry)| entry.clone())
        };
        assert_eq!(at(&after, "zzz-role.conf"), None);
        assert_eq!(at(&after, "zzz-role.conf.set-aside-by-holdfast"), at(&before, "zzz-role.conf"));
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/systemd"]).unwrap()), Vec::<String>::new());
        assert_eq!(max_use(host), 10);

        // in /run it is not holdfast's to move: apply is all or nothing; correct says so and mends everything else
        sh(host, "
            rm /etc/systemd/journald.conf.d/zzz-role.conf
            mkdir -p /run/systemd/journald.conf.d
            printf '[Journal]\\nSystemMaxUse=20M\\n' > /run/systemd/journald.conf.d/zzz.conf
            rm /etc/systemd/journald.conf.d/zz-holdfast.conf");
        let report = crate::support::report(host, "apply");
        assert_eq!((report.exit, &report.json["outcome"]), (1, &"rolled back, verified".into()));
        assert_eq!(report.with("drift"), ["journal.effective/SystemMaxUse"]);
        let report = crate::support::report(host, "correct");
        assert_eq!((report.exit, &report.json["outcome"]), (2, &"committed".into()));
        assert_eq!(report.outcome("journal.config"), "pass");
        assert_eq!(report.outcome("journal.effective/Storage"), "pass");
        assert_eq!(report.observed("journal.effective/SystemMaxUse"), "20M (/run/systemd/journald.conf.d/zzz.conf:2)");
        assert_eq!(max_use(host), 20);
    }
}

on_hosts! {
    /// What holdfast makes of journald's files is what journald itself makes of them.
    fn the_merge_is_journalds(host: &Host) {
        give(host, "[journal]\nmax_use = \"7M\"\n");
        let drop_in = "[Journal]\\nSystemMaxUse=40M\\n";
        let bookworm = host.suite() == Suite::Bookworm;
        // files to write, what journald should then say (a number of MiB, or its default), and where holdfast sees it
        let cases: &[(&str, Option<u64>, &str)] = &[
            ("", None, "default"),
            ("printf '[Journal]\\nSystemMaxUse=31M\\n' > /etc/systemd/journald.conf", Some(31), "/etc/systemd/journald.conf:2"),
            (&format!("mkdir -p /run/systemd/journald.conf.d; printf '{drop_in}' > /run/systemd/journald.conf.d/a.conf"), Some(40), "/run/systemd/journald.conf.d/a.conf:2"),
            // an equal name in /etc masks it: with content, empty, or as a link to nothing
            ("mkdir -p /etc/systemd/journald.conf.d; printf '[Journal]\\nSystemMaxUse=32M' > /etc/systemd/journald.conf.d/a.conf", Some(32), "/etc/systemd/journald.conf.d/a.conf:2"),
            ("> /etc/systemd/journald.conf.d/a.conf", Some(31), "/etc/systemd/journald.conf:2"),
            ("ln -sf /dev/null /etc/systemd/journald.conf.d/a.conf", Some(31), "/etc/systemd/journald.conf:2"),
            ("ln -sf /nowhere /etc/systemd/journald.conf.d/a.conf", Some(31), "/etc/systemd/journald.conf:2"),
            ("rm /etc/systemd/journald.conf.d/a.conf", Some(40), "/run/systemd/journald.conf.d/a.conf:2"),
            // names decide, not folders
            ("mkdir -p /usr/local/lib/systemd/journald.conf.d; printf '[Journal]\\nSystemMaxUse=33M\\n' > /usr/local/lib/systemd/journald.conf.d/b.conf", Some(33), "/usr/local/lib/systemd/journald.conf.d/b.conf:2"),
            ("printf '[Journal]\\nSystemMaxUse=34M' > /usr/lib/systemd/journald.conf.d/B.conf || { mkdir -p /usr/lib/systemd/journald.conf.d; printf '[Journal]\\nSystemMaxUse=34M' > /usr/lib/systemd/journald.conf.d/B.conf; }", Some(33), "/usr/local/lib/systemd/journald.conf.d/b.conf:2"),
            // values and lines that journald passes over
            ("printf '[Journal]\\nSystemMaxUse=lots\\n' > /etc/systemd/journald.conf.d/c.conf", Some(33), "/usr/local/lib/systemd/journald.conf.d/b.conf:2"),
            ("printf '[Journal]\\nSystemMaxUse=\\n' > /etc/systemd/journald.conf.d/c.conf", Some(33), "/usr/local/lib/systemd/journald.conf.d/b.conf:2"),
            ("printf 'SystemMaxUse=35M\\n[Other]\\nSystemMaxUse=35M\\nnonsense\\n' > /etc/systemd/journald.conf.d/c.conf", Some(33), "/usr/local/lib/systemd/journald.conf.d/b.conf:2"),
            ("printf '[Journal]\\n#SystemMaxUse=35M\\n ; x\\nSystemMaxUse = \\\\\\n# in between\\n  0.035G\\n' > /etc/systemd/journald.conf.d/c.conf", Some(35), "/etc/systemd/journald.conf.d/c.conf:4"),
            ("printf '[Journal]\\nSystemMaxUse=36M 1024K\\n' > /etc/systemd/journald.conf.d/c.conf", Some(37), "/etc/systemd/journald.conf.d/c.conf:2"),
            // nothing counts after a broken section header
            ("printf '[Journal]\\nSystemMaxUse=38M\\n[Journal\\nSystemMaxUse=39M\\n' > /etc/systemd/journald.conf.d/c.conf; printf '[Journal]\\nSystemMaxUse=41M\\n' > /etc/systemd/journald.conf.d/d.conf", Some(38), "/etc/systemd/journald.conf.d/c.conf:2"),
            ("printf '\\n[Journal\\n' > /etc/systemd/journald.conf", None, "/etc/systemd/journald.conf:2"),
            // the main file of a package, where there is none in /etc
            ("rm /etc/systemd/journald.conf; rm -r /etc/systemd/journald.conf.d /run/systemd/journald.conf.d /usr/local/lib/systemd/journald.conf.d; rm /usr/lib/systemd/journald.conf.d/B.conf
              printf '[Journal]\\nSystemMaxUse=42M\\n' > /usr/lib/systemd/journald.conf", Some(42).filter(|_| !bookworm), if bookworm { "default" } else { "/usr/lib/systemd/journald.conf:2" }),
            ("printf '[Journal]\\nSystemMaxUse=43M\\n' > /run/systemd/journald.conf", Some(43).filter(|_| !bookworm), if bookworm { "default" } else { "/run/systemd/journald.conf:2" }),
        ];
        let default = max_use(host);
        for (files, said, place) in cases {
            sh(host, &format!("{files}\nsystemctl reset-failed systemd-journald; systemctl restart systemd-journald"));
            assert_eq!(max_use(host), said.unwrap_or(default), "journald: {files}");
            let report = verify(host);
            let observed = report.observed("journal.effective/SystemMaxUse");
            assert!(observed.contains(place), "{observed} <> {place}: {files}");
        }
    }
}

on_hosts! {
    /// A service that logs all the while misses nothing when journald is restarted by apply, correct and rollback.
    fn no_message_is_lost_by_a_restart(host: &Host) {
        give(host, KEPT);
        let lines = "i=0; until test -e /run/stop; do i=$((i+1)); echo $i; sleep 0.003; done";
        host.run(["systemd-run", "-q", "--unit=talks", "-p", "SyslogIdentifier=talks", "sh", "-c", lines]).unwrap().ok().unwrap();
        let until_it_talks = |than: &str| {
            sh(host, &format!("until journalctl -q -t talks -o cat | grep -qx {than}; do sleep 0.05; done"));
        };
        until_it_talks("20");
        let pid = journald(host);
        let id = apply(host).transaction();
        assert_ne!(journald(host), pid);
        sh(host, &format!("echo >> {DROP_IN}"));
        correct(host);
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        sh(host, "touch /run/stop; while systemctl is-active -q talks; do sleep 0.05; done; journalctl --sync");
        let heard = sh(host, "journalctl -q -t talks -o cat");
        let heard: Vec<usize> = heard.lines().map(|line| line.parse().unwrap()).collect();
        let all: Vec<usize> = (1..=heard.len()).collect();
        assert!(heard.len() > 50, "{}", heard.len());
        assert_eq!(heard, all, "something was lost or came twice");
    }
}

on_hosts! {
    /// A host whose journal was in memory: what it had is on the disk after apply, and so is what comes.
    fn a_volatile_host_becomes_persistent(host: &Host) {
        sh(host, "
            mkdir -p /etc/systemd/journald.conf.d
            printf '[Journal]\\nStorage=volatile\\n' > /etc/systemd/journald.conf.d/50-volatile.conf
            systemctl restart systemd-journald; rm -rf /var/log/journal; logger -t probe before");
        give(host, KEPT);
        let report = verify(host);
        assert_eq!(report.outcome("journal.persistent"), "fail");
        assert!(report.observed("journal.persistent").contains("writes to memory"), "{}", report.observed("journal.persistent"));
        assert_eq!(report.observed("journal.effective/Storage"), "volatile (/etc/systemd/journald.conf.d/50-volatile.conf:2)");
        apply(host);
        assert_passes(&verify(host));
        sh(host, "logger -t probe after");
        assert_eq!(on_disk(host, "probe"), ["before", "after"]);
        // and over a reboot
        host.reboot().unwrap();
        assert_eq!(sh(host, "stat -c '%a %G' /var/log/journal").trim(), "2755 systemd-journal");
        assert_passes(&verify(host));
        assert_eq!(on_disk(host, "probe"), ["before", "after"]);
    }
}

on_hosts! {
    /// Without a bus the files are still judged; what only systemd knows is not guessed.
    fn without_a_bus(host: &Host) {
        give(host, KEPT);
        apply(host);
        sh(host, "systemctl stop dbus.socket dbus.service");
        let report = verify(host);
        assert_eq!(report.with("cannot-check"), ["journal.persistent", "journal.running"]);
        assert!(report.observed("journal.running").contains("D-Bus"));
        assert_eq!(report.outcome("journal.effective/Storage"), "pass");
        host.command(["systemctl", "start", "dbus.socket"]).unwrap().limit(Duration::from_secs(60)).run().unwrap().ok().unwrap();
        assert_passes(&verify(host));
    }
}
