//! After a ceremony: each copy stands for itself, records are chained, a copy opens where nobody knows of the ceremony, and
//! `verify` tells of all of it.

use super::*;

pub(super) fn drilled(host: &Host, export: &str, args: &[&str]) -> (Option<i32>, Value) {
    let output = holdfast(host, &[&["key", "drill", export, "--format", "json"], args].concat());
    let json = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|_| panic!("{}{}", output.stdout, output.stderr));
    (output.status, json)
}

pub(super) fn status(host: &Host) -> (Option<i32>, Value) {
    let output = holdfast(host, &["key", "status", "--format", "json"]);
    (output.status, serde_json::from_str(&output.stdout).unwrap())
}

/// What failed of a copy, by its medium; media only.
fn failed(standing: &Value, medium: &str) -> Option<String> {
    let copies = standing["exports"][0]["copies"].as_array().unwrap();
    let copy = copies.iter().find(|it| it["medium"] == medium && it["paper"] == false).unwrap();
    copy["failed"].as_str().map(str::to_owned)
}

/// Media of which something beside the envelopes is not as it was written.
fn altered(standing: &Value) -> String {
    standing["exports"][0]["altered"].to_string()
}

pub(super) const ALICE: [&str; 4] = ["--medium", "/media/alice", "--identity", "/root/k/alice.txt"];
pub(super) const BOB: [&str; 4] = ["--medium", "/media/bob", "--identity", "/root/k/bob.txt"];

/// With an export, whose media are whole and signed by nobody yet.
pub(super) fn everything(host: &Host, export: &str, key: &str) {
    let folder = format!("/var/lib/holdfast/ceremonies/{export}");
    each_copy(host, export);
    identities_come_from_pipes(host, export);
    the_room_is_looked_at(host, export, &folder);
    records_are_chained(host, &folder);
    elsewhere::opens(host, export, &folder, key);
    told_by_verify_and_retired(host, export, &folder);
}

/// A drill opens all that is given, and what failed stands until it is good itself.
fn each_copy(host: &Host, export: &str) {
    let (exit, both) = drilled(host, export, &[&ALICE[..], &BOB].concat());
    assert_eq!((exit, both["drill"]["copies"].as_array().unwrap().len()), (Some(0), 2), "{both}");
    sh(
        host,
        "cp -a /media/bob /root/bob && sed -i -e '3s/^+/A/' -e t -e '3s/^./+/' /root/bob/holdfast-*/signer.age",
    );
    let bad = ["--medium", "/root/bob", "--identity", "/root/k/bob.txt"];
    let (exit, told) = drilled(host, export, &[&ALICE[..], &bad].concat());
    let copies = &told["drill"]["copies"];
    assert!(exit == Some(2) && copies[0]["why"].is_null(), "{told}");
    let why = copies[1]["why"].as_str().unwrap();
    assert!(why.contains("is not the envelope that was written for bob"), "{told}");
    assert_eq!(drilled(host, export, &ALICE).0, Some(0));
    let (exit, standing) = status(host);
    assert!(exit == Some(2) && failed(&standing, "usb-2").is_some(), "{standing}");
    assert!(failed(&standing, "usb-1").is_none(), "{standing}");
    assert!(standing["exports"][0]["failed"].as_str().unwrap().contains("bob's"), "{standing}");
    sh(host, "cp -a /media/bob /root/beside && sed -i 1d /root/beside/holdfast-*/README.txt");
    let beside = ["--medium", "/root/beside", "--identity", "/root/k/bob.txt"];
    let (exit, told) = drilled(host, export, &beside);
    let why = told["drill"]["why"].as_str().unwrap_or_default();
    assert!(exit == Some(2) && why.contains("README.txt is not the file"), "{told}");
    assert!(told["drill"]["copies"][0]["why"].is_null(), "the envelope is what it was: {told}");
    // No other medium makes that good, and no paper; and a key comes back from it all the same.
    assert_eq!(drilled(host, export, &ALICE).0, Some(0));
    let (exit, standing) = status(host);
    assert!(
        exit == Some(2) && altered(&standing).contains("README.txt is not the file"),
        "{standing}"
    );
    assert!(failed(&standing, "usb-2").is_none() && standing["exports"][0]["failed"].is_null());
    let restore =
        ["key", "restore", export, "--answers", "/root/k/answers.toml", "--to", "/root/back"];
    let restored = holdfast(host, &[&restore[..], &beside].concat());
    assert_eq!(restored.status, Some(0), "{}", restored.stderr);
    let warning = "warning: medium usb-2: README.txt is not the file that was written for bob";
    assert!(restored.stderr.contains(warning), "{}", restored.stderr);
    for record in [
        format!("/var/lib/holdfast/ceremonies/{export}/looks.jsonl"),
        "/var/lib/holdfast/evidence/log.jsonl".to_owned(),
    ] {
        let last = sh(host, &format!("rm -f /root/back; tail -n 1 {record}"));
        assert!(last.contains("README.txt is not the file"), "{last}");
    }
    assert_eq!(drilled(host, export, &BOB).0, Some(0));
    let (_, standing) = status(host);
    assert!(failed(&standing, "usb-2").is_none(), "{standing}");
    assert_eq!(altered(&standing), "[]");
    // Found as a key is brought back, too, and the same.
    let restored = holdfast(host, &[&restore[..], &beside].concat());
    assert_eq!(restored.status, Some(0), "{}", restored.stderr);
    assert_ne!(altered(&status(host).1), "[]");
    sh(host, "rm /root/back");
    let restored = holdfast(host, &[&restore[..], &BOB].concat());
    assert!(
        restored.status == Some(0) && !restored.stderr.contains("usb-2"),
        "{}",
        restored.stderr
    );
    assert_eq!(altered(&status(host).1), "[]");
    sh(host, "rm /root/back");
}

