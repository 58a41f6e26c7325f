//! Names of accounts and of time zones.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// The name of a user or group, by Debian's rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// What `useradd` takes (`LOGIN_NAME_MAX` is larger, utmp's field is not).
const LONGEST_NAME: usize = 32;

impl UserName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
            && text.len() <= LONGEST_NAME;
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not a user or group name", shown(text))).help(
            "up to 32 of a-z, 0-9, _ and -, beginning with a letter or _ (Debian's NAME_REGEX)",
        ))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for UserName {
    const FORMAT: &'static str = "holdfast-user";
    const NOUN: &'static str = "a user or group name";
    const DESCRIPTION: &'static str = "A user or group name by Debian's rules: up to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter or `_`.";
    const EXAMPLES: &'static [&'static str] = &["alice"];
    const PATTERN: Option<&'static str> = Some("^[a-z_][a-z0-9_-]{0,31}$");
}
scalar!(UserName);

/// A time zone by its name in the IANA database. Whether this host knows it is not looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TimeZoneName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = text.len() <= 64
            && text.split('/').all(|part| {
                part.starts_with(|c: char| c.is_ascii_uppercase())
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
            });
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not the name of a time zone", shown(text)))
            .help("write a name of the IANA database, as in \"Europe/Lisbon\" or \"UTC\""))
    }
}

impl fmt::Display for TimeZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for TimeZoneName {
    const FORMAT: &'static str = "holdfast-time-zone";
    const NOUN: &'static str = "a time zone";
    const DESCRIPTION: &'static str = "The name of a time zone in the IANA database.";
    const EXAMPLES: &'static [&'static str] = &["Europe/Lisbon", "UTC"];
}
scalar!(TimeZoneName);
