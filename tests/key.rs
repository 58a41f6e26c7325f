//! The ceremony of a key on booted hosts: rehearsed, carried out, opened with Debian's own `age`, and interrupted wherever
//! it can be.

mod after;
mod ceremony;
mod drill;
mod elsewhere;
mod ended;
mod faults;
mod late;
mod memory;
mod paper;
mod terminal;
mod written;

use serde_json::Value;

use crate::support::*;

/// A key of nobody's, with its public half (mingder78/libp2p-ethereum, README.md).
pub(crate) const KEY: &str = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
pub(crate) const PUBLIC: &str =
    "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2";

/// The middle of the key: an allocator writes over the beginning of what is freed.
const MIDDLE: &str = "557f3535a34049d19d27f693";

pub(crate) const PLAN: &str = "/root/k/plan.toml";

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn prepare(host: &Host) {
    let script = format!("KEY={KEY}\nPUBLIC={PUBLIC}\n{}", include_str!("key/setup.sh"));
    sh(host, &script);
    host.push("/root/scan.pl", include_str!("key/scan.pl"), 0o600).unwrap();
}

/// Takes out what is mounted for somebody. A service of the host's that is just being started, with a view of the mounts of its
/// own, holds each of them for a moment: `umount` says that it is busy then. What stays busy fails.
fn take_out(host: &Host, who: &str) {
    sh(
        host,
        &format!("for _ in $(seq 100); do umount /media/{who} && exit 0; sleep 0.1; done; exit 1"),
    );
}

fn carry(host: &Host, verb: &str) -> Output {
    holdfast(host, &["key", verb, PLAN, "--answers", "/root/k/answers.toml"])
}

/// Runs a ceremony that comes to its end, and gives its name. It is not signed yet, which is exit code 2.
fn done(host: &Host, verb: &str) -> String {
    let output = carry(host, verb);
    assert_eq!(output.status, Some(2), "{}\n{}", output.stdout, output.stderr);
    output.stdout.trim().to_owned()
}

/// Runs one that must fail, and gives what it said.
fn refused(host: &Host, verb: &str, exit: i32) -> String {
    let output = carry(host, verb);
    assert_eq!(output.status, Some(exit), "{}\n{}", output.stdout, output.stderr);
    output.stderr
}

/// Changes the plan with sed, and has it signed again.
fn replan(host: &Host, edit: &str) {
    sh(host, &format!("sed -i '{edit}' {PLAN} && sh /root/k/sign-plan"));
}

fn inspect(host: &Host, args: &[&str]) -> (Option<i32>, Value) {
    let output = holdfast(host, &[&["key", "inspect", "--format", "json"], args].concat());
    (output.status, serde_json::from_str(&output.stdout).unwrap())
}

on_hosts! {
    Image::Postgres;
    /// From the plan to the signatures, and nothing of the key anywhere but in the envelopes.
    fn a_key_is_rehearsed_exported_and_opened_with_debians_age(host: &Host) {
        prepare(host);
        assert_eq!(holdfast(host, &["key", "plan", PLAN]).status, Some(0));
        let early = refused(host, "export", 1);
        assert!(early.contains("no rehearsal of this plan has passed on this machine"), "{early}");
        let rehearsal = done(host, "rehearse");
        let marked = sh(host, "cat /media/alice/REHEARSAL-holdfast-*/README.txt");
        assert!(marked.starts_with("REHEARSAL: THE KEY IN THIS IS NOBODY'S"), "{marked}");
        let thrown = sh(host, "age -d -i /root/k/alice.txt /media/alice/REHEARSAL-*/signer.age");
        assert!(thrown.trim().len() == 64 && !thrown.contains(MIDDLE), "not the key");

        // What a rehearsal's processes write and start, all of them; of an export, its process may not be watched.
        replan(host, "$a [[exception]]\\ncheck = \"traced\"\\nreason = \"a test\"");
        sh(host, "rm -r /media/*/REHEARSAL-*");
        assert_eq!(traced(host, "-f", "rehearse", "all").status, Some(2));
        let thrown = sh(host, "age -d -i /root/k/alice.txt /media/alice/REHEARSAL-*/signer.age");
        nothing_written(host, "all", thrown.trim());
        let watched = traced(host, "-f", "export", "watched");
        assert_eq!(watched.status, Some(1), "{}", watched.stderr);
        assert!(watched.stderr.contains("traces the process that holds the key"), "{}", watched.stderr);
        let output = traced(host, "", "export", "writes");
        assert_eq!(output.status, Some(2), "{}", output.stderr);
        nothing_written(host, "writes", KEY);
        let export = output.stdout.trim().to_owned();
        assert_ne!(export, rehearsal);

        for (who, other) in [("alice", "bob"), ("bob", "alice")] {
            let file = format!("/media/{who}/holdfast-{export}-*/signer.age");
            let steps = sh(host, &format!("cat /media/{who}/holdfast-{export}-*/README.txt"));
            assert!(steps.contains("age --decrypt --identity IDENTITY-FILE FILE.age"));
            assert!(steps.contains(PUBLIC) && steps.starts_with("COLD COPY OF A KEY"), "{steps}");
            let opened = sh(host, &format!("age --decrypt --identity /root/k/{who}.txt {file}"));
            assert_eq!(opened, format!("{KEY}\n"));
            let wrong = host.sh(&format!("age --decrypt --identity /root/k/{other}.txt {file}")).unwrap();
            assert_ne!(wrong.status, Some(0), "{other} opens what is {who}'s");
        }

        nothing_secret(host, &export);
        signed_by_both(host, &export);
        media_are_held_to_the_record(host, &export);
    }
}

