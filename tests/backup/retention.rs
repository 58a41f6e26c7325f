//! A year of backups, forged with the host's own key as it would have signed them, and what is kept of them.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use holdfast::backup::{
    catalogue,
    manifest::{Drill, Link, Manifest, read, sign},
};
use jiff::{SignedDuration, Timestamp};

use super::*;

/// How many days.
const DAYS: i64 = 400;

/// Which day's is the newest that was drilled, and which days' were not proven.
const DRILLED: i64 = 200;
const UNPROVEN: i64 = 10;

on_hosts! {
    Image::Postgres;
    fn a_year_is_kept_as_the_profile_says(host: &Host) {
        prepare(host, &database(rows(&group())));
        make(host, true);
        let line = host.sh(&format!("cat {STORE}/*.manifest.json | head -n 1")).unwrap().ok().unwrap();
        let real: Manifest = serde_json::from_str(&line.stdout).unwrap();
        let seed: [u8; 32] = host.read("/var/lib/holdfast/host-key").unwrap().try_into().unwrap();
        let key = SigningKey::from_bytes(&seed);
        let now = Timestamp::now();
        let (mut files, mut previous, mut ids) = (String::new(), None, Vec::new());
        for ago in (0..DAYS).rev() {
            let made = now - SignedDuration::from_hours(24 * ago) - SignedDuration::from_mins(5);
            let id = catalogue::id("signer-db", made);
            let mut manifest = Manifest { id: id.clone(), begun: made, made, previous, ..real.clone() };
            manifest.archive.file = format!("{id}{}", catalogue::ARCHIVE);
            manifest.archive.bytes = 2;
            manifest.proof.proven = ago % UNPROVEN != UNPROVEN - 1;
            manifest.proof.drill = (ago >= DRILLED)
                .then_some(Drill { restore_milliseconds: 1, check_milliseconds: 1, damage: None });
            let text = sign(&manifest, &key);
            let (_, sha256) = read::<Manifest>(&text, &key.verifying_key()).unwrap();
            previous = Some(Link { id: id.clone(), sha256 });
            files.push_str(&format!("cat >{id}{} <<'END'\n{text}END\n", catalogue::MANIFEST));
            files.push_str(&format!("echo x >{}\n", manifest.archive.file));
            ids.push((ago, made, id));
        }
        host.push("/root/year.sh", format!("set -e\ncd {STORE}\nrm -f *\n{files}"), 0o700).unwrap();
        host.sh("sh /root/year.sh").unwrap().ok().unwrap();
        let (exit, list) = backup(host, &["list"]);
        assert_eq!(exit, 0, "{list:#}");

        let said = backup(host, &["prune", "signer-db", "--dry-run"]);
        assert_eq!(said.0, 0);
        assert_eq!(backup(host, &["prune", "signer-db"]), said, "done what was said");
        let kept: BTreeSet<String> = said.1["keep"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["id"].as_str().unwrap().to_owned())
            .collect();
        let there = host.sh(&format!("cd {STORE} && ls | grep age$")).unwrap().ok().unwrap().stdout;
        let there: BTreeSet<String> =
            there.lines().map(|name| name.strip_suffix(catalogue::ARCHIVE).unwrap().to_owned()).collect();
        assert_eq!(there, kept, "the files that are still there are those that are said to be kept");

        // Told apart from the rules' own code: by what a person would look for.
        let is_kept = |ago: i64| kept.contains(&ids.iter().find(|(each, ..)| *each == ago).unwrap().2);
        assert!((0..8).filter(|ago| is_kept(*ago)).count() >= 7, "a week of days: {kept:?}");
        assert!(is_kept(DRILLED), "the newest drilled");
        assert!(!is_kept(UNPROVEN - 1), "what is not proven counts for nothing");
        let months: BTreeSet<String> =
            ids.iter().filter(|(ago, ..)| is_kept(*ago)).map(|(_, made, _)| made.to_string()[..7].to_owned()).collect();
        assert!(months.len() >= 12, "{months:?}");
        assert!(kept.len() <= 7 + 5 + 12 + 3, "{kept:?}");

        // Nothing is missed of what was deleted, a second time nothing goes, and a removed file is still noticed.
        let (exit, list) = backup(host, &["list"]);
        assert_eq!(exit, 0, "{list:#}");
        assert_eq!(backup(host, &["prune", "signer-db"]).1["delete"], Value::Array(Vec::new()));
        let oldest = kept.first().unwrap();
        host.sh(&format!("rm {STORE}/{oldest}{}", catalogue::ARCHIVE)).unwrap().ok().unwrap();
        assert_eq!(backup(host, &["list"]).0, 2);
    }
}
