//! What every scalar has in common: a name for its format, how it is read, how it is described.
//!
//! [`Scalar`] is implemented by hand for each type and the `scalar!` macro adds serde and JSON
//! Schema on top of it, so the three can never disagree.

use std::fmt::Display;
use std::str::FromStr;

use super::{
    AgeRecipient, Algorithm, CheckId, Cidr, ContainerName, DatabaseName, FilePath, HttpUrl,
    Interface, KeysFile, MaxStartups, Moment, NodeUrl, Port, PortRange, Rate, RuleName,
    SignerPublicKey, Size, Source, SshKey, StacksAddress, SysctlKey, SysctlValue, TableName, Text,
    TimeSpan, TimeZoneName, UnitName, Until, UserName,
};

/// Why a text is not a value of the kind asked for, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// What is wrong, without the text itself when that may be secret.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The text is a secret: neither it nor its line may be shown.
    pub secret: bool,
}

impl Invalid {
    /// A plain complaint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, secret: false }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Marks the offending text as a secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// Which kinds of TOML value a scalar is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// A string only.
    Text,
    /// An integer between two bounds.
    Integer(u64, u64),
    /// A string, or an integer that means what the same digits in a string do.
    TextOrInteger,
}

/// A value written as one TOML string or integer.
pub trait Scalar: FromStr<Err = Invalid> + Display {
    /// The `format` keyword in the JSON Schema, and the key of [`FORMATS`].
    const FORMAT: &'static str;
    /// What a person calls it: "a duration".
    const NOUN: &'static str;
    /// How it is written, one or two sentences.
    const DESCRIPTION: &'static str;
    /// Good values.
    const EXAMPLES: &'static [&'static str];
    /// Which kinds of TOML value it is written as.
    const ACCEPTS: Accepts = Accepts::Text;
    /// A regular expression for editors; the parser is the judge.
    const PATTERN: Option<&'static str> = None;
}

/// One row of [`FORMATS`].
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The `format` keyword in the JSON Schema.
    pub name: &'static str,
    /// What a person calls it: "a duration".
    pub noun: &'static str,
    /// How it is written.
    pub description: &'static str,
    /// Good values.
    pub examples: &'static [&'static str],
    /// Which kinds of TOML value it is written as.
    pub accepts: Accepts,
    /// Tries a text.
    pub check: fn(&str) -> Result<(), Invalid>,
}

const fn format<T: Scalar>() -> Format {
    Format {
        name: T::FORMAT,
        noun: T::NOUN,
        description: T::DESCRIPTION,
        examples: T::EXAMPLES,
        accepts: T::ACCEPTS,
        check: |text| text.parse::<T>().map(drop),
    }
}

/// Every format a profile may contain. A new [`Scalar`] is one line here.
pub static FORMATS: &[Format] = &[
    format::<TimeSpan>(),
    format::<Rate>(),
    format::<Until>(),
    format::<Moment>(),
    format::<Size>(),
    format::<Port>(),
    format::<PortRange>(),
    format::<Cidr>(),
    format::<Source>(),
    format::<Interface>(),
    format::<HttpUrl>(),
    format::<UserName>(),
    format::<TimeZoneName>(),
    format::<SshKey>(),
    format::<Algorithm>(),
    format::<KeysFile>(),
    format::<MaxStartups>(),
    format::<UnitName>(),
    format::<SysctlKey>(),
    format::<SysctlValue>(),
    format::<CheckId>(),
    format::<RuleName>(),
    format::<FilePath>(),
    format::<ContainerName>(),
    format::<AgeRecipient>(),
    format::<DatabaseName>(),
    format::<TableName>(),
    format::<SignerPublicKey>(),
    format::<NodeUrl>(),
    format::<StacksAddress>(),
    format::<Text>(),
];

impl Format {
    /// The row of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }
}

/// A message stays one line on a terminal.
const MOST_CHARS: usize = 60;

/// Whether a private key has been put where it can be seen.
pub(crate) fn holds_private_key(text: &str) -> bool {
    text.contains("PRIVATE KEY") || text.contains("AGE-SECRET-KEY")
}

