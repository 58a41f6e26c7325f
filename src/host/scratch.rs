//! The folder of an ephemeral PostgreSQL: in memory, of an account of its own, and gone afterwards.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{HostError, stage::Identity};

/// Where it is: `/run` is in memory, so that nothing of a restored backup gets onto a disk. Short, because the path of a socket
/// has at most 107 bytes (unix(7)).
const FOLDER: &str = "/run/holdfast-proof";

/// How long one proof waits for another.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often it looks.
const POLL: Duration = Duration::from_millis(100);

/// The folder, held until dropped; then it is removed with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    _lock: File,
}

impl Scratch {
    /// Makes it, empty, for an account. What a killed proof left is removed: its processes died with it.
    ///
    /// # Errors
    /// When it cannot be made, or another proof has it for longer than 10 minutes.
    pub fn make(owner: Identity) -> Result<Self, HostError> {
        let failed = |action| HostError::file(action, FOLDER);
        match DirBuilder::new().mode(0o711).create(FOLDER) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the folder")(error));
            }
            _ => {}
        }
        let meta = fs::symlink_metadata(FOLDER).map_err(failed("look at"))?;
        if !meta.is_dir() || meta.uid() != 0 {
            return Err(HostError::Refused(format!("{FOLDER} is not a folder of root's")));
        }
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
        let scratch = Self { _lock: lock };
        clear().map_err(failed("clear"))?;
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
        format!("{FOLDER}/data")
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

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is by the next proof, and is in memory only.
        drop(clear());
    }
}
