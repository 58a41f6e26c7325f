//! What only a machine with a kernel of its own can show: kernel parameters that really hold, the kernel's log, the boot
//! from its first packet on, and what a reboot and a power cut do to a change that nobody has confirmed.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use holdfast_test_host::{Machine, Peer, Scan};
use serde_json::Value;

use crate::support::{PROFILE, SOMEBODYS_KEY, Suite};

/// A test for each suite, on a machine of its own.
macro_rules! on_machines {
    ($(#[doc = $doc:literal])* fn $name:ident($machine:ident: &mut Machine) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            use super::*;

            fn body($machine: &mut Machine) $body

            fn on(suite: Suite) {
                let start = Instant::now();
                let mut machine = Machine::boot(suite).expect("a booted machine with holdfast installed");
                eprintln!("{suite}: up after {:.0} s", start.elapsed().as_secs_f32());
                machine.push("/root/.ssh/authorized_keys", SOMEBODYS_KEY, 0o600).unwrap();
                body(&mut machine);
                eprintln!("{suite}: done after {:.0} s", start.elapsed().as_secs_f32());
            }

            #[test]
            fn bookworm() {
                on(Suite::Bookworm);
            }

            #[test]
            fn trixie() {
                on(Suite::Trixie);
            }
        }
    };
}

/// The baseline, and a port on which nothing listens.
const BASELINE: &str = r#"
extends = ["baseline"]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
"#;

/// As the baseline has it for the log of drops: lines a minute, and at once.
const LOG_RATE: f32 = 10.0;
const LOG_BURST: f32 = 5.0;

/// How long an emulated machine may take for 128 packets.
const PAUSE: Duration = Duration::from_millis(250);

/// How many packets are to be dropped at once.
const FLOOD: u16 = 10_000;

/// Undeclared, and answered by systemd from early in the boot on if a packet gets there.
const EARLY: u16 = 5432;
const EARLY_SOCKET: &str = "[Unit]\nDefaultDependencies=no\nBefore=network-pre.target\n[Socket]\nListenStream=5432\nAccept=yes\n\
                            [Install]\nWantedBy=sysinit.target\n";
const EARLY_SERVICE: &str = "[Service]\nExecStart=/bin/echo here\nStandardOutput=socket\n";

/// Runs a script, which must succeed.
fn sh(machine: &mut Machine, script: &str) -> String {
    machine.sh(script).unwrap().ok().unwrap().stdout
}

/// Runs a holdfast command that prints JSON: its exit code and its document.
fn holdfast(machine: &mut Machine, words: &str) -> (i32, Value) {
    let output = machine.sh(&format!("holdfast {words} --format json")).unwrap();
    let json = serde_json::from_str(&output.stdout);
    let json = json.unwrap_or_else(|error| panic!("{words}: {error}\n{output}"));
    (output.status.unwrap_or(-1), json)
}

/// Applies for good, which must succeed: all of it holds, but for what cannot be seen. An sshd that is emulated on a busy
/// machine may take longer to introduce itself than holdfast waits.
fn apply(machine: &mut Machine) {
    let (exit, report) = holdfast(machine, "apply --no-confirm");
    assert!([0, 2].contains(&exit) && report["outcome"] == "committed", "{exit}: {report:#}");
    for result in report["results"].as_array().unwrap() {
        assert!(!["drift", "fail"].iter().any(|bad| result["outcome"] == *bad), "{result:#}");
    }
}

