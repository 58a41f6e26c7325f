//! Judging what is known of exports, without any.

use super::*;
use crate::{
    engine::check::Verdict,
    key::{
        ceremony::{CopyStanding, MediumStanding, Retired},
        plan::{self, Role},
    },
};

const DAY: i64 = 86_400;
const TODAY: i64 = 1_000;

const PUBLIC: &str = "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2";

/// So many days ago.
fn ago(days: i64) -> Timestamp {
    Timestamp::from_second((TODAY - days) * DAY).unwrap()
}

fn copy(custodian: &str, paper: bool, opened: Option<i64>, drilled: Option<i64>) -> CopyStanding {
    CopyStanding {
        key: "signer".into(),
        custodian: custodian.into(),
        medium: format!("{custodian}'s stick"),
        paper,
        opened: opened.map(ago),
        drilled: drilled.map(ago),
        failed: None,
    }
}

/// The operator and the witness.
fn roles() -> Vec<Role> {
    let text = plan::tests::plan();
    let plan = plan::read(std::path::Path::new("p"), text.as_bytes()).unwrap().value;
    vec![plan.operator, plan.witness]
}

/// They, as the profile has them.
fn people() -> Vec<Person> {
    let person = |role: Role| Person {
        name: role.name,
        ssh_keys: Some(vec![role.ssh_key]),
        age_recipient: None,
        time_zone: None,
        until: None,
    };
    roles().into_iter().map(person).collect()
}

/// An export of so many days ago, of which alice has drilled her copy 10 days ago, and bob has proved 20 days ago.
fn export(days: i64) -> Export {
    Export {
        name: "cold".into(),
        signed: true,
        by: roles(),
        drilled: Some(ago(10)),
        copies: vec![
            copy("alice", false, Some(10), Some(10)),
            copy("bob", false, Some(days), None),
        ],
        keys: vec![("signer".into(), Some(PUBLIC.into()))],
        done: Some(ago(days)),
        due: "2099-12-31".parse().unwrap(),
        custodians: vec![("alice".into(), None), ("bob".into(), Some(ago(20)))],
        ..Export::default()
    }
}

fn retired() -> Retired {
    Retired { at: ago(1), why: "rotated".into(), by: Vec::new() }
}

/// What is observed of export, drill, copies and proof, each with whether it holds.
fn judged(rules: &str, exports: Vec<Export>) -> [(bool, String); 4] {
    judged_by(rules, people(), exports)
}

fn judged_by(rules: &str, people: Vec<Person>, exports: Vec<Export>) -> [(bool, String); 4] {
    let rules: ColdKey = toml::from_str(rules).unwrap();
    let keys = vec![("signer".into(), rules)];
    let compared = Compared { keys, people, exports: Ok(exports), now: ago(0) };
    let judgements = compared.judge();
    let ids: Vec<String> = judgements.iter().map(Judgement::id).collect();
    let all =
        ["keys.export/signer", "keys.drill/signer", "keys.copies/signer", "keys.proof/signer"];
    assert_eq!(ids, all);
    let each = judgements.into_iter().map(|judgement| match judgement.verdict {
        Verdict::Holds { observed } => (true, observed),
        Verdict::Differs { observed } => (false, observed),
        other => panic!("{other:?}"),
    });
    each.collect::<Vec<_>>().try_into().unwrap()
}

fn holds(judged: &[(bool, String); 4]) -> [bool; 4] {
    judged.each_ref().map(|(holds, _)| *holds)
}

#[test]
fn what_was_never_exported_is_found() {
    let none = judged("", Vec::new());
    assert_eq!(holds(&none), [false; 4]);
    assert_eq!(none[0].1, "it was never exported on this host");
    let other = Export { keys: vec![("journal".into(), None)], ..export(10) };
    assert_eq!(judged("", vec![other])[0].1, "it was never exported on this host");
    let unfinished = Export { unfinished: Some("no".into()), done: None, ..export(10) };
    assert_eq!(judged("", vec![unfinished])[0].1, "cold was interrupted");
    let unsigned = judged("", vec![Export { signed: false, ..export(10) }]);
    assert_eq!(unsigned[0], (false, "cold is not signed by both".into()));
}

