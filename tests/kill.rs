//! The agent is killed at every step of a transaction, in turn, on a booted host.
//!
//! strace sends SIGKILL as the agent enters its n-th call of each kind that writes, renames, syncs, starts a process or
//! speaks to systemd: nothing in the program knows of the test. After each kill, before anything is repaired, sshd's
//! configuration must be valid and the table absent or whole; after the next start of holdfast the host must be wholly
//! before or wholly after, and the lock free.

use std::collections::BTreeMap;

use holdfast_test_host::Snapshot;

use crate::support::*;

/// Something of every kind of change: folders, files, kernel parameters, unit files, running units, the table.
const KILL_PROFILE: &str = r#"
[journal]
storage = "persistent"
max_use = "1G"
[sysctl.values]
"net.ipv4.conf.all.accept_redirects" = 0
"net.ipv4.conf.all.log_martians" = 1
[services]
enabled = ["killed.service"]
masked = ["unwanted.service"]
[ssh]
password_authentication = false
x11_forwarding = false
[[firewall.allow]]
name = "ssh"
tcp = [22]
"#;

const UNIT: &str =
    "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

/// The calls by which a process changes anything outside itself.
const CALLS: [&str; 18] = [
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "fchown",
    "fchmod",
    "symlinkat",
    "utimensat",
    "sendmsg",
    "vfork",
    "clone3",
];

/// Everything the profile touches, as another surface shows it.
fn state(host: &Host) -> State {
    let files = host.snapshot(&["/etc/ssh", "/etc/systemd", "/etc/sysctl.d"]).unwrap();
    let script = "
        sysctl net.ipv4.conf.all.accept_redirects net.ipv4.conf.all.log_martians
        nft -s list ruleset
        sshd -T | sort
        systemctl is-enabled killed.service unwanted.service || true
        for unit in killed.service unwanted.service ssh.service systemd-journald.service; do
            echo \"$unit $(systemctl is-active $unit)\"
        done
        ls -A /etc/ssh/sshd_config.d /etc/sysctl.d /etc/systemd /etc/systemd/system
    ";
    State { files, live: host.sh(script).unwrap().ok().unwrap().stdout }
}

#[derive(PartialEq)]
struct State {
    files: Snapshot,
    live: String,
}

impl State {
    /// The same but for times: what was written twice was written at two times.
    fn timeless(&self) -> Self {
        let mut files = self.files.clone();
        for entry in files.values_mut() {
            entry.mtime_ns = 0;
        }
        Self { files, live: self.live.clone() }
    }

    /// What differs, for a failing assertion to print.
    fn against(&self, other: &Self) -> String {
        let mut lines = changes(&self.files, &other.files);
        let (a, b): (Vec<_>, Vec<_>) = (self.live.lines().collect(), other.live.lines().collect());
        lines.extend(a.iter().filter(|line| !b.contains(line)).map(|line| format!("-{line}")));
        lines.extend(b.iter().filter(|line| !a.contains(line)).map(|line| format!("+{line}")));
        lines.join("\n")
    }
}

/// What must be true even before anything is repaired.
fn assert_not_half_configured(host: &Host, tables: &[&str], at: &str) {
    let test = host.run(["sshd", "-t"]).unwrap();
    assert_eq!(test.status, Some(0), "{at}: sshd would not start: {}", test.stderr);
    assert!(
        host.run(["systemctl", "is-active", "ssh.service"]).unwrap().status == Some(0),
        "{at}: sshd does not run"
    );
    let table = host.run(["nft", "-s", "list", "ruleset"]).unwrap().stdout;
    assert!(tables.contains(&table.as_str()), "{at}: a half table:\n{table}");
}

/// The calls of these that a change which waits to be confirmed makes more of: the word to systemd, and the record.
const CALLS_OF_WAITING: [&str; 2] = ["sendmsg", "rename"];

/// Of the calls that are made before there is a transaction, of each kind: the agent only looks then, and one kill of each
/// tells as much as a hundred.
const LOOKING: usize = 1;

