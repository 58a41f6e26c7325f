//! The command line as a user meets it: exit codes, streams, formats.

use std::process::Command;

use serde_json::Value;

use crate::support::*;

/// Runs the program on the machine that builds it: only what needs no host.
fn here(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn usage_errors_are_64_and_help_is_0() {
    assert_eq!(here(&["--help"]).0, 0);
    assert_eq!(here(&["--version"]).0, 0);
    assert_eq!(here(&["no-such-command"]).0, 64);
    assert_eq!(here(&["verify", "--format", "yaml"]).0, 64);
    assert_eq!(here(&["rollback", "first"]).0, 64);
    assert_eq!(here(&["explain", "no.such.check"]).0, 64);
}

#[test]
fn exit_codes_are_those_of_the_readme() {
    let readme = repository("README.md");
    for (exit, meaning) in holdfast::cli::failure::Exit::ALL {
        let row = format!("| {} | {meaning} |\n", exit as u8);
        assert!(readme.contains(&row), "{row}");
    }
}

#[test]
fn shipped_profiles_are_valid() {
    for profile in ["baseline", "sbtc-signer", "example-host"] {
        let (code, stdout, stderr) = here(&["check", &format!("profiles/{profile}.toml")]);
        assert_eq!((code, stdout.as_str()), (0, ""), "{profile}: {stderr}");
    }
}

#[test]
fn schema_is_the_committed_one() {
    let (code, stdout, _) = here(&["schema"]);
    assert_eq!(code, 0);
    assert_eq!(
        stdout,
        repository("docs/profile.schema.json"),
        "run: holdfast schema > docs/profile.schema.json"
    );
    let (code, stdout, _) = here(&["util", "reference"]);
    assert_eq!(code, 0);
    assert_eq!(
        stdout,
        repository("docs/profile.md"),
        "run: holdfast util reference > docs/profile.md"
    );
}

#[test]
fn every_check_is_explained() {
    let (code, stdout, _) = here(&["explain", "--format", "json"]);
    assert_eq!(code, 0);
    let list: Value = serde_json::from_str(&stdout).unwrap();
    let checks = list["checks"].as_array().unwrap();
    assert!(checks.len() >= 10);
    for check in checks {
        let id = check["check"].as_str().unwrap();
        for key in ["title", "severity", "evidence", "why", "source", "fix"] {
            assert!(!check[key].as_str().unwrap().is_empty(), "{id} has no {key}");
        }
        assert!(!check["practices"].as_array().unwrap().is_empty(), "{id} serves no practice");
        assert_eq!(here(&["explain", id]).0, 0);
    }
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let script = format!("{} schema | head -c 10", env!("CARGO_BIN_EXE_holdfast"));
    let output =
        Command::new("bash").args(["-c", &format!("set -o pipefail; {script}")]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}

on_hosts! {
    fn not_root(host: &Host) {
        give(host, SIGNER);
        for command in ["plan", "apply", "verify", "correct", "history", "status"] {
            let output = host.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "holdfast", command]).unwrap();
            assert_eq!(output.status, Some(77), "{command}: {}", output.stderr);
            assert!(output.stderr.contains("hint: run: sudo holdfast"), "{}", output.stderr);
        }
        // Checking a profile needs neither root nor a host.
        let profile = "/usr/share/holdfast/profiles/sbtc-signer.toml";
        let output = host.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "holdfast", "check", profile]).unwrap();
        assert_eq!(output.status, Some(0), "{}", output.stderr);
    }
}

