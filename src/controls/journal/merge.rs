//! What journald makes of its configuration files, journald.conf(5): pure.
//!
//! The main file is read first, then the drop-ins by name. Each assignment replaces an earlier one; a value that
//! journald cannot read is passed over; after a broken section header journald reads nothing more, of any file.

use super::values::{Kind, Meaning};
use crate::controls::dropin::{ConfFile, Place};

/// A setting that a profile can manage, and how journald names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// As journald.conf(5) has it; the subject of the check.
    pub(super) name: &'static str,
    /// An older name that still counts.
    pub(super) alias: Option<&'static str>,
    /// How its value is read.
    pub(super) kind: Kind,
}

/// The assignment that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// As it is written there.
    pub(super) text: String,
    /// What it means.
    pub(super) meaning: Meaning,
    /// Where.
    pub(super) place: Place,
}

/// One `Key=value` of the `[Journal]` section.
#[derive(Debug, PartialEq, Eq)]
struct Assignment<'a> {
    key: String,
    value: String,
    path: &'a str,
    line: usize,
}

/// Every assignment of all files in the order in which they count, and where journald stopped reading, if it did.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    assignments: Vec<Assignment<'a>>,
    /// The broken section header after which nothing counts.
    pub(super) broken: Option<Place>,
}

impl<'a> Merged<'a> {
    /// Reads files in their order. Those that could not be read are left out: see `dropin::unreadable`.
    pub(super) fn new(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut merged = Self { assignments: Vec::new(), broken: None };
        for (path, text) in files {
            if let Err(line) = parse(path, text, &mut merged.assignments) {
                merged.broken = Some(Place { path: path.to_owned(), line });
                break;
            }
        }
        merged
    }

    /// The same, of files as they were found.
    pub(super) fn of(files: &'a [ConfFile]) -> Self {
        Self::new(files.iter().filter_map(|file| {
            let text = file.text.as_deref().ok()?;
            Some((file.path.as_str(), text))
        }))
    }

    /// The assignment that decides over a key; `None`: journald's own default holds.
    pub(super) fn decides(&self, key: &Key) -> Option<Decided> {
        self.assignments.iter().rev().find_map(|found| {
            let is_it = found.key == key.name || Some(found.key.as_str()) == key.alias;
            let meaning = key.kind.read(&found.value).filter(|_| is_it)?;
            let place = Place { path: found.path.to_owned(), line: found.line };
            Some(Decided { text: found.value.clone(), meaning, place })
        })
    }
}

/// Reads one file.
///
/// # Errors
/// The line of a broken section header; what came before it counts.
fn parse<'a>(path: &'a str, text: &str, into: &mut Vec<Assignment<'a>>) -> Result<(), usize> {
    let mut in_journal = false;
    let mut pending: Option<(usize, String)> = None;
    for (index, raw) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        // Comments are dropped even in the middle of a continued line.
        if raw.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (line, mut whole) = pending.take().unwrap_or((index + 1, String::new()));
        whole.push_str(raw);
        let escapes = whole.len() - whole.trim_end_matches('\\').len();
        if escapes % 2 == 1 {
            whole.pop();
            whole.push(' ');
            pending = Some((line, whole));
            continue;
        }
        let whole = whole.trim();
        if whole.starts_with('[') {
            let name = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            in_journal = name.ok_or(line)? == "Journal";
        } else if let Some((key, value)) = whole.split_once('=')
            && in_journal
        {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            into.push(Assignment { key, value, path, line });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_USE: Key = Key { name: "SystemMaxUse", alias: None, kind: Kind::Size };
    const INTERVAL: Key =
        Key { name: "RateLimitIntervalSec", alias: Some("RateLimitInterval"), kind: Kind::Span };

    fn decided(files: &[(&str, &str)], key: &Key) -> Option<String> {
        let found = Merged::new(files.iter().copied()).decides(key)?;
        Some(format!("{} {}", found.text, found.place))
    }

    #[test]
    fn the_last_readable_assignment_decides() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let cases: &[Case] = &[
            (&[("/m", "[Journal]\n#SystemMaxUse=1G\n")], None),
            (&[("/m", "SystemMaxUse=1G\n")], None),
            (&[("/m", "[Other]\nSystemMaxUse=1G\n")], None),
            (&[("/m", "[Journal]\nSystemMaxUse=1G\n")], Some("1G /m:2")),
            (&[("/m", "[Journal]\n SystemMaxUse = 1G \n")], Some("1G /m:2")),
            (
                &[("/m", "[Journal]\nSystemMaxUse=1G\n"), ("/d", "[Journal]\nSystemMaxUse=2G")],
                Some("2G /d:2"),
            ),
            // Not a size: passed over, and the earlier one stays.
            (
                &[("/m", "[Journal]\nSystemMaxUse=1G\n"), ("/d", "[Journal]\nSystemMaxUse=lots")],
                Some("1G /m:2"),
            ),
            (&[("/m", "[Journal]\nSystemMaxUse=\\\n# between\n3G\n")], Some("3G /m:2")),
            (
                &[("/m", "[Journal]\nSystemMaxUse=1G\n[X]\n[Journal]\nSystemMaxUse=4G")],
                Some("4G /m:5"),
            ),
        ];
        for (files, expected) in cases {
            assert_eq!(decided(files, &MAX_USE).as_deref(), *expected, "{files:?}");
        }
    }

    #[test]
    fn an_older_name_counts() {
        let files = [("/m", "[Journal]\nRateLimitInterval=10s\n")];
        assert_eq!(decided(&files, &INTERVAL).as_deref(), Some("10s /m:2"));
    }

    #[test]
    fn nothing_counts_after_a_broken_section_header() {
        let files = [
            ("/m", "[Journal]\nSystemMaxUse=1G\n[Journal\nSystemMaxUse=2G\n"),
            ("/d", "[Journal]\nSystemMaxUse=3G\n"),
        ];
        let merged = Merged::new(files);
        assert_eq!(merged.broken.as_ref().unwrap().to_string(), "/m:3");
        assert_eq!(merged.decides(&MAX_USE).unwrap().text, "1G");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(\\[Journal\\]\n)?[\\[\\]=a-zA-Z\\\\#;\n\u{feff}]*") {
            drop(Merged::new([("/f", text.as_str())]).decides(&MAX_USE));
        }
    }
}