/// Asserts that all of the profile holds, and says how many kernel parameters that only a machine can have do.
fn assert_passes(machine: &mut Machine) -> usize {
    let bad = |report: &Value| -> Vec<Value> {
        let results = report["results"].as_array().unwrap().iter();
        let bad = ["drift", "fail", "cannot-check"];
        results.filter(|result| bad.iter().any(|bad| result["outcome"] == *bad)).cloned().collect()
    };
    let (mut exit, mut report) = holdfast(machine, "verify");
    // sshd may be slow to introduce itself, see above; nothing else may not be seen, and nothing may differ.
    for _ in 0..5 {
        let bad = bad(&report);
        let is_slow = |result: &Value| {
            result["outcome"] == "cannot-check" && result["check"] == "ssh.wire/22"
        };
        if bad.is_empty() || !bad.iter().all(is_slow) {
            break;
        }
        (exit, report) = holdfast(machine, "verify");
    }
    let bad = bad(&report);
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(exit, 0);
    let results = report["results"].as_array().unwrap();
    let is_kernel = |check: &str| {
        ["sysctl.live/kernel.", "sysctl.live/fs."].iter().any(|prefix| check.starts_with(prefix))
    };
    let passing = results.iter().filter(|result| result["outcome"] == "pass");
    passing.filter(|result| is_kernel(result["check"].as_str().unwrap())).count()
}

/// What a peer meets on the well-known ports, the declared ones, and those of a signer's host, over IPv4 and IPv6.
fn scans(peer: &Peer) -> [Scan; 2] {
    let more = [
        1433, 3032, 3306, 4122, EARLY, 6379, 8080, 8332, 8333, 8443, 8801, 9153, 9184, 20443,
        20444, 24224, 30000,
    ];
    let ports: Vec<u16> = (1..=1024).chain(more).collect();
    [IpAddr::from(peer.host_v4()), peer.host_v6().into()]
        .map(|to| peer.scan_slowly(to, &ports, PAUSE).unwrap())
}

/// Asserts that a peer finds SSH, and the declared port on which nothing listens, and nothing else.
fn assert_declared_only(machine: &Machine, when: &str) {
    for scan in scans(&machine.peer()) {
        assert_eq!(scan.open, [22].into(), "{when}");
        assert_eq!(scan.refused, [4122].into(), "{when}");
    }
}

