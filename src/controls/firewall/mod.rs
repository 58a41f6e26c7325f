//! `firewall`: nothing reaches the host over the network but what the profile lets in.
//!
//! ```text
//! [firewall] ─ruleset─▶ document ─canonical (scratch namespace)─▶ Table ─┐
//!                           │                                            ├─ compare ─▶ differences ─▶ judgements, plan
//!                           │              live `table inet holdfast` ───┘
//!                           └──────────────────────────────────────────────────────▶ Change::Table
//! ```
//!
//! - [`facts`]: what the desired table depends on beside the profile
//! - [`services`]: the ports of allows that take them from a service's own configuration
//! - [`ruleset`]: the desired table, built with the typed schema of the `nftables` crate, as nft's JSON commands
//! - [`always`]: the rules that every host has: loopback, answers, ICMP, DHCP
//! - [`allows`]: what the section lets in, to this host and to the containers on it
//! - [`forward`]: what goes through this host
//! - [`sets`]: networks that have a name, sources that end, sources that are counted
//! - [`block`], [`blocklist`]: sources that are let in by nothing
//! - [`egress`]: what leaves
//! - [`terms`]: the few words of nft's language that these are made of
//! - [`exposure`]: what listens, who serves there, and whether the outside gets to it
//! - [`table`]: nft's raw JSON listing, made comparable
//! - [`expected`]: what the document says of its sets that a listing does not
//! - [`compare`]: what differs between two such tables, in words
//! - [`live`]: reading the live table
//! - [`observed`], [`judge`], [`control`]: observing, judging, planning
//! - [`boot`]: what is loaded at boot
//! - [`break_glass`]: how a person opens the host for a time
//! - [`foreign`], [`detour`], [`neighbours`]: other tables, and what leads around ours; other firewalls
//! - [`whole`]: all of the above as one control
//! - [`checks`]: what is checked, and why
//! - [`model`]: what the section lets in, worked out without a kernel; [`parts`]: networks cut up for it
//!
//! holdfast's rules are in a table of their own, `inet holdfast`, replaced as a whole in one nft transaction. No other
//! table is ever read or written: an `accept` in another table cannot overrule the `drop` here, and what Docker, Podman
//! or fail2ban keep in theirs stays theirs.
//!
//! # What is evidence here
//!
//! *Effective*: the live table, listed by nft, equals what this kernel makes of the desired one. *Behavioural*: a
//! packet that was just sent over loopback shows in the table's own counter, so the kernel does put packets to it. That
//! an undeclared port is really closed can only be seen from another host; nothing on this one stands where such a packet comes from, and a pair of
//! namespaces with a copy of the rules would prove the copy. The tests do it, from a peer.

mod allows;
mod always;
mod block;
mod blocklist;
pub mod boot;
pub mod break_glass;
mod checks;
mod compare;
mod control;
mod detour;
mod egress;
mod expected;
pub mod exposure;
mod facts;
pub mod foreign;
mod forward;
mod judge;
mod live;
pub mod model;
mod neighbours;
mod observed;
pub mod parts;
mod ruleset;
mod services;
mod sets;
mod table;
mod terms;
mod whole;

pub use crate::engine::document::{Bulk, at};
pub use compare::{Difference, differences};
pub use control::FirewallControl;
pub use expected::Expected;
pub use facts::{Facts, KnownBy};
pub use observed::exposure_of;
pub use ruleset::document;
pub use services::{Found, Ports};
pub use table::{Table, Words, counts};

#[cfg(test)]
mod tests;
