//! The handle that can change a host. There is one at most, because making it takes the lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    fcntl::{AT_FDCWD, RenameFlags, renameat2},
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};

use super::{
    HostError, Reader, account_writer::put_account, clock, lock::Lock, process,
    reader::sysctl_path, seen::Known, unit_links::unit_links,
};
use crate::engine::{
    change::{Change, FileState, FileTime, Folder, Gate, RunVerb, TableState, UnitLinks, UnitVerb},
    document::{self, Bulk},
    listing,
};

/// What a file's name ends in that was set aside: no program reads such a file.
const SET_ASIDE: &str = ".set-aside-by-holdfast";

/// Changes a host, one [`Change`] at a time.
#[derive(Debug)]
pub struct Writer {
    reader: Reader,
    _lock: Lock,
}

impl Writer {
    /// A writer for the host that `reader` looks at, for as long as the lock is held.
    pub fn new(reader: Reader, lock: Lock) -> Self {
        Self { reader, _lock: lock }
    }

    /// The same host, for looking.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Makes one change. Doing it again changes nothing more.
    ///
    /// # Errors
    /// When the host refuses; what was there before is then still there, whole.
    pub async fn carry_out(&self, change: &Change) -> Result<(), HostError> {
        match change {
            Change::Put { path, to } => self.put(path, to),
            Change::Account { name, to } => put_account(&self.reader, name, to).await,
            Change::Sysctl { key, value } => self.set_sysctl(key, value),
            Change::Table { to } => self.put_table(to).await,
            Change::UnitFile { unit, verb } => self.set_unit_file(unit, *verb).await,
            Change::UnitLinks { unit, to } => self.put_unit_links(unit, to).await,
            Change::Run { unit, verb } => self.run(unit, *verb).await,
            Change::Require { gate: Gate::Sshd } => {
                process::run("sshd", &["-t"], None).await?.success().map(drop)
            }
        }
    }

    /// Puts the files, links and folders of a change in place, and tells nobody: for early in a boot, when systemd has no
    /// D-Bus yet. Changes of anything else change nothing.
    ///
    /// # Errors
    /// When the host refuses; what was there before is then still there, whole.
    pub fn put_files(&self, change: &Change) -> Result<(), HostError> {
        match change {
            Change::Put { path, to } => self.put(path, to),
            Change::UnitLinks { unit, to } => self.put_links(unit, to),
            _ => Ok(()),
        }
    }

    async fn set_unit_file(&self, unit: &str, verb: UnitVerb) -> Result<(), HostError> {
        self.reader.systemd().await?.unit_file(unit, verb).await
    }

    async fn run(&self, unit: &str, verb: RunVerb) -> Result<(), HostError> {
        self.reader.systemd().await?.run(unit, verb).await
    }

    /// Replaces, loads or removes holdfast's own table, and notes what its sets hold then.
    async fn put_table(&self, to: &TableState) -> Result<(), HostError> {
        let TableState::Json(document) = to else { return put_table(to).await };
        if !document::has_bulk(document) {
            return put_table(to).await;
        }
        let before = self.reader.tables();
        put_table(to).await?;
        // Only if no other transaction came in between is it known what they hold.
        if let (Ok(before), Ok(after)) = (before, self.reader.tables())
            && after.is_next_of(&before)
        {
            self.reader.note_sets(after, &document::sets(document), Known::Loaded);
        }
        Ok(())
    }

    fn set_sysctl(&self, key: &str, value: &str) -> Result<(), HostError> {
        let path = sysctl_path(key);
        let write = || {
            let mut file =
                OpenOptions::new().write(true).open(self.reader.files().locate(&path))?;
            file.write_all(value.as_bytes())
        };
        write().map_err(HostError::file("set", path.as_str()))
    }

