//! What a ceremony must not let pass: media mixed up, another key after an interruption, exceptions of one person, paper that
//! was not read.

use super::*;

/// Sets an answer of the script.
fn answer(host: &Host, id: &str, text: &str) {
    sh(
        host,
        &format!(
            "sed -i '/^\"\\?{id}\"\\? = /d' /root/k/answers.toml; printf '\"%s\" = \"%s\"\\n' '{id}' '{text}' >>/root/k/answers.toml"
        ),
    );
}

/// Takes exceptions out of the plan, and has it signed again.
fn without_exceptions(host: &Host, checks: &[&str]) {
    for check in checks {
        sh(
            host,
            &format!(
                "perl -0pi -e 's/\\[\\[exception\\]\\]\\ncheck = \"{check}\"\\nreason = [^\\n]*\\n//' {PLAN}; ! grep -q '\"{check}\"' {PLAN}"
            ),
        );
    }
    sh(host, "sh /root/k/sign-plan");
}

fn except(host: &Host, check: &str) {
    replan(host, &format!("$a [[exception]]\\ncheck = \"{check}\"\\nreason = \"a test\""));
}

fn status(host: &Host) -> (Option<i32>, Value) {
    let output = holdfast(host, &["key", "status", "--format", "json"]);
    (output.status, serde_json::from_str(&output.stdout).unwrap())
}

/// What the evidence says was done, in its order.
fn acts(host: &Host) -> Vec<(String, Option<String>)> {
    let log = sh(host, "cat /var/lib/holdfast/evidence/log.jsonl");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let act = |line: Value| {
        let payload = line.get("payload")?;
        let of = payload["of"].as_str().map(str::to_owned);
        Some((payload["act"].as_str()?.to_owned(), of))
    };
    lines.filter_map(act).collect()
}

/// What is done is to be signed, and not done again; and then it takes both to want another.
fn signed_before_it_is_carried_out_again(host: &Host, export: &str) {
    answer(host, "signature.operator", "/nonexistent");
    let wrong = refused(host, "export", 1);
    assert!(wrong.contains("/nonexistent does not exist"), "{wrong}");
    answer(host, "signature.operator", "later");
    assert_eq!(done(host, "export"), export, "the key was exported again");
    assert_eq!(status(host).1["exports"].as_array().unwrap().len(), 1);
    for (who, role) in [("carol", "operator"), ("dave", "witness")] {
        sh(
            host,
            &format!(
                "ssh-keygen -q -Y sign -n holdfast-transcript@v1 -f /root/k/{who} </var/lib/holdfast/ceremonies/{export}/transcript.jsonl >/root/{role}.sig"
            ),
        );
        answer(host, &format!("signature.{role}"), &format!("/root/{role}.sig"));
    }
    let signed = carry(host, "export");
    assert_eq!((signed.status, signed.stdout.trim()), (Some(0), export), "{}", signed.stderr);
    for role in ["operator", "witness"] {
        answer(host, &format!("signature.{role}"), "later");
    }
    answer(host, "again.operator", "yes");
    answer(host, "again.witness", "no");
    let alone = refused(host, "export", 1);
    assert!(alone.contains(&format!("this plan was carried out as {export}")), "{alone}");
    assert_eq!(status(host).1["exports"].as_array().unwrap().len(), 1);
    answer(host, "again.witness", "yes");
}

fn opens(host: &Host, who: &str, file: &str, key: &str) {
    let opened = sh(host, &format!("age -d -i /root/k/{who}.txt {file}"));
    assert_eq!(opened.trim(), key, "{file} for {who}");
}

