//! The engine on booted hosts: everything that can stand in a transaction's way, and what is left when it does.

use crate::support::*;

/// Small and quick to apply: three controls, a folder to make, a daemon to restart.
const SMALL: &str = r#"
[journal]
max_use = "1G"
[sysctl.values]
"net.ipv4.conf.all.accept_redirects" = 0
[ssh]
x11_forwarding = false
"#;

const WATCHED: [&str; 3] = ["/etc/ssh", "/etc/systemd", "/etc/sysctl.d"];

/// Asserts that a command fails with these words, and that nothing it might have touched has changed.
fn refused(host: &Host, command: &str, code: i32, words: &[&str]) {
    let before = host.snapshot(&WATCHED).unwrap();
    let output = holdfast(host, &[command]);
    assert_eq!(output.status, Some(code), "{}{}", output.stdout, output.stderr);
    for word in words {
        assert!(output.stderr.contains(word), "no \"{word}\" in: {}", output.stderr);
    }
    assert_eq!(changes(&before, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
}

on_hosts! {
    fn obstacles_are_named_and_nothing_is_changed(host: &Host) {
        give(host, SMALL);

        // a read-only /etc
        host.sh("mount --bind /etc /etc && mount -o remount,ro,bind /etc").unwrap().ok().unwrap();
        refused(host, "apply", 1, &["nothing was changed", "mounted read-only"]);
        host.sh("umount /etc").unwrap().ok().unwrap();

        // a directory where a file is to be
        host.sh("mkdir -p /etc/ssh/sshd_config.d/00-holdfast.conf/inside").unwrap().ok().unwrap();
        refused(host, "apply", 1, &["00-holdfast.conf is a directory", "move it away"]);
        host.sh("rm -r /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();

        // no room for the before-images
        host.sh("mkdir -p /var/lib/holdfast && mount -t tmpfs -o size=64k tmpfs /var/lib/holdfast").unwrap().ok().unwrap();
        refused(host, "apply", 1, &["nothing was changed", "bytes left"]);
        host.sh("umount /var/lib/holdfast").unwrap().ok().unwrap();

        // no room where a file is to be written
        host.sh("mkdir -p /etc/sysctl.d && mount -t tmpfs -o size=128k tmpfs /etc/sysctl.d
            head -c 128k /dev/zero > /etc/sysctl.d/full || true").unwrap().ok().unwrap();
        refused(host, "apply", 1, &["nothing was changed", "/etc/sysctl.d/zz-holdfast.conf", "bytes left"]);
        host.sh("umount /etc/sysctl.d").unwrap().ok().unwrap();

        // a profile that others may write
        host.sh("chmod 666 /etc/holdfast/profile.toml").unwrap().ok().unwrap();
        refused(host, "apply", 65, &["/etc/holdfast/profile.toml"]);
        host.sh("chmod 600 /etc/holdfast/profile.toml").unwrap().ok().unwrap();

        assert_eq!(holdfast(host, &["history"]).stdout, "", "no transaction was begun");
        apply(host);
    }
}

on_hosts! {
    fn an_immutable_file(host: &Host) {
        give(host, SMALL);
        apply(host);
        host.sh("echo X11Forwarding yes > /etc/ssh/sshd_config.d/00-holdfast.conf
            chattr +i /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
        assert_eq!(verify(host).outcome("ssh.config"), "drift");
        refused(host, "correct", 1, &["immutable", "chattr -i /etc/ssh/sshd_config.d/00-holdfast.conf"]);
        host.sh("chattr -i /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
        correct(host);
        assert_passes(&verify(host));
    }
}

on_hosts! {
    fn a_link_in_place_of_a_file_is_replaced_and_its_target_left_alone(host: &Host) {
        give(host, SMALL);
        apply(host);
        host.sh("echo precious > /root/precious; ln -sf /root/precious /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
        assert_eq!(verify(host).outcome("ssh.config"), "drift");
        correct(host);
        assert_passes(&verify(host));
        assert_eq!(host.read("/root/precious").unwrap(), b"precious\n");
    }
}

on_hosts! {
    /// What apply cannot make hold takes everything back, exactly.
    fn what_does_not_hold_is_rolled_back(host: &Host) {
        // A unit that ends as soon as it is started: it can be enabled and started, and is never active.
        let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        host.push("/etc/systemd/system/ends.service", unit, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        give(host, &format!("{SMALL}[services]\nenabled = [\"ends.service\"]\n"));
        let before = host.snapshot(&WATCHED).unwrap();
        let report = report(host, "apply");
        assert_eq!(report.exit, 1);
        assert_eq!(report.json["outcome"], "rolled back, verified");
        assert_eq!(report.json["unrestored"], serde_json::json!([]));
        assert!(report.json["why"].as_str().unwrap().contains("services.enabled/ends.service"));
        assert_eq!(changes(&before, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        let live = host.run(["sysctl", "-n", "net.ipv4.conf.all.accept_redirects"]).unwrap();
        assert_eq!(live.stdout.trim(), "1");
        let text = holdfast(host, &["history"]).stdout;
        assert!(text.contains("rolled back, verified"), "{text}");
        // the next apply, without the impossible, works
        give(host, SMALL);
        apply(host);
    }
}

on_hosts! {
    /// Owner, mode, ACL, attributes, link and time of everything touched are as they were.
    fn a_roll_back_is_exact(host: &Host) {
        host.sh("
            mkdir -p /etc/systemd/journald.conf.d
            printf '# mine\\nX11Forwarding yes\\n' > /etc/ssh/sshd_config.d/00-holdfast.conf
            chown 12:34 /etc/ssh/sshd_config.d/00-holdfast.conf
            chmod 640 /etc/ssh/sshd_config.d/00-holdfast.conf
            setfacl -m u:99:r /etc/ssh/sshd_config.d/00-holdfast.conf
            setfattr -n user.note -v kept /etc/ssh/sshd_config.d/00-holdfast.conf || true
            touch -d '2001-02-03 04:05:06.789' /etc/ssh/sshd_config.d/00-holdfast.conf
            echo elsewhere > /root/elsewhere
            ln -s /root/elsewhere /etc/sysctl.d/zz-holdfast.conf
            touch -h -d '2002-02-03 04:05:06.789' /etc/sysctl.d/zz-holdfast.conf
            touch -d '2003-02-03 04:05:06.789' /etc/sysctl.d /etc/ssh/sshd_config.d /etc/systemd
        ").unwrap().ok().unwrap();
        let before = host.snapshot(&WATCHED).unwrap();
        give(host, SMALL);
        let first = apply(host);
        assert_passes(&verify(host));
        give(host, &SMALL.replace("1G", "2G"));
        apply(host);
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        correct(host);
        // three transactions back at once
        holdfast(host, &["rollback", &first.transaction().to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        let live = host.run(["sysctl", "-n", "net.ipv4.conf.all.accept_redirects"]).unwrap();
        assert_eq!(live.stdout.trim(), "1");
        assert_eq!(holdfast(host, &["rollback", "99"]).status, Some(64));
    }
}

on_hosts! {
    fn a_second_run_says_who_holds_the_lock(host: &Host) {
        give(host, SMALL);
        // holds the lock while it waits for a unit that takes its time to start
        let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'until test -e /run/go; do sleep 0.05; done'\n[Install]\nWantedBy=multi-user.target\n";
        host.push("/etc/systemd/system/slow.service", unit, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        give(host, &format!("{SMALL}[services]\nenabled = [\"slow.service\"]\n"));
        host.sh("systemd-run --unit=first holdfast apply --no-confirm
            until systemctl show -P ActiveState slow.service | grep -q activating; do sleep 0.05; done").unwrap().ok().unwrap();
        for command in ["apply", "verify", "plan"] {
            let second = holdfast(host, &[command]);
            assert_eq!(second.status, Some(75), "{}", second.stderr);
            assert!(second.stderr.contains("another holdfast is at work: pid"), "{}", second.stderr);
            assert!(second.stderr.contains("`holdfast apply --no-confirm`, since 2"), "{}", second.stderr);
        }
        // a closed session, Ctrl-C and a polite stop do not end it halfway
        host.sh("for signal in HUP INT TERM; do kill -$signal $(systemctl show -P MainPID first.service); done
            touch /run/go; while systemctl is-active -q first.service; do sleep 0.05; done").unwrap().ok().unwrap();
        assert!(holdfast(host, &["history"]).stdout.contains(" committed"));
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// What holdfast needs and does not find is said, and is neither a pass nor a drift.
    fn missing_programs_and_buses(host: &Host) {
        give(host, SIGNER);
        apply(host);
        host.sh("mv /usr/sbin/nft /root/; mv /usr/sbin/sshd /root/").unwrap().ok().unwrap();
        let report = verify(host);
        assert_eq!(report.exit, 2);
        assert_eq!(report.outcome("firewall.ruleset"), "cannot-check");
        assert!(report.observed("firewall.ruleset").contains("apt-get install nftables"));
        assert_eq!(report.outcome("ssh.effective/passwordauthentication"), "cannot-check");
        assert!(report.observed("ssh.effective/passwordauthentication").contains("apt-get install openssh-server"));
        assert!(report.with("drift").is_empty(), "{:?}", report.findings());
        assert_eq!(report_of_correct(host), "unchanged");
        host.sh("mv /root/nft /root/sshd /usr/sbin/").unwrap().ok().unwrap();

        host.sh("systemctl stop dbus.socket dbus.service").unwrap().ok().unwrap();
        let report = verify(host);
        assert!(report.with("drift").is_empty(), "{:?}", report.findings());
        let blind: Vec<_> = report.with("cannot-check");
        assert!(blind.iter().any(|check| check.starts_with("services.")), "{blind:?}");
        let why = report.observed(blind.iter().find(|check| check.starts_with("services.")).unwrap());
        assert!(why.contains("D-Bus"), "{why}");
        host.sh("systemctl start dbus.socket").unwrap().ok().unwrap();
        assert_passes(&verify(host));
    }
}

fn report_of_correct(host: &Host) -> String {
    let report = report(host, "correct");
    report.json["outcome"].as_str().unwrap().to_owned()
}

on_hosts! {
    /// Only what a person applied is corrected: a profile that was changed and not applied is left to a person.
    fn correct_applies_nothing_new(host: &Host) {
        give(host, SMALL);
        assert_eq!(report_of_correct(host), "unchanged", "nothing was applied yet");
        apply(host);
        give(host, &SMALL.replace("x11_forwarding = false", "x11_forwarding = false\nmax_auth_tries = 2"));
        let report = verify(host);
        assert_eq!(report.outcome("ssh.effective/maxauthtries"), "fail");
        assert_eq!(report_of_correct(host), "unchanged");
        apply(host);
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// A user who locks the lock would keep every correction from being made, unseen: 75 is no failure of the unit.
    fn nobody_else_can_hold_the_lock(host: &Host) {
        give(host, SMALL);
        apply(host);
        let flock = "setpriv --reuid 65534 --regid 65534 --clear-groups flock --nonblock /run/holdfast/lock true";
        let output = host.sh(flock).unwrap();
        assert!(output.stderr.contains("Permission denied"), "{output:?}");
    }
}

on_hosts! {
    /// What sshd would not start with is never given to the running one, on no way back.
    fn a_roll_back_to_a_broken_configuration_leaves_sshd_running(host: &Host) {
        give(host, SMALL);
        apply(host);
        host.sh("echo Nonsense yes > /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
        let corrected = correct(host).transaction();
        let output = holdfast(host, &["rollback", &corrected.to_string()]);
        assert_eq!(output.status, Some(1), "{}", output.stderr);
        assert!(output.stderr.contains("Bad configuration option: Nonsense"), "{}", output.stderr);
        host.sh("sleep 0.5; systemctl is-active ssh.service").unwrap().ok().unwrap();
        // The file was put back a moment ago, and sshd has not been told of it.
        correct(host);
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// A program that the change has ended runs again after the roll-back.
    fn a_roll_back_starts_what_a_reload_has_ended(host: &Host) {
        let ends = "[Service]\nExecReload=\nExecReload=/bin/sh -c 'if test -e /etc/ssh/sshd_config.d/00-holdfast.conf; then kill -KILL $MAINPID; sleep 0.3; fi'\nRestart=no\n";
        host.push("/etc/systemd/system/ssh.service.d/ends.conf", ends, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        give(host, SMALL);
        let report = report(host, "apply");
        assert_eq!(report.exit, 1, "{:#}", report.json);
        host.sh("systemctl is-active ssh.service").unwrap().ok().unwrap();
        assert_eq!(report.json["outcome"], "rolled back, verified", "{:#}", report.json);
    }
}

on_hosts! {
    /// Somebody's file in a folder that was made here stays, with its folder, and keeps nothing else from going back.
    fn a_roll_back_leaves_others_files_where_they_are(host: &Host) {
        give(host, SMALL);
        let first = apply(host).transaction();
        host.push("/etc/systemd/journald.conf.d/mine.conf", "[Journal]\n", 0o644).unwrap();
        holdfast(host, &["rollback", &first.to_string()]).ok().unwrap();
        host.sh("cd /etc/systemd/journald.conf.d && test -e mine.conf && ! test -e zz-holdfast.conf").unwrap().ok().unwrap();
        host.sh("! test -e /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
    }
}

on_hosts! {
    /// What was interrupted is repaired even when the profile is no longer one.
    fn a_broken_profile_does_not_stop_the_repair(host: &Host) {
        give(host, SMALL);
        apply(host);
        host.sh("rm /var/lib/holdfast/transactions/000001/end.json").unwrap().ok().unwrap();
        give(host, "nonsense");
        assert_eq!(holdfast(host, &["correct"]).status, Some(65));
        host.sh("! test -e /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
    }
}

on_hosts! {
    /// What was added to the profile and not applied does not come in with something that drifted.
    fn correct_brings_nothing_new_in_with_a_drift(host: &Host) {
        give(host, SMALL);
        apply(host);
        give(host, &SMALL.replace("x11_forwarding = false", "x11_forwarding = false\nmax_auth_tries = 2"));
        host.sh("rm /etc/ssh/sshd_config.d/00-holdfast.conf").unwrap().ok().unwrap();
        assert_eq!(verify(host).outcome("ssh.effective/x11forwarding"), "drift");
        report_of_correct(host);
        host.sh("! sshd -T | grep -qi '^maxauthtries 2'").unwrap().ok().unwrap();
    }
}

on_hosts! {
    /// What cannot be put right in one control does not keep the others from being put right.
    fn one_control_does_not_hold_the_others_up(host: &Host) {
        let unit = "[Service]\nExecStartPre=/usr/bin/test ! -e /run/broken\nExecStart=/bin/sleep inf\n[Install]\nWantedBy=multi-user.target\n";
        host.push("/etc/systemd/system/fragile.service", unit, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        give(host, &format!("{SMALL}[services]\nenabled = [\"fragile.service\"]\n"));
        apply(host);
        host.sh("touch /run/broken; systemctl stop fragile.service
            rm /etc/ssh/sshd_config.d/00-holdfast.conf
            sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        let corrected = report(host, "correct");
        assert_eq!(corrected.exit, 1);
        assert_eq!(corrected.json["outcome"], "rolled back, verified", "{:#}", corrected.json);
        let after = verify(host);
        assert_eq!(after.with("drift"), ["services.enabled/fragile.service"], "{:?}", after.findings());
    }
}

on_hosts! {
    /// Setting `ip_forward` resets what held until then; it is set again, and a roll-back minds it too.
    fn a_parameter_that_resets_others(host: &Host) {
        let keys = "net.ipv4.conf.all.accept_redirects net.ipv4.ip_forward";
        host.sh("sysctl -q net.ipv4.ip_forward=1; sysctl -q net.ipv4.conf.all.accept_redirects=0").unwrap().ok().unwrap();
        let before = host.sh(&format!("sysctl -n {keys}")).unwrap().stdout;
        give(host, "[sysctl.values]\n\"net.ipv4.conf.all.accept_redirects\" = 0\n\"net.ipv4.ip_forward\" = 0\n");
        let id = apply(host).transaction();
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(host.sh(&format!("sysctl -n {keys}")).unwrap().stdout, before);
    }
}
