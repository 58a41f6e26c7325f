//! Kernel parameters, the kernel's log, and the firewall from the boot's first packet on.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use holdfast_test_host::{Machine, Peer, Scan, Tcp};

use super::{PATIENCE, Person, apply, assert_found, assert_passes, holdfast, on_machines, sh};
use crate::support::{PROFILE, Suite, repository};

/// The baseline as it is shipped, and a port on which nothing listens.
const BASELINE: &str = r#"
extends = ["baseline"]
[[firewall.allow]]
name = "signer-p2p"
tcp = [4122]
"#;

/// As the baseline has it for the log of drops: lines a minute, and at once.
const LOG_RATE: f32 = 10.0;
const LOG_BURST: f32 = 5.0;

/// How many packets are to be dropped in a flood.
const FLOOD: u64 = 2_000;

/// Undeclared, and answered by systemd from early in the boot on if a packet gets there.
const EARLY: u16 = 5432;
const EARLY_SOCKET: &str = "[Unit]\nDefaultDependencies=no\nBefore=network-pre.target\n[Socket]\nListenStream=5432\nAccept=yes\n\
                            [Install]\nWantedBy=sysinit.target\n";
const EARLY_SERVICE: &str = "[Service]\nExecStart=/bin/echo here\nStandardOutput=socket\n";

/// Parameters of the kernel and of file systems, in a state in which none is as the baseline wants it. All of them are the
/// whole machine's: no container has its own.
const LOOSE: [(&str, &str); 11] = [
    ("fs.protected_fifos", "0"),
    ("fs.protected_hardlinks", "0"),
    ("fs.protected_regular", "0"),
    ("fs.protected_symlinks", "0"),
    ("fs.suid_dumpable", "1"),
    ("kernel.dmesg_restrict", "0"),
    ("kernel.kptr_restrict", "0"),
    ("kernel.perf_event_paranoid", "1"),
    ("kernel.randomize_va_space", "0"),
    ("kernel.unprivileged_bpf_disabled", "0"),
    ("kernel.yama.ptrace_scope", "0"),
];