/// Runs a ceremony under strace.
fn traced(host: &Host, follow: &str, verb: &str, to: &str) -> Output {
    let words = format!("key {verb} {PLAN} --answers /root/k/answers.toml");
    watched(host, follow, &words, to)
}

/// Runs holdfast under strace, which writes down everything that it and, with `-f`, its children write, send and start, with
/// arguments and environment, each byte as `\xNN`.
fn watched(host: &Host, follow: &str, words: &str, to: &str) -> Output {
    let calls = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,splice,tee,vmsplice,sendfile,copy_file_range,execve,execveat,memfd_create,setxattr,symlink";
    host.sh(&format!(
        "strace {follow} -v -xx -s 1000000 -e trace={calls} -o /root/{to} holdfast {words}"
    ))
    .unwrap()
}

/// Neither the text of a key nor its bytes are in what strace wrote down, where the public things are.
fn nothing_written(host: &Host, trace: &str, key: &str) {
    let shown =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let middle = &key[20..44];
    let bytes: Vec<u8> = (0..middle.len() / 2)
        .map(|at| u8::from_str_radix(&middle[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let count = |what: &[u8]| {
        let script = format!("grep -cF '{}' /root/{trace} || true", shown(what));
        sh(host, &script).trim().parse::<u32>().unwrap()
    };
    assert_eq!(count(middle.as_bytes()), 0, "{trace}: the key's text was written");
    assert_eq!(count(middle.to_uppercase().as_bytes()), 0, "{trace}: the key's text was written");
    assert_eq!(count(&bytes), 0, "{trace}: the key's bytes were written");
    assert_eq!(count(b"AGE-SECRET-KEY-1"), 0, "{trace}: an identity was written");
    for public in ["BEGIN AGE ENCRYPTED FILE", "\"step\":\"sealed\"", "locked-child"] {
        // Only where it was followed into the child is its start there.
        assert!(
            count(public.as_bytes()) > 0 || public == "locked-child" && trace != "all",
            "{trace}: no {public}"
        );
    }
}

/// The key is nowhere but in its configuration: not in any file, nor in the journal.
fn nothing_secret(host: &Host, export: &str) {
    let places = "/var /media /run /tmp /dev/shm /root /home /etc/holdfast /opt /srv";
    let found = host.sh(&format!("grep -rlai {MIDDLE} {places} 2>/dev/null")).unwrap();
    assert_eq!(found.stdout, "", "the key's text is there");
    // The same as bytes.
    let bytes: String =
        (0..MIDDLE.len() / 2).map(|at| format!("\\x{}", &MIDDLE[2 * at..2 * at + 2])).collect();
    let found = host.sh(&format!("LC_ALL=C grep -rlaP '{bytes}' {places} 2>/dev/null")).unwrap();
    assert_eq!(found.stdout, "", "the key's bytes are there");
    let journal = host.sh(&format!("journalctl -a --no-pager | grep -ci {MIDDLE}")).unwrap();
    assert_eq!(journal.stdout.trim(), "0");
    // The searches find what is there: the configuration, the public half, and the key as bytes where it is put.
    sh(host, &format!("grep -rlai {MIDDLE} /etc/sbtc-signer && grep -rq {PUBLIC} /var"));
    sh(
        host,
        &format!(
            "/usr/bin/printf '{bytes}' >/dev/shm/planted && LC_ALL=C grep -rlaP '{bytes}' /dev/shm && rm /dev/shm/planted"
        ),
    );
    sh(host, &format!("grep -q {PUBLIC} /var/lib/holdfast/ceremonies/{export}/transcript.jsonl"));
}

fn signed_by_both(host: &Host, export: &str) {
    let folder = format!("/var/lib/holdfast/ceremonies/{export}");
    let (exit, shown) = inspect(host, &[export]);
    assert_eq!((exit, &shown["complete"]), (Some(2), &Value::from(false)));
    let sign = |who: &str, role: &str| {
        format!(
            "ssh-keygen -q -Y sign -n holdfast-transcript@v1 -f /root/k/{who} <{folder}/transcript.jsonl >/root/k/{role}.sig\n"
        )
    };
    // The same person twice is not two.
    sh(host, &format!("{}{}", sign("carol", "operator"), sign("carol", "witness")));
    sh(
        host,
        "printf '\"signature.operator\" = \"/root/k/operator.sig\"\\n\"signature.witness\" = \"/root/k/witness.sig\"\\n' >/root/k/signing.toml",
    );
    let answers = ["key", "sign", export, "--answers", "/root/k/signing.toml"];
    let twice = holdfast(host, &answers);
    assert_eq!(twice.status, Some(65), "{}", twice.stderr);
    assert!(twice.stderr.contains("was made with another key"), "{}", twice.stderr);
    sh(host, &sign("dave", "witness"));
    let both = holdfast(host, &answers);
    assert_eq!(both.status, Some(0), "{}", both.stderr);
    let (exit, shown) = inspect(host, &[export]);
    assert_eq!((exit, &shown["complete"]), (Some(0), &Value::from(true)));
    let page = sh(host, &format!("cat {folder}/transcript.txt"));
    for line in [
        "EXCEPTION by the plan: lasting (usb-1: tmpfs, which is memory of this machine)",
        "EXCEPTION by the plan: lasting (usb-2: tmpfs, which is memory of this machine)",
        "operator present: carol",
        "signed by the witness",
        PUBLIC,
    ] {
        assert!(page.contains(line), "{line} is not in:\n{page}");
    }
    // One that was altered afterwards is not believed.
    sh(
        host,
        &format!("cp -a {folder} /root/kept && sed -i 's/carol/eve/' {folder}/transcript.jsonl"),
    );
    let altered = holdfast(host, &["key", "inspect", export]);
    assert_eq!(altered.status, Some(65), "{}", altered.stderr);
    sh(host, &format!("cp -a /root/kept/transcript.jsonl {folder}/"));
}

fn media_are_held_to_the_record(host: &Host, export: &str) {
    for (who, medium) in [("alice", "usb-1"), ("bob", "usb-2")] {
        let (exit, shown) = inspect(host, &[export, "--medium", &format!("/media/{who}")]);
        assert_eq!((exit, shown["medium"].as_str()), (Some(0), Some(medium)));
    }
    // What is beside the envelopes is on record, too, and so is that there is nothing else.
    let folder = sh(host, &format!("echo /media/bob/holdfast-{export}-*")).trim().to_owned();
    sh(host, &format!("cp -a {folder} /root/bobs"));
    for (edit, why) in [
        ("echo 'age -d | nc' >>README.txt", "README.txt is not the file that was written for bob"),
        ("sed -i s/bob/eve/ ceremony.json", "ceremony.json is not the file that was written"),
        ("echo print >combine.pl", "combine.pl was not written with the rest"),
    ] {
        sh(host, &format!("cd {folder} && {edit}"));
        let (exit, shown) = inspect(host, &[export, "--medium", "/media/bob"]);
        let fault = shown["faults"][0].as_str().unwrap_or_default();
        assert!(exit == Some(2) && fault.contains(why), "{edit}: {shown}");
        sh(host, &format!("rm {folder}/* && cp -a /root/bobs/* {folder}/"));
    }
    assert_eq!(inspect(host, &[export, "--medium", "/media/bob"]).0, Some(0));
    sh(
        host,
        &format!(
            "sed -i -e '3s/^A/+/' -e t -e '3s/^./A/' /media/alice/holdfast-{export}-*/signer.age"
        ),
    );
    let (exit, shown) = inspect(host, &[export, "--medium", "/media/alice"]);
    assert_eq!(exit, Some(2));
    let fault = shown["faults"][0].as_str().unwrap();
    assert!(fault.contains("is not the envelope that was written"), "{fault}");
}

on_hosts! {
    Image::Postgres;
    /// Each for its own reason, and nothing is written onto any medium.
    fn what_is_not_as_planned_is_refused(host: &Host) {
        prepare(host);
        sh(host, "cp -a /root/k /root/kept; mv /root/k/plan.toml.witness.sig /root/k/away");
        let unsigned = refused(host, "rehearse", 65);
        assert!(unsigned.contains("the plan is not signed by the witness"), "{unsigned}");
        assert!(unsigned.contains("ssh-keygen -Y sign -n holdfast-plan@v1"), "{unsigned}");
        sh(host, "cp /root/k/plan.toml.operator.sig /root/k/plan.toml.witness.sig");
        let same = refused(host, "rehearse", 65);
        assert!(same.contains("the signature of the witness") && same.contains("another key"), "{same}");
        sh(host, "mv /root/k/away /root/k/plan.toml.witness.sig; echo >>/root/k/plan.toml");
        let altered = refused(host, "rehearse", 65);
        assert!(altered.contains("altered after it was made"), "{altered}");

        replan(host, "s/^valid_until = .*/valid_until = 2020-01-01/; s/^written = .*/written = 2019-01-01/");
        let expired = refused(host, "rehearse", 65);
        assert!(expired.contains("the plan ended on 2020-01-01"), "{expired}");
        sh(host, "cp -a /root/kept/. /root/k/");

        for (from, to, exit, why) in [
            ("operator = \"carol\"", "operator = \"mallory\"", 1, "the operator of this plan is carol, and not mallory"),
            ("clock = \"yes\"", "clock = \"no\"", 1, "the clock is wrong"),
            ("operator\" = \"B-1\"", "operator\" = \"B-7\"", 1, "this is not the number that the plan has for the bag of medium usb-1"),
            ("clock = \"yes\"", "", 1, "the file of answers has none to `clock`"),
        ] {
            sh(host, &format!("sed -i 's/{from}/{to}/' /root/k/answers.toml"));
            let told = refused(host, "rehearse", exit);
            assert!(told.contains(why), "{told}");
            sh(host, "cp -a /root/kept/. /root/k/");
        }

        // People whom the profile does not know could have named themselves.
        sh(host, "sed -i 's/name = \"dave\"/name = \"erin\"/' /etc/holdfast/profile.toml");
        let stranger = refused(host, "rehearse", 1);
        assert!(stranger.contains("people (dave is not in the profile)"), "{stranger}");
        sh(host, "sed -i 's/name = \"erin\"/name = \"dave\"/' /etc/holdfast/profile.toml");

        // A room is not quiet because one sees no more of it.
        let (room, quiet) = ("the room is not as it must be: ", "ssh-session (looked for in a namespace (pid)");
        let apart = format!("unshare --pid --fork --mount-proc holdfast key rehearse {PLAN} --answers /root/k/answers.toml");
        let apart = host.sh(&apart).unwrap();
        assert_eq!(apart.status, Some(1), "{apart}");
        assert!(apart.stderr.contains(room) && apart.stderr.contains(quiet), "{apart}");

        done(host, "rehearse");
        let config = "/etc/sbtc-signer/signer-config.toml";
        for (edit, why) in [
            ("s/^private_key = \"db/private_key = \"dc/", "this is another key than the plan's"),
            (&*format!("s/^private_key = .*/private_key = \"{:064x}\"/", 1), "no random key"),
            ("s/^private_key = .*/private_key = \"41634762d89dfa09133a4a8e9c1378d0161d29cd0a9433b51f1e3d32947a73dc01\"/", "a published key"),
            ("s/^bootstrap_signing_set = .*/bootstrap_signing_set = [\"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\"]/", "is not in the bootstrap_signing_set"),
            ("s/^private_key = .*//", "it has no signer.private_key"),
        ] {
            sh(host, &format!("cp {config} /root/config; sed -i '{edit}' {config}"));
            let told = refused(host, "export", 1);
            assert!(told.contains(why) && !told.contains(MIDDLE), "{told}");
            sh(host, &format!("cp /root/config {config}"));
        }
        let written = sh(host, "ls -A /media/alice /media/bob");
        assert!(!written.contains("\nholdfast-") && !written.contains("unfinished"), "{written}");
    }
}