/// Probes the early port while `look` goes on: how often, and how often it was answered.
fn probing<T: Send>(peer: &Peer, look: impl FnOnce() -> T) -> (u64, usize, T) {
    let (prober, is_over) = (peer.prober(peer.host_v4().into()).unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let probing = scope.spawn(|| {
            let (mut sent, mut answers) = (0, Scan::default());
            for source in (1024..32000).cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                // While there is no cable there is no way, and no answer either.
                sent += u64::from(prober.knock(source, EARLY).is_ok());
                prober.answers(&mut answers).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            (sent, answers)
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
        is_over.store(true, Ordering::Relaxed);
        let (sent, answers) = probing.join().unwrap();
        let answered =
            [answers.open, answers.refused].iter().flatten().filter(|p| **p == EARLY).count();
        (sent, answered, result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The microseconds after the boot at which a unit became active.
fn active_at(machine: &mut Machine, unit: &str) -> u64 {
    let script = format!("systemctl show -P ActiveEnterTimestampMonotonic {unit}");
    sh(machine, &script).trim().parse().unwrap()
}

on_machines! {
    /// The baseline on Debian's own kernel: its parameters hold, its log is not flooded, and the firewall is there before
    /// there is a network.
    fn the_kernel_is_held(machine: &mut Machine) {
        let release = sh(machine, "uname -r");
        let wanted = if machine.suite() == Suite::Bookworm { "6.1." } else { "6.12." };
        assert!(release.starts_with(wanted), "{release}");
        machine.push("/etc/systemd/system/early.socket", EARLY_SOCKET, 0o644).unwrap();
        machine.push("/etc/systemd/system/early@.service", EARLY_SERVICE, 0o644).unwrap();
        sh(machine, "systemctl daemon-reload; systemctl -q enable --now early.socket");
        let peer = machine.peer();
        for scan in scans(&peer) {
            assert_eq!(scan.open, [22, EARLY].into(), "before");
        }

        machine.push(PROFILE, BASELINE, 0o600).unwrap();
        sh(machine, "sysctl -q kernel.kptr_restrict=0 kernel.dmesg_restrict=0 fs.protected_fifos=0 fs.suid_dumpable=1");
        assert_eq!(holdfast(machine, "verify").0, 2);
        apply(machine);
        let applied = Instant::now();
        assert!(assert_passes(machine) >= 11, "the baseline's kernel and file system parameters");
        // By what they do, not by what they say.
        let as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
        let dmesg = machine.sh(&format!("{as_nobody} dmesg")).unwrap();
        assert!(dmesg.stderr.contains("not permitted"), "{dmesg}");
        let addresses = sh(machine, &format!("{as_nobody} head -c 16 /proc/kallsyms"));
        assert_eq!(addresses, "0".repeat(16));
        assert_declared_only(machine, "after apply");

        // Every packet of the scan and of the flood is a dropped one; the kernel logs a few.
        let prober = peer.prober(peer.host_v4().into()).unwrap();
        for port in 10_000..10_000 + FLOOD {
            prober.knock(40_000, port).unwrap();
        }
        let count = "journalctl --sync; journalctl -q -k -b -o cat -g '^holdfast drop: ' | wc -l";
        let lines: f32 = sh(machine, count).trim().parse().unwrap();
        let most = LOG_BURST + LOG_RATE * (applied.elapsed().as_secs_f32() / 60.0 + 1.0);
        eprintln!("{}: {lines} lines of at most {most:.0} for {FLOOD} packets and two scans", machine.suite());
        assert!((1.0..=most).contains(&lines), "{lines} lines, {most} at most");

        let (sent, answered, ()) = probing(&peer, || machine.reboot().unwrap());
        eprintln!("{}: {sent} probes through a reboot", machine.suite());
        assert_eq!(answered, 0, "of {sent} probes through a reboot");
        assert!(sent > 1000, "probed all the while");
        assert!(assert_passes(machine) >= 11, "after a reboot");
        assert_declared_only(machine, "after a reboot");
        let [table, before, network] = ["holdfast-firewall.service", "network-pre.target", "systemd-networkd.service"]
            .map(|unit| active_at(machine, unit));
        assert!(0 < table && table <= before && before <= network, "{table} {before} {network}");
        assert_answers(machine, "after a reboot");
    }
}

/// What is applied and confirmed, before bad changes.
const CONFIRMED: &str = r#"
[ssh]
x11_forwarding = false
[sysctl.values]
"kernel.kptr_restrict" = 1
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
"#;

/// Changes after which nobody gets in any more: what they are, what they say of sshd, and whom the firewall lets in.
const BAD: [[&str; 3]; 2] = [
    ["the wrong source", "", "tcp = [22]\nfrom = [\"203.0.113.0/24\"]\n"],
    ["sshd on another port", "ports = [2222]\n", "tcp = [22]\n"],
];

/// All that a change touches, read past holdfast.
fn state(machine: &mut Machine) -> String {
    let script = "
        find /etc/ssh /etc/systemd /etc/sysctl.d /etc/nftables.conf /var/lib/holdfast/firewall.json \
            -printf '%p %y %m %U %G %T@ %l\\n' | sort
        find /etc/ssh /etc/systemd /etc/sysctl.d /var/lib/holdfast/firewall.json -type f -exec sha256sum {} + | sort
        getfacl -R -p /etc/ssh /etc/sysctl.d
        nft -s list ruleset
        sshd -T | sort
        sysctl kernel.kptr_restrict kernel.dmesg_restrict
        systemctl is-enabled holdfast-firewall.service";
    sh(machine, script)
}

/// Applies a bad change for a person who then cannot confirm it, and returns its number.
fn lock_out(machine: &mut Machine, [_, ssh, allow]: [&str; 3]) -> u64 {
    let profile = format!(
        "[ssh]\nx11_forwarding = false\nmax_auth_tries = 3\n{ssh}[sysctl.values]\n\"kernel.dmesg_restrict\" = 1\n\
         [[firewall.allow]]\nname = \"ssh\"\n{allow}"
    );
    machine.push(PROFILE, &profile, 0o600).unwrap();
    let (exit, report) = holdfast(machine, "apply --confirm-within 10m --despite login.path");
    assert!([0, 2].contains(&exit) && report["outcome"] == "pending", "{exit}: {report:#}");
    assert_eq!(machine.peer().ssh_banner(22).unwrap(), None, "locked out");
    report["transaction"].as_u64().unwrap()
}

/// Asserts that a transaction was rolled back by the boot, and everything is as it was.
fn assert_back(machine: &mut Machine, id: u64, before: &str, when: &str) {
    let end = format!("/var/lib/holdfast/transactions/{id:06}/end.json");
    let script =
        format!("for _ in $(seq 300); do [ -e {end} ] && break; sleep 0.1; done; cat {end}");
    let ending = sh(machine, &script);
    assert!(ending.contains("rolled"), "{when}: {ending}");
    let after = state(machine);
    assert!(after == before, "{when}:\n{}", similar(before, &after));
    assert_answers(machine, when);
    // What waited was put back before sshd was started, not after.
    let script = "journalctl --sync; journalctl -q -b -o cat -g '^Server listening on ' | sed 's/.* port //; s/[.].*//' | sort -u";
    assert_eq!(sh(machine, script), "22\n", "{when}");
    let (_, status) = holdfast(machine, "status");
    assert_eq!(status["taken_back"]["transaction"], id, "{when}: {status:#}");
}

/// Asserts that sshd answers, for which a machine that is emulated, on one that is busy, may take a while.
fn assert_answers(machine: &Machine, when: &str) {
    let (peer, start) = (machine.peer(), Instant::now());
    while peer.ssh_banner(22).unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(30), "{when}: sshd does not answer");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines in which two texts differ.
fn similar(one: &str, other: &str) -> String {
    let missing = |of: &str, from: &str, sign: &str| {
        let from: Vec<&str> = from.lines().collect();
        of.lines()
            .filter(|l| !from.contains(l))
            .map(|l| format!("{sign} {l}\n"))
            .collect::<String>()
    };
    missing(one, other, "-") + &missing(other, one, "+")
}

on_machines! {
    /// A change that locks everybody out, and then a reboot, and a power cut: the boot takes it back, whole.
    fn what_nobody_confirmed_does_not_outlive_a_boot(machine: &mut Machine) {
        machine.push(PROFILE, CONFIRMED, 0o600).unwrap();
        // A person's own file, with an owner, a mode and an ACL of its own.
        sh(machine, "printf '# mine\\n' >/etc/sysctl.d/zz-holdfast.conf; chown 12:34 /etc/sysctl.d/zz-holdfast.conf
                     chmod 640 /etc/sysctl.d/zz-holdfast.conf; setfacl -m u:99:r /etc/sysctl.d/zz-holdfast.conf");
        apply(machine);
        assert_declared_only(machine, "the confirmed state");
        let before = state(machine);

        let id = lock_out(machine, BAD[0]);
        machine.reboot().unwrap();
        assert_back(machine, id, &before, &format!("{}, and a reboot", BAD[0][0]));
        assert_declared_only(machine, "after a reboot");

        let id = lock_out(machine, BAD[1]);
        machine.cut_power().unwrap();
        machine.power_on().unwrap();
        assert_back(machine, id, &before, &format!("{}, and a power cut", BAD[1][0]));

        // In the middle of it: wholly before, or wholly there and then taken back.
        let script = "systemd-run -q --unit=applying holdfast apply --confirm-within 10m --despite login.path";
        machine.push(PROFILE, &CONFIRMED.replace("kptr_restrict\" = 1", "dmesg_restrict\" = 1"), 0o600).unwrap();
        sh(machine, script);
        std::thread::sleep(Duration::from_millis(700));
        machine.cut_power().unwrap();
        machine.power_on().unwrap();
        let script = "for _ in $(seq 300); do holdfast recover && break; sleep 0.1; done";
        sh(machine, script);
        let after = state(machine);
        assert!(after == before, "a power cut in the middle:\n{}", similar(&before, &after));
        assert_declared_only(machine, "after a power cut in the middle");
    }
}
