//! The folder that backups are kept in: the one place outside [`Writer`](super::Writer)'s transactions to which holdfast
//! writes. A dump takes as long as it takes, and the lock of transactions must not be held for it; so a shelf has a lock of
//! its own, and can write nowhere else.
//!
//! ```text
//! STORE            0700  the lock, and what is not finished
//! STORE/finished   0755  finished files, 0644
//! STORE/NAME       0700  the same for what must not wait for a dump: a lock and unfinished files of its own
//! ```
//!
//! Nobody but root gets into the outer folder, so nobody of this host reads the inner one. sshd does, as root, and locks
//! the account that fetches backups into it (`[pull]`): what is not finished is not hidden from that account by its mode,
//! it is nowhere.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2},
    sys::statvfs::statvfs,
};

use super::{HostError, guarded};

/// The file that is locked. It stays: one that is deleted while held would let two in.
const LOCK: &str = ".lock";

/// The folder of what is finished, in the folder of backups.
pub const FINISHED: &str = "finished";

/// How often it is looked whether another has let go of it.
const POLL: Duration = Duration::from_millis(100);

/// What an unfinished file's name ends in.
const UNFINISHED: &str = ".unfinished";

/// A manifest has a line for each table.
const SMALL: u64 = 16 << 20;

/// A folder of backups, for looking.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    finished: PathBuf,
}

/// The same, for writing: there is one at a time.
#[derive(Debug)]
pub struct OpenShelf {
    shelf: Shelf,
    _lock: File,
}

/// A file of a shelf that nobody takes for a backup yet.
#[derive(Debug)]
pub struct Unfinished<'a> {
    shelf: &'a OpenShelf,
    file: File,
    name: String,
    becomes: String,
    is_finished: bool,
}

/// A file on a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Shelf {
    /// The folder, whether or not it is there.
    pub fn at(folder: &str) -> Self {
        let folder = PathBuf::from(folder);
        Self { finished: folder.join(FINISHED), folder }
    }

    /// The same folder of finished files, filled from a folder in it, with a lock of its own.
    pub fn beside(folder: &str, name: &str) -> Self {
        let folder = PathBuf::from(folder);
        Self { finished: folder.join(FINISHED), folder: folder.join(name) }
    }

    /// A folder that finished files were fetched into from another host.
    pub fn fetched(folder: &str) -> Self {
        Self { finished: PathBuf::from(folder), folder: PathBuf::from(folder) }
    }

    /// The same, where what is looked at stays what it is until it is used: see [`guarded::folder`].
    ///
    /// # Errors
    /// When somebody else could alter it.
    pub fn guarded(folder: &str) -> Result<Self, HostError> {
        let folder = guarded::folder(folder)?;
        Ok(Self { finished: folder.clone(), folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.ends_with(UNFINISHED) { self.folder.join(name) } else { self.finished.join(name) }
    }

    /// Where a file of it is, in words.
    pub fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Its finished files by name; none when there is no folder.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn items(&self) -> Result<Vec<Item>, HostError> {
        let list = || -> io::Result<Vec<Item>> {
            let mut items = Vec::new();
            for entry in fs::read_dir(&self.finished)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let meta = match entry.metadata() {
                    // Deleted meanwhile: of a folder that is there something may be.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    meta => meta?,
                };
                if meta.is_file() && !name.starts_with('.') && !name.ends_with(UNFINISHED) {
                    items.push(Item { name, bytes: meta.len() });
                }
            }
            items.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(items)
        };
        match list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(HostError::file("list", self.finished.display().to_string())),
        }
    }

    /// Opens a file for reading, and not what a link of its name points to.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(&self, name: &str) -> Result<File, HostError> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        options.open(self.path(name)).map_err(HostError::file("open", self.shown(name)))
    }

    /// The whole of a small file.
    ///
    /// # Errors
    /// When there is none, or it is not small.
    pub fn text(&self, name: &str) -> Result<String, HostError> {
        let (mut text, shown) = (String::new(), self.shown(name));
        let mut file = self.read(name)?.take(SMALL + 1);
        file.read_to_string(&mut text).map_err(HostError::file("read", &*shown))?;
        if text.len() as u64 > SMALL {
            return Err(HostError::TooLarge { path: shown, limit: SMALL });
        }
        Ok(text)
    }

    /// How many bytes may still be written there; `None` when the file system does not tell.
    pub fn free(&self) -> Option<u64> {
        let stat = statvfs(&self.folder).ok()?;
        Some(stat.blocks_available() * stat.fragment_size())
    }

    /// Takes it for writing; the folder is made if it is not there.
    ///
    /// # Errors
    /// When somebody else writes to it, or others than root could.
    pub fn open(self) -> Result<OpenShelf, HostError> {
        self.open_within(Duration::ZERO)
    }

    /// The same, waiting for who writes to it.
    ///
    /// # Errors
    /// [`HostError::Busy`] when that takes longer than `patience`.
    pub fn open_within(self, patience: Duration) -> Result<OpenShelf, HostError> {
        let shown = self.folder.display().to_string();
        let failed = |action| HostError::file(action, shown.clone());
        own_folder(&self.folder, 0o700)?;
        own_folder(&self.finished, 0o755)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let lock = options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.folder.join(LOCK));
        let lock = lock.map_err(failed("open the lock of"))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(OpenShelf { shelf: self, _lock: lock }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(HostError::Busy(format!(
                        "another holdfast makes or deletes backups in {shown}"
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
        }
    }
}

impl OpenShelf {
    /// The same folder, for looking.
    pub fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What a killed run left unfinished. Each that is not finished is gone when it is dropped.
    ///
    /// # Errors
    /// When it cannot be listed or opened.
    pub fn unfinished(&self) -> Result<Vec<Unfinished<'_>>, HostError> {
        let folder = &self.shelf.folder;
        let list = fs::read_dir(folder)
            .map_err(HostError::file("list", folder.display().to_string()))?
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let resume = |name: String| {
            let becomes = name.strip_suffix(UNFINISHED)?.to_owned();
            let mut options = OpenOptions::new();
            options.write(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
            let file = options.open(self.shelf.path(&name));
            let file = file.map_err(HostError::file("open", self.shelf.shown(&name)));
            let (shelf, is_finished) = (self, false);
            Some(file.map(|file| Unfinished { shelf, file, name, becomes, is_finished }))
        };
        list.filter_map(resume).collect()
    }

    /// Begins a file, under a name that says that it is unfinished. Dropped before it is finished, it is gone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, name: &str) -> Result<Unfinished<'_>, HostError> {
        let becomes = name.to_owned();
        let name = format!("{name}{UNFINISHED}");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let path = self.shelf.path(&name);
        let file = options.open(path).map_err(HostError::file("make", self.shelf.shown(&name)))?;
        Ok(Unfinished { shelf: self, file, name, becomes, is_finished: false })
    }

    /// A small file, written to the disk, that has yet to be given its name.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn write(&self, name: &str, text: &str) -> Result<Unfinished<'_>, HostError> {
        let mut new = self.begin(name)?;
        let written = new.file.write_all(text.as_bytes());
        written.map_err(HostError::file("write", self.shelf.shown(name)))?;
        new.sync()?;
        Ok(new)
    }

    /// A small file at once.
    ///
    /// # Errors
    /// As [`OpenShelf::write`] and [`Unfinished::finish`].
    pub fn put(&self, name: &str, text: &str) -> Result<(), HostError> {
        self.write(name, text)?.finish()
    }

    /// Deletes a file; one that is not there is as good as deleted.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<(), HostError> {
        #[expect(clippy::disallowed_methods, reason = "src/host is where files are removed")]
        match fs::remove_file(self.shelf.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HostError::file("delete", self.shelf.shown(name))(error))
            }
            _ => self.sync(),
        }
    }

    fn sync(&self) -> Result<(), HostError> {
        [&self.shelf.finished, &self.shelf.folder].into_iter().try_for_each(|folder| {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(HostError::file("write to the disk", folder.display().to_string()))
        })
    }
}