/// Whether a line may have a key in it, whatever it is called there: then it is not shown. Some digests and public halves are
/// taken for one, too.
pub(crate) fn looks_secret(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    holds_private_key(line) || words.any(is_key) || line.split(['"', '\'']).any(is_mnemonic)
}

/// Whether a line is a key and nothing else, as it is in a file of one.
pub(crate) fn is_secret(line: &str) -> bool {
    holds_private_key(line) || is_key(line.trim()) || is_mnemonic(line)
}

/// A private key of 32 bytes in hexadecimal, with or without the byte that says that its public half is compressed.
fn is_key(word: &str) -> bool {
    let word = word.strip_prefix("0x").unwrap_or(word);
    let is_long = word.len() == 64 || word.len() == 66 && word.ends_with("01");
    is_long && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The words that a seed is written in: so many, of three to eight letters each (BIP 39).
fn is_mnemonic(text: &str) -> bool {
    let is_word = |word: &str| {
        (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    matches!(words.len(), 12 | 15 | 18 | 21 | 24) && words.into_iter().all(is_word)
}

/// Shortens and escapes a text taken from a file, for use inside a message.
pub(crate) fn shown(text: &str) -> String {
    if looks_secret(text) {
        return "a private key".to_owned();
    }
    let mut out: String = text.chars().take(MOST_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST_CHARS).is_some() {
        out.push('…');
    }
    format!("`{}`", out.replace("\\\"", "\"").replace("\\'", "'"))
}

/// serde and JSON Schema for a [`Scalar`].
macro_rules! scalar {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if let $crate::profile::types::Accepts::Integer(..) =
                    <Self as $crate::profile::types::Scalar>::ACCEPTS
                {
                    let number: u64 =
                        self.to_string().parse().map_err(serde::ser::Error::custom)?;
                    return serializer.serialize_u64(number);
                }
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_any($crate::profile::types::format::ScalarVisitor::<Self>::new())
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::profile::types::format::schema::<Self>()
            }
        }
    };
}
pub(crate) use scalar;

/// Reads a [`Scalar`] from a string or, where it accepts one, an integer.
#[derive(Debug)]
pub(crate) struct ScalarVisitor<T>(std::marker::PhantomData<T>);

impl<T> ScalarVisitor<T> {
    pub(crate) fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<T: Scalar> ScalarVisitor<T> {
    fn integer<E: serde::de::Error>(value: impl Display) -> Result<T, E> {
        if T::ACCEPTS == Accepts::Text {
            return Err(E::custom(format!("expected {} in quotes", T::NOUN)));
        }
        value.to_string().parse().map_err(E::custom)
    }
}

impl<T: Scalar> serde::de::Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(T::NOUN)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        Self::integer(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        Self::integer(value)
    }
}

/// The JSON Schema of a [`Scalar`].
pub(crate) fn schema<T: Scalar>() -> schemars::Schema {
    let mut schema = schemars::Schema::default();
    let kind = match T::ACCEPTS {
        Accepts::Text => serde_json::json!("string"),
        Accepts::Integer(..) => serde_json::json!("integer"),
        Accepts::TextOrInteger => serde_json::json!(["integer", "string"]),
    };
    schema.insert("type".into(), kind);
    if let Accepts::Integer(least, most) = T::ACCEPTS {
        schema.insert("minimum".into(), least.into());
        schema.insert("maximum".into(), most.into());
    }
    schema.insert("format".into(), T::FORMAT.into());
    schema.insert("description".into(), T::DESCRIPTION.into());
    let example = |text: &&str| match (T::ACCEPTS, text.parse::<u64>()) {
        (Accepts::Integer(..) | Accepts::TextOrInteger, Ok(number)) => number.into(),
        _ => serde_json::Value::from(*text),
    };
    schema.insert("examples".into(), T::EXAMPLES.iter().map(example).collect());
    if let Some(pattern) = T::PATTERN {
        schema.insert("pattern".into(), pattern.into());
    }
    schema
}
