//! Amounts of storage.

use std::fmt;
use std::str::FromStr;

use super::format::{Accepts, Invalid, Scalar, scalar, shown};

/// A number of bytes, counted as systemd does: K, M, G and T are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const UNITS: &[(char, u32)] = &[('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl Size {
    /// That many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(format!("{} is not a size", shown(text))).help(
                "write a whole number and K, M, G or T (powers of 1024), as in \"20G\", or bytes",
            )
        };
        let (number, shift) = match text.char_indices().next_back() {
            Some((at, last)) if !last.is_ascii_digit() => {
                let &(_, shift) = UNITS.iter().find(|(unit, _)| *unit == last).ok_or_else(bad)?;
                (&text[..at], shift)
            }
            _ => (text, 0),
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .map(Self)
            .ok_or_else(|| Invalid::new(format!("{} is too large a size", shown(text))))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &(unit, shift) in UNITS {
            let bytes = 1u64 << shift;
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Scalar for Size {
    const FORMAT: &'static str = "holdfast-size";
    const NOUN: &'static str = "a size";
    const DESCRIPTION: &'static str =
        "A number of bytes, or a whole number with `K`, `M`, `G` or `T` (powers of 1024).";
    const EXAMPLES: &'static [&'static str] = &["20G", "128M"];
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
    const PATTERN: Option<&'static str> = Some("^[0-9]+[KMGT]?$");
}
scalar!(Size);
