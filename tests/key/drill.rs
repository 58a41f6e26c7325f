//! Afterwards: custodians prove, the key is drilled with a backup of the signer's database, and brought back.

use holdfast_test_dkg::{Database, Group};

use super::*;

/// A signer with a database, of which there is a backup for both custodians, and whose key is exported.
const SIGNER: &str = r#"
set -e
systemd-sysusers /usr/share/holdfast/accounts.conf
for _ in $(seq 600); do
    runuser -u postgres -- psql -qc 'SELECT 1' >/dev/null 2>&1 && break
    sleep 0.2
done
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE "holdfast-backup" LOGIN;
GRANT pg_read_all_data TO "holdfast-backup";
CREATE DATABASE signer ENCODING 'UTF8' TEMPLATE template0;
SQL
cd /root/k
cat >>/etc/holdfast/profile.toml <<PROFILE
[[people]]
name = "alice"
age_recipient = "$(age-keygen -y alice.txt)"
[[people]]
name = "bob"
age_recipient = "$(age-keygen -y bob.txt)"
[backup.signer-db]
database = "signer"
to = ["alice", "bob"]
keep_free = "1M"
watched_within = "1d"
lock_timeout = "1s"
PROFILE
for who in alice bob; do ssh-keygen -q -t ed25519 -N '' -C $who -f $who.ssh; done
sed -i "/^name = \"alice\"/a ssh_key = \"$(cat alice.ssh.pub)\"" plan.toml
sed -i '1i paper = "a4"' plan.toml
printf '"paper.usb-1" = "later"\n"paper.usb-2" = "later"\nrestore = "yes"\n' >>answers.toml
"#;

