//! What is wrong with a profile, where, and what to do about it.
//!
//! Everything in `profile` that finds fault makes a [`Diagnostic`] and goes on; nothing stops at
//! the first. They are shown to people as rustc shows its own, and to programs as JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::{Excerpt, SourceMap, Span};
use super::types::looks_secret;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The profile cannot be used.
    Error,
    /// It can, but is probably not what was meant.
    Warning,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the text.
    Span(Span),
    /// In the file or folder as such.
    File(PathBuf),
}

/// One thing that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What is said at the place itself.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that have to do with it, and how.
    pub secondary: Vec<(Span, String)>,
    /// The text at the place is secret, so its line is not shown.
    pub secret: bool,
}

impl Diagnostic {
    /// An error in the text.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Place::Span(span), message.into())
    }

    /// A warning about the text.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Place::Span(span), message.into())
    }

    /// Something about a file or folder as such.
    pub fn file(severity: Severity, path: &Path, message: impl Into<String>) -> Self {
        Self::new(severity, Place::File(path.to_owned()), message.into())
    }

    fn new(severity: Severity, place: Place, message: String) -> Self {
        Self {
            severity,
            message,
            place,
            label: None,
            help: None,
            secondary: Vec::new(),
            secret: false,
        }
    }

    /// Adds what is said at the place itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that has to do with it.
    #[must_use]
    pub fn and(mut self, span: Span, label: impl Into<String>) -> Self {
        self.secondary.push((span, label.into()));
        self
    }

    /// Whether the profile cannot be used because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it stands among others: by file in the order read, then by position.
    pub(crate) fn position(&self, sources: &SourceMap) -> usize {
        match &self.place {
            Place::Span(span) => span.start,
            Place::File(path) => sources.start_of(path).unwrap_or(usize::MAX),
        }
    }

    /// Where the line it stands on begins, to tell whether two stand on one.
    pub(crate) fn line_start(&self, sources: &SourceMap) -> Option<usize> {
        match &self.place {
            Place::Span(span) => sources.line_start(*span),
            Place::File(_) => None,
        }
    }

    /// As JSON is made of it.
    pub fn report(&self, sources: &SourceMap) -> Report {
        let (file, line, column) = match &self.place {
            Place::Span(span) => match sources.locate(*span) {
                Some(at) => (Some(at.file), Some(at.line), Some(at.column)),
                None => (None, None, None),
            },
            Place::File(path) => (Some(path.clone()), None, None),
        };
        Report {
            severity: self.severity,
            message: self.message.clone(),
            file: file.map(|file| file.display().to_string()),
            line,
            column,
            help: self.help.clone(),
        }
    }

    /// For people: severity, message, file, line and column, the line itself, a caret, and help.
    pub fn render(&self, sources: &SourceMap, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        match &self.place {
            Place::File(path) => {
                group = group.element(Origin::path(path.display().to_string()));
            }
            Place::Span(span) => {
                group = self.snippet(group, sources, *span, self.label.as_deref(), true);
                for (span, label) in &self.secondary {
                    group = self.snippet(group, sources, *span, Some(label), false);
                }
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    fn snippet<'a>(
        &self,
        group: Group<'a>,
        sources: &SourceMap,
        span: Span,
        label: Option<&str>,
        primary: bool,
    ) -> Group<'a> {
        let Some(excerpt) = sources.excerpt(span) else {
            return group;
        };
        let path = excerpt.location.file.display().to_string();
        let (line, column) = (excerpt.location.line, excerpt.location.column);
        let origin = || Origin::path(path.clone()).line(line).char_column(column);
        if self.secret || looks_secret(excerpt.text) {
            return group.element(origin());
        }
        // Masked before it is cropped: what is left of a password would not look like one.
        let line_shown = masked(excerpt.text);
        let excerpt = Excerpt { text: &line_shown, ..excerpt.clone() };
        let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let marked = |shown: &Excerpt<'_>| {
            let annotation = kind.span(shown.range.clone()).label(label.map(str::to_owned));
            Snippet::source(shown.text.to_owned()).line_start(line).annotation(annotation)
        };
        match excerpt.cropped() {
            Some(part) => group.element(origin()).element(marked(&part)),
            None => group.element(marked(&excerpt).path(path)),
        }
    }
}

/// A [`Diagnostic`] for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file, as it was asked for.
    pub file: Option<String>,
    /// The line, from 1; null when the whole file is meant.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)
    }
}

/// All of them, for people, with an empty line between.
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, colour: bool) -> String {
    let parts: Vec<_> = diagnostics.iter().map(|each| each.render(sources, colour)).collect();
    let mut text = parts.join("\n\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// A line with the passwords of web addresses overwritten, of the same length in bytes so that
/// carets still point at what they mean.
fn masked(line: &str) -> String {
    let mut out = line.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("://") {
        let start = from + found + 3;
        let rest = &out[start..];
        // As far as the author may have meant: a password with an unescaped `/` is one too.
        let end = rest.find(['"', '\'', ' ']).unwrap_or(rest.len());
        let authority = &rest[..end];
        if let Some((user_info, _)) = authority.rsplit_once('@')
            && let Some((user, password)) = user_info.split_once(':')
        {
            let at = start + user.len() + 1;
            let length = password.len();
            out.replace_range(at..at + length, &"*".repeat(length));
        }
        from = start;
    }
    out
}