fn identities_come_from_pipes(host: &Host, export: &str) {
    for drill in [
        format!(
            "cat /root/k/alice.txt | holdfast key drill {export} --medium /media/alice --identity - --answers /root/k/answers.toml"
        ),
        format!(
            "cat /root/k/alice.txt | holdfast key drill {export} --medium /media/alice --identity /dev/stdin --answers /root/k/answers.toml"
        ),
        format!(
            "bash -c 'holdfast key drill {export} --medium /media/alice --identity <(cat /root/k/alice.txt)'"
        ),
    ] {
        let output = host.sh(&drill).unwrap();
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (Some(0), "pass\n"),
            "{}",
            output.stderr
        );
    }
    let twice = ["--identity", "-", "--identity", "/dev/fd/0", "--medium", "/media/alice"];
    let twice = holdfast(host, &[&["key", "drill", export][..], &twice].concat());
    assert!(twice.status == Some(64) && twice.stderr.contains("given twice"), "{}", twice.stderr);
}

/// What is piped in as an identity answers no question, and stands nowhere.
fn no_identity_is_an_answer(host: &Host, export: &str) {
    let drill = format!("holdfast key drill {export} --medium /media/alice --identity");
    // The second comes later, as behind a passphrase.
    let piped = "(sed /^#/d /root/k/alice.txt; sleep 2; cat /root/k/bob.txt)";
    let nobody = host.sh(&format!("{piped} | setsid -w {drill} -")).unwrap();
    assert_eq!(nobody.status, Some(64), "{}{}", nobody.stdout, nobody.stderr);
    assert!(nobody.stderr.contains("there is no terminal to ask anybody at"), "{}", nobody.stderr);
    // Where the pipe is taken for people: an identity is no reason.
    let asked = host.sh(&format!("{piped} | {drill} /root/k/alice.txt")).unwrap();
    assert_eq!(asked.status, Some(1), "{}{}", asked.stdout, asked.stderr);
    assert!(asked.stderr.contains("looks like a key, an identity or a share"), "{}", asked.stderr);
    // At a terminal people are asked there.
    let typed = host
        .sh(&format!(
            "printf 'watched by us\\n' | timeout 600 script -qec 'cat /root/k/alice.txt | {drill} -' /dev/null"
        ))
        .unwrap();
    assert!(typed.stdout.contains("pass"), "{}{}", typed.stdout, typed.stderr);
    let found = sh(
        host,
        "grep -rl AGE-SECRET-KEY /var/lib/holdfast || true; journalctl -a --no-pager | grep -c AGE-SECRET-KEY || true",
    );
    assert_eq!(found, "0\n", "an identity is there");
}

