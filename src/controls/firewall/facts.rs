//! What the desired table depends on beside the profile: read from the host, then handed to pure code.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use super::{
    blocklist,
    forward::{FORWARD, OUTSIDE},
    services::{self, Found},
};
use crate::{
    controls::Sight,
    host::nft::{self, OwnTable},
    profile::{
        schema::{Firewall, Forward},
        types::Interface,
    },
};

/// The interfaces there are, with what they have counted.
const INTERFACES: &str = "/proc/thread-self/net/dev";

/// Everything of a host that decides what its table must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The interfaces that lead outside, sorted.
    pub outside: Vec<Interface>,
    /// How they are known.
    pub known_by: KnownBy,
    /// The ports of allows that take them from a service's own configuration, or why they cannot be known.
    pub services: Found,
    /// The networks of each block, by its name.
    pub blocks: BTreeMap<String, Vec<IpNet>>,
}

/// How it is known which interfaces lead outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KnownBy {
    /// The profile names them; these are not there (yet).
    Profile {
        /// Names and patterns that no interface has.
        without: Vec<Interface>,
    },
    /// The default routes, of whatever table, lead through them.
    Routes,
    /// There is no default route; the table that is loaded names them.
    Table,
    /// It is not known.
    #[default]
    Nothing,
    /// It is not known, and nothing is forwarded.
    NothingForwarded,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// What is missing, for a person, with what to do about it: there is no desired table then, and nothing is changed.
    pub async fn gather(section: &Firewall, sight: &Sight<'_>) -> Result<Self, String> {
        let blocks = blocklist::read(section, sight.host)?;
        let (outside, known_by) = outside(section, sight).await?;
        if outside.is_empty() && section.egress.is_some() {
            return Err("there is no default route, so it is not known what leaves; name the interface in firewall.outside".to_owned());
        }
        let services = services::gather(section, sight.host).await;
        Ok(Self { outside, known_by, services, blocks })
    }
}

async fn outside(
    section: &Firewall,
    sight: &Sight<'_>,
) -> Result<(Vec<Interface>, KnownBy), String> {
    let host = sight.host;
    if let Some(named) = &section.outside {
        let there = host.files().text(INTERFACES).map_err(|error| error.chain())?;
        let there = interfaces(&there.unwrap_or_default());
        let is_missing = |name: &&Interface| !there.iter().any(|there| name.matches(there));
        let without = named.iter().filter(is_missing).cloned().collect();
        return Ok((sorted(named.clone()), KnownBy::Profile { without }));
    }
    let names = host.interfaces_to_everybody().map_err(|error| error.chain())?;
    if !names.is_empty() {
        let parse = |name: &String| {
            name.parse::<Interface>().map_err(|_| {
                let shown: String = name.escape_debug().collect();
                format!(
                    "the default route leads through {shown}, a name that cannot be put into rules; \
                     set firewall.outside to a pattern that fits it"
                )
            })
        };
        let names = names.iter().map(parse).collect::<Result<_, _>>()?;
        return Ok((sorted(names), KnownBy::Routes));
    }
    // A route may be gone for a while, as when a lease is renewed; what leads outside has not changed for that.
    if section.forward == Forward::Containers
        && let Some(OwnTable::Json(listing)) = declared(sight).await
    {
        let names = named_in(&listing);
        if !names.is_empty() {
            return Ok((sorted(names), KnownBy::Table));
        }
    }
    let is_on = |key: &str| host.sysctl(key).ok().flatten().is_none_or(|value| value != "0");
    let forwards = is_on("net.ipv4.ip_forward") || is_on("net.ipv6.conf.all.forwarding");
    Ok((Vec::new(), if forwards { KnownBy::Nothing } else { KnownBy::NothingForwarded }))
}

/// The live table without the elements of its sets, if it can be had.
async fn declared(sight: &Sight<'_>) -> Option<OwnTable> {
    match &sight.tables().await.listing {
        Ok(listing) => nft::own_of(listing),
        // Another table may be what cannot be read.
        Err(_) => sight.host.own_table().await.ok(),
    }
}

fn sorted(mut names: Vec<Interface>) -> Vec<Interface> {
    names.sort();
    names.dedup();
    names
}

/// The names of all interfaces, from `/proc/net/dev`.
pub(super) fn interfaces(table: &str) -> Vec<String> {
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_owned());
    table.lines().filter_map(name).collect()
}

/// The interfaces that a loaded table takes for those that lead outside, from nft's listing.
pub(super) fn named_in(listing: &Value) -> Vec<Interface> {
    let objects = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let rules = objects.filter_map(|object| object.get("rule"));
    let interface = |rule: &Value| {
        let statements = rule.get("expr")?.as_array()?;
        let jumps = statements.iter().any(|each| each["jump"]["target"] == OUTSIDE);
        let matched = statements.iter().find_map(|each| each.get("match"))?;
        let is_ours =
            rule["chain"] == FORWARD && jumps && matched["left"]["meta"]["key"] == "iifname";
        matched["right"].as_str().filter(|_| is_ours)?.parse().ok()
    };
    rules.filter_map(interface).collect()
}
