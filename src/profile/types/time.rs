//! Spans of time, rates, and the day on which something ends.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil;

use super::format::{Invalid, Scalar, scalar, shown};

/// A length of time in whole seconds: `90d`, `1h30m`, `30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(u64);

/// Units from the longest, and what `Display` uses (weeks are read, not written: 90d stays 90d).
const UNITS: &[(&str, u64)] =
    &[("w", 604_800), ("d", 86_400), ("h", 3_600), ("min", 60), ("m", 60), ("s", 1)];

/// A century: everything longer is a slip of the finger, and programs that are handed it overflow.
const LONGEST_SECS: u64 = 100 * 365 * 86_400;

impl TimeSpan {
    /// A span of that many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// A span of that many days.
    pub const fn from_days(days: u64) -> Self {
        Self(days * 86_400)
    }

    /// Its length in seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// As the standard library has it.
    pub const fn as_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl FromStr for TimeSpan {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(format!("{} is not a duration", shown(text)))
                .help("write a number and a unit (s, m, h, d or w), as in \"90d\" or \"1h30m\"")
        };
        let long = || {
            Invalid::new(format!("{} is too long a duration", shown(text)))
                .help("a hundred years (\"36500d\") is the most")
        };
        let mut rest = text;
        let mut total = 0u64;
        let mut last_unit = u64::MAX;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let letters =
                tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            if number.is_empty() {
                return Err(bad());
            }
            if unit == "M" || unit == "mo" {
                return Err(Invalid::new(format!("{} has a unit that varies", shown(text)))
                    .help("months differ in length: count days (`d`); minutes are `m`"));
            }
            let Some(&(_, secs)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(bad());
            };
            if secs >= last_unit {
                return Err(Invalid::new(format!("the units of {} are out of order", shown(text)))
                    .help("write the longest unit first and each once, as in \"1h30m\""));
            }
            last_unit = secs;
            let number: u64 = number.parse().map_err(|_| long())?;
            total = number
                .checked_mul(secs)
                .and_then(|span| total.checked_add(span))
                .filter(|total| *total <= LONGEST_SECS)
                .ok_or_else(long)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, secs) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if rest >= secs {
                write!(f, "{}{unit}", rest / secs)?;
                rest %= secs;
            }
        }
        Ok(())
    }
}

impl Scalar for TimeSpan {
    const FORMAT: &'static str = "holdfast-duration";
    const NOUN: &'static str = "a duration";
    const DESCRIPTION: &'static str = "A length of time: numbers with the units `s`, `m` (or `min`), `h`, `d` and `w`, the longest first.";
    const EXAMPLES: &'static [&'static str] = &["90d", "10m", "1h30m", "30s"];
    const PATTERN: Option<&'static str> = Some("^([0-9]+(w|d|h|min|m|s))+$");
}
scalar!(TimeSpan);

/// How often something may happen: `10/minute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    /// How many times.
    pub count: u32,
    /// In how long.
    pub per: RateUnit,
}

/// The time a [`Rate`] counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateUnit {
    /// Every second.
    Second,
    /// Every minute.
    Minute,
    /// Every hour.
    Hour,
    /// Every day.
    Day,
}

impl RateUnit {
    /// As nftables writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(format!("{} is not a rate", shown(text)))
                .help("write a number from 1, a slash and second, minute, hour or day, as in \"10/minute\"")
        };
        let (count, unit) = text.split_once('/').ok_or_else(bad)?;
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
        let per = match unit {
            "second" => RateUnit::Second,
            "minute" => RateUnit::Minute,
            "hour" => RateUnit::Hour,
            "day" => RateUnit::Day,
            _ => return Err(bad()),
        };
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.as_str())
    }
}

impl Scalar for Rate {
    const FORMAT: &'static str = "holdfast-rate";
    const NOUN: &'static str = "a rate";
    const DESCRIPTION: &'static str = "How often something may happen: a number, a slash, and `second`, `minute`, `hour` or `day`.";
    const EXAMPLES: &'static [&'static str] = &["10/minute", "1/second"];
    const PATTERN: Option<&'static str> = Some("^[0-9]+/(second|minute|hour|day)$");
}
scalar!(Rate);

/// The last day on which something holds (the whole of that day, UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Until(civil::Date);

impl Until {
    /// That day.
    pub const fn new(date: civil::Date) -> Self {
        Self(date)
    }

    /// The day.
    pub const fn date(self) -> civil::Date {
        self.0
    }

    /// Whether it has ended by `today`: the day itself still counts.
    pub fn is_over(self, today: civil::Date) -> bool {
        today > self.0
    }
}

impl FromStr for Until {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let help = "write a day that exists as year-month-day, as in 2027-01-31";
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        // jiff itself would also take a date with a time, whose zone we would then ignore.
        if !shape {
            return Err(Invalid::new(format!("{} is not a date", shown(text))).help(help));
        }
        text.parse()
            .map(Self)
            .map_err(|_| Invalid::new(format!("there is no day {}", shown(text))).help(help))
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scalar for Until {
    const FORMAT: &'static str = "holdfast-date";
    const NOUN: &'static str = "a date";
    const DESCRIPTION: &'static str =
        "A day, as a TOML date or in quotes. The day itself is included.";
    const EXAMPLES: &'static [&'static str] = &["2027-01-31"];
}
scalar!(Until);