on_hosts! {
    Image::Postgres;
    /// Two media used in turn at one place; one that is forgotten there is not written over.
    fn media_at_one_place_are_told_apart_and_an_interruption_is_no_other_ceremony(host: &Host) {
        prepare(host);
        // Of a key whose public half the plan does not say: only the ceremony itself knows which it was.
        sh(host, &format!("sed -i '/^bootstrap_signing_set/d' /etc/sbtc-signer/signer-config.toml; sed -i '/^public = /d; s#/media/bob#/media/alice#' {PLAN}"));
        except(host, "rehearsal");
        answer(host, "public.signer", "yes");
        let forgotten = refused(host, "export", 1);
        assert!(forgotten.contains("medium usb-2: this is medium usb-1, which is written: take it out, and mount usb-2"), "{forgotten}");
        opens(host, "alice", "/media/alice/holdfast-*-usb-1/signer.age", KEY);
        let (exit, standing) = status(host);
        let unfinished = standing["exports"][0]["unfinished"].as_str().unwrap_or_default();
        assert!(exit == Some(2) && unfinished.ends_with("with 1 of 2 media written: usb-1"), "{standing}");
        let done_so_far = [("begun", None), ("sealed", None), ("medium", Some("usb-1"))];
        let done_so_far = done_so_far.map(|(act, of)| (act.to_owned(), of.map(str::to_owned)));
        assert_eq!(acts(host), done_so_far, "an export that was interrupted is in the evidence");

        answer(host, "resume", "no");
        let asked = refused(host, "export", 1);
        assert!(asked.contains("nothing was done"), "{asked}");
        answer(host, "resume", "yes");
        sh(host, "mkdir /media/kept && mount --bind /media/alice /media/kept && umount /media/alice && mount -t tmpfs -o size=1M medium /media/alice
            cp /etc/sbtc-signer/signer-config.toml /root/config
            sed -i \"s/^private_key = .*/private_key = \\\"$(openssl rand -hex 32)\\\"/\" /etc/sbtc-signer/signer-config.toml");
        let other = refused(host, "export", 1);
        assert!(other.contains("signer is another key than the one that was sealed before the interruption: its public half is"), "{other}");
        sh(host, "cp /root/config /etc/sbtc-signer/signer-config.toml; test -z \"$(ls -A /media/alice)\"");
        let export = done(host, "export");
        opens(host, "alice", &format!("/media/kept/holdfast-{export}-usb-1/signer.age"), KEY);
        opens(host, "bob", &format!("/media/alice/holdfast-{export}-usb-2/signer.age"), KEY);
        let (_, standing) = status(host);
        let exceptions = standing["exports"][0]["exceptions"].to_string();
        assert!(standing["exports"][0]["unfinished"].is_null() && exceptions.contains("rehearsal by the plan: a test"), "{standing}");
        let all = acts(host);
        assert!(all.ends_with(&[("medium".into(), Some("usb-2".into())), ("export".into(), None)]), "{all:?}");

        signed_before_it_is_carried_out_again(host, &export);

        // One that is given up is said to be, and the next begins with all media.
        sh(host, "umount /media/alice; mount -t tmpfs -o size=1M medium /media/alice");
        refused(host, "export", 1);
        answer(host, "resume", "anew");
        refused(host, "export", 1);
        let (_, listed) = inspect(host, &[]);
        let given_up = listed["ceremonies"].as_array().unwrap().iter().filter(|it| it["given_up"] == true).count();
        assert_eq!(given_up, 1, "{listed}");
        // Its media have the key all the same.
        let (_, standing) = status(host);
        let exports = standing["exports"].as_array().unwrap();
        assert_eq!(exports.len(), 3, "the one that is done, the one that is given up, and the last: {standing}");
        let told = exports.iter().filter_map(|it| it["given_up"].as_str()).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].ends_with(", and may be on usb-1, usb-2"), "{standing}");
        open_until_it_is_retired(host, &export);
    }
}

