//! The time that stands in a line of a log: pure.

use std::borrow::Cow;

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// How far into a line a time is looked for, in bytes.
const HEAD: usize = 80;

/// With this and `[` begins what tells a terminal of colours.
const ESCAPE: char = '\u{1b}';

/// Under which names programs that write JSON put the time: the signer and whatever else uses tracing, logstash's kin,
/// the Stacks node.
const KEYS: [&str; 4] = ["\"timestamp\":\"", "\"@timestamp\":\"", "\"time\":\"", "\"ts\":\""];

/// The moment of a line, in seconds since the epoch; `None` where it has none that is known. Known are RFC 3339 and what
/// is close to it (bitcoind, rsyslog, Podman), seconds since the epoch in brackets (Stacks node and signer), the `time` of
/// Docker's JSON, which stands at the end, and that of programs that write JSON themselves. Colours are passed over.
pub(super) fn of_line(line: &str) -> Option<u64> {
    if line.starts_with("{\"log\":") {
        let at = line.rfind("\"time\":\"")?;
        return date(line.get(at + 8..)?);
    }
    if line.starts_with('{') {
        let value = KEYS.iter().find_map(|key| line.split_once(key));
        return date(value?.1);
    }
    let end = (0..=line.len().min(HEAD)).rev().find(|at| line.is_char_boundary(*at))?;
    let head = plain(line[..end].trim_start());
    if let Some(moment) = date(head.trim_start_matches('[')) {
        return Some(moment);
    }
    let inside = head.split_once('[')?.1.split_once(']')?.0;
    let whole = inside.split_once('.').map_or(inside, |(whole, _)| whole);
    // From 2001 on seconds have ten digits; what is shorter is a process.
    (whole.len() == 10).then(|| whole.parse().ok()).flatten()
}

/// A text without the sequences by which terminals are told of colours, ECMA-48 (`ESC [ … m`).
fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(ESCAPE);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.and_then(|end| part.get(end + 1..)).unwrap_or_default());
    }
    Cow::Owned(plain)
}

/// Reads `2026-11-21T10:00:00`, with a blank for the `T`, a fraction and an offset, if they are there. Without an offset
/// it is UTC, as programs write that leave it out.
fn date(text: &str) -> Option<u64> {
    let (stem, rest) = (text.get(..19)?, text.get(19..)?);
    let stem: DateTime = stem.replacen(' ', "T", 1).parse().ok()?;
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let offset = offset(rest).unwrap_or(Offset::UTC);
    let moment: Timestamp = offset.to_timestamp(stem).ok()?;
    u64::try_from(moment.as_second()).ok()
}

fn offset(text: &str) -> Option<Offset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = (text.get(1..3)?, text.get(3..)?);
    let minutes = rest.strip_prefix(':').unwrap_or(rest).get(..2)?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_programs_write() {
        for (line, moment) in [
            ("2026-11-21T10:00:00Z UpdateTip: new best=00", Some(1_795_255_200)),
            ("2026-11-21T10:00:00.123456Z [net] hello", Some(1_795_255_200)),
            ("2026-11-21 10:00:00 UpdateTip", Some(1_795_255_200)),
            ("2026-11-21T12:30:00.1+02:30 host sshd[7]: hello", Some(1_795_255_200)),
            ("2026-11-21T09:00:00.123456789-01:00 stdout F hello", Some(1_795_255_200)),
            ("INFO [1795255200.123456] [src/main.rs:7] hello", Some(1_795_255_200)),
            (
                "{\"log\":\"at 2001-01-01T00:00:00Z\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T10:00:00.5Z\"}",
                Some(1_795_255_200),
            ),
            (
                "{\"timestamp\":\"2026-11-21T10:00:00.1Z\",\"level\":\"INFO\",\"fields\":{\"time\":\"x\"}}",
                Some(1_795_255_200),
            ),
            (
                "{\"msg\":\"hello\",\"level\":\"INFO\",\"ts\":\"2026-11-21T10:00:00.123+00:00\"}",
                Some(1_795_255_200),
            ),
            (
                "{\"log\":\"{\\\"timestamp\\\":\\\"2001-01-01T00:00:00Z\\\"}\\n\",\"time\":\"2026-11-21T10:00:00Z\"}",
                Some(1_795_255_200),
            ),
            (
                "\u{1b}[2m2026-11-21T10:00:00.1Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m hello",
                Some(1_795_255_200),
            ),
            ("\u{1b}[32mINFO\u{1b}[0m [1795255200.1] [src/x.rs:7] hello", Some(1_795_255_200)),
            ("\u{1b}[", None),
            ("{\"log\":\"cut in the mid", None),
            ("sshd[1234]: hello", None),
            ("hello", None),
            ("", None),
            ("2026-13-21T10:00:00Z", None),
            ("1969-01-01T00:00:00Z", None),
        ] {
            assert_eq!(of_line(line), moment, "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(line in "[0-9T:.,+\\-\\[\\]{} \"timeé\u{1b}m]*|.*") {
            let _ = of_line(&line);
        }
    }
}
