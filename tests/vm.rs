//! What only a machine with a kernel of its own can show: kernel parameters that really hold, the kernel's log, the boot
//! from its first packet on, what a reboot and a power cut do to a change that nobody has confirmed, and its console.
//!
//! Emulated, a machine is slow, and slower where others work beside it: nothing here is judged by how long it took, and
//! what is late is asked for again.

mod kernel;
mod sticks;
mod unconfirmed;

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use holdfast_test_host::{Machine, Peer};
use serde_json::Value;

use crate::support::{SSH, Suite};

/// A test for each suite, on a machine of its own.
macro_rules! on_machines {
    ($(#[doc = $doc:literal])* fn $name:ident($machine:ident: &mut Machine, $person:ident: &Person) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test uses all of its file's imports")]
            use super::*;

            fn body($machine: &mut Machine, $person: &Person) $body

            #[test]
            fn bookworm() {
                crate::vm::on(Suite::Bookworm, body);
            }

            #[test]
            fn trixie() {
                crate::vm::on(Suite::Trixie, body);
            }
        }
    };
}
use on_machines;

/// Runs a test on a fresh machine, and says what it took.
fn on(suite: Suite, body: impl FnOnce(&mut Machine, &Person)) {
    let start = Instant::now();
    let mut machine = Machine::boot(suite).expect("a booted machine with holdfast installed");
    say(&machine, start, "up");
    let person = Person::new(&mut machine);
    body(&mut machine, &person);
    say(&machine, start, "done");
}

fn say(machine: &Machine, start: Instant, what: &str) {
    let (suite, wall) = (machine.suite(), start.elapsed().as_secs_f32());
    eprintln!(
        "{suite}: {what} after {wall:.0} s, {:.0} s of a processor",
        machine.processor_time().as_secs_f32()
    );
}

/// How long to wait for what must come, on a machine that may be very slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// Somebody on another host, whose key root of the machine admits.
struct Person {
    peer: Peer,
    keys: tempfile::TempDir,
}

impl Person {
    fn new(machine: &mut Machine) -> Self {
        let person = Self { peer: machine.peer(), keys: tempfile::tempdir().unwrap() };
        let key = person.key();
        let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()];
        person.peer.run(words).unwrap().ok().unwrap();
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        machine.push("/root/.ssh/authorized_keys", &public, 0o600).unwrap();
        person
    }

    fn key(&self) -> PathBuf {
        self.keys.path().join("key")
    }

    /// Asserts that a new login from outside gets in, over and over until it has had the time.
    fn assert_gets_in(&self, when: &str) {
        let (key, to) = (self.key().display().to_string(), format!("root@{}", self.peer.host_v4()));
        let start = Instant::now();
        loop {
            let fixed = SSH.into_iter().chain(["-o", "ConnectTimeout=60", "-o", "LogLevel=ERROR"]);
            let output = self.peer.run(fixed.chain(["-i", &key, &to, "echo in"])).unwrap();
            if output.stdout == "in\n" {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{when}: no login: {output}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

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

/// The outcomes that need attention.
fn is_bad(result: &Value) -> bool {
    ["drift", "fail", "cannot-check"].iter().any(|bad| result["outcome"] == *bad)
}

/// Applies for good, which must succeed: all of it holds, but for what cannot be seen. An sshd that is emulated on a busy
/// machine may take longer to introduce itself than holdfast waits.
fn apply(machine: &mut Machine) -> u64 {
    let (exit, report) = holdfast(machine, "apply --no-confirm");
    assert!([0, 2].contains(&exit) && report["outcome"] == "committed", "{exit}: {report:#}");
    let results = report["results"].as_array().unwrap().iter();
    let bad: Vec<&Value> =
        results.filter(|result| is_bad(result) && result["outcome"] != "cannot-check").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    report["transaction"].as_u64().unwrap()
}

/// Asserts that all of the profile holds.
fn assert_passes(machine: &mut Machine) {
    let start = Instant::now();
    loop {
        let (exit, report) = holdfast(machine, "verify");
        let results = report["results"].as_array().unwrap().iter();
        let bad: Vec<&Value> = results.filter(|result| is_bad(result)).collect();
        // sshd may be slow to introduce itself, see above; nothing else may not be seen, and nothing may differ.
        let is_slow = |result: &&Value| {
            result["outcome"] == "cannot-check" && result["check"] == "ssh.wire/22"
        };
        if bad.is_empty() || start.elapsed() > PATIENCE || !bad.iter().all(is_slow) {
            assert!(bad.is_empty(), "{bad:#?}");
            assert_eq!(exit, 0);
            return;
        }
    }
}

/// How long an emulated machine may take for 128 packets.
const PAUSE: Duration = Duration::from_millis(250);

/// What a peer meets on the well-known ports, the declared ones, and those of a signer's host, over IPv4 and IPv6: asserts
/// that it is these, and nothing else.
fn assert_found(peer: &Peer, open: &[u16], refused: &[u16], when: &str) {
    let more = [
        1433, 2222, 3032, 3306, 4122, 5432, 6379, 8080, 8332, 8333, 8443, 8801, 9153, 9184, 20443,
        20444, 24224, 30000,
    ];
    let ports: Vec<u16> = (1..=1024).chain(more).collect();
    let [open, refused] = [open, refused].map(|ports| ports.iter().copied().collect());
    for to in [IpAddr::from(peer.host_v4()), peer.host_v6().into()] {
        let start = Instant::now();
        loop {
            let scan = peer.scan_slowly(to, &ports, PAUSE).unwrap();
            if scan.open == open && scan.refused == refused {
                break;
            }
            // An answer may be late; one that should not be there is none too many.
            let is_less = scan.open.is_subset(&open) && scan.refused.is_subset(&refused);
            assert!(is_less && start.elapsed() < PATIENCE, "{when}: {to}: {scan:?}");
        }
    }
}