/// What was given up, and what was interrupted, is told by `verify`, whatever is good beside it, until both have ended it.
fn open_until_it_is_retired(host: &Host, good: &str) {
    sh(host, "printf '[keys.signer]\n' >>/etc/holdfast/profile.toml");
    let check = "keys.export/signer";
    let seen = |what: &str| {
        let seen = verify(host).observed(check).to_owned();
        assert!(seen.contains(what), "{what}: {seen}");
        seen
    };
    let told = seen("given up at");
    assert!(told.starts_with(good) && told.contains(" was interrupted"), "{told}");
    let (_, listed) = inspect(host, &[]);
    let open: Vec<&str> = listed["ceremonies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["kind"] == "export" && it["name"] != good)
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!(open.len(), 2, "{listed}");
    for name in open {
        assert_eq!(verify(host).outcome(check), "fail", "before {name} is ended");
        sh(
            host,
            &format!(
                "cd /root && holdfast key retire {name} --reason 'its stick was burnt' >statement
                for who in carol dave; do ssh-keygen -q -Y sign -n holdfast-retire@v1 -f k/$who <statement >$who.sig; done
                holdfast key retire {name} --statement statement --operator carol.sig --witness dave.sig"
            ),
        );
    }
    assert_eq!(verify(host).outcome(check), "pass", "{}", seen(good));
}

on_hosts! {
    Image::Postgres;
    /// What nobody may accept alone; records that are damaged; a rehearsal of another program; sheets that are swapped.
    fn what_one_person_says_is_not_enough(host: &Host) {
        prepare(host);
        replan(host, &format!("1i paper = \"a4\"\\nprogram = \"{}\"", "0".repeat(64)));
        for who in ["usb-1", "usb-2"] {
            answer(host, &format!("paper.{who}"), "later");
        }
        sh(host, "cd /root/k; for who in alice bob; do
                ssh-keygen -q -t ed25519 -N '' -C $who -f $who.ssh
                sed -i \"/^name = \\\"$who\\\"/a ssh_key = \\\"$(cat $who.ssh.pub)\\\"\" plan.toml
            done");
        without_exceptions(host, &["recipients", "answers", "proofs"]);
        recipients_are_the_profiles(host);
        exceptions_take_both(host);
        let rehearsal = done(host, "rehearse");

        let busy = host.sh(&format!("flock /var/lib/holdfast/ceremonies/.lock holdfast key rehearse {PLAN} --answers /root/k/answers.toml")).unwrap();
        assert!(busy.status == Some(75) && busy.stderr.contains("another ceremony goes on"), "{}", busy.stderr);
        custodians_open_beforehand(host);
        let scripted = refused(host, "export", 1);
        assert!(scripted.contains("answers (a file answers for everybody, sha256 "), "{scripted}");
        people_are_at_a_terminal(host);
        answer(host, "exception.answers", "a test");
        answer(host, "exception.answers.witness", "yes");
        answer(host, "resume", "anew");
        // One byte more: the same behaviour, another program.
        let other = host.sh(&format!("cp /usr/bin/holdfast /root/other && printf x >>/root/other && /root/other key export {PLAN} --answers /root/k/answers.toml")).unwrap();
        assert!(other.status == Some(1) && other.stderr.contains(&format!("{rehearsal} passed with another program than this one")), "{}", other.stderr);

        sh(host, "mkdir /var/lib/holdfast/ceremonies/20200101T000000Z-old-export; echo '{' >/var/lib/holdfast/ceremonies/20200101T000000Z-old-export/transcript.jsonl");
        let export = paper_is_read(host);
        let folder = format!("/var/lib/holdfast/ceremonies/{export}");
        let page = sh(host, &format!("cat {folder}/transcript.txt"));
        let recipient = sh(host, "age-keygen -y /root/k/alice.txt");
        for line in [
            "ANSWERED BY A FILE, and not by people",
            "the record of 20200101T000000Z-old-export cannot be believed",
            "EXCEPTION by both present: program",
            "bag.usb-1.witness: B-1",
            "what was printed for usb-1 was read again",
            "what was printed for usb-2 was read again",
            &format!("sealed to alice, {}", recipient.trim()),
        ] {
            assert!(page.contains(line), "{line} is not in:\n{page}");
        }
        signing_shows_what_is_signed(host, &export);
        let (exit, standing) = status(host);
        let this = standing["exports"].as_array().unwrap().iter().find(|it| it["name"] == *export).unwrap();
        let exceptions = this["exceptions"].to_string();
        assert!(this["unopened"].as_array().unwrap().is_empty(), "{standing}");
        assert!(exceptions.contains("answers by both present: a test"), "{standing}");
        assert_eq!(exit, Some(2), "a record that cannot be believed is a finding: {standing}");
    }
}

/// Who writes into a pipe is nobody; a terminal is where people type, and it ends at the clock here, where they say no.
fn people_are_at_a_terminal(host: &Host) {
    let said = "carol\\ndave\\na newer one\\nyes\\n";
    let piped = host.sh(&format!("printf '{said}' | holdfast key export {PLAN}")).unwrap();
    assert_eq!(piped.status, Some(1), "{}{}", piped.stdout, piped.stderr);
    assert!(
        piped.stderr.contains("answers is not as it should be: a pipe answers for everybody"),
        "{}",
        piped.stderr
    );
    let typed = host
        .sh(&format!(
            "printf '{said}no\\n' | timeout 600 script -qec 'holdfast key export {PLAN}' /dev/null"
        ))
        .unwrap();
    assert!(typed.stdout.contains("the clock is wrong"), "{}{}", typed.stdout, typed.stderr);
    let last =
        sh(host, "cat $(ls -d /var/lib/holdfast/ceremonies/*-export | tail -n 1)/transcript.jsonl");
    let room = "\"check\":\"answers\",\"good\":true,\"seen\":\"people answer, at a terminal\"";
    assert!(last.contains(room), "{last}");
}

fn recipients_are_the_profiles(host: &Host) {
    let none = refused(host, "rehearse", 1);
    assert!(none.contains("recipients (the profile has no age_recipient of alice"), "{none}");
    let shown = holdfast(host, &["key", "plan", PLAN]).stdout;
    let alice = sh(host, "age-keygen -y /root/k/alice.txt");
    assert!(shown.contains(&format!("custodian alice, recipient {alice}")), "{shown}");
    sh(
        host,
        "cd /root/k; cp /etc/holdfast/profile.toml /root/profile
        add() { printf '[[people]]\\nname = \"%s\"\\nage_recipient = \"%s\"\\n' $1 $(age-keygen -y $2.txt) >>/etc/holdfast/profile.toml; }
        add alice bob; add bob alice",
    );
    let swapped = refused(host, "rehearse", 1);
    assert!(swapped.contains("the profile has another age_recipient of alice"), "{swapped}");
    sh(
        host,
        "cd /root/k; cp /root/profile /etc/holdfast/profile.toml
        add() { printf '[[people]]\\nname = \"%s\"\\nage_recipient = \"%s\"\\n' $1 $(age-keygen -y $2.txt) >>/etc/holdfast/profile.toml; }
        add alice alice; add bob bob",
    );
}

/// With age and ssh-keygen alone on the custodian's side.
fn custodians_open_beforehand(host: &Host) {
    let nobody = refused(host, "export", 1);
    assert!(
        nobody.contains("proofs (alice has not opened a challenge of this plan, bob has not"),
        "{nobody}"
    );
    let answered = |who: &str, opened_by: &str| {
        sh(
            host,
            &format!(
                "cd /root; rm -f receipt*; holdfast key challenge {PLAN} {opened_by} >challenge
                age -d -i k/{opened_by}.txt challenge >receipt
                ssh-keygen -q -Y sign -n holdfast-receipt@v1 -f k/{who}.ssh receipt"
            ),
        );
        let files = ["--receipt", "/root/receipt", "--signature", "/root/receipt.sig"];
        holdfast(host, &[&["key", "challenge", PLAN, who], &files[..]].concat())
    };
    let bobs = answered("alice", "bob");
    assert!(
        bobs.status == Some(1)
            && bobs.stderr.contains("this was not in the last challenge of this plan for alice"),
        "{}",
        bobs.stderr
    );
    for who in ["alice", "bob"] {
        let good = answered(who, who);
        assert_eq!(good.status, Some(0), "{}", good.stderr);
    }
}

fn exceptions_take_both(host: &Host) {
    let nobody = refused(host, "rehearse", 1);
    assert!(nobody.contains("program ("), "{nobody}");
    answer(host, "exception.program", "a newer one");
    let alone = refused(host, "rehearse", 1);
    assert!(alone.contains("program ("), "{alone}");
    answer(host, "exception.program.witness", "yes");
    // Who they are they cannot say themselves, not even both.
    sh(host, "sed -i 's/name = \"dave\"/name = \"erin\"/' /etc/holdfast/profile.toml");
    answer(host, "exception.people", "it is me");
    answer(host, "exception.people.witness", "yes");
    let stranger = refused(host, "rehearse", 1);
    assert!(stranger.contains("people (dave is not in the profile)"), "{stranger}");
    sh(host, "sed -i 's/name = \"erin\"/name = \"dave\"/' /etc/holdfast/profile.toml");
}

/// Each sheet is asked for until it was read from paper, over interruptions.
fn paper_is_read(host: &Host) -> String {
    let typed = |who: &str, to: &str| {
        sh(
            host,
            &format!(
                "pdftotext -layout /media/{who}/holdfast-*/signer.pdf - | grep -E '^ *[0-9]+  .* [0-9a-f]{{4}} *$' >{to}; test -s {to}"
            ),
        );
    };
    answer(host, "paper.usb-1", "/root/typed-1");
    let missing = refused(host, "export", 1);
    assert!(missing.contains("/root/typed-1: it does not exist"), "{missing}");
    typed("alice", "/root/typed-1");
    answer(host, "resume", "yes");
    answer(host, "paper.usb-2", "/root/typed-1");
    let swapped = refused(host, "export", 1);
    assert!(swapped.contains("/root/typed-1: this is no sheet of medium usb-2"), "{swapped}");
    let file = sh(host, "echo /media/bob/holdfast-*/signer.age");
    answer(host, "paper.usb-2", file.trim());
    let file = refused(host, "export", 1);
    assert!(file.contains("this is on medium usb-2 itself, and was not read from paper"), "{file}");
    typed("bob", "/root/typed-2");
    answer(host, "paper.usb-2", "/root/typed-2");
    done(host, "export")
}

/// Whoever signs has seen what; and that they signed is in the evidence, with what.
fn signing_shows_what_is_signed(host: &Host, export: &str) {
    let folder = format!("/var/lib/holdfast/ceremonies/{export}");
    let asked =
        host.sh(&format!("printf 'later\\nlater\\n' | holdfast key sign {export}")).unwrap();
    let sha256 = sh(host, &format!("sha256sum <{folder}/transcript.jsonl"));
    let sha256 = sha256.split_whitespace().next().unwrap();
    for shown in ["operator present: carol", "EXCEPTION by both present: program", sha256] {
        assert!(asked.stderr.contains(shown), "{shown} is not in:\n{}", asked.stderr);
    }
    for (who, role) in [("carol", "operator"), ("dave", "witness")] {
        sh(
            host,
            &format!(
                "ssh-keygen -q -Y sign -n holdfast-transcript@v1 -f /root/k/{who} <{folder}/transcript.jsonl >/root/{role}.sig"
            ),
        );
        answer(host, &format!("signature.{role}"), &format!("/root/{role}.sig"));
    }
    let signed = holdfast(host, &["key", "sign", export, "--answers", "/root/k/answers.toml"]);
    assert_eq!(signed.status, Some(0), "{}", signed.stderr);
    let all = acts(host);
    let both = ["operator", "witness"].map(|role| ("signed".to_owned(), Some(role.to_owned())));
    assert!(all.ends_with(&both), "{all:?}");
    // What the evidence has is the record as it is: its last line's digest.
    let last = sh(host, &format!("tail -n1 {folder}/transcript.jsonl | tr -d '\\n' | sha256sum"));
    let log = sh(host, "tail -n1 /var/lib/holdfast/evidence/log.jsonl");
    assert!(log.contains(last.split_whitespace().next().unwrap()), "{log}");
}
