//! The tables of others: whose they are, and what in them would lead packets around ours.
//!
//! A foreign `accept` cannot overrule our `drop`, and a foreign `drop` only closes more; so a table that is not known is
//! shown, and is no finding by itself, or every host with fail2ban would have one. What is a finding is a rule that a
//! packet meets before our chains and that makes another packet of it: another port, another address, or one that
//! connection tracking does not see; or, wherever it is met, one that rewrites it, answers it or hands it to a program,
//! which may send it past us. Container engines publish ports that way, to containers; chain `forward` judges
//! these by the port they were sent to, so their `dnat` is no finding. Redirecting to the host itself is not theirs.
//!
//! Who can write to nft can also name a table `docker-bridges`; such a `dnat` still meets our chains. What works below
//! nft (XDP, tc) is not seen here at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    detour::{What, what},
    judge::printable,
    table::plain,
};
use crate::{
    controls::Sight,
    engine::check::Verdict,
    host::{Reader, nft::TABLE},
};

/// How many rules a finding names.
const SHOWN: usize = 3;

/// How much of a rule is shown.
const RULE_SHOWN: usize = 160;

/// The hooks that a packet from outside meets before it is known where it goes.
const EARLY: [&str; 2] = ["ingress", "prerouting"];

/// The hooks at which our chains judge it, and one after: what is rewritten there, before or after our judgement, is not
/// what we have judged.
const LATE: [&str; 3] = ["input", "forward", "postrouting"];

/// Whose a table or chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Ours.
    Holdfast,
    /// Docker's.
    Docker,
    /// Podman's (netavark, CNI).
    Podman,
    /// That of libvirt, LXD or Incus.
    Libvirt,
    /// Kubernetes'.
    Kubernetes,
    /// fail2ban's, `CrowdSec`'s or sshguard's: they only close more.
    Bans,
    /// ufw's.
    Ufw,
    /// firewalld's.
    Firewalld,
    /// Made by iptables, by whomever.
    Iptables,
    /// Nobody's that is known.
    Unknown,
}

impl Owner {
    /// As it is printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Libvirt => "libvirt",
            Self::Kubernetes => "kubernetes",
            Self::Bans => "bans",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
            Self::Iptables => "iptables",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it publishes containers' or guests' ports.
    const fn publishes(self) -> bool {
        matches!(self, Self::Docker | Self::Podman | Self::Libvirt | Self::Kubernetes)
    }
}

/// Tables by their names.
const TABLES: [(&str, Owner); 14] = [
    ("docker-bridges", Owner::Docker),
    ("netavark", Owner::Podman),
    ("libvirt_network", Owner::Libvirt),
    ("lxd", Owner::Libvirt),
    ("incus", Owner::Libvirt),
    ("kube-proxy", Owner::Kubernetes),
    ("f2b-table", Owner::Bans),
    ("crowdsec", Owner::Bans),
    ("crowdsec6", Owner::Bans),
    ("crowdsec-ipv4", Owner::Bans),
    ("crowdsec-ipv6", Owner::Bans),
    ("sshguard", Owner::Bans),
    ("firewalld", Owner::Firewalld),
    ("firewalld_policy_drop", Owner::Firewalld),
];

/// Chains that these make in the tables which all users of iptables share, by how their names begin.
const CHAINS: [(&str, Owner); 12] = [
    ("DOCKER", Owner::Docker),
    ("NETAVARK", Owner::Podman),
    ("CNI-", Owner::Podman),
    ("LIBVIRT_", Owner::Libvirt),
    ("KUBE-", Owner::Kubernetes),
    ("cali-", Owner::Kubernetes),
    ("f2b-", Owner::Bans),
    ("CROWDSEC", Owner::Bans),
    ("sshguard", Owner::Bans),
    ("ufw-", Owner::Ufw),
    ("ufw6-", Owner::Ufw),
    ("ufw", Owner::Ufw),
];

/// The tables that iptables-nft makes.
const IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// A table, with what is needed to judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTable {
    /// Its family: `ip`, `ip6`, `inet`, `netdev`, `bridge`, `arp`.
    pub family: String,
    /// Its name.
    pub name: String,
    /// Its chains, by name.
    pub chains: BTreeMap<String, ForeignChain>,
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignChain {
    /// Where packets come by it: hook and priority. `None`: it is only jumped to.
    pub hook: Option<(String, i64)>,
    /// What happens to what no rule decides on.
    pub policy: Option<String>,
    /// Handle and statements of each rule.
    rules: Vec<(u64, Vec<Value>)>,
}

