//! Judging what lies in a folder, without one.

use super::*;
use crate::backup::{
    catalogue::Fault,
    manifest::{Check, Drill, Loss, Manifest, Tombstone, tests::manifest},
    missing::Made,
    statement::Link,
};

const NOW: i64 = 1_790_000_000;
const HOUR: i64 = 3600;

fn entry(id: &str, hours_ago: i64, alter: impl Fn(&mut Manifest)) -> Entry {
    let mut manifest = manifest(id, None);
    let at = Timestamp::from_second(NOW - hours_ago * HOUR).unwrap();
    (manifest.begun, manifest.made) = (at, at);
    alter(&mut manifest);
    Entry {
        id: id.to_owned(),
        manifest: Some((manifest, "00".repeat(32))),
        deleted: None,
        said_lost: false,
        was_read: false,
        faults: Vec::new(),
    }
}

fn drilled(manifest: &mut Manifest) {
    let drill = Drill { restore_milliseconds: 31_000, check_milliseconds: 2_000, damage: None };
    manifest.proof.drill = Some(drill);
}

fn unproven(manifest: &mut Manifest) {
    manifest.proof.proven = false;
    let check =
        |name: &str, outcome| Check { name: name.into(), outcome, text: format!("{name} it is") };
    manifest.proof.checks = vec![check("a", Outcome::Pass), check("b", Outcome::Fail)];
}