/// Makes a folder that is there only for backups, if it is not there, and sees that it is root's and has this mode.
fn own_folder(folder: &Path, mode: u32) -> Result<(), HostError> {
    let shown = folder.display().to_string();
    let failed = |action| HostError::file(action, shown.clone());
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(failed("make the folder"))?;
    let meta = fs::symlink_metadata(folder).map_err(failed("look at"))?;
    if !meta.is_dir() || meta.uid() != 0 || meta.mode() & 0o022 != 0 {
        return Err(HostError::Refused(format!(
            "{shown} must be a folder that belongs to root and that nobody else may write to"
        )));
    }
    // Others may have been let in by whoever made it, or kept out by the umask.
    if meta.mode() & 0o7777 != mode {
        fs::set_permissions(folder, Permissions::from_mode(mode))
            .map_err(failed("set the mode of"))?;
    }
    Ok(())
}

impl Unfinished<'_> {
    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The name that it will have.
    pub fn becomes(&self) -> &str {
        &self.becomes
    }

    /// Its name until it is finished, by which it can be read meanwhile.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has what was written put on the disk.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn sync(&self) -> Result<(), HostError> {
        let shown = self.shelf.shelf.shown(&self.becomes);
        self.file.sync_all().map_err(HostError::file("write to the disk", shown))
    }

    /// Gives it its name: from then on it is there, whole, over a power cut too. One of that name is not replaced.
    ///
    /// # Errors
    /// When it cannot be written to the disk or renamed.
    pub fn finish(mut self) -> Result<(), HostError> {
        let shelf = &self.shelf.shelf;
        // Before it has its name: who reads the folder finds nothing there that cannot be read.
        self.file
            .set_permissions(Permissions::from_mode(0o644))
            .map_err(HostError::file("set the mode of", shelf.shown(&self.becomes)))?;
        self.sync()?;
        let (from, to) = (shelf.path(&self.name), shelf.path(&self.becomes));
        match renameat2(AT_FDCWD, &from, AT_FDCWD, &to, RenameFlags::RENAME_NOREPLACE) {
            // NFS cannot keep from replacing, and a link never replaces. Killed in between, it has both names.
            Err(Errno::EINVAL) => fs::hard_link(&from, &to),
            renamed => renamed.map_err(io::Error::from),
        }
        .map_err(HostError::file("rename to", shelf.shown(&self.becomes)))?;
        self.is_finished = true;
        // Where it was renamed nothing is left of that name.
        self.shelf.remove(&self.name)?;
        self.shelf.sync()
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // What stays is cleared by the next run.
            drop(self.shelf.remove(&self.name));
        }
    }
}