impl ForeignTable {
    /// The tables in nft's listing of everything, in its order.
    ///
    /// # Errors
    /// When it is not such a listing.
    pub fn all(listing: &Value) -> Result<Vec<Self>, String> {
        let objects =
            listing["nftables"].as_array().ok_or("nft's listing has no list \"nftables\"")?;
        let mut tables: Vec<Self> = Vec::new();
        for object in objects {
            if let Some(table) = object.get("table") {
                let (family, name) = (plain(&table["family"]), plain(&table["name"]));
                tables.push(Self { family, name, chains: BTreeMap::new() });
            }
            let part =
                ["chain", "rule"].into_iter().find_map(|kind| Some((kind, object.get(kind)?)));
            let Some((kind, part)) = part else { continue };
            let of =
                |table: &&mut Self| part["family"] == *table.family && part["table"] == *table.name;
            let Some(table) = tables.iter_mut().find(of) else { continue };
            let name = plain(&part[if kind == "chain" { "name" } else { "chain" }]);
            let chain = table.chains.entry(name).or_default();
            if kind == "rule" {
                let statements = part["expr"].as_array().cloned().unwrap_or_default();
                chain.rules.push((part["handle"].as_u64().unwrap_or_default(), statements));
            } else {
                let hook = part["hook"].as_str().map(str::to_owned);
                chain.hook = hook.map(|hook| (hook, part["prio"].as_i64().unwrap_or_default()));
                chain.policy = part["policy"].as_str().map(str::to_owned);
            }
        }
        Ok(tables)
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        if [self.family.as_str(), &self.name] == TABLE {
            return Owner::Holdfast;
        }
        if let Some((_, owner)) = TABLES.iter().find(|(name, _)| *name == self.name) {
            return *owner;
        }
        let is_iptables = matches!(self.family.as_str(), "ip" | "ip6" | "arp" | "bridge")
            && IPTABLES.contains(&self.name.as_str());
        if !is_iptables {
            return Owner::Unknown;
        }
        self.chains.keys().find_map(|name| chain_owner(name)).unwrap_or(Owner::Iptables)
    }

    /// Where packets meet it: each base chain, and its hook, priority and policy in words.
    pub fn hooks(&self) -> impl Iterator<Item = (&str, String)> {
        self.chains.iter().filter_map(|(name, chain)| {
            let (hook, priority) = chain.hook.as_ref()?;
            let policy = chain.policy.as_deref().filter(|policy| *policy != "accept");
            let policy = policy.map(|policy| format!(", {policy}s by default")).unwrap_or_default();
            Some((name.as_str(), format!("{hook} at {priority}{policy}")))
        })
    }

    /// How many rules it has.
    pub fn rule_count(&self) -> usize {
        self.chains.values().map(|chain| chain.rules.len()).sum()
    }

    /// The chains that a packet from outside meets at these hooks, and those that are jumped to from there.
    fn met_at(&self, hooks: &[&str]) -> BTreeSet<&str> {
        let is_met = |chain: &ForeignChain| {
            chain.hook.as_ref().is_some_and(|(hook, _)| hooks.contains(&hook.as_str()))
        };
        let named = |wanted: &dyn Fn(&ForeignChain) -> bool| -> Vec<&str> {
            let fitting = self.chains.iter().filter(|(_, chain)| wanted(chain));
            fitting.map(|(name, _)| name.as_str()).collect()
        };
        let mut open = named(&is_met);
        let mut met = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let Some((name, chain)) = self.chains.get_key_value(name)
                && met.insert(name.as_str())
            {
                for statement in chain.rules.iter().flat_map(|(_, rule)| rule) {
                    targets(statement, &mut open);
                    // What is in a map that has a name is not listed: it may lead to any chain.
                    if statement["vmap"]["data"].is_string() {
                        open.extend(named(&|chain| chain.hook.is_none()));
                    }
                }
            }
        }
        met
    }

    /// The rules that lead packets around ours, and those of which that cannot be told.
    fn detours(&self) -> Vec<Detour> {
        let whole = self.owner();
        let mut found = Vec::new();
        let (early, late) = (self.met_at(&EARLY), self.met_at(&LATE));
        for name in early.union(&late).copied() {
            let is_early = early.contains(name);
            let owner = chain_owner(name).unwrap_or(whole);
            // In a table that iptables' users share, an engine's rules are in chains of its own.
            let shared = IPTABLES.contains(&self.name.as_str()) && chain_owner(name).is_none();
            let engine = owner.publishes() && !shared;
            for (handle, rule) in &self.chains[name].rules {
                let what = rule.iter().enumerate().find_map(|(at, statement)| {
                    what(statement, at + 1 == rule.len())
                        .filter(|what| !(engine && what.is_usual()))
                        .filter(|what| is_early || what.counts_late())
                });
                found.extend(what.map(|what| Detour {
                    family: self.family.clone(),
                    table: self.name.clone(),
                    chain: name.to_owned(),
                    handle: *handle,
                    what,
                    words: None,
                }));
            }
        }
        found
    }
}

