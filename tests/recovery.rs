//! Recovery on booted hosts: what keeps it from ending, and what it must not write over.

use crate::support::*;

const PROFILE: &str = "[ssh]\nx11_forwarding = false\n[services]\nenabled = [\"extra.service\"]\n";

const OURS: &str = "/etc/ssh/sshd_config.d/00-holdfast.conf";

const END: &str = "/var/lib/holdfast/transactions/000001/end.json";

/// A transaction without its end, which is how a kill leaves it.
fn interrupted(host: &Host) {
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    host.push("/etc/systemd/system/extra.service", unit, 0o644).unwrap();
    host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
    give(host, PROFILE);
    apply(host);
    host.run(["rm", END]).unwrap().ok().unwrap();
}

/// Asserts that the transaction is open still, that this is said, and that nothing new is begun.
fn assert_stays_open(host: &Host, why: &str) {
    for command in ["correct", "apply"] {
        let output = holdfast(host, &[command]);
        assert_eq!(output.status, Some(1), "{output:?}");
        for part in ["could not be restored yet", why, "transaction 1 has to be rolled back first"]
        {
            assert!(output.stderr.contains(part), "no \"{part}\" in {}", output.stderr);
        }
    }
    // whoever only looks is not kept from it
    let report = verify(host);
    assert_eq!(
        (report.exit, &report.json["interrupted"]),
        (2, &serde_json::json!([1])),
        "{:#}",
        report.json
    );
    assert!(host.read(END).is_err());
    assert_eq!(host.sh("ls /var/lib/holdfast/transactions").unwrap().text(), "000001");
}

fn assert_ended(host: &Host) {
    let output = holdfast(host, &["correct"]);
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("rolled back, verified"), "{}", output.stderr);
    assert!(host.read(END).is_ok());
}

on_hosts! {
    fn a_full_disk_is_waited_for(host: &Host) {
        host.sh("mount -t tmpfs -o size=1m,mode=755 tmpfs /etc/ssh/sshd_config.d
            { echo X11Forwarding yes; yes '# a line of a long file' | head -n 8000; } > /etc/ssh/sshd_config.d/00-holdfast.conf
            systemctl reload ssh").unwrap().ok().unwrap();
        let before = host.read(OURS).unwrap();
        interrupted(host);
        host.sh("head -c 2m /dev/zero > /etc/ssh/sshd_config.d/full || true").unwrap();
        assert_stays_open(host, "No space left on device");
        host.sh("rm /etc/ssh/sshd_config.d/full").unwrap().ok().unwrap();
        assert_ended(host);
        assert_eq!(host.read(OURS).unwrap(), before);
    }
}

on_hosts! {
    fn a_bus_that_is_down_is_waited_for(host: &Host) {
        interrupted(host);
        host.sh("systemctl stop dbus.socket dbus.service").unwrap().ok().unwrap();
        assert_stays_open(host, "cannot reach systemd over D-Bus");
        host.sh("systemctl start dbus.socket").unwrap().ok().unwrap();
        assert_ended(host);
        host.sh("! systemctl is-enabled extra.service; ! systemctl is-active extra.service").unwrap().ok().unwrap();
    }
}

on_hosts! {
    /// Whoever mended the file by hand after the crash does not lose that.
    fn an_edit_after_the_crash_is_kept(host: &Host) {
        interrupted(host);
        host.push(OURS, "# mended by hand\nX11Forwarding yes\n", 0o644).unwrap();
        let output = holdfast(host, &["correct"]);
        let beside = format!("{OURS}.set-aside-by-holdfast");
        assert!(output.stderr.contains(&format!("somebody's edits were set aside, look at: {beside}")), "{}", output.stderr);
        assert_eq!(host.read(&beside).unwrap(), b"# mended by hand\nX11Forwarding yes\n");
        assert!(host.read(OURS).is_err(), "nothing was there before the apply");
    }
}