/// Somebody on SSH could watch: it takes a reason, and that is recorded.
fn the_room_is_looked_at(host: &Host, export: &str, folder: &str) {
    sh(
        host,
        "bash -c 'exec -a \"sshd: root@pts/0\" sleep 600' >/dev/null 2>&1 </dev/null & echo $! >/root/ssh.pid",
    );
    no_identity_is_an_answer(host, export);
    sh(host, "cp /root/k/answers.toml /root/reasons.toml");
    let args =
        [&["key", "drill", export][..], &ALICE, &["--answers", "/root/reasons.toml"]].concat();
    let refused = holdfast(host, &args);
    assert_eq!(refused.status, Some(1), "{}{}", refused.stdout, refused.stderr);
    assert!(
        refused.stderr.contains("the room is not as it must be: ssh-session"),
        "{}",
        refused.stderr
    );
    sh(host, "echo '\"exception.ssh-session\" = \"watched by us\"' >>/root/reasons.toml");
    let accepted = holdfast(host, &args);
    assert_eq!(accepted.status, Some(0), "{}", accepted.stderr);
    let last = sh(host, &format!("tail -n 1 {folder}/drills.jsonl"));
    assert!(last.contains("watched by us") && last.contains("\"planned\":false"), "{last}");
    sh(host, "kill $(cat /root/ssh.pid)");
}

/// A line that was altered shows; one that was cut off is dropped.
fn records_are_chained(host: &Host, folder: &str) {
    let drills = format!("{folder}/drills.jsonl");
    sh(host, &format!("cp {drills} /root/drills && sed -i '1s/usb-1/usb-9/' {drills}"));
    let (exit, standing) = status(host);
    let fault = standing["exports"][0]["fault"].as_str().unwrap_or_default();
    assert!(exit == Some(2) && fault.contains("does not follow the line before it"), "{standing}");
    sh(host, &format!("cp /root/drills {drills} && printf '{{\"number\":' >>{drills}"));
    let (_, standing) = status(host);
    assert!(standing["exports"][0]["fault"].is_null(), "{standing}");
}

/// The section `[keys]`, and the end of an export by two signatures.
fn told_by_verify_and_retired(host: &Host, export: &str, folder: &str) {
    let checks = ["export", "drill", "copies", "proof"].map(|it| format!("keys.{it}/signer"));
    let outcomes = |report: &Report| checks.clone().map(|check| report.outcome(&check).to_owned());
    sh(
        host,
        "cp /etc/holdfast/profile.toml /root/profile; printf '[keys.signer]\\n' >>/etc/holdfast/profile.toml",
    );
    let unsigned = verify(host);
    assert_eq!(unsigned.outcome(&checks[0]), "fail", "{}", unsigned.observed(&checks[0]));
    let sign = |who: &str, what: &str, namespace: &str, to: &str| {
        sh(host, &format!("ssh-keygen -q -Y sign -n {namespace} -f /root/k/{who} <{what} >{to}"));
    };
    let transcript = format!("{folder}/transcript.jsonl");
    for (who, role) in [("carol", "operator"), ("dave", "witness")] {
        sign(who, &transcript, "holdfast-transcript@v1", &format!("/root/{role}.sig"));
    }
    sh(
        host,
        "printf '\"signature.operator\" = \"/root/operator.sig\"\\n\"signature.witness\" = \"/root/witness.sig\"\\n' >/root/sign.toml",
    );
    ended::nothing_newer(host, export);
    let signed = holdfast(host, &["key", "sign", export, "--answers", "/root/sign.toml"]);
    assert_eq!(signed.status, Some(0), "{}", signed.stderr);
    // Bob's paper was never read again; alice's neither.
    let report = verify(host);
    assert_eq!(
        outcomes(&report),
        ["pass", "pass", "fail", "pass"],
        "{}",
        report.observed(&checks[2])
    );
    assert!(report.observed(&checks[2]).contains("was never read again"));
    for who in ["alice", "bob"] {
        sh(
            host,
            &format!(
                "pdftotext -layout /media/{who}/holdfast-*/signer.pdf - | grep -E '^ *[0-9]+  .* [0-9a-f]{{4}} *$' >/root/typed"
            ),
        );
        let identity = format!("/root/k/{who}.txt");
        assert_eq!(
            drilled(host, export, &["--paper", "/root/typed", "--identity", &identity]).0,
            Some(0)
        );
    }
    assert_eq!(outcomes(&verify(host)), ["pass"; 4]);
    let standing = sh(host, "holdfast status");
    assert!(standing.contains(&format!("keys        {export}: drilled")), "{standing}");
    // Whom only the plan names is nobody.
    sh(host, "sed -i.kept s/carol/caroline/ /etc/holdfast/profile.toml");
    let strangers = verify(host);
    assert_eq!(outcomes(&strangers), ["fail", "pass", "pass", "pass"]);
    let seen = strangers.observed(&checks[0]);
    assert!(seen.ends_with("nobody vouches for: carol is not in the profile"), "{seen}");
    sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
    ended::those_who_left(host, &checks[0]);
    sh(host, "printf 'drilled_within = \"1s\"\\n' >>/etc/holdfast/profile.toml; sleep 2");
    assert_eq!(outcomes(&verify(host)), ["pass", "fail", "pass", "pass"]);

    ended::by_two_of_the_profile(host, export, &checks[0]);
    sh(host, "cp /root/profile /etc/holdfast/profile.toml");
}

