//! The folders of an ephemeral PostgreSQL: of an account of its own, and gone afterwards.

use std::{
    ffi::CStr,
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::statvfs::statvfs;

use super::{
    HostError,
    stage::{Floor, Identity},
};

/// Where it is: `/run` is in memory, so that nothing of a restored backup gets onto a disk. Short, because the path of a socket
/// has at most 107 bytes (unix(7)).
const FOLDER: &str = "/run/holdfast-proof";

/// The same for system calls.
pub(super) const FOLDER_C: &CStr = c"/run/holdfast-proof";

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
        /// How much must be free before, in bytes.
        free: u64,
        /// How much must stay free, in bytes.
        keep: u64,
    },
}

/// What an ephemeral server takes in memory before anything is restored into it is 40 to 50 MB (measured with PostgreSQL
/// 15 and 17), and the tables by which a backup is judged take some MB.
const MEMORY_NEEDED: u64 = 96 << 20;

/// What must stay free in `/run`: systemd and others cannot do without.
const MEMORY_KEPT: u64 = 16 << 20;

/// How often one proof looks whether another has ended.
const POLL: Duration = Duration::from_millis(100);

/// The right to prove something, which one holdfast has at a time.
#[derive(Debug, Clone)]
pub struct Claim {
    _lock: Arc<File>,
}

impl Claim {
    /// Takes it; who has it is waited for.
    ///
    /// # Errors
    /// [`HostError::Busy`] when that takes longer than `patience`.
    pub fn take(patience: Duration) -> Result<Self, HostError> {
        let failed = |action| HostError::file(action, FOLDER);
        folder(FOLDER)?;
        let lock = File::open(FOLDER).map_err(failed("open"))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { _lock: Arc::new(lock) }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    let waited = patience.as_secs();
                    return Err(HostError::Busy(format!(
                        "another backup is being proven, and still is after {waited} s"
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
        }
    }
}

/// The folder, held until dropped; then it is removed with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    place: Place,
    _claim: Claim,
}

impl Scratch {
    /// Makes it, empty, for an account. What a killed proof left is removed: its processes died with it.
    ///
    /// # Errors
    /// When it cannot be made, or there is no room.
    pub fn make(claim: &Claim, owner: Identity, place: Place) -> Result<Self, HostError> {
        let scratch = Self { place, _claim: claim.clone() };
        clear().map_err(HostError::file("clear", FOLDER))?;
        clear_disk().map_err(HostError::file("clear", DISK))?;
        match place {
            Place::Memory => room(FOLDER, MEMORY_NEEDED, "proving a backup")?,
            Place::Disk { free: needed, .. } => {
                folder(DISK)?;
                room(DISK, needed, "restoring all")?;
            }
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
        format!("{}/{DATA}", self.floor().folder)
    }

    /// How much must stay free there.
    pub fn floor(&self) -> Floor {
        let (folder, bytes) = match self.place {
            Place::Memory => (FOLDER, MEMORY_KEPT),
            Place::Disk { keep, .. } => (DISK, keep),
        };
        Floor { folder: folder.to_owned(), bytes }
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

/// What to do where there is too little room: what is in memory is in plain, and to get onto no disk.
pub fn more(folder: &str) -> &'static str {
    if folder == DISK {
        "mount a larger disk there"
    } else {
        "give it more memory: mount -o remount,size=SIZE /run"
    }
}

/// How many bytes are free on the file system of a folder; `None` when it does not tell.
pub(super) fn free(folder: &str) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Whether so much is free there: a full disk stops PostgreSQL, and a full `/run` much else.
fn room(folder: &str, needed: u64, what: &str) -> Result<(), HostError> {
    match free(folder) {
        Some(free) if free < needed => Err(HostError::Refused(format!(
            "{folder} has {free} bytes free, and {what} takes {needed}; {}",
            more(folder)
        ))),
        _ => Ok(()),
    }
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
