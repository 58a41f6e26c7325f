//! The desired document.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SECTION, section};
use crate::controls::firewall::{Facts, document};

/// Comment and statements of each rule of chain `input`.
fn rules(toml: &str) -> Vec<(String, Value)> {
    rules_in("input", toml)
}

fn rules_in(chain: &str, toml: &str) -> Vec<(String, Value)> {
    let document = document(&section(toml), &outside(&["en*", "eth0"])).unwrap();
    let commands = document["nftables"].as_array().unwrap().iter();
    let rules = commands.filter_map(|command| command["add"].get("rule"));
    let rules = rules.filter(|rule| rule["chain"] == chain);
    rules.map(|rule| (rule["comment"].as_str().unwrap().to_owned(), rule["expr"].clone())).collect()
}

fn outside(names: &[&str]) -> Facts {
    let outside = names.iter().map(|name| name.parse().unwrap()).collect();
    Facts { outside, ..Facts::default() }
}

fn comments(toml: &str) -> Vec<String> {
    rules(toml).into_iter().map(|(comment, _)| comment).collect()
}

/// The statements of the rules of one allow.
fn allow(fields: &str) -> Vec<Value> {
    let toml = format!("[[allow]]\nname = \"it\"\n{fields}");
    rules(&toml).into_iter().filter(|(comment, _)| comment == "allow it").map(|(_, e)| e).collect()
}

fn is(protocol: &str, field: &str, right: impl Into<Value>) -> Value {
    let left = json!({"payload": {"protocol": protocol, "field": field}});
    json!({"match": {"left": left, "right": right.into(), "op": "=="}})
}

#[test]
fn replaces_the_table_in_one_transaction_and_names_no_other() {
    let document = document(&section(SECTION), &Facts::default()).unwrap();
    let commands = document["nftables"].as_array().unwrap();
    let table = json!({"table": {"family": "inet", "name": "holdfast"}});
    assert_eq!(commands[0], json!({"add": table}));
    assert_eq!(commands[1], json!({"delete": table}));
    assert_eq!(commands[2], json!({"add": table}));
    let chain = &commands[3]["add"]["chain"];
    assert_eq!(chain["hook"], "input");
    assert_eq!(chain["policy"], "drop");
    for command in &commands[3..] {
        let object = command["add"].as_object().unwrap().values().next().unwrap();
        assert_eq!((&object["family"], &object["table"]), (&json!("inet"), &json!("holdfast")));
    }
}

#[test]
fn has_the_rules_in_an_order_that_keeps_the_host_alive() {
    let comments = comments(SECTION);
    let at = |wanted: &str| comments.iter().position(|comment| comment == wanted).unwrap();
    // Neighbour discovery and path MTU are not what connection tracking calls valid.
    for before in ["icmpv6 errors", "neighbour discovery, from this link", "icmp errors", "ping"] {
        assert!(at(before) < at("belongs to no connection"), "{before}");
    }
    assert!(at("belongs to no connection") < at("allow ssh"), "the allows see valid packets only");
    assert!(at("allow all-v4") < at("not let in"), "what is let in is not counted as dropped");
    assert_eq!(comments[comments.len() - 2..], ["log of what is not let in", "nothing else"]);
}

#[test]
fn ports_are_sorted_and_merged() {
    let cases: [(&str, Value); 5] = [
        ("tcp = [22]", json!(22)),
        ("tcp = [22, 22]", json!(22)),
        ("tcp = [23, 22]", json!({"range": [22, 23]})),
        ("tcp = [443, \"10-20\", \"15-30\", 80]", json!({"set": [{"range": [10, 30]}, 80, 443]})),
        ("tcp = [\"1-65535\", 65535]", json!({"range": [1, 65535]})),
    ];
    for (fields, right) in cases {
        let wanted = json!([is("tcp", "dport", right), {"counter": null}, {"accept": null}]);
        assert_eq!(allow(fields), [wanted], "{fields}");
    }
}

#[test]
fn sources_are_split_by_version_of_ip() {
    let rest =
        || [is("tcp", "dport", json!(22)), json!({"counter": null}), json!({"accept": null})];
    let rule = |source: Value| Value::Array([source].into_iter().chain(rest()).collect());
    let prefix = |addr: &str, len: u8| json!({"prefix": {"addr": addr, "len": len}});
    let version = |name: &str| json!({"match": {"left": {"meta": {"key": "nfproto"}}, "right": name, "op": "=="}});
    let cases: [(&str, Vec<Value>); 6] = [
        ("", vec![Value::Array(rest().to_vec())]),
        ("from = []", vec![]),
        ("from = [\"10.0.0.0/8\"]", vec![rule(is("ip", "saddr", prefix("10.0.0.0", 8)))]),
        (
            "from = [\"2001:db8::/32\", \"192.0.2.1\"]",
            vec![
                rule(is("ip", "saddr", prefix("192.0.2.1", 32))),
                rule(is("ip6", "saddr", prefix("2001:db8::", 32))),
            ],
        ),
        (
            "from = [\"10.1.0.0/16\", \"192.0.2.1\", \"10.0.0.0/16\"]",
            vec![rule(is(
                "ip",
                "saddr",
                json!({"set": [prefix("10.0.0.0", 15), prefix("192.0.2.1", 32)]}),
            ))],
        ),
        ("from = [\"::/0\", \"0.0.0.0/0\"]", vec![rule(version("ipv4")), rule(version("ipv6"))]),
    ];
    for (from, wanted) in cases {
        assert_eq!(allow(&format!("tcp = [22]\n{from}")), wanted, "{from}");
    }
}

