//! Judgements and plans.

use std::collections::BTreeSet;

use serde_json::json;

use super::{FIXTURES, SECTION, json, section};
use crate::{
    controls::{
        Comparison as _, Wanted,
        firewall::{
            Facts, KnownBy,
            control::FirewallComparison,
            document,
            judge::{printable, wants},
            observed::{Observed, Texts},
        },
    },
    engine::{
        change::{Change, TableState},
        check::Verdict,
        document::Desired,
    },
    host::nft::OwnTable,
    profile::schema::{
        Firewall,
        Forward::{Containers, Deny, Off},
    },
};

fn desired(section: &Firewall, facts: &Facts) -> Result<Desired, String> {
    document(section, facts).map(Desired::of).map_err(|error| error.to_string())
}

fn observed(live: Result<OwnTable, String>) -> Observed {
    let section = section(SECTION);
    let facts = Facts {
        outside: vec!["eth0".parse().unwrap()],
        known_by: KnownBy::Routes,
        ..Facts::default()
    };
    let document = desired(&section, &facts);
    Observed {
        wants: wants(&section, &document),
        forward: section.forward,
        facts: Ok(facts),
        document,
        canonical: Ok(json(FIXTURES[0].loaded)),
        looped: true,
        at: jiff::Timestamp::UNIX_EPOCH,
        live,
        in_large: Vec::new(),
        sets_known: false,
        exposure: Err("not looked at".to_owned()),
        texts: Texts::default(),
        found: None,
    }
}

/// The verdicts on the ruleset and on whether it is in the path, each as one line.
fn verdicts(observed: &Observed) -> [String; 2] {
    let [ruleset, path, _] = all_verdicts(observed);
    [ruleset, path]
}

/// The verdicts on the table itself, each as one line.
fn all_verdicts(observed: &Observed) -> [String; 3] {
    let lines: Vec<_> = observed
        .judge()
        .into_iter()
        .take(3)
        .map(|judgement| match judgement.verdict {
            Verdict::Holds { observed } => format!("holds: {observed}"),
            Verdict::Differs { observed } => format!("differs: {observed}"),
            Verdict::Unknown { why } => format!("unknown: {why}"),
            Verdict::NotApplicable { why } => format!("not applicable: {why}"),
            Verdict::Accumulating { observed } => format!("accumulating: {observed}"),
        })
        .collect();
    lines.try_into().unwrap()
}

/// The loaded table after its counters have counted.
fn counted(seen: u64, dropped: u64) -> serde_json::Value {
    let mut listing = json(FIXTURES[0].loaded);
    for object in listing["nftables"].as_array_mut().unwrap() {
        let Some(rule) = object.get_mut("rule") else { continue };
        let packets = match rule["comment"].as_str() {
            Some("packets to this host") => seen,
            Some("not let in") => dropped,
            _ => continue,
        };
        rule["expr"][0]["counter"]["packets"] = json!(packets);
    }
    listing
}

#[test]
fn a_loaded_table_that_has_seen_packets_holds() {
    let observed = observed(Ok(OwnTable::Json(counted(12, 3))));
    assert_eq!(
        verdicts(&observed),
        [
            "holds: exactly that, in 21 rules",
            "holds: 12 packets since it was loaded, 3 of them not let in"
        ]
    );
}

#[test]
fn a_missing_table_differs_even_where_the_desired_one_cannot_be_loaded() {
    let mut observed = observed(Ok(OwnTable::Absent));
    observed.canonical = Err("no".to_owned());
    let missing = "differs: table inet holdfast is missing";
    assert_eq!(verdicts(&observed), [missing, missing]);
}

#[test]
fn what_cannot_be_seen_is_unknown_and_never_a_pass() {
    let blind = observed(Err("nft is gone".to_owned()));
    assert_eq!(verdicts(&blind), ["unknown: nft is gone", "unknown: nft is gone"]);
    let mut uncompared = observed(Ok(OwnTable::Json(counted(1, 0))));
    uncompared.canonical = Err("no namespace".to_owned());
    assert_eq!(verdicts(&uncompared)[0], "unknown: no namespace");
    let odd = observed(Ok(OwnTable::Json(json!({"nftables": 1}))));
    assert!(verdicts(&odd)[0].starts_with("unknown: "));
    let text = observed(Ok(OwnTable::TextOnly("table inet holdfast {\n}\n".to_owned())));
    assert!(verdicts(&text)[0].starts_with("unknown: "));
}

#[test]
fn a_dormant_table_differs_in_both_forms_that_nft_gives() {
    for fixture in FIXTURES {
        let text = fixture.dormant.1.to_owned();
        let live = match serde_json::from_slice(fixture.dormant.0) {
            Ok(json) => OwnTable::Json(json),
            Err(_) => OwnTable::TextOnly(text.clone()),
        };
        let mut observed = observed(Ok(live));
        observed.canonical = Ok(json(fixture.loaded));
        observed.texts.live = text;
        let [ruleset, path] = verdicts(&observed);
        let dormant = "differs: the table is dormant: none of its rules is in force";
        assert!(ruleset.starts_with(dormant), "{}: {ruleset}", fixture.suite);
        assert!(path.starts_with("differs: table inet holdfast has flags"), "{path}");
    }
}

