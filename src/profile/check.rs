//! One file's tree against the JSON Schema: every unknown key, missing key and bad value at once.
//!
//! It knows nothing of what the sections mean. It marks what it finds fault with as bad, so that
//! merging and validation can go on with the rest.

use serde_json::Value as Schema;

use super::diagnostic::Diagnostic;
use super::schema_json::{MERGE_KEY, REMOVE, free_values, key_format, required};
use super::source::Span;
use super::tree::{Node, Table, Value};
use super::types::{Format, SysctlKey, shown};
use value::{fits, from_invalid};

mod value;

/// Checks one file. Of a file that is not `sound` TOML only part could be read, so nothing is said
/// of what is missing there.
pub(crate) fn check(root: &mut Node, schema: &Schema, sound: bool, found: &mut Vec<Diagnostic>) {
    Checker { found, sound }.node(root, schema);
}

/// Lists are compared item by item with each other; no host needs longer ones.
const MOST_ITEMS: usize = 1000;

struct Checker<'a> {
    found: &'a mut Vec<Diagnostic>,
    sound: bool,
}

impl Checker<'_> {
    fn node(&mut self, node: &mut Node, schema: &Schema) {
        if node.bad {
            return;
        }
        if let Err(diagnostic) = fits(node, schema) {
            self.found.push(*diagnostic);
            node.bad = true;
            return;
        }
        let span = node.span;
        match &mut node.value {
            Value::Table(table) => {
                if let Some(values) = free_values(schema) {
                    self.free_table(table, values, key_format(schema));
                } else {
                    // A required key that is missing or bad leaves nothing to read.
                    node.bad |= !self.table(table, schema, span);
                }
            }
            Value::Array(items) => self.array(items, schema, span),
            _ => {}
        }
    }

    /// Says whether every required key is there.
    fn table(&mut self, table: &mut Table, schema: &Schema, span: Span) -> bool {
        let Some(known) = schema.get("properties").and_then(Schema::as_object) else {
            return true;
        };
        for (key, entry) in table.iter_mut() {
            if let Some(schema) = known.get(key) {
                self.node(&mut entry.node, schema);
            } else {
                self.found.push(unknown_key(key, entry.key, known.keys().map(String::as_str)));
                entry.node.bad = true;
            }
        }
        let mut whole = true;
        for key in required(schema) {
            if let Some(entry) = table.get(key) {
                whole &= !entry.node.bad;
            } else {
                whole = false;
                self.missing(span, key, format!("`{key}` is required here"));
            }
        }
        whole
    }

    /// A table whose keys are not known beforehand but have a format.
    fn free_table(&mut self, table: &mut Table, values: &Schema, format: Option<&str>) {
        let format = format.and_then(Format::named);
        let is_sysctl = format.is_some_and(|format| format.name == "holdfast-sysctl-key");
        let mut renamed = Table::new();
        for (key, mut entry) in std::mem::take(table) {
            if is_sysctl && entry.node.table().is_some() {
                self.found.push(unquoted(&key, &entry.node).label_at(entry.key));
                entry.node.bad = true;
                renamed.insert(key, entry);
                continue;
            }
            if let Some(Err(invalid)) = format.map(|format| (format.check)(&key)) {
                self.found.push(from_invalid(entry.key, invalid));
                entry.node.bad = true;
                renamed.insert(key, entry);
                continue;
            }
            self.node(&mut entry.node, values);
            // One key may be written in two ways: from here on there is one.
            let canonical = match key.parse::<SysctlKey>() {
                Ok(parsed) if is_sysctl => parsed.to_string(),
                _ => key,
            };
            if let Some(other) = renamed.get(&canonical) {
                let message = format!("`{canonical}` is set twice");
                self.found.push(
                    Diagnostic::error(entry.key.max(other.key), message)
                        .and(entry.key.min(other.key), "first set here"),
                );
                continue;
            }
            renamed.insert(canonical, entry);
        }
        *table = renamed;
    }

    fn array(&mut self, items: &mut [Node], schema: &Schema, span: Span) {
        let least = schema.get("minItems").and_then(Schema::as_u64).unwrap_or(0);
        if self.sound && (items.len() as u64) < least {
            self.found.push(
                Diagnostic::error(span, "this list may not be empty")
                    .help("leave the key out where it is not to be managed"),
            );
        }
        let Some(item_schema) = schema.get("items") else {
            return;
        };
        if items.len() > MOST_ITEMS {
            let message = format!("this list has {} items, more than {MOST_ITEMS}", items.len());
            self.found.push(Diagnostic::error(span, message));
            for item in items.iter_mut() {
                item.bad = true;
            }
            return;
        }
        let merge_key = schema.get(MERGE_KEY).and_then(Schema::as_str);
        for item in items.iter_mut() {
            match merge_key {
                Some(key) if is_removal(item) => self.removal(item, item_schema, key),
                _ => self.node(item, item_schema),
            }
            // Half an entry would be complained of again for what it lacks.
            item.bad |= merge_key.is_some() && has_bad_part(item);
        }
        if let Some(key) = merge_key {
            self.unique(items, key);
        }
    }

    /// An entry that drops an inherited one: its key, and nothing else.
    fn removal(&mut self, item: &mut Node, schema: &Schema, merge_key: &str) {
        let span = item.span;
        let Value::Table(table) = &mut item.value else {
            return;
        };
        let known = schema.get("properties").and_then(Schema::as_object);
        for (key, entry) in table.iter_mut() {
            let Some(schema) = known.and_then(|known| known.get(key)) else {
                let keys = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
                self.found.push(unknown_key(key, entry.key, keys));
                continue;
            };
            if key == merge_key || key == REMOVE {
                self.node(&mut entry.node, schema);
                continue;
            }
            self.found.push(
                Diagnostic::error(
                    entry.key,
                    format!("`{key}` has no place beside `remove = true`"),
                )
                .help(format!("an entry that is removed has its `{merge_key}` only")),
            );
        }
        if let Some(entry) = table.get(merge_key) {
            item.bad = entry.node.bad;
        } else {
            item.bad = true;
            self.missing(span, merge_key, "which entry is to be removed?".into());
        }
    }

    fn missing(&mut self, span: Span, key: &str, label: String) {
        if self.sound {
            let message = format!("the key `{key}` is missing");
            self.found.push(Diagnostic::error(span, message).label(label));
        }
    }

    /// No two entries of one file may have the same natural key.
    fn unique(&mut self, items: &mut [Node], key: &str) {
        for at in 1..items.len() {
            let (before, rest) = items.split_at_mut(at);
            let Some(item) = rest.first_mut() else {
                continue;
            };
            let Some(text) = item.get(key).and_then(Node::text) else {
                continue;
            };
            let same = |other: &&Node| other.get(key).and_then(Node::text) == Some(text);
            if let Some(first) = before.iter().find(same) {
                let span = |node: &Node| node.get(key).map_or(node.span, |value| value.span);
                self.found.push(
                    Diagnostic::error(span(item), format!("there are two entries `{text}`"))
                        .and(span(first), "the first is here")
                        .help(format!("the `{key}` of each entry is its own")),
                );
                item.bad = true;
            }
        }
    }
}

