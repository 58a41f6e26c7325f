//! A TOML document of another kind than a profile, read as strictly: unknown keys, missing keys and bad values all at once,
//! each with its line and column.
//!
//! It extends nothing and is merged with nothing, so what it says is in its own bytes, and a digest over them says
//! which document was meant.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::check;
use super::diagnostic::{Diagnostic, Severity, render_all};
use super::schema_json::schema_of;
use super::source::{SourceMap, Span};
use super::tree::parse;
use super::types::is_secret;
pub(crate) use super::validate::At;

/// A document without errors.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// What it says.
    pub value: T,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// Its text.
    pub sources: SourceMap,
}

impl<T> Document<T> {
    /// The warnings, for people.
    pub fn render_warnings(&self, colour: bool) -> String {
        render_all(&self.diagnostics, &self.sources, colour)
    }
}

/// A document that cannot be used, and everything that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} has {} {}", .path.display(), .errors, if *.errors == 1 { "error" } else { "errors" })]
pub struct Faulty {
    /// The file.
    pub path: PathBuf,
    /// How many errors there are.
    pub errors: usize,
    /// What is wrong, warnings included.
    pub diagnostics: Vec<Diagnostic>,
    /// Its text.
    pub sources: SourceMap,
}

impl Faulty {
    /// For people.
    pub fn render(&self, colour: bool) -> String {
        render_all(&self.diagnostics, &self.sources, colour)
    }
}

/// Reads a document. `judge` finds what no single value can show; it is called when everything has been read, and told the
/// place of the document's top.
///
/// # Errors
/// [`Faulty`] when there is anything wrong with it.
pub(crate) fn read<T: JsonSchema + DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    title: &str,
    judge: impl Fn(&T, At<'_>, &mut Vec<Diagnostic>),
) -> Result<Document<T>, Faulty> {
    let mut sources = SourceMap::default();
    let mut found = Vec::new();
    let schema = schema_of::<T>(title);
    let value = text(path, bytes, &mut sources, &mut found).and_then(|(text, offset)| {
        let mut tree = parse(&text, offset, &mut found);
        let sound = found.is_empty();
        check(&mut tree, &schema, sound, &mut found);
        if !found.is_empty() {
            return None;
        }
        match serde_json::from_value::<T>(tree.to_json()) {
            Ok(value) => {
                judge(&value, At::top(&tree), &mut found);
                Some(value)
            }
            Err(error) => {
                // The checker let something through that the types do not: it must not be used.
                found.push(Diagnostic::error(tree.span, format!("cannot be read: {error}")));
                None
            }
        }
    });
    // Of a key that was taken for a document no fault may quote anything, not even what stands on other lines. Keys of some kinds
    // look like nothing: what no line of a document is in may be one.
    let why = if !found.iter().any(Diagnostic::is_error) {
        None
    } else if is_key_file(bytes) {
        Some("this is a key, or there is one in it".to_owned())
    } else {
        let may_be = || format!("this has no line of a {title}, and may be a key");
        is_another(bytes, &schema).then(may_be)
    };
    if let Some(why) = why {
        let message = format!("{why}: nothing of it is shown");
        found = vec![
            Diagnostic::file(Severity::Error, path, message)
                .help(format!("name the file of the {title}; a key has no place in it")),
        ];
    }
    found.sort_by_key(|each| (each.position(&sources), each.severity));
    let errors = found.iter().filter(|each| each.is_error()).count();
    match value {
        Some(value) if errors == 0 => Ok(Document { value, diagnostics: found, sources }),
        _ => Err(Faulty { path: path.to_owned(), errors, diagnostics: found, sources }),
    }
}

/// Whether a line of it is a key.
fn is_key_file(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.lines().any(is_secret))
}

/// Whether something is in it, and no line begins with a name that the document has at its top.
fn is_another(bytes: &[u8], schema: &Value) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let known = schema.get("properties").and_then(Value::as_object);
    let is_known = |line: &str| {
        let line = line.trim();
        let inside = line.trim_start_matches('[');
        let ends = if inside.len() < line.len() { [']', '.'] } else { ['=', '.'] };
        let inside = inside.trim_start();
        let at = inside.find(|c: char| c != '_' && c != '-' && !c.is_ascii_alphanumeric());
        let (name, rest) = inside.split_at(at.unwrap_or(inside.len()));
        rest.trim_start().starts_with(ends) && known.is_some_and(|known| known.contains_key(name))
    };
    !text.trim().is_empty() && !text.lines().any(is_known)
}

/// Its text, and where that begins among the sources.
fn text(
    path: &Path,
    bytes: &[u8],
    sources: &mut SourceMap,
    found: &mut Vec<Diagnostic>,
) -> Option<(String, usize)> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some((text.to_owned(), sources.add(path, text.to_owned()))),
        Err(error) => {
            let at = error.valid_up_to();
            let start = sources.add(path, String::from_utf8_lossy(bytes).into());
            let span = Span { start: start + at, end: start + at + '\u{fffd}'.len_utf8() };
            let mut fault = Diagnostic::error(span, "this is no text of UTF-8")
                .help("save the file as UTF-8, if it is the one that you mean");
            // Some keys are kept as they are, 32 bytes of any kind.
            fault.secret = true;
            found.push(fault);
            None
        }
    }
}
