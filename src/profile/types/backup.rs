//! What backups are made of and for: recipients of age, names in PostgreSQL, a signer's public key.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, holds_private_key, scalar, shown};
use crate::backup::curve::{self, PublicKey};

/// Somebody who can open what is encrypted to them: an X25519 recipient of age, or a `tag` one (a hardware key's).
#[derive(Clone, PartialEq, Eq)]
pub struct AgeRecipient(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    X25519(age::x25519::Recipient),
    Tag(age::tag::Recipient),
}

impl AgeRecipient {
    /// As age takes it.
    pub fn as_age(&self) -> &dyn age::Recipient {
        match &self.0 {
            Kind::X25519(recipient) => recipient,
            Kind::Tag(recipient) => recipient,
        }
    }

    /// Whether a program for its hardware opens what is encrypted to it, and no identity in a file does.
    pub const fn takes_hardware(&self) -> bool {
        matches!(self.0, Kind::Tag(_))
    }
}

/// The beginnings of what is no recipient for a backup, and why. Whoever pastes one gets told so, and not just that it is
/// unknown.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "age1tagpq1",
        "a post-quantum recipient cannot share a file with others, and each backup has a recipient of its own that proves it",
        "give an `age1…` or `age1tag1…` recipient of the same person",
    ),
    (
        "age1pq1",
        "a post-quantum recipient cannot share a file with others, and each backup has a recipient of its own that proves it",
        "give an `age1…` or `age1tag1…` recipient of the same person",
    ),
    (
        "age1yubikey1",
        "this recipient takes a plugin to encrypt to, and holdfast runs none",
        "make an identity with `age-keygen`, lock its file to the YubiKey, and give its `age1…` recipient",
    ),
    (
        "sk-",
        "a FIDO key of SSH cannot open files: it only signs",
        "make an identity with `age-keygen` and give its `age1…` recipient",
    ),
    (
        "ssh-",
        "keys of SSH are not taken as recipients: those of hardware cannot open files",
        "make an identity with `age-keygen` and give its `age1…` recipient",
    ),
];

impl FromStr for AgeRecipient {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if holds_private_key(text) {
            return Err(Invalid::new("this is an identity, with which files are opened: a profile is no place for it")
                .help("put the recipient here (`age-keygen -y` prints it), and make a new identity: this one has been seen")
                .secret());
        }
        if let Some((_, why, help)) = REFUSED.iter().find(|(start, ..)| text.starts_with(start)) {
            return Err(Invalid::new(*why).help(*help));
        }
        if let Ok(recipient) = text.parse() {
            return Ok(Self(Kind::X25519(recipient)));
        }
        if let Ok(recipient) = text.parse() {
            return Ok(Self(Kind::Tag(recipient)));
        }
        Err(Invalid::new(format!("{} is not a recipient of age", shown(text))).help(
            "write what `age-keygen -y` prints: it begins with age1, and every character counts",
        ))
    }
}

impl fmt::Display for AgeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::X25519(recipient) => recipient.fmt(f),
            Kind::Tag(recipient) => recipient.fmt(f),
        }
    }
}

impl fmt::Debug for AgeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Scalar for AgeRecipient {
    const FORMAT: &'static str = "holdfast-age-recipient";
    const NOUN: &'static str = "a recipient of age";
    const DESCRIPTION: &'static str = "A recipient of age as `age-keygen -y` or a hardware key's program prints it: X25519 (`age1…`) or tag (`age1tag1…`).";
    const EXAMPLES: &'static [&'static str] =
        &["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"];
    const PATTERN: Option<&'static str> = Some("^age1[a-z0-9]+$");
}
scalar!(AgeRecipient);

/// What PostgreSQL takes as a name (`NAMEDATALEN` less its terminating zero).
const LONGEST_NAME: usize = 63;

/// The name of a database or role in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName(String);

impl DatabaseName {
    /// A name that is written in the source, where a test reads it.
    pub(in crate::profile) fn known(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this can be a name without quotes around it.
fn is_plain(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

impl FromStr for DatabaseName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // libpq takes a name with `=` or `://` in it for a whole connection string.
        if is_plain(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not a name of PostgreSQL's", shown(text))).help(
            "up to 63 of a-z, 0-9, _ and -, beginning with a letter or _; other names are not supported",
        ))
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for DatabaseName {
    const FORMAT: &'static str = "holdfast-database-name";
    const NOUN: &'static str = "a name in PostgreSQL";
    const DESCRIPTION: &'static str = "The name of a database or role in PostgreSQL: up to 63 of `a-z`, `0-9`, `_` and `-`, beginning with a letter or `_`.";
    const EXAMPLES: &'static [&'static str] = &["signer"];
    const PATTERN: Option<&'static str> = Some("^[a-z_][a-z0-9_-]{0,62}$");
}
scalar!(DatabaseName);

/// The name of a table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName(String);

impl TableName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TableName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once('.') {
            Some((schema, table)) if is_plain(schema) && is_plain(table) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Invalid::new(format!("{} is not a table with its schema", shown(text)))
                .help("write both, as in \"sbtc_signer.p2p_peers\"")),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for TableName {
    const FORMAT: &'static str = "holdfast-table-name";
    const NOUN: &'static str = "a table with its schema";
    const DESCRIPTION: &'static str = "The name of a table, with its schema and a dot before it.";
    const EXAMPLES: &'static [&'static str] = &["sbtc_signer.p2p_peers"];
    const PATTERN: Option<&'static str> = Some("^[a-z_][a-z0-9_-]*\\.[a-z_][a-z0-9_-]*$");
}
scalar!(TableName);

/// The public key of an sBTC signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignerPublicKey(PublicKey);

impl SignerPublicKey {
    /// The key.
    pub const fn key(self) -> PublicKey {
        self.0
    }
}

impl FromStr for SignerPublicKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let hex = text.strip_prefix("0x").unwrap_or(text);
        // A private key has 64 digits, or 66 of which the last two are 01.
        let is_public = hex.len() == 66 && (hex.starts_with("02") || hex.starts_with("03"));
        let is_hex = !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit());
        if is_hex && !is_public && (hex.len() == 64 || hex.ends_with("01")) {
            return Err(Invalid::new(
                "this has the length of a private key, and a profile is no place for one",
            )
            .help("write the public key: 66 hexadecimal digits that begin with 02 or 03")
            .secret());
        }
        let bytes = curve::unhex(hex).filter(|_| is_public);
        let key = bytes.and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
        key.map(Self).ok_or_else(|| {
            Invalid::new(format!("{} is not the public key of a signer", shown(text)))
                .help("write 66 hexadecimal digits that begin with 02 or 03, as `bootstrap_signing_set` has it")
        })
    }
}

impl fmt::Display for SignerPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scalar for SignerPublicKey {
    const FORMAT: &'static str = "holdfast-signer-key";
    const NOUN: &'static str = "the public key of a signer";
    const DESCRIPTION: &'static str =
        "A compressed public key of secp256k1: 66 hexadecimal digits that begin with 02 or 03.";
    const EXAMPLES: &'static [&'static str] =
        &["0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"];
    const PATTERN: Option<&'static str> = Some("^(0x)?0[23][0-9a-fA-F]{64}$");
}
scalar!(SignerPublicKey);
