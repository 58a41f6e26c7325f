//! The desired table, as nft's JSON commands: one transaction that replaces the old table by the new one.
//!
//! Equal sections give equal bytes. Ports and networks are sorted and merged, so that a profile that lists them in
//! another order, or twice, wants the same table.

use nftables::{
    batch::Batch,
    schema::{Chain, NfListObject, Table},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use serde_json::Value;

use super::{
    Facts,
    allows::{self, At},
    always, block, break_glass, egress,
    forward::{self, FORWARD},
    sets,
    terms::{INPUT, count, rule},
};
use crate::{host::nft::TABLE, profile::schema::Firewall};

/// How many commands the document begins with that replace the table.
const TABLE_COMMANDS: usize = 3;

/// The hook's usual place, `filter`.
const PRIORITY: i32 = 0;

/// The commands that make the table what the section wants. It does not depend on the time: [`at`](super::at) makes of
/// it what nft is given.
///
/// # Errors
/// When the typed document cannot be put into JSON, which is a mistake of this program.
pub fn document(section: &Firewall, facts: &Facts) -> Result<Value, serde_json::Error> {
    let section = &facts.services.fill(section);
    let mut batch = Batch::new();
    // `destroy table` would do in newer versions; nft 1.0.6 does not know it, so: see that it is there, then delete it.
    batch.add(table());
    batch.delete(table());
    batch.add(table());
    batch.add(input_chain());
    batch.add(break_glass::set());
    let (chains, forwarded) = forward::chains_and_rules(section, facts);
    let (leaving_chains, leaving) = egress::chains_and_rules(section, facts);
    let blocks = block::rules(facts);
    let blocks_chain = (!blocks.is_empty()).then(|| forward::named_chain(block::BLOCKS));
    // A blocked source is not even answered. But a list may well name the network of the DHCP server, or of a router
    // that says "too big": what IP itself needs comes before the blocks.
    let needed = [always::dhcp(), always::icmp()].concat();
    let opened = break_glass::let_in(INPUT);
    let first = if blocks.is_empty() {
        [always::first(), vec![always::answers(), opened], needed].concat()
    } else {
        [always::first(), vec![opened], needed, vec![block::of_input(), always::answers()]].concat()
    };
    let rules = first
        .into_iter()
        .chain(always::ping(section))
        .chain([always::invalid()])
        .chain(allows::rules(section, At::Input))
        .chain([rule(INPUT, always::DROPPED, vec![count()])])
        .chain(always::log_drops(section, INPUT))
        .chain([always::rest(INPUT)]);
    let through = (!chains.is_empty()).then(|| break_glass::let_in(FORWARD));
    let chains = chains.into_iter().chain(leaving_chains).chain(blocks_chain);
    for object in chains.chain(rules).chain(through).chain(forwarded).chain(leaving).chain(blocks) {
        batch.add(object);
    }
    let mut document = serde_json::to_value(batch.to_nftables())?;
    allows::put_limits(&mut document, section);
    if let Some(commands) = document.get_mut("nftables").and_then(Value::as_array_mut) {
        // After the table, before the rules that name them.
        let sets = [sets::declared(section), block::sets(facts)].concat();
        commands.splice(TABLE_COMMANDS..TABLE_COMMANDS, sets);
    }
    Ok(document)
}

fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: NfFamily::INet, name: TABLE[1].into(), handle: None })
}

fn input_chain() -> NfListObject<'static> {
    NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        name: INPUT.into(),
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Input),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Drop),
        ..Chain::default()
    })
}
