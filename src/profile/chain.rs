//! Reading a profile and everything it extends, in the order in which they are merged.
//!
//! A profile comes after all it extends, and once only, where it is first reached; so the last one
//! of the chain is the profile itself, which wins over all.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::check::check;
use super::diagnostic::{Diagnostic, Severity};
use super::load::Options;
use super::schema_json::schema;
use super::source::{Facts, MAX_BYTES, SourceMap, Sources, Span};
use super::tree::{Node, parse};

/// Profiles extending profiles extending …: more than this is a mistake.
const DEEPEST: usize = 16;
/// A diamond of diamonds could otherwise ask for very many files.
const MOST_FILES: usize = 64;

/// One file of the chain.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    pub(crate) facts: Option<Facts>,
    pub(crate) root: Node,
    /// The file could be read as TOML; otherwise `root` is what was left of it.
    pub(crate) sound: bool,
    pub(crate) has_password: bool,
}

/// Reads the chain of `path`, in merge order.
pub(crate) fn read_chain(
    sources: &dyn Sources,
    path: &Path,
    options: &Options,
    map: &mut SourceMap,
    found: &mut Vec<Diagnostic>,
) -> Vec<Link> {
    let mut reader = Reader { sources, options, map, found, seen: Vec::new(), links: Vec::new() };
    match sources.identity(path) {
        Ok(identity) => reader.visit(path, identity, None, &mut Vec::new()),
        Err(error) => reader.unreadable(path, None, &error),
    }
    reader.links
}

struct Reader<'a> {
    sources: &'a dyn Sources,
    options: &'a Options,
    map: &'a mut SourceMap,
    found: &'a mut Vec<Diagnostic>,
    seen: Vec<PathBuf>,
    links: Vec<Link>,
}

