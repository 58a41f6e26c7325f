//! Loading a profile: read, parse, check, merge, deserialise, validate, judge its permissions.
//!
//! Nothing stops at the first fault: whatever each stage can still work on is passed to the next,
//! and all that was found comes back at once, in the order of the text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil;
use sha2::{Digest as _, Sha256};

use super::chain::{Link, read_chain};
use super::diagnostic::{Diagnostic, Severity, render_all};
use super::merge::merge;
use super::schema::Profile;
use super::source::{Location, SourceMap, Sources};
use super::tree::{Node, Value};
use super::trust::{Trust, judge};
use super::validate::validate;

/// Where the package puts profiles.
pub const SHIPPED: &str = "/usr/share/holdfast/profiles";

/// More than this is not read by anybody, and costs time to show.
const MOST_SHOWN: usize = 100;

/// What loading needs to know besides the file.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folders in which the names in `extends` are looked up, after the file's own.
    pub search: Vec<PathBuf>,
    /// What is asked of the permissions.
    pub trust: Trust,
    /// The user holdfast runs as.
    pub caller: u32,
    /// The day waivers are judged by.
    pub today: civil::Date,
}

impl Options {
    /// The shipped profiles, for a look only.
    pub fn new(caller: u32, today: civil::Date) -> Self {
        Self { search: vec![SHIPPED.into()], trust: Trust::Check, caller, today }
    }

    /// About to act on the profile.
    #[must_use]
    pub fn enforced(mut self) -> Self {
        self.trust = Trust::Enforced;
        self
    }
}

/// A profile that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The profile, everything it extends merged into it.
    pub profile: Profile,
    /// Warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of every file.
    pub sources: SourceMap,
    /// SHA-256 of the resolved profile in hex: the same for two profiles that mean the same.
    pub digest: String,
    /// Every file, in the order of merging: the profile itself is the last.
    pub files: Vec<PathBuf>,
    tree: Node,
}

impl Loaded {
    /// Where a key got its value: `["ssh", "ports"]`, or `["firewall", "allow", "ssh"]` for the
    /// entry of that name. `None` when no file has it.
    pub fn origin(&self, path: &[&str]) -> Option<Location> {
        let mut node = &self.tree;
        let mut span = node.span;
        for part in path {
            (node, span) = match &node.value {
                Value::Table(table) => table.get(*part).map(|entry| (&entry.node, entry.key))?,
                Value::Array(items) => {
                    let named = |item: &&Node| {
                        ["name", "check"]
                            .iter()
                            .any(|key| item.get(key).and_then(Node::text) == Some(part))
                    };
                    items.iter().find(named).map(|item| (item, item.span))?
                }
                _ => return None,
            };
        }
        self.sources.locate(span)
    }

    /// The warnings, for people.
    pub fn render_warnings(&self, colour: bool) -> String {
        render_all(&self.diagnostics, &self.sources, colour)
    }
}

/// A profile that cannot be used, and everything that is wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("The profile {} has {} {}", .path.display(), .errors, if *.errors == 1 { "error" } else { "errors" })]
pub struct LoadFailed {
    /// The profile that was asked for.
    pub path: PathBuf,
    /// How many errors there are, those that are not shown included.
    pub errors: usize,
    /// What is wrong, warnings included.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of every file that could be read.
    pub sources: SourceMap,
}

impl LoadFailed {
    /// For people.
    pub fn render(&self, colour: bool) -> String {
        render_all(&self.diagnostics, &self.sources, colour)
    }
}

/// Loads the profile in a file, with everything it extends.
pub fn load(path: &Path, sources: &dyn Sources, options: &Options) -> Result<Loaded, LoadFailed> {
    let mut map = SourceMap::default();
    let mut found = Vec::new();
    let links = read_chain(sources, path, options, &mut map, &mut found);
    let files: Vec<_> = links.iter().map(|link| link.path.clone()).collect();
    for link in &links {
        let Link { path, facts, has_password, .. } = link;
        judge(sources, path, *facts, *has_password, options.trust, options.caller, &mut found);
    }
    // Of a file that is not TOML nobody knows what it would have said.
    let whole = !links.is_empty() && links.iter().all(|link| link.sound);
    let resolved = if whole { resolve(links, options, &mut found) } else { None };
    found.sort_by_key(|each| (each.position(&map), each.severity));
    let errors = found.iter().filter(|each| each.is_error()).count();
    match resolved {
        Some((profile, tree)) if errors == 0 => {
            let digest = digest(&profile);
            Ok(Loaded { profile, diagnostics: found, sources: map, digest, files, tree })
        }
        _ => {
            let found = shorten(found, path);
            Err(LoadFailed { path: path.to_owned(), errors, diagnostics: found, sources: map })
        }
    }
}

/// Merges the chain into one profile and validates it, leaving out what is known to be bad.
fn resolve(
    links: Vec<Link>,
    options: &Options,
    found: &mut Vec<Diagnostic>,
) -> Option<(Profile, Node)> {
    let mut tree = Node::empty();
    for mut link in links {
        if let Value::Table(table) = &mut link.root.value {
            table.remove("extends");
        }
        tree = merge(tree, link.root, found);
    }
    tree.bad = false;
    tree.prune();
    let sound = found.iter().all(|each| !each.is_error());
    match serde_json::from_value::<Profile>(tree.to_json()) {
        Ok(profile) => {
            validate(&profile, &tree, options.today, sound, found);
            Some((profile, tree))
        }
        Err(error) if sound => {
            // The checker let something through that the types do not: a fault of ours, but the
            // profile must not be used.
            found.push(Diagnostic::error(tree.span, format!("cannot be read: {error}")));
            None
        }
        Err(_) => None,
    }
}

fn digest(profile: &Profile) -> String {
    // Cannot fail: every key is a string. An empty digest would match nothing.
    let text = serde_json::to_string(profile).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _written = write!(hex, "{byte:02x}");
        hex
    })
}

fn shorten(mut found: Vec<Diagnostic>, path: &Path) -> Vec<Diagnostic> {
    if found.len() > MOST_SHOWN {
        let more = found.len() - MOST_SHOWN;
        found.truncate(MOST_SHOWN);
        let message = format!("and {more} more");
        found.push(Diagnostic::file(Severity::Error, path, message).help("mend these first"));
    }
    found
}
