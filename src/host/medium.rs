//! What something is written onto that is carried away: writing onto it all or nothing, and reading back what is really on
//! it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AT_FDCWD, OFlag, PosixFadviseAdvice, RenameFlags, posix_fadvise, renameat2},
    libc,
};
use serde::{Deserialize, Serialize};

use super::HostError;

/// What a folder of an unfinished medium is called, until it is whole.
const UNFINISHED: &str = ".holdfast-unfinished";

/// Everything that is written onto a medium is small.
const LARGEST: u64 = 1 << 20;

/// What `O_DIRECT` asks of a buffer, its length and the place in the file: the block of any device (open(2)).
const BLOCK: usize = 4096;

/// What cannot be done with a medium, in words for the people who hold it.
fn told(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HostError {
    let shown = path.display().to_string();
    // A file system whose device is gone has none of the names that were just made there, nor takes new ones.
    let is_ours = matches!(action, "make" | "write" | "sync" | "name");
    move |error| match error.raw_os_error() {
        Some(libc::ENOENT) if is_ours => HostError::Refused(format!(
            "the medium at {shown} was pulled out: nothing of what was written is there"
        )),
        Some(libc::ENOSPC | libc::EDQUOT) => {
            HostError::Refused(format!("the medium at {shown} is full: nothing on it counts"))
        }
        Some(libc::EROFS) => HostError::ReadOnly { path: shown },
        Some(libc::EIO) => HostError::Refused(format!(
            "the medium at {shown} is damaged, or was pulled out: it could not {action} it; throw it away"
        )),
        Some(libc::ENODEV | libc::ENXIO | libc::ENOMEDIUM) => {
            HostError::Refused(format!("the medium at {shown} was pulled out"))
        }
        _ => HostError::file(action, shown)(error),
    }
}

/// Files on a medium that do not count yet: they are under a name that says so until [`Draft::finish`], and are removed
/// when this is dropped before.
#[derive(Debug)]
pub struct Draft {
    root: PathBuf,
    unfinished: PathBuf,
    is_finished: bool,
}

impl Draft {
    /// Writes these files onto a medium, through to the device. What an interrupted writing left there is removed first.
    ///
    /// # Errors
    /// When they cannot all be written.
    pub fn write(mount: &str, files: &[(String, Vec<u8>)]) -> Result<Self, HostError> {
        let root = PathBuf::from(mount);
        let unfinished = root.join(UNFINISHED);
        clear(&unfinished).map_err(told("clear", &unfinished))?;
        let draft = Self { root, unfinished, is_finished: false };
        let folder = &draft.unfinished;
        DirBuilder::new().mode(0o700).create(folder).map_err(told("make", folder))?;
        for (file, bytes) in files {
            let path = folder.join(file);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.custom_flags(OFlag::O_NOFOLLOW.bits());
            let write = || {
                let mut file = options.open(&path)?;
                file.write_all(bytes)?;
                file.sync_all()
            };
            write().map_err(told("write", &path))?;
        }
        sync(folder).map_err(told("sync", folder))?;
        Ok(draft)
    }

    /// Reads a file as it is on the medium, and not as the kernel remembers it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read_back(&self, file: &str) -> Result<(Vec<u8>, ReadBack), HostError> {
        read_back(&self.unfinished.join(file))
    }

    /// Gives them their name: from then on they count, over a power cut too. A folder of that name is not replaced.
    ///
    /// # Errors
    /// When it cannot be named.
    pub fn finish(mut self, name: &str) -> Result<(), HostError> {
        let finished = self.root.join(name);
        let no_replace = RenameFlags::RENAME_NOREPLACE;
        match renameat2(AT_FDCWD, &self.unfinished, AT_FDCWD, &finished, no_replace) {
            Err(nix::Error::EEXIST | nix::Error::ENOTEMPTY) => {
                let shown = finished.display();
                let text = format!("{shown} is there already, and is not replaced");
                return Err(HostError::Refused(text));
            }
            other => other.map_err(|error| told("name", &finished)(error.into()))?,
        }
        self.is_finished = true;
        // vfat puts a name down with nothing behind it; where its folder begins is written with the folder (vfat_rename in
        // Linux's fs/fat/namei_vfat.c). Without this, a stick that is pulled out now has a name that cannot be read.
        sync(&finished).map_err(told("sync", &finished))?;
        sync(&self.root).map_err(told("sync", &self.root))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_finished {
            // A medium that failed may fail at this, too; its next use clears it.
            drop(clear(&self.unfinished));
        }
    }
}

/// Removes a finished folder: one that a ceremony wrote and was ended before it could say so.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn withdraw(mount: &str, name: &str) -> Result<(), HostError> {
    let root = Path::new(mount);
    let (folder, unfinished) = (root.join(name), root.join(UNFINISHED));
    clear(&unfinished).map_err(told("clear", &unfinished))?;
    match renameat2(AT_FDCWD, &folder, AT_FDCWD, &unfinished, RenameFlags::empty()) {
        Err(nix::Error::ENOENT) => return Ok(()),
        other => other.map_err(|error| told("withdraw", &folder)(error.into()))?,
    }
    clear(&unfinished).map_err(told("clear", &unfinished))?;
    sync(root).map_err(told("sync", root))
}

