//! What goes through this host: to containers, and from them.
//!
//! A container engine publishes a port by replacing the destination of what is sent to it, before any filter sees the
//! packet; the packet then is forwarded, and chain `input` never meets it. So what enters from outside and is forwarded
//! is judged here, by the port it was sent to at first, with the same allows. All else passes: an accept here does not
//! overrule what the engines keep in tables of their own, and a drop of ours would be final for what containers send.

use nftables::{
    schema::{Chain, NfListObject},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};

use super::{
    Facts,
    allows::{self, At, PUBLISHED},
    always, block,
    terms::{accept, count, ct_state, drop_it, enters_by, is_dnat, jump, rule},
};
use crate::{
    host::nft::TABLE,
    profile::schema::{Firewall, Forward},
};

/// The chain that sees all that is forwarded.
pub(super) const FORWARD: &str = "forward";
/// The chain that judges what enters from outside.
pub(super) const OUTSIDE: &str = "outside";

/// The comment of the rule that counts what was not let through.
pub(super) const NOT_THROUGH: &str = "not let through";

/// Before the engines' own chains, which are at 0 (`filter`): what is dropped here they need not see.
const PRIORITY: i32 = -5;

/// The chains, and then their rules. Empty where forwarding is not managed.
pub(super) fn chains_and_rules(
    section: &Firewall,
    facts: &Facts,
) -> (Vec<NfListObject<'static>>, Vec<NfListObject<'static>>) {
    let policy = match section.forward {
        Forward::Containers => NfChainPolicy::Accept,
        Forward::Deny => NfChainPolicy::Drop,
        Forward::Off => return (Vec::new(), Vec::new()),
    };
    let mut chains = vec![base_chain(FORWARD, NfHook::Forward, policy)];
    let mut rules = vec![
        // Path-MTU discovery: an error may come for a connection that connection tracking has forgotten.
        always::icmpv6_errors(FORWARD),
        always::icmp_errors(FORWARD),
    ];
    let blocked =
        if section.forward == Forward::Containers { block::rules(facts) } else { Vec::new() };
    if !blocked.is_empty() {
        // Only what enters from outside: lists name private networks too, and containers have addresses of those.
        rules.extend(facts.outside.iter().map(|interface| {
            let statements = vec![enters_by(interface), jump(block::BLOCKS)];
            rule(FORWARD, format!("blocked sources, by {interface}"), statements)
        }));
    }
    rules.push(rule(
        FORWARD,
        "answers, and what was let through before",
        vec![ct_state(&["established", "related"]), accept()],
    ));
    if section.forward == Forward::Deny {
        rules.extend(dropped(section, FORWARD));
        rules.push(always::rest(FORWARD));
        return (chains, rules);
    }
    chains.extend([OUTSIDE, PUBLISHED].map(named_chain));
    // One rule for each name: not every nft can have patterns in a set.
    rules.extend(facts.outside.iter().map(|interface| {
        rule(
            FORWARD,
            format!("from outside by {interface}"),
            vec![enters_by(interface), jump(OUTSIDE)],
        )
    }));
    rules.push(rule(OUTSIDE, "to a published port", vec![is_dnat(), jump(PUBLISHED)]));
    rules.extend(dropped(section, OUTSIDE));
    rules.push(rule(OUTSIDE, "neither published nor allowed", vec![drop_it()]));
    rules.extend(allows::rules(section, At::Published));
    (chains, rules)
}

/// What happens to the rest before it is dropped.
fn dropped(section: &Firewall, chain: &'static str) -> Vec<NfListObject<'static>> {
    let mut rules = vec![rule(chain, NOT_THROUGH, vec![count()])];
    rules.extend(always::log_drops(section, chain));
    rules
}

/// A chain that packets of a hook meet.
pub(super) fn base_chain(
    name: &'static str,
    hook: NfHook,
    policy: NfChainPolicy,
) -> NfListObject<'static> {
    NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        name: name.into(),
        _type: Some(NfChainType::Filter),
        hook: Some(hook),
        prio: Some(PRIORITY),
        policy: Some(policy),
        ..Chain::default()
    })
}

/// A chain that is only jumped to.
pub(super) fn named_chain(name: &'static str) -> NfListObject<'static> {
    NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        name: name.into(),
        ..Chain::default()
    })
}