/// Its media have the key, whatever was exported before or after it.
#[test]
fn what_is_open_of_an_export_is_told_until_it_is_resolved() {
    let signed = || Export { name: "signed".into(), ..export(10) };
    let begun = || Export { done: None, signed: false, ..export(15) };
    let cases = [
        (Export { signed: false, ..export(15) }, "is not signed by both"),
        (Export { unfinished: Some("no".into()), ..begun() }, "was interrupted"),
        (Export { given_up: Some("given up, x".into()), ..begun() }, "was given up, x"),
        (
            Export { unretired: Some("the witness: x".into()), ..export(15) },
            "was retired by whom nobody vouches for: the witness: x",
        ),
    ];
    for (open, why) in &cases {
        for exports in [vec![signed(), open.clone()], vec![open.clone(), signed()]] {
            let judged = judged("", exports);
            assert!(!judged[0].0 && judged[0].1.ends_with(&format!("; cold {why}")), "{judged:?}");
        }
        let resolved = Export { retired: Some(retired()), unretired: None, ..open.clone() };
        assert!(judged("", vec![resolved, signed()])[0].0, "{why}");
    }
    let all = cases.into_iter().map(|(open, _)| open).chain([signed()]).collect();
    assert_eq!(judged("", all)[0].1.matches("; cold ").count(), 4, "each is told");
    let both = Export { unretired: Some("x".into()), signed: false, ..export(15) };
    let told = judged("", vec![both]);
    assert!(told[0].1.ends_with("both, and was retired by whom nobody vouches for: x"), "{told:?}");
}

#[test]
fn an_export_counts_when_those_who_signed_it_have_left() {
    let left = |day: i64| {
        let mut people = people();
        let day = ago(day).to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        people[1].until = Some(day.parse().unwrap());
        people
    };
    assert!(judged_by("", left(10), vec![export(10)])[0].0, "it was their last day");
    assert!(judged_by("", left(5), vec![export(10)])[0].0);
    let after = judged_by("", left(11), vec![export(10)]);
    let why = "cold is signed by whom nobody vouches for: dave is in the profile until ";
    assert!(!after[0].0 && after[0].1.starts_with(why), "{after:?}");
}

#[test]
fn an_export_of_people_whom_only_its_plan_names_counts_for_nothing() {
    let nobody = judged_by("", Vec::new(), vec![export(10)]);
    let why = "is signed by whom nobody vouches for: carol is not in the profile";
    assert_eq!(nobody[0], (false, format!("cold {why}")));
    let one = judged_by("", people()[..1].to_vec(), vec![export(10)]);
    assert!(!one[0].0 && one[0].1.ends_with("dave is not in the profile"), "{one:?}");
    let mut swapped = people();
    swapped[1].ssh_keys = swapped[0].ssh_keys.clone();
    let swapped = judged_by("", swapped, vec![export(10)]);
    assert!(!swapped[0].0 && swapped[0].1.ends_with("the profile has another key of dave"));
    // After one that counts: its media have the key all the same.
    let by = vec![roles().remove(1), roles().remove(1)];
    let theirs = Export { name: "theirs".into(), by, ..export(5) };
    let only_dave = |exports| judged_by("", people()[1..].to_vec(), exports);
    assert!(only_dave(vec![theirs.clone()])[0].0);
    for exports in [vec![theirs.clone(), export(3)], vec![export(8), theirs]] {
        let told = only_dave(exports);
        assert!(!told[0].0 && told[0].1.contains(&format!("; cold {why}")), "{told:?}");
    }
}

#[test]
fn an_export_that_is_looked_after_holds_and_ages() {
    let good = judged("", vec![export(90)]);
    assert_eq!(holds(&good), [true; 4], "{good:?}");
    assert!(good[0].1.ends_with(", 90 days ago"), "{good:?}");
    let old = judged("exported_within = \"60d\"", vec![export(90)]);
    assert_eq!(holds(&old), [false, true, true, true]);
    let undrilled = judged("drilled_within = \"9d\"", vec![export(90)]);
    assert_eq!(holds(&undrilled), [true, false, true, true]);
    let copies = judged("copies_within = \"60d\"", vec![export(90)]);
    assert_eq!(holds(&copies), [true, true, false, true]);
    assert!(copies[2].1.starts_with("signer on bob's stick, bob's of cold was last good"));
    let unproved = judged("proved_within = \"15d\"", vec![export(90)]);
    assert_eq!(holds(&unproved), [true, true, true, false]);
    assert!(
        unproved[3].1.starts_with("bob ") && !unproved[3].1.contains("alice"),
        "a drill is a proof"
    );
    let overdue = judged("", vec![Export { overdue: true, ..export(90) }]);
    assert_eq!(holds(&overdue), [true, false, true, true]);
    let future = judged("", vec![export(-1)]);
    assert!(!future[2].0 && future[2].1.contains("the clock was set back"), "{future:?}");
}

