//! Where somebody comes from: a network, or a set of networks that has a name.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};
use super::{Cidr, RuleName};

/// A network, or the name of a `[[firewall.set]]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A network.
    Network(Cidr),
    /// All networks of the set of this name.
    Set(RuleName),
}

impl FromStr for Source {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix('@') {
            Some(name) => name.parse().map(Self::Set).map_err(|_| {
                Invalid::new(format!("{} is not the name of a set", shown(text)))
                    .help("write @ and the name of a [[firewall.set]]: up to 64 of a-z, 0-9 and -")
            }),
            None => text.parse().map(Self::Network),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Set(name) => write!(f, "@{name}"),
        }
    }
}

impl Scalar for Source {
    const FORMAT: &'static str = "holdfast-source";
    const NOUN: &'static str = "a network or a set";
    const DESCRIPTION: &'static str = "An IPv4 or IPv6 network in CIDR notation, a single address, or `@` and the name of a `[[firewall.set]]`.";
    const EXAMPLES: &'static [&'static str] =
        &["203.0.113.0/24", "2001:db8::/32", "198.51.100.7", "@office"];
}
scalar!(Source);
