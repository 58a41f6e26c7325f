//! Judging without a host: rows of the tests' own generator, and every way in which a backup is worth less.

use std::sync::LazyLock;

use holdfast_test_dkg::{Group, Round, Status as Made};

use super::*;
use crate::backup::{manifest::tests::manifest, statement::Link};

/// When it was begun.
const BEGUN: i64 = 1_790_000_000;

static ROUND: LazyLock<Round> = LazyLock::new(|| group().round(1));

fn group() -> Group {
    Group::new("judge", 3, 2)
}

fn begun() -> Timestamp {
    Timestamp::from_second(BEGUN).unwrap()
}

fn rules(more: &str) -> Backup {
    toml::from_str(&format!("database = \"signer\"\nto = [\"alice\"]\n{more}")).unwrap()
}

/// A good backup of one row, and what its database said.
fn good() -> (Found, Source) {
    let migrations = vec!["0001".to_owned(), "0003".to_owned()];
    let found = Found {
        dkg: Row::from_lines(&ROUND.row(0).json()).unwrap(),
        migrations: migrations.clone(),
        rows: [(DKG_TABLE, 1), ("sbtc_signer.p2p_peers", 100)]
            .map(|(table, rows)| (table.to_owned(), rows))
            .into(),
        newest_block: Some(Block { height: 900_001, seen: begun() }),
    };
    (found, Source { migrations: Some(migrations), dkg_rows: Some(1), bytes: 0 })
}

/// A proven backup of the day before, with so many peers.
fn before(peers: u64) -> Manifest {
    let (found, _) = good();
    let mut manifest = manifest("signer-db-20260920T140640Z", None::<Link>);
    manifest.of.rows = found.rows;
    manifest.of.rows.insert("sbtc_signer.p2p_peers".into(), peers);
    manifest.begun = Timestamp::from_second(BEGUN - 86_400).unwrap();
    manifest
}

fn since<'a>(last: &'a Manifest, accepted: &'a [String]) -> Before<'a> {
    Before { last: Some(last), accepted }
}

fn failed(checks: &[Check]) -> Vec<String> {
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail);
    failed.map(|check| check.name.clone()).collect()
}

/// What fails once `spoil` has been at a good backup.
fn spoiled(spoil: impl Fn(&mut Found, &mut Source)) -> Vec<String> {
    let (mut found, mut source) = good();
    spoil(&mut found, &mut source);
    failed(&judge(&found, &source, since(&before(100), &[]), &rules(""), begun()))
}

#[test]
fn a_good_one_has_nothing_against_it() {
    assert!(spoiled(|_, _| {}).is_empty());
}

#[test]
fn a_schema_without_rows_is_worth_nothing() {
    let expected = ["dkg.rows", "dkg.verified", "migrations", "tables.shrunken"];
    let found = spoiled(|found, _| *found = Found::default());
    assert_eq!(found, expected);
}

#[test]
fn rows_that_are_not_those_of_the_database_are_found() {
    assert_eq!(spoiled(|_, source| source.dkg_rows = Some(2)), ["dkg.rows"]);
    let counted = |found: &mut Found, _: &mut Source| {
        found.rows.insert(DKG_TABLE.into(), 2);
    };
    assert_eq!(spoiled(counted), ["dkg.rows"]);
    assert_eq!(
        spoiled(|found, source| {
            found.migrations.pop();
            source.dkg_rows = None;
        }),
        ["migrations"]
    );
}

#[test]
fn without_a_verified_row_there_is_no_key_that_signs() {
    for status in [Made::Unverified, Made::Failed] {
        let mut made = ROUND.row(0);
        made.status = status;
        let rows = Row::from_lines(&made.json()).unwrap();
        assert_eq!(spoiled(|found, _| found.dkg.clone_from(&rows)), ["dkg.verified"]);
    }
}

#[test]
fn a_row_is_told_from_one_that_is_not_whole_and_from_another_signers() {
    let key = |signer: usize, group: &Group| {
        let hex: String =
            group.public_key(signer).iter().map(|byte| format!("{byte:02x}")).collect();
        rules(&format!("signer_keys = [\"{hex}\"]"))
    };
    let (found, source) = good();
    let judged = |found: &Found, rules: &Backup| {
        let checks = judge(found, &source, Before::default(), rules, begun());
        checks.into_iter().find(|check| check.name.starts_with("dkg.row/")).unwrap()
    };
    assert_eq!(judged(&found, &rules("")).outcome, Outcome::NotApplicable);
    assert_eq!(judged(&found, &key(0, &group())).outcome, Outcome::Pass);
    let other = judged(&found, &key(0, &Group::new("another", 3, 2)));
    assert_eq!(other.outcome, Outcome::Fail, "{}", other.text);

    let mut made = ROUND.row(0);
    made.script_pubkey[5] ^= 1;
    let altered = Found { dkg: Row::from_lines(&made.json()).unwrap(), ..good().0 };
    let judged_altered = judged(&altered, &rules(""));
    assert_eq!(judged_altered.outcome, Outcome::Fail, "{}", judged_altered.text);
}

#[test]
fn a_table_may_shrink_by_what_the_profile_says_and_by_no_row_more() {
    let shrunk = |had: u64, more: &str| {
        let (found, source) = good();
        failed(&judge(&found, &source, since(&before(had), &[]), &rules(more), begun()))
    };
    let half = "[may_shrink]\n\"sbtc_signer.p2p_peers\" = 50";
    assert!(shrunk(100, "").is_empty());
    assert!(shrunk(99, "").is_empty(), "it grew");
    assert_eq!(shrunk(101, ""), ["tables.shrunken"]);
    assert!(shrunk(200, half).is_empty());
    assert_eq!(shrunk(201, half), ["tables.shrunken"]);
    assert_eq!(shrunk(u64::MAX, half), ["tables.shrunken"]);
}

