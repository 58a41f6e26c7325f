//! What is around the rules: the copy for the next boot, openings, other tables.

use serde_json::{Value, json};

use super::section;
use crate::{
    controls::firewall::{
        Facts,
        boot::{decode, encode, last_resort, sshd_ports},
        break_glass::{Opening, PROTOCOLS, State, state},
        document,
        foreign::{ForeignTable, Owner, Tables},
    },
    engine::{check::Verdict, document::Desired},
    host::nft::Element,
    profile::{schema::Profile, types::Port},
};

#[test]
fn a_copy_is_read_back_and_any_change_of_it_is_noticed() {
    let document = Desired::of(document(&section(super::SECTION), &Facts::default()).unwrap());
    let copy = encode(&document);
    assert_eq!(&decode(&copy).unwrap(), document.commands());
    let spoilt = [
        (String::new(), "is not whole"),
        (copy[..copy.len() / 2].to_owned(), "is not whole"),
        ("{}".to_owned(), "is not whole"),
        (copy.replace("\"format\":1", "\"format\":2"), "has format 2"),
        (copy.replace("203.0.113.0", "203.0.112.0"), "was changed by somebody"),
        (copy.replace("4122", "4123"), "was changed by somebody"),
    ];
    for (text, why) in spoilt {
        assert_ne!(text, copy);
        assert!(decode(&text).unwrap_err().starts_with(why), "{:?}", decode(&text));
    }
}

