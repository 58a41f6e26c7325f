//! Copies of a ceremony on a machine that never saw it, with the record that they carry, which anybody could have written.

use sha2::{Digest as _, Sha256};

use super::{
    after::{ALICE, BOB},
    *,
};

/// Where the ceremony was not held, a medium says what it takes; a copy of the record does too.
pub(super) fn opens(host: &Host, export: &str, folder: &str, key: &str) {
    sh(
        host,
        "ip link add cable type bridge && ip link set cable up
        mv /var/lib/holdfast/ceremonies /root/elsewhere
        cp /root/k/answers.toml /root/away.toml
        printf '\"exception.network\" = \"here\"\n\"exception.core-dumps\" = \"here\"\n' >>/root/away.toml",
    );
    let drill = ["key", "drill", export, "--answers", "/root/away.toml"];
    // What the plan accepts of the room was accepted of another one, by nobody knows whom.
    let unasked =
        [&["key", "drill", export, "--answers", "/root/k/answers.toml"][..], &ALICE].concat();
    let refused = holdfast(host, &unasked);
    let why = "the room is not as it must be: network";
    assert!(refused.status == Some(1) && refused.stderr.contains(why), "{}", refused.stderr);
    let output = holdfast(host, &[&drill[..], &ALICE].concat());
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "pass\n"), "{}", output.stderr);
    for told in ["compare the public half of signer", "compare the witness's key", "dave, SHA256:"]
    {
        assert!(output.stderr.contains(told), "{}", output.stderr);
    }
    let other = holdfast(host, &[&drill[..], &ALICE, &["--public", PUBLIC]].concat());
    assert!(other.status == Some(1) && other.stderr.contains("is expected"), "{}", other.stderr);
    let record = format!("/root/elsewhere/{export}");
    let output = holdfast(host, &[&drill[..], &["--record", &record], &BOB].concat());
    assert_eq!(output.status, Some(0), "{}{}", output.stdout, output.stderr);
    // The records of two media are of one ceremony, and its plan is signed.
    sh(
        host,
        "cp -a /media/alice /root/forged && sed -i 's/nobody/Nobody/' /root/forged/holdfast-*/ceremony.json
        cp -a /media/alice /root/unsigned && sed -i 's/BEGIN SSH SIGNATURE/BEGIN/' /root/unsigned/holdfast-*/ceremony.json",
    );
    for (medium, why) in [
        ("/root/forged", "one of them was altered"),
        ("/root/unsigned", "the signature of the operator in ceremony.json does not count"),
    ] {
        let media: &[&str] = if medium == "/root/forged" { &BOB } else { &BOB[2..] };
        let refused = holdfast(host, &[&drill[..], &["--medium", medium], media].concat());
        assert!(refused.stderr.contains(why), "{}{}", refused.stdout, refused.stderr);
        assert_ne!(refused.status, Some(0));
    }
    forged(host, export, &drill);
    let restore = [&["key", "restore", export][..], &ALICE, &["--answers", "/root/away.toml"]];
    let restore = [&restore.concat()[..], &["--to", "/root/brought"]].concat();
    let unsaid = holdfast(host, &restore);
    assert!(unsaid.status == Some(64) && unsaid.stderr.contains("--public"), "{}", unsaid.stderr);
    let brought = format!("/root/elsewhere/{export}/transcript.jsonl");
    let public = sh(
        host,
        &format!("grep -o '\"public\":\"[0-9a-f]*' {brought} | tail -n 1 | cut -d'\"' -f4"),
    );
    let restored = holdfast(host, &[&restore[..], &["--public", public.trim()]].concat());
    assert_eq!(restored.status, Some(0), "{}", restored.stderr);
    assert_eq!(sh(host, "cat /root/brought; rm /root/brought"), key);
    let unknown =
        holdfast(host, &[&["key", "drill", "20200101T000000Z-cold-export"][..], &ALICE].concat());
    assert_eq!(unknown.status, Some(64), "{}", unknown.stderr);
    // Nothing of it was noted in a ceremony of this host: there is none.
    sh(
        host,
        "test ! -e /var/lib/holdfast/ceremonies && mv /root/elsewhere /var/lib/holdfast/ceremonies
        ip link del cable",
    );
    sh(host, &format!("test -e {folder}/transcript.jsonl"));
}

/// A record that nobody signed, with lines that follow each other: whoever writes it needs nobody's key. What the plan says, which
/// is signed, it does not change.
fn forged(host: &Host, export: &str, drill: &[&str]) {
    let medium = sh(host, "cat /media/alice/holdfast-*/ceremony.json");
    let medium: Value = serde_json::from_str(&medium).unwrap();
    let [plan, transcript] = ["plan", "transcript"].map(|it| medium[it].as_str().unwrap());
    let line = transcript.lines().find(|line| line.contains("\"step\":\"sealed\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let real = line["keys"][0]["public"].as_str().unwrap();
    let other_plan = plan.replace(real, PUBLIC);
    let digests = [plan, &other_plan].map(|plan| memory::hex(&Sha256::digest(plan)));
    for (plan, transcript, why) in [
        (plan, transcript.replace(real, PUBLIC), "in the plan, which is signed, and"),
        (
            &other_plan,
            transcript.replace(real, PUBLIC).replace(&digests[0], &digests[1]),
            "the signature of the operator in ceremony.json does not count",
        ),
        (&other_plan, transcript.to_owned(), "is not that of its transcript"),
    ] {
        let mut forged = medium.clone();
        forged["plan"] = plan.into();
        forged["transcript"] = rechained(&transcript).into();
        host.push("/root/ceremony.json", forged.to_string(), 0o600).unwrap();
        sh(
            host,
            "rm -rf /root/other; cp -a /media/alice /root/other; cp /root/ceremony.json /root/other/holdfast-*/",
        );
        let given = ["--medium", "/root/other", "--identity", "/root/k/alice.txt"];
        let restore = [&["key", "restore"][..], &drill[2..], &["--to", "/root/never"]].concat();
        for words in [drill, &restore, &[&restore[..], &["--public", PUBLIC]].concat()] {
            let refused = holdfast(host, &[words, &given].concat());
            assert!(
                refused.status != Some(0) && refused.stderr.contains(why),
                "{}",
                refused.stderr
            );
        }
    }
    sh(host, "test ! -e /root/never && rm -r /root/other");
    assert!(drill.contains(&export));
}

/// Lines of a transcript, each with the digest of the one before it.
fn rechained(transcript: &str) -> String {
    let mut all = String::new();
    for line in transcript.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(previous) = all.lines().last() {
            line["previous"] = memory::hex(&Sha256::digest(previous)).into();
        }
        all.push_str(&format!("{line}\n"));
    }
    all
}