/// What is observed of age, proof, drill and shelf, each with whether it holds.
fn judged(entries: Vec<Entry>) -> [(bool, String); 4] {
    let rules = toml::from_str("database = \"signer\"\nto = [\"alice\"]").unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let shelf = shelf::Seen { rows: Ok(Vec::new()), made: Ok(Vec::new()) };
    let looked = Looked { name: "db".into(), rules, entries: Ok(entries), shelf, now };
    looked.judge().map(|judgement| match judgement.verdict {
        Verdict::Holds { observed } => (true, observed),
        Verdict::Differs { observed } => (false, observed),
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_never_ran_is_found() {
    let [age, proof, drill, shelf] = judged(Vec::new());
    assert_eq!(age, (false, "no backup was ever proven".into()));
    assert_eq!(proof, (false, "there is no backup".into()));
    assert_eq!(drill, (false, "no backup was ever restored as a whole".into()));
    assert_eq!(shelf, (true, "0 backups, all as they were signed".into()));
}

#[test]
fn ages_are_those_of_the_newest_that_is_worth_something() {
    let entries = |drill: i64, proven: i64| {
        vec![entry("drilled", drill, drilled), entry("daily", proven, |_| {})]
    };
    let [age, proof, drill, shelf] = judged(entries(8 * 24, 26));
    assert_eq!(age, (true, "daily, 1d2h old".into()));
    assert_eq!(proof, (true, "daily, proven in 0.001 s".into()));
    assert_eq!(drill, (true, "drilled, 8d old; recovery took 31.000 s".into()));
    assert_eq!(shelf, (true, "2 backups, all as they were signed".into()));
    let [age, _, drill, _] = judged(entries(8 * 24 + 1, 27));
    assert_eq!(age, (false, "daily, 1d3h old".into()));
    assert_eq!(drill, (false, "drilled, 8d1h old".into()));
}

#[test]
fn a_newest_one_that_is_not_proven_leaves_the_age_to_the_one_before_it() {
    let [age, proof, ..] = judged(vec![entry("good", 5, |_| {}), entry("bad", 1, unproven)]);
    assert_eq!(age, (true, "good, 5h old".into()));
    assert_eq!(proof, (false, "bad: b: b it is".into()));
}

/// What `pg_restore` of 17 and newer says no older server takes.
#[test]
fn what_does_not_come_back_into_its_own_server_is_a_finding() {
    for (server, client, is_good) in
        [(16, 16, true), (14, 16, true), (17, 18, true), (16, 17, false), (14, 18, false)]
    {
        let made = entry("made", 1, |manifest| {
            (manifest.server_version, manifest.client_major) = (server * 10_000 + 4, client);
        });
        let [age, (held, said), ..] = judged(vec![made]);
        assert!(age.0 && held == is_good, "{server} by {client}: {said}");
        let told =
            format!("not into its own of {server}: install postgresql-client-{server}, from");
        assert_eq!(said.contains(&told), !is_good, "{said}");
    }
}

#[test]
fn a_backup_of_the_future_is_not_young() {
    let [age, ..] = judged(vec![entry("ahead", -1, |_| {})]);
    assert_eq!(age, (false, "ahead, which is of the future: the clock was set back".into()));
}

#[test]
fn a_damaged_one_counts_for_nothing() {
    let mut damaged = entry("damaged", 1, drilled);
    damaged.faults.push(Fault::NoArchive);
    let [age, _, drill, shelf] = judged(vec![damaged]);
    assert!(!age.0 && !drill.0);
    assert_eq!(shelf, (false, "damaged: its file is gone, and not by prune".into()));
}

/// What is gone from the end no manifest names.
#[test]
fn what_the_evidence_log_names_must_be_there() {
    let made = |id: &str, sha256: String| Made { link: Link { id: id.into(), sha256 }, number: 1 };
    let judged = |made: Vec<Made>| {
        let seen = shelf::Seen { rows: Ok(Vec::new()), made: Ok(made) };
        match shelf::judge(&[entry("first", 2, |_| {})], &seen) {
            Verdict::Holds { .. } => String::new(),
            Verdict::Differs { observed } => observed,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(judged(vec![made("first", "00".repeat(32))]), "");
    assert!(judged(vec![made("second", "00".repeat(32))]).contains("nothing of it is there"));
    assert!(judged(vec![made("first", "11".repeat(32))]).contains("is not the one that"));
    // One that was made since covers nothing up; nor need all of a folder that is gone be named.
    let since = |count: usize| {
        let gone = (0..count).map(|at| made(&format!("gone-{at}"), "00".repeat(32)));
        judged(gone.chain([made("first", "00".repeat(32))]).collect())
    };
    assert!(since(1).contains("gone-0: the evidence log says that it was made"));
    let said = since(5);
    assert!(said.ends_with("; nor of 2 before") && said.contains("gone-4:"), "{said}");
    assert!(!said.contains("gone-1"), "{said}");
}

/// Nothing is passed over in silence: how many are lost is told, beside what is found, too.
#[test]
fn what_is_lost_is_counted_and_missed_no_more() {
    let link = Link { id: "lost".into(), sha256: "00".repeat(32) };
    let loss = Loss { by: "alice".into(), reason: "the disk burnt".into() };
    let mut lost = entry("lost", 3, |_| {});
    (lost.manifest, lost.deleted) =
        (None, Some(Tombstone::lost(link.clone(), 1, Timestamp::UNIX_EPOCH, loss)));
    let judged = |made: Vec<Made>| {
        let seen = shelf::Seen { rows: Ok(Vec::new()), made: Ok(made) };
        shelf::judge(&[lost.clone(), entry("first", 2, |_| {})], &seen)
    };
    let told = "; 1 are lost, as a person has said (holdfast backup forget)";
    let observed = format!("1 backups, all as they were signed{told}");
    assert_eq!(judged(vec![Made { link, number: 1 }]), Verdict::Holds { observed });
    let gone = Link { id: "gone".into(), sha256: "00".repeat(32) };
    match judged(vec![Made { link: gone, number: 3 }]) {
        Verdict::Differs { observed } => {
            assert!(observed.starts_with("gone: ") && observed.ends_with(told), "{observed}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_that_cannot_be_read_is_unknown() {
    let rules = toml::from_str("database = \"signer\"\nto = [\"alice\"]").unwrap();
    let looked = Looked {
        name: "db".into(),
        rules,
        entries: Err("no".into()),
        shelf: shelf::Seen { rows: Ok(Vec::new()), made: Ok(Vec::new()) },
        now: Timestamp::from_second(NOW).unwrap(),
    };
    for judgement in looked.judge() {
        assert_eq!(judgement.verdict, Verdict::Unknown { why: "no".into() });
        assert!(judgement.id().ends_with("/db"));
    }
}
