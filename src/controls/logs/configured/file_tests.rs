//! Files, their writers and who is told.

use proptest::prelude::*;

use super::*;
use crate::controls::logs::configured::said;

fn good() -> Found {
    Found {
        path: "/b/debug.log".to_owned(),
        exists: true,
        writers: Ok(vec![writer("bitcoind", true)]),
        told: Ok(Some(Told { pid: 7, program: "bitcoind".to_owned(), survives: true })),
        shrinks: Some(Ok(false)),
        rotates: Some(Ok(true)),
    }
}

fn writer(program: &str, appends: bool) -> FileWriter {
    FileWriter { pid: 7, program: program.to_owned(), appends }
}

#[test]
fn what_loses_lines_is_said() {
    let told =
        |program: &str, survives| Ok(Some(Told { pid: 7, program: program.to_owned(), survives }));
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
            Found { told: told("signer", true), ..good() },
            "differs: signer (7) takes SIGHUP as the word to shut down; leave `reopened_by` out and have it log to the journal",
        ),
        (
            Found { told: told("node", false), ..good() },
            "differs: SIGHUP would end node (7); leave `reopened_by` out, or name the program that opens the file anew on it",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(said(&judge(&found, true)), expected);
    }
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
            "Name:\tbitcoind\nSigBlk:\t0000000000000001\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n"
        )
    };
    let survives = |text: &str| parse_status(1, text).map(|told| told.survives);
    assert_eq!(survives(&status("0000000000001000", "0000000180004003")), Some(true));
    assert_eq!(survives(&status("0000000000000001", "0000000000000000")), Some(true));
    assert_eq!(survives(&status("0000000000001000", "0000000180004002")), Some(false));
    assert_eq!(survives("Name:\tx\n"), None);
}

proptest! {
    #[test]
    fn nothing_panics(text in ".*") {
        let _ = shrinks(&text);
        drop(parse_status(1, &text));
    }
}