#[test]
fn a_copy_that_failed_or_was_never_read_is_found() {
    let mut failed = export(20);
    failed.copies[1].failed = Some("no".into());
    failed.failed = Some("no".into());
    let failed = judged("", vec![failed]);
    assert_eq!(holds(&failed), [true, true, false, true]);
    assert_eq!(failed[2].1, "signer on bob's stick, bob's of cold failed no");
    let altered =
        vec![MediumStanding { medium: "usb-1".into(), altered: "then: README.txt".into() }];
    let altered = Export { altered, ..export(20) };
    let altered = judged("", vec![altered]);
    assert_eq!(holds(&altered), [true, true, false, true]);
    assert_eq!(altered[2].1, "medium usb-1 of cold is altered: then: README.txt");
    let unplaced = judged("", vec![Export { failed: Some("no".into()), ..export(20) }]);
    assert_eq!(holds(&unplaced), [true, false, true, true]);
    let mut paper = export(20);
    paper.copies.push(copy("bob", true, None, None));
    let paper = judged("", vec![paper]);
    assert_eq!(
        paper[2],
        (false, "signer on paper of bob's stick, bob's of cold was never read again".into())
    );
}

#[test]
fn only_exports_of_this_key_that_are_in_use_count() {
    let retired = Some(retired());
    assert!(!judged("", vec![Export { retired: retired.clone(), ..export(20) }])[0].0);
    let overdue = Export { overdue: true, retired: retired.clone(), ..export(400) };
    assert_eq!(holds(&judged("", vec![overdue, export(20)])), [true; 4]);
    let rules = format!("public = \"{PUBLIC}\"");
    assert_eq!(holds(&judged(&rules, vec![export(20)])), [true; 4]);
    let before = Export { keys: vec![("signer".into(), Some("02".repeat(33)))], ..export(20) };
    assert_eq!(judged(&rules, vec![before])[0].1, "cold has another key than the profile's");
    // The key is on media, whatever a plan calls it.
    let other = || Export {
        name: "other".into(),
        keys: vec![("x".into(), Some(PUBLIC.into()))],
        ..export(5)
    };
    assert_eq!(judged(&rules, vec![other()])[0], (false, "other has it as x".into()));
    let [(is_good, told), ..] = judged(&rules, vec![export(20), other()]);
    assert!(!is_good && told.ends_with("; other has it as x"), "{told}");
    // Where the profile does not say which key it is, those exports do that count.
    let [(is_good, told), ..] = judged("", vec![export(20), other()]);
    assert!(!is_good && told.ends_with("; other has it as x"), "{told}");
    let own = |export: Export| judged("", vec![export, other()])[0].1.contains("has it as");
    assert!(own(export(20)));
    assert!(!own(Export { signed: false, ..export(20) }), "nobody says so");
    assert!(!own(Export { retired: retired.clone(), ..export(20) }));
    assert!(!own(Export { keys: vec![("signer".into(), None)], ..export(20) }));
    let ended = Export { retired: retired.clone(), ..other() };
    assert!(judged(&rules, vec![export(20), ended])[0].0);
    let broken = Export { name: "broken".into(), fault: Some("no".into()), ..Export::default() };
    assert_eq!(judged("", vec![broken, export(20)])[0], (false, "broken: no".into()));
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let rules = toml::from_str("").unwrap();
    let keys = vec![("signer".into(), rules)];
    let compared = Compared { keys, people: people(), exports: Err("no".into()), now: ago(0) };
    for judgement in compared.judge() {
        assert_eq!(judgement.verdict, Verdict::Unknown { why: "no".into() });
    }
}
