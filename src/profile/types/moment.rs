//! When something ends.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, tz::TimeZone};

use super::Until;
use super::format::{Invalid, Scalar, scalar, shown};

/// A moment with its offset from UTC, or the last day on which something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// The whole of this day, UTC.
    Day(Until),
    /// Up to this very moment.
    At(Timestamp),
}

impl Moment {
    /// The moment from which it holds no more.
    pub fn end(self) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Day(day) => {
                let after = day.date().tomorrow().and_then(|day| day.to_zoned(TimeZone::UTC));
                after.map_or(Timestamp::MAX, |midnight| midnight.timestamp())
            }
        }
    }

    /// Whether it has ended by then.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.end() <= now
    }
}

impl FromStr for Moment {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() <= 10 {
            return text.parse().map(Self::Day);
        }
        text.parse().map(Self::At).map_err(|_| {
            Invalid::new(format!("{} is not a moment", shown(text))).help(
                "write a day, as in 2027-01-31, or a moment with its offset from UTC, as in 2027-01-31T18:00:00Z",
            )
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::At(moment) => moment.fmt(f),
        }
    }
}

impl Scalar for Moment {
    const FORMAT: &'static str = "holdfast-moment";
    const NOUN: &'static str = "a date or a moment";
    const DESCRIPTION: &'static str = "A day, the whole of which (UTC) is included, or a moment with its offset from UTC (RFC 3339); as a TOML date or in quotes.";
    const EXAMPLES: &'static [&'static str] = &["2027-01-31", "2027-01-31T18:00:00Z"];
}
scalar!(Moment);
