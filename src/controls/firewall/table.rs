//! nft's raw JSON listing of one table, made comparable.
//!
//! Taken away is what differs between two loads of the same rules: handles, what is left of an element's time, counts,
//! the version of nft. Objects are kept by kind and name, because versions list them in different orders; rules keep
//! their order, which is what they mean. Nothing is parsed into types: what is not known is compared as it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::host::nft::BREAK_GLASS;

/// A listing that can be compared with another one of the same nft and kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Whether it has flags: it is dormant, or another program owns it. Which one is not kept: nft 1.0.6 prints stray
    /// memory here.
    pub has_flags: bool,
    /// Chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// Sets, maps, counters and all else, by kind and name.
    pub objects: BTreeMap<(String, String), Value>,
}

/// A chain and its rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Type, hook, priority and policy; empty for one that is only jumped to.
    pub properties: BTreeMap<String, String>,
    /// Each rule's statements and comment.
    pub rules: Vec<Value>,
}

impl Table {
    /// Takes nft's listing of one table.
    ///
    /// # Errors
    /// When it is not one: what is wrong with it, in words.
    pub fn from_listing(listing: &Value) -> Result<Self, String> {
        let objects = listing
            .get("nftables")
            .and_then(Value::as_array)
            .ok_or("nft's listing has no list \"nftables\"")?;
        let mut table = Self::default();
        for object in objects {
            let (kind, mut body) = match object.as_object().map(|o| o.iter().collect::<Vec<_>>()) {
                Some(entries) if entries.len() == 1 => {
                    (entries[0].0.as_str(), entries[0].1.clone())
                }
                _ => return Err(format!("nft's listing has an entry of another form: {object}")),
            };
            strip(&mut body);
            let Value::Object(body) = body else {
                return Err(format!("nft's listing has an entry of another form: {object}"));
            };
            table.take(kind, body);
        }
        Ok(table)
    }

    fn take(&mut self, kind: &str, mut body: Map<String, Value>) {
        for key in ["handle", "family", "table"] {
            body.remove(key);
        }
        match kind {
            "metainfo" => {}
            "table" => self.has_flags = body.contains_key("flags"),
            "chain" => {
                let name = take_text(&mut body, "name");
                let properties = body.iter().map(|(key, value)| (key.clone(), plain(value)));
                self.chains.entry(name).or_default().properties = properties.collect();
            }
            "rule" => {
                let chain = take_text(&mut body, "chain");
                self.chains.entry(chain).or_default().rules.push(Value::Object(body));
            }
            _ => {
                let name = take_text(&mut body, "name");
                if name == BREAK_GLASS {
                    // Judged by itself: it may hold what a person let in for a time.
                    body.remove("elem");
                }
                self.objects.insert((kind.to_owned(), name), Value::Object(body));
            }
        }
    }

    /// How many rules there are in all.
    pub fn rule_count(&self) -> usize {
        self.chains.values().map(|chain| chain.rules.len()).sum()
    }
}

/// The packets counted by the rule with this comment, in a raw listing; `None` when there is no such rule.
pub(super) fn packets(listing: &Value, comment: &str) -> Option<u64> {
    let rules = listing.get("nftables")?.as_array()?.iter().filter_map(|object| object.get("rule"));
    let counted = rules.filter(|rule| rule.get("comment").and_then(Value::as_str) == Some(comment));
    let mut statements = counted.filter_map(|rule| rule.get("expr")?.as_array()).flatten();
    statements.find_map(|statement| statement.get("counter")?.get("packets")?.as_u64())
}

/// What the rules of a raw listing have counted, in packets: by their comments, in their order, those with one comment
/// together. What is let in again and again without being asked again (answers) is not counted by the rule that let it in
/// first, so an allow counts new connections.
pub fn counts(listing: &Value) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = Vec::new();
    let objects = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    for rule in objects.filter_map(|object| object.get("rule")) {
        let statements = rule.get("expr").and_then(Value::as_array).into_iter().flatten();
        let mut counted =
            statements.filter_map(|each| each.get("counter")?.get("packets")?.as_u64());
        let comment = rule.get("comment").and_then(Value::as_str);
        if let (Some(packets), Some(comment)) = (counted.next(), comment) {
            match counts.iter_mut().find(|(known, _)| known == comment) {
                Some((_, sum)) => *sum = sum.saturating_add(packets),
                None => counts.push((comment.to_owned(), packets)),
            }
        }
    }
    counts
}

/// The rules of each chain in nft's own words, from its text listing. Empty when the text is not what is expected: then
/// rules are shown as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(BTreeMap<String, Vec<String>>);

impl Words {
    /// Takes nft's text listing of one table.
    pub fn from_listing(text: &str) -> Self {
        let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut chain: Option<&str> = None;
        for line in text.lines().map(str::trim) {
            match chain {
                None => {
                    chain = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {"));
                    if let Some(name) = chain {
                        chains.entry(name.to_owned()).or_default();
                    }
                }
                Some(_) if line == "}" => chain = None,
                // A base chain's own line, which ends in a semicolon as no rule does.
                Some(_) if line.is_empty() || line.starts_with("type ") && line.ends_with(';') => {}
                Some(name) => chains.entry(name.to_owned()).or_default().push(line.to_owned()),
            }
        }
        Self(chains)
    }

    /// The rule at this place of a chain that has so many, if the text agrees that it has.
    pub fn rule(&self, chain: &str, index: usize, of: usize) -> Option<&str> {
        let rules = self.0.get(chain).filter(|rules| rules.len() == of)?;
        rules.get(index).map(String::as_str)
    }
}

/// Removes what changes by itself, at any depth.
fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(map) => {
            map.remove("expires");
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("counter", Value::Object(counter)) if counter.contains_key("packets") => {
                        *value = Value::Null;
                    }
                    ("quota", Value::Object(quota)) => {
                        quota.remove("used");
                        quota.remove("used_unit");
                    }
                    _ => strip(value),
                }
            }
            // A named counter is an object of its own.
            if map.contains_key("packets") && map.contains_key("bytes") {
                map.remove("packets");
                map.remove("bytes");
            }
        }
        _ => {}
    }
}

fn take_text(body: &mut Map<String, Value>, key: &str) -> String {
    body.remove(key).map_or_else(String::new, |value| plain(&value))
}

/// A string without its quotes, all else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
