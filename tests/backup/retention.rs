//! A year of backups, forged with the host's own key as it would have signed them, and what is kept of them.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use holdfast::backup::{
    catalogue,
    manifest::{Database, Drill, Kind as _, Manifest},
    statement::sign,
};
use jiff::{SignedDuration, Timestamp};

use super::*;

const ENDS: holdfast::backup::manifest::Ends = Database::ENDS;

/// The digest of what each file is: a letter and the end of its line.
const X: &str = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac";

/// How many days.
const DAYS: i64 = 400;

/// Which day's is the newest that was drilled, and which days' were not proven.
const DRILLED: i64 = 200;
const UNPROVEN: i64 = 10;

/// Which day's is read again by the run after all of them: a seventh is, by number.
const ROTTEN: i64 = 6;

/// Runs it at another time of day: what the program asks for the time is told another one, and its machine is not.
fn run_at(host: &Host, away: &str) -> Value {
    let library = "$(ls /usr/lib/*/faketime/libfaketime.so.1)";
    let run = format!(
        "LD_PRELOAD={library} FAKETIME={away} FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 \
         exec holdfast backup run signer-db --format json"
    );
    let output = host.sh(&run).unwrap();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{away}: {error}: {output}"))
}

/// A run under a clock that is ahead, one after it was set back, and one under a clock that is behind: each is proven, in the
/// order in which they were made, and says that the clock is not to be relied on.
fn a_clock_that_was_ahead_spoils_nothing(host: &Host) {
    let mut made = vec![make(host, true), run_at(host, "+40d")];
    let newest = || {
        let (_, status) = backup(host, &["status"]);
        let status = &status["backups"][0];
        (status["newest_proven"].clone(), status["newest_proven_seconds"].as_u64())
    };
    assert_eq!(newest(), (made[1]["id"].clone(), None), "of the future");
    made.push(make(host, true));
    let (id, age) = newest();
    assert_eq!(id, made[2]["id"]);
    assert!(age.is_some_and(|age| age < 3600), "{age:?}");
    let (exit, said) = backup(host, &["prune", "signer-db", "--dry-run"]);
    assert_eq!((exit, &said["halted"]), (0, &Value::Null), "{said:#}");
    made.push(run_at(host, "-40d"));
    assert!(newest().1.is_some_and(|age| age > 39 * 86_400));
    made.push(make(host, true));

    // The one under a clock that was behind takes the month of no other, and goes in its turn.
    let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
    let keep = "keep = { last = 1, daily = 1, weekly = 1, monthly = 12, within = \"0s\" }\n";
    give(host, &format!("{profile}{keep}"));
    let (exit, said) = backup(host, &["prune", "signer-db", "--dry-run"]);
    let gone = said["delete"].as_array().unwrap();
    assert!(
        exit == 0 && gone.contains(&made[3]["id"]) && !gone.contains(&made[4]["id"]),
        "{said:#}"
    );
    give(host, &profile);

    let clock = |manifest: &Value| {
        let checks = manifest["proof"]["checks"].as_array().unwrap().iter();
        let check = checks.clone().find(|check| check["name"] == "clock").unwrap();
        (
            check["outcome"].as_str().unwrap().to_owned(),
            check["text"].as_str().unwrap().contains("was ahead then, or has been set back"),
        )
    };
    let (ok, unknown) = (("pass".to_owned(), false), ("cannot-check".to_owned(), true));
    let clocks: Vec<_> = made.iter().map(clock).collect();
    assert_eq!(clocks, [ok.clone(), ok.clone(), unknown.clone(), unknown, ok]);
    let (exit, list) = backup(host, &["list"]);
    assert_eq!(exit, 0, "{list:#}");
    let listed: Vec<_> =
        list["backups"].as_array().unwrap().iter().map(|each| &each["id"]).collect();
    assert_eq!(listed, made.iter().map(|manifest| &manifest["id"]).collect::<Vec<_>>());
    for (number, manifest) in (1..).zip(&made) {
        assert_eq!(
            (&manifest["number"], &manifest["proof"]["proven"]),
            (&Value::from(number), &Value::Bool(true))
        );
    }
}

