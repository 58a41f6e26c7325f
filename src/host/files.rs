//! Reading files: what is at a path, never what a link at its end points to.
//!
//! Every path is taken below a root. It is `/` on a host; tests give a temporary directory.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _, Seek as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    sys::statvfs::{FsFlags, statvfs},
};

use super::HostError;
use crate::engine::change::{Content, FileState, FileTime};

/// Larger than any configuration file; a before-image must fit in a record.
const FILE_LIMIT: u64 = 16 << 20;

/// The files below a root.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

/// Who may do what with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether it is a regular file.
    pub is_file: bool,
}

impl Files {
    /// The files below `root`; `/` for a live host.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where an absolute path of the host really is.
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Everything about a path that a roll-back would put back.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or is a device, socket or pipe.
    pub fn state(&self, path: &str) -> Result<FileState, HostError> {
        let at = self.locate(path);
        let meta = match fs::symlink_metadata(&at) {
            Ok(meta) => meta,
            Err(error) if is_absent(&error) => return Ok(FileState::Absent),
            Err(error) => return Err(HostError::file("look at", path)(error)),
        };
        let kind = meta.file_type();
        let mtime = Some(FileTime { seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() });
        if kind.is_symlink() {
            let target = fs::read_link(&at).map_err(HostError::file("read the link", path))?;
            let target = target.to_string_lossy().into_owned();
            return Ok(FileState::Symlink { target, uid: meta.uid(), gid: meta.gid(), mtime });
        }
        let mode = meta.permissions().mode() & 0o7777;
        let (uid, gid) = (meta.uid(), meta.gid());
        if kind.is_dir() {
            return Ok(FileState::Directory { mode, uid, gid, xattrs: xattrs(&at, path)? });
        }
        if !kind.is_file() {
            let wanted = "a regular file";
            return Err(HostError::WrongKind {
                path: path.to_owned(),
                found: "a device, socket or pipe",
                wanted,
            });
        }
        let content = Content::from_bytes(self.bytes(path)?);
        Ok(FileState::File { content, mode, uid, gid, xattrs: xattrs(&at, path)?, mtime })
    }

