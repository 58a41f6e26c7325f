//! The folders of an ephemeral PostgreSQL: of an account of its own, and gone afterwards.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;

use super::{HostError, stage::Identity};

/// Where it is: `/run` is in memory, so that nothing of a restored backup gets onto a disk. Short, because the path of a socket
/// has at most 107 bytes (unix(7)).
const FOLDER: &str = "/run/holdfast-proof";

/// Where a whole database is restored to, which memory would not hold: on the disk that has the database itself, unless
/// another one is mounted here.
const DISK: &str = "/var/lib/holdfast-drill";

/// The folder of the data in either.
const DATA: &str = "data";

/// Where an ephemeral server keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory, for a few tables.
    Memory,
    /// On a disk, for everything, if it has so much room.
    Disk {
        /// How much must be free, in bytes.
        free: u64,
    },
}

/// How long one proof waits for another.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often it looks.
const POLL: Duration = Duration::from_millis(100);

/// The folder, held until dropped; then it is removed with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    place: Place,
    _lock: File,
}

impl Scratch {
    /// Makes it, empty, for an account. What a killed proof left is removed: its processes died with it.
    ///
    /// # Errors
    /// When it cannot be made, there is no room, or another proof has it for longer than 10 minutes.
    pub fn make(owner: Identity, place: Place) -> Result<Self, HostError> {
        let failed = |action| HostError::file(action, FOLDER);
        folder(FOLDER)?;
        let lock = File::open(FOLDER).map_err(failed("open"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(HostError::Refused("another backup is being proven".into()));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
        }
        let scratch = Self { place, _lock: lock };
        clear().map_err(failed("clear"))?;
        clear_disk().map_err(HostError::file("clear", DISK))?;
        if let Place::Disk { free: needed } = place {
            folder(DISK)?;
            room(needed)?;
        }
        for folder in [scratch.data(), scratch.socket()] {
            let make = || {
                DirBuilder::new().mode(0o700).create(&folder)?;
                chown(&folder, Some(owner.uid), Some(owner.gid))
            };
            make().map_err(HostError::file("make the folder", &*folder))?;
        }
        Ok(scratch)
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> String {
        let folder = match self.place {
            Place::Memory => FOLDER,
            Place::Disk { .. } => DISK,
        };
        format!("{folder}/{DATA}")
    }

    /// Where its socket is.
    pub fn socket(&self) -> String {
        format!("{FOLDER}/socket")
    }

    /// A file that the account can read, with a text in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<String, HostError> {
        let path = format!("{FOLDER}/{name}");
        let write = || {
            #[expect(clippy::disallowed_methods, reason = "src/host is where files are written")]
            fs::write(&path, text)?;
            fs::set_permissions(&path, Permissions::from_mode(0o644))
        };
        write().map_err(HostError::file("write", &*path))?;
        Ok(path)
    }
}

/// A folder that others can go through and only root can write to, made if it is not there.
fn folder(path: &str) -> Result<(), HostError> {
    match DirBuilder::new().mode(0o711).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(HostError::file("make the folder", path)(error));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(path).map_err(HostError::file("look at", path))?;
    if meta.is_dir() && meta.uid() == 0 && meta.mode() & 0o022 == 0 {
        // A unit's umask takes from what it was made with.
        return fs::set_permissions(path, Permissions::from_mode(0o711))
            .map_err(HostError::file("set the mode of", path));
    }
    Err(HostError::Refused(format!(
        "{path} must be a folder that belongs to root and that nobody else may write to"
    )))
}

/// Whether so much is free on the disk: a full one stops PostgreSQL.
fn room(needed: u64) -> Result<(), HostError> {
    let stat = statvfs(DISK)
        .map_err(|error| HostError::file("ask for the free space of", DISK)(error.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    if free >= needed {
        return Ok(());
    }
    Err(HostError::Refused(format!(
        "{DISK} has {free} bytes free, and restoring all takes {needed}; mount a larger disk there"
    )))
}

fn clear() -> io::Result<()> {
    for entry in fs::read_dir(Path::new(FOLDER))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            #[expect(clippy::disallowed_methods, reason = "src/host is where files are removed")]
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Only what is ours: a disk that is mounted there may have a `lost+found`.
fn clear_disk() -> io::Result<()> {
    match fs::remove_dir_all(Path::new(DISK).join(DATA)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is by the next proof.
        drop((clear_disk(), clear()));
    }
}
