//! Lines of an `authorized_keys` file, as far as it matters who gets in by them. Pure.

use std::net::IpAddr;

use jiff::Timestamp;

use super::patterns;
use crate::profile::types::SshKey;

/// What a line says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Its algorithm, as the line names it.
    algorithm: &'static str,
    /// The value of `from="…"`.
    pub(super) from: Option<String>,
    /// The value of `expiry-time="…"`.
    expires: Option<String>,
    /// Whether a `command="…"` takes the place of a shell.
    is_forced: bool,
    /// Whether the key is an authority that signs others (`cert-authority`).
    is_authority: bool,
    /// Why sshd would pass it over.
    broken: Option<String>,
}

/// Why a key lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Useless {
    /// In words.
    Because(String),
    /// Only who holds a certificate gets in by it.
    Certificates,
}

/// The keys of a file, in order; comments and blank lines passed over.
pub(super) fn parse(text: &str) -> Vec<Key> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(line).collect()
}

fn line(line: &str) -> Key {
    let mut key = Key {
        algorithm: "",
        from: None,
        expires: None,
        is_forced: false,
        is_authority: false,
        broken: None,
    };
    let mut rest = line;
    // A line begins with options unless it begins with a kind of key.
    if rest.parse::<SshKey>().is_err() {
        let end = end_of_options(line);
        for (name, value) in options(&line[..end]) {
            match name.to_ascii_lowercase().as_str() {
                "from" => key.from = Some(value),
                "command" => key.is_forced = true,
                "cert-authority" => key.is_authority = true,
                "expiry-time" => key.expires = Some(value),
                _ => {}
            }
        }
        rest = line[end..].trim_start();
    }
    match rest.parse::<SshKey>() {
        Ok(parsed) => key.algorithm = parsed.algorithm(),
        Err(error) => key.broken = Some(error.to_string()),
    }
    key
}

/// Where the first blank outside quotes is.
fn end_of_options(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

/// `name` and `name="value"`, separated by commas.
fn options(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let (mut name, mut value) = (String::new(), String::new());
    let (mut quoted, mut in_value) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted && chars.peek() == Some(&'"') => value.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => {
                all.push((std::mem::take(&mut name), std::mem::take(&mut value)));
                in_value = false;
            }
            '=' if !quoted && !in_value => in_value = true,
            c if in_value => value.push(c),
            c => name.push(c),
        }
    }
    all.push((name, value));
    all
}

impl Key {
    /// Whether its holder gets a shell from this address.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admits(
        &self,
        from: IpAddr,
        accepted: &[String],
        now: Timestamp,
    ) -> Result<(), Useless> {
        let because = |why: String| Err(Useless::Because(why));
        if let Some(broken) = &self.broken {
            return because(format!("a line is no key ({broken})"));
        }
        if self.is_authority {
            return Err(Useless::Certificates);
        }
        if self.is_forced {
            return because("a key is tied to one command".to_owned());
        }
        if let Some(list) = &self.from
            && !patterns::matches_address(list, from)
        {
            return because(format!("a key is for {list} only"));
        }
        if let Some(expires) = &self.expires
            && has_passed(expires, now)
        {
            return because(format!("a key ended on {expires}"));
        }
        if !accepted.iter().any(|name| signs_as(self.algorithm, name)) {
            return because(format!("{} keys are not accepted", self.algorithm));
        }
        Ok(())
    }
}

/// Whether a key of this kind can make signatures of that name: RSA's have names of their own.
fn signs_as(algorithm: &str, accepted: &str) -> bool {
    accepted == algorithm
        || (algorithm == "ssh-rsa" && matches!(accepted, "rsa-sha2-512" | "rsa-sha2-256"))
}

/// `YYYYMMDD[HHMM[SS]]`, local time unless `Z` follows. The host's own zone may be up to 14 h off UTC; what ends within
/// that is called over, and so is what cannot be read: sshd refuses the line then.
fn has_passed(text: &str, now: Timestamp) -> bool {
    let digits = text.trim_end_matches('Z');
    if !digits.is_ascii() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let slack = if text.ends_with('Z') { 0 } else { 14 * 3_600 };
    let number = |range: std::ops::Range<usize>| {
        digits.get(range).map_or(Some(0), |part| part.parse::<i16>().ok())
    };
    let small = |range| number(range).and_then(|n| i8::try_from(n).ok());
    let parse = || {
        let (year, month, day) = (number(0..4)?, small(4..6)?, small(6..8)?);
        let (hour, minute, second) = (small(8..10)?, small(10..12)?, small(12..14)?);
        let at = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp().as_second())
    };
    parse().is_none_or(|end| end - slack <= now.as_second())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE";

    fn admits(text: &str, from: &str) -> Result<(), Useless> {
        let accepted = ["ssh-ed25519".to_owned(), "rsa-sha2-512".to_owned()];
        let keys = parse(text);
        assert_eq!(keys.len(), 1, "{text}");
        keys[0].admits(from.parse().unwrap(), &accepted, "2026-11-21T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn lines() {
        let no = |why: &str| Err(Useless::Because(why.to_owned()));
        let cases = [
            (KEY.to_owned(), Ok(())),
            (format!("  {KEY} a comment"), Ok(())),
            (format!("restrict,pty {KEY}"), Ok(())),
            (format!("no-agent-forwarding,environment=\"A=b c\" {KEY}"), Ok(())),
            (format!("from=\"192.0.2.0/24,!192.0.2.9\" {KEY}"), Ok(())),
            (format!("from=\"198.51.100.*\" {KEY}"), no("a key is for 198.51.100.* only")),
            (format!("command=\"echo \\\"hi\\\" , x\" {KEY}"), no("a key is tied to one command")),
            (format!("cert-authority {KEY}"), Err(Useless::Certificates)),
            (format!("expiry-time=\"20261120Z\" {KEY}"), no("a key ended on 20261120Z")),
            (format!("expiry-time=\"202611220000Z\" {KEY}"), Ok(())),
            (format!("expiry-time=\"soon\" {KEY}"), no("a key ended on soon")),
        ];
        for (text, expected) in cases {
            assert_eq!(admits(&text, "192.0.2.1"), expected, "{text}");
        }
        for text in ["ssh-ed25519 AAAA", "nonsense", "ssh-dss AAAA", "\"", "ssh-ed25519"] {
            assert!(matches!(admits(text, "192.0.2.1"), Err(Useless::Because(_))), "{text}");
        }
        assert_eq!(parse("# comment\n\n \n"), []);
    }

    #[test]
    fn rsa_by_its_signatures() {
        let accepts = |names: &[&str], kind: &str| names.iter().any(|name| signs_as(kind, name));
        assert!(accepts(&["rsa-sha2-256"], "ssh-rsa"));
        assert!(!accepts(&["ssh-ed25519"], "ssh-rsa"));
        assert!(!accepts(&["rsa-sha2-256"], "ssh-ed25519"));
    }

    proptest! {
        #[test]
        fn no_line_panics(text in "\\PC{0,80}") {
            for key in parse(&text) {
                drop(key.admits("192.0.2.1".parse().unwrap(), &[], Timestamp::UNIX_EPOCH));
            }
        }
    }
}
