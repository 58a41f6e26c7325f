//! journald's kinds of value, compared by what they mean: `1G` is `1024M`, `90d` is `3month` less an hour or so.

/// How journald reads a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of a few words, as written.
    Word,
    /// Bytes, powers of 1024.
    Size,
    /// A whole number.
    Count,
    /// A length of time.
    Span,
    /// Yes or no.
    Bool,
    /// Yes, no, or the size from which on to compress, which says yes.
    Compress,
}

/// A value as journald has it once read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Word(String),
    Number(u64),
    /// In microseconds; `u64::MAX` is `infinity`.
    Micros(u64),
    Bool(bool),
}

const STORAGES: [&str; 4] = ["auto", "volatile", "persistent", "none"];

impl Kind {
    /// What a value means; `None` for one that journald ignores.
    pub(super) fn read(self, text: &str) -> Option<Meaning> {
        match self {
            Self::Word => STORAGES.contains(&text).then(|| Meaning::Word(text.to_owned())),
            Self::Size => size(text).map(Meaning::Number),
            Self::Count => text.parse().ok().map(Meaning::Number),
            Self::Span => span(text).map(Meaning::Micros),
            Self::Bool => boolean(text).map(Meaning::Bool),
            Self::Compress => match boolean(text) {
                Some(yes) => Some(Meaning::Bool(yes)),
                None if text.is_empty() => Some(Meaning::Bool(true)),
                None => size(text).map(|_| Meaning::Bool(true)),
            },
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// A number with an optional fraction, and what follows it.
fn number(text: &str) -> Option<(u128, u128, u128, &str)> {
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (whole, rest) = text.split_at(digits(text));
    let Some(after) = rest.strip_prefix('.') else {
        return Some((whole.parse().ok()?, 0, 1, rest));
    };
    let (fraction, rest) = after.split_at(digits(after));
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let whole = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
    Some((whole, parts, scale, rest))
}

/// Sums up `number unit` pairs; `unit` gives a unit's worth and the text after it.
fn sum(text: &str, unit: impl Fn(&str) -> Option<(u128, &str)>) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (whole, parts, scale, tail) = number(rest)?;
        let (worth, tail) = unit(tail.trim_start())?;
        total = total.checked_add(whole.checked_mul(worth)?)?;
        total = total.checked_add(parts.checked_mul(worth)? / scale)?;
        rest = tail.trim_start();
    }
    u64::try_from(total).ok()
}

/// `20G`, `1.5M`, `1G 500M`: systemd's sizes.
fn size(text: &str) -> Option<u64> {
    sum(text, |tail| {
        let shift = match tail.chars().next() {
            None => return Some((1, tail)),
            Some('B') => 0,
            Some('K') => 10,
            Some('M') => 20,
            Some('G') => 30,
            Some('T') => 40,
            Some('P') => 50,
            Some('E') => 60,
            // A space parts two sizes, the first of them in bytes.
            Some(c) if c.is_ascii_digit() => return Some((1, tail)),
            Some(_) => return None,
        };
        Some((1 << shift, &tail[1..]))
    })
}

/// systemd's units of time in microseconds, systemd.time(7). A month is a twelfth of 365.25 days.
const SPANS: &[(&[&str], u128)] = &[
    (&["usec", "us", "µs", "μs"], 1),
    (&["msec", "ms"], 1_000),
    (&["seconds", "second", "sec", "s"], 1_000_000),
    (&["minutes", "minute", "min", "m"], 60_000_000),
    (&["hours", "hour", "hr", "h"], 3_600_000_000),
    (&["days", "day", "d"], 86_400_000_000),
    (&["weeks", "week", "w"], 604_800_000_000),
    (&["months", "month", "M"], 2_629_800_000_000),
    (&["years", "year", "y"], 31_557_600_000_000),
];

/// `90d`, `1h 30min`, `1month`, bare seconds, `infinity`: systemd's spans of time.
fn span(text: &str) -> Option<u64> {
    if text.trim() == "infinity" {
        return Some(u64::MAX);
    }
    sum(text, |tail| {
        let end = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (word, rest) = tail.split_at(end);
        if word.is_empty() {
            return Some((1_000_000, rest));
        }
        let (_, worth) = SPANS.iter().find(|(names, _)| names.contains(&word))?;
        Some((*worth, rest))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::types::{Size, TimeSpan};

    #[test]
    fn values_mean_what_systemd_takes_them_for() {
        let number = |n| Some(Meaning::Number(n));
        let micros = |n| Some(Meaning::Micros(n));
        let cases = [
            (Kind::Size, "20G", number(20 << 30)),
            (Kind::Size, "1.5M", number(3 << 19)),
            (Kind::Size, "1G 500M", number((1 << 30) + (500 << 20))),
            (Kind::Size, "4096", number(4096)),
            (Kind::Size, "10 M", number(10 << 20)),
            (Kind::Size, "10MB", None),
            (Kind::Size, "10m", None),
            (Kind::Size, "-1", None),
            (Kind::Size, "", None),
            (Kind::Size, "99999999999E", None),
            (Kind::Span, "90d", micros(7_776_000_000_000)),
            (Kind::Span, "1month", micros(2_629_800_000_000)),
            (Kind::Span, "1M", micros(2_629_800_000_000)),
            (Kind::Span, "1h 30min", micros(5_400_000_000)),
            (Kind::Span, "1h30m", micros(5_400_000_000)),
            (Kind::Span, "30", micros(30_000_000)),
            (Kind::Span, "0.5s", micros(500_000)),
            (Kind::Span, "0", micros(0)),
            (Kind::Span, "infinity", micros(u64::MAX)),
            (Kind::Span, "90 parsecs", None),
            (Kind::Span, "", None),
            (Kind::Bool, "Yes", Some(Meaning::Bool(true))),
            (Kind::Bool, "off", Some(Meaning::Bool(false))),
            (Kind::Bool, "maybe", None),
            (Kind::Compress, "1M", Some(Meaning::Bool(true))),
            (Kind::Compress, "no", Some(Meaning::Bool(false))),
            (Kind::Compress, "huge", None),
            (Kind::Count, "100", number(100)),
            (Kind::Count, "100k", None),
            (Kind::Word, "persistent", Some(Meaning::Word("persistent".into()))),
            (Kind::Word, "Persistent", None),
        ];
        for (kind, text, meaning) in cases {
            assert_eq!(kind.read(text), meaning, "{kind:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_profile_writes_reads_back(bytes in 0..i64::MAX as u64, secs in 0u64..3_000_000_000) {
            let size = Size::from_bytes(bytes);
            prop_assert_eq!(Kind::Size.read(&size.to_string()), Some(Meaning::Number(bytes)));
            let span = TimeSpan::from_secs(secs);
            prop_assert_eq!(
                Kind::Span.read(&span.to_string()),
                Some(Meaning::Micros(secs * 1_000_000))
            );
        }

        #[test]
        fn nothing_panics(text in ".*") {
            for kind in [Kind::Word, Kind::Size, Kind::Count, Kind::Span, Kind::Bool, Kind::Compress] {
                drop(kind.read(&text));
            }
        }
    }
}