#[test]
fn a_table_that_sees_no_packets_is_not_in_the_path() {
    let mut observed = observed(Ok(OwnTable::Json(counted(0, 0))));
    let unseen = "differs: a packet arrived over loopback, and the table did not see it";
    assert_eq!(verdicts(&observed)[1], unseen);
    observed.looped = false;
    assert!(verdicts(&observed)[1].starts_with("accumulating: "));
    observed.live = Ok(OwnTable::Json(json!({"nftables": []})));
    assert!(verdicts(&observed)[1].starts_with("differs: the rules that count"));
}

#[test]
fn a_finding_names_the_first_differences_and_counts_the_rest() {
    let mut observed = observed(Ok(OwnTable::Json(json(FIXTURES[0].tampered))));
    observed.texts.canonical = FIXTURES[0].loaded.1.to_owned();
    observed.texts.live = FIXTURES[0].tampered.1.to_owned();
    assert_eq!(
        verdicts(&observed)[0],
        "differs: policy of chain input is accept, not drop; rule added to chain input: tcp dport 9999 accept; \
         rule missing from chain input: icmpv6 type 1-4 accept comment \"icmpv6 errors\"; and 3 more"
    );
}

#[test]
fn a_comment_cannot_speak_to_the_terminal() {
    let text = "table inet holdfast {\n\taccept comment \"\u{1b}[2J\u{9b}1A\"\n}\n";
    let shown = "table inet holdfast {\n\taccept comment \"?[2J?1A\"\n}\n";
    assert_eq!(printable(text), shown);
}

#[test]
fn another_table_is_another_expectation() {
    let expected = |toml: &str| {
        let section = section(toml);
        wants(&section, &desired(&section, &Facts::default()))
    };
    let one = expected(SECTION);
    assert!(
        one.starts_with("table inet holdfast drops by default; let in: ssh, p2p, all-v4 (rules "),
        "{one}"
    );
    assert_eq!(one, expected(SECTION));
    assert_ne!(one, expected(&SECTION.replace("tcp = [22]", "tcp = [2222]")));
    assert!(
        expected("").starts_with("table inet holdfast drops by default; nothing let in (rules ")
    );
}

#[test]
fn the_plan_is_one_step_for_the_wanted_checks_and_the_preview_is_of_it() {
    let plan = |wanted: &[&str]| {
        let wanted: BTreeSet<String> = wanted.iter().map(ToString::to_string).collect();
        FirewallComparison(Some(observed(Ok(OwnTable::Absent)))).plan(&Wanted(&wanted))
    };
    assert!(plan(&[]).is_empty());
    assert!(plan(&["ssh.effective"]).is_empty());
    for wanted in [&["firewall.in-path"][..], &["firewall.in-path", "firewall.ruleset"]] {
        let steps = plan(wanted);
        assert_eq!(steps.len(), 1);
        let to = observed(Ok(OwnTable::Absent)).document.unwrap().commands().clone();
        assert_eq!(steps[0].change, Change::Table { to: TableState::Json(to) });
        assert_eq!(steps[0].because.iter().collect::<BTreeSet<_>>().len(), wanted.len());
    }
    let mut observed = observed(Ok(OwnTable::Absent));
    assert!(FirewallComparison(None).previews().is_empty());
    observed.texts.canonical = FIXTURES[0].loaded.1.to_owned();
    let previews = FirewallComparison(Some(observed)).previews();
    assert_eq!(previews.len(), 1);
    assert_eq!(previews[0].before, "");
    assert_eq!(previews[0].change, plan(&["firewall.ruleset"])[0].change);
}

#[test]
fn an_outside_that_is_not_known_is_never_a_pass() {
    let said = |forward, known_by, outside: &[&str]| {
        let mut observed = observed(Ok(OwnTable::Absent));
        observed.forward = forward;
        let outside = outside.iter().map(|name| name.parse().unwrap()).collect();
        observed.facts = Ok(Facts { outside, known_by, ..Facts::default() });
        all_verdicts(&observed)[2].clone()
    };
    let without = |names: &[&str]| KnownBy::Profile {
        without: names.iter().map(|name| name.parse().unwrap()).collect(),
    };
    let cases = [
        (
            said(Containers, KnownBy::Routes, &["eth0", "eth1"]),
            "holds: eth0, eth1, by the default routes",
        ),
        (said(Containers, without(&[]), &["en*"]), "holds: en*, as the profile names them"),
        (
            said(Containers, without(&["wg0"]), &["en*", "wg0"]),
            "unknown: no interface is called wg0 (yet)",
        ),
        (
            said(Containers, KnownBy::Table, &["eth0"]),
            "holds: eth0, as the loaded table names them",
        ),
        (
            said(Containers, KnownBy::Nothing, &[]),
            "unknown: there is no default route, so published ports are open",
        ),
        (
            said(Containers, KnownBy::NothingForwarded, &[]),
            "not applicable: this host has no default route",
        ),
        (said(Deny, KnownBy::Nothing, &[]), "not applicable: nothing is forwarded"),
        (said(Off, KnownBy::Nothing, &[]), "not applicable: the profile leaves"),
    ];
    for (said, wanted) in cases {
        assert!(said.starts_with(wanted), "{said}");
    }
}
