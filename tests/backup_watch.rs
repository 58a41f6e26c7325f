//! The watch for DKG rows, on booted hosts with Debian's own PostgreSQL: what appears is backed up by itself, whatever is killed,
//! full or down; and it comes back, with holdfast and without.

use std::time::{Duration, Instant};

use holdfast_test_dkg::{Database, Row, Status};
use serde_json::Value;

use crate::{
    backup::{FOLDER, STORE, backup, database, group, prepare, sql},
    support::*,
};

/// Where what is not finished is.
const UNFINISHED: &str = "/var/backups/holdfast/dkg-rows/signer-db";

/// All rows, as JSON that does not depend on where they are.
const ALL: &str = "SELECT json_agg(d ORDER BY aggregate_key) FROM sbtc_signer.dkg_shares d";

fn row(number: u32) -> Row {
    group().round(number).row(0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks once, which must go well.
fn watch(host: &Host) -> Value {
    let (exit, looked) = backup(host, &["watch", "signer-db"]);
    assert_eq!(exit, 0, "{looked:#}");
    looked
}

/// The backups of rows, none of which may be damaged.
fn whole(host: &Host) -> Vec<Value> {
    let (exit, list) = backup(host, &["rows"]);
    assert_eq!(exit, 0, "{list:#}");
    list["backups"].as_array().unwrap().clone()
}

/// How many rows each has that is there.
fn counts(host: &Host) -> Vec<usize> {
    let proven = whole(host).into_iter().filter(|each| each["state"] == "proven");
    proven.map(|each| each["manifest"]["rows"].as_array().unwrap().len()).collect()
}

/// A recipient whose identity is gone.
fn somebody(host: &Host) -> String {
    let made = host.sh("age-keygen 2>/dev/null | age-keygen -y").unwrap().ok().unwrap();
    made.stdout.trim().to_owned()
}

/// A migrated database without rows.
fn migrated(host: &Host, name: &str) {
    host.sh(&format!("runuser -u postgres -- createdb -T template0 -E UTF8 {name}"))
        .unwrap()
        .ok()
        .unwrap();
    sql(host, name, &Database::default().sql());
}

on_hosts! {
    Image::Postgres;
    /// A row, a status: within a minute, by the timer; and nothing twice.
    fn what_appears_is_backed_up_by_itself(host: &Host) {
        prepare(host, &database(vec![row(1)]));
        let first = watch(host);
        assert_eq!(first["made"]["proof"]["proven"], true, "{first:#}");
        assert_eq!(watch(host)["made"], Value::Null, "the same rows twice");
        assert_eq!(counts(host), [1]);

        host.sh("systemctl start holdfast-backup-watch@signer-db.timer").unwrap().ok().unwrap();
        let mut unverified = row(2);
        unverified.status = Status::Unverified;
        let changes = [
            (unverified.insert(), 2, "new: "),
            ("UPDATE sbtc_signer.dkg_shares SET dkg_shares_status = 'verified'".to_owned(), 3, "unverified before, now verified"),
        ];
        for (change, files, words) in changes {
            sql(host, "signer", &change);
            let started = Instant::now();
            while counts(host).len() < files {
                // Many times as long as the timer: the machine may be busy.
                let log = || host.sh("systemctl status 'holdfast-backup-watch@*'; journalctl -b -u 'holdfast-backup-watch@*' | tail -30").unwrap().stdout;
                assert!(started.elapsed() < Duration::from_secs(400), "{}", log());
                std::thread::sleep(Duration::from_millis(500));
            }
            let newest = whole(host).pop().unwrap();
            let manifest = &newest["manifest"];
            assert!(manifest["changes"][0].as_str().unwrap().contains(words), "{newest:#}");
            eprintln!(
                "{}: {words}: {:.1} s from the change to the proven backup of {} bytes, of which {} ms to write and prove it",
                host.suite(), started.elapsed().as_secs_f64(), manifest["archive"]["bytes"], manifest["proof"]["milliseconds"]
            );
        }
        host.sh("systemctl stop holdfast-backup-watch@signer-db.timer").unwrap().ok().unwrap();
        host.sh("systemctl is-failed holdfast-backup-watch@signer-db.service && exit 1 || :").unwrap().ok().unwrap();

        // Only ciphertext and signed statements, in a folder that nobody else gets into; no plain row anywhere.
        let listing = host.sh(&format!("cd {STORE} && stat -c '%a %U %n' * && ! grep -l {} -r /var/backups /var/lib/holdfast /run/holdfast", hex(&row(1).encrypted_private_shares[..16])));
        let listing = listing.unwrap().ok().unwrap().stdout;
        assert!(listing.lines().all(|line| line.starts_with("644 root ")), "{listing}");

        // The rule: of three that hold the same rows but for a status, the older ones go once they are old enough.
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{profile}keep = {{ within = \"0s\" }}\n"));
        sql(host, "signer", &row(3).insert());
        let looked = watch(host);
        assert_eq!(looked["deleted"].as_array().unwrap().len(), 3, "{looked:#}");
        assert_eq!(counts(host), [3]);
        // A recipient that nobody has the identity of: whoever could open the rows still can.
        give(host, &format!("{}keep = {{ within = \"0s\", monthly = 0 }}\n", profile.replace("to = [\"alice\", \"bob\"]", "to = [\"carol\"]")
            .replace("[backup.signer-db]", &format!("[[people]]\nname = \"carol\"\nage_recipient = \"{}\"\n[backup.signer-db]", somebody(host)))));
        let looked = watch(host);
        assert!(looked["changes"][0].as_str().unwrap().starts_with("custodians: "), "{looked:#}");
        assert_eq!((&looked["deleted"], counts(host)), (&Value::Array(vec![]), vec![3, 3]));
        give(host, &format!("{profile}keep = {{ within = \"0s\" }}\n"));
        assert_eq!(watch(host)["deleted"].as_array().unwrap().len(), 1, "the first: both can open the third");
        assert_eq!(counts(host), [3, 3]);
        // A row that somebody alters: both are kept, whatever comes.
        let key = hex(&row(1).aggregate_key);
        sql(host, "signer", &format!("UPDATE sbtc_signer.dkg_shares SET public_shares = '\\x00' WHERE aggregate_key = '\\x{key}'"));
        let (exit, looked) = backup(host, &["watch", "signer-db"]);
        assert_eq!((exit, looked["made"]["proof"]["proven"].as_bool()), (2, Some(false)), "{looked:#}");
        assert!(looked["changes"][0].as_str().unwrap().contains("no signer does that"));
        assert_eq!(looked["deleted"], Value::Array(vec![]));
        assert_eq!(watch(host)["made"], Value::Null, "a flawed row is said once");
        assert_eq!(counts(host), [3, 3]);
    }
}

on_hosts! {
    Image::Postgres;
    /// Back into a database, with holdfast and with Debian's own tools; and never over what is there.
    fn rows_come_back_and_nothing_is_written_over(host: &Host) {
        prepare(host, &database(vec![row(1), row(2), row(3)]));
        let made = watch(host)["made"].clone();
        let (id, file) = (made["id"].as_str().unwrap(), made["archive"]["file"].as_str().unwrap());
        let restore = |into: &str, more: &[&str]| {
            let words = ["backup", "restore-rows", id, "--into", into, "--identity", "/root/bob.txt", "--format", "json"];
            holdfast(host, &[&words, more].concat())
        };
        let what = |output: &Output| -> Vec<String> {
            let json: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
            json["rows"].as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap().to_owned()).collect()
        };

        // As the file itself says, without holdfast.
        migrated(host, "by_hand");
        let open = format!("age -d -i /root/alice.txt {STORE}/{file} | zstd -dq");
        let head = host.sh(&format!("{open} | head -1")).unwrap().ok().unwrap().stdout;
        let head: Value = serde_json::from_str(&head).unwrap();
        let by_hand: Vec<_> = head["by_hand"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert!(by_hand[1].contains("age -d -i IDENTITY FILE | zstd -d | tail -n +2"));
        host.sh(&format!("{open} | tail -n +2 >/tmp/rows && chmod 644 /tmp/rows")).unwrap().ok().unwrap();
        let script = format!("{};\n\\copy kept FROM '/tmp/rows'\n{};\n", by_hand[0], by_hand[2]);
        sql(host, "by_hand", &script);
        assert_eq!(sql(host, "by_hand", ALL), sql(host, "signer", ALL));

        migrated(host, "again");
        assert_eq!(what(&restore("again", &["--dry-run"])), ["added"; 3]);
        assert_eq!(sql(host, "again", "SELECT count(*) FROM sbtc_signer.dkg_shares").trim(), "0");
        assert_eq!(what(&restore("again", &[])), ["added"; 3]);
        assert_eq!(sql(host, "again", ALL), sql(host, "signer", ALL));
        assert_eq!(what(&restore("again", &[])), ["there"; 3]);

        // One is missing, one has got further, one is another.
        let key = |number: u32| hex(&row(number).aggregate_key);
        sql(host, "again", &format!(
            "DELETE FROM sbtc_signer.dkg_shares WHERE aggregate_key = '\\x{}';
             UPDATE sbtc_signer.dkg_shares SET dkg_shares_status = 'failed' WHERE aggregate_key = '\\x{}'", key(1), key(2)
        ));
        let before = sql(host, "again", ALL);
        let mut sorted = what(&restore("again", &["--dry-run"]));
        sorted.sort();
        assert_eq!(sorted, ["added", "other-status", "there"]);
        sql(host, "again", &format!("UPDATE sbtc_signer.dkg_shares SET signature_share_threshold = 2 WHERE aggregate_key = '\\x{}'", key(3)));
        let refused = restore("again", &[]);
        assert!(refused.stderr.contains(&format!("has another row under {}", key(3))), "{}", refused.stderr);
        assert_eq!(refused.status, Some(1));
        sql(host, "again", &format!("UPDATE sbtc_signer.dkg_shares SET signature_share_threshold = 3 WHERE aggregate_key = '\\x{}'", key(3)));
        assert_eq!(sql(host, "again", ALL), before, "nothing was written");
        restore("again", &[]).ok().unwrap();
        let failed = format!("SELECT dkg_shares_status FROM sbtc_signer.dkg_shares WHERE aggregate_key = '\\x{}'", key(2));
        assert_eq!(sql(host, "again", &failed).trim(), "failed", "its status stays");
        assert_eq!(sql(host, "again", "SELECT count(*) FROM sbtc_signer.dkg_shares").trim(), "3");

        // Not under a signer that runs, not where no table is, not with somebody else's identity.
        let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "again"];
        let mut signer = host.command(words).unwrap().stdin(b"\\! touch /tmp/connected\nSELECT pg_sleep(600);".as_slice()).start().unwrap();
        host.sh("for _ in $(seq 600); do test -e /tmp/connected && exit; sleep 0.1; done; exit 1").unwrap().ok().unwrap();
        assert!(restore("again", &[]).stderr.contains("stop the signer first"));
        signer.kill();
        host.sh("runuser -u postgres -- createdb -T template0 -E UTF8 empty; age-keygen -o /root/mallory.txt").unwrap().ok().unwrap();
        assert!(restore("empty", &[]).stderr.contains("migrate it first"));
        let mallory = ["backup", "restore-rows", id, "--into", "by_hand", "--identity", "/root/mallory.txt"];
        assert!(holdfast(host, &mallory).stderr.contains("it is not for this identity"));

        // What was done to the file shows before anything is opened. (40 bytes: one may be what was written.)
        host.sh(&format!("cp {STORE}/{file} /root/kept; head -c 40 /dev/zero | dd of={STORE}/{file} bs=1 seek=300 conv=notrunc status=none")).unwrap().ok().unwrap();
        assert!(restore("by_hand", &[]).stderr.contains("its bytes are not those that the host signed"));
        host.sh(&format!("rm {STORE}/{file}")).unwrap().ok().unwrap();
        let gone = restore("by_hand", &[]);
        assert!(gone.stderr.contains("its file is gone"), "{}", gone.stderr);
        assert_eq!(backup(host, &["rows"]).0, 2);
        assert_eq!(watch(host)["made"]["rows"].as_array().unwrap().len(), 3, "what is gone is made again");
    }
}

on_hosts! {
    Image::Postgres;
    /// Killed at every call that writes: what is called proven is whole, and the next look makes up for it.
    fn killed_at_any_moment_nothing_half_counts(host: &Host) {
        prepare(host, &database(vec![row(1)]));
        watch(host);
        let (mut next, mut killed) = (2, 0);
        for call in ["fsync", "renameat2", "rename", "unlink"] {
            for at in 1.. {
                sql(host, "signer", &row(next).insert());
                next += 1;
                let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=KILL:when={at}"));
                let words = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "holdfast", "-q", "backup", "watch", "signer-db"];
                let ended = host.run(words).unwrap().status == Some(0);
                killed += usize::from(!ended);
                assert_true(host, &format!("{call} {at}"));
                let wanted = usize::try_from(next - 1).unwrap();
                let looked = watch(host);
                assert_eq!(looked["rows"].as_array().unwrap().len(), wanted);
                assert_true(host, &format!("after {call} {at}"));
                assert_eq!(newest(host)["manifest"]["rows"].as_array().unwrap().len(), wanted, "{call} {at}");
                if ended {
                    break;
                }
            }
        }
        let left = host.sh(&format!("ls -A {UNFINISHED} | grep -c unfinished || :; pgrep -u holdfast-backup -l || :")).unwrap();
        assert_eq!(left.ok().unwrap().stdout.trim(), "0");
        // What was on the disk when it was killed is finished, and nothing is damaged.
        assert!(whole(host).len() >= 2);
        eprintln!("{}: killed at {killed} moments", host.suite());
        assert!(killed >= 6, "killed {killed} times only");
    }
}