    /// The bytes of a regular file, not following a link at the end of the path.
    fn bytes(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let mut options = fs::OpenOptions::new();
        // O_NONBLOCK: a pipe swapped in between the look and the open must not hang us.
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let file = options.open(self.locate(path)).map_err(HostError::file("open", path))?;
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(HostError::file("read", path))?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(HostError::TooLarge { path: path.to_owned(), limit: FILE_LIMIT });
        }
        Ok(bytes)
    }

    /// The text of a file that programs would read, links followed; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read. Bytes that are not UTF-8 are replaced, as the programs that read
    /// configuration files care about ASCII keywords only.
    pub fn text(&self, path: &str) -> Result<Option<String>, HostError> {
        let mut options = fs::OpenOptions::new();
        // A pipe under the name of a configuration file must not hang us.
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = match options.open(self.locate(path)) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(HostError::file("open", path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(HostError::file("read", path))?;
        // Nearly all are UTF-8 as they stand, and need not be copied.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Ok(Some(text))
    }

    /// The first bytes of a regular file of any size, links followed; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn head(&self, path: &str, bytes: usize) -> Result<Option<Vec<u8>>, HostError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = match options.open(self.locate(path)) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(HostError::file("open", path)(error)),
        };
        let mut head = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut head).map_err(HostError::file("read", path))?;
        Ok(Some(head))
    }

    /// Where a symbolic link points; `None` when there is no link.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn link(&self, path: &str) -> Result<Option<String>, HostError> {
        match fs::read_link(self.locate(path)) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            // EINVAL: something else than a link is there.
            Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::InvalidInput => {
                Ok(None)
            }
            Err(error) => Err(HostError::file("read the link", path)(error)),
        }
    }

    /// Whether a directory is at the path, links followed.
    pub fn is_dir(&self, path: &str) -> bool {
        self.locate(path).is_dir()
    }

    /// Who owns what a path leads to and who may write to it, links followed; `None` when it leads nowhere.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn access(&self, path: &str) -> Result<Option<Access>, HostError> {
        access(fs::metadata(self.locate(path)), path)
    }

    /// The same of what is at the path itself, be it a link.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn access_itself(&self, path: &str) -> Result<Option<Access>, HostError> {
        access(fs::symlink_metadata(self.locate(path)), path)
    }

    /// The size in bytes of what a path leads to; `None` when it leads nowhere.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn size(&self, path: &str) -> Result<Option<u64>, HostError> {
        match fs::metadata(self.locate(path)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(HostError::file("look at", path)(error)),
        }
    }

    /// The names in a directory, sorted; none when it is absent.
    ///
    /// # Errors
    /// When it is there and cannot be listed.
    pub fn list(&self, path: &str) -> Result<Vec<String>, HostError> {
        let entries = match fs::read_dir(self.locate(path)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(HostError::file("list", path)(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(HostError::file("list", path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// When a regular file, its attributes, or the link that leads to it last changed; `None` when there is nothing.
    /// What a link leads to counts only if it is a regular file: that of `/dev/null` says nothing.
    ///
    /// # Errors
    /// When it is there and cannot be looked at.
    pub fn changed_at(&self, path: &str) -> Result<Option<FileTime>, HostError> {
        let at = self.locate(path);
        let changed = |meta: &fs::Metadata| FileTime {
            seconds: meta.ctime(),
            nanoseconds: meta.ctime_nsec(),
        };
        let own = match fs::symlink_metadata(&at) {
            Ok(meta) => changed(&meta),
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(HostError::file("look at", path)(error)),
        };
        let followed = match fs::metadata(&at) {
            Ok(meta) => Some(meta).filter(fs::Metadata::is_file).map(|meta| changed(&meta)),
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(HostError::file("look at", path)(error)),
        };
        Ok(Some(followed.map_or(own, |target| target.max(own))))
    }

    /// When a path's content last changed, links followed; `None` when there is nothing there.
    ///
    /// # Errors
    /// When it is there and cannot be looked at.
    pub fn modified_at(&self, path: &str) -> Result<Option<FileTime>, HostError> {
        match fs::metadata(self.locate(path)) {
            Ok(meta) => {
                Ok(Some(FileTime { seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(HostError::file("look at", path)(error)),
        }
    }

    /// Whether a symbolic link is at the path.
    pub fn is_link(&self, path: &str) -> bool {
        fs::symlink_metadata(self.locate(path)).is_ok_and(|meta| meta.is_symlink())
    }

    /// Whether anything is at the path, links followed.
    pub fn exists(&self, path: &str) -> bool {
        self.locate(path).exists()
    }

    /// Whether the file system that holds the path (or the nearest parent that exists) is mounted read-only.
    pub fn is_read_only(&self, path: &str) -> bool {
        self.vfs(path).is_some_and(|stat| stat.flags().contains(FsFlags::ST_RDONLY))
    }

    /// Bytes free to an unprivileged writer below the path, if that can be told.
    pub fn free_bytes(&self, path: &str) -> Option<u64> {
        self.vfs(path).map(|stat| stat.blocks_available() * stat.fragment_size())
    }

    /// Some bytes of a regular file, from `offset` on, links followed; fewer where it ends, `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn window(
        &self,
        path: &str,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, HostError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let mut file = match options.open(self.locate(path)) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(HostError::file("open", path)(error)),
        };
        let mut window = Vec::with_capacity(bytes);
        file.seek(io::SeekFrom::Start(offset))
            .and_then(|_| file.take(bytes as u64).read_to_end(&mut window))
            .map_err(HostError::file("read", path))?;
        Ok(Some(window))
    }

    /// The size in bytes of the file system that holds the path (or the nearest parent that exists), if that can be told.
    pub fn total_bytes(&self, path: &str) -> Option<u64> {
        self.vfs(path).map(|stat| stat.blocks() * stat.fragment_size())
    }

    fn vfs(&self, path: &str) -> Option<nix::sys::statvfs::Statvfs> {
        let at = self.locate(path);
        at.ancestors().find(|at| at.exists()).and_then(|at| statvfs(at).ok())
    }

    /// Whether `chattr +i` or `+a` protects the path. `false` where the file system has no such flags.
    pub fn is_immutable(&self, path: &str) -> bool {
        let open = fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(self.locate(path));
        open.is_ok_and(|file| inode_flags(&file) & (FS_IMMUTABLE_FL | FS_APPEND_FL) != 0)
    }
}

/// `FS_IMMUTABLE_FL`, <https://man7.org/linux/man-pages/man2/FS_IOC_SETFLAGS.2const.html>.
const FS_IMMUTABLE_FL: nix::libc::c_long = 0x10;
/// `FS_APPEND_FL`, the same page.
const FS_APPEND_FL: nix::libc::c_long = 0x20;

/// The inode's flags, or 0 where the file system has none.
#[expect(unsafe_code, reason = "no safe wrapper exists for FS_IOC_GETFLAGS")]
fn inode_flags(file: &fs::File) -> nix::libc::c_long {
    use std::os::fd::AsRawFd as _;
    nix::ioctl_read!(get_flags, b'f', 1, nix::libc::c_long);
    let mut flags: nix::libc::c_long = 0;
    // SAFETY: the descriptor is open for the whole call and the kernel writes one long into `flags`.
    match unsafe { get_flags(file.as_raw_fd(), &raw mut flags) } {
        Ok(_) => flags,
        Err(_) => 0,
    }
}

fn access(found: io::Result<fs::Metadata>, path: &str) -> Result<Option<Access>, HostError> {
    match found {
        Ok(meta) => Ok(Some(Access {
            uid: meta.uid(),
            gid: meta.gid(),
            mode: meta.permissions().mode() & 0o7777,
            is_file: meta.is_file(),
        })),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(HostError::file("look at", path)(error)),
    }
}

/// Whether there is no such file.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// All extended attributes; none where the file system has none.
fn xattrs(at: &Path, path: &str) -> Result<BTreeMap<String, Vec<u8>>, HostError> {
    let names = match xattr::list(at) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        Err(error) => return Err(HostError::file("list the attributes of", path)(error)),
    };
    let mut found = BTreeMap::new();
    for name in names {
        let value = xattr::get(at, &name).map_err(HostError::file("read an attribute of", path))?;
        if let Some(value) = value {
            found.insert(name.to_string_lossy().into_owned(), value);
        }
    }
    Ok(found)
}
