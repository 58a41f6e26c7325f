//! What else rotates a file: the rules of logrotate that holdfast has not written.
//!
//! Of two rules for one file logrotate takes the one that it reads first, and leaves out the whole file that the other
//! one is in. Packages and people have rules that keep four weeks, or copy a log and empty it, so that what is in ours
//! says nothing as long as there is another.

use crate::{
    host::{HostError, Reader},
    profile::types::TimeSpan,
};

/// Where logrotate begins to read, and the folder that this includes on Debian.
const MAIN: &str = "/etc/logrotate.conf";
pub(super) const DIR: &str = "/etc/logrotate.d";

/// What holdfast's files in there begin with.
pub(super) const PREFIX: &str = "holdfast-";

/// Names that logrotate passes over, logrotate(8), `tabooext`.
const TABOO: [&str; 17] = [
    ",v",
    ".bak",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-new",
    "~",
];

/// What begins a script, which ends with `endscript`.
const SCRIPTS: [&str; 5] = ["prerotate", "postrotate", "firstaction", "lastaction", "preremove"];

/// A rule that takes a file in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// Where it is, as `path:line`.
    pub(super) place: String,
    /// It copies the file and empties it.
    copies: bool,
    /// How many rotated files it keeps; `None`: all.
    files: Option<u64>,
    /// How many days pass between two rotations at least.
    each: u64,
    /// It may rotate before those have passed.
    by_size: bool,
    /// After how many days it deletes a rotated file, if by age.
    age: Option<u64>,
}

/// The rule that takes this file in, if somebody has one.
///
/// # Errors
/// When a configuration file cannot be read.
pub(super) fn of(host: &Reader, path: &str) -> Result<Option<Rule>, String> {
    find(host, path).map_err(|error| error.chain())
}

