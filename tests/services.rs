//! The services control on booted hosts. The judge is `systemctl`, and a reboot.

use crate::support::*;

const UNITS: &str = "/etc/systemd/system";

/// Units of a package: they would be in `/usr/lib`, and can be enabled, disabled and masked.
const PACKAGE: &[(&str, &str)] = &[
    (
        "plain.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\nAlias=nickname.service\n",
    ),
    (
        "talk.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\nAlso=talk.socket\n",
    ),
    (
        "talk.socket",
        "[Socket]\nListenStream=/run/talk\n[Install]\nWantedBy=sockets.target extra.target\n",
    ),
    ("fixed.service", "[Service]\nExecStart=/bin/sleep infinity\n"),
    ("pulled.service", "[Service]\nExecStart=/bin/sleep infinity\n"),
    (
        "inst@.service",
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "picky.service",
        "[Unit]\nConditionPathExists=/picky\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    ),
    (
        "bare.service",
        "[Unit]\nConditionVirtualization=!container\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    ),
];

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// What `systemctl` says of a unit.
fn state(host: &Host, unit: &str) -> String {
    let said = sh(host, &format!("systemctl show -P UnitFileState -P ActiveState {unit}"));
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn package(host: &Host) {
    for (name, text) in PACKAGE {
        host.push(format!("/usr/lib/systemd/system/{name}"), text, 0o644).unwrap();
    }
    sh(
        host,
        "mkdir -p /usr/lib/systemd/system/multi-user.target.wants
        ln -s ../pulled.service /usr/lib/systemd/system/multi-user.target.wants/
        systemctl daemon-reload",
    );
}

fn links(host: &Host) -> holdfast_test_host::Snapshot {
    host.snapshot(&[UNITS]).unwrap()
}

on_hosts! {
    fn a_blank_host_is_brought_there_and_back(host: &Host) {
        package(host);
        // a folder whose only link goes and comes back, owners and times that are not today's
        sh(host, &format!("
            systemctl -q enable talk.service inst@two.service
            systemctl start talk.socket; systemctl start talk.service inst@two pulled fixed
            systemctl -q mask plain.service
            chmod 750 {UNITS}/extra.target.wants
            touch -h -d '2001-02-03 04:05:06.789' {UNITS}/extra.target.wants/talk.socket
            touch -d '2002-02-03 04:05:06.789' {UNITS}/extra.target.wants {UNITS}/sockets.target.wants
            touch -d '2003-02-03 04:05:06.789' {UNITS}"));
        give(host, r#"
[services]
enabled = ["plain.service", "inst@one.service", "pulled.service"]
disabled = ["talk.service", "talk.socket", "absent.service"]
masked = ["fixed.service", "inst@two.service", "absent.socket"]
"#);
        let before = links(host);
        let report = verify(host);
        assert_eq!(report.with("fail"), [
            "services.disabled/talk.service", "services.disabled/talk.socket",
            "services.enabled/inst@one.service", "services.enabled/plain.service",
            "services.masked/fixed.service", "services.masked/inst@two.service",
        ]);
        assert_eq!(report.with("not-applicable"), ["evidence.log", "services.disabled/absent.service", "services.masked/absent.socket"]);
        assert_eq!(report.observed("services.enabled/plain.service"), "masked, inactive");

        let id = apply(host).transaction();
        assert_passes(&verify(host));
        let as_wanted = || {
            assert_eq!(state(host, "plain.service"), "active enabled");
            assert_eq!(state(host, "inst@one.service"), "active enabled");
            assert_eq!(state(host, "talk.service"), "inactive disabled");
            assert_eq!(state(host, "talk.socket"), "inactive disabled");
            assert_eq!(state(host, "fixed.service"), "inactive masked");
            assert_eq!(state(host, "inst@two.service"), "inactive masked");
        };
        as_wanted();
        let held = links(host);
        assert_eq!(apply(host).json["outcome"], "unchanged");
        assert_eq!(changes(&held, &links(host)), Vec::<String>::new());
        host.reboot().unwrap();
        as_wanted();
        assert_passes(&verify(host));

        // what a package sets up in the meantime stays
        sh(host, "systemctl -q enable picky.service");
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        let after = links(host);
        assert_eq!(state(host, "picky.service"), "inactive enabled");
        sh(host, &format!("rm {UNITS}/multi-user.target.wants/picky.service; systemctl daemon-reload"));
        let picky = |line: &String| line.contains("picky") || line.contains("multi-user.target.wants ");
        let changed: Vec<_> = changes(&before, &after).into_iter().filter(|line| !picky(line)).collect();
        assert!(changed.iter().all(|line| line.contains("multi-user.target.wants")), "{changed:?}");
        assert_eq!(state(host, "plain.service"), "inactive masked");
        assert_eq!(state(host, "talk.service"), "active enabled");
        assert_eq!(state(host, "talk.socket"), "active enabled");
        assert_eq!(state(host, "fixed.service"), "active static");
        assert_eq!(state(host, "inst@two.service"), "active enabled");
        assert_eq!(state(host, "inst@one.service"), "inactive disabled");
    }
}

on_hosts! {
    /// Without anybody else at work, a roll-back leaves every link, folder, mode, owner and time as it was.
    fn a_roll_back_is_exact(host: &Host) {
        package(host);
        sh(host, &format!("systemctl -q enable talk.service; systemctl start talk.socket; systemctl start talk.service; chown -h 1:2 {UNITS}/sockets.target.wants/talk.socket
            touch -d '2003-02-03 04:05:06.789' {UNITS} {UNITS}/extra.target.wants"));
        give(host, "[services]\nenabled = [\"plain.service\"]\ndisabled = [\"talk.service\"]\nmasked = [\"talk.socket\", \"inst@x.service\"]\n");
        let before = links(host);
        let id = apply(host).transaction();
        sh(host, "systemctl unmask -q talk.socket; systemctl -q disable --now plain");
        correct(host);
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &links(host)), Vec::<String>::new());
        assert_eq!(state(host, "talk.service"), "active enabled");
        assert_eq!(state(host, "talk.socket"), "active enabled");
        assert_eq!(state(host, "plain.service"), "inactive disabled");
    }
}

on_hosts! {
    fn faults_are_found_and_put_right(host: &Host) {
        package(host);
        give(host, "[services]\nenabled = [\"plain.service\", \"talk.socket\"]\ndisabled = [\"talk.service\"]\nmasked = [\"fixed.service\"]\n");
        apply(host);
        let faults: &[(&str, &str, &str)] = &[
            ("systemctl stop plain", "services.enabled/plain.service", "enabled, inactive"),
            ("systemctl -q disable plain", "services.enabled/plain.service", "disabled, active"),
            ("systemctl -q disable plain; systemctl -q enable --runtime plain", "services.enabled/plain.service", "enabled-runtime, active (only until the next boot)"),
            ("systemctl -q mask --now plain", "services.enabled/plain.service", "masked, inactive"),
            ("systemctl -q mask --runtime --now plain", "services.enabled/plain.service", "masked-runtime, inactive (only until the next boot)"),
            ("systemctl kill -s KILL plain; until systemctl is-failed -q plain; do :; done", "services.enabled/plain.service", "enabled, failed"),
            ("systemctl stop talk.socket", "services.enabled/talk.socket", "enabled, inactive"),
            ("systemctl start talk.service", "services.disabled/talk.service", "disabled, active (talk.socket can still start it)"),
            ("systemctl -q enable talk.service", "services.disabled/talk.service", "enabled, inactive (talk.socket can still start it)"),
            ("systemctl -q enable --runtime talk.service", "services.disabled/talk.service", "enabled-runtime, inactive (only until the next boot; talk.socket can still start it)"),
            ("systemctl unmask -q fixed", "services.masked/fixed.service", "static, inactive"),
            ("systemctl unmask -q fixed; systemctl mask --runtime -q fixed", "services.masked/fixed.service", "masked-runtime, inactive (only until the next boot)"),
            ("systemctl unmask -q fixed; systemctl unmask -q --runtime fixed; systemctl start fixed; systemctl mask -q fixed", "services.masked/fixed.service", "masked, active"),
        ];
        for (fault, id, observed) in faults {
            sh(host, fault);
            let report = verify(host);
            assert!(report.with("drift").contains(id), "{fault}: {:?}", report.findings());
            assert_eq!(report.observed(id), *observed, "{fault}");
            correct(host);
            assert_passes(&verify(host));
            assert_eq!(state(host, "plain.service"), "active enabled", "{fault}");
            assert_eq!(state(host, "talk.socket"), "active enabled", "{fault}");
            assert_eq!(state(host, "talk.service"), "inactive disabled", "{fault}");
            assert_eq!(state(host, "fixed.service"), "inactive masked", "{fault}");
        }
    }
}

on_hosts! {
    /// What holdfast cannot put right is said, with what to do, and apply leaves the host as it was.
    fn what_is_left_to_a_person(host: &Host) {
        package(host);
        host.push(format!("{UNITS}/own.service"), "[Service]\nExecStart=/bin/sleep infinity\n", 0o644).unwrap();
        sh(host, "systemctl daemon-reload; systemctl start pulled");
        give(host, r#"
[services]
enabled = ["plain.service", "fixed.service", "gone.service"]
disabled = ["pulled.service"]
masked = ["own.service"]
"#);
        let done = report(host, "apply");
        assert_eq!((done.exit, &done.json["outcome"]), (1, &"rolled back, verified".into()));
        assert_eq!(done.results.len(), 4, "{:#}", done.json);
        assert_eq!(state(host, "plain.service"), "inactive disabled");
        for (check, observed) in [
            ("services.enabled/fixed.service", "static, inactive (it cannot be enabled, and no other unit starts it)"),
            ("services.enabled/gone.service", "not installed"),
            ("services.disabled/pulled.service", "static, active (started by multi-user.target; mask it)"),
            ("services.masked/own.service", "static, inactive (/etc/systemd/system/own.service is in the way of a mask; move it away)"),
        ] {
            assert_eq!((done.outcome(check), done.observed(check)), ("fail", observed));
        }
        assert_eq!(state(host, "own.service"), "inactive static");
        assert_eq!(state(host, "pulled.service"), "active static");
    }
}

on_hosts! {
    /// A unit whose conditions are not met does not run: a fault, except for those that are not for containers.
    fn conditions(host: &Host) {
        package(host);
        sh(host, "systemctl -q enable --now bare.service");
        give(host, "[services]\nenabled = [\"bare.service\"]\n");
        let report = verify(host);
        assert_eq!(report.outcome("services.enabled/bare.service"), "not-applicable", "{}", report.observed("services.enabled/bare.service"));

        give(host, "[services]\nenabled = [\"picky.service\"]\n");
        let before = links(host);
        let tried = crate::support::report(host, "apply");
        assert_eq!((tried.exit, &tried.json["outcome"]), (1, &"rolled back, verified".into()));
        assert_eq!(tried.observed("services.enabled/picky.service"), "enabled, inactive (not met: ConditionPathExists=/picky)");
        assert_eq!(changes(&before, &links(host)), Vec::<String>::new());
        sh(host, "touch /picky");
        apply(host);
        assert_passes(&verify(host));
        assert_eq!(state(host, "picky.service"), "active enabled");
    }
}

on_hosts! {
    fn without_a_bus_nothing_is_guessed(host: &Host) {
        give(host, "[services]\nenabled = [\"ssh.service\"]\nmasked = [\"debug-shell.service\"]\n");
        apply(host);
        sh(host, "systemctl stop dbus.socket dbus.service");
        let report = verify(host);
        assert_eq!(report.with("cannot-check"), ["services.enabled/ssh.service", "services.masked/debug-shell.service"]);
        assert!(report.observed("services.enabled/ssh.service").contains("is dbus running?"));
        sh(host, "systemctl start dbus.socket");
        assert_passes(&verify(host));
    }
}
