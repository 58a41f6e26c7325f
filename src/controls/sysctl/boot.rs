//! What systemd-sysctl would set at the next boot, sysctl.d(5): pure.
//!
//! Files come by name; a later assignment of a key replaces an earlier one; an exact key beats every pattern that fits
//! it; `-key` alone takes a key out, also from patterns.

use crate::controls::dropin::{ConfFile, Place};

/// One line that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Below `/proc/sys`, with slashes; may be a pattern.
    key: String,
    /// `None`: the key is taken out.
    value: Option<String>,
    place: Place,
}

/// What happens to a key at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// The value it is set to; `None`: a file says that it is not to be set.
    pub(super) value: Option<String>,
    /// Where that is said.
    pub(super) place: Place,
}

impl From<&Line> for Decided {
    fn from(line: &Line) -> Self {
        Self { value: line.value.clone(), place: line.place.clone() }
    }
}

/// All files taken together.
#[derive(Debug, Default)]
pub(super) struct Boot(Vec<Line>);

impl Boot {
    /// Reads files in their order.
    pub(super) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut boot = Self::default();
        for (path, text) in files {
            for (index, raw) in text.lines().enumerate() {
                boot.read(raw.trim(), path, index + 1);
            }
        }
        boot
    }

    /// The same, of files as they were found.
    pub(super) fn of(files: &[ConfFile]) -> Self {
        Self::new(files.iter().filter_map(|file| {
            let text = file.text.as_deref().ok()?;
            Some((file.path.as_str(), text))
        }))
    }

    fn read(&mut self, text: &str, path: &str, line: usize) {
        if text.is_empty() || text.starts_with(['#', ';']) {
            return;
        }
        let (key, value) = match text.split_once('=') {
            // A dash before the key: a failure to set it is not reported.
            Some((key, value)) => (key.strip_prefix('-').unwrap_or(key), Some(value.trim())),
            None => match text.strip_prefix('-') {
                Some(key) => (key, None),
                None => return,
            },
        };
        let (key, value) = (normal(key.trim()), value.map(str::to_owned));
        // The same again changes nothing, not even its place in the order.
        if self.0.iter().any(|earlier| earlier.key == key && earlier.value == value) {
            return;
        }
        self.0.retain(|earlier| earlier.key != key);
        self.0.push(Line { key, value, place: Place { path: path.to_owned(), line } });
    }

    /// What happens to a key (a path below `/proc/sys`); `None`: no file says anything about it.
    pub(super) fn decides(&self, key: &str) -> Option<Decided> {
        self.decides_exactly(key).or_else(|| {
            let fitting = |line: &&Line| {
                line.value.is_some() && is_pattern(&line.key) && fits(&line.key, key)
            };
            self.0.iter().rev().find(fitting).map(Decided::from)
        })
    }

    /// The same, patterns aside.
    pub(super) fn decides_exactly(&self, key: &str) -> Option<Decided> {
        self.0.iter().find(|line| line.key == key).map(Decided::from)
    }
}

/// A key as a path: the first separator decides which one separates, as sysctl.d(5) says.
fn normal(key: &str) -> String {
    let dotted = key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'.'));
    let path: String = if dotted {
        key.chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect()
    } else {
        key.to_owned()
    };
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

fn is_pattern(key: &str) -> bool {
    key.contains(['*', '?', '['])
}

/// Whether a path fits a glob(7) pattern; no wildcard matches a slash.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) => {
                let (pattern, part): (Vec<char>, Vec<char>) =
                    (pattern.chars().collect(), part.chars().collect());
                if !part_fits(&pattern, &part) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn part_fits(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|skip| part_fits(rest, &text[skip..])),
        (['?', rest @ ..], [_, tail @ ..]) => part_fits(rest, tail),
        (['[', rest @ ..], [first, tail @ ..]) => match set(rest, *first) {
            Some((true, after)) => part_fits(after, tail),
            Some((false, _)) => false,
            None => *first == '[' && part_fits(rest, tail),
        },
        ([wanted, rest @ ..], [first, tail @ ..]) => wanted == first && part_fits(rest, tail),
        _ => false,
    }
}

/// Whether a character is in a `[…]` set, and the pattern after it; `None`: the bracket is not closed.
fn set(pattern: &[char], c: char) -> Option<(bool, &[char])> {
    let (negated, mut rest) = match pattern {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    let mut is_first = true;
    loop {
        match rest {
            [']', after @ ..] if !is_first => return Some((found != negated, after)),
            [low, '-', high, after @ ..] if *high != ']' => {
                found |= (*low..=*high).contains(&c);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == c;
                rest = after;
            }
            [] => return None,
        }
        is_first = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decided(files: &[(&str, &str)], key: &str) -> Option<String> {
        let found = Boot::new(files.iter().copied()).decides(key)?;
        Some(format!("{} {}", found.value.as_deref().unwrap_or("-"), found.place))
    }

    #[test]
    fn what_is_set_at_boot() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);
        const KEY: &str = "net/ipv4/conf/eth0/rp_filter";
        let cases: &[Case] = &[
            (&[("/a", "")], None),
            (&[("/a", "# net.ipv4.conf.eth0.rp_filter=1\n; x=1\nnonsense\n")], None),
            (&[("/a", "net.ipv4.conf.eth0.rp_filter = 1")], Some("1 /a:1")),
            (&[("/a", "net/ipv4/conf/eth0/rp_filter=1")], Some("1 /a:1")),
            (&[("/a", "-net.ipv4.conf.eth0.rp_filter=1")], Some("1 /a:1")),
            (&[("/a", "\n\nnet.ipv4.conf.*.rp_filter=2")], Some("2 /a:3")),
            (&[("/a", "net.ipv4.*.rp_filter=2")], None),
            (&[("/a", "net.ipv4.conf.eth[0-9].rp_filter=2")], Some("2 /a:1")),
            (&[("/a", "net.ipv4.conf.eth[!0].rp_filter=2")], None),
            // an exact key beats every pattern, whichever comes last
            (
                &[("/a", "net.ipv4.conf.eth0.rp_filter=1"), ("/b", "net.ipv4.conf.*.rp_filter=2")],
                Some("1 /a:1"),
            ),
            // the later one wins
            (
                &[
                    ("/a", "net.ipv4.conf.eth0.rp_filter=1"),
                    ("/b", "net.ipv4.conf.eth0.rp_filter=0"),
                ],
                Some("0 /b:1"),
            ),
            // a bare dash takes a key out of what patterns set
            (
                &[("/a", "net.ipv4.conf.*.rp_filter=2\n-net.ipv4.conf.eth0.rp_filter")],
                Some("- /a:2"),
            ),
            (
                &[("/a", "net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.?th0.rp_filter=0")],
                Some("0 /a:2"),
            ),
        ];
        for (files, expected) in cases {
            assert_eq!(decided(files, KEY).as_deref(), *expected, "{files:?}");
        }
        let vlan = [("/a", "net.ipv4.conf.eth0/100.rp_filter=1")];
        assert_eq!(decided(&vlan, "net/ipv4/conf/eth0.100/rp_filter").as_deref(), Some("1 /a:1"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-c.*?/\\[\\]!=\\n -]{0,40}", key in "[a-c/]{0,12}") {
            drop(Boot::new([("/f", text.as_str())]).decides(&key));
        }
    }
}
