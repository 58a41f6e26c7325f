//! The firewall from the first packet after boot on: the confirmed one, or else nothing but SSH; and opened only by a
//! person, for a time.

use std::{
    net::{Ipv6Addr, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use holdfast_test_host::{Peer, Scan, Tcp};

use crate::support::*;

/// SSH and a port that something listens on only when a test does.
const RULES: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
"#;

/// Answers on 4122, which the profile allows, and on 5432, which it does not, as early as an ordinary unit may. The
/// peer's wire is plugged in before any unit is started: here the network does not wait for network-pre.target.
const LISTENER: &str = "[Socket]\nListenStream=4122\nListenStream=5432\nAccept=yes\n[Install]\nWantedBy=sockets.target\n";
const ANSWER: &str = "[Service]\nExecStart=/bin/echo here\nStandardOutput=socket\n";

const COPY: &str = "/var/lib/holdfast/firewall.json";
const UNIT: &str = "holdfast-firewall.service";
const BOOT: &str = "firewall.boot";
const FAILED_CLOSED: &str = "0f9cc1aa7a1f4afe8279dab251167384";

/// Takes from /tmp, over and over until sysinit.target, what systemd 252 puts there for `PrivateDevices=`, as
/// systemd-tmpfiles-setup.service may once: a unit that has it does not start.
const SWEEPER: &str = r#"[Unit]
DefaultDependencies=no
Before=holdfast-early.service holdfast-firewall.service
[Service]
Type=exec
ExecStart=/usr/bin/perl -e 'until (-e "/run/dbus/system_bus_socket") { for (glob "/tmp/namespace-dev-*") { rmdir "$_/dev"; rmdir } }'
[Install]
WantedBy=sysinit.target
"#;

/// A host that answers on both ports from early on, and has its profile applied.
fn applied(host: &Host) {
    host.push("/etc/systemd/system/early.socket", LISTENER, 0o644).unwrap();
    host.push("/etc/systemd/system/early@.service", ANSWER, 0o644).unwrap();
    sh(host, "systemctl daemon-reload; systemctl enable --now early.socket");
    give(host, RULES);
    apply(host);
    assert_passes(&verify(host));
}

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn shown(host: &Host, unit: &str, property: &str) -> String {
    sh(host, &format!("systemctl show -P {property} {unit}")).trim().to_owned()
}

/// The events of this boot with this id at this priority.
fn events(host: &Host, id: &str, priority: &str) -> Vec<String> {
    let script = format!(
        "journalctl -q -b -o cat -p {priority}..{priority} MESSAGE_ID={id} --output-fields=MESSAGE"
    );
    sh(host, &script).lines().map(str::to_owned).collect()
}

/// Sets a flag when it goes, so that a look that fails ends the knocking too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Knocks on a port every other millisecond from before the host goes down until the look is over; says how often, and
/// whether it was ever answered.
fn knocking<T>(peer: &Peer, port: u16, look: impl FnOnce() -> T) -> (usize, bool, T) {
    let over = AtomicBool::new(false);
    let prober = peer.prober(peer.host_v4().into()).unwrap();
    std::thread::scope(|scope| {
        let knock = scope.spawn(|| {
            let (mut knocks, mut seen) = (0, Scan::default());
            while !over.load(Ordering::Relaxed) {
                let source = 20_000 + u16::try_from(knocks % 20_000).unwrap();
                // While the host is down nobody is there at all.
                knocks += usize::from(prober.knock(source, port).is_ok());
                sleep(Duration::from_millis(2));
                prober.answers(&mut seen).unwrap();
            }
            (knocks, seen.open.contains(&port))
        });
        let result = {
            let _over = Over(&over);
            look()
        };
        let (knocks, answered) = knock.join().unwrap();
        (knocks, answered, result)
    })
}

/// What a peer meets on SSH, the allowed port and the other one.
fn met(peer: &Peer) -> [Tcp; 3] {
    [22, 4122, 5432].map(|port| peer.tcp_open(port).unwrap())
}

const WHOLE: [Tcp; 3] = [Tcp::Open, Tcp::Open, Tcp::Filtered];
const ONLY_SSH: [Tcp; 3] = [Tcp::Open, Tcp::Filtered, Tcp::Filtered];
const ALL_OPEN: [Tcp; 3] = [Tcp::Open, Tcp::Open, Tcp::Open];

on_hosts! {
    /// A peer that keeps knocking through a reboot is never answered on a port that is not declared, though something
    /// listens there from early on; and everything holds at once.
    fn the_confirmed_firewall_is_there_from_boot_on(host: &Host) {
        let peer = host.peer("client").unwrap();
        assert_eq!(holdfast(host, &["firewall", "load"]).status, Some(1), "nothing to load yet");
        sh(host, "nft delete table inet holdfast");
        applied(host);
        assert_eq!(met(&peer), WHOLE);
        host.push("/etc/systemd/system/sweeper.service", SWEEPER, 0o644).unwrap();
        sh(host, "systemctl daemon-reload; systemctl enable sweeper.service");
        let (knocks, answered, ()) = knocking(&peer, 5432, || host.reboot().unwrap());
        assert!(!answered, "of {knocks} knocks");
        assert!(knocks > 100, "only {knocks} knocks");
        assert_eq!(met(&peer), WHOLE);
        assert_passes(&verify(host));
        assert_eq!(shown(host, UNIT, "ActiveState"), "active");
        // Its place in the boot: before the network and sshd.
        let entered = |unit: &str| shown(host, unit, "ActiveEnterTimestampMonotonic").parse::<u64>().unwrap();
        assert!(entered(UNIT) <= entered("sysinit.target"), "before the target that all else waits for");
        assert!(entered(UNIT) < entered("ssh.service"));
        assert!(shown(host, UNIT, "Before").contains("network-pre.target"));
        assert!(events(host, FAILED_CLOSED, "crit").is_empty());
        // Stopping it opens nothing; starting it again loads the same.
        for verb in ["stop", "start", "restart"] {
            let (_, answered, _) = knocking(&peer, 5432, || sh(host, &format!("systemctl {verb} {UNIT}")));
            assert!(!answered, "{verb}");
            assert_eq!(met(&peer), WHOLE, "{verb}");
            assert_passes(&verify(host));
        }
    }
}

on_hosts! {
    /// Missing, cut short, edited, refused by nft: SSH and nothing else, said at `crit`, and the unit shows as failed.
    fn what_cannot_be_loaded_fails_closed(host: &Host) {
        let peer = host.peer("client").unwrap();
        applied(host);
        let spoil = [
            (format!("rm {COPY}"), "is missing"),
            (format!("truncate -s 300 {COPY}"), "is not whole"),
            (format!("sed -i 's/4122/5432/' {COPY}"), "was changed by somebody"),
            (format!("head -c 500 /dev/urandom > {COPY}"), "is not a file of text"),
            (format!("sed -i 's/\"format\":1/\"format\":2/' {COPY}"), "has format 2"),
        ];
        for (index, (script, words)) in spoil.iter().enumerate() {
            sh(host, script);
            let report = verify(host);
            assert_eq!(report.outcome(BOOT), "drift", "{script}");
            // The first by a whole boot, the others by the unit alone, on a host without a table.
            if index == 0 {
                let (_, answered, ()) = knocking(&peer, 5432, || host.reboot_failing(UNIT).unwrap());
                assert!(!answered);
            } else {
                sh(host, &format!("nft delete table inet holdfast; systemctl restart {UNIT} || true"));
            }
            assert_eq!(met(&peer), ONLY_SSH, "{script}");
            assert_eq!(shown(host, UNIT, "ActiveState"), "failed", "{script}");
            let said = events(host, FAILED_CLOSED, "crit");
            assert!(said.last().is_some_and(|line| line.contains(words) && line.contains("SSH as the profile has it on TCP 22")), "{script}: {said:?}");
            assert_eq!(verify(host).outcome("firewall.ruleset"), "drift", "{script}");
            correct(host);
            assert_passes(&verify(host));
            assert_eq!(met(&peer), WHOLE, "{script}: after correct");
        }
        // Without a profile either: the port that sshd's own configuration names.
        sh(host, &format!("rm {COPY}; mv /etc/holdfast/profile.toml /root/; nft delete table inet holdfast; systemctl restart {UNIT} || true"));
        assert_eq!(met(&peer), ONLY_SSH);
        let said = events(host, FAILED_CLOSED, "crit");
        assert!(said.last().unwrap().contains("SSH from anywhere on TCP 22"), "{said:?}");
        // Without nft nothing can be closed: that is said, too.
        sh(host, &format!("mv /usr/sbin/nft /root/nft; systemctl restart {UNIT} || true; mv /root/nft /usr/sbin/nft"));
        let said = events(host, FAILED_CLOSED, "crit");
        assert!(said.last().unwrap().contains("NO FIREWALL IS LOADED"), "{said:?}");
        assert!(said.last().unwrap().contains("apt-get install nftables"), "{said:?}");
        assert_eq!(shown(host, UNIT, "ActiveState"), "failed");
    }
}

on_hosts! {
    /// A sandbox that cannot be set up, as while a mount is missing, keeps the firewall away for no longer than that.
    fn what_cannot_be_started_is_started_again(host: &Host) {
        let peer = host.peer("client").unwrap();
        applied(host);
        let late = "[Service]\nBindReadOnlyPaths=/run/late:/mnt\n";
        host.push(format!("/etc/systemd/system/{UNIT}.d/late.conf"), late, 0o644).unwrap();
        sh(host, &format!("systemctl daemon-reload; nft delete table inet holdfast; ! systemctl restart {UNIT}"));
        assert_eq!(met(&peer), ALL_OPEN, "it could not be started");
        sh(host, "mkdir /run/late");
        let start = Instant::now();
        while met(&peer) != WHOLE {
            assert!(start.elapsed() < Duration::from_secs(120), "it is not started again");
            // Its socket does not take callers as fast as they can come.
            sleep(Duration::from_millis(500));
        }
        assert_eq!(shown(host, UNIT, "Result"), "success");
    }
}

/// Leaves the newest transaction as one that was interrupted after its last step.
fn reopen(host: &Host) {
    sh(host, "cd /var/lib/holdfast/transactions && rm \"$(ls | tail -n 1)/end.json\"");
}

on_hosts! {
    /// With a transaction open at boot, what was confirmed before it is loaded; before the first one there was nothing.
    fn an_open_transaction_is_not_loaded(host: &Host) {
        let peer = host.peer("client").unwrap();
        applied(host);
        give(host, &RULES.replace("4122", "5432"));
        apply(host);
        assert_eq!(met(&peer), [Tcp::Open, Tcp::Filtered, Tcp::Open]);
        reopen(host);
        sh(host, &format!("nft delete table inet holdfast; systemctl restart {UNIT}"));
        assert_eq!(met(&peer), WHOLE, "the one that was confirmed before");
        let (_, answered, ()) = knocking(&peer, 5432, || host.reboot().unwrap());
        assert!(!answered);
        assert_eq!(met(&peer), WHOLE);
        // The next command repairs: the copy and the table are those of before, and the unit is still enabled.
        give(host, RULES);
        assert_passes(&verify(host));
        assert_eq!(shown(host, UNIT, "UnitFileState"), "enabled");

        // Of the first transaction there is no before.
        let first = sh(host, "holdfast history --format json");
        let first: serde_json::Value = serde_json::from_str(&first).unwrap();
        let first = first["transactions"].as_array().unwrap().iter().filter_map(|t| t["id"].as_u64()).min().unwrap();
        holdfast(host, &["rollback", &first.to_string()]).ok().unwrap();
        assert_eq!(shown(host, UNIT, "UnitFileState"), "disabled", "rolled back too");
        assert!(host.sh(&format!("test -e {COPY}")).unwrap().status != Some(0), "rolled back too");
        apply(host);
        reopen(host);
        sh(host, &format!("nft delete table inet holdfast; systemctl restart {UNIT}"));
        assert_eq!(met(&peer), ALL_OPEN, "nothing was confirmed");
        assert_eq!(shown(host, UNIT, "ActiveState"), "active");
    }
}

on_hosts! {
    /// Debian's own nftables.service flushes every table: before ours is loaded at boot, and when it is restarted, after
    /// which ours is loaded again.
    fn the_stock_nftables_service_does_not_undo_it(host: &Host) {
        let peer = host.peer("client").unwrap();
        applied(host);
        let loaded_again = || {
            let start = Instant::now();
            while met(&peer) != WHOLE {
                assert!(start.elapsed() < Duration::from_secs(120), "the table is not loaded again");
                sleep(Duration::from_millis(200));
            }
        };
        // Before the first boot with it the unit has not run.
        assert_eq!(shown(host, UNIT, "ActiveState"), "inactive");
        sh(host, "systemctl restart nftables.service");
        loaded_again();
        sh(host, "systemctl enable nftables.service");
        host.reboot().unwrap();
        assert_eq!(met(&peer), WHOLE, "both are enabled");
        sh(host, "systemctl restart nftables.service");
        loaded_again();
        // A transaction that stops it, as the profile's services section does, loads the table again in itself.
        give(host, &format!("{RULES}[services]\ndisabled = [\"nftables.service\"]\n"));
        apply(host);
        assert_eq!(met(&peer), WHOLE);
        sh(host, "systemctl enable --now nftables.service");
        let corrected = report(host, "correct");
        assert_eq!(corrected.exit, 0, "{:#}", corrected.json);
        assert_passes(&verify(host));
        assert_eq!(met(&peer), WHOLE);
        give(host, RULES);
        apply(host);
        sh(host, "systemctl start nftables.service; systemctl stop nftables.service");
        assert_eq!(verify(host).outcome("firewall.ruleset"), "drift");
        correct(host);
        assert_eq!(met(&peer), WHOLE);
    }
}

on_hosts! {
    /// nftables.service is restarted, and so flushes every table, while another holdfast is at work: ours is loaded as soon
    /// as that has ended.
    fn a_flush_while_another_is_at_work_is_not_left_so(host: &Host) {
        let peer = host.peer("client").unwrap();
        applied(host);
        sh(host, "systemctl enable nftables.service");
        host.reboot().unwrap();
        assert_eq!(met(&peer), WHOLE);
        let at_work = r#"exec 9<>/run/holdfast/lock; flock 9
            printf '{"pid":%d,"command":"holdfast correct","since":"2026-01-01T00:00:00Z"}' $$ >&9
            touch /run/at-work; until test -e /run/enough; do sleep 0.1; done; truncate -s 0 /run/holdfast/lock"#;
        host.push("/root/at-work", at_work, 0o755).unwrap();
        sh(host, "systemd-run --unit=at-work sh /root/at-work; until test -e /run/at-work; do sleep 0.1; done");
        sh(host, "systemctl restart --no-block nftables.service
            while nft list table inet holdfast 2> /dev/null; do sleep 0.1; done
            until systemctl is-active holdfast-firewall.service | grep -qE 'activating|failed'; do sleep 0.1; done");
        assert_eq!(holdfast(host, &["correct"]).status, Some(75), "somebody is at work");
        sh(host, "touch /run/enough");
        let start = Instant::now();
        while met(&peer) != WHOLE {
            assert!(start.elapsed() < Duration::from_secs(120), "the table is not loaded again");
            sleep(Duration::from_millis(200));
        }
        assert_eq!(verify(host).outcome("firewall.ruleset"), "pass");
    }
}

on_hosts! {
    /// A person opens the host for a time; the kernel ends it, with the agent gone; nothing makes it last longer.
    fn an_opening_ends_by_itself(host: &Host) {
        let peer = host.peer("client").unwrap();
        give(host, RULES);
        assert_eq!(holdfast(host, &["firewall", "open", "--for", "3s"]).status, Some(1), "there is nothing to open");
        applied(host);
        let id = |outcome: &str| verify(host).outcome("firewall.break-glass") == outcome;
        for wrong in ["0s", "61m", "2h", "soon"] {
            assert_eq!(holdfast(host, &["firewall", "open", "--for", wrong]).status, Some(64), "{wrong}");
        }

        // By itself.
        let opened = host.command(["holdfast", "firewall", "open", "--for", "20s", "--reason", "a\ttest"]).unwrap()
            .env("SUDO_USER", "alice").run().unwrap().ok().unwrap();
        assert!(opened.stdout.starts_with("The host is open to everybody until "), "{opened}");
        let start = Instant::now();
        assert_eq!(met(&peer), ALL_OPEN);
        sh(host, "mv /usr/bin/holdfast /root/holdfast");
        let is_open = || peer.tcp_open(5432).unwrap() == Tcp::Open;
        while is_open() {
            assert!(start.elapsed() < Duration::from_secs(120), "it does not end");
            sleep(Duration::from_millis(200));
        }
        sh(host, "mv /root/holdfast /usr/bin/holdfast");
        assert_passes(&verify(host));
        let logged = events(host, "19cfd5f5af1042638ea962842ea2c97f", "warning");
        assert!(logged[0].contains("by alice: a test"), "{logged:?}");

        // While it lasts it is a finding that no timer takes back, and that says who; sooner by hand.
        holdfast(host, &["firewall", "open", "--for", "10m"]).ok().unwrap();
        let report = verify(host);
        assert_eq!(report.outcome("firewall.break-glass"), "fail");
        assert!(report.observed("firewall.break-glass").contains("by root"));
        assert_eq!(report.findings().len(), 1, "{:?}", report.findings());
        assert_eq!(crate::support::report(host, "correct").json["outcome"], "unchanged");
        assert!(is_open());
        let status = holdfast(host, &["status"]).ok().unwrap().stdout;
        assert!(status.contains("open to everybody until "), "{status}");
        holdfast(host, &["firewall", "close"]).ok().unwrap();
        assert!(!is_open());
        assert_passes(&verify(host));

        // What somebody else puts there is drift, and so is making ours last longer.
        let longer = "E=$(nft -j list set inet holdfast break-glass | grep -o 'holdfast: root until [^\"]*' | head -n 1)
            nft \"delete element inet holdfast break-glass { tcp }; add element inet holdfast break-glass { tcp timeout 10h comment \\\"$E\\\" }\"";
        for script in ["nft 'add element inet holdfast break-glass { tcp }'",
            "nft 'add element inet holdfast break-glass { udp timeout 5m }'",
            &format!("holdfast firewall open --for 10m; {longer}")] {
            sh(host, script);
            let report = verify(host);
            assert_eq!(report.outcome("firewall.break-glass"), "drift", "{script}");
            correct(host);
            assert!(!is_open(), "{script}");
            assert_passes(&verify(host));
        }

        // An apply closes it, and so does going back; neither opens it again.
        holdfast(host, &["firewall", "open", "--for", "10m"]).ok().unwrap();
        let id_of = apply(host).transaction();
        assert!(!is_open());
        assert!(id("pass"));
        holdfast(host, &["rollback", &id_of.to_string()]).ok().unwrap();
        assert!(!is_open(), "what was open then is not open again");
        // A reboot ends it.
        apply(host);
        holdfast(host, &["firewall", "open", "--for", "10m"]).ok().unwrap();
        host.reboot().unwrap();
        assert!(!is_open());
        assert_passes(&verify(host));
        let _listener: TcpListener = host.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 9999)).unwrap()).unwrap();
        assert_eq!(peer.tcp_open_v6(9999).unwrap(), Tcp::Filtered);
        holdfast(host, &["firewall", "open", "--for", "1m"]).ok().unwrap();
        assert_eq!(peer.tcp_open_v6(9999).unwrap(), Tcp::Open, "IPv6 too");
    }
}
