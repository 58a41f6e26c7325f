//! The one lock: one holdfast changes a host at a time, and a second one says who is at it.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{HostError, clock};

/// Gone at reboot, as the lock's holder is.
pub const LOCK_PATH: &str = "/run/holdfast/lock";

/// How long a change waits for a look to end: a whole `verify` takes a fraction of this.
const WAIT_FOR_READERS: Duration = Duration::from_secs(5);

/// Who holds the lock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// When it took the lock.
    pub since: Timestamp,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum LockError {
    #[error("another holdfast is at work: pid {}, `{}`, since {}", .0.pid, .0.command, .0.since)]
    Held(Holder),
    #[error("another holdfast is looking at this host (verify or plan)")]
    Read,
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The lock, held until dropped. The kernel lets go of it when the process ends, however that happens.
#[derive(Debug)]
pub struct Lock {
    file: File,
    exclusive: bool,
}

impl Lock {
    /// Takes the lock for changing the host, waiting a little for those who only look.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another holdfast is changing the host.
    pub fn exclusive(path: &Path, command: &str) -> Result<Self, LockError> {
        let mut file = open(path)?;
        let deadline = Instant::now() + WAIT_FOR_READERS;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if let Some(holder) = holder(&mut file) {
                        return Err(LockError::Held(holder));
                    }
                    if Instant::now() > deadline {
                        return Err(LockError::Read);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(HostError::file("lock", path.display().to_string())(error).into());
                }
            }
        }
        let me =
            Holder { pid: std::process::id(), command: command.to_owned(), since: clock::now() };
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(serde_json::to_string(&me).unwrap_or_default().as_bytes())
        };
        write(&mut file).map_err(HostError::file("write", path.display().to_string()))?;
        Ok(Self { file, exclusive: true })
    }

    /// The same, waiting for whoever is at work: for what must not be left undone.
    ///
    /// # Errors
    /// As [`Self::exclusive`], when the time is over.
    pub fn exclusive_within(
        path: &Path,
        command: &str,
        within: Duration,
    ) -> Result<Self, LockError> {
        let deadline = Instant::now() + within;
        loop {
            match Self::exclusive(path, command) {
                Err(LockError::Held(_) | LockError::Read) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    }

    /// Takes a share of the lock for looking at the host while nothing changes it.
    ///
    /// # Errors
    /// [`LockError::Held`] when another holdfast is changing the host.
    pub fn shared(path: &Path) -> Result<Self, LockError> {
        let mut file = open(path)?;
        let deadline = Instant::now() + WAIT_FOR_READERS;
        loop {
            match file.try_lock_shared() {
                Ok(()) => {
                    // Nobody changes the host now: a name that is there is that of one who was killed, and would be
                    // blamed as soon as another process has its number.
                    drop(file.set_len(0));
                    return Ok(Self { file, exclusive: false });
                }
                Err(TryLockError::WouldBlock) => {
                    if let Some(holder) = holder(&mut file) {
                        return Err(LockError::Held(holder));
                    }
                    // Its holder has not written its name yet, or is just leaving.
                    if Instant::now() > deadline {
                        return Err(LockError::Read);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(HostError::file("lock", path.display().to_string())(error).into());
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.exclusive {
            // The name goes before the lock does, so that nobody is told of a holder who has left.
            drop(self.file.set_len(0));
        }
    }
}

/// Opens the lock file, making it and its folder; never deletes it, or two processes could lock two files.
fn open(path: &Path) -> Result<File, HostError> {
    let dir = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
    if !dir.is_dir() {
        std::fs::DirBuilder::new()
            .mode(0o755)
            .recursive(true)
            .create(&dir)
            .map_err(HostError::file("make", dir.display().to_string()))?;
    }
    let mut options = OpenOptions::new();
    // Root's alone: whoever may open it may lock it, and would keep every correction and every look from being made.
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(HostError::file("open", path.display().to_string()))?;
    file.set_permissions(Permissions::from_mode(0o600))
        .map_err(HostError::file("set the mode of", path.display().to_string()))?;
    Ok(file)
}

/// Who wrote their name into the lock file, if that process still lives: a killed one leaves its name behind.
fn holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    let holder: Holder = serde_json::from_str(&text).ok()?;
    Path::new("/proc").join(holder.pid.to_string()).exists().then_some(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_may_open_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // as an earlier holdfast left it
        let file = File::create(&path).unwrap();
        file.set_permissions(Permissions::from_mode(0o644)).unwrap();
        drop(Lock::shared(&path).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_name_of_a_killed_holder_goes_with_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::exclusive(&path, "holdfast apply").unwrap();
        assert_eq!(holder(&mut open(&path).unwrap()).unwrap().pid, std::process::id());
        // A kill lets go of the lock and leaves the name.
        lock.file.unlock().unwrap();
        std::mem::forget(lock);
        let _shared = Lock::shared(&path).unwrap();
        assert!(holder(&mut open(&path).unwrap()).is_none());
    }
}