/// The newest that was proven.
fn newest(host: &Host) -> Value {
    let (_, list) = backup(host, &["rows"]);
    let mut proven =
        list["backups"].as_array().unwrap().iter().filter(|each| each["state"] == "proven");
    proven.next_back().unwrap_or_else(|| panic!("{list:#}")).clone()
}

/// That every file which is called proven opens, and holds as many rows as is said of it.
fn assert_true(host: &Host, when: &str) {
    let (_, list) = backup(host, &["rows"]);
    for each in list["backups"].as_array().unwrap().iter().filter(|each| each["state"] == "proven")
    {
        let file = each["manifest"]["archive"]["file"].as_str().unwrap();
        let script = format!(
            "set -o pipefail; age -d -i /root/alice.txt {STORE}/{file} | zstd -dq | tail -n +2 | wc -l"
        );
        let lines = host
            .run(["bash", "-c", &script])
            .unwrap()
            .ok()
            .unwrap_or_else(|e| panic!("{when}: {e}"))
            .stdout;
        let rows = each["manifest"]["rows"].as_array().unwrap().len();
        assert_eq!(lines.trim(), rows.to_string(), "{when}");
    }
}

on_hosts! {
    Image::Postgres;
    /// What is in the way costs a look, and no row and no older backup.
    fn what_is_in_the_way_is_said_and_made_up_for(host: &Host) {
        prepare(host, &database(vec![row(1)]));
        host.sh(&format!("mkdir -p -m 700 {FOLDER} && mount -t tmpfs -o size=1M,mode=700 tmpfs {FOLDER}")).unwrap().ok().unwrap();
        watch(host);
        let fails = |why: &str| {
            let output = holdfast(host, &["backup", "watch", "signer-db"]);
            assert_eq!(output.status, Some(1), "{why}: {}", output.stdout);
            assert!(output.stderr.contains(why), "not {why:?}: {}", output.stderr);
            assert_eq!(counts(host), [1], "{why}");
        };

        // The disk is full.
        sql(host, "signer", &row(2).insert());
        host.sh(&format!("dd if=/dev/zero of={FOLDER}/.filling bs=1k 2>/dev/null || :")).unwrap().ok().unwrap();
        fails("No space left on device");
        host.sh(&format!("rm {FOLDER}/.filling && ! ls -A {UNFINISHED} | grep unfinished")).unwrap().ok().unwrap();

        // The server is down.
        host.sh("systemctl stop 'postgresql@*'").unwrap().ok().unwrap();
        fails("psql");
        fails("psql");
        // Recorded once, as long as it is the same.
        let log = holdfast(host, &["evidence", "list", "--format", "json"]).stdout;
        let log: Value = serde_json::from_str(&log).unwrap();
        let records = log["records"].as_array().unwrap().iter();
        let failed: Vec<_> = records.filter_map(|record| record["payload"]["failed"].as_str()).collect();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert!(failed[0].contains("No space left") && failed[1].contains("psql"), "{failed:?}");
        let again = "systemctl restart postgresql@$(pg_lsclusters -h | cut -d' ' -f1)-main
            for _ in $(seq 400); do runuser -u postgres -- psql -qc 'SELECT 1' signer >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1";
        host.sh(again).unwrap().ok().unwrap();

        // The role may not read it, or there is no such table.
        sql(host, "postgres", "REVOKE pg_read_all_data FROM \"holdfast-backup\"");
        fails("permission denied");
        sql(host, "postgres", "GRANT pg_read_all_data TO \"holdfast-backup\"");
        sql(host, "signer", "ALTER TABLE sbtc_signer.dkg_shares RENAME TO elsewhere");
        fails("has no table sbtc_signer.dkg_shares");
        sql(host, "signer", "ALTER TABLE sbtc_signer.elsewhere RENAME TO dkg_shares");
        watch(host);
        assert_eq!(counts(host), [1, 2]);

        // A sector that cannot be read is the loss of one file: what is new is saved, and what was not read is not whole.
        let oldest = whole(host)[0]["id"].as_str().unwrap().to_owned();
        for status in ["unverified", "verified"] {
            let key = hex(&row(2).aggregate_key);
            sql(host, "signer", &format!("UPDATE sbtc_signer.dkg_shares SET dkg_shares_status = '{status}' WHERE aggregate_key = '\\x{key}'"));
            let spoilt = format!("strace -f -qq -o /dev/null -P {STORE}/{oldest}.dkg-rows.zst.age -e trace=read -e inject=read:error=EIO");
            let looked = host.sh(&format!("{spoilt} holdfast backup watch signer-db --format json")).unwrap().ok().unwrap();
            let looked: Value = serde_json::from_str(&looked.stdout).unwrap();
            assert!(looked["changes"][0].as_str().unwrap().contains(&format!("now {status}")), "{looked:#}");
            let listed = host.sh(&format!("{spoilt} holdfast backup rows")).unwrap();
            assert_eq!(listed.status, Some(2), "{listed}");
            assert!(listed.stdout.contains("Input/output error") && listed.stdout.contains("damaged"), "{listed}");
        }
        assert_eq!(counts(host), [1, 2, 2, 2]);
        let key = backup(host, &["status"]).1["backups"][0]["host_key"].as_str().unwrap().to_owned();
        for (mode, code) in [("644", 0), ("000", 2)] {
            let check = format!(
                "rm -rf /srv/copy && cp -r {STORE} /srv/copy && chmod -R a+rX /srv/copy && chmod {mode} /srv/copy/{oldest}.dkg-rows.zst.age
                setpriv --reuid=65534 --regid=65534 --clear-groups holdfast backup check /srv/copy --key {key}"
            );
            let checked = host.sh(&check).unwrap();
            assert_eq!((checked.status, checked.stdout.contains("Permission denied")), (Some(code), code == 2), "{checked}");
        }

        // Who is to open it has changed: whoever is new has every row at once.
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &profile.replace("to = [\"alice\", \"bob\"]", "to = [\"alice\"]"));
        let looked = watch(host);
        assert!(looked["changes"][0].as_str().unwrap().starts_with("custodians: alice ("), "{looked:#}");
        assert_eq!(looked["made"]["recipients"].as_object().unwrap().keys().collect::<Vec<_>>(), ["alice"]);
        assert_eq!(watch(host)["made"], Value::Null);
        give(host, &profile);
        assert_eq!(watch(host)["made"]["recipients"].as_object().unwrap().len(), 2);

        // A column that a later migration has made is saved by nobody here, and that is said at each look. The rest is saved.
        sql(host, "signer", "ALTER TABLE sbtc_signer.dkg_shares ADD COLUMN epoch int");
        for made in [0, 1, 0] {
            if made == 1 {
                sql(host, "signer", &row(99).insert());
            }
            let (exit, looked) = backup(host, &["watch", "signer-db"]);
            assert_eq!((exit, looked["made"].is_object()), (2, made == 1), "{looked:#}");
            let report = verify(host);
            assert!(report.observed("backup.dkg/signer-db").contains("columns that no backup of rows has: epoch"));
        }
        assert_eq!(newest(host)["manifest"]["rows"].as_array().unwrap().len(), 2, "not proven");
        sql(host, "signer", "ALTER TABLE sbtc_signer.dkg_shares DROP COLUMN epoch");
        watch(host);
        assert_eq!(newest(host)["manifest"]["rows"].as_array().unwrap().len(), 3);

        // While rows come, one look after another: none is missed, and each file is what was there at one moment.
        let inserts: Vec<_> = (3..13).map(|number| format!("{}; SELECT pg_sleep(0.3);\n", row(number).insert().trim_end_matches([';', '\n']))).collect();
        let words = ["runuser", "-u", "postgres", "--", "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", "signer"];
        let running = host.command(words).unwrap().stdin(inserts.concat().as_bytes()).start().unwrap();
        for _ in 0..6 {
            watch(host);
        }
        running.wait().unwrap().ok().unwrap();
        let have = sql(host, "signer", "SELECT count(*) FROM sbtc_signer.dkg_shares");
        watch(host);
        let counts = counts(host);
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!(counts.last().unwrap().to_string(), have.trim());
    }
}

on_hosts! {
    Image::Postgres;
    /// A hundred generations of keys.
    fn a_hundred_generations(host: &Host) {
        prepare(host, &database(Vec::new()));
        assert_eq!(watch(host)["rows"], Value::Array(vec![]));
        let all: String = (1..=100).map(|number| row(number).insert()).collect();
        sql(host, "signer", &all);
        let made = watch(host)["made"].clone();
        assert_eq!(made["rows"].as_array().unwrap().len(), 100);
        assert_eq!(made["proof"]["proven"], true);
        eprintln!(
            "{}: 100 generations: {} bytes, {} ms to write and prove them",
            host.suite(), made["archive"]["bytes"], made["proof"]["milliseconds"]
        );
        assert_eq!(watch(host)["made"], Value::Null);
        migrated(host, "again");
        let id = made["id"].as_str().unwrap();
        let words = ["backup", "restore-rows", id, "--into", "again", "--identity", "/root/alice.txt"];
        holdfast(host, &words).ok().unwrap();
        assert_eq!(sql(host, "again", ALL), sql(host, "signer", ALL));
    }
}