impl Reader<'_> {
    /// `above` holds the files that are being read, the outermost first: identity and shown path.
    fn visit(
        &mut self,
        path: &Path,
        identity: PathBuf,
        asked_at: Option<Span>,
        above: &mut Vec<(PathBuf, PathBuf)>,
    ) {
        if let Some(at) = above.iter().position(|(other, _)| *other == identity) {
            let mut circle: Vec<_> =
                above[at..].iter().map(|(_, path)| path.display().to_string()).collect();
            circle.push(above[at].1.display().to_string());
            self.complain(
                asked_at,
                path,
                "these profiles extend each other in a circle",
                circle.join(" → "),
            );
            return;
        }
        if self.seen.contains(&identity) {
            return;
        }
        if above.len() >= DEEPEST || self.seen.len() >= MOST_FILES {
            self.complain(
                asked_at,
                path,
                "profiles are extended too deeply",
                format!("at most {DEEPEST} deep and {MOST_FILES} in all"),
            );
            return;
        }
        self.seen.push(identity.clone());
        let Some((text, facts)) = self.read(path, asked_at) else {
            return;
        };
        let offset = self.map.add(path, text.clone());
        let mut faults = Vec::new();
        let mut root = parse(&text, offset, &mut faults);
        let sound = faults.is_empty();
        let mut more = Vec::new();
        check(&mut root, schema(), sound, &mut more);
        // What the parser made of a line it could not read is not the author's doing.
        let line = |each: &Diagnostic| each.line_start(self.map);
        let broken: BTreeSet<_> = faults.iter().map(line).collect();
        more.retain(|each| !broken.contains(&line(each)));
        self.found.append(&mut faults);
        self.found.append(&mut more);
        above.push((identity, path.to_owned()));
        self.parents(path, &root, above);
        above.pop();
        // Taken from the text, so that a file too broken to be read as TOML counts too.
        let has_password = holds_password(&text);
        self.links.push(Link { path: path.to_owned(), facts, root, sound, has_password });
    }

    fn parents(&mut self, path: &Path, root: &Node, above: &mut Vec<(PathBuf, PathBuf)>) {
        let names: Vec<_> = root
            .get("extends")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter(|item| !item.bad)
            .filter_map(|item| Some((item.span, item.text()?.to_owned())))
            .collect();
        for (span, name) in names {
            let places = places(path, &name, &self.options.search);
            let own = above.last().map(|(identity, _)| identity.clone());
            let mut itself = None;
            let mut parent = None;
            let mut failed = false;
            for place in &places {
                match self.sources.identity(place) {
                    // `baseline.toml` may extend the shipped `baseline`: the file beside it is it.
                    Ok(identity) if Some(&identity) == own.as_ref() && places.len() > 1 => {
                        itself.get_or_insert((place, identity));
                    }
                    Ok(identity) => {
                        parent = Some((place, identity));
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        self.unreadable(place, Some(span), &error);
                        failed = true;
                        itself = None;
                        break;
                    }
                }
            }
            if let Some((place, identity)) = parent.or(itself) {
                self.visit(place, identity, Some(span), above);
            } else if !failed {
                let looked: Vec<_> =
                    places.iter().map(|place| place.display().to_string()).collect();
                self.found.push(
                    Diagnostic::error(span, format!("there is no profile `{name}`"))
                        .help(format!("looked for {}", looked.join(", then "))),
                );
            }
        }
    }

    fn read(&mut self, path: &Path, asked_at: Option<Span>) -> Option<(String, Option<Facts>)> {
        let file = match self.sources.read(path, MAX_BYTES) {
            Ok(file) => file,
            Err(error) => {
                self.unreadable(path, asked_at, &error);
                return None;
            }
        };
        if file.bytes.len() > MAX_BYTES {
            self.complain(
                asked_at,
                path,
                &format!("{} is larger than 1 MiB, and no profile is", path.display()),
                "is this the right file?".into(),
            );
            return None;
        }
        match String::from_utf8(file.bytes) {
            Ok(text) => Some((text, file.facts)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let byte = error.as_bytes().get(at).copied().unwrap_or_default();
                // Up to the bad byte the lossy text is the same, so its offset holds.
                let start = self.map.add(path, String::from_utf8_lossy(error.as_bytes()).into());
                let span = Span { start: start + at, end: start + at + '\u{fffd}'.len_utf8() };
                self.found.push(
                    Diagnostic::error(span, format!("the byte 0x{byte:02x} is not UTF-8"))
                        .help("save the file as UTF-8"),
                );
                None
            }
        }
    }

    fn unreadable(&mut self, path: &Path, asked_at: Option<Span>, error: &io::Error) {
        let (why, help) = match error.kind() {
            io::ErrorKind::NotFound => ("it does not exist".into(), "check the path"),
            io::ErrorKind::PermissionDenied => {
                ("permission denied".into(), "run as root, or as somebody who may read it")
            }
            io::ErrorKind::IsADirectory => ("it is a directory".into(), "name the profile in it"),
            _ => (error.to_string(), "a profile is a regular file"),
        };
        let message = format!("cannot read {}: {why}", path.display());
        self.complain(asked_at, path, &message, help.into());
    }

    /// At the name that led here, or about the file as such.
    fn complain(&mut self, asked_at: Option<Span>, path: &Path, message: &str, help: String) {
        let diagnostic = match asked_at {
            Some(span) => Diagnostic::error(span, message),
            None => Diagnostic::file(Severity::Error, path, message),
        };
        self.found.push(diagnostic.help(help));
    }
}

/// Where a name in `extends` is looked for, in order.
fn places(extending: &Path, name: &str, search: &[PathBuf]) -> Vec<PathBuf> {
    let beside = extending.parent().unwrap_or(Path::new(""));
    let is_toml = Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if name.contains('/') || is_toml {
        return vec![beside.join(name)];
    }
    let file = format!("{name}.toml");
    let mut places = vec![beside.join(&file)];
    for folder in search {
        let place = folder.join(&file);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Whether there is a web address with a password anywhere in the text.
fn holds_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| {
        let rest = &text[at + 3..];
        let end = rest
            .find(|c: char| c == '/' || c == '"' || c == '\'' || c.is_whitespace())
            .unwrap_or(rest.len());
        rest[..end].rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}
