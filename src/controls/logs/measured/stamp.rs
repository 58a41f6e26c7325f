//! The time that stands in a line of a log: pure.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// How far into a line a time is looked for, in bytes.
const HEAD: usize = 80;

/// The moment of a line, in seconds since the epoch; `None` where it has none that is known. Known are RFC 3339 and what
/// is close to it (bitcoind, rsyslog, Podman), seconds since the epoch in brackets (Stacks node and signer), and the
/// `time` of Docker's JSON, which stands at the end.
pub(super) fn of_line(line: &str) -> Option<u64> {
    let docker = line.starts_with('{').then(|| line.rfind("\"time\":\"")).flatten();
    if let Some(at) = docker {
        return date(line.get(at + 8..)?);
    }
    let end = (0..=line.len().min(HEAD)).rev().find(|at| line.is_char_boundary(*at))?;
    let head = line[..end].trim_start();
    if let Some(moment) = date(head.trim_start_matches('[')) {
        return Some(moment);
    }
    let inside = head.split_once('[')?.1.split_once(']')?.0;
    let whole = inside.split_once('.').map_or(inside, |(whole, _)| whole);
    // From 2001 on seconds have ten digits; what is shorter is a process.
    (whole.len() == 10).then(|| whole.parse().ok()).flatten()
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
        fn nothing_panics(line in "[0-9T:.,+\\-\\[\\]{} \"timeé]*|.*") {
            let _ = of_line(&line);
        }
    }
}
