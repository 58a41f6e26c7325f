//! A TOML document as a tree that remembers where every key and value was written.
//!
//! It is owned, its spans are already those of the [`SourceMap`](super::source::SourceMap), so
//! trees of several files can be merged into one. Checking, merging and looking up origins work on
//! it; serde gets the JSON made of it at the end.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::source::Span;
use super::types::holds_private_key;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// A fault has been reported here: leave it out of what is deserialised.
    pub(crate) bad: bool,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float,
    Boolean(bool),
    /// Kept as it was written; no time is computed with.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// The keys of a table.
pub(crate) type Table = BTreeMap<String, Entry>;

/// A key's span and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Span,
    pub(crate) node: Node,
}

impl Node {
    pub(crate) fn new(span: Span, value: Value) -> Self {
        Self { span, value, bad: false }
    }

    /// An empty table.
    pub(crate) fn empty() -> Self {
        Self::new(Span { start: 0, end: 0 }, Value::Table(Table::new()))
    }

    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key of this table.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.table()?.get(key).map(|entry| &entry.node)
    }

    /// The items of this list; none when it is something else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// What a person calls this kind of value.
    pub(crate) fn noun(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date or time",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Leaves out whatever a fault was reported for.
    pub(crate) fn prune(&mut self) {
        match &mut self.value {
            Value::Array(items) => {
                items.retain(|item| !item.bad);
                items.iter_mut().for_each(Self::prune);
            }
            Value::Table(table) => {
                table.retain(|_, entry| !entry.node.bad);
                for entry in table.values_mut() {
                    entry.node.prune();
                }
            }
            _ => {}
        }
    }

    /// What serde reads.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) | Value::Datetime(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float => serde_json::Value::Null,
            Value::Boolean(yes) => (*yes).into(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(table) => table
                .iter()
                .map(|(key, entry)| (key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Reads TOML whose first byte is at `offset`. Every syntax error becomes a diagnostic; what could
/// be read in spite of them is returned.
pub(crate) fn parse(text: &str, offset: usize, found: &mut Vec<Diagnostic>) -> Node {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut last = None;
    // A key that was cut short may stand on any line, without the words that give it away.
    let secret = holds_private_key(text);
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let span = Span { start: offset + range.start, end: offset + range.end };
        // One slip often makes the parser complain twice at the same place.
        if last.replace(span.start) == Some(span.start) {
            continue;
        }
        let mut diagnostic = Diagnostic::error(span, format!("bad TOML: {}", error.message()));
        let at_word = text.get(range).is_some_and(|at| at.starts_with(char::is_alphabetic));
        if at_word && error.message().starts_with("invalid float") {
            // The parser guesses `nan` at a word that begins with n; the author forgot quotes.
            diagnostic.message = String::from("bad TOML: this value is not in quotes");
            diagnostic.help = Some("write it in quotes, or as true or false".to_owned());
        }
        diagnostic.secret = secret;
        found.push(diagnostic);
    }
    let span = root.span();
    Builder { offset, found }.table(root.into_inner(), span)
}

struct Builder<'a> {
    offset: usize,
    found: &'a mut Vec<Diagnostic>,
}

impl Builder<'_> {
    fn span(&self, range: &std::ops::Range<usize>) -> Span {
        Span { start: self.offset + range.start, end: self.offset + range.end }
    }

    // The depth is bounded by the parser, which refuses to nest deeper than 80.
    fn table(&mut self, table: DeTable<'_>, span: std::ops::Range<usize>) -> Node {
        let mut out = Table::new();
        for (key, value) in table {
            let key_span = self.span(&key.span());
            let node = self.value(value);
            out.insert(key.into_inner().into_owned(), Entry { key: key_span, node });
        }
        Node::new(self.span(&span), Value::Table(out))
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>) -> Node {
        let range = value.span();
        let span = self.span(&range);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => {
                if let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) {
                    Value::Integer(number)
                } else {
                    self.found.push(
                        Diagnostic::error(span, "this number does not fit into 64 bits")
                            .help(format!("the largest is {}", i64::MAX)),
                    );
                    let mut node = Node::new(span, Value::Integer(0));
                    node.bad = true;
                    return node;
                }
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(yes) => Value::Boolean(yes),
            DeValue::Datetime(time) => Value::Datetime(time.to_string()),
            DeValue::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.value(item)).collect())
            }
            DeValue::Table(table) => return self.table(table, range),
        };
        Node::new(span, value)
    }
}