/// The ports and networks that the last resort lets in.
fn let_in(profile: Option<&str>, listening: &[u16]) -> String {
    let profile: Option<Profile> = profile.map(|text| toml::from_str(text).unwrap());
    let listening: Vec<Port> = listening.iter().filter_map(|port| Port::new(*port)).collect();
    let section = last_resort(profile.as_ref(), &listening);
    let one = |allow: &crate::profile::schema::Allow| {
        let ports: Vec<String> = allow.tcp().iter().map(ToString::to_string).collect();
        assert!(allow.udp().is_empty());
        let from = allow
            .from
            .as_ref()
            .map_or(" anywhere".to_owned(), |from| format!(" {} nets", from.len()));
        ports.join(",") + &from
    };
    section.allow.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_last_resort_is_the_profiles_way_in_by_ssh_and_nothing_else() {
    assert_eq!(let_in(None, &[]), "22 anywhere");
    assert_eq!(let_in(None, &[2222, 22]), "2222,22 anywhere");
    assert_eq!(let_in(Some(""), &[2222]), "2222 anywhere");
    let rules = "[[firewall.allow]]\nname = \"a\"\ntcp = [\"20-30\"]\nudp = [22]\nfrom = [\"192.0.2.0/24\"]\n\
                 [[firewall.allow]]\nname = \"b\"\ntcp = [4122]\n";
    assert_eq!(let_in(Some(rules), &[]), "22 1 nets");
    assert_eq!(let_in(Some(rules), &[4122]), "4122 anywhere");
    let managed = format!("{rules}[ssh]\nports = [4122]\n");
    assert_eq!(let_in(Some(&managed), &[22]), "4122 anywhere");
    // A profile that lets nobody in is taken at its word.
    assert_eq!(let_in(Some("[firewall]\n"), &[]), "");
}

#[test]
fn ports_are_found_in_sshds_configuration() {
    let files = [
        "# Port 1\n Port 2222\nPORT=23\nPortX 5\nPort none\n",
        "Port 22\nport 2222\nListenAddress 0.0.0.0\n",
    ];
    let ports = sshd_ports(&files.map(str::to_owned));
    assert_eq!(ports.into_iter().map(Port::get).collect::<Vec<_>>(), [22, 23, 2222]);
    assert!(sshd_ports(&[String::new()]).is_empty());
}

#[test]
fn only_what_holdfast_put_there_is_an_opening() {
    let opened: jiff::Timestamp = "2026-11-21T07:00:00Z".parse().unwrap();
    let until = "2026-11-21T07:05:00Z".parse().unwrap();
    let by = "al\u{1b}ice\"".to_owned();
    let opening = Opening { by, reason: Some("r".into()), opened, until, seconds: 300, ends: 1300 };
    assert_eq!(opening.comment(), "holdfast: alice until 2026-11-21T07:05:00Z");
    let ours = |expires| -> Vec<Element> {
        let comment = Some(opening.comment());
        let timeout = Some(300);
        PROTOCOLS
            .map(|protocol| Element {
                protocol,
                timeout,
                expires: Some(expires),
                comment: comment.clone(),
            })
            .to_vec()
    };
    assert_eq!(state(&[], Some(&opening), 1000), State::Shut);
    assert_eq!(state(&ours(300), Some(&opening), 1000), State::Open(opening.clone()));
    assert_eq!(state(&ours(99)[..1], Some(&opening), 1200), State::Open(opening.clone()));
    let is_foreign = |elements: &[Element], opening: Option<&Opening>, now| {
        matches!(state(elements, opening, now), State::Foreign(_))
    };
    assert!(is_foreign(&ours(300), None, 1000), "nobody recorded it");
    assert!(is_foreign(&ours(300), Some(&opening), 1100), "it was made to last longer");
    let change = |change: fn(&mut Element)| {
        let mut elements = ours(100);
        change(&mut elements[2]);
        is_foreign(&elements, Some(&opening), 1000)
    };
    assert!(change(|element| element.protocol = 47));
    assert!(change(|element| element.timeout = Some(900)));
    assert!(change(|element| (element.timeout, element.expires) = (None, None)));
    assert!(change(|element| element.comment = None));
}

/// A table with one base chain and one chain it jumps to, with these statements as their only rules.
fn listing(family: &str, table: &str, hook: &str, rules: &[(&str, Value)]) -> Value {
    let mut objects = vec![
        json!({"metainfo": {"version": "1.0.6"}}),
        json!({"table": {"family": family, "name": table, "handle": 1}}),
        json!({"chain": {"family": family, "table": table, "name": "PREROUTING", "type": "nat", "hook": hook, "prio": -100, "policy": "accept"}}),
    ];
    for (index, (chain, expr)) in rules.iter().enumerate() {
        objects.push(json!({"chain": {"family": family, "table": table, "name": chain}}));
        objects.push(json!({"rule": {"family": family, "table": table, "chain": chain, "handle": index + 5, "expr": expr}}));
    }
    // A chain may be listed again without its hook here; the first one is the one that nft gives.
    objects.retain(|object| {
        object["chain"]["name"] != "PREROUTING" || object["chain"].get("hook").is_some()
    });
    json!({ "nftables": objects })
}

fn verdict(listing: &Value) -> String {
    let tables = Tables::from_listing(listing);
    match tables.verdict() {
        Verdict::Holds { observed } => format!("holds: {observed}"),
        Verdict::Differs { observed } => format!("differs: {observed}"),
        Verdict::Unknown { why } => format!("unknown: {why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn what_leads_around_the_table_is_named() {
    let dport = json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}});
    let rule = |last: Value| ("PREROUTING", json!([dport, last]));
    let jump = |to: &str| {
        ("PREROUTING", json!([{"xt": null}, {"counter": null}, {"jump": {"target": to}}]))
    };
    let dnat = || json!({"dnat": {"addr": "172.17.0.2", "port": 80}});
    let mangle = |field: &str| json!({"mangle": {"key": {"payload": {"protocol": "tcp", "field": field}}, "value": 22}});
    let cases = [
        (
            "inet",
            "evil",
            "prerouting",
            vec![rule(json!({"redirect": {"port": 22}}))],
            "differs: table inet evil, chain PREROUTING, rule 5 redirects",
        ),
        (
            "inet",
            "evil",
            "prerouting",
            vec![rule(dnat())],
            "differs: table inet evil, chain PREROUTING, rule 5 gives",
        ),
        (
            "ip",
            "raw",
            "prerouting",
            vec![rule(json!({"notrack": null}))],
            "differs: table ip raw, chain PREROUTING, rule 5 hides",
        ),
        (
            "netdev",
            "x",
            "ingress",
            vec![rule(json!({"fwd": {"dev": "eth1"}}))],
            "differs: table netdev x, chain PREROUTING, rule 5 sends",
        ),
        (
            "netdev",
            "x",
            "ingress",
            vec![rule(
                json!({"mangle": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "value": 22}}),
            )],
            "differs: table netdev x",
        ),
        (
            "inet",
            "marks",
            "prerouting",
            vec![rule(json!({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}))],
            "holds: none in inet marks (unknown)",
        ),
        ("inet", "late", "postrouting", vec![rule(dnat())], "holds: none in inet late (unknown)"),
        // By way of a chain, and of a verdict map.
        (
            "inet",
            "evil",
            "prerouting",
            vec![jump("more"), ("more", json!([dnat()]))],
            "differs: table inet evil, chain more, rule 6",
        ),
        (
            "inet",
            "evil",
            "prerouting",
            vec![
                (
                    "PREROUTING",
                    json!([{"vmap": {"key": 1, "data": {"set": [[80, {"goto": {"target": "more"}}]]}}}]),
                ),
                ("more", json!([dnat()])),
            ],
            "differs: table inet evil, chain more",
        ),
        // Of a map that has a name the elements are not listed.
        (
            "inet",
            "evil",
            "prerouting",
            vec![
                ("PREROUTING", json!([{"vmap": {"key": 1, "data": "@doors"}}])),
                ("more", json!([{"redirect": {"port": 22}}])),
            ],
            "differs: table inet evil, chain more, rule 6 redirects",
        ),
        ("inet", "evil", "prerouting", vec![("unused", json!([dnat()]))], "holds: "),
        // After our judgement, or beside it.
        ("inet", "evil", "input", vec![rule(mangle("dport"))], "differs: table inet evil"),
        ("inet", "evil", "input", vec![rule(mangle("saddr"))], "differs: table inet evil"),
        ("inet", "evil", "postrouting", vec![rule(mangle("daddr"))], "differs: table inet evil"),
        ("inet", "qos", "postrouting", vec![rule(mangle("dscp"))], "holds: "),
        ("inet", "qos", "prerouting", vec![rule(mangle("ttl"))], "holds: "),
        ("inet", "evil", "output", vec![rule(mangle("dport"))], "holds: "),
        (
            "inet",
            "evil",
            "input",
            vec![rule(json!({"synproxy": {"mss": 1460}}))],
            "differs: table inet evil, chain PREROUTING, rule 5 answers in this host's stead",
        ),
        (
            "inet",
            "evil",
            "forward",
            vec![rule(json!({"queue": {"num": 3}}))],
            "differs: table inet evil, chain PREROUTING, rule 5 hands packets to a program",
        ),
        (
            "inet",
            "evil",
            "prerouting",
            vec![rule(json!({"ct helper": "ftp-x"}))],
            "differs: table inet evil, chain PREROUTING, rule 5 has related connections let in",
        ),
        ("ip", "filter", "input", vec![rule(json!({"xt": null}))], "holds: "),
        (
            "ip",
            "filter",
            "input",
            vec![rule(json!({"xt": {"type": "target", "name": "NFQUEUE"}}))],
            "differs: table ip filter, chain PREROUTING, rule 5 hands",
        ),
        // The engines publish ports; a rule beside theirs in the shared table is not theirs.
        (
            "ip",
            "docker-bridges",
            "prerouting",
            vec![rule(dnat())],
            "holds: none in ip docker-bridges (docker)",
        ),
        ("ip", "docker-bridges", "prerouting", vec![rule(json!({"redirect": null}))], "differs: "),
        (
            "inet",
            "netavark",
            "prerouting",
            vec![jump("NETAVARK"), ("NETAVARK", json!([dnat()]))],
            "holds: none in inet netavark (podman)",
        ),
        (
            "ip",
            "nat",
            "prerouting",
            vec![jump("DOCKER"), ("DOCKER", json!([{"xt": null}]))],
            "holds: none in ip nat (docker)",
        ),
        (
            "ip",
            "nat",
            "prerouting",
            vec![jump("DOCKER"), rule(dnat()), ("DOCKER", json!([dnat()]))],
            "differs: table ip nat, chain PREROUTING, rule 6",
        ),
        // iptables' own: 1.0.6 does not say what it is, later ones do.
        (
            "ip",
            "nat",
            "prerouting",
            vec![rule(json!({"xt": null}))],
            "unknown: table ip nat, chain PREROUTING, rule 5 does what nft does not show; iptables-save",
        ),
        (
            "ip",
            "nat",
            "prerouting",
            vec![rule(json!({"xt": {"type": "target", "name": "REDIRECT"}}))],
            "differs: table ip nat, chain PREROUTING, rule 5 redirects",
        ),
        (
            "ip",
            "raw",
            "prerouting",
            vec![rule(json!({"xt": {"type": "target", "name": "CT"}}))],
            "unknown: ",
        ),
        (
            "ip",
            "mangle",
            "prerouting",
            vec![rule(json!({"xt": {"type": "target", "name": "MARK"}}))],
            "holds: none in ip mangle (iptables)",
        ),
        // Ours is compared rule by rule.
        ("inet", "holdfast", "prerouting", vec![rule(dnat())], "holds: there are no other tables"),
    ];
    for (family, table, hook, rules, wanted) in cases {
        let found = verdict(&listing(family, table, hook, &rules));
        assert!(found.starts_with(wanted), "{family} {table} {rules:?}:\n{found}\n{wanted}");
    }
    assert!(verdict(&json!({"nftables": 1})).starts_with("unknown: "));
}