/// Reads parameters of the kernel and of file systems from the kernel, past holdfast.
fn live(machine: &mut Machine) -> BTreeMap<String, String> {
    let names = LOOSE.map(|(name, _)| name).join(" ");
    let values = sh(machine, &format!("sysctl {names}"));
    let pairs = values.lines().filter_map(|line| line.split_once(" = "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn loose() -> BTreeMap<String, String> {
    LOOSE.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Somebody loosens all of them at once.
fn loosen(machine: &mut Machine) {
    let mut script = "sysctl -q -w".to_owned();
    for (name, value) in LOOSE {
        write!(script, " {name}={value}").unwrap();
    }
    sh(machine, &script);
    assert_eq!(live(machine), loose());
}

/// What the shipped profile says of the kernel and of file systems.
fn wanted() -> BTreeMap<String, String> {
    let profile: toml::Table = repository("profiles/baseline.toml").parse().unwrap();
    let values = profile["sysctl"]["values"].as_table().unwrap().iter();
    let own = values.filter(|(name, _)| name.starts_with("kernel.") || name.starts_with("fs."));
    own.map(|(name, value)| (name.clone(), value.to_string())).collect()
}

/// How many packets were not let in since the table was loaded, as the kernel has counted.
fn dropped(machine: &mut Machine) -> u64 {
    let script = "nft list chain inet holdfast input | sed -n '/comment \"not let in\"/s/.*counter packets \\([0-9]*\\) .*/\\1/p'";
    sh(machine, script).trim().parse().unwrap()
}

/// Sends packets to undeclared ports until the machine has dropped many, and no faster than it reads.
fn flood(machine: &mut Machine, peer: &Peer) -> u64 {
    let prober = peer.prober(peer.host_v4().into()).unwrap();
    let (start, before) = (Instant::now(), dropped(machine));
    loop {
        for port in 10_000..12_560 {
            prober.knock(40_000, port).unwrap();
            if port % 128 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let dropped = dropped(machine) - before;
        if dropped >= FLOOD {
            return dropped;
        }
        assert!(start.elapsed() < PATIENCE, "only {dropped} packets were dropped");
    }
}

/// How many lines the kernel's log has of what was dropped.
fn lines(machine: &mut Machine) -> f32 {
    let script = "journalctl --sync; journalctl -q -k -b -o cat -g '^holdfast drop: ' | wc -l";
    sh(machine, script).trim().parse().unwrap()
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
    /// The baseline on Debian's own kernel: its parameters hold, drift, are put right, outlive a boot, and go back; its log
    /// is not flooded, and the firewall is there before there is a network.
    fn the_kernel_is_held(machine: &mut Machine, person: &Person) {
        let release = sh(machine, "uname -r");
        let own = if machine.suite() == Suite::Bookworm { "6.1." } else { "6.12." };
        assert!(release.starts_with(own), "{release}");
        machine.push("/etc/systemd/system/early.socket", EARLY_SOCKET, 0o644).unwrap();
        machine.push("/etc/systemd/system/early@.service", EARLY_SERVICE, 0o644).unwrap();
        sh(machine, "systemctl -q enable --now early.socket");
        assert_eq!(wanted().keys().collect::<Vec<_>>(), loose().keys().collect::<Vec<_>>());
        loosen(machine);

        machine.push(PROFILE, BASELINE, 0o600).unwrap();
        let applied = Instant::now();
        let id = apply(machine);
        assert_eq!(live(machine), wanted(), "applied");
        // By what they do, not by what they say.
        let as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all";
        let dmesg = machine.sh(&format!("{as_nobody} dmesg")).unwrap();
        assert!(dmesg.stderr.contains("not permitted"), "{dmesg}");
        let addresses = sh(machine, &format!("{as_nobody} head -c 16 /proc/kallsyms"));
        assert_eq!(addresses, "0".repeat(16));

        // Every packet of the flood is a dropped one; the kernel logs a few.
        let flooded = flood(machine, &person.peer);
        let lines = lines(machine);
        let most = LOG_BURST + LOG_RATE * (applied.elapsed().as_secs_f32() / 60.0 + 1.0);
        eprintln!("{}: {lines} lines of at most {most:.0} for {flooded} dropped packets", machine.suite());
        assert!((1.0..=most).contains(&lines), "{lines} lines, {most} at most");

        loosen(machine);
        let (exit, report) = holdfast(machine, "verify");
        assert_eq!(exit, 2);
        let results = report["results"].as_array().unwrap();
        for (name, _) in LOOSE {
            let check = format!("sysctl.live/{name}");
            let result = results.iter().find(|result| result["check"] == *check).unwrap();
            assert_eq!(result["outcome"], "drift", "{result:#}");
        }
        let (exit, report) = holdfast(machine, "correct");
        // See `apply`: 2 when sshd is slow to introduce itself.
        assert!([0, 2].contains(&exit), "{exit}: {report:#}");
        assert_eq!(live(machine), wanted(), "corrected");

        let peer = &person.peer;
        let (sent, answered, ()) = probing(peer, || machine.reboot().unwrap());
        eprintln!("{}: {sent} probes through a reboot", machine.suite());
        assert_eq!(answered, 0, "of {sent} probes through a reboot");
        assert!(sent > 1000, "probed all the while");
        assert_eq!(live(machine), wanted(), "after a reboot");
        assert_passes(machine);
        assert_found(peer, &[22], &[4122], "after a reboot");
        person.assert_gets_in("after a reboot");
        let [table, before, network] = ["holdfast-firewall.service", "network-pre.target", "systemd-networkd.service"]
            .map(|unit| active_at(machine, unit));
        assert!(0 < table && table <= before && before <= network, "{table} {before} {network}");

        let (exit, report) = holdfast(machine, &format!("rollback {id} --no-confirm"));
        assert_eq!(exit, 0, "{report:#}");
        assert_eq!(live(machine), loose(), "rolled back");
        assert_eq!(sh(machine, "ls /etc/sysctl.d | grep holdfast || true; nft list tables"), "");
        // The listener that no probe had found was there to be found.
        let start = Instant::now();
        while person.peer.tcp_open(EARLY).unwrap() != Tcp::Open {
            assert!(start.elapsed() < PATIENCE, "nothing listens on {EARLY}");
        }
    }
}