on_hosts! {
    fn the_whole_way(host: &Host) {
        give(host, SIGNER);
        let blank = verify(host);
        assert_eq!(blank.exit, 2);
        assert_eq!(blank.outcome("firewall.ruleset"), "fail");
        assert!(blank.with("drift").is_empty(), "nothing was applied, so nothing can have drifted");

        let plan = holdfast(host, &["plan"]);
        assert_eq!(plan.status, Some(2));
        assert!(plan.stdout.contains("+PasswordAuthentication no"), "{}", plan.stdout);
        assert!(plan.stdout.contains("+\t\ttcp dport"), "the ruleset's diff is missing:\n{}", plan.stdout);
        assert_eq!(verify(host).json["summary"], blank.json["summary"], "a plan changes nothing");

        let applied = apply(host);
        assert_passes(&verify(host));
        let watched = ["/etc", "/var/lib/holdfast/transactions"];
        let snapshot = host.snapshot(&watched).unwrap();
        let again = apply(host);
        assert_eq!(again.json["outcome"], "unchanged");
        assert_eq!(changes(&snapshot, &host.snapshot(&watched).unwrap()), Vec::<String>::new());
        assert_eq!(holdfast(host, &["plan"]).status, Some(0));

        host.sh("nft add rule inet holdfast input tcp dport 9999 accept").unwrap().ok().unwrap();
        let drifted = verify(host);
        assert_eq!(drifted.exit, 2);
        assert_eq!(drifted.with("drift"), ["firewall.ruleset"]);
        // since when: the second look knows what the first one saw
        assert!(verify(host).results["firewall.ruleset"]["since"].is_string());
        let text = holdfast(host, &["verify"]).stdout;
        let line = text.lines().find(|line| line.contains("firewall.ruleset")).unwrap();
        assert!(line.starts_with("drift") && line.contains("9999"), "{line}");
        assert!(!text.contains('\x1b'), "colours only on a terminal");
        correct(host);
        assert_passes(&verify(host));

        let history = holdfast(host, &["history"]).ok().unwrap().stdout;
        assert_eq!(history.lines().count(), 2, "{history}");
        let status = holdfast(host, &["status"]).ok().unwrap().stdout;
        assert!(status.contains("as applied"), "{status}");
        holdfast(host, &["rollback", &applied.transaction().to_string()]).ok().unwrap();
        let back = verify(host);
        // The evidence of it stays, and nothing else.
        let outcomes = |report: &Report| -> Vec<(String, Value)> {
            let rest = report.results.iter().filter(|(check, _)| *check != "evidence.log");
            rest.map(|(check, result)| (check.clone(), result["outcome"].clone())).collect()
        };
        assert_eq!(outcomes(&back), outcomes(&blank), "after the roll-back");
    }
}

on_hosts! {
    fn a_drift_is_in_the_journal(host: &Host) {
        give(host, SIGNER);
        apply(host);
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        verify(host);
        let source = repository("src/report/journal.rs");
        let id = source.split("const DRIFT: &str = \"").nth(1).unwrap().split('"').next().unwrap();
        let found = host.run(["journalctl", "-q", "-o", "json", &format!("MESSAGE_ID={id}")]).unwrap().ok().unwrap().stdout;
        let entry: Value = serde_json::from_str(found.lines().last().expect("an entry")).unwrap();
        assert_eq!(entry["HOLDFAST_CHECK"], "sysctl.live/net.ipv4.conf.all.accept_redirects");
        assert_eq!(entry["HOLDFAST_OUTCOME"], "drift");
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "holdfast");
        assert!(entry["HOLDFAST_EXPECTED"].is_string() && entry["HOLDFAST_OBSERVED"].is_string());
    }
}

on_hosts! {
    fn waivers_show_and_end(host: &Host) {
        let waiver = |until: &str| format!(
            "{SIGNER}[[waiver]]\ncheck = \"sysctl.live/net.ipv4.conf.all.accept_redirects\"\nreason = \"a test\"\napproved_by = \"bob\"\nuntil = {until}\n"
        );
        give(host, SIGNER);
        apply(host);
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        give(host, &waiver("2999-12-31"));
        let waived = verify(host);
        assert_eq!(waived.exit, 0, "{:?}", waived.findings());
        assert_eq!(waived.outcome("sysctl.live/net.ipv4.conf.all.accept_redirects"), "waived");
        assert!(holdfast(host, &["verify"]).stdout.contains("waived until 2999-12-31 by bob: a test"));
        assert_eq!(correct(host).json["outcome"], "unchanged", "what is waived is left alone");
        give(host, &waiver("2020-01-01"));
        assert_eq!(verify(host).outcome("sysctl.live/net.ipv4.conf.all.accept_redirects"), "drift");
    }
}
