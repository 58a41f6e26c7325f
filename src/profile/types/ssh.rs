//! Values that go into sshd's configuration. None can hold a space, quote, `#` or line break, so
//! none can bring a second keyword into the file.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// The name of one cipher, MAC, key exchange or key algorithm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm(String);

impl Algorithm {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Algorithm {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let error = Invalid::new(format!("{} is not the name of an algorithm", shown(text)));
        if text.starts_with(['+', '-', '^']) {
            return Err(error.help(
                "name every algorithm wanted: sshd's prefixes +, - and ^ depend on defaults that change",
            ));
        }
        let good = !text.is_empty()
            && text.len() <= 128
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "@.+-".contains(c));
        if good {
            return Ok(Self(text.to_owned()));
        }
        if text.contains(',') {
            return Err(error.help("write a list: each algorithm in quotes of its own"));
        }
        Err(error.help("only letters, digits, @ . + and -; `ssh -Q cipher` lists the ciphers"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Algorithm {
    const FORMAT: &'static str = "holdfast-algorithm";
    const NOUN: &'static str = "the name of an algorithm";
    const DESCRIPTION: &'static str = "The name of one algorithm as `ssh -Q` lists it; sshd's prefixes `+`, `-` and `^` are not used.";
    const EXAMPLES: &'static [&'static str] = &["chacha20-poly1305@openssh.com"];
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9@.][A-Za-z0-9@.+-]*$");
}
scalar!(Algorithm);

/// Where sshd looks for a user's public keys: a path with sshd's tokens, or `none`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeysFile(String);

impl KeysFile {
    /// The path as sshd reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeysFile {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let error = Invalid::new(format!("{} is not a file of public keys", shown(text)));
        if text.split('/').any(|part| part == "..") {
            return Err(error.help("write the path without `..`"));
        }
        let mut chars = text.chars();
        let mut tokens_known = true;
        while let Some(c) = chars.next() {
            if c == '%' {
                tokens_known &= matches!(chars.next(), Some('h' | 'u' | 'U' | '%'));
            }
        }
        if !tokens_known {
            return Err(error.help("sshd knows the tokens %h, %u, %U and %% here"));
        }
        let good = !text.is_empty()
            && text.len() <= 512
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "%/._-".contains(c));
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(error.help("only letters, digits and / . _ - %, as in \".ssh/authorized_keys\""))
    }
}

impl fmt::Display for KeysFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for KeysFile {
    const FORMAT: &'static str = "holdfast-keys-file";
    const NOUN: &'static str = "a file of public keys";
    const DESCRIPTION: &'static str = "A path with sshd's tokens `%h`, `%u`, `%U` and `%%`, relative to the home directory unless it begins with `/`; or `none`.";
    const EXAMPLES: &'static [&'static str] = &[".ssh/authorized_keys", "/etc/ssh/keys/%u"];
}
scalar!(KeysFile);

/// How many connections may be waiting to log in: `start:rate:full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxStartups {
    /// From this many on, some are refused.
    pub start: u32,
    /// In that many of a hundred cases.
    pub rate: u32,
    /// From this many on, all are.
    pub full: u32,
}

impl FromStr for MaxStartups {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(format!("{} is not a limit of connections", shown(text))).help(
                "write start:rate:full, as in \"10:30:100\": start from 1, rate from 1 to 100, full not below start",
            )
        };
        let parts: Vec<u32> = text
            .split(':')
            .map(|part| {
                part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
            })
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        match parts[..] {
            [start, rate, full]
                if (1..=full).contains(&start)
                    && (1..=100).contains(&rate)
                    && i32::try_from(full).is_ok() =>
            {
                Ok(Self { start, rate, full })
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for MaxStartups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.start, self.rate, self.full)
    }
}

impl Scalar for MaxStartups {
    const FORMAT: &'static str = "holdfast-max-startups";
    const NOUN: &'static str = "a limit of connections";
    const DESCRIPTION: &'static str = "`start:rate:full`: from `start` connections that have not logged in, refuse `rate` percent of new ones; from `full`, all.";
    const EXAMPLES: &'static [&'static str] = &["10:30:100"];
    const PATTERN: Option<&'static str> = Some("^[0-9]+:[0-9]+:[0-9]+$");
}
scalar!(MaxStartups);
