//! How an export goes on to count, and how it ends: by two people of the profile, who are there or were.

use super::{after::status, *};

/// Whoever else signs ends nothing.
pub(super) fn by_two_of_the_profile(host: &Host, export: &str, check: &str) {
    let sign = |one: &str, two: &str| {
        for (who, to) in [(one, "one"), (two, "two")] {
            sh(
                host,
                &format!(
                    "ssh-keygen -q -Y sign -n holdfast-retire@v1 -f /root/k/{who} </root/statement >/root/{to}.sig"
                ),
            );
        }
    };
    let statement = holdfast(host, &["key", "retire", export, "--reason", "rotated"]);
    host.push("/root/statement", &statement.stdout, 0o600).unwrap();
    let retire = |witness: &str| {
        holdfast(
            host,
            &[
                "key",
                "retire",
                export,
                "--statement",
                "/root/statement",
                "--operator",
                "/root/one.sig",
                "--witness",
                witness,
            ],
        )
    };
    // Two of whom the profile knows nothing end nothing.
    sign("alice.ssh", "bob.ssh");
    let strangers = retire("/root/two.sig");
    let why = "nobody's key in the profile";
    assert!(strangers.status == Some(65) && strangers.stderr.contains(why), "{}", strangers.stderr);
    // Nor do those who have left, with an old date on it.
    sh(
        host,
        "sed -i.kept '/^name = \"dave\"/a until = 2020-01-01' /etc/holdfast/profile.toml
        cp /root/statement /root/today; sed -i 's/^written .*/written 2019-06-01T00:00:00Z/' /root/statement",
    );
    sign("carol", "dave");
    let left = retire("/root/two.sig");
    let why = "dave is in the profile until 2020-01-01 only";
    assert!(left.status == Some(65) && left.stderr.contains(why), "{}", left.stderr);
    sh(
        host,
        "mv /root/today /root/statement; mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml",
    );
    sign("carol", "dave");
    let alone = retire("/root/one.sig");
    assert!(alone.status == Some(65) && alone.stderr.contains("witness"), "{}", alone.stderr);
    assert_eq!(verify(host).outcome(check), "pass", "one alone has it forgotten");
    let both = retire("/root/two.sig");
    assert_eq!(both.status, Some(0), "{}", both.stderr);
    let report = verify(host);
    assert_eq!(report.observed(check), "it was never exported on this host");
    let (exit, standing) = status(host);
    assert!(exit == Some(2) && standing["exports"][0]["retired"]["why"] == "rotated", "{standing}");
    // What there is of it is told whatever the profile is like.
    sh(host, "cd /etc/holdfast && cp profile.toml profile.toml.kept && echo 'no =' >>profile.toml");
    let (exit, standing) = status(host);
    let why = standing["exports"][0]["unretired"].as_str().unwrap_or_default();
    assert!(exit == Some(2) && why.contains("profile cannot be read"), "{standing}");
    assert!(standing["exports"][0]["retired"].is_null(), "{standing}");
    sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
    // Nor is one ended by those whom the profile does not know.
    sh(
        host,
        "sed -i.kept \"s|$(cut -d' ' -f2 /root/k/dave.pub)|$(cut -d' ' -f2 /root/k/bob.ssh.pub)|\" /etc/holdfast/profile.toml",
    );
    let seen = verify(host).observed(check).to_owned();
    for why in
        ["is signed by whom nobody", "was retired by whom nobody vouches for: the witness: SHA256:"]
    {
        assert!(seen.contains(why), "{seen}");
    }
    let (_, standing) = status(host);
    assert!(standing["exports"][0]["retired"].is_null(), "{standing}");
    sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
}

/// What somebody signed goes on to count when they have left, and they sign nothing more.
pub(super) fn those_who_left(host: &Host, check: &str) {
    let done = status(host).1["exports"][0]["done"].as_str().unwrap()[..10].to_owned();
    let left = |day: &str| {
        sh(
            host,
            &format!("sed -i.kept '/^name = \"dave\"/a until = {day}' /etc/holdfast/profile.toml"),
        );
        let report = verify(host);
        (report.outcome(check).to_owned(), report.observed(check).to_owned())
    };
    let (outcome, seen) = left(&done);
    assert_eq!(outcome, "pass", "they were there when it was done: {seen}");
    sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
    let (outcome, seen) = left("2020-01-01");
    assert_eq!(outcome, "fail", "{seen}");
    assert!(seen.contains("dave is in the profile until 2020-01-01 only"), "{seen}");
    let nothing_more = refused(host, "rehearse", 1);
    let why = "people (dave is in the profile until 2020-01-01 only)";
    assert!(nothing_more.contains(why), "{nothing_more}");
    sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
}

/// With the signatures of a transcript that are not taken yet: those who have left give none, and no receipt.
pub(super) fn nothing_newer(host: &Host, export: &str) {
    let gone = |who: &str, words: &[&str]| {
        sh(
            host,
            &format!(
                "sed -i.kept '/^name = \"{who}\"/a until = 2020-01-01' /etc/holdfast/profile.toml"
            ),
        );
        let refused = holdfast(host, &[&["key"], words].concat());
        let why = format!("{who} is in the profile until 2020-01-01 only, and signs nothing more");
        assert!(refused.stderr.contains(&why), "{}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains("holdfast key retire"), "{}", refused.stderr);
        assert_eq!(refused.status, Some(1));
        sh(host, "mv /etc/holdfast/profile.toml.kept /etc/holdfast/profile.toml");
    };
    let folder = format!("/var/lib/holdfast/ceremonies/{export}");
    gone("dave", &["sign", export, "--answers", "/root/sign.toml"]);
    sh(host, &format!("test ! -e {folder}/transcript.jsonl.witness.sig"));
    let challenge = holdfast(host, &["key", "prove", export, "alice"]).ok().unwrap().stdout;
    host.push("/root/challenge", &challenge, 0o600).unwrap();
    sh(
        host,
        "cd /root; rm -f receipt*; age -d -i k/alice.txt challenge >receipt
        ssh-keygen -q -Y sign -n holdfast-receipt@v1 -f k/alice.ssh receipt",
    );
    let proofs = sh(host, &format!("cat {folder}/proofs.jsonl"));
    let receipt = ["--receipt", "/root/receipt", "--signature", "/root/receipt.sig"];
    gone("alice", &[&["prove", export, "alice"][..], &receipt].concat());
    assert_eq!(sh(host, &format!("cat {folder}/proofs.jsonl")), proofs);
}
