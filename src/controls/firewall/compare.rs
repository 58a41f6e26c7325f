//! What differs between the desired table and the live one, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::{
    expected::{Expected, key, words},
    table::{Chain, Table, Words},
};

/// How much of a rule is shown: a set in it may have thousands of elements.
const RULE_SHOWN: usize = 160;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what the message prints")]
pub enum Difference {
    /// The table is dormant, or owned by a program.
    Flags { flags: Option<String> },
    /// A chain that is not ours.
    ChainAdded { chain: String, at: String },
    /// One of ours is gone.
    ChainMissing { chain: String },
    /// Type, hook, priority or policy.
    Property { chain: String, property: String, wanted: String, live: String },
    /// A rule that is not ours.
    RuleAdded { chain: String, rule: String },
    /// One of ours is gone.
    RuleMissing { chain: String, rule: String },
    /// One of ours is at another place, so that other rules come before it.
    RuleMoved { chain: String, rule: String },
    /// A set, map or other object that is not ours.
    ObjectAdded { kind: String, name: String },
    /// One of ours is gone.
    ObjectMissing { kind: String, name: String },
    /// One of ours has other properties.
    ObjectChanged { kind: String, name: String },
    /// An element that is not ours.
    ElementAdded { kind: String, name: String, element: String },
    /// One of ours is gone.
    ElementMissing { kind: String, name: String, element: String },
    /// One of ours ends at another moment.
    ElementEnds { set: String, element: String, wanted: String, live: String },
    /// One of ours does not end.
    ElementStays { set: String, element: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flags { flags: Some(flags) } if flags == "dormant" => {
                f.write_str("the table is dormant: none of its rules is in force")
            }
            Self::Flags { flags: Some(flags) } => write!(f, "the table has flags: {flags}"),
            Self::Flags { flags: None } => f.write_str("the table has flags (dormant?)"),
            Self::ChainAdded { chain, at } => write!(f, "chain {chain} added{at}"),
            Self::ChainMissing { chain } => write!(f, "chain {chain} is missing"),
            Self::Property { chain, property, wanted, live } => {
                write!(f, "{property} of chain {chain} is {live}, not {wanted}")
            }
            Self::RuleAdded { chain, rule } => write!(f, "rule added to chain {chain}: {rule}"),
            Self::RuleMissing { chain, rule } => {
                write!(f, "rule missing from chain {chain}: {rule}")
            }
            Self::RuleMoved { chain, rule } => write!(f, "rule moved in chain {chain}: {rule}"),
            Self::ObjectAdded { kind, name } => write!(f, "{kind} {name} added"),
            Self::ObjectMissing { kind, name } => write!(f, "{kind} {name} is missing"),
            Self::ObjectChanged { kind, name } => write!(f, "{kind} {name} is of another kind"),
            Self::ElementAdded { kind, name, element } => {
                write!(f, "element added to {kind} {name}: {element}")
            }
            Self::ElementMissing { kind, name, element } => {
                write!(f, "element missing from {kind} {name}: {element}")
            }
            Self::ElementEnds { set, element, wanted, live } => {
                write!(f, "element {element} of set {set} ends {live}, not {wanted}")
            }
            Self::ElementStays { set, element } => {
                write!(f, "element {element} of set {set} does not end")
            }
        }
    }
}

/// One of the two tables, with nft's words for its rules where they were asked for.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The table.
    pub table: &'a Table,
    /// Its rules in words.
    pub words: &'a Words,
}

