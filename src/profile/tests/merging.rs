//! Properties of merging: associative, idempotent, with an empty identity, blind to the order of
//! keys. Removal is left out: what it removes depends on what is beneath it, as it should.

use proptest::prelude::*;

use crate::profile::check::check;
use crate::profile::merge::merge;
use crate::profile::schema_json::schema;
use crate::profile::tree::{Node, parse};

/// One file as lines that belong together; any choice of them, in any order, is a profile.
fn document() -> impl Strategy<Value = Vec<String>> {
    let line = |key: &'static str, values: &'static [&'static str]| {
        proptest::option::of(proptest::sample::select(values))
            .prop_map(move |value| value.map(|value| format!("{key} = {value}")))
    };
    let allow = |name: &'static str| {
        let tcp = line("tcp", &["[22]", "[80, 443]", "[]"]);
        let from = line("from", &["[]", "[\"10.0.0.0/8\"]"]);
        (tcp, from, any::<bool>()).prop_map(move |(tcp, from, there)| {
            let fields: Vec<_> =
                [Some(format!("name = \"{name}\"")), tcp, from].into_iter().flatten().collect();
            there.then(|| format!("{{ {} }}", fields.join(", ")))
        })
    };
    let allows = (allow("a"), allow("b"), allow("c"), any::<bool>()).prop_map(|(a, b, c, turn)| {
        let mut all: Vec<_> = [a, b, c].into_iter().flatten().collect();
        if turn {
            all.reverse();
        }
        (!all.is_empty()).then(|| format!("firewall.allow = [{}]", all.join(", ")))
    });
    (
        line("firewall.ping", &["true", "false"]),
        line("firewall.log_drops.burst", &["1", "2"]),
        line("ssh.ports", &["[22]", "[2022, 22]"]),
        line("ssh.max_sessions", &["1", "2", "3"]),
        line("sysctl.values.\"a.b\"", &["0", "1"]),
        line("sysctl.values.\"a/c\"", &["0", "\"1 2\""]),
        line("services.enabled", &["[]", "[\"a.service\"]"]),
        allows,
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| {
            [a, b, c, d, e, f, g, h].into_iter().flatten().collect()
        })
}

fn node(lines: &[String]) -> Node {
    let mut found = Vec::new();
    let mut root = parse(&lines.join("\n"), 0, &mut found);
    check(&mut root, schema(), true, &mut found);
    assert!(found.is_empty(), "{found:?}\n{}", lines.join("\n"));
    root
}

fn laid(base: Node, over: Node) -> Node {
    let mut found = Vec::new();
    let merged = merge(base, over, &mut found);
    assert!(found.is_empty());
    merged
}

proptest! {
    #[test]
    fn associative(a in document(), b in document(), c in document()) {
        let left = laid(laid(node(&a), node(&b)), node(&c));
        let right = laid(node(&a), laid(node(&b), node(&c)));
        prop_assert_eq!(left.to_json(), right.to_json());
    }

    #[test]
    fn idempotent(a in document()) {
        prop_assert_eq!(laid(node(&a), node(&a)).to_json(), node(&a).to_json());
    }

    #[test]
    fn empty_is_the_identity(a in document()) {
        prop_assert_eq!(laid(Node::empty(), node(&a)).to_json(), node(&a).to_json());
        prop_assert_eq!(laid(node(&a), Node::empty()).to_json(), node(&a).to_json());
    }

    #[test]
    fn the_order_of_keys_does_not_matter(a in document(), b in document()) {
        let turned: Vec<_> = b.iter().rev().cloned().collect();
        prop_assert_eq!(
            laid(node(&a), node(&b)).to_json(),
            laid(node(&a), node(&turned)).to_json()
        );
    }

    #[test]
    fn the_later_one_wins(a in document(), b in document()) {
        // Every single value and plain list of the later one stands in the result.
        let merged = laid(node(&a), node(&b)).to_json();
        let later = node(&b).to_json();
        for path in ["/firewall/ping", "/ssh/ports", "/ssh/max_sessions", "/services/enabled"] {
            if let Some(value) = later.pointer(path) {
                prop_assert_eq!(merged.pointer(path), Some(value));
            }
        }
    }
}
