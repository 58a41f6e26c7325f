//! Whether one value is of the kind the schema asks for: its type, its words, its format, its range.

use serde_json::Value as Schema;

use super::nearest;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema_json::choices;
use crate::profile::source::Span;
use crate::profile::tree::{Node, Value};
use crate::profile::types::{Accepts, Format, Invalid, shown};

/// Whether a value is of the kind the schema asks for, its parts aside.
pub(super) fn fits(node: &Node, schema: &Schema) -> Result<(), Box<Diagnostic>> {
    let words = choices(schema);
    if !words.is_empty() {
        return fits_choice(node, &words);
    }
    let format = schema.get("format").and_then(Schema::as_str).and_then(Format::named);
    if let Some(format) = format {
        return fits_format(node, format, schema);
    }
    let kind = schema.get("type").and_then(Schema::as_str).unwrap_or("");
    match (kind, &node.value) {
        ("integer", Value::Integer(number)) => in_range(node.span, *number, schema),
        ("string", Value::Text(_))
        | ("boolean", Value::Boolean(_))
        | ("array", Value::Array(_))
        | ("object", Value::Table(_)) => Ok(()),
        _ => Err(Box::new(wrong_kind(node, kind, schema))),
    }
}

fn fits_choice(node: &Node, words: &[(&str, Option<&str>)]) -> Result<(), Box<Diagnostic>> {
    let quoted: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let list = quoted.join(", ");
    match &node.value {
        Value::Text(text) if words.iter().any(|(word, _)| word == text) => Ok(()),
        Value::Text(text) => {
            let near = nearest(text, words.iter().map(|(word, _)| *word));
            let hint = near.map_or(String::new(), |word| format!("did you mean \"{word}\"? "));
            let message = format!("{} is not one of the values this may have", shown(text));
            Err(Box::new(
                Diagnostic::error(node.span, message).help(format!("{hint}it may be {list}")),
            ))
        }
        Value::Boolean(yes) if quoted.contains(&"\"yes\"".to_owned()) => {
            let word = if *yes { "yes" } else { "no" };
            Err(Box::new(
                Diagnostic::error(node.span, "expected one of several words, found a boolean")
                    .help(format!("write \"{word}\"; it may be {list}")),
            ))
        }
        _ => Err(Box::new(
            Diagnostic::error(
                node.span,
                format!("expected one of several words, found {}", node.noun()),
            )
            .help(format!("it may be {list}")),
        )),
    }
}

fn fits_format(node: &Node, format: &Format, schema: &Schema) -> Result<(), Box<Diagnostic>> {
    let text = match (&node.value, format.accepts) {
        (Value::Text(text), Accepts::Text | Accepts::TextOrInteger) => text.clone(),
        (Value::Datetime(text), Accepts::Text)
            if matches!(format.name, "holdfast-date" | "holdfast-moment") =>
        {
            text.clone()
        }
        (Value::Integer(number), Accepts::TextOrInteger) => number.to_string(),
        (Value::Integer(number), Accepts::Integer(..)) => {
            in_range(node.span, *number, schema)?;
            number.to_string()
        }
        _ => {
            let mut error = Diagnostic::error(
                node.span,
                format!("expected {}, found {}", format.noun, node.noun()),
            );
            error.help = match (&node.value, format.accepts) {
                (Value::Integer(_), Accepts::Text) => {
                    Some(format!("write it in quotes, as in \"{}\"", format.examples[0]))
                }
                (Value::Text(text), Accepts::Integer(..)) if text.parse::<u64>().is_ok() => {
                    Some(format!("write {text} without quotes"))
                }
                _ => Some(format!("{} For example: {}", format.description, format.examples[0])),
            };
            return Err(Box::new(error));
        }
    };
    (format.check)(&text).map_err(|invalid| Box::new(from_invalid(node.span, invalid)))
}

fn in_range(span: Span, number: i64, schema: &Schema) -> Result<(), Box<Diagnostic>> {
    let least = schema.get("minimum").and_then(Schema::as_i64).unwrap_or(i64::MIN);
    let most = schema.get("maximum").and_then(Schema::as_i64).unwrap_or(i64::MAX);
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let message = format!("{number} is out of range");
    Err(Box::new(Diagnostic::error(span, message).help(format!("it goes from {least} to {most}"))))
}

fn wrong_kind(node: &Node, kind: &str, schema: &Schema) -> Diagnostic {
    let of_tables = schema.pointer("/items/type").is_some_and(|kind| kind == "object");
    let noun = match kind {
        "integer" => "an integer",
        "string" => "a string",
        "boolean" => "true or false",
        "array" if of_tables => "a list of tables",
        "array" => "a list",
        "object" => "a table",
        _ => "something else",
    };
    let error = Diagnostic::error(node.span, format!("expected {noun}, found {}", node.noun()));
    match (kind, &node.value) {
        ("array", Value::Table(_)) if of_tables => {
            error.help("write its header in double brackets: `[[…]]`")
        }
        ("array", Value::Text(_) | Value::Integer(_) | Value::Boolean(_)) => {
            error.help("write it in brackets, even when it is the only one")
        }
        ("boolean", Value::Text(text)) => match text.as_str() {
            "yes" | "true" | "on" | "1" => error.help("write true without quotes"),
            "no" | "false" | "off" | "0" => error.help("write false without quotes"),
            _ => error,
        },
        ("integer", Value::Text(text)) if text.parse::<i64>().is_ok() => {
            error.help(format!("write {text} without quotes"))
        }
        _ => error,
    }
}

pub(super) fn from_invalid(span: Span, invalid: Invalid) -> Diagnostic {
    let mut error = Diagnostic::error(span, invalid.message);
    error.help = invalid.help;
    error.secret = invalid.secret;
    error
}
