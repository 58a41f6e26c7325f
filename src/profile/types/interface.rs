//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// The name of a network interface, or the beginning of several names and a `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(String);

/// What the kernel keeps of a name (`IFNAMSIZ`, without the zero at its end).
const LONGEST: usize = 15;

impl Interface {
    /// As nftables compares it: the name, or its beginning and a `*`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => self.0 == name,
        }
    }
}

impl FromStr for Interface {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || Invalid::new(format!("{} is not the name of an interface", shown(text)));
        let start = text.strip_suffix('*').unwrap_or(text);
        if text == "lo" {
            return Err(Invalid::new("`lo` is this host itself").help(
                "name the interface that leads outside, as `ip route get 192.0.2.1` shows it",
            ));
        }
        if start.is_empty() {
            return Err(bad().help(
                "every interface, those of containers among them, leads nowhere in particular: write \"eth0\" or \"en*\"",
            ));
        }
        // The kernel allows more, but nothing that makes them gives such names, and quotes would end up in a ruleset.
        let is_good =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
        if start.len() > LONGEST || !start.chars().all(is_good) || start == "." || start == ".." {
            return Err(bad().help(
                "up to 15 of a-z, A-Z, 0-9, and . _ - @ +, with a * at the end for all that begin so",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Interface {
    const FORMAT: &'static str = "holdfast-interface";
    const NOUN: &'static str = "the name of an interface";
    const DESCRIPTION: &'static str =
        "The name of a network interface, or the beginning of its name and a `*`.";
    const EXAMPLES: &'static [&'static str] = &["eth0", "en*"];
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9._@+-]{1,15}[*]?$");
}
scalar!(Interface);