/// Whether a finished folder of that name is on a medium. One that cannot be looked at is there.
pub fn has_folder(mount: &str, name: &str) -> bool {
    let found = fs::symlink_metadata(Path::new(mount).join(name));
    !matches!(found, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The names of what is in a finished folder.
///
/// # Errors
/// When it cannot be listed.
pub fn listed(mount: &str, name: &str) -> Result<Vec<String>, HostError> {
    let folder = Path::new(mount).join(name);
    let list = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&folder)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut names = list().map_err(told("list", &folder))?;
    names.sort();
    Ok(names)
}

/// A medium that stays mounted as long as this is there, or is known not to be.
#[derive(Debug)]
pub struct Held {
    folder: File,
    path: PathBuf,
}

impl Held {
    /// Takes hold of what is mounted on a folder: the kernel does not unmount what is open.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn take(mount: &str) -> Result<Self, HostError> {
        let path = PathBuf::from(mount);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_DIRECTORY.bits());
        let folder = options.open(&path).map_err(told("open", &path))?;
        Ok(Self { folder, path })
    }

    /// Whether the folder still is what was taken hold of: something else may be mounted over it, and what is unmounted by
    /// force leaves the folder below.
    pub fn is_there(&self) -> bool {
        let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
        match (self.folder.metadata(), fs::metadata(&self.path)) {
            (Ok(held), Ok(found)) => place(held) == place(found),
            _ => false,
        }
    }
}

/// Whether a file is on what is mounted there. One that cannot be looked at is not.
pub fn is_on(mount: &str, file: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|meta| meta.dev());
    device(file).is_some_and(|file| device(Path::new(mount)) == Some(file))
}

/// Reads a file of a finished folder as it is on the medium.
///
/// # Errors
/// When it is not there, or cannot be read.
pub fn read_finished(mount: &str, name: &str, file: &str) -> Result<Vec<u8>, HostError> {
    read_back(&Path::new(mount).join(name).join(file)).map(|(bytes, _)| bytes)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes what a writing that was interrupted left.
fn clear(unfinished: &Path) -> io::Result<()> {
    match fs::remove_dir_all(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How a file was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadBack {
    /// From the device, around the kernel's cache.
    Direct,
    /// After the kernel was told to forget it.
    Forgotten,
}

fn read_back(path: &Path) -> Result<(Vec<u8>, ReadBack), HostError> {
    let opened = open(path, OFlag::empty()).map_err(told("open", path))?;
    opened.sync_all().map_err(told("sync", path))?;
    posix_fadvise(&opened, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .map_err(|error| told("forget", path)(error.into()))?;
    match open(path, OFlag::O_DIRECT).and_then(|file| direct(&file)) {
        Ok(bytes) => return Ok((bytes, ReadBack::Direct)),
        // File systems in memory, and some over others, have no such way.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {}
        Err(error) => return Err(told("read", path)(error)),
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST).read_to_end(&mut bytes).map_err(told("read", path))?;
    Ok((bytes, ReadBack::Forgotten))
}

fn open(path: &Path, how: OFlag) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags((how | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(file)
}

/// The whole of a file that was opened with `O_DIRECT`.
fn direct(file: &File) -> io::Result<Vec<u8>> {
    // Room to begin at a whole block, wherever the allocator puts it.
    let mut room = vec![0; BLOCK * 2];
    let start = room.as_ptr().align_offset(BLOCK);
    let block = room.get_mut(start..start + BLOCK).ok_or(io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    loop {
        match nix::unistd::read(file, &mut *block)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&block[..count]),
        }
        // The last block is not a whole one, and nothing is read after it.
        if bytes.len() % BLOCK != 0 {
            return Ok(bytes);
        }
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other("it is larger than anything written here"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<(String, Vec<u8>)> {
        vec![("a.age".into(), b"one".to_vec()), ("README.txt".into(), vec![b'x'; 5000])]
    }

    #[test]
    fn what_is_written_is_read_back_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().to_str().unwrap();
        let draft = Draft::write(mount, &files()).unwrap();
        for (name, bytes) in files() {
            assert_eq!(draft.read_back(&name).unwrap().0, bytes);
        }
        draft.finish("kit").unwrap();
        assert_eq!(read_finished(mount, "kit", "a.age").unwrap(), b"one");
        let again = Draft::write(mount, &files()).unwrap().finish("kit").unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        assert_eq!(fs::read_dir(mount).unwrap().count(), 1, "nothing unfinished stays");
        withdraw(mount, "kit").unwrap();
        withdraw(mount, "kit").unwrap();
        assert_eq!(fs::read_dir(mount).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_finished_goes_and_what_an_interrupted_writing_left_too() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().to_str().unwrap();
        let draft = Draft::write(mount, &files()).unwrap();
        assert!(folder.path().join(UNFINISHED).exists());
        drop(draft);
        assert_eq!(fs::read_dir(mount).unwrap().count(), 0);
        fs::create_dir(folder.path().join(UNFINISHED)).unwrap();
        File::create(folder.path().join(UNFINISHED).join("a.age")).unwrap();
        Draft::write(mount, &files()).unwrap().finish("kit").unwrap();
        assert_eq!(fs::read_dir(mount).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_place_of_an_envelope_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().to_str().unwrap();
        fs::create_dir(folder.path().join("kit")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("kit/a.age")).unwrap();
        assert!(read_finished(mount, "kit", "a.age").is_err());
    }
}