#[test]
fn an_allow_without_ports_lets_nothing_in() {
    assert!(allow("").is_empty());
    assert!(allow("tcp = []\nudp = []").is_empty());
}

#[test]
fn ping_and_log_are_as_the_section_says() {
    assert_eq!(comments("").iter().filter(|comment| *comment == "ping").count(), 2);
    assert!(!comments("ping = false").contains(&"ping".to_owned()));
    assert!(!comments("[log_drops]\nenabled = false").iter().any(|c| c.starts_with("log")));
    let rules = rules("[log_drops]\nrate = \"3/hour\"\nburst = 7");
    let limit = json!({"limit": {"rate": 3, "per": "hour", "burst": 7}});
    let log = json!({"log": {"prefix": "holdfast drop: ", "level": "info"}});
    assert_eq!(rules[rules.len() - 2].1, json!([limit, log]));
    assert_eq!(rules.last().unwrap().1, json!([{"drop": null}]));
}

#[test]
fn what_enters_from_outside_is_judged_by_the_port_it_was_sent_to() {
    let toml = "[[allow]]\nname = \"it\"\ntcp = [80, \"20000-20010\"]\nudp = [4122]\nfrom = [\"192.0.2.0/24\"]";
    let comments: Vec<_> =
        rules_in("forward", toml).into_iter().map(|(comment, _)| comment).collect();
    assert_eq!(
        comments,
        [
            "break-glass: opened by a person, for a time",
            "icmpv6 errors",
            "icmp errors",
            "answers, and what was let through before",
            "from outside by en*",
            "from outside by eth0"
        ]
    );
    let jump = json!([{"match": {"left": {"meta": {"key": "iifname"}}, "right": "en*", "op": "=="}}, {"jump": {"target": "outside"}}]);
    assert_eq!(rules_in("forward", toml)[4].1, jump);
    let outside: Vec<_> =
        rules_in("outside", toml).into_iter().map(|(_, statements)| statements).collect();
    let dnat = json!({"match": {"left": {"ct": {"key": "status"}}, "right": "dnat", "op": "in"}});
    assert_eq!(outside[0], json!([dnat, {"jump": {"target": "published"}}]));
    assert_eq!(outside.last().unwrap(), &json!([{"drop": null}]));
    let source = is("ip", "saddr", json!({"prefix": {"addr": "192.0.2.0", "len": 24}}));
    let rule = |protocol: u8, ports: Value| {
        let protocol =
            json!({"match": {"left": {"meta": {"key": "l4proto"}}, "right": protocol, "op": "=="}});
        let port = json!({"match": {"left": {"ct": {"key": "proto-dst", "dir": "original"}}, "right": ports, "op": "=="}});
        json!([source, protocol, port, {"counter": null}, {"accept": null}])
    };
    let published: Vec<_> =
        rules_in("published", toml).into_iter().map(|(_, statements)| statements).collect();
    assert_eq!(
        published,
        [rule(6, json!(80)), rule(6, json!({"range": [20000, 20010]})), rule(17, json!(4122))]
    );
}

#[test]
fn forwarding_is_denied_or_left_alone_as_the_section_says() {
    let chains = |toml: &str| -> Vec<(String, Value)> {
        let document = document(&section(toml), &outside(&["eth0"])).unwrap();
        let commands = document["nftables"].as_array().unwrap().clone();
        let chains =
            commands.into_iter().filter_map(|command| command["add"].get("chain").cloned());
        chains.map(|c| (c["name"].as_str().unwrap().to_owned(), c["policy"].clone())).collect()
    };
    let input = ("input".to_owned(), json!("drop"));
    assert_eq!(chains("forward = \"off\""), std::slice::from_ref(&input));
    assert_eq!(
        chains("forward = \"deny\""),
        [input.clone(), ("forward".to_owned(), json!("drop"))]
    );
    let named = |name: &str| (name.to_owned(), Value::Null);
    let all =
        [input, ("forward".to_owned(), json!("accept")), named("outside"), named("published")];
    assert_eq!(chains(""), all);
    let denied = rules_in("forward", "forward = \"deny\"");
    assert_eq!(denied[denied.len() - 2].0, "log of what is not let in");
    assert_eq!(denied.last().unwrap().0, "nothing else");
    assert!(denied.iter().all(|(_, statements)| !statements.to_string().contains("jump")));
}

proptest! {
    /// The order in which ports and sources are written, and saying them twice, means nothing.
    #[test]
    fn equal_wishes_give_equal_bytes(
        (ports, shuffled) in prop::collection::vec(1u16..=65535, 1..20)
            .prop_flat_map(|ports| (Just(ports.clone()), Just(ports).prop_shuffle())),
        (nets, other) in prop::collection::vec((any::<u32>(), 8u8..=32), 1..20)
            .prop_flat_map(|nets| (Just(nets.clone()), Just(nets).prop_shuffle())),
    ) {
        let toml = |ports: &[u16], nets: &[(u32, u8)]| {
            let nets: Vec<_> = nets.iter().map(|(bits, len)| {
                let net = ipnet::Ipv4Net::new_assert((*bits).into(), *len).trunc();
                format!("\"{net}\"")
            }).collect();
            format!("[[allow]]\nname = \"x\"\ntcp = {ports:?}\nfrom = [{}]", nets.join(", "))
        };
        let twice: Vec<_> = shuffled.iter().chain(&ports).copied().collect();
        let one = document(&section(&toml(&ports, &nets)), &Facts::default()).unwrap().to_string();
        let two = document(&section(&toml(&twice, &other)), &Facts::default()).unwrap().to_string();
        prop_assert_eq!(one, two);
    }
}
