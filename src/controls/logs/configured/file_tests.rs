//! Files, their writers, who is told, and what else rotates them.
#![allow(clippy::disallowed_methods, reason = "tests lay out the rules they read")]

use proptest::prelude::*;

use super::*;
use crate::controls::logs::configured::said;

fn good() -> Found {
    Found {
        path: "/b/debug.log".to_owned(),
        exists: true,
        is_link: false,
        other: Ok(None),
        writers: Ok(vec![writer("bitcoind", true)]),
        told: Ok(Some(told(7, "bitcoind", true))),
        shrinks: Some(Ok(false)),
        rotates: Some(Ok(true)),
    }
}

fn writer(program: &str, appends: bool) -> FileWriter {
    FileWriter { pid: 7, program: program.to_owned(), descriptor: 12, appends }
}

fn told(pid: u32, program: &str, survives: bool) -> Told {
    Told { pid, program: program.to_owned(), survives, begun: Vec::new() }
}

const KEEP: TimeSpan = TimeSpan::from_days(90);

#[test]
fn what_loses_lines_is_said() {
    let cases = [
        (good(), "holds: bitcoind appends to /b/debug.log"),
        (
            Found { writers: Ok(vec![writer("tee", false)]), ..good() },
            "differs: /b/debug.log: tee without -a empties it at each start (process 7)",
        ),
        (
            Found { shrinks: Some(Ok(true)), ..good() },
            "differs: bitcoind cuts it to 10 MB at each start: shrinkdebugfile=0 is not in its configuration",
        ),
        (
            Found { rotates: Some(Ok(false)), ..good() },
            "differs: nothing rotates /b/debug.log: logrotate.timer does not run",
        ),
        (
            Found { exists: false, writers: Ok(Vec::new()), ..good() },
            "unknown: there is no /b/debug.log; start what writes it, or correct the path in the profile",
        ),
        (
            Found { writers: Ok(Vec::new()), ..good() },
            "unknown: nobody has /b/debug.log open: start what writes it",
        ),
        (Found { writers: Err("no".to_owned()), ..good() }, "unknown: no; run holdfast as root"),
        (
            Found { told: Ok(Some(told(7, "signer", true))), ..good() },
            "differs: signer (7) takes SIGHUP as the word to shut down; leave `reopened_by` out and have it log to the journal",
        ),
        (
            Found { told: Ok(Some(told(7, "node", false))), ..good() },
            "differs: SIGHUP would end node (7); leave `reopened_by` out, or name the program that opens the file anew on it",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(said(&judge(&found, true, KEEP)), expected);
    }
}

/// What SIGHUP does not reach: the file would be renamed, and written on under its new name; or the signal shuts a signer
/// down that nobody knows by its name.
#[test]
fn who_opens_the_file_anew() {
    let piped = Found {
        told: Ok(Some(told(6, "sbtc", true))),
        writers: Ok(vec![writer("tee", true)]),
        ..good()
    };
    assert_eq!(
        hazard(&piped).unwrap(),
        "sbtc (6) does not have /b/debug.log open, tee (7) has; leave `reopened_by` out, or name the program that opens \
         the file anew on SIGHUP"
    );
    let output = FileWriter { descriptor: 1, ..writer("sbtc", true) };
    let redirected =
        Found { told: Ok(Some(told(7, "sbtc", true))), writers: Ok(vec![output]), ..good() };
    let why = hazard(&redirected).unwrap();
    assert!(
        why.starts_with("/b/debug.log is the standard output of sbtc (7), which opens"),
        "{why}"
    );
    // The init of a container passes it on to what it has begun.
    let init = Told { begun: vec![7], ..told(6, "tini", true) };
    assert_eq!(hazard(&Found { told: Ok(Some(init)), ..good() }), None);
    // Before the program has opened its file nothing is known.
    assert_eq!(hazard(&Found { writers: Ok(Vec::new()), ..good() }), None);
}

#[test]
fn what_else_rotates_it() {
    let rule = |text: &str| {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/logrotate.d")).unwrap();
        std::fs::write(root.path().join("etc/logrotate.conf"), "weekly\nrotate 4\n").unwrap();
        std::fs::write(root.path().join("etc/logrotate.d/b"), text).unwrap();
        Found { other: rules::of(&Reader::below(root.path()), "/b/debug.log"), ..good() }
    };
    let four_weeks = rule("/b/*.log {\n}\n");
    assert_eq!(
        said(&judge(&four_weeks, true, KEEP)),
        "differs: /etc/logrotate.d/b:1 rotates /b/debug.log already, and logrotate takes one rule only: remove it, or leave \
         `reopened_by` out"
    );
    assert_eq!(
        said(&judge(&four_weeks, false, KEEP)),
        "differs: /b/debug.log: /etc/logrotate.d/b:1 rotates it and keeps 28 days"
    );
    let enough = rule("/b/*.log {\nrotate 20\n}\n");
    assert_eq!(
        said(&judge(&enough, false, KEEP)),
        "holds: bitcoind appends to /b/debug.log; /etc/logrotate.d/b:1 rotates it"
    );
    let link = Found { is_link: true, ..good() };
    assert!(said(&judge(&link, true, KEEP)).contains("is a symbolic link"));
    assert!(said(&judge(&link, false, KEEP)).starts_with("holds"));
}

#[test]
fn what_bitcoin_conf_says() {
    let cases = [
        ("", true),
        ("server=1\n", true),
        ("shrinkdebugfile=0\n", false),
        (" shrinkdebugfile = 0 # kept\n", false),
        ("# shrinkdebugfile=0\n", true),
        ("shrinkdebugfile=1\nshrinkdebugfile=0\n", true),
        ("noshrinkdebugfile=1\n", false),
        ("[main]\nshrinkdebugfile=0\n", false),
        ("main.shrinkdebugfile=0\n", false),
        ("[test]\nshrinkdebugfile=0\n", true),
        ("regtest.shrinkdebugfile=0\n", true),
        ("testnet=1\n[test]\nshrinkdebugfile=0\n", false),
        ("chain=signet\n[signet]\nshrinkdebugfile=0\n", false),
        ("shrinkdebugfile=0\n[main]\nshrinkdebugfile=1\n", true),
        ("[test]\ndebug=net\n", true),
        ("debug=net\n", false),
        ("debug=0\n", true),
        ("debug=net\nshrinkdebugfile=1\n", true),
    ];
    for (text, expected) in cases {
        assert_eq!(shrinks(text), expected, "{text:?}");
    }
}

#[test]
fn whether_a_signal_ends_a_process() {
    let status = |ignored: &str, caught: &str| {
        format!(
            "Name:\tbitcoind\nSigBlk:\t0000000000000000\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n"
        )
    };
    let survives = |text: &str| parse_status(1, text).map(|told| told.survives);
    assert_eq!(survives(&status("0000000000001000", "0000000180004003")), Some(true));
    assert_eq!(survives(&status("0000000000000001", "0000000000000000")), Some(true));
    assert_eq!(survives(&status("0000000000001000", "0000000180004002")), Some(false));
    let tini = "Name:\ttini\nSigBlk:\tfffffffe7ffbfeff\nSigIgn:\t0000000000300000\nSigCgt:\t0000000000000000\n";
    assert_eq!(survives(tini), Some(true));
    assert_eq!(survives("Name:\tx\n"), None);
}

proptest! {
    #[test]
    fn nothing_panics(text in ".*") {
        let _ = shrinks(&text);
        drop(parse_status(1, &text));
    }
}