/// A manifest that is altered, what is said to be a tombstone and is none, a number that is given twice: these stay and are
/// told, and all else goes as it would without.
fn what_is_unclear_stays_and_the_rest_goes(host: &Host, key: &SigningKey) {
    let ids = |said: &Value, key: &str| -> BTreeSet<String> {
        let each = said[key].as_array().unwrap().iter();
        each.map(|each| each.as_str().or(each["id"].as_str()).unwrap().to_owned()).collect()
    };
    let (exit, said) = backup(host, &["prune", "signer-db", "--dry-run"]);
    let mut goes = ids(&said, "delete");
    assert_eq!((exit, &said["skipped"]), (0, &Value::Array(Vec::new())), "{said:#}");
    let unclear: Vec<_> = goes.iter().take(3).cloned().collect();
    let [altered, stone, twice] = [0, 1, 2].map(|at| unclear[at].as_str());

    let manifest = format!("{STORE}/{twice}{}", ENDS.manifest);
    let text = String::from_utf8(host.read(manifest).unwrap()).unwrap();
    let mut other: Manifest = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    other.made += SignedDuration::from_secs(1);
    other.begun = other.made;
    other.id = catalogue::id::<Database>("signer-db", other.made);
    other.archive.file = format!("{}{}", other.id, ENDS.archive);
    host.sh(&format!(
        "cp -a {STORE} /root/year && cd {STORE} && echo more >>{altered}{} && echo none >{stone}{} && echo x >{}",
        ENDS.manifest, ENDS.tombstone, other.archive.file
    ))
    .unwrap()
    .ok()
    .unwrap();
    host.push(format!("{STORE}/{}{}", other.id, ENDS.manifest), sign(&other, key), 0o644).unwrap();

    let mut skipped: BTreeSet<String> = unclear.iter().cloned().collect();
    goes.retain(|id| !skipped.contains(id));
    skipped.insert(other.id.clone());
    let (exit, said) = backup(host, &["prune", "signer-db"]);
    assert_eq!((exit, &said["halted"]), (2, &Value::Null), "{said:#}");
    assert_eq!((ids(&said, "skipped"), ids(&said, "delete")), (skipped.clone(), goes.clone()));
    let text = holdfast(host, &["backup", "prune", "signer-db"]).stdout;
    let told = format!("skip {twice}: {} has the number {}, too", other.id, other.number);
    assert!(text.contains(&told), "{text}");
    let there = host.sh(&format!("cd {STORE} && ls")).unwrap().ok().unwrap().stdout;
    let has = |id: &String| there.contains(&format!("{id}{}\n", ENDS.archive));
    assert!(skipped.iter().all(has) && !goes.iter().any(has), "{there}");
    host.sh(&format!("rm -rf {STORE} && mv /root/year {STORE}")).unwrap().ok().unwrap();
}

