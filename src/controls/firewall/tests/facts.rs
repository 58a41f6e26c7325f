//! What is read from the kernel's tables.

use serde_json::json;

use crate::controls::firewall::facts::{interfaces, named_in};

#[test]
fn interfaces_are_listed_without_their_counts() {
    let table = "Inter-|   Receive  |  Transmit\n face |bytes    packets|bytes\n    lo:  100 1\n  eth0:200 2\n";
    assert_eq!(interfaces(table), ["lo", "eth0"]);
}

#[test]
fn a_loaded_table_tells_what_it_took_for_outside() {
    let rule = |chain: &str, key: &str, right: &str, target: &str| {
        json!({"rule": {"chain": chain, "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}},
            {"jump": {"target": target}},
        ]}})
    };
    let listing = json!({"nftables": [
        {"chain": {"name": "forward"}},
        rule("forward", "iifname", "en*", "outside"),
        rule("forward", "oifname", "eth1", "outside"),
        rule("forward", "iifname", "eth2", "elsewhere"),
        rule("other", "iifname", "eth3", "outside"),
        {"rule": {"chain": "forward", "expr": [{"accept": null}]}},
    ]});
    assert_eq!(named_in(&listing), ["en*".parse().unwrap()]);
    assert!(named_in(&json!({})).is_empty());
}