#[test]
fn tables_have_owners() {
    let owner = |family: &str, name: &str, chain: &str| {
        let listing = listing(family, name, "prerouting", &[(chain, json!([]))]);
        ForeignTable::all(&listing).unwrap()[0].owner()
    };
    let cases = [
        ("inet", "holdfast", "x", Owner::Holdfast),
        ("ip6", "docker-bridges", "x", Owner::Docker),
        ("ip", "filter", "DOCKER-USER", Owner::Docker),
        ("ip", "nat", "NETAVARK-HOSTPORT-DNAT", Owner::Podman),
        ("ip", "filter", "LIBVIRT_INP", Owner::Libvirt),
        ("inet", "f2b-table", "f2b-chain", Owner::Bans),
        ("ip", "filter", "f2b-sshd", Owner::Bans),
        ("ip", "filter", "ufw-user-input", Owner::Ufw),
        ("inet", "firewalld", "x", Owner::Firewalld),
        ("ip", "filter", "INPUT", Owner::Iptables),
        ("inet", "filter", "input", Owner::Unknown),
        ("ip", "holdfast", "x", Owner::Unknown),
    ];
    for (family, name, chain, wanted) in cases {
        assert_eq!(owner(family, name, chain), wanted, "{family} {name} {chain}");
    }
}
