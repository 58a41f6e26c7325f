//! Results as JSON, for machines: stable, versioned, documented in docs/json.md.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::outcome::CheckResult;

/// Version of every JSON document holdfast prints. Fields are added within a version, never changed or taken away.
pub const VERSION: u32 = 1;

/// A document: version, command, and what the command has to say.
pub fn document(command: &str, body: impl Serialize) -> String {
    let mut document = json!({ "version": VERSION, "command": command });
    if let (Some(document), Ok(Value::Object(body))) =
        (document.as_object_mut(), serde_json::to_value(body))
    {
        document.extend(body);
    }
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// How many results came to what.
pub fn summary(results: &[CheckResult]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::from([("total", results.len())]);
    for result in results {
        *counts.entry(result.outcome.word()).or_default() += 1;
    }
    counts
}
