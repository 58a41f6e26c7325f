//! The profile reference, written from the JSON Schema; committed as `docs/profile.md`.

use std::fmt::Write as _;

use serde_json::Value as Schema;

use super::schema_json::{MERGE_KEY, choices, free_values, key_format, required, schema};
use super::types::{FORMATS, Format};

const INTRODUCTION: &str = "\
# The profile

*Generated from the schema: `SNAPSHOTS=overwrite cargo test --lib profile` writes it anew.*

A profile is a TOML file. `holdfast check PROFILE` says everything that is wrong with one, with
file, line and column; it needs neither root nor a host. For completion in an editor, begin the file
with `#:schema` and the path or address of `profile.schema.json` (`holdfast schema` prints it).

**Absent** means *not managed*, or inherited from a profile named in `extends`. An **empty list**
means *none*. An unknown key is an error.

## How profiles merge

`extends` names other profiles, in order. A later one wins over an earlier one, and the file itself
wins over all. Each is merged once, where it is first reached. What *winning* means goes by the kind
of value:

| kind | rule |
|---|---|
| table | key by key |
| a single value | the later one replaces the earlier one |
| list | the later one replaces the earlier one wholly; absent inherits, empty means none |
| array of tables with a natural key (`people`, `firewall.allow`: `name`; `waiver`: `check`) | entry by entry: those of the same key merge key by key in the place of the inherited one, new ones are appended in order, and `remove = true` drops the inherited one |

So an inherited list cannot be made absent again: to open an inherited entry of the firewall to
everybody, say `from = [\"0.0.0.0/0\", \"::/0\"]`.

A name in `extends` is looked up beside the file (`baseline` as `baseline.toml`) and then in
`/usr/share/holdfast/profiles`; a file named like the one it extends is not its own parent.
Anything with a `/` or ending in `.toml` is a path relative to the file.

```toml
#:schema /usr/share/holdfast/profile.schema.json
extends = [\"baseline\"]

[[firewall.allow]]        # merges with the inherited `ssh`: its ports stay
name = \"ssh\"
from = [\"203.0.113.0/24\"]

[[firewall.allow]]
name = \"legacy-api\"
remove = true             # an error if nothing of that name is inherited
```

## Who may write and read it

Root does what a profile says. `check` warns of, and everything that acts on a profile refuses, one
that its group or everybody may write, that belongs to somebody who is neither root nor the caller,
or that lies below a folder in which others can replace it. A profile that holds a web address with
a password must be readable by its owner only. Profiles over 1 MiB are refused.
";

/// The reference as it is committed in `docs/profile.md`.
pub fn reference_markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    kinds(&mut out);
    section(&mut out, "Top level", "", schema());
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

/// Appends a line; writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {{
        let _written = writeln!($out, $($text)*);
    }};
}

fn kinds(out: &mut String) {
    line!(out, "\n## Kinds of value\n\n| kind | how it is written | examples |\n|---|---|---|");
    for format in FORMATS {
        let examples: Vec<_> =
            format.examples.iter().map(|example| format!("`{example}`")).collect();
        line!(
            out,
            "| {} | {} | {} |",
            name_of(format),
            cell(format.description),
            examples.join(", ")
        );
    }
}