impl Diagnostic {
    /// Moves it to a key, where the value itself would show too much.
    fn label_at(mut self, key: Span) -> Self {
        self.place = super::diagnostic::Place::Span(key);
        self
    }
}

fn has_bad_part(node: &Node) -> bool {
    match &node.value {
        Value::Table(table) => {
            table.values().any(|entry| entry.node.bad || has_bad_part(&entry.node))
        }
        Value::Array(items) => items.iter().any(|item| item.bad || has_bad_part(item)),
        _ => false,
    }
}

/// Whether an entry of a merged array says `remove = true`.
pub(crate) fn is_removal(item: &Node) -> bool {
    item.get(REMOVE).is_some_and(|node| node.value == Value::Boolean(true))
}

/// `net.ipv4.ip_forward = 1` without quotes is a table in a table in a table.
fn unquoted(key: &str, node: &Node) -> Diagnostic {
    let mut name = vec![key.to_owned()];
    let mut at = node;
    while let Some((key, entry)) = at.table().and_then(Table::first_key_value) {
        name.push(key.clone());
        at = &entry.node;
    }
    let value = match &at.value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => format!("\"{}\"", text.escape_debug()),
        _ => "…".to_owned(),
    };
    Diagnostic::error(node.span, "the dots of this kernel parameter make tables of it")
        .help(format!("quote the key: \"{}\" = {value}", name.join(".")))
}

fn unknown_key<'a>(key: &str, span: Span, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    /// With a good guess at hand, a longer list would only hide it.
    const MOST_LISTED: usize = 12;
    let known: Vec<_> = known.collect();
    let list: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    let list = format!("the keys known here are {}", list.join(", "));
    let help = match nearest(key, known.iter().copied()) {
        Some(near) if known.len() > MOST_LISTED => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? ({list})"),
        None => list,
    };
    Diagnostic::error(span, format!("unknown key {}", shown(key))).help(help)
}

/// The known word that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // `PermitRootLogin` and `permit-root-login` are `permit_root_login` as others write it.
    let plain = |word: &str| -> String {
        word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(word);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
