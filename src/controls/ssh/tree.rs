//! sshd's configuration as it lies on the disk: every line sshd reads, in the order in which it does.
//!
//! This is not the judge of what is in effect, `sshd -T` is. It says whether there is a `Match` (so that one question to
//! sshd is enough when there is none), and which line of which file is at fault.

use std::collections::BTreeSet;

use super::glob;
use crate::{
    controls::pull,
    host::{Files, HostError},
};

/// Where sshd begins to read.
pub(super) const MAIN: &str = "/etc/ssh/sshd_config";

/// What a relative `Include` is relative to, `sshd_config(5)`.
const INCLUDE_BASE: &str = "/etc/ssh";

/// sshd's own limit, `SERVCONF_MAX_DEPTH`.
const DEEPEST: usize = 16;

/// More lines than any configuration has; a folder full of junk must not stall a check.
const MOST_LINES: usize = 100_000;

/// Likewise files: a file that includes itself twice would be read 65,000 times.
const MOST_FILES: usize = 1024;

/// Where configuration files are read from.
pub(in crate::controls) trait Source {
    /// The text of a file; `None` when there is none, or a folder is there (sshd passes over both).
    fn text(&self, path: &str) -> Result<Option<String>, String>;
    /// The names in a folder, sorted.
    fn list(&self, path: &str) -> Result<Vec<String>, String>;
}

impl Source for Files {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        if self.is_dir(path) {
            return Ok(None);
        }
        Self::text(self, path).map_err(|error: HostError| error.chain())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        Self::list(self, path).map_err(|error| error.chain())
    }
}

/// A source with one more file, or with another text in it.
pub(super) struct With<'a> {
    /// The rest.
    pub(super) inner: &'a dyn Source,
    /// The folder the file is in.
    pub(super) dir: &'a str,
    /// The file's absolute path.
    pub(super) path: &'a str,
    /// Its text.
    pub(super) text: &'a str,
}

impl Source for With<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        if path == self.path { Ok(Some(self.text.to_owned())) } else { self.inner.text(path) }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let mut names = self.inner.list(path)?;
        if path == self.dir {
            let name = self.path.rsplit('/').next().unwrap_or_default().to_owned();
            names.push(name);
            names.sort();
            names.dedup();
        }
        Ok(names)
    }
}

/// A line that sets something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls) struct Line {
    /// The file it is in.
    pub(super) file: String,
    /// Its number, from 1.
    pub(super) number: usize,
    /// The keyword in lower case, deprecated names made current.
    pub(super) keyword: String,
    /// What follows it, without quotes and comments.
    pub(super) args: Vec<String>,
    /// The criteria of the `Match` it is under.
    pub(in crate::controls) scope: Option<String>,
}

impl Line {
    /// Where it is, as editors take it.
    pub(super) fn place(&self) -> String {
        match &self.scope {
            Some(criteria) => format!("{}:{} (Match {criteria})", self.file, self.number),
            None => format!("{}:{}", self.file, self.number),
        }
    }
}

/// All of sshd's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::controls) struct Tree {
    /// Every line that sets something, in sshd's order.
    pub(in crate::controls) lines: Vec<Line>,
    /// The files that were read, in order, and whether each was read outside any `Match`.
    pub(super) files: Vec<(String, bool)>,
    /// The folders whose files are included.
    pub(super) dirs: BTreeSet<String>,
    /// The patterns of every `Include`, absolute.
    pub(super) patterns: Vec<String>,
    /// Where there are `Match` lines, those left out that are about nobody but the account that fetches backups.
    pub(in crate::controls) matches: Vec<String>,
    /// What could not be read, and why.
    pub(in crate::controls) unreadable: Vec<String>,
}

impl Tree {
    /// Reads everything sshd would.
    pub(in crate::controls) fn read(source: &dyn Source) -> Self {
        let mut tree = Self::default();
        tree.read_file(MAIN, None, 0, source);
        tree
    }

    /// The same with this text in one file, whatever is there.
    pub(in crate::controls) fn read_with(
        source: &dyn Source,
        dir: &str,
        path: &str,
        text: &str,
    ) -> Self {
        Self::read(&With { inner: source, dir, path, text })
    }

    /// Whether sshd reads this file for every login.
    pub(in crate::controls) fn includes(&self, path: &str) -> bool {
        self.files.iter().any(|(file, is_global)| file == path && *is_global)
    }

    /// The lines that set a keyword, in sshd's order.
    pub(super) fn setting<'a>(&'a self, keyword: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.keyword == keyword)
    }

    fn read_file(&mut self, path: &str, outer: Option<&str>, depth: usize, source: &dyn Source) {
        if self.files.len() >= MOST_FILES {
            return;
        }
        let text = match source.text(path) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(why) => return self.unreadable.push(why),
        };
        self.files.push((path.to_owned(), outer.is_none()));
        // A Match ends with the file it is in: sshd goes on with the includer's after an Include.
        let mut scope = outer.map(str::to_owned);
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, args)) = words(line) else { continue };
            if self.lines.len() >= MOST_LINES {
                return;
            }
            match keyword.as_str() {
                "match" => {
                    let inner = args.join(" ");
                    if outer.is_some() || !pull::is_about_account(&inner) {
                        self.matches.push(format!("{path}:{}", index + 1));
                    }
                    scope = Some(outer.map_or(inner.clone(), |outer| format!("{outer}, {inner}")));
                }
                "include" => {
                    for pattern in args.iter().filter(|_| depth < DEEPEST) {
                        self.include(pattern, scope.as_deref(), depth + 1, source);
                    }
                }
                _ => self.lines.push(Line {
                    file: path.to_owned(),
                    number: index + 1,
                    keyword,
                    args,
                    scope: scope.clone(),
                }),
            }
        }
    }

    fn include(&mut self, pattern: &str, scope: Option<&str>, depth: usize, source: &dyn Source) {
        let pattern = if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            format!("{INCLUDE_BASE}/{pattern}")
        };
        match glob::expand(&pattern, source) {
            Ok((paths, listed)) => {
                self.dirs.extend(listed);
                for path in paths {
                    self.read_file(&path, scope, depth, source);
                }
            }
            Err(why) => self.unreadable.push(why),
        }
        self.patterns.push(pattern);
    }
}

/// Splits a line into keyword and arguments as sshd does; `None` for one that sets nothing.
fn words(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    // `strdelim`: the keyword ends at a blank or at one `=`, with blanks around it, and may be quoted.
    let (keyword, rest) = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
        None => line.split_at(line.find([' ', '\t', '=']).unwrap_or(line.len())),
    };
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((current_name(&keyword.to_ascii_lowercase()), arguments(rest)))
}

/// `argv_split`: blanks separate, quotes hold together, a backslash spares a quote, blank or backslash, and a `#` at
/// the beginning of a word begins a comment.
fn arguments(text: &str) -> Vec<String> {
    let mut args = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        if matches!(chars.peek(), None | Some('#')) {
            return args;
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_ascii_whitespace()) {
            match (c, quote) {
                ('\\', _) => match chars.next_if(|c| matches!(c, '"' | '\'' | '\\' | ' ')) {
                    Some(spared) => word.push(spared),
                    None => word.push('\\'),
                },
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (c, _) => word.push(c),
            }
        }
        args.push(word);
    }
}

/// Names that sshd still takes for keywords that are called otherwise today.
fn current_name(keyword: &str) -> String {
    let current = match keyword {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication",
        "dsaauthentication" => "pubkeyauthentication",
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        other => other,
    };
    current.to_owned()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