/// The calls of one whole apply at which it is to be killed: of each kind, which of them.
fn points(host: &Host, how: &str) -> BTreeMap<&'static str, Vec<usize>> {
    let trace = format!("trace={}", CALLS.map(|call| format!("?{call}")).join(","));
    let words = ["strace", "-qq", "-o", "/tmp/trace", "-e", &trace, "holdfast", "-q", "apply", how];
    host.run(words).unwrap().ok().unwrap();
    let trace = String::from_utf8(host.read("/tmp/trace").unwrap()).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let begins = lines.iter().position(|line| line.contains("/transactions/")).unwrap();
    let of = |call: &str| -> Vec<usize> {
        let is_call = |line: &&&str| line.split('(').next() == Some(call);
        let before = lines[..begins].iter().filter(is_call).count();
        let all = lines.iter().filter(is_call).count();
        (1..=all).filter(|n| *n + LOOKING > before).collect()
    };
    CALLS.into_iter().map(|call| (call, of(call))).filter(|(_, n)| !n.is_empty()).collect()
}

fn counted(points: &BTreeMap<&'static str, Vec<usize>>) -> BTreeMap<&'static str, usize> {
    points.iter().map(|(call, all)| (*call, all.len())).collect()
}

fn newest_transaction(host: &Host) -> serde_json::Value {
    let history = holdfast(host, &["history", "--format", "json"]).ok().unwrap().stdout;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    history["transactions"].as_array().unwrap().last().cloned().unwrap_or_default()
}

on_hosts! {
    fn every_step_killed(host: &Host) {
        host.push("/etc/systemd/system/killed.service", UNIT, 0o644).unwrap();
        host.push("/etc/systemd/system/unwanted.service", UNIT, 0o644).unwrap();
        // A unit whose file is below /etc cannot be masked; this one comes from a package.
        host.sh("mv /etc/systemd/system/unwanted.service /usr/lib/systemd/system/; systemctl daemon-reload")
            .unwrap().ok().unwrap();
        give(host, KILL_PROFILE);
        let before = state(host);
        let calls = points(host, "--no-confirm");
        let after = state(host);
        assert!(before != after);
        let table_after = host.run(["nft", "-s", "list", "ruleset"]).unwrap().stdout;
        let back = |host: &Host, why: &str| {
            let id = newest_transaction(host)["id"].to_string();
            holdfast(host, &["rollback", &id]).ok().unwrap_or_else(|e| panic!("{why}: {e:?}"));
            let now = state(host);
            assert!(now == before, "{why}: rollback {id} brought back something else:\n{}", before.against(&now));
        };
        back(host, "the first apply");
        let mut waiting = points(host, "--confirm-within=10m");
        waiting.retain(|call, _| CALLS_OF_WAITING.contains(call));
        back(host, "the first that waits");

        let (mut killed, mut ended_before, mut ended_after) = (0, 0, 0);
        let each = |how: &'static str, calls: &BTreeMap<&'static str, Vec<usize>>| {
            let points = calls.iter().flat_map(|(call, all)| all.iter().map(|n| (*call, *n)));
            points.map(|(call, n)| (how, call, n)).collect::<Vec<_>>()
        };
        for (how, call, n) in [each("--no-confirm", &calls), each("--confirm-within=10m", &waiting)].concat() {
            let at = format!("{how}: killed at {call} {n}");
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let trace = format!("trace={call}");
            let words =
                ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "holdfast", "-q", "apply", how];
            let output = host.run(words).unwrap();
            killed += usize::from(output.status != Some(0));
            assert_not_half_configured(host, &["", &table_after], &at);
            let verify = verify(host);
            assert!(verify.exit == 0 || verify.exit == 2, "{at}: the lock is not free: {:#}", verify.json);
            let now = state(host);
            if now.timeless() == after.timeless() {
                ended_after += 1;
                // Committed or waiting: both are taken back by their number.
                back(host, &at);
            } else {
                let (to_before, to_after) = (before.against(&now), after.timeless().against(&now.timeless()));
                assert!(now == before, "{at}: neither before:\n{to_before}\nnor after:\n{to_after}");
                ended_before += 1;
            }
            let armed = host.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "holdfast-expire@*"]).unwrap();
            assert_eq!(armed.text(), "", "{at}: a timer is left");
        }
        let points: usize = calls.values().chain(waiting.values()).map(Vec::len).sum();
        eprintln!(
            "{}: killed at {killed} of {points} points ({:?}; of those that wait {:?}): {ended_before} ended wholly before, {ended_after} wholly after",
            host.suite(),
            counted(&calls),
            counted(&waiting)
        );
        assert!(killed * 10 >= points * 9, "only {killed} of {points} points were killed");
    }
}