impl Side<'_> {
    fn rule(&self, chain: &str, index: usize) -> String {
        let rules = self.table.chains.get(chain).map_or(&[][..], |chain| &chain.rules);
        let words = self.words.rule(chain, index, rules.len()).map(str::to_owned);
        let mut text = words.or_else(|| rules.get(index).map(Value::to_string)).unwrap_or_default();
        if let Some((end, _)) = text.char_indices().nth(RULE_SHOWN) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// Every difference of the live table from the desired one, as nft and this kernel list both: the most telling first.
pub fn differences(wanted: Side<'_>, live: Side<'_>, expected: &Expected) -> Vec<Difference> {
    let mut found = Vec::new();
    if live.table.has_flags && !wanted.table.has_flags {
        found.push(Difference::Flags { flags: None });
    }
    for (name, chain) in &wanted.table.chains {
        match live.table.chains.get(name) {
            None => found.push(Difference::ChainMissing { chain: name.clone() }),
            Some(now) => {
                properties(name, chain, now, &mut found);
                rules(name, wanted, live, &mut found);
            }
        }
    }
    for (name, chain) in &live.table.chains {
        if !wanted.table.chains.contains_key(name) {
            found.push(Difference::ChainAdded { chain: name.clone(), at: place(chain) });
            found.extend((0..chain.rules.len()).map(|index| Difference::RuleAdded {
                chain: name.clone(),
                rule: live.rule(name, index),
            }));
        }
    }
    objects(wanted.table, live.table, expected, &mut found);
    found
}

/// Where packets come by a chain: ` (hook input, priority -10)`.
fn place(chain: &Chain) -> String {
    let part = |key| chain.properties.get(key);
    match (part("hook"), part("prio")) {
        (Some(hook), Some(priority)) => format!(" (hook {hook}, priority {priority})"),
        _ => String::new(),
    }
}

fn properties(name: &str, wanted: &Chain, live: &Chain, found: &mut Vec<Difference>) {
    let keys: BTreeSet<_> = wanted.properties.keys().chain(live.properties.keys()).collect();
    for key in keys {
        let value =
            |chain: &Chain| chain.properties.get(key).map_or("none", String::as_str).to_owned();
        let (wanted, live) = (value(wanted), value(live));
        if wanted != live {
            let property = if key == "prio" { "priority" } else { key }.to_owned();
            found.push(Difference::Property { chain: name.to_owned(), property, wanted, live });
        }
    }
}

/// The rules of a chain, in their order: the same rule at another place is another meaning.
fn rules(chain: &str, wanted: Side<'_>, live: Side<'_>, found: &mut Vec<Difference>) {
    let texts = |side: Side<'_>| -> Vec<String> {
        let chain = side.table.chains.get(chain);
        chain.map_or_else(Vec::new, |chain| chain.rules.iter().map(Value::to_string).collect())
    };
    let (old, new) = (texts(wanted), texts(live));
    let (mut missing, mut added) = (Vec::new(), Vec::new());
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() != DiffTag::Equal {
            missing.extend(op.old_range());
            added.extend(op.new_range());
        }
    }
    missing.retain(|gone| {
        let came_back = added.iter().position(|index| new[*index] == old[*gone]);
        if let Some(at) = came_back {
            let index = added.remove(at);
            let rule = live.rule(chain, index);
            found.push(Difference::RuleMoved { chain: chain.to_owned(), rule });
        }
        came_back.is_none()
    });
    found.extend(added.into_iter().map(|index| Difference::RuleAdded {
        chain: chain.to_owned(),
        rule: live.rule(chain, index),
    }));
    found.extend(missing.into_iter().map(|index| Difference::RuleMissing {
        chain: chain.to_owned(),
        rule: wanted.rule(chain, index),
    }));
}

fn objects(wanted: &Table, live: &Table, expected: &Expected, found: &mut Vec<Difference>) {
    for ((kind, name), object) in &wanted.objects {
        let (kind, name) = (kind.clone(), name.clone());
        match live.objects.get(&(kind.clone(), name.clone())) {
            None => found.push(Difference::ObjectMissing { kind, name }),
            Some(now) => {
                let without = |object: &Value| {
                    let mut object = object.clone();
                    object.as_object_mut().map(|map| map.remove("elem"));
                    object
                };
                if without(object) != without(now) {
                    found
                        .push(Difference::ObjectChanged { kind: kind.clone(), name: name.clone() });
                }
                if expected.is_left_out(&name) {
                    continue;
                }
                let (old, new) = (elements(object), elements(now));
                let of = |side: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
                    let only = side.iter().filter(|(key, _)| {
                        !other.contains_key(*key) && !expected.ends_about_now(&name, key)
                    });
                    only.map(|(_, element)| (kind.clone(), name.clone(), element.clone()))
                        .collect::<Vec<_>>()
                };
                found.extend(
                    of(&new, &old).into_iter().map(|(kind, name, element)| {
                        Difference::ElementAdded { kind, name, element }
                    }),
                );
                found.extend(of(&old, &new).into_iter().map(|(kind, name, element)| {
                    Difference::ElementMissing { kind, name, element }
                }));
            }
        }
    }
    let foreign = live.objects.keys().filter(|key| !wanted.objects.contains_key(*key));
    found.extend(
        foreign
            .map(|(kind, name)| Difference::ObjectAdded { kind: kind.clone(), name: name.clone() }),
    );
}

/// The elements of a set or map: what they are, by what is compared. Their order means nothing.
fn elements(object: &Value) -> BTreeMap<String, String> {
    let elements = object.get("elem").and_then(Value::as_array).into_iter().flatten();
    elements.map(|element| (key(element), words(element))).collect()
}
