//! The joint proof on booted hosts: which rows the signer's own key opens, told by a process that nothing gets the key out of.

use serde_json::Value;

use crate::{
    backup::{backup, database, failed, group, prepare, sql},
    support::*,
};

/// Where the signer's configuration is, and an earlier key's file.
const CONFIG: &str = "/etc/sbtc-signer/signer-config.toml";
const EARLIER: &str = "/root/earlier.env";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What came of a check of a proof.
fn check<'a>(proof: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = proof["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {proof:#}"));
    (found["outcome"].as_str().unwrap(), found["text"].as_str().unwrap())
}

/// The lines of one process in a trace of several, without its number.
fn lines_of<'a>(trace: &'a str, pid: &'a str) -> impl Iterator<Item = &'a str> {
    trace.lines().filter_map(move |line| line.strip_prefix(pid)?.strip_prefix(' '))
}

on_hosts! {
    Image::Postgres;
    /// By public data another signer's row passes; by the key nothing does but what it opens, generation by generation.
    fn the_signers_key_tells_its_rows(host: &Host) {
        let (group, before) = (group(), holdfast_test_dkg::Group::new("before", 5, 3));
        let (own, others) = (group.round(1).row(0), group.round(2).row(1));
        let row = |of: &holdfast_test_dkg::Row| format!("dkg.row/{}", hex(&of.aggregate_key));
        prepare(host, &database(vec![own.clone(), others.clone()]));
        let (key, earlier) = (hex(&group.private_key(0)), hex(&before.private_key(0)));
        host.sh("mkdir -p /etc/sbtc-signer").unwrap().ok().unwrap();
        host.push(CONFIG, format!("[signer]\nprivate_key = \"{key}01\"\n"), 0o600).unwrap();
        host.push(EARLIER, format!("SIGNER_SIGNER__PRIVATE_KEY={earlier}\n"), 0o600).unwrap();
        let (exit, looked) = backup(host, &["watch", "signer-db"]);
        assert_eq!((exit, &looked["made"]["proof"]["proven"]), (0, &Value::Bool(true)), "without a key nobody can tell");

        // With it, in the proof of the whole database.
        let plain = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{plain}key_files = [\"{CONFIG}\"]\n"));
        let (exit, manifest) = backup(host, &["run", "signer-db"]);
        let proof = &manifest["proof"];
        assert_eq!((exit, failed(proof)), (2, vec![row(&others).as_str()]), "{proof:#}");
        assert!(check(proof, &row(&others)).1.contains("another signer's row, or damaged"));
        let (outcome, words) = check(proof, &row(&own));
        assert!(outcome == "pass" && words.contains("its share fits its public shares"), "{words}");
        let public = hex(&group.public_key(0));
        assert_eq!(check(proof, "dkg.keys"), ("pass", format!("{CONFIG} has the key of {public}").as_str()));

        // In that of rows: this signer's own in its place, and one of an earlier key, whose file is not named yet.
        sql(host, "signer", &format!("DELETE FROM sbtc_signer.dkg_shares WHERE aggregate_key = '\\x{}'", hex(&others.aggregate_key)));
        let old = before.round(3).row(0);
        sql(host, "signer", &(group.round(2).row(0).insert() + &old.insert()));
        let (exit, looked) = backup(host, &["watch", "signer-db"]);
        let proof = &looked["made"]["proof"];
        assert_eq!((exit, failed(proof)), (2, vec![row(&old).as_str()]), "{proof:#}");
        assert!(check(proof, &row(&old)).1.contains("or of an earlier key"));
        assert_eq!(check(proof, &row(&others)).0, "pass");

        // Both generations, in the units' sandboxes, and from root's home.
        give(host, &format!("{plain}key_files = [\"{CONFIG}\", \"{EARLIER}\"]\n"));
        sql(host, "signer", &group.round(4).row(0).insert());
        for unit in ["holdfast-backup-watch@signer-db.service", "holdfast-backup@signer-db.service"] {
            let output = host.run(["systemctl", "start", unit]).unwrap();
            let log = || host.sh(&format!("journalctl -q -o cat -u '{unit}'")).unwrap().stdout;
            assert_eq!(output.status, Some(0), "{}", log());
        }
        for list in ["rows", "list"] {
            let (_, list) = backup(host, &[list]);
            let proof = &list["backups"].as_array().unwrap().last().unwrap()["manifest"]["proof"];
            assert_eq!(failed(proof), Vec::<&str>::new(), "{proof:#}");
            for of in [&own, &old, &group.round(4).row(0)] {
                assert!(check(proof, &row(of)).1.starts_with("it opens under the key of"), "{proof:#}");
            }
            assert!(check(proof, "dkg.keys").1.contains(&hex(&before.public_key(0))), "{proof:#}");
        }

        // What that process does: locks its memory, reads the keys, shuts the door, and nothing else opens them.
        sql(host, "signer", &group.round(5).row(0).insert());
        let calls = "trace=execve,mlockall,openat,open,socket,connect,prlimit64,prctl";
        let words = ["strace", "-f", "-qq", "-s", "200", "-o", "/root/trace", "-e", calls, "holdfast", "-q", "backup", "watch", "signer-db"];
        host.run(words).unwrap().ok().unwrap();
        let trace = String::from_utf8(host.read("/root/trace").unwrap()).unwrap();
        let (pid, _) = trace.lines().find(|line| line.contains("\"locked-child\"")).unwrap().split_once(' ').unwrap();
        let child: Vec<_> = lines_of(&trace, pid).collect();
        let at = |words: &[&str]| {
            let found = child.iter().position(|line| words.iter().all(|word| line.contains(word)));
            found.unwrap_or_else(|| panic!("{words:?}: {}", child.join("\n")))
        };
        let steps = [
            at(&["prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE"]),
            at(&["mlockall("]),
            at(&["openat(", CONFIG]),
            at(&["openat(", EARLIER]),
            at(&["RLIMIT_NOFILE", "rlim_cur=0, rlim_max=0"]),
        ];
        assert!(steps.is_sorted(), "{}", child.join("\n"));
        let after = child[steps[4] + 1..].iter().filter(|line| !line.contains("+++") && !line.contains("resumed>"));
        assert_eq!(after.collect::<Vec<_>>(), Vec::<&&str>::new(), "nothing is opened once the keys are read");
        let readers = trace.lines().filter(|line| line.contains(CONFIG) || line.contains(EARLIER));
        assert!(readers.map(|line| line.split_once(' ').unwrap().0).all(|reader| reader == pid));

        // A file that is gone costs the word on its rows, and no backup.
        host.sh(&format!("rm {EARLIER}; sleep 1.1")).unwrap().ok().unwrap();
        give(host, &format!("{plain}signer_keys = [\"{public}\", \"{}\"]\nkey_files = [\"{CONFIG}\", \"{EARLIER}\"]\n", hex(&before.public_key(0))));
        let (exit, manifest) = backup(host, &["run", "signer-db"]);
        let proof = &manifest["proof"];
        assert_eq!(exit, 0, "{proof:#}");
        assert_eq!(check(proof, "dkg.keys").0, "cannot-check");
        assert_eq!(check(proof, &row(&old)).0, "cannot-check");
        assert_eq!(check(proof, &row(&own)).0, "pass");

        // Nothing but verdicts is anywhere.
        for key in [&key, &earlier] {
            let found = format!("! journalctl -b -o json | grep -q {0} && ! grep -rlq {0} /var/backups /var/lib/holdfast /run/holdfast /root/trace", &key[..32]);
            host.sh(&found).unwrap().ok().unwrap();
        }
    }
}