/// One table of the profile: its keys, then the tables in it.
fn section(out: &mut String, title: &str, path: &str, schema: &Schema) {
    line!(out, "\n## {title}\n");
    if let Some(text) = description(schema) {
        line!(out, "{text}\n");
    }
    let Some(keys) = schema.get("properties").and_then(Schema::as_object) else {
        return;
    };
    line!(out, "| key | type | default | meaning |\n|---|---|---|---|");
    let needed: Vec<_> = required(schema).collect();
    let mut ordered: Vec<_> = keys.iter().collect();
    // Required ones first, in their own order; the others by name.
    ordered.sort_by_key(|(key, _)| {
        (needed.iter().position(|each| each == key).unwrap_or(usize::MAX), key.as_str())
    });
    for (key, value) in &ordered {
        let default = if needed.contains(&key.as_str()) {
            "**required**".to_owned()
        } else {
            value.get("default").map_or("absent".to_owned(), default_text)
        };
        line!(
            out,
            "| `{key}` | {} | {default} | {} |",
            type_of(value, &joined(path, key)),
            cell(&meaning(value))
        );
    }
    for (key, value) in ordered {
        let path = joined(path, key);
        if let Some(items) = value.get("items").filter(|items| items.get("properties").is_some()) {
            let title = match value.get(MERGE_KEY).and_then(Schema::as_str) {
                Some(key) => format!("`[[{path}]]`, merged by `{key}`"),
                None => format!("`[[{path}]]`"),
            };
            section(out, &title, &path, items);
        } else if value.get("properties").is_some() {
            section(out, &format!("`[{path}]`"), &path, value);
        } else if let Some(values) =
            free_values(value).filter(|each| each.get("properties").is_some())
        {
            let path = format!("{path}.NAME");
            section(out, &format!("`[{path}]`"), &path, values);
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn type_of(schema: &Schema, path: &str) -> String {
    let words = choices(schema);
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
        return words.join(", ");
    }
    if let Some(format) = format_of(schema) {
        return name_of(format).to_owned();
    }
    match schema.get("type").and_then(Schema::as_str) {
        Some("array") => match schema.get("items") {
            Some(items) if items.get("properties").is_some() => format!("tables `[[{path}]]`"),
            Some(items) => {
                let least = if schema.get("minItems").is_some() { ", not empty" } else { "" };
                format!("list of: {}{least}", type_of(items, path))
            }
            None => "list".into(),
        },
        Some("object") => match free_values(schema) {
            Some(values) => {
                let key = key_format(schema).and_then(Format::named).map_or("text", name_of);
                if values.get("properties").is_some() {
                    return format!("tables `[{path}.NAME]`, each with its {key}");
                }
                format!("table `[{path}]` from {key} to {}", type_of(values, path))
            }
            None => format!("table `[{path}]`"),
        },
        Some("boolean") => "`true` or `false`".into(),
        Some("integer") => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) if most.as_u64() == Some(u32::MAX.into()) => {
                format!("integer from {least}")
            }
            (Some(least), Some(most)) => format!("integer from {least} to {most}"),
            _ => "integer".into(),
        },
        _ => "text".into(),
    }
}

fn meaning(schema: &Schema) -> String {
    let mut text = description(schema).unwrap_or_default().to_owned();
    let explained = |(word, what): (&str, Option<&str>)| {
        what.map(|what| format!("`{word}`: {}", what.trim_end_matches('.')))
    };
    let words: Vec<_> = choices(schema).into_iter().filter_map(explained).collect();
    if !words.is_empty() {
        let _written = write!(text, " {}.", words.join("; "));
    }
    let examples = schema.get("examples").or_else(|| schema.pointer("/items/examples"));
    if let Some(example) = examples.and_then(|examples| examples.get(0)) {
        let list = schema.get("items").is_some();
        let example = if list { format!("[{example}]") } else { example.to_string() };
        let _written = write!(text, " Example: `{example}`");
    }
    text
}

fn default_text(value: &Schema) -> String {
    match value {
        Schema::Array(items) if items.is_empty() => "none".into(),
        Schema::Object(_) => "as its keys say".into(),
        other => format!("`{other}`"),
    }
}

fn description(schema: &Schema) -> Option<&str> {
    schema.get("description").and_then(Schema::as_str)
}

fn format_of(schema: &Schema) -> Option<&'static Format> {
    schema.get("format").and_then(Schema::as_str).and_then(Format::named)
}

/// "duration" of "a duration".
fn name_of(format: &Format) -> &'static str {
    ["a ", "an ", "the "]
        .iter()
        .find_map(|article| format.noun.strip_prefix(article))
        .unwrap_or(format.noun)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("\n\n", " ")
}