on_hosts! {
    Image::Postgres;
    fn a_year_is_kept_as_the_profile_says(host: &Host) {
        prepare(host, &database(rows(&group())));
        a_clock_that_was_ahead_spoils_nothing(host);
        let line = host.sh(&format!("cat {STORE}/*.manifest.json | head -n 1")).unwrap().ok().unwrap();
        let real: Manifest = serde_json::from_str(&line.stdout).unwrap();
        let seed: [u8; 32] = host.read("/var/lib/holdfast/host-key").unwrap().try_into().unwrap();
        let key = SigningKey::from_bytes(&seed);
        let now = Timestamp::now();
        let (mut files, mut previous, mut ids) = (String::new(), None, Vec::new());
        for (number, ago) in (1..).zip((0..DAYS).rev()) {
            let made = now - SignedDuration::from_hours(24 * ago) - SignedDuration::from_mins(5);
            let id = catalogue::id::<Database>("signer-db", made);
            let mut manifest = Manifest { id: id.clone(), number, begun: made, made, previous, ..real.clone() };
            manifest.archive.file = format!("{id}{}", ENDS.archive);
            (manifest.archive.bytes, manifest.archive.sha256) = (2, X.to_owned());
            manifest.proof.proven = ago % UNPROVEN != UNPROVEN - 1;
            manifest.proof.drill = (ago >= DRILLED)
                .then_some(Drill { restore_milliseconds: 1, check_milliseconds: 1, damage: None });
            let text = sign(&manifest, &key);
            previous = Some(manifest.link(&manifest.digest()));
            files.push_str(&format!("cat >{id}{} <<'END'\n{text}END\n", ENDS.manifest));
            files.push_str(&format!("echo x >{}\n", manifest.archive.file));
            ids.push((ago, made, id));
        }
        host.push("/root/year.sh", format!("set -e\ncd {STORE}\nrm -f *\n{files}"), 0o700).unwrap();
        host.sh("sh /root/year.sh").unwrap().ok().unwrap();
        let (exit, list) = backup(host, &["list"]);
        assert_eq!(exit, 0, "{list:#}");

        // Before anything goes, what is relied upon is read: of the same size, and rotten, it halts all.
        let newest = format!("{STORE}/{}{}", ids.last().unwrap().2, ENDS.archive);
        host.sh(&format!("echo y >{newest}")).unwrap().ok().unwrap();
        let (exit, said) = backup(host, &["prune", "signer-db"]);
        assert_eq!((exit, said["delete"].as_array().unwrap().len()), (2, 0));
        assert!(said["halted"].as_str().unwrap().contains("is not proven"), "{said:#}");
        host.sh(&format!("echo x >{newest}")).unwrap().ok().unwrap();

        // What cannot be read at this moment has not rotted: nothing goes for that.
        let (_, said) = backup(host, &["prune", "signer-db", "--dry-run"]);
        assert!(!said["delete"].as_array().unwrap().is_empty(), "{said:#}");
        let fails = "-e trace=read -e inject=read:error=EIO holdfast --format json backup prune signer-db";
        let said = host.sh(&format!("strace -f -o /dev/null -P {newest} {fails}")).unwrap();
        let told: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((said.status, told["delete"].as_array().unwrap().len()), (Some(2), 0), "{said}");
        assert!(told["halted"].as_str().unwrap().contains("cannot be read"), "{said}");

        what_is_unclear_stays_and_the_rest_goes(host, &key);

        // With another key of the host nothing is known of any of them, and none goes. Without one, none is made beside them.
        let status = backup(host, &["status"]).1;
        host.sh("cd /var/lib/holdfast && mv host-key /root/host-key && head -c 32 /dev/urandom >host-key && chmod 600 host-key").unwrap().ok().unwrap();
        make(host, true);
        for words in [vec!["prune", "signer-db", "--dry-run"], vec!["prune", "signer-db"]] {
            let (exit, said) = backup(host, &words);
            assert_eq!((exit, said["delete"].as_array().unwrap().len()), (2, 0), "{said:#}");
            let skipped = said["skipped"].as_array().unwrap();
            let is_other = |each: &Value| each["why"].as_str().unwrap().contains("it is signed with another key");
            assert!(skipped.len() >= ids.len() && skipped.iter().all(is_other), "{said:#}");
        }
        host.sh(&format!("rm /var/lib/holdfast/host-key; cd {STORE}; rm $(ls -t | head -n 2)")).unwrap().ok().unwrap();
        for command in ["run", "status", "watch", "prune"] {
            let output = holdfast(host, &["backup", command, "signer-db"]);
            assert!(output.status == Some(1) && output.stderr.contains("host-key, is gone"), "{command}: {output}");
        }
        host.sh("! test -e /var/lib/holdfast/host-key && mv /root/host-key /var/lib/holdfast/").unwrap().ok().unwrap();
        assert_eq!(backup(host, &["status"]).1["backups"][0]["newest_proven"], status["backups"][0]["newest_proven"]);

        let said = backup(host, &["prune", "signer-db", "--dry-run"]);
        assert_eq!(said.0, 0, "{:#}", said.1);
        assert_eq!(backup(host, &["prune", "signer-db"]), said, "done what was said");
        let kept: BTreeSet<String> = said.1["keep"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["id"].as_str().unwrap().to_owned())
            .collect();
        let there = host.sh(&format!("cd {STORE} && ls | grep age$")).unwrap().ok().unwrap().stdout;
        let there: BTreeSet<String> =
            there.lines().map(|name| name.strip_suffix(ENDS.archive).unwrap().to_owned()).collect();
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
        // Some are read again by each run: what had rotted is found, and what was mended counts again.
        let rotten = &ids.iter().find(|(ago, ..)| *ago == ROTTEN).unwrap().2;
        for (bytes, exit) in [("y", 2), ("x", 0)] {
            // The new one is good, whatever became of an older one: what that is, the list and `verify` say.
            host.sh(&format!("sleep 1.1; echo {bytes} >{STORE}/{rotten}{}", ENDS.archive)).unwrap().ok().unwrap();
            let (ended, manifest) = backup(host, &["run", "signer-db"]);
            assert_eq!((ended, &manifest["proof"]["proven"]), (0, &Value::Bool(true)), "{manifest:#}");
            assert_eq!(manifest["read_again"][rotten], Value::Bool(exit == 0), "{manifest:#}");
            let (ended, list) = backup(host, &["list"]);
            let all = list["backups"].as_array().unwrap();
            let bad = all.iter().filter(|each| each["state"] == "damaged").map(|each| each["id"].as_str().unwrap());
            let bad: Vec<_> = bad.collect();
            assert_eq!((ended, bad), (exit, if exit == 0 { vec![] } else { vec![rotten.as_str()] }));
        }
        // By its timer's unit, too: the run finds one rotten, and prune, which comes after it, lets that one go.
        let (ago, _, rotten) = ids.iter().find(|(ago, ..)| *ago == ROTTEN - 2).unwrap();
        assert!(is_kept(*ago));
        host.sh(&format!("echo y >{STORE}/{rotten}{}; systemctl start holdfast-backup@signer-db.service", ENDS.archive)).unwrap().ok().unwrap();
        host.sh(&format!("test -e {STORE}/{rotten}{} && ! test -e {STORE}/{rotten}{}", ENDS.tombstone, ENDS.archive)).unwrap().ok().unwrap();
        assert_eq!(backup(host, &["list"]).0, 0);
        let oldest = kept.first().unwrap();
        host.sh(&format!("rm {STORE}/{oldest}{}", ENDS.archive)).unwrap().ok().unwrap();
        assert_eq!(backup(host, &["list"]).0, 2);
    }
}