    /// Brings a path to a state. A file or link is replaced in one step, so that no reader ever sees half of it.
    ///
    /// # Errors
    /// When a directory is where a file is to be, or the file system refuses.
    #[expect(clippy::disallowed_methods, reason = "the one permitted place")]
    fn put(&self, path: &str, to: &FileState) -> Result<(), HostError> {
        let at = self.reader.files().locate(path);
        let found = fs::symlink_metadata(&at).ok();
        let is_dir = found.as_ref().is_some_and(fs::Metadata::is_dir);
        if is_dir && matches!(to, FileState::File { .. } | FileState::Symlink { .. }) {
            return Err(HostError::WrongKind {
                path: path.to_owned(),
                found: "a directory",
                wanted: "a file",
            });
        }
        let staged = staging_name(&at);
        let result = (|| match to {
            FileState::Absent if is_dir => match fs::remove_dir(&at) {
                // Somebody else has put something into a folder that was made here; it stays, and keeps nothing
                // else from being put back.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                result => result,
            },
            FileState::Absent if found.is_some() => fs::remove_file(&at),
            FileState::Absent => Ok(()),
            FileState::Directory { mode, uid, gid, xattrs } => {
                if !is_dir {
                    fs::DirBuilder::new().mode(*mode).create(&at)?;
                }
                std::os::unix::fs::chown(&at, Some(*uid), Some(*gid))?;
                set_xattrs(&at, xattrs)?;
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode))
            }
            FileState::File { content, mode, uid, gid, xattrs, mtime } => {
                let mut file = stage(&staged)?;
                file.write_all(content.as_bytes())?;
                std::os::unix::fs::fchown(&file, Some(*uid), Some(*gid))?;
                set_xattrs(&staged, xattrs)?;
                // After the owner and the ACL: both of them change the mode.
                file.set_permissions(fs::Permissions::from_mode(*mode))?;
                if let Some(mtime) = mtime {
                    set_mtime(&staged, *mtime)?;
                }
                file.sync_all()?;
                fs::rename(&staged, &at)
            }
            FileState::Symlink { target, uid, gid, mtime } => {
                remove_if_there(&staged)?;
                std::os::unix::fs::symlink(target, &staged)?;
                std::os::unix::fs::lchown(&staged, Some(*uid), Some(*gid))?;
                if let Some(mtime) = mtime {
                    set_mtime(&staged, *mtime)?;
                }
                fs::rename(&staged, &at)
            }
        })();
        if let Err(source) = result {
            // Best effort: the error that is reported is the one that stopped us.
            drop(remove_if_there(&staged));
            return Err(self.explain(path, source));
        }
        at.parent().map_or(Ok(()), sync_dir).map_err(HostError::file("sync", path))
    }

    /// Says plainly what the kernel says in a number, where it is one of the usual obstacles.
    fn explain(&self, path: &str, source: io::Error) -> HostError {
        let files = self.reader.files();
        let parent = Path::new(path).parent().map_or("/", |p| p.to_str().unwrap_or("/"));
        let immutable = [path, parent].into_iter().find(|path| files.is_immutable(path));
        match (source.kind(), immutable) {
            (io::ErrorKind::PermissionDenied, Some(path)) => {
                HostError::Immutable { path: path.to_owned() }
            }
            (io::ErrorKind::ReadOnlyFilesystem, _) => HostError::ReadOnly { path: path.to_owned() },
            _ => HostError::file("write", path)(source),
        }
    }

    /// Removes what a killed holdfast may have left beside a path.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn clear_staging(&self, path: &str) -> Result<(), HostError> {
        let staged = staging_name(&self.reader.files().locate(path));
        remove_if_there(&staged).map_err(HostError::file("remove", staged.display().to_string()))
    }

    /// Puts a file beside its place under a name that no program reads, whatever is in it, and says which.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_aside(&self, path: &str) -> Result<String, HostError> {
        let at = self.reader.files().locate(path);
        for number in 1..=u8::MAX {
            let beside = match number {
                1 => format!("{path}{SET_ASIDE}"),
                number => format!("{path}{SET_ASIDE}.{number}"),
            };
            let to = self.reader.files().locate(&beside);
            match renameat2(AT_FDCWD, &at, AT_FDCWD, &to, RenameFlags::RENAME_NOREPLACE) {
                Ok(()) => return Ok(beside),
                Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(HostError::file("set aside", path)(error.into())),
            }
        }
        Err(HostError::file("set aside", path)(io::ErrorKind::AlreadyExists.into()))
    }

    /// Has systemd roll a transaction back after a while, whatever becomes of this process and its session.
    ///
    /// # Errors
    /// When systemd does not take it on.
    pub async fn arm(&self, id: u64, within: Duration) -> Result<(), HostError> {
        let about = format!("Roll transaction {id} back unless it is confirmed");
        self.reader.systemd().await?.start_timer(&expiry(id, "timer"), &about, within).await
    }

    /// Takes that back. What the timer has started already finds the transaction ended, and ends too.
    ///
    /// # Errors
    /// When systemd does not answer.
    pub async fn disarm(&self, id: u64) -> Result<(), HostError> {
        self.reader.systemd().await?.stop_if_there(&expiry(id, "timer")).await
    }

    /// Sets a directory's modification time back, after what was in it was put back.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn set_mtime(&self, path: &str, mtime: FileTime) -> Result<(), HostError> {
        set_mtime(&self.reader.files().locate(path), mtime)
            .map_err(HostError::file("set the time of", path))
    }

    async fn put_unit_links(&self, unit: &str, to: &UnitLinks) -> Result<(), HostError> {
        self.put_links(unit, to)?;
        self.reader.systemd().await?.daemon_reload().await
    }

    fn put_links(&self, unit: &str, to: &UnitLinks) -> Result<(), HostError> {
        let now = unit_links(&self.reader, unit)?;
        let mut touched: BTreeSet<&str> = BTreeSet::new();
        for path in now.links.keys().filter(|path| !to.links.contains_key(*path)) {
            self.put(path, &FileState::Absent)?;
            touched.insert(parent(path));
        }
        for (path, link) in
            to.links.iter().filter(|(path, link)| now.links.get(*path) != Some(link))
        {
            let folder = parent(path);
            if !self.reader.files().exists(folder) {
                let state = to.folders.get(folder).map(|folder| &folder.state);
                self.put(folder, state.unwrap_or(&FileState::directory()))?;
                touched.insert(parent(folder));
            }
            self.put(path, link)?;
            touched.insert(folder);
        }
        // Folders that were made for links which are gone now: removing one touches the folder it is in.
        for folder in touched.clone() {
            let is_gone = !to.folders.contains_key(folder)
                && fs::remove_dir(self.reader.files().locate(folder)).is_ok();
            if is_gone {
                touched.insert(parent(folder));
            }
        }
        for folder in touched {
            if let Some(Folder { mtime, .. }) = to.folders.get(folder) {
                self.set_mtime(folder, *mtime)?;
            }
        }
        Ok(())
    }
}