fn sql(host: &Host, sql: &str) {
    let words = [
        "runuser",
        "-u",
        "postgres",
        "--",
        "psql",
        "-qAtX1",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        "signer",
    ];
    host.command(words).unwrap().stdin(sql.as_bytes()).run().unwrap().ok().unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Another key and public half than the usual one, everywhere where that is.
fn with_key(host: &Host, key: &str, public: &str) {
    sh(
        host,
        &format!(
            "sed -i 's/{KEY}/{key}/; s/{PUBLIC}/{public}/' /etc/sbtc-signer/signer-config.toml /root/k/plan.toml && sh /root/k/sign-plan"
        ),
    );
}

fn drill(host: &Host, export: &str, args: &[&str], exit: i32) -> String {
    let output = holdfast(host, &[&["key", "drill", export], args].concat());
    assert_eq!(output.status, Some(exit), "{}\n{}", output.stdout, output.stderr);
    format!("{}{}", output.stdout, output.stderr)
}

on_hosts! {
    Image::Postgres;
    /// One ceremony, and everything that comes after it.
    fn a_key_is_proven_drilled_and_brought_back(host: &Host) {
        let group = Group::new("drill", 5, 3);
        let (key, public) = (hex(&group.private_key(0)), hex(&group.public_key(0)));
        prepare(host);
        sh(host, SIGNER);
        with_key(host, &key, &public);
        let rows = [1, 2].map(|number| group.round(number).row(0));
        sql(host, &Database { rows: rows.into(), bitcoin_blocks: 5, stacks_blocks: 5, ..Database::default() }.sql());
        let backup = holdfast(host, &["backup", "run", "signer-db"]);
        assert_eq!(backup.status, Some(0), "{}{}", backup.stdout, backup.stderr);
        let listed = holdfast(host, &["backup", "list", "--format", "json"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let id = listed["backups"][0]["id"].as_str().unwrap().to_owned();
        rows_are_wanted(host);
        let rehearsed = carry(host, "rehearse");
        assert_eq!(rehearsed.status, Some(2), "{}{}", rehearsed.stdout, rehearsed.stderr);
        let mut lines = rehearsed.stderr.lines();
        let told = lines.find(|line| line.starts_with("DKG rows: signer-db-rows-"));
        assert!(told.is_some_and(|it| it.contains(", 2 rows as of ")), "{}", rehearsed.stderr);
        let export = without_rows(host);
        let export = export.as_str();
        rows_are_there(host);

        drills(host, export, &id);
        proofs(host, export);
        restores(host, export, &key);
        written::nothing_secret(host, export, &id, &key);
        written::no_key_is_quoted(host, &key);
        after::everything(host, export, &key);

        // Nothing of the key is in what was recorded, printed or logged.
        sh(host, "rm -f /root/restored");
        let places = "/var/lib/holdfast /media /run /tmp /var/tmp /var/log";
        let found = host.sh(&format!("grep -rla {} {places} 2>/dev/null", &key[20..44])).unwrap();
        assert_eq!(found.stdout, "", "the key is there");
        let evidence = sh(host, "cat /var/lib/holdfast/evidence/log.jsonl");
        for act in ["\"act\":\"export\"", "\"act\":\"drill\"", "\"act\":\"proof\"", "\"act\":\"restore\"", "\"act\":\"retire\""] {
            assert!(evidence.contains(act), "{act} is not in the evidence");
        }
    }
}

/// The DKG rows are to be beside the envelopes: there must be some, and the plan's custodians must be able to open them.
fn rows_are_wanted(host: &Host) {
    let refused = |why: &str| {
        let words = ["key", "rehearse", "/root/k/plan.toml", "--answers", "/root/k/answers.toml"];
        let output = holdfast(host, &words);
        assert!(output.stderr.contains(why), "{}\n{}", output.stdout, output.stderr);
        assert_ne!(output.status, Some(0));
    };
    sh(
        host,
        "cd /root/k && cp plan.toml before && sed -i '1i rows = \"other\"' plan.toml && sh sign-plan",
    );
    refused("the plan wants the rows of [backup.other]");
    sh(host, "cd /root/k && sed -i '1s/other/signer-db/' plan.toml && sh sign-plan");
    refused("there are no proven rows of signer-db");
    // Of one of the two custodians only.
    let profile = "/etc/holdfast/profile.toml";
    sh(
        host,
        &format!("cp {profile} /root/profile && sed -i 's/to = .*/to = [\"alice\"]/' {profile}"),
    );
    let watch = || holdfast(host, &["backup", "watch", "signer-db"]).ok().unwrap();
    watch();
    refused("bob could not open signer-db-rows-");
    sh(host, &format!("cp /root/profile {profile}"));
    watch();
    // What the watch does not know to be all is not taken for it: it cannot look, or nobody has for long.
    sql(host, "ALTER ROLE \"holdfast-backup\" NOLOGIN");
    assert_ne!(holdfast(host, &["backup", "watch", "signer-db"]).status, Some(0));
    refused("is not put beside the key: the last look at the database failed: ");
    refused("holdfast backup watch signer-db");
    sql(host, "ALTER ROLE \"holdfast-backup\" LOGIN");
    watch();
    let later = late::at(host, "2090-01-01 12:00:00", "rehearse");
    let why = "is not put beside the key: nobody has looked for new rows for ";
    assert!(later.status == Some(1) && later.stderr.contains(why), "{}", later.stderr);
    let begun = sh(host, "find /var/lib/holdfast/ceremonies -mindepth 1 -type d");
    assert_eq!(begun, "", "that was told before anything began");
}

/// Exports, and has the rows out of reach as soon as every medium has them: neither the paper nor the signatures need them.
fn without_rows(host: &Host) -> String {
    let profile = "/etc/holdfast/profile.toml";
    sh(
        host,
        "cp /root/k/answers.toml /root/all && sed -i '/^\"paper.usb-2\"/d' /root/k/answers.toml",
    );
    let stopped = carry(host, "export");
    let why = "the file of answers has none to `paper.usb-2`";
    assert!(stopped.status == Some(1) && stopped.stderr.contains(why), "{}", stopped.stderr);
    sh(
        host,
        &format!(
            "cp /root/all /root/k/answers.toml; sed -i.kept 's/^\\[backup.signer-db\\]/[backup.other]/' {profile}"
        ),
    );
    let export = done(host, "export");
    assert_eq!(done(host, "export"), export, "it takes signatures");
    sh(host, &format!("mv {profile}.kept {profile}"));
    export
}

/// They are, and come back from a medium into a migrated database.
fn rows_are_there(host: &Host) {
    let folder = sh(host, "echo /media/bob/holdfast-*");
    let folder = folder.trim();
    let words = sh(host, &format!("cat {folder}/DKG-ROWS.txt"));
    let by_holdfast = words.lines().find(|line| line.contains("restore-rows")).unwrap().trim();
    let by_hand = words.lines().find(|line| line.contains("age --decrypt")).unwrap().trim();
    let set_up = "cd /root && runuser -u postgres -- createdb -T template0 -E UTF8 back
        runuser -u postgres -- pg_dump -s signer | runuser -u postgres -- psql -qX -v ON_ERROR_STOP=1 back >/dev/null";
    sh(host, set_up);
    let filled = |line: &str| {
        line.replace("FOLDER", folder)
            .replace("DATABASE", "back")
            .replace("IDENTITY-FILE", "/root/k/bob.txt")
    };
    let said = sh(host, &filled(by_holdfast));
    assert_eq!(said.lines().filter(|line| line.contains(": added, ")).count(), 2, "{said}");
    let rows = "psql -AtqX -c 'SELECT * FROM sbtc_signer.dkg_shares ORDER BY aggregate_key'";
    let same = format!(
        "test \"$(runuser -u postgres -- {rows} back)\" = \"$(runuser -u postgres -- {rows} signer)\""
    );
    sh(host, &format!("cd / && {same} && runuser -u postgres -- dropdb back"));
    let head: Value =
        serde_json::from_str(&sh(host, &format!("cd {folder} && {}", filled(by_hand)))).unwrap();
    assert!(head["by_hand"].is_array(), "{head:#}");
}

/// Says pass or fail, and why.
fn drills(host: &Host, export: &str, backup: &str) {
    let alice = ["--medium", "/media/alice", "--identity", "/root/k/alice.txt"];
    assert_eq!(drill(host, export, &alice, 0), "pass\n");
    let joint = drill(host, export, &[&alice[..], &["--backup", backup]].concat(), 0);
    assert_eq!(joint, "pass\n");
    let bobs =
        drill(host, export, &["--medium", "/media/alice", "--identity", "/root/k/bob.txt"], 2);
    assert!(bobs.contains("none of these identities opens this copy"), "{bobs}");

    // The rows of another signer of the same group: the public half of them is the same.
    let group = Group::new("drill", 5, 3);
    sql(host, "TRUNCATE sbtc_signer.dkg_shares");
    for number in [1, 2] {
        sql(host, &group.round(number).row(1).insert());
    }
    let made = holdfast(host, &["backup", "run", "signer-db"]);
    assert_eq!(made.status, Some(0), "{}{}", made.stdout, made.stderr);
    let listed = holdfast(host, &["backup", "list", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let ids: Vec<&str> =
        listed["backups"].as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
    let wrong = ids.iter().find(|id| **id != backup).unwrap();
    let told = drill(host, export, &[&alice[..], &["--backup", wrong]].concat(), 2);
    assert!(told.starts_with("fail: row "), "{told}");

    // From paper, as it is typed; and a copy that was tampered with.
    sh(
        host,
        &format!(
            "pdftotext -layout /media/bob/holdfast-{export}-*/signer.pdf - | grep -E '^ *[0-9]+  .* [0-9a-f]{{4}} *$' >/root/typed
            cp -a /media/alice /root/tampered && sed -i -e '3s/^+/A/' -e t -e '3s/^./+/' /root/tampered/holdfast-{export}-*/signer.age"
        ),
    );
    let paper =
        drill(host, export, &["--paper", "/root/typed", "--identity", "/root/k/bob.txt"], 0);
    assert_eq!(paper, "pass\n");
    let tampered =
        drill(host, export, &["--medium", "/root/tampered", "--identity", "/root/k/alice.txt"], 2);
    assert!(tampered.contains("is not the envelope that was written for alice"), "{tampered}");
    let (exit, standing) = status(host);
    assert!(exit == Some(2) && standing["exports"][0]["failed"].is_string(), "{standing}");
    assert_eq!(drill(host, export, &alice, 0), "pass\n");
}

fn status(host: &Host) -> (Option<i32>, Value) {
    let output = holdfast(host, &["key", "status", "--format", "json"]);
    (output.status, serde_json::from_str(&output.stdout).unwrap())
}

/// With age and ssh-keygen alone on the custodian's side.
fn proofs(host: &Host, export: &str) {
    let answer = |who: &str, key: &str| {
        let receipt = format!("/root/{who}.receipt");
        sh(
            host,
            &format!(
                "rm -f {receipt}*; age -d -i /root/k/{who}.txt /root/challenge >{receipt}; ssh-keygen -q -Y sign -n holdfast-receipt@v1 -f /root/k/{key} {receipt}"
            ),
        );
        let signature = format!("{receipt}.sig");
        holdfast(
            host,
            &["key", "prove", export, who, "--receipt", &receipt, "--signature", &signature],
        )
    };
    let challenge = || sh(host, &format!("holdfast key prove {export} alice >/root/challenge"));
    challenge();
    let stranger = answer("alice", "bob.ssh");
    assert!(stranger.stderr.contains("was made with another key"), "{}", stranger.stderr);
    let good = answer("alice", "alice.ssh");
    assert_eq!(good.status, Some(0), "{}", good.stderr);
    let twice = answer("alice", "alice.ssh");
    assert!(
        twice.status == Some(1) && twice.stderr.contains("was taken before"),
        "{}",
        twice.stderr
    );
    let others = host.sh("age -d -i /root/k/bob.txt /root/challenge").unwrap();
    assert_ne!(others.status, Some(0), "bob opens alice's challenge");
    let cannot = holdfast(host, &["key", "prove", export, "bob"]);
    assert!(cannot.stderr.contains("the plan has no ssh_key of bob"), "{}", cannot.stderr);
    challenge();
    let altered = host.sh(&format!("age -d -i /root/k/alice.txt /root/challenge | sed s/alice/bob/ >/root/r; ssh-keygen -q -Y sign -n holdfast-receipt@v1 -f /root/k/alice.ssh /root/r; holdfast key prove {export} alice --receipt /root/r --signature /root/r.sig")).unwrap();
    assert!(altered.stderr.contains("was in no challenge of this ceremony"), "{}", altered.stderr);
    let (_, standing) = status(host);
    let custodians = &standing["exports"][0]["custodians"];
    assert!(custodians[0][1].is_string() && custodians[1][1].is_null(), "{standing}");
    assert!(standing["exports"][0]["drilled"].is_string(), "{standing}");
}

fn restores(host: &Host, export: &str, key: &str) {
    let from = [
        "key",
        "restore",
        export,
        "--medium",
        "/media/bob",
        "--identity",
        "/root/k/bob.txt",
        "--answers",
        "/root/k/answers.toml",
    ];
    sh(host, "sed -i 's/^restore = .*/restore = \"no\"/' /root/k/answers.toml");
    let refused = holdfast(host, &[&from[..], &["--to", "/root/restored"]].concat());
    assert!(
        refused.status == Some(1) && refused.stderr.contains("stop the other signer first"),
        "{}",
        refused.stderr
    );
    sh(
        host,
        "test ! -e /root/restored; sed -i 's/^restore = .*/restore = \"yes\"/' /root/k/answers.toml",
    );
    let restored =
        holdfast(host, &[&from[..], &["--to", "/root/restored", "--owner", "nobody"]].concat());
    assert_eq!(restored.status, Some(0), "{}", restored.stderr);
    assert_eq!(
        sh(host, "stat -c '%a %U' /root/restored; cat /root/restored"),
        format!("400 nobody\n{key}")
    );
    let again = holdfast(host, &[&from[..], &["--to", "/root/restored"]].concat());
    assert!(again.status == Some(1) && again.stderr.contains("File exists"), "{}", again.stderr);

    // As a credential of systemd's, which opens it with the host's key; and never without any key.
    let credential =
        ["--credential", "/root/key.cred", "--credential-name", "signer-key", "--with-key"];
    let none = holdfast(host, &[&from[..], &credential, &["null"]].concat());
    assert_eq!(none.status, Some(64), "{}", none.stderr);
    let unbound = holdfast(host, &[&from[..], &credential, &["tpm2"]].concat());
    assert!(
        unbound.status == Some(64) && unbound.stderr.contains("--tpm2-pcrs"),
        "{}",
        unbound.stderr
    );
    let made = holdfast(host, &[&from[..], &credential, &["host"]].concat());
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let opened = sh(host, "systemd-creds decrypt --name=signer-key /root/key.cred -");
    assert_eq!(opened.trim(), key);
    sh(host, "rm /root/key.cred");
}
