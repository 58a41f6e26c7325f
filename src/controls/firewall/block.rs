//! Sources that are let in by nothing: before what was let in before, so that a connection of theirs ends too.

use nftables::schema::NfListObject;
use serde_json::{Value, json};

use super::{
    Facts,
    blocklist::of_version,
    sets::{Kind, Version, declaration, name},
    terms::{INPUT, count, drop_it, field, from_set, is, jump, rule},
};
use crate::engine::document::{NETWORKS, bulk};

/// The chain that drops what blocked sources send, to this host and through it.
pub(super) const BLOCKS: &str = "blocks";

/// The comment of a block's rules; `status` counts by it.
pub(super) fn comment(block: &str) -> String {
    format!("blocked by {block}")
}

/// The sets, as commands.
pub(super) fn sets(facts: &Facts) -> Vec<Value> {
    let mut sets = Vec::new();
    for (version, block, networks) in versions(facts) {
        let mut set = declaration(&name(Kind::Block, block, version), version);
        set["flags"] = json!(["interval"]);
        set[NETWORKS] = bulk(&networks).into();
        sets.push(json!({"add": {"set": set}}));
    }
    sets
}

/// The rules of chain `blocks`. Empty: there is nobody to block.
pub(super) fn rules(facts: &Facts) -> Vec<NfListObject<'static>> {
    versions(facts)
        .map(|(version, block, _)| {
            let set = from_set(&name(Kind::Block, block, version));
            let source = is(field(version.header(), "saddr"), set);
            rule(BLOCKS, comment(block), vec![source, count(), drop_it()])
        })
        .collect()
}

/// The rule of chain `input` that sends everything there.
pub(super) fn of_input() -> NfListObject<'static> {
    rule(INPUT, "blocked sources", vec![jump(BLOCKS)])
}

/// Every block and version of IP that has networks.
fn versions(facts: &Facts) -> impl Iterator<Item = (Version, &String, Vec<ipnet::IpNet>)> {
    facts.blocks.iter().flat_map(|(block, networks)| {
        Version::BOTH.into_iter().filter_map(move |version| {
            let networks = of_version(networks, version);
            (!networks.is_empty()).then_some((version, block, networks))
        })
    })
}
