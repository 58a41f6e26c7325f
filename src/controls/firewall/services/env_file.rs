//! Files of `NAME=value` lines: systemd's `EnvironmentFile=`, Docker's `--env-file`, Compose's `env_file`.
//!
//! They agree on plain lines and differ on quotes, comments behind a value and `$`. A line for a variable that matters
//! must therefore be plain; of all other lines nothing is kept.

use super::ports::Fault;

/// The last value that the file gives a variable; `None` when it does not name it. Names are told apart by case only
/// where `exact` says so.
pub(crate) fn value(text: &str, variable: &str) -> Result<Option<String>, Fault> {
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, value)) = line.split_once('=') else { continue };
        if !name.trim_end().eq_ignore_ascii_case(variable) {
            continue;
        }
        let value = plain(value.trim()).ok_or_else(|| {
            let why = format!(
                "{variable} is not plain: write it without escapes, $ and comments, in one pair of quotes or none"
            );
            Fault::at(index + 1, why)
        })?;
        found = Some(value.to_owned());
    }
    Ok(found)
}

/// The value between its quotes, if everybody reads it the same.
fn plain(value: &str) -> Option<&str> {
    let inner = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value.get(1..)?.strip_suffix(quote)?,
        _ => value,
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ,:/[]._-=@%".contains(c);
    inner.chars().all(is_plain).then_some(inner)
}
