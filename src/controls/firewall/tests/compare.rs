//! What differs between two listings, in words.

use serde_json::{Value, json};

use super::{FIXTURES, Fixture};
use crate::controls::firewall::{
    Expected,
    compare::{Side, differences},
    table::{Table, Words, counts},
};

fn between(wanted: &Value, live: &Value, texts: (&str, &str)) -> Vec<String> {
    let (wanted, live) = (Table::from_listing(wanted).unwrap(), Table::from_listing(live).unwrap());
    let (wanted_words, live_words) = (Words::from_listing(texts.0), Words::from_listing(texts.1));
    let side = |table, words| Side { table, words };
    let found =
        differences(side(&wanted, &wanted_words), side(&live, &live_words), &Expected::default());
    found.iter().map(ToString::to_string).collect()
}

fn of(fixture: &Fixture, change: impl FnOnce(&mut Vec<Value>)) -> Vec<String> {
    let wanted = super::json(fixture.loaded);
    let mut live = wanted.clone();
    change(live["nftables"].as_array_mut().unwrap());
    between(&wanted, &live, ("", ""))
}

#[test]
fn every_tampering_is_named_in_nfts_own_words() {
    for fixture in FIXTURES {
        let found = between(
            &super::json(fixture.loaded),
            &super::json(fixture.tampered),
            (fixture.loaded.1, fixture.tampered.1),
        );
        let wanted = [
            "policy of chain input is accept, not drop",
            "rule added to chain input: tcp dport 9999 accept",
            "rule missing from chain input: icmpv6 type 1-4 accept comment \"icmpv6 errors\"",
            "chain evil added (hook input, priority -10)",
            "rule added to chain evil: tcp dport 1 counter accept",
            "set friends added",
        ];
        assert_eq!(found, wanted, "{}", fixture.suite);
    }
}

#[test]
fn a_table_does_not_differ_from_itself_loaded_again() {
    for fixture in FIXTURES {
        let found = of(&fixture, |objects| {
            for object in objects.iter_mut() {
                let body = object.as_object_mut().unwrap().values_mut().next().unwrap();
                if body.get("handle").is_some() {
                    body["handle"] = json!(4711);
                }
                for statement in
                    body.get_mut("expr").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    if statement.get("counter").is_some() {
                        *statement = json!({"counter": {"packets": 9, "bytes": 900}});
                    }
                }
            }
            // 1.0.6 lists chains elsewhere than 1.1.3.
            let chain = objects.remove(2);
            objects.push(chain);
        });
        assert!(found.is_empty(), "{}: {found:?}", fixture.suite);
    }
}

#[test]
fn counts_are_summed_by_comment() {
    let rule = |comment: &str, packets: u64| json!({"rule": {"comment": comment, "expr": [{"counter": {"packets": packets, "bytes": 9}}, {"accept": null}]}});
    let listing = json!({"nftables": [
        rule("packets to this host", 70),
        rule("allow ssh", 3),
        {"rule": {"comment": "no counter", "expr": [{"accept": null}]}},
        rule("allow web", 0),
        rule("allow ssh", 4),
    ]});
    let wanted = [("packets to this host", 70), ("allow ssh", 7), ("allow web", 0)];
    assert_eq!(counts(&listing), wanted.map(|(comment, packets)| (comment.to_owned(), packets)));
    assert!(counts(&json!({})).is_empty());
}

#[test]
fn the_order_of_rules_matters() {
    for fixture in FIXTURES {
        let found = of(&fixture, |objects| {
            let last = objects.pop().unwrap();
            objects.insert(4, last);
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("rule moved in chain input: {"), "{found:?}");
    }
}

#[test]
fn a_rule_without_words_is_shown_as_short_json() {
    let rule = json!({"rule": {"chain": "input", "handle": 9, "expr": [{"accept": null}]}});
    let found = of(&FIXTURES[0], |objects| objects.push(rule));
    assert_eq!(found, ["rule added to chain input: {\"expr\":[{\"accept\":null}]}"]);
}

#[test]
fn a_rule_of_thousands_of_elements_is_cut_short() {
    let many: Vec<u32> = (0..5000).collect();
    let rule = json!({"rule": {"chain": "input", "expr": [{"set": many}]}});
    let found = of(&FIXTURES[0], |objects| objects.push(rule));
    assert!(found[0].chars().count() < 250 && found[0].ends_with('…'), "{found:?}");
}

#[test]
fn missing_chains_and_elements_are_named() {
    let set = |elements: Value| {
        json!({"nftables": [
            {"chain": {"name": "input", "family": "inet", "table": "holdfast", "policy": "drop"}},
            {"set": {"name": "friends", "type": "ipv4_addr", "elem": elements}},
        ]})
    };
    let one = set(json!([
        "192.0.2.1",
        {"prefix": {"addr": "10.0.0.0", "len": 8}},
        {"elem": {"val": {"range": ["192.0.2.8", "192.0.2.9"]}, "timeout": 300, "expires": 299}},
    ]));
    let later = set(json!([
        {"elem": {"val": {"range": ["192.0.2.8", "192.0.2.9"]}, "timeout": 300, "expires": 12}},
        {"prefix": {"addr": "10.0.0.0", "len": 8}},
        "192.0.2.1",
    ]));
    assert!(between(&one, &later, ("", "")).is_empty(), "order and remaining time mean nothing");
    let other = set(json!([
        "192.0.2.1",
        "192.0.2.77",
        {"prefix": {"addr": "10.0.0.0", "len": 8}},
    ]));
    assert_eq!(
        between(&one, &other, ("", "")),
        [
            "element added to set friends: 192.0.2.77",
            "element missing from set friends: 192.0.2.8/31"
        ]
    );
    let none = json!({"nftables": []});
    assert_eq!(
        between(&one, &none, ("", "")),
        ["chain input is missing", "set friends is missing"]
    );
    let mut changed = one.clone();
    changed["nftables"][1]["set"]["type"] = json!("ipv6_addr");
    assert_eq!(between(&one, &changed, ("", "")), ["set friends is of another kind"]);
}

#[test]
fn what_is_no_listing_is_refused() {
    for listing in [
        json!([]),
        json!({"nftables": 1}),
        json!({"nftables": [1]}),
        json!({"nftables": [{"a": {}, "b": {}}]}),
        json!({"nftables": [{"rule": 1}]}),
    ] {
        assert!(Table::from_listing(&listing).is_err(), "{listing}");
    }
}