fn find(host: &Reader, path: &str) -> Result<Option<Rule>, HostError> {
    let Some(main) = host.files().text(MAIN)? else { return Ok(None) };
    let globals = Parsed::of(&main).globals;
    let is_read = |name: &&String| {
        !name.starts_with(['.'])
            && !name.starts_with(PREFIX)
            && !TABOO.iter().any(|taboo| name.ends_with(taboo))
    };
    let names = host.files().list(DIR)?;
    let others = names.iter().filter(is_read).map(|name| format!("{DIR}/{name}"));
    for file in others.chain([MAIN.to_owned()]) {
        if host.files().is_dir(&file) {
            continue;
        }
        let Some(text) = host.files().text(&file)? else { continue };
        if let Some(rule) = Parsed::of(&text).rule(&file, path, &globals) {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

/// A file of logrotate's, as far as it matters here.
#[derive(Debug, Default)]
struct Parsed {
    /// What stands outside of rules.
    globals: Vec<(String, String)>,
    rules: Vec<Block>,
}

/// Names of files, and what is to be done with them.
#[derive(Debug, Default)]
struct Block {
    line: usize,
    patterns: Vec<String>,
    directives: Vec<(String, String)>,
}

impl Parsed {
    fn of(text: &str) -> Self {
        let mut parsed = Self::default();
        let (mut block, mut is_inside, mut in_script) = (Block::default(), false, false);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if in_script {
                in_script = line != "endscript";
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut rest = line;
            if !is_inside {
                let is_name = rest.starts_with(['/', '"', '\'', '~']);
                if is_name && block.patterns.is_empty() {
                    block.line = index + 1;
                }
                let (names, after) = match rest.split_once('{') {
                    Some((names, after)) => (names, Some(after)),
                    None => (rest, None),
                };
                if is_name {
                    block.patterns.extend(words(names));
                } else if after.is_none() {
                    parsed.globals.extend(directive(rest));
                }
                let Some(after) = after else { continue };
                is_inside = true;
                rest = after.trim();
            }
            let (inner, ends) = match rest.split_once('}') {
                Some((inner, _)) => (inner.trim(), true),
                None => (rest, false),
            };
            in_script = SCRIPTS.contains(&inner);
            if !in_script {
                block.directives.extend(directive(inner));
            }
            if ends {
                is_inside = false;
                parsed.rules.push(std::mem::take(&mut block));
            }
        }
        parsed
    }

    /// The rule in this file that takes in `path`.
    fn rule(&self, file: &str, path: &str, globals: &[(String, String)]) -> Option<Rule> {
        let block = self.rules.iter().find(|block| {
            block.patterns.iter().any(|pattern| matches(pattern.as_bytes(), path.as_bytes()))
        })?;
        let mut rule = Rule {
            place: format!("{file}:{}", block.line),
            copies: false,
            // logrotate(8): without `rotate` nothing is kept; without a span it is a week.
            files: Some(0),
            each: 7,
            by_size: false,
            age: None,
        };
        for (key, value) in globals.iter().chain(&self.globals).chain(&block.directives) {
            match key.as_str() {
                "hourly" | "daily" => rule.each = 1,
                "weekly" => rule.each = 7,
                "monthly" => rule.each = 28,
                "yearly" => rule.each = 365,
                "rotate" => rule.files = value.parse().ok(),
                "maxage" => rule.age = value.parse().ok(),
                "size" | "maxsize" => rule.by_size = true,
                "copytruncate" => rule.copies = true,
                "nocopytruncate" => rule.copies = false,
                _ => {}
            }
        }
        Some(rule)
    }
}

impl Rule {
    /// What is lost by it of a log that is to be kept so long.
    pub(super) fn loses(&self, keep: TimeSpan) -> Option<String> {
        let place = &self.place;
        if self.copies {
            return Some(format!(
                "{place} copies it and empties it: what is written meanwhile is lost"
            ));
        }
        let by_number = self.files.map(|files| files.saturating_mul(self.each));
        if let Some(days) = [by_number, self.age].into_iter().flatten().min()
            && days.saturating_mul(86_400) < keep.as_secs()
        {
            return Some(format!("{place} rotates it and keeps {days} days"));
        }
        let files = self.files.filter(|_| self.by_size)?;
        Some(format!("{place} rotates it by size and keeps {files} files, however soon they fill"))
    }
}

/// A directive and what follows it; `=` may stand between them.
fn directive(line: &str) -> Option<(String, String)> {
    let mut words = line.split(|c: char| c.is_whitespace() || c == '=').filter(|w| !w.is_empty());
    let key = words.next()?.to_owned();
    Some((key, words.next().unwrap_or_default().to_owned()))
}

/// The names in a line, quoted or not.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).unwrap_or((&rest[1..], "")),
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        found.push(word.to_owned());
        rest = after.trim_start();
    }
    found
}

/// Whether a pattern of glob(7) matches a path; no wildcard matches a `/`.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() };
    let one = path.split_first().filter(|(c, _)| **c != b'/');
    match first {
        b'*' => matches(rest, path) || one.is_some_and(|(_, after)| matches(pattern, after)),
        b'?' => one.is_some_and(|(_, after)| matches(rest, after)),
        b'[' => {
            let end = rest.iter().skip(1).position(|c| *c == b']').map(|at| at + 1);
            let (Some((c, after)), Some(end)) = (one, end) else { return false };
            let (class, rest) = (&rest[..end], &rest[end + 1..]);
            is_in(class, *c) && matches(rest, after)
        }
        b'\\' if !rest.is_empty() => {
            path.first() == rest.first() && matches(&rest[1..], &path[1..])
        }
        first => path.first() == Some(first) && matches(rest, &path[1..]),
    }
}

/// Whether a byte is in what stands between brackets: `a-z`, `!0-9`.
fn is_in(class: &[u8], c: u8) -> bool {
    let (is_negated, class) = match class.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    let mut rest = class;
    while let Some((from, after)) = rest.split_first() {
        rest = if let [b'-', to, after @ ..] = after {
            found |= (*from..=*to).contains(&c);
            after
        } else {
            found |= *from == c;
            after
        };
    }
    found != is_negated
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
