//! Where profile text comes from, and how a place in it is found again.
//!
//! [`Sources`] is the only door to files here, so that a profile can be checked without a host:
//! [`RealSources`] reads the disk, tests bring their own. [`SourceMap`] keeps every file read in
//! one space of byte offsets, so that a [`Span`] alone says file, line and column even after
//! profiles have been merged.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

/// The largest profile that is read. A real one has a few kilobytes; a megabyte is a mistake, and
/// parsing it would only delay saying so.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Who may change a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
}

/// A file that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its content, or the first bytes of it up to one more than was asked for.
    pub bytes: Vec<u8>,
    /// Who may change it; `None` where that has no meaning.
    pub facts: Option<Facts>,
}

/// Something profiles can be read from.
pub trait Sources {
    /// Reads a file, stopping one byte after `limit`. Anything but a regular file is an error.
    fn read(&self, path: &Path, limit: usize) -> io::Result<SourceFile>;

    /// The one name of a file that may have several, by which it is recognised.
    fn identity(&self, path: &Path) -> io::Result<PathBuf>;

    /// The folders above a file, the nearest first, by whichever way it is reached.
    fn folders(&self, path: &Path) -> Vec<(PathBuf, Facts)>;
}

/// The disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealSources;

impl Sources for RealSources {
    fn read(&self, path: &Path, limit: usize) -> io::Result<SourceFile> {
        // Without O_NONBLOCK, a FIFO put in the place of a profile would hold us for ever.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
        }
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        let facts = Facts { mode: metadata.mode() & 0o7777, uid: metadata.uid() };
        Ok(SourceFile { bytes, facts: Some(facts) })
    }

    fn identity(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn folders(&self, path: &Path) -> Vec<(PathBuf, Facts)> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| absolute.clone());
        let mut folders: Vec<(PathBuf, Facts)> = Vec::new();
        for folder in absolute.ancestors().skip(1).chain(real.ancestors().skip(1)) {
            if folders.iter().any(|(known, _)| known == folder) {
                continue;
            }
            if let Ok(metadata) = std::fs::metadata(folder) {
                let facts = Facts { mode: metadata.mode() & 0o7777, uid: metadata.uid() };
                folders.push((folder.to_owned(), facts));
            }
        }
        folders
    }
}

/// Files held in memory, for tests and for text that is not on this disk.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    files: BTreeMap<PathBuf, SourceFile>,
}

impl MemorySources {
    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let file = SourceFile { bytes: bytes.into(), facts: None };
        self.files.insert(lexical(path.as_ref()), file);
    }
}

impl Sources for MemorySources {
    fn read(&self, path: &Path, limit: usize) -> io::Result<SourceFile> {
        let file = self.files.get(&lexical(path)).ok_or(io::ErrorKind::NotFound)?;
        let end = file.bytes.len().min(limit.saturating_add(1));
        Ok(SourceFile { bytes: file.bytes[..end].to_vec(), facts: file.facts })
    }

    fn identity(&self, path: &Path) -> io::Result<PathBuf> {
        let path = lexical(path);
        if self.files.contains_key(&path) { Ok(path) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn folders(&self, _: &Path) -> Vec<(PathBuf, Facts)> {
        Vec::new()
    }
}

/// `a/./b/../c` as `a/c`, without asking any disk.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// A stretch of text in one of the files of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte, counted through all files.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place as people name it. Lines and columns begin at 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file as it was asked for.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Every file read, in one space of byte offsets.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<MappedFile>,
}

#[derive(Debug, Clone)]
struct MappedFile {
    path: PathBuf,
    text: String,
    start: usize,
    /// Where each line begins: a broken file may have very many faults to be located.
    lines: Vec<usize>,
}

/// The lines a span touches, for showing them.
#[derive(Debug, Clone)]
pub(crate) struct Excerpt<'a> {
    pub(crate) location: Location,
    pub(crate) text: &'a str,
    /// The span, counted from the start of `text`.
    pub(crate) range: std::ops::Range<usize>,
}

/// A line of a profile is rarely longer; the longest public keys fit.
const LONGEST_LINE: usize = 1000;
/// What is shown on each side of a fault in a line that is.
const CONTEXT: usize = 60;

impl<'a> Excerpt<'a> {
    /// The part of an overlong line that is worth showing; `None` for any other line.
    pub(crate) fn cropped(&self) -> Option<Self> {
        if self.text.len() <= LONGEST_LINE {
            return None;
        }
        let start = floor_char(self.text, self.range.start.saturating_sub(CONTEXT));
        let most = self.range.end.min(self.range.start + CONTEXT);
        let text: &'a str = self.text;
        let end = floor_char(text, most + CONTEXT);
        let range = self.range.start - start..floor_char(text, most).max(self.range.start) - start;
        Some(Self { location: self.location.clone(), text: &text[start..end], range })
    }
}

impl SourceMap {
    /// Adds a file and says at which offset it begins.
    pub fn add(&mut self, path: &Path, text: String) -> usize {
        // One byte is left between files so that the end of one is not the start of the next.
        let start = self.files.last().map_or(0, |file| file.start + file.text.len() + 1);
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        self.files.push(MappedFile { path: path.to_owned(), text, start, lines });
        start
    }

    /// The files, in the order they were read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Where a span begins, as people name it.
    pub fn locate(&self, span: Span) -> Option<Location> {
        self.excerpt(span).map(|excerpt| excerpt.location)
    }

    /// Where a file stands among those read.
    pub(crate) fn start_of(&self, path: &Path) -> Option<usize> {
        self.files.iter().find(|file| file.path == path).map(|file| file.start)
    }

    /// A number for the line a span begins on that no other line has, cheaply.
    pub(crate) fn line_start(&self, span: Span) -> Option<usize> {
        let at = self.files.partition_point(|file| file.start <= span.start).checked_sub(1)?;
        let file = self.files.get(at)?;
        let line = file.lines.partition_point(|start| file.start + start <= span.start);
        file.lines.get(line.checked_sub(1)?).map(|start| file.start + start)
    }

    /// The first line of a span. Of a span over several lines only the first is marked.
    pub(crate) fn excerpt(&self, span: Span) -> Option<Excerpt<'_>> {
        let at = self.files.partition_point(|file| file.start <= span.start).checked_sub(1)?;
        let file = &self.files[at];
        let local = floor_char(&file.text, span.start - file.start);
        let line = file.lines.partition_point(|start| *start <= local);
        let line_start = file.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let line_end = file.text[local..].find('\n').map_or(file.text.len(), |at| local + at);
        let text = file.text[line_start..line_end].trim_end_matches('\r');
        let end = floor_char(&file.text, (span.end.max(span.start) - file.start).min(line_end));
        let range = (local - line_start).min(text.len())..(end - line_start).min(text.len());
        Some(Excerpt {
            location: Location {
                file: file.path.clone(),
                line,
                column: file.text[line_start..local].chars().count() + 1,
            },
            text,
            range,
        })
    }
}

/// The nearest boundary between characters at or before `at`.
fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
