//! The exact state of paths in a host, taken from outside, and the differences between two such states.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};

use crate::files::Root;
use crate::image::hex;

/// Paths with their state. A path that does not exist is not in it.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, a socket or a device.
    Other,
}

/// The state of one path: all that an undo must bring back. Times of access and inode changes are not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes in a regular file; 0 for all else, where it is the file system's affair.
    pub size: u64,
    /// The last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// The SHA-256 of a regular file's content, in hexadecimal; empty for all else.
    pub sha256: String,
    /// Where a symbolic link points to.
    pub target: Option<PathBuf>,
    /// Extended attributes, ACLs and file capabilities included.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// Takes the state of the paths and of all that is below them.
pub(crate) fn take(root: &Root, paths: &[&str]) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    let mut todo: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    while let Some(path) = todo.pop() {
        let Some((entry, children)) = look(root, &path)? else { continue };
        todo.extend(children.iter().map(|name| path.join(name)));
        snapshot.insert(path, entry);
    }
    Ok(snapshot)
}

/// One path's state and, of a directory, the names in it; `None` if it does not exist.
fn look(root: &Root, path: &Path) -> Result<Option<(Entry, Vec<PathBuf>)>> {
    let file = match root.at(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error).with_context(|| cannot("look at", path)),
    };
    // Through the descriptor, so that all of this is of one and the same file, links included.
    let handle = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let meta = file.metadata().with_context(|| cannot("look at", path))?;
    let kind = match meta.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    };
    let (mut sha256, mut target, mut children) = (String::new(), None, Vec::new());
    match kind {
        Kind::File => {
            let bytes = fs::read(&handle).with_context(|| cannot("read", path))?;
            sha256 = hex(&Sha256::digest(&bytes));
        }
        Kind::Directory => {
            for child in fs::read_dir(&handle).with_context(|| cannot("list", path))? {
                children.push(child.with_context(|| cannot("list", path))?.file_name().into());
            }
        }
        Kind::Link => {
            let link = nix::fcntl::readlinkat(&file, "").with_context(|| cannot("read", path))?;
            target = Some(link.into());
        }
        Kind::Other => {}
    }
    let entry = Entry {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size: if kind == Kind::File { meta.size() } else { 0 },
        mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        sha256,
        target,
        xattrs: xattrs(&handle).with_context(|| cannot("read the attributes of", path))?,
    };
    Ok(Some((entry, children)))
}

fn xattrs(handle: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let names = match xattr::list_deref(handle) {
        Ok(names) => names,
        // /proc has none.
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(value) = xattr::get_deref(handle, &name)? {
            found.insert(name.to_string_lossy().into_owned(), value);
        }
    }
    Ok(found)
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("Cannot {verb} {} in the host", path.display())
}

/// The differences between two snapshots, one line per path, for messages of tests. Empty if they are equal.
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let describe = |path: &&PathBuf| -> Option<String> {
        let name = path.display();
        match (before.get(*path), after.get(*path)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(old), Some(new)) => Some(format!("{name}:{}", fields(old, new))),
            (Some(_), None) => Some(format!("{name}: is gone")),
            (None, _) => Some(format!("{name}: is new")),
        }
    };
    paths.iter().filter_map(describe).collect()
}

fn fields(old: &Entry, new: &Entry) -> String {
    let mut text = String::new();
    let mut field = |name: &str, old: String, new: String| {
        if old != new {
            // Writing to a string cannot fail.
            let _ = write!(text, " {name} {old} -> {new}");
        }
    };
    field("kind", format!("{:?}", old.kind), format!("{:?}", new.kind));
    field("mode", format!("{:04o}", old.mode), format!("{:04o}", new.mode));
    field("uid", old.uid.to_string(), new.uid.to_string());
    field("gid", old.gid.to_string(), new.gid.to_string());
    field("size", old.size.to_string(), new.size.to_string());
    field("mtime", old.mtime_ns.to_string(), new.mtime_ns.to_string());
    field("sha256", old.sha256.clone(), new.sha256.clone());
    field("target", format!("{:?}", old.target), format!("{:?}", new.target));
    field("xattrs", format!("{:?}", old.xattrs), format!("{:?}", new.xattrs));
    text
}