/// Shares of two splits, and what comes with the ends of lines of another system: by the program on the medium.
pub(super) fn shares_are_put_together_or_refused(host: &Host, combine: &str) {
    let run = |files: &str| host.sh(&format!("cd /dev/shm && perl {combine} {files}")).unwrap();
    let mixed = run("old bob");
    assert!(mixed.status != Some(0) && mixed.stdout.is_empty(), "{}", mixed.stdout);
    assert!(mixed.stderr.contains("do not belong together"), "{}", mixed.stderr);
    sh(host, "cd /dev/shm && sed 's/$/\\r/' alice >crlf && sed 's/2 needed/3 needed/' bob >other");
    let good = run("crlf bob");
    assert!(good.stdout.starts_with("AGE-SECRET-KEY-1"), "{}", good.stderr);
    for (files, why) in [("alice other", "do not belong together"), ("alice alice", "given twice")]
    {
        let refused = run(files);
        assert!(refused.status != Some(0) && refused.stderr.contains(why), "{}", refused.stderr);
    }
}

/// A drill of what it takes two of three custodians for: each share, and each copy of the key.
pub(super) fn shares_are_drilled(host: &Host, export: &str) {
    let (exit, one) = drilled(host, export, &ALICE);
    assert_eq!(exit, Some(2), "{one}");
    let (exit, both) = drilled(host, export, &[&ALICE[..], &BOB].concat());
    let copies = both["drill"]["copies"].as_array().unwrap();
    assert_eq!((exit, copies.len()), (Some(0), 4), "{both}");
    assert_eq!(copies.iter().filter(|it| it["key"] == "share").count(), 2, "{both}");
    // Nor is a share in what is written by that.
    let mut secrets = written::Secrets::new(host, KEY, &["alice", "bob"]);
    for who in ["alice", "bob"] {
        let share = sh(
            host,
            &format!("age -d -i /root/k/{who}.txt /media/{who}/holdfast-{export}-*/share.age"),
        );
        let digits = share.split_whitespace().max_by_key(|word| word.len()).unwrap();
        secrets.add(
            &format!("{who}'s share"),
            &digits.as_bytes()[digits.len() / 4..digits.len() * 3 / 4],
        );
    }
    written::may_be_watched(host);
    let given = [&ALICE[..], &BOB, &["--answers", written::ANSWERS]].concat().join(" ");
    secrets.none_by(host, &format!("key drill {export} {given}"));
}