/// The unit that rolls a transaction back: an instance of `holdfast-expire@.service`, started by the timer of its name.
fn expiry(id: u64, kind: &str) -> String {
    format!("holdfast-expire@{id}.{kind}")
}

fn parent(path: &str) -> &str {
    Path::new(path).parent().and_then(Path::to_str).unwrap_or("/")
}

/// Replaces, loads or removes the table: one nft transaction, so that no packet meets half of it.
async fn put_table(to: &TableState) -> Result<(), HostError> {
    let [family, name] = super::nft::TABLE;
    // `destroy table` would do in newer versions; 1.0.6 does not know it, so: make sure it is there, then delete it.
    let clear = format!("add table {family} {name}\ndelete table {family} {name}\n");
    let (args, input): (&[&str], String) = match to {
        TableState::Absent => (&["-f", "-"], clear),
        TableState::Listing(text) => (&["-f", "-"], clear + &listing::at(text, clock::now())),
        TableState::Json(document) => {
            (&["-j", "-f", "-"], document::at(document, clock::now(), Bulk::Full))
        }
    };
    process::run("nft", args, Some(input.as_bytes())).await?.success().map(drop)
}

/// The name under which a new file is written before it takes its place. Known in advance, so that a later holdfast
/// can clear it away; hidden and without a known suffix, so that no `*.conf` pattern takes it in.
fn staging_name(at: &Path) -> PathBuf {
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    at.with_file_name(format!(".{name}.holdfast-new"))
}

fn stage(staged: &Path) -> io::Result<File> {
    remove_if_there(staged)?;
    // Not readable by others until its owner and mode are set.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(staged)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => remove(path),
        Err(_) => Ok(()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the one permitted place")]
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Makes the attributes what they are to be, leaving alone those that are so already.
fn set_xattrs(path: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let now = match xattr::list(path) {
        Ok(names) => names.collect(),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Vec::new(),
        Err(error) => return Err(error),
    };
    for name in now {
        if !wanted.contains_key(&*name.to_string_lossy()) {
            xattr::remove(path, &name)?;
        }
    }
    for (name, value) in wanted {
        if xattr::get(path, name)?.as_ref() != Some(value) {
            xattr::set(path, name, value)?;
        }
    }
    Ok(())
}

fn set_mtime(path: &Path, mtime: FileTime) -> io::Result<()> {
    let atime = fs::symlink_metadata(path)?;
    let atime = TimeSpec::new(atime.atime(), atime.atime_nsec());
    let mtime = TimeSpec::new(mtime.seconds, mtime.nanoseconds);
    utimensat(AT_FDCWD, path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