#[test]
fn a_table_that_is_gone_is_one_that_may_be_and_can_be_accepted_once() {
    let (mut found, source) = good();
    found.rows.remove("sbtc_signer.p2p_peers");
    found.migrations.push("0017".to_owned());
    let mut before = before(0);
    before.of.source.migrations = Some(good().0.migrations);
    let source = Source { migrations: Some(found.migrations.clone()), ..source };
    let judged = |more: &str, accepted: &[String]| {
        judge(&found, &source, since(&before, accepted), &rules(more), begun())
    };
    let text =
        |checks: &[Check]| checks.iter().find(|check| check.name == SHRUNKEN).unwrap().text.clone();
    let almost = "[may_shrink]\n\"sbtc_signer.p2p_peers\" = 99";
    for more in ["", almost] {
        let checks = judged(more, &["sbtc_signer.other".into()]);
        assert_eq!(failed(&checks), [SHRUNKEN]);
        let said = text(&checks);
        for part in [
            "sbtc_signer.p2p_peers is gone; migration 0017 ran in between.",
            "`holdfast backup run signer-db --accept-shrunken sbtc_signer.p2p_peers`, once",
            "[backup.signer-db.may_shrink]: \"sbtc_signer.p2p_peers\" = 100",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let checks = judged(more, &["sbtc_signer.p2p_peers".into()]);
        assert!(failed(&checks).is_empty());
        let said = text(&checks);
        let part =
            "accepted by who made this backup: sbtc_signer.p2p_peers is gone; migration 0017";
        assert!(said.contains(part), "{said}");
    }
    assert!(failed(&judged("[may_shrink]\n\"sbtc_signer.p2p_peers\" = 100", &[])).is_empty());
}

/// Of two tables one is accepted; of DKG rows none ever are, neither once nor by the profile.
#[test]
fn only_what_is_named_is_accepted_and_no_dkg_row_ever() {
    let (mut found, source) = good();
    found.rows = [(DKG_TABLE.to_owned(), 1)].into();
    let mut before = before(100);
    let odd = "public.\"It's\"".to_owned();
    before.of.rows.insert(odd.clone(), 3);
    let text = |accepted: &[String], more: &str| {
        let checks = judge(&found, &source, since(&before, accepted), &rules(more), begun());
        assert_eq!(failed(&checks), [SHRUNKEN]);
        checks.into_iter().find(|check| check.name == SHRUNKEN).unwrap().text
    };
    let peers = || "sbtc_signer.p2p_peers".to_owned();
    let said = text(&[peers()], "");
    let part = "--accept-shrunken 'public.\"It'\\''s\"'`, once";
    assert!(said.ends_with(part), "a shell gets its name, and no profile takes it: {said}");
    assert!(said.contains("accepted by who made this backup: sbtc_signer.p2p_peers is gone"));

    before.of.rows.insert(DKG_TABLE.into(), 2);
    let text = |accepted: &[String], more: &str| {
        let checks = judge(&found, &source, since(&before, accepted), &rules(more), begun());
        assert_eq!(failed(&checks), [SHRUNKEN]);
        checks.into_iter().find(|check| check.name == SHRUNKEN).unwrap().text
    };
    let all = [peers(), odd, DKG_TABLE.to_owned()];
    for more in ["", "[may_shrink]\n\"sbtc_signer.dkg_shares\" = 100"] {
        let said = text(&all, more);
        assert!(said.contains(&format!(": {DKG_TABLE} has 1 rows and had 2; accepted")), "{said}");
        let dump = format!(
            "{DKG_ADVICE}. All of them are in {}, too: `holdfast backup restore {} --into NEW --identity FILE`, an empty database \
             beside it, and copy {DKG_TABLE} from there",
            before.id, before.id
        );
        assert!(said.ends_with(&dump) && !said.contains("--accept-shrunken"), "{said}");
    }
}

#[test]
fn what_is_lost_is_never_said_to_be_less() {
    for (has, had, percent) in [
        (Some(0), 0, 0),
        (Some(2), 1, 0),
        (Some(199), 200, 1),
        (Some(0), u64::MAX, 100),
        (None, 0, 100),
    ] {
        assert_eq!(lost(has, had), percent, "{has:?} of {had}");
    }
}

#[test]
fn blocks_grow_old_and_clocks_go_back() {
    let (found, source) = good();
    let judged = |rules: &Backup, at: i64| {
        let begun = Timestamp::from_second(at).unwrap();
        failed(&judge(&found, &source, since(&before(100), &[]), rules, begun))
    };
    let hour = rules("newest_block_within = \"1h\"");
    assert!(judged(&hour, BEGUN + 3600).is_empty());
    assert_eq!(judged(&hour, BEGUN + 3601), ["blocks.newest"]);
    assert!(judged(&rules(""), BEGUN + 3601).is_empty());
    // One of the future has no age.
    assert!(judged(&hour, BEGUN - 300).is_empty());
    assert_eq!(judged(&hour, BEGUN - 301), ["blocks.newest"]);
    // Which of the two times was wrong nobody here knows; nothing is wrong with the file.
    assert!(judged(&rules(""), BEGUN - 86_401).is_empty());
    let begun = Timestamp::from_second(BEGUN - 86_401).unwrap();
    let checks = judge(&found, &source, since(&before(100), &[]), &rules(""), begun);
    let clock = checks.iter().find(|check| check.name == "clock").unwrap();
    assert_eq!(clock.outcome, Outcome::CannotCheck);
    assert!(clock.text.contains("this host's clock was ahead then"), "{}", clock.text);
}
