//! What tests on booted hosts have in common: a host with a profile, holdfast's answers as data.

use std::{collections::BTreeMap, io::Write as _, path::Path, sync::Once};

pub(crate) use holdfast_test_host::{Host, Image, Options, Output, Suite, changes};
use serde_json::Value;

/// A profile on its own, enough to hold a fresh host to something of every control.
pub(crate) const SIGNER: &str = "extends = [\"sbtc-signer\"]\n";

/// Where a host's own profile is.
pub(crate) const PROFILE: &str = "/etc/holdfast/profile.toml";

/// `ssh` that asks nobody anything, knows no host beforehand, and reads nobody's configuration.
pub(crate) const SSH: [&str; 11] = [
    "ssh",
    "-F",
    "none",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "IdentitiesOnly=yes",
];

/// A test for each suite, with a fresh host that has holdfast installed from its package.
///
/// `on_hosts! { fn name(host: &Host) { … } }` makes a module `name` with one test per suite. `Image::Containers; fn …`
/// makes it with hosts of another image.
macro_rules! on_hosts {
    ($(#[doc = $doc:literal])* fn $name:ident($host:ident: &Host) $body:block) => {
        on_hosts! { Image::Plain; $(#[doc = $doc])* fn $name($host: &Host) $body }
    };
    ($image:expr; $(#[doc = $doc:literal])* fn $name:ident($host:ident: &Host) $body:block) => {
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports, reason = "not every test uses all of its file's imports")]
            use super::*;

            fn body($host: &Host) $body

            #[test]
            fn bookworm() {
                $crate::support::on(Suite::Bookworm, $image, body);
            }

            #[test]
            fn trixie() {
                $crate::support::on(Suite::Trixie, $image, body);
            }
        }
    };
}

/// Somebody's key: a host that is to be managed over SSH has one before anything else, or an apply is refused.
pub(crate) const SOMEBODYS_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE somebody\n";

/// Has whatever fails printed when it fails: libtest keeps it to the end, which in a run of half an hour is late, and in
/// one that is cut off is never.
pub(crate) fn failures_show_at_once() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let text: String = panic.to_string().chars().take(SHOWN_AT_ONCE).collect();
            // Past libtest, which catches what `eprintln!` writes. There is nobody to tell if it fails.
            drop(writeln!(std::io::stderr().lock(), "{}: {text}", thread.name().unwrap_or("?")));
            usual(panic);
        }));
    });
}

/// Characters of a failure's message: what it says first; the rest is printed at the end.
const SHOWN_AT_ONCE: usize = 3000;

/// Runs a test on a fresh host, as a provider hands them out: root admits somebody's key.
pub(crate) fn on(suite: Suite, image: Image, body: impl FnOnce(&Host)) {
    failures_show_at_once();
    let options = Options { image, ..Options::default() };
    let host = Host::with(suite, options).expect("a booted host with holdfast installed");
    host.sh("install -d -m 700 /root/.ssh").unwrap().ok().unwrap();
    host.push("/root/.ssh/authorized_keys", SOMEBODYS_KEY, 0o600).expect("the key is pushed");
    body(&host);
}

/// What `verify`, `apply` or `correct` said.
#[derive(Debug)]
pub(crate) struct Report {
    /// The exit code.
    pub exit: i32,
    /// The whole document.
    pub json: Value,
    /// Every result, by check.
    pub results: BTreeMap<String, Value>,
}

impl Report {
    /// The outcome of a check; panics when the report does not have it.
    pub(crate) fn outcome(&self, check: &str) -> &str {
        let result = self.results.get(check);
        let result = result.unwrap_or_else(|| panic!("no result for {check} in {:#}", self.json));
        result["outcome"].as_str().unwrap()
    }

    /// What was observed.
    pub(crate) fn observed(&self, check: &str) -> &str {
        self.results[check]["observed"].as_str().unwrap()
    }

    /// The checks with this outcome.
    pub(crate) fn with(&self, outcome: &str) -> Vec<&str> {
        let fitting = self.results.iter().filter(|(_, result)| result["outcome"] == outcome);
        fitting.map(|(check, _)| check.as_str()).collect()
    }

    /// The findings that need attention, one line each, for a failing assertion to print.
    pub(crate) fn findings(&self) -> Vec<String> {
        let bad = ["drift", "fail", "cannot-check"];
        let fitting = self
            .results
            .values()
            .filter(|result| bad.contains(&result["outcome"].as_str().unwrap_or_default()));
        fitting
            .map(|r| {
                format!("{} {}: {} <> {}", r["outcome"], r["check"], r["expected"], r["observed"])
            })
            .collect()
    }

    /// The number of the transaction.
    pub(crate) fn transaction(&self) -> u64 {
        self.json["transaction"]
            .as_u64()
            .unwrap_or_else(|| panic!("no transaction in {:#}", self.json))
    }
}

/// Runs holdfast in the host, whatever it exits with.
pub(crate) fn holdfast(host: &Host, args: &[&str]) -> Output {
    let mut words: Vec<&str> = std::iter::once("holdfast").chain(args.iter().copied()).collect();
    // What is not about confirming does not wait for it.
    let waits = args.first().is_some_and(|command| ["apply", "rollback"].contains(command));
    if waits && !args.iter().any(|arg| arg.contains("confirm")) {
        words.push("--no-confirm");
    }
    let output = host.run(&words).expect("holdfast runs in the host");
    assert!(!output.stderr.contains("panicked"), "holdfast {args:?} panicked:\n{}", output.stderr);
    output
}

/// Runs a holdfast command that reports results, as JSON.
pub(crate) fn report(host: &Host, command: &str) -> Report {
    let output = holdfast(host, &[command, "--format", "json"]);
    let json: Value = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{command}: {error}\n{}\n{}", output.stdout, output.stderr));
    let results = json["results"].as_array().cloned().unwrap_or_default();
    let results =
        results.into_iter().map(|r| (r["check"].as_str().unwrap().to_owned(), r)).collect();
    Report { exit: output.status.unwrap_or(-1), json, results }
}

pub(crate) fn verify(host: &Host) -> Report {
    report(host, "verify")
}

/// Applies, which must succeed.
pub(crate) fn apply(host: &Host) -> Report {
    let report = report(host, "apply");
    assert_eq!(report.exit, 0, "apply: {:#}", report.json);
    report
}

/// Corrects, which must succeed.
pub(crate) fn correct(host: &Host) -> Report {
    let report = report(host, "correct");
    assert_eq!(report.exit, 0, "correct: {:#}", report.json);
    report
}

/// Gives the host a profile.
pub(crate) fn give(host: &Host, profile: &str) {
    host.push(PROFILE, profile, 0o600).expect("the profile is pushed");
}

/// Asserts that the whole report passes, and prints what does not.
pub(crate) fn assert_passes(report: &Report) {
    assert!(report.findings().is_empty(), "findings:\n{}", report.findings().join("\n"));
    assert_eq!(report.exit, 0);
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
