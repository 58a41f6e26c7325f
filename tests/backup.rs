//! Backups of a signer's database on booted hosts, with Debian's own PostgreSQL: made, proven, found wanting, and brought
//! back with Debian's own tools alone.

mod containers;
mod elsewhere;
mod faults;
mod hostile;
mod lost;
mod majors;
mod retention;
mod role;
mod skew;
mod units;

use holdfast_test_dkg::{Database, Group, Row, Status};
use serde_json::Value;

use crate::support::*;

/// The accounts that backups use, a role that reads everything, and two custodians.
pub(crate) const SETUP: &str = r#"
set -e
systemd-sysusers /usr/share/holdfast/accounts.conf
for who in alice bob; do age-keygen -o /root/$who.txt 2>/dev/null; done
# The cluster that Debian makes at installation is started by systemd; on a busy machine that takes its time.
for _ in $(seq 600); do
    runuser -u postgres -- psql -qc 'SELECT 1' >/dev/null 2>&1 && break
    sleep 0.2
done
runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE "holdfast-backup" LOGIN;
GRANT pg_read_all_data TO "holdfast-backup";
CREATE DATABASE signer ENCODING 'UTF8' TEMPLATE template0;
SQL
mkdir -p /etc/holdfast
cat >/etc/holdfast/profile.toml <<PROFILE
[[people]]
name = "alice"
age_recipient = "$(age-keygen -y /root/alice.txt)"
[[people]]
name = "bob"
age_recipient = "$(age-keygen -y /root/bob.txt)"
[backup.signer-db]
database = "signer"
to = ["alice", "bob"]
keep_free = "1M"
lock_timeout = "1s"
PROFILE
chmod 600 /etc/holdfast/profile.toml
"#;

/// Where backups are: the lock and what is not finished.
pub(crate) const FOLDER: &str = "/var/backups/holdfast";

/// And what is.
pub(crate) const STORE: &str = "/var/backups/holdfast/finished";

pub(crate) fn group() -> Group {
    Group::new("backup", 5, 3)
}

pub(crate) fn rows(group: &Group) -> Vec<Row> {
    [1, 2].map(|number| group.round(number).row(0)).into()
}

/// Runs SQL as the superuser; it must succeed.
pub(crate) fn sql(host: &Host, database: &str, sql: &str) -> String {
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
        database,
    ];
    let run = host.command(words).unwrap().stdin(sql.as_bytes());
    run.run().unwrap().ok().unwrap().stdout
}

/// A host with a signer's database.
pub(crate) fn prepare(host: &Host, database: &Database) {
    host.sh(SETUP).unwrap().ok().unwrap();
    sql(host, "signer", &database.sql());
}

pub(crate) fn database(rows: Vec<Row>) -> Database {
    Database { rows, bitcoin_blocks: 50, stacks_blocks: 500, ..Database::default() }
}

/// Runs a command of `holdfast backup` as JSON, with its exit code.
pub(crate) fn backup(host: &Host, args: &[&str]) -> (i32, Value) {
    let words: Vec<&str> = ["backup"].into_iter().chain(args.iter().copied()).collect();
    let words: Vec<&str> = words.into_iter().chain(["--format", "json"]).collect();
    let output = holdfast(host, &words);
    let json = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{args:?}: {error}\n{}\n{}", output.stdout, output.stderr));
    (output.status.unwrap_or(-1), json)
}

/// What is in the folder of backups, each with its digest.
fn shelf(host: &Host) -> String {
    host.sh(&format!("cd {STORE} && sha256sum *")).unwrap().ok().unwrap().stdout
}

/// Makes a backup, which must succeed and be proven or not, and gives its manifest.
pub(crate) fn make(host: &Host, proven: bool) -> Value {
    made(host, &["run", "signer-db"], proven)
}

/// The same as a drill.
fn drill(host: &Host, proven: bool) -> Value {
    made(host, &["run", "--drill", "signer-db"], proven)
}

fn made(host: &Host, args: &[&str], proven: bool) -> Value {
    let (exit, manifest) = backup(host, args);
    assert_eq!(manifest["proof"]["proven"], proven, "{:#}", manifest["proof"]);
    assert_eq!(exit, if proven { 0 } else { 2 });
    // The next one has another name.
    host.sh("sleep 1.1").unwrap().ok().unwrap();
    manifest
}

