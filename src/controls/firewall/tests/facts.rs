//! What is read from the kernel's tables.

use serde_json::json;

use crate::controls::firewall::facts::{default_routes, default_routes6, interfaces, named_in};

#[test]
fn default_routes_are_found_and_others_are_not() {
    let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                 eth0\t00000000\t010AA8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                 eth1\t00000000\t010BA8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
                 tun0\t00000000\t010CA8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
                 docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                 down0\t00000000\t010DA8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n\
                 *\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n";
    assert_eq!(default_routes(table), ["eth0", "eth1"]);
    assert!(default_routes("").is_empty());
    assert!(default_routes("Iface\nshort 00000000\n").is_empty());
}

#[test]
fn the_route_that_leads_nowhere_is_no_default_route() {
    let zero = "0".repeat(32);
    let line = |to: &str, len: &str, flags: &str, name: &str| {
        format!("{to} {len} {zero} 00 {zero} 00000400 00000001 00000000 {flags} {name}\n")
    };
    let fe80 = format!("fe80{}", "0".repeat(28));
    let table = [
        line(&zero, "00", "00000003", "eth0"),
        line(&zero, "00", "00200200", "lo"),
        line(&fe80, "40", "00000001", "eth1"),
        line(&zero, "01", "00000003", "tun0"),
    ]
    .concat();
    assert_eq!(default_routes6(&table), ["eth0"]);
}

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
