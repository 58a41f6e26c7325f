//! A change that nobody has confirmed, a reboot and a power cut; and the word of somebody at the machine's console.

use holdfast_test_host::{Machine, Tcp};
use serde_json::Value;

use super::{PATIENCE, Person, assert_found, holdfast, on_machines, sh};
use crate::support::{PROFILE, Suite};

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
const BAD: [[&str; 3]; 3] = [
    ["the wrong source", "", "tcp = [22]\nfrom = [\"203.0.113.0/24\"]\n"],
    ["sshd on another port", "ports = [2222]\n", "tcp = [22]\n"],
    ["the wrong port", "", "tcp = [2222]\n"],
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

/// Gives the machine a profile with a bad change.
fn give(machine: &mut Machine, [_, ssh, allow]: [&str; 3]) {
    let profile = format!(
        "[ssh]\nx11_forwarding = false\nmax_auth_tries = 3\n{ssh}[sysctl.values]\n\"kernel.dmesg_restrict\" = 1\n\
         [[firewall.allow]]\nname = \"ssh\"\n{allow}"
    );
    machine.push(PROFILE, &profile, 0o600).unwrap();
}

/// Applies a bad change for a person who then cannot confirm it, and returns its number.
fn lock_out(machine: &mut Machine, bad: [&str; 3]) -> u64 {
    give(machine, bad);
    let (exit, report) = holdfast(machine, "apply --confirm-within 2h --despite login.path");
    assert!([0, 2].contains(&exit) && report["outcome"] == "pending", "{exit}: {report:#}");
    for port in [22, 2222] {
        assert_ne!(machine.peer().tcp_open(port).unwrap(), Tcp::Open, "{}: {port}", bad[0]);
    }
    report["transaction"].as_u64().unwrap()
}

/// Asserts that a transaction was rolled back by the boot for this cause, and everything is as it was.
fn assert_back(machine: &mut Machine, person: &Person, id: u64, cause: &str, before: &str) {
    let end = sh(machine, &format!("cat /var/lib/holdfast/transactions/{id:06}/end.json"));
    let end: Value = serde_json::from_str(&end).unwrap();
    assert_eq!(end["cause"], cause, "{end:#}");
    assert_eq!(end["unrestored"], serde_json::json!([]), "{end:#}");
    let after = state(machine);
    assert!(after == before, "{cause}:\n{}", similar(before, &after));
    // What waited was put back before sshd was started, not after.
    let script = "journalctl --sync; journalctl -q -b -o cat -g '^Server listening on ' | sed 's/.* port //; s/[.].*//' | sort -u";
    assert_eq!(sh(machine, script), "22\n", "{cause}");
    person.assert_gets_in(cause);
}

/// Asserts that holdfast names the transaction as one that was taken back with nobody there.
fn assert_named(machine: &mut Machine, id: u64) {
    let (_, status) = holdfast(machine, "status");
    assert_eq!(status["taken_back"]["transaction"], id, "{status:#}");
}

/// Begins a bad change, and stops it for good when its fourth step has begun: what a power cut then finds.
fn begin(machine: &mut Machine, id: u64, bad: [&str; 3]) {
    give(machine, bad);
    // One byte of the file for each step that has begun. The unit is not waited for.
    let script = format!(
        "systemd-run -q --unit=applying holdfast apply --confirm-within 2h --despite login.path
         progress=/var/lib/holdfast/transactions/{id:06}/progress
         until [ -e $progress ] && [ \"$(od -An -tu1 -j3 -N1 $progress)\" = '   1' ]; do sleep 0.01; done
         systemctl kill -s STOP applying.service
         systemctl show -P MainPID applying.service
         ls /var/lib/holdfast/transactions/{id:06}"
    );
    let seen = sh(machine, &script);
    assert!(!seen.contains("end.json") && !seen.contains("provisional.json"), "{seen}");
}

/// Logs in as root at the serial console and runs a command there; what was seen.
fn at_console(machine: &mut Machine, command: &str) -> String {
    // An emulated processor hashes slowly, and login gives up after a minute.
    sh(
        machine,
        "sed -i 's/^LOGIN_TIMEOUT.*/LOGIN_TIMEOUT 3600/' /etc/login.defs; echo root:anchored | chpasswd",
    );
    let mut console = machine.sit_at_console().unwrap();
    console.enter("").unwrap();
    console.wait_for("login: ", PATIENCE).unwrap();
    console.enter("root").unwrap();
    console.wait_for("Password: ", PATIENCE).unwrap();
    console.enter("anchored").unwrap();
    console.wait_for("# ", PATIENCE).unwrap();
    console.enter(&format!("{command}; echo \"left\" with $?")).unwrap();
    let seen = console.wait_for("left with ", PATIENCE).unwrap();
    console.enter("logout").unwrap();
    console.wait_for("login: ", PATIENCE).unwrap();
    seen
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
    /// Somebody at the console confirms a change; then three that lock everybody out, and a reboot, a power cut, and a power
    /// cut while apply is at work: each boot takes them back, whole.
    fn what_nobody_confirmed_does_not_outlive_a_boot(machine: &mut Machine, person: &Person) {
        machine.push(PROFILE, CONFIRMED, 0o600).unwrap();
        // A person's own file, with an owner, a mode and an ACL of its own.
        sh(machine, "printf '# mine\\n' >/etc/sysctl.d/zz-holdfast.conf; chown 12:34 /etc/sysctl.d/zz-holdfast.conf
                     chmod 640 /etc/sysctl.d/zz-holdfast.conf; setfacl -m u:99:r /etc/sysctl.d/zz-holdfast.conf");
        let (exit, report) = holdfast(machine, "apply --confirm-within 2h");
        assert!([0, 2].contains(&exit) && report["outcome"] == "pending", "{exit}: {report:#}");
        let seen = at_console(machine, "holdfast confirm");
        assert!(seen.contains("confirmed by root from the console ttyS0"), "{seen}");
        let (_, status) = holdfast(machine, "status");
        assert!(status["pending"].is_null(), "{status:#}");
        assert_found(&person.peer, &[22], &[4122], "the confirmed state");
        let before = state(machine);

        let id = lock_out(machine, BAD[0]);
        machine.reboot().unwrap();
        assert_back(machine, person, id, "rebooted", &before);
        assert_named(machine, id);

        let id = lock_out(machine, BAD[1]);
        machine.cut_power().unwrap();
        machine.power_on().unwrap();
        assert_back(machine, person, id, "rebooted", &before);
        assert_named(machine, id);

        begin(machine, id + 1, BAD[2]);
        machine.cut_power().unwrap();
        machine.power_on().unwrap();
        assert_back(machine, person, id + 1, "interrupted", &before);
        assert_found(&person.peer, &[22], &[4122], "after a power cut in the middle");
    }
}