fn chain_owner(name: &str) -> Option<Owner> {
    CHAINS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, owner)| *owner)
}

/// The chains a statement goes on in, at any depth: verdict maps have them inside.
fn targets<'a>(statement: &'a Value, found: &mut Vec<&'a str>) {
    match statement {
        Value::Array(items) => items.iter().for_each(|item| targets(item, found)),
        Value::Object(map) => {
            for (key, value) in map {
                if matches!(key.as_str(), "jump" | "goto") {
                    found.extend(value["target"].as_str());
                }
                targets(value, found);
            }
        }
        _ => {}
    }
}

/// A rule that leads packets around ours, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    family: String,
    table: String,
    chain: String,
    handle: u64,
    what: What,
    /// The rule in nft's words, asked for only when there is one.
    words: Option<String>,
}

impl fmt::Display for Detour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, handle, what, words } = self;
        write!(f, "table {family} {table}, chain {chain}, rule {handle} {what}")?;
        words.as_ref().map_or(Ok(()), |words| write!(f, ": {words}"))
    }
}

/// Everything nft has, as far as it is needed here.
#[derive(Debug)]
pub struct Tables {
    /// The tables, or why they cannot be seen.
    pub tables: Result<Vec<ForeignTable>, String>,
    detours: Vec<Detour>,
}

impl Tables {
    /// Lists them, without the elements of sets: however large these are, they say nothing here.
    pub async fn of(sight: &Sight<'_>) -> Self {
        let mut tables = match &sight.tables().await.listing {
            Ok(listing) => Self::from_listing(listing),
            Err(why) => Self { tables: Err(why.clone()), detours: Vec::new() },
        };
        for detour in tables.detours.iter_mut().take(SHOWN) {
            detour.words = words(sight.host, detour).await;
        }
        tables
    }

    /// Takes nft's listing of everything.
    pub(super) fn from_listing(listing: &Value) -> Self {
        let tables = ForeignTable::all(listing);
        let detours = tables.as_deref().map(detours).unwrap_or_default();
        Self { tables, detours }
    }

    /// Whether anything leads packets around ours.
    pub(super) fn verdict(&self) -> Verdict {
        if let Err(why) = &self.tables {
            return Verdict::Unknown { why: why.clone() };
        }
        let (hidden, seen): (Vec<_>, Vec<_>) =
            self.detours.iter().partition(|detour| matches!(detour.what, What::Hidden(_)));
        match (seen.is_empty(), hidden.is_empty()) {
            (false, _) => Verdict::Differs { observed: named(&seen) },
            (true, false) => Verdict::Unknown {
                why: format!("{}; iptables-save shows what it is", named(&hidden)),
            },
            (true, true) => Verdict::Holds { observed: self.summary() },
        }
    }

    fn summary(&self) -> String {
        let foreign = self.tables.iter().flatten().filter(|table| table.owner() != Owner::Holdfast);
        let names: Vec<String> = foreign
            .map(|table| format!("{} {} ({})", table.family, table.name, table.owner().word()))
            .collect();
        match names.as_slice() {
            [] => "there are no other tables".to_owned(),
            names => printable(&format!("none in {}", names.join(", "))),
        }
    }
}

/// Those in all tables but ours, whose rules are compared one by one.
fn detours(tables: &[ForeignTable]) -> Vec<Detour> {
    let foreign = tables.iter().filter(|table| table.owner() != Owner::Holdfast);
    foreign.flat_map(ForeignTable::detours).collect()
}

fn named(detours: &[&Detour]) -> String {
    let mut line =
        detours.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let Some(more) = detours.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line.push_str(&format!("; and {more} more"));
    }
    printable(&line)
}

async fn words(host: &Reader, detour: &Detour) -> Option<String> {
    let Detour { family, table, chain, handle, .. } = detour;
    let args = ["-a", "-s", "-n", "list", "chain", family, table, chain];
    let listing = host.ask("nft", &args).await.ok()?.success().ok()?;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    let end = format!(" # handle {handle}");
    let rule =
        listing.lines().find_map(|line| line.trim().strip_suffix(&end).map(str::to_owned))?;
    Some(rule.chars().take(RULE_SHOWN).collect())
}
