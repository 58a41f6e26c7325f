//! How profiles become one.
//!
//! The rule goes by the kind of value, as the schema has it:
//!
//! - tables merge key by key;
//! - a scalar of the later profile replaces that of the earlier one;
//! - so does a plain list, wholly: absent inherits, empty means none;
//! - an array of tables with a natural key (`name`, or `check` for waivers) merges entry by entry:
//!   entries of the same key merge key by key in the place of the inherited one, new ones are
//!   appended in order, and `remove = true` drops the inherited one.
//!
//! An entry with `remove = true` that removes nothing is an error: it says the author expected
//! something of the inherited profile that is not so.

use serde_json::Value as Schema;

use super::check::is_removal;
use super::diagnostic::Diagnostic;
use super::schema_json::{MERGE_KEY, REMOVE, schema};
use super::tree::{Node, Table, Value};

/// Lays `over` on top of `base`.
pub(crate) fn merge(base: Node, over: Node, found: &mut Vec<Diagnostic>) -> Node {
    node(base, over, Some(schema()), found)
}

fn node(base: Node, over: Node, schema: Option<&Schema>, found: &mut Vec<Diagnostic>) -> Node {
    let merge_key = schema.and_then(|schema| schema.get(MERGE_KEY)).and_then(Schema::as_str);
    let both_tables = base.table().is_some() && over.table().is_some();
    let (span, bad) = (over.span, over.bad || (both_tables && base.bad));
    let value = match (base.value, over.value, merge_key) {
        (Value::Table(base), Value::Table(over), _) => {
            Value::Table(table(base, over, schema, found))
        }
        (Value::Array(base), Value::Array(over), Some(key)) => {
            let schema = schema.and_then(|schema| schema.get("items"));
            Value::Array(entries(base, over, key, schema, found))
        }
        (_, Value::Array(over), Some(key)) => {
            let schema = schema.and_then(|schema| schema.get("items"));
            Value::Array(entries(Vec::new(), over, key, schema, found))
        }
        (_, over, _) => over,
    };
    Node { span, value, bad }
}

fn table(
    mut base: Table,
    over: Table,
    schema: Option<&Schema>,
    found: &mut Vec<Diagnostic>,
) -> Table {
    for (key, mut entry) in over {
        let inner =
            schema.and_then(|schema| schema.get("properties")).and_then(|all| all.get(&key));
        let inherited = base.remove(&key).map(|entry| entry.node);
        let beneath = inherited.unwrap_or_else(|| match &entry.node.value {
            Value::Table(_) => Node::empty(),
            _ => Node::new(entry.node.span, Value::Float),
        });
        entry.node = node(beneath, entry.node, inner, found);
        base.insert(key, entry);
    }
    base
}

fn entries(
    mut base: Vec<Node>,
    over: Vec<Node>,
    key: &str,
    schema: Option<&Schema>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Node> {
    for mut item in over {
        let name = item.get(key).and_then(Node::text).map(str::to_owned);
        let at = base.iter().position(|other| {
            name.is_some() && other.get(key).and_then(Node::text) == name.as_deref()
        });
        if is_removal(&item) {
            match (at, name) {
                (Some(at), _) => drop(base.remove(at)),
                (None, Some(name)) if !item.bad => found.push(nothing_to_remove(&item, key, &name)),
                (None, _) => {}
            }
            continue;
        }
        if let Value::Table(table) = &mut item.value {
            table.remove(REMOVE);
        }
        match at {
            Some(at) => {
                let inherited = std::mem::replace(&mut base[at], Node::empty());
                base[at] = node(inherited, item, schema, found);
            }
            None => base.push(node(Node::empty(), item, schema, found)),
        }
    }
    base
}

fn nothing_to_remove(item: &Node, key: &str, name: &str) -> Diagnostic {
    let span = item.get(key).map_or(item.span, |value| value.span);
    Diagnostic::error(span, format!("there is no inherited entry `{name}` to remove"))
        .help("only what a profile named in `extends` has can be removed")
}