/// The checks of a proof that failed.
pub(crate) fn failed(proof: &Value) -> Vec<&str> {
    let checks = proof["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|check| check["outcome"] == "fail");
    failed.map(|check| check["name"].as_str().unwrap()).collect()
}

/// That no proof has left anything: no process, no file.
fn assert_nothing_left(host: &Host) {
    let left = host.sh("ls -A /run/holdfast-proof /var/lib/holdfast-drill 2>/dev/null | grep -v -e '^/' -e '^$' || :; pgrep -u holdfast-proof -l || :").unwrap();
    assert_eq!(left.ok().unwrap().stdout, "");
}

/// In words, too, where there is none: of the rows that nobody has looked at.
fn says_the_recovery_points(host: &Host, manifest: &Value) {
    let (_, status) = backup(host, &["status"]);
    assert_eq!(status["backups"][0]["rows_recovery_point"], Value::Null);
    let text = holdfast(host, &["backup", "status"]).stdout;
    let begun = manifest["begun"].as_str().unwrap();
    for said in [
        format!("signer-db: recovery point: {begun}: what was committed until then comes back"),
        "signer-db: recovery point of DKG rows: none: no row".to_owned(),
    ] {
        assert!(text.contains(&said), "{text}");
    }
}

on_hosts! {
    Image::Postgres;
    /// Made, proven, signed; the plain rows on no disk; and back by what Debian has, without holdfast.
    fn a_backup_is_proven_and_debians_own_tools_bring_it_back(host: &Host) {
        let rows = rows(&group());
        prepare(host, &database(rows.clone()));
        let manifest = make(host, true);
        assert_nothing_left(host);
        assert_eq!(manifest["rows"]["sbtc_signer.stacks_blocks"], 500);
        assert_eq!(manifest["rows"]["sbtc_signer.dkg_shares"], 2);
        assert_eq!(manifest["newest_block"]["height"], 900_050);
        let file = manifest["archive"]["file"].as_str().unwrap();
        let head = host.sh(&format!("head -c 21 {STORE}/{file}; stat -c ' %a %U' {STORE}/{file}"));
        assert_eq!(head.unwrap().ok().unwrap().stdout, "age-encryption.org/v1 644 root\n");
        let names = host.sh(&format!("ls {STORE} | wc -l")).unwrap().ok().unwrap().stdout;
        assert_eq!(names.trim(), "2", "the file and its manifest");

        // Each custodian, alone: by the script that holdfast prints, and by what the README says.
        let id = manifest["id"].as_str().unwrap();
        let script = holdfast(host, &["backup", "restore", id, "--print"]).ok().unwrap().stdout;
        let script = script.replace("=identity.txt", "=/root/alice.txt").replace("=signer_back", "=back_alice").replace("=signer ", "=signer-role ");
        sql(host, "postgres", "CREATE ROLE \"signer-role\" LOGIN");
        let run = |script: &str| {
            host.push("/root/restore", script, 0o700).unwrap();
            host.run(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/root/restore"]).unwrap()
        };
        let digest = manifest["archive"]["sha256"].as_str().unwrap();
        let refused = run(&script.replace(digest, &"0".repeat(64)));
        assert!(refused.stderr.contains("is not the file that was made"), "{}", refused.stderr);
        let refused = run(&script.replace("=signer-role ", "=someone "));
        assert!(refused.stderr.contains("there is no role someone"), "{}", refused.stderr);
        assert_eq!(run(&script).ok().unwrap().stdout, "2\n");
        // The README's own lines, with another file, name and role.
        let readme = include_str!("../README.md");
        let lines = readme.split("```").find(|block| block.contains("createuser nobody")).unwrap().trim_start_matches("sh\n");
        let lines = lines
            .replace("signer_back", "back_bob")
            .replace("alice.txt", "/root/bob.txt")
            .replace("signer-db-20261121T010000Z.pgdump.zst.age", &format!("{STORE}/{file}"));
        // With an owner who is not there nothing of what came back is lost.
        let given = |line: &str, role: &str| line.replace("TO signer'", &format!("TO \"{role}\"'"));
        let refused = host.sh(&format!("set -e\n{}", given(&lines, "someone"))).unwrap();
        assert!(refused.status != Some(0) && refused.stderr.contains("does not exist"), "{}", refused.stderr);
        assert_eq!(sql(host, "back_bob", "SELECT count(*) FROM sbtc_signer.dkg_shares").trim(), "2");
        let last = &lines[lines.rfind("runuser").unwrap()..];
        host.sh(&given(last, "signer-role")).unwrap().ok().unwrap();
        let owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'sbtc_signer'";
        for who in ["alice", "bob"] {
            assert_eq!(sql(host, &format!("back_{who}"), owner).trim(), "signer-role");
        }
        for who in ["alice", "bob"] {
            let all = "SELECT json_agg(d ORDER BY aggregate_key) FROM sbtc_signer.dkg_shares d";
            let back = sql(host, &format!("back_{who}"), all);
            assert_eq!(back, sql(host, "signer", all));
        }

        // And by holdfast, which refuses what has something in it.
        let restore = |into: &str, who: &str| {
            let identity = format!("/root/{who}.txt");
            holdfast(host, &["backup", "restore", id, "--into", into, "--identity", &identity, "--owner", "signer-role"])
        };
        assert!(restore("signer", "alice").stderr.contains("the signer's own database"));
        assert!(restore("back_alice", "alice").stderr.contains("only an empty database"));
        host.sh("runuser -u postgres -- createdb -T template0 -E UTF8 back_again").unwrap().ok().unwrap();
        host.sh("age-keygen -o /root/mallory.txt").unwrap().ok().unwrap();
        assert!(restore("back_again", "mallory").stderr.contains("cannot be read"));
        assert_eq!(restore("back_again", "bob").status, Some(0));
        let count = sql(host, "back_again", "SELECT count(*) FROM sbtc_signer.stacks_blocks");
        assert_eq!(count.trim(), "500");

        says_the_recovery_points(host, &manifest);

        // A custodian's identity proves an old file.
        let (exit, proof) = backup(host, &["prove", id, "--identity", "/root/alice.txt"]);
        assert_eq!((exit, failed(&proof)), (0, vec![]), "{proof:#}");
        // Whose newest drill is none, is not good; a drill restores all, and leaves nothing either.
        let (exit, status) = backup(host, &["status"]);
        assert_eq!((exit, &status["backups"][0]["good"]), (2, &Value::Bool(false)));
        let args = ["prove", id, "--identity", "/root/alice.txt", "--drill"];
        let (exit, proof) = backup(host, &args);
        assert_eq!((exit, failed(&proof)), (0, vec![]), "{proof:#}");
        // Nor is one whose DKG rows nobody has looked at.
        let manifest = drill(host, true);
        assert_nothing_left(host);
        let (exit, status) = backup(host, &["status"]);
        assert_eq!((exit, &status["backups"][0]["good"]), (2, &Value::Bool(true)), "{status:#}");
        assert_eq!(backup(host, &["watch", "signer-db"]).0, 0);
        let took = manifest["proof"]["drill"]["restore_milliseconds"].as_u64().unwrap();
        let (exit, status) = backup(host, &["status"]);
        let status = &status["backups"][0];
        assert_eq!((exit, &status["good"]), (0, &Value::Bool(true)), "{status:#}");
        assert_eq!(status["newest_drilled"], manifest["id"]);
        assert_eq!(status["recovery_point"], manifest["begun"]);
        let rows = backup(host, &["rows"]).1["backups"][0]["manifest"].clone();
        assert_eq!(status["rows_recovery_point"], rows["begun"]);
        let text = holdfast(host, &["backup", "status"]).stdout;
        let said = format!("recovery point of DKG rows: {}: each row", rows["begun"].as_str().unwrap());
        assert!(text.contains(&said), "{text}");
        let seen = status["rows"][0]["text"].as_str().unwrap();
        assert!(seen.starts_with("all of its 2 rows are, as the look at 2"), "{seen}");
        assert_eq!(status["recovery_milliseconds"].as_u64(), Some(took));

        // All of it is in the evidence log: what was made, and what was restored, by whom.
        let log = holdfast(host, &["evidence", "list", "--format", "json"]).stdout;
        let log: Value = serde_json::from_str(&log).unwrap();
        let records = log["records"].as_array().unwrap().iter();
        let kinds: Vec<_> = records.map(|record| record["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["host-key", "backup", "proof", "restore", "drill", "drill", "backup", "proof", "backup"]);
        let payload = |at: usize, key: &str| log["records"][at]["payload"][key].clone();
        assert_eq!((payload(0, "public"), payload(1, "key")), (status["host_key"].clone(), status["host_key"].clone()));
        assert_eq!(holdfast(host, &["evidence", "verify"]).status, Some(0));

        elsewhere::brought_back(host, id, file, status["host_key"].as_str().unwrap());
    }
}

on_hosts! {
    Image::Postgres;
    /// What a backup lacks is said, each in its own words, and the last good one stays the one to compare with.
    fn what_a_backup_lacks_is_found(host: &Host) {
        let group = group();
        prepare(host, &database(rows(&group)));
        let good = make(host, true);

        let spoil = |change: &str, expected: &[&str], undo: &str| {
            sql(host, "signer", change);
            let manifest = make(host, false);
            assert_eq!(failed(&manifest["proof"]), expected, "{change}: {:#}", manifest["proof"]);
            sql(host, "signer", undo);
        };
        let shares = "sbtc_signer.dkg_shares";
        let key = group.round(1).row(0).aggregate_key;
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        spoil(
            &format!("UPDATE {shares} SET dkg_shares_status = 'unverified'"),
            &["dkg.verified"],
            &format!("UPDATE {shares} SET dkg_shares_status = 'verified'"),
        );
        let row = format!("dkg.row/{key}");
        spoil(
            &format!("UPDATE {shares} SET script_pubkey = '\\x5120' WHERE aggregate_key = '\\x{key}'"),
            &[&row],
            &format!("DELETE FROM {shares}; {} {}", group.round(1).row(0).insert(), group.round(2).row(0).insert()),
        );
        spoil(
            "DELETE FROM sbtc_signer.stacks_blocks WHERE block_height = 900001",
            &["tables.shrunken"],
            "INSERT INTO sbtc_signer.stacks_blocks VALUES ('\\x01', 900001, '\\x01', '\\x01')",
        );
        spoil(
            "ALTER TABLE public.__sbtc_migrations RENAME TO elsewhere",
            &["migrations", "tables.shrunken"],
            "ALTER TABLE public.elsewhere RENAME TO __sbtc_migrations",
        );
        spoil(
            &format!("DELETE FROM {shares}"),
            &["dkg.rows", "dkg.verified", "tables.shrunken"],
            &format!("{} {}", group.round(1).row(0).insert(), group.round(2).row(0).insert()),
        );

        // One that a migration takes away is not missed for ever: a person says so, once, and from then on it is as it is.
        sql(host, "signer", "DROP TABLE sbtc_signer.p2p_peers; INSERT INTO public.__sbtc_migrations (key) VALUES ('0099__drop.sql')");
        let manifest = make(host, false);
        assert_eq!(failed(&manifest["proof"]), ["tables.shrunken"]);
        let said = manifest["proof"].to_string();
        assert!(said.contains("p2p_peers is gone; migration 0099__drop.sql ran in between"), "{said}");
        only_what_is_named_is_accepted(host, said.split('`').nth(1).unwrap());
        make(host, true);
        assert_eq!(backup(host, &["prune", "signer-db", "--dry-run"]).0, 0);

        // Another signer of another group.
        let other = Group::new("another", 5, 3);
        let own: String = other.public_key(0).iter().map(|byte| format!("{byte:02x}")).collect();
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{profile}signer_keys = [\"{own}\"]\n"));
        let manifest = make(host, false);
        assert_eq!(failed(&manifest["proof"]).len(), 2, "{:#}", manifest["proof"]);
        let own: String = group.public_key(0).iter().map(|byte| format!("{byte:02x}")).collect();
        give(host, &format!("{profile}signer_keys = [\"{own}\"]\nnewest_block_within = \"1h\"\n"));
        make(host, true);
        sql(host, "signer", "UPDATE sbtc_signer.bitcoin_blocks SET created_at = now() - interval '2 h'");
        let manifest = make(host, false);
        assert_eq!(failed(&manifest["proof"]), ["blocks.newest"]);
        assert_nothing_left(host);

        // Nothing goes while the newest is not proven, and the good ones are still there.
        let (exit, pruned) = backup(host, &["prune", "signer-db"]);
        assert_eq!((exit, pruned["delete"].as_array().unwrap().len()), (2, 0));
        let file = good["archive"]["file"].as_str().unwrap();
        host.sh(&format!("test -s {STORE}/{file}")).unwrap().ok().unwrap();
    }
}

/// `line` is what the failed check says to type. It lets that one table go, and no other; DKG rows never.
fn only_what_is_named_is_accepted(host: &Host, line: &str) {
    let accept = ["run", "signer-db", "--accept-shrunken", "sbtc_signer.p2p_peers"];
    assert_eq!(line, format!("holdfast backup {}", accept.join(" ")));
    let spoil = |change: &str, undo: &str| {
        sql(host, "signer", change);
        let manifest = made(host, &accept, false);
        assert_eq!(failed(&manifest["proof"]), ["tables.shrunken"], "{change}");
        sql(host, "signer", undo);
        manifest["proof"].to_string()
    };
    let said = spoil(
        "DELETE FROM sbtc_signer.stacks_blocks WHERE block_height = 900002",
        "INSERT INTO sbtc_signer.stacks_blocks VALUES ('\\x02', 900002, '\\x02', '\\x02')",
    );
    assert!(said.contains("stacks_blocks has 499 rows and had 500; accepted by"), "{said}");
    let said = spoil(
        "CREATE TABLE public.kept AS SELECT * FROM sbtc_signer.dkg_shares ORDER BY aggregate_key LIMIT 1;
         DELETE FROM sbtc_signer.dkg_shares WHERE aggregate_key IN (SELECT aggregate_key FROM public.kept)",
        "INSERT INTO sbtc_signer.dkg_shares SELECT * FROM public.kept; DROP TABLE public.kept",
    );
    assert!(said.contains("No signer deletes DKG rows"), "{said}");
    let dkg = holdfast(
        host,
        &["backup", "run", "signer-db", "--accept-shrunken", "sbtc_signer.dkg_shares"],
    );
    assert!(dkg.status == Some(64) && dkg.stderr.contains("restore-rows"), "{dkg}");
    host.sh(&format!("{line} && sleep 1.1")).unwrap().ok().unwrap();
    let log = holdfast(host, &["evidence", "list", "--format", "json"]).stdout;
    let log: Value = serde_json::from_str(&log).unwrap();
    let accepted =
        log["records"].as_array().unwrap().last().unwrap()["payload"]["accepted"].clone();
    assert_eq!(accepted, serde_json::json!(["sbtc_signer.p2p_peers"]));
}

/// A byte is flipped, and the file cut off, anywhere in it: in age's header, in custodians' stanzas, in the nonce, at the
/// edge of a chunk, in the frame's head, in the middle and at the end. The real proof says so each time.
fn sweep(host: &Host, id: &str, file: &str) {
    let bytes = host.read(file).unwrap();
    let find = |from: usize, what: &[u8]| {
        from + bytes[from..].windows(what.len()).position(|found| found == what).unwrap()
    };
    let mut stanzas = Vec::new();
    while let Some(at) = {
        let from = stanzas.last().map_or(0, |at| at + 1);
        let end = find(0, b"\n--- ");
        (from < end).then(|| find(from, b"\n-")).filter(|at| *at < end)
    } {
        stanzas.push(at);
    }
    // alice, bob, the drill's, and what age adds to keep readers honest.
    assert!(stanzas.len() >= 3, "{stanzas:?}");
    // After the MAC's line come 16 bytes of nonce, and chunks of 64 KiB, each with 16 bytes of tag (age-encryption.org/v1).
    let mac = find(0, b"\n--- ") + 5;
    let payload = find(mac, b"\n") + 1 + 16;
    let chunk = (64 << 10) + 16;
    let edges: Vec<usize> = (payload..bytes.len()).step_by(chunk).collect();
    assert!(edges.len() >= 2, "{} bytes are not more than a chunk", bytes.len());
    let (middle, last) = (bytes.len() / 2, bytes.len() - 1);
    let body = |at: &usize| find(*at + 1, b"\n") + 5;
    let mut flips: Vec<usize> = stanzas.iter().take(2).map(body).collect();
    flips.extend([4, mac + 3, payload - 16, payload, middle, last]);
    flips.extend([edges[1] - 1, edges[1]]);
    let cuts = [30, payload, edges[1], last];
    let mut said = std::collections::BTreeSet::new();
    let mut spoiled = |spoiled: &[u8], at: String, faults: &[&str]| {
        host.push(file, spoiled, 0o644).unwrap();
        let (exit, proof) = backup(host, &["prove", id, "--identity", "/root/bob.txt"]);
        assert_eq!((exit, failed(&proof)), (2, faults.to_vec()), "{at}");
        let checks = proof["checks"].as_array().unwrap().iter();
        let text = checks
            .filter(|check| check["name"] == "restore")
            .map(|check| check["text"].as_str().unwrap());
        said.extend(text.map(str::to_owned));
    };
    for at in flips {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        spoiled(&bytes, format!("flipped at {at}"), &["file", "restore"]);
    }
    for at in cuts {
        spoiled(&bytes[..at], format!("cut at {at}"), &["shelf", "file", "restore"]);
    }
    eprintln!("{}: {said:#?}", host.suite());
    // Cut short, it is damaged for whoever lists it, and the others are what they were.
    let (exit, list) = backup(host, &["list"]);
    let states: Vec<_> = list["backups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| each["state"].as_str().unwrap())
        .collect();
    assert_eq!((exit, states), (2, vec!["proven", "damaged", "proven"]));
    host.push(file, &bytes, 0o644).unwrap();
    assert_eq!(backup(host, &["list"]).0, 0);
}

on_hosts! {
    Image::Postgres;
    /// What happens to files afterwards shows: a flipped byte, a cut, a manifest that is gone or another's.
    fn what_is_done_to_files_shows(host: &Host) {
        // Of more than one of age's chunks.
        prepare(host, &Database { stacks_blocks: 1500, ..database(rows(&group())) });
        let ids: Vec<String> =
            (0..3).map(|_| make(host, true)["id"].as_str().unwrap().to_owned()).collect();
        let archive = |id: &str| format!("{STORE}/{id}.pgdump.zst.age");
        let manifest = |id: &str| format!("{STORE}/{id}.manifest.json");
        assert_eq!(backup(host, &["list"]).0, 0);
        let restored = |script: &str| {
            host.sh(&format!("rm -rf /root/kept; cp -a {STORE} /root/kept; {script}")).unwrap().ok().unwrap();
            let list = backup(host, &["list"]);
            let proof = backup(host, &["prove", &ids[1]]).1;
            let with_key = backup(host, &["prove", &ids[1], "--identity", "/root/bob.txt"]).1;
            host.sh(&format!("rm -rf {STORE}; mv /root/kept {STORE}")).unwrap().ok().unwrap();
            (list, proof, with_key)
        };
        let file = archive(&ids[1]);
        sweep(host, &ids[1], &file);

        // In each other's place: what one says of its file is not true of the other's.
        let other = archive(&ids[0]);
        let swap = format!("mv {file} /root/t && mv {other} {file} && mv /root/t {other}");
        let (_, proof, with_key) = restored(&swap);
        assert!(failed(&proof).contains(&"file"), "{proof:#}");
        assert!(failed(&with_key).contains(&"file"), "{with_key:#}");

        let spoil = |script: &str| {
            host.sh(&format!("rm -rf /root/kept; cp -a {STORE} /root/kept; {script}")).unwrap().ok().unwrap();
            let (exit, list) = backup(host, &["list"]);
            assert_eq!(exit, 2, "{script}: {list:#}");
            host.sh(&format!("rm -rf {STORE}; mv /root/kept {STORE}")).unwrap().ok().unwrap();
            let faults = list["backups"].as_array().unwrap().iter().map(|each| each["faults"].clone());
            faults.map(|each| each.to_string()).collect::<Vec<_>>().join("\n")
        };
        assert!(spoil(&format!("rm {}", manifest(&ids[1]))).contains("has no manifest"));
        assert!(spoil(&format!("rm {}*", &file[..file.len() - 15])).contains("is gone"));
        assert!(spoil(&format!("rm {file}")).contains("and not by prune"));
        assert!(spoil(&format!("cp {} {}", manifest(&ids[0]), manifest(&ids[1]))).contains("is another's"));
        let alter = format!("sed -i 's/\"proven\":true/\"proven\":false/' {}", manifest(&ids[1]));
        assert!(spoil(&alter).contains("it was altered"));

        // Retention: the same decision twice, the one that was carried out is what was said, and nothing is missed.
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let keep = "keep = { last = 1, daily = 0, weekly = 0, monthly = 0, within = \"0s\" }\n";
        give(host, &format!("{profile}{keep}"));
        let said = backup(host, &["prune", "signer-db", "--dry-run"]);
        host.sh(&format!("test -s {file}")).unwrap().ok().unwrap();
        assert_eq!(backup(host, &["prune", "signer-db"]), said);
        assert_eq!(said.1["delete"], Value::from(&ids[..2]));
        let (exit, list) = backup(host, &["list"]);
        assert_eq!(exit, 0, "{list:#}");
        assert!(host.sh(&format!("test ! -e {file} && test -s {}", archive(&ids[2]))).unwrap().ok().is_ok());
    }
}

on_hosts! {
    Image::Postgres;
    /// What goes wrong on the way leaves no half file, keeps what was there, and is told from other faults.
    fn a_run_that_fails_leaves_the_older_backups_and_nothing_else(host: &Host) {
        prepare(host, &database(rows(&group())));
        make(host, true);
        let before = shelf(host);
        let fails_with = |before: &str, why: &str| {
            let output = holdfast(host, &["backup", "run", "signer-db"]);
            assert_eq!(output.status, Some(1), "{why}: {}", output.stdout);
            assert!(output.stderr.contains(why), "not {why:?}: {}", output.stderr);
            let script = format!("cd {STORE} && sha256sum * && ! ls -A {FOLDER} | grep unfinished");
            let after = host.sh(&script).unwrap().ok().unwrap().stdout;
            assert_eq!(after, before, "{why}");
            assert_nothing_left(host);
        };
        let fails = |why: &str| fails_with(&before, why);

        // A lock that DDL holds; lock_timeout is a second.
        let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "signer"];
        let hold = "BEGIN; LOCK sbtc_signer.stacks_blocks IN ACCESS EXCLUSIVE MODE; \\! touch /tmp/held\nSELECT pg_sleep(600);";
        let mut holder = host.command(words).unwrap().stdin(hold.as_bytes()).start().unwrap();
        host.sh("for _ in $(seq 600); do test -e /tmp/held && exit; sleep 0.1; done; exit 1").unwrap().ok().unwrap();
        fails("pg_dump made no whole dump");
        // Waiting for as long as it takes, but for the time that the whole dump may take.
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{}time_limit = \"3s\"\n", profile.replace("\"1s\"", "\"1h\"")));
        fails("was still running after 3s and was stopped");
        give(host, &profile);
        holder.kill();
        sql(host, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'signer'");

        // No room that may be used.
        give(host, &profile.replace("keep_free = \"1M\"", "keep_free = \"1000T\""));
        fails("not enough room");
        give(host, &profile);

        // Nobody may read all.
        sql(host, "postgres", "REVOKE pg_read_all_data FROM \"holdfast-backup\"");
        fails("GRANT pg_read_all_data");
        sql(host, "postgres", "GRANT pg_read_all_data TO \"holdfast-backup\"");

        // A database too large for the disk is not restored onto it, and the quick proof does without.
        host.sh("mkdir /var/lib/holdfast-drill && mount -t tmpfs -o size=8M,mode=711 tmpfs /var/lib/holdfast-drill").unwrap().ok().unwrap();
        let (exit, manifest) = backup(host, &["run", "--drill", "signer-db"]);
        let proof = &manifest["proof"];
        assert_eq!((exit, &proof["proven"], proof.get("drill")), (2, &Value::Bool(true), None), "{proof:#}");
        let drill = proof["checks"].as_array().unwrap().iter().find(|check| check["name"] == "drill").unwrap();
        assert_eq!(drill["outcome"], "cannot-check", "{proof:#}");
        assert!(drill["text"].as_str().unwrap().contains("mount a larger disk there"), "{proof:#}");
        assert_nothing_left(host);

        // No server.
        let before = shelf(host);
        host.sh("systemctl stop 'postgresql@*'").unwrap().ok().unwrap();
        fails_with(&before, "psql");
    }
}

on_hosts! {
    Image::Postgres;
    /// A dump of nothing but the schema restores cleanly and is worth nothing; neither is a round that failed.
    fn a_database_without_rows_is_no_backup(host: &Host) {
        let mut row = group().round(1).row(0);
        row.status = Status::Failed;
        prepare(host, &Database { rows: vec![row], without_migrations: true, ..Database::default() });
        let manifest = make(host, false);
        assert_eq!(failed(&manifest["proof"]), ["dkg.verified", "migrations"]);
        sql(host, "signer", "DELETE FROM sbtc_signer.dkg_shares");
        let manifest = make(host, false);
        assert_eq!(failed(&manifest["proof"]), ["dkg.rows", "dkg.verified", "migrations"]);
        let (exit, status) = backup(host, &["status"]);
        assert_eq!((exit, &status["backups"][0]["newest_proven"]), (2, &Value::Null));
    }
}
