//! Where ceremonies are kept: a folder for each, in which a record only grows, and everything else is written once.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};

use super::HostError;

/// Where they are.
pub const FOLDER: &str = "/var/lib/holdfast/ceremonies";

/// Nothing in it is large.
const LARGEST: u64 = 16 << 20;

/// All ceremonies of this host, for looking.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

/// The same, for writing: one ceremony goes on at a time.
#[derive(Debug)]
pub struct OpenShelf {
    shelf: Shelf,
    _lock: File,
}

/// The folder of a ceremony.
#[derive(Debug)]
pub struct Binder {
    folder: PathBuf,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Shelf {
    /// Those of this host.
    pub fn of_host() -> Self {
        Self::at(FOLDER)
    }

    /// Those in a folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Their names, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, HostError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type()?.is_dir() && !name.starts_with('.') {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        };
        match list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(HostError::file("list", shown(&self.folder))),
        }
    }

    /// One of them.
    pub fn binder(&self, name: &str) -> Binder {
        Binder { folder: self.folder.join(name) }
    }

    /// Takes them for writing; the folder is made if it is not there.
    ///
    /// # Errors
    /// When a ceremony goes on already, or others than root could write there.
    pub fn open(self) -> Result<OpenShelf, HostError> {
        let name = shown(&self.folder);
        let failed = |action| HostError::file(action, name.clone());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed("make the folder"))?;
        let meta = fs::symlink_metadata(&self.folder).map_err(failed("look at"))?;
        let own = nix::unistd::geteuid().as_raw();
        if !meta.is_dir() || meta.uid() != own || meta.mode() & 0o022 != 0 {
            return Err(HostError::Refused(format!(
                "{name} must be a folder of your own that nobody else may write to"
            )));
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let lock = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.folder.join(".lock"));
        let lock = lock.map_err(failed("open the lock of"))?;
        match lock.try_lock() {
            Ok(()) => Ok(OpenShelf { shelf: self, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(HostError::Busy("another ceremony goes on on this machine".into()))
            }
            Err(TryLockError::Error(error)) => Err(failed("lock")(error)),
        }
    }
}

impl OpenShelf {
    /// For looking.
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Begins a ceremony: a folder with these files, all of them or none.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, name: &str, files: &[(&str, &[u8])]) -> Result<Binder, HostError> {
        let new = self.shelf.folder.join(format!(".{name}.new"));
        if new.exists() {
            fs::remove_dir_all(&new).map_err(HostError::file("clear", shown(&new)))?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&new)
            .map_err(HostError::file("make the folder", shown(&new)))?;
        let unnamed = Binder { folder: new.clone() };
        files.iter().try_for_each(|(file, bytes)| unnamed.put(file, bytes))?;
        let binder = self.shelf.binder(name);
        renameat2(AT_FDCWD, &new, AT_FDCWD, &binder.folder, RenameFlags::RENAME_NOREPLACE)
            .map_err(|error| HostError::file("name", shown(&binder.folder))(error.into()))?;
        sync(&self.shelf.folder)?;
        Ok(binder)
    }
}

impl Binder {
    /// One in a folder that is not among this host's.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where a file of it is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The whole of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, file: &str) -> Result<Option<Vec<u8>>, HostError> {
        let path = self.path(file);
        let mut bytes = Vec::new();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(&path);
        match opened.and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 > LARGEST => {
                Err(HostError::TooLarge { path: shown(&path), limit: LARGEST })
            }
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HostError::file("read", shown(&path))(error)),
        }
    }

    /// Writes a file: when it has its name, all of it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, file: &str, bytes: &[u8]) -> Result<(), HostError> {
        let path = self.path(file);
        let new = self.path(&format!(".{file}.new"));
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            #[expect(clippy::disallowed_methods, reason = "src/host is where files are renamed")]
            fs::rename(&new, &path)
        };
        write().map_err(HostError::file("write", shown(&path)))?;
        sync(&self.folder)
    }

    /// Appends a line to a record. What a write that was cut off has left behind its last whole line is dropped first.
    ///
    /// # Errors
    /// When it cannot be written; then the record is as it was, or ends in a part of the line.
    pub fn append(&self, file: &str, line: &[u8]) -> Result<(), HostError> {
        let path = self.path(file);
        let write = || {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600);
            let mut file = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if whole != bytes.len() {
                file.set_len(whole as u64)?;
            }
            file.write_all(&[line, b"\n"].concat())?;
            file.sync_all()
        };
        write().map_err(HostError::file("write", shown(&path)))?;
        sync(&self.folder)
    }
}

fn sync(folder: &Path) -> Result<(), HostError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(HostError::file("write to the disk", shown(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ceremony_goes_on_at_a_time_and_begins_whole() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("ceremonies");
        assert_eq!(Shelf::at(&at).names().unwrap(), [""; 0]);
        let open = Shelf::at(&at).open().unwrap();
        assert!(Shelf::at(&at).open().is_err());
        let binder = open.begin("b", &[("plan.toml", b"x")]).unwrap();
        assert!(open.begin("b", &[]).is_err(), "a ceremony is not replaced");
        assert_eq!(binder.read("plan.toml").unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(binder.read("none").unwrap(), None);
        open.begin("a", &[]).unwrap();
        assert_eq!(open.shelf().names().unwrap(), ["a", "b"]);
        drop(open);
        assert!(Shelf::at(&at).open().is_ok());
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let binder = Binder { folder: folder.path().to_owned() };
        binder.append("t", b"one").unwrap();
        let mut file = OpenOptions::new().append(true).open(binder.path("t")).unwrap();
        file.write_all(b"tw").unwrap();
        binder.append("t", b"three").unwrap();
        assert_eq!(binder.read("t").unwrap().unwrap(), b"one\nthree\n");
    }
}
