//! Where in a file a key stands. What is looked at stays where it is: nothing of it is copied here, and no fault quotes it.

use toml::de::{DeTable, DeValue};

/// Why there is no key in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum NotThere {
    #[error("it is not UTF-8")]
    NotText,
    #[error("line {0} is not TOML")]
    NotToml(usize),
    #[error("it has no {0}")]
    Missing(String),
    #[error("{0} is no text in quotes")]
    NotAText(String),
    #[error("{0} is given twice, in lines {1} and {2}: which one counts depends on who reads it")]
    Twice(String, usize, usize),
    #[error(
        "{0} in line {1} is not plain: write it without escapes, $ and comments, in one pair of quotes or none"
    )]
    NotPlain(String, usize),
    #[error("{0} is no list of public keys in quotes")]
    NotASet(&'static str),
}

/// What stands beside a signer's key, and is public.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// The signing set.
    pub signing_set: Option<Vec<String>>,
    /// The network.
    pub network: Option<String>,
}

/// The variables that win over a signer's configuration (stacks-sbtc/sbtc, signer/src/config): the key's, and those of what
/// stands beside it. Of a list the entries are between commas.
const KEY: &str = "SIGNER_SIGNER__PRIVATE_KEY";
const SET: &str = "SIGNER_SIGNER__BOOTSTRAP_SIGNING_SET";
const NETWORK: &str = "SIGNER_SIGNER__NETWORK";

/// Hands the value at a path of keys of a TOML document to `use_it`. The document is read where it is.
///
/// # Errors
/// When there is no such text.
pub fn in_toml(
    bytes: &[u8],
    path: &[String],
    use_it: impl FnOnce(&str),
) -> Result<Located, NotThere> {
    let text = str::from_utf8(bytes).map_err(|_| NotThere::NotText)?;
    let root = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        NotThere::NotToml(text.get(..start).unwrap_or_default().matches('\n').count() + 1)
    })?;
    let root = root.get_ref();
    let mut table = root;
    let Some((last, tables)) = path.split_last() else {
        return Err(NotThere::Missing(String::new()));
    };
    let named = || path.join(".");
    for key in tables {
        table = match table.get(key.as_str()).map(toml::Spanned::get_ref) {
            Some(DeValue::Table(inner)) => inner,
            _ => return Err(NotThere::Missing(named())),
        };
    }
    let signing_set = match table.get("bootstrap_signing_set").map(toml::Spanned::get_ref) {
        None => None,
        Some(DeValue::Array(items)) => {
            let each = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            let all = each.collect::<Option<Vec<_>>>();
            Some(all.ok_or(NotThere::NotASet("bootstrap_signing_set"))?)
        }
        Some(_) => return Err(NotThere::NotASet("bootstrap_signing_set")),
    };
    let network = table.get("network").and_then(|it| it.get_ref().as_str()).map(str::to_owned);
    match table.get(last.as_str()).map(toml::Spanned::get_ref) {
        Some(DeValue::String(value)) => {
            use_it(value);
            Ok(Located { signing_set, network })
        }
        Some(_) => Err(NotThere::NotAText(named())),
        None => Err(NotThere::Missing(named())),
    }
}

/// Hands the value of a variable of a file of `NAME=value` lines to `use_it`. The signer does not mind the case of a name.
///
/// # Errors
/// When there is none, or more than one, or it is not plain: systemd, Docker and Compose disagree on quotes within, on
/// comments and on `$`.
pub fn in_variables(
    bytes: &[u8],
    variable: &str,
    use_it: impl FnOnce(&str),
) -> Result<Located, NotThere> {
    let text = str::from_utf8(bytes).map_err(|_| NotThere::NotText)?;
    let (line, value) = value_of(text, variable)?;
    let plain = plain(value).ok_or_else(|| NotThere::NotPlain(variable.to_owned(), line))?;
    use_it(plain);
    if !variable.eq_ignore_ascii_case(KEY) {
        return Ok(Located::default());
    }
    let beside = |name: &'static str| match value_of(text, name) {
        Ok((_, value)) => Ok(Some(unquoted(value).ok_or(NotThere::NotASet(name))?.to_owned())),
        Err(NotThere::Missing(_)) => Ok(None),
        Err(other) => Err(other),
    };
    let entries = |list: String| list.split(',').map(|it| it.trim().to_owned()).collect();
    Ok(Located { signing_set: beside(SET)?.map(entries), network: beside(NETWORK)? })
}

/// The value of a variable, as it stands, and its line.
fn value_of<'a>(text: &'a str, variable: &str) -> Result<(usize, &'a str), NotThere> {
    let mut found: Option<(usize, &str)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let Some((name, value)) = line.split_once('=') else { continue };
        if !name.trim_end().eq_ignore_ascii_case(variable) {
            continue;
        }
        if let Some((first, _)) = found {
            return Err(NotThere::Twice(variable.to_owned(), first, at + 1));
        }
        found = Some((at + 1, value.trim()));
    }
    found.ok_or_else(|| NotThere::Missing(variable.to_owned()))
}

/// The value between its quotes, if everybody reads it the same.
fn plain(value: &str) -> Option<&str> {
    let inner = unquoted(value)?;
    inner.chars().all(|c| c.is_ascii_alphanumeric() || "+/=_-.:".contains(c)).then_some(inner)
}

/// What is in one pair of quotes, or in none.
fn unquoted(value: &str) -> Option<&str> {
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value.get(1..)?.strip_suffix(quote),
        _ => Some(value),
    }
}
