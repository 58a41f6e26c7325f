//! Journal files, read as they lie on the disk, <https://systemd.io/JOURNAL_FILE_FORMAT/>.
//!
//! journalctl opens every file of a host whole for each question, and answers by entry: it takes seconds where there are
//! hundreds of files. What is asked here (since when, until when, how many, where are the holes) stands in a few bytes of
//! each: the header, and the lists of entries that the file keeps for each value of each field. These are found by hash,
//! and an entry's time by its place in the list, so that a file of any size is asked with some dozen small reads.
//!
//! Nothing is mapped into memory: a file that shrinks meanwhile would kill the process. Everything that a file says of
//! itself is doubted: offsets must lead forward and stay within, so that no file, however damaged, is read for ever.
//! Damage is a result ([`Fault`]), for it is what is looked for.
//!
//! Texts that are compressed (512 bytes and more) are not read: what names a source is shorter. Files of before systemd
//! 246 (Debian 10), which are hashed otherwise, are [`Fault::Unknown`].

mod header;
mod lists;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::{self, File},
    io,
    num::NonZeroUsize,
    os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt as _},
    panic::resume_unwind,
    thread,
};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

pub use self::{
    header::{HEADER_BYTES, Header, State},
    lists::{Entries, JournalFile},
};
use super::{Files, HostError, files::is_absent};

/// From how many files on they are looked into by several threads, and by how many at most.
const MANY: usize = 64;
const WORKERS: usize = 4;

/// Why a journal file cannot be read, or not in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin as journal files do.
    #[error("it is no journal file")]
    NotAJournal,
    /// It is shorter than it says that it is.
    #[error("it is cut short")]
    Cut,
    /// It contradicts itself.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It is written in a way that is not known here.
    #[error("{0}")]
    Unknown(&'static str),
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Io(String),
}

/// What journal files are read from.
pub trait Source: fmt::Debug {
    /// Fills `buffer` from `offset` on, and says how much there was.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset.saturating_add(done as u64);
            match FileExt::read_at(self, &mut buffer[done..], at) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// What tells whether a file is the one that was read before: it cannot be changed without one of these being another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct Stamp {
    inode: u64,
    size: u64,
    /// When its content or what is known of it last changed (`ctime`, which nobody can set), in nanoseconds since the
    /// epoch.
    changed: u64,
}

impl From<[u64; 3]> for Stamp {
    fn from([inode, size, changed]: [u64; 3]) -> Self {
        Self { inode, size, changed }
    }
}

impl From<Stamp> for [u64; 3] {
    fn from(stamp: Stamp) -> Self {
        [stamp.inode, stamp.size, stamp.changed]
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(meta: &fs::Metadata) -> Self {
        let nanos = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
        let changed = u64::try_from(nanos).unwrap_or_default();
        Self { inode: meta.ino(), size: meta.len(), changed }
    }
}

/// A journal file as its folder has it: nothing of it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder it is in.
    pub dir: String,
    /// Its name there.
    pub name: String,
    /// How much of the disk it takes, in bytes: what journald counts against its limits.
    pub disk_bytes: u64,
    /// Which one it is.
    pub stamp: Stamp,
}

impl Found {
    /// Where it is.
    pub fn path(&self) -> String {
        format!("{}/{}", self.dir, self.name)
    }

    /// Whether journald found it unclean or damaged, and put it aside: its name ends in `~`.
    pub fn is_put_aside(&self) -> bool {
        self.name.ends_with('~')
    }
}

impl Files {
    /// Every journal file in a folder, by name; none when there is no such folder.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn journals(&self, dir: &str) -> Result<Vec<Found>, HostError> {
        let failed = |action| HostError::file(action, dir);
        let entries = match fs::read_dir(self.locate(dir)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(failed("list")(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("list"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".journal") && !name.ends_with(".journal~") {
                continue;
            }
            // Asked of the folder that is open: of a thousand files, finding the folder anew would take most of the time.
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // One that went between the two looks was deleted by journald, as they are.
                Err(error) if is_absent(&error) => continue,
                Err(error) => {
                    return Err(HostError::file("look at", &format!("{dir}/{name}"))(error));
                }
            };
            let disk_bytes = meta.blocks().saturating_mul(512);
            let stamp = Stamp::from(&meta);
            found.push(Found { dir: dir.to_owned(), name, disk_bytes, stamp });
        }
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Opens each of these files, reads its head, and has `look` look into it, in their order: several at a time where
    /// there are many, because the kernel takes most of the time. `None` where it is gone.
    pub fn look_into<T: Send>(
        &self,
        found: &[Found],
        look: impl Fn(&Found, &JournalFile<File>) -> Result<T, Fault> + Sync,
    ) -> Vec<Result<Option<T>, Fault>> {
        let each = |found: &Found| match self.open_journal(&found.path())? {
            Some(file) => look(found, &file).map(Some),
            None => Ok(None),
        };
        let workers = if found.len() < MANY {
            1
        } else {
            thread::available_parallelism().map_or(1, NonZeroUsize::get).min(WORKERS)
        };
        if workers == 1 {
            return found.iter().map(each).collect();
        }
        thread::scope(|scope| {
            let parts = found.chunks(found.len().div_ceil(workers));
            let each = &each;
            let running: Vec<_> = parts
                .map(|part| {
                    let work = move || part.iter().map(each).collect::<Vec<_>>();
                    // Where no more threads may be begun, this one does it.
                    thread::Builder::new().spawn_scoped(scope, work).map_err(|_| work)
                })
                .collect();
            let done = running.into_iter().flat_map(|running| match running {
                Ok(running) => running.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(work) => work(),
            });
            done.collect()
        })
    }

    /// What the head of a file says, links followed, or why it says nothing; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn journal_head(&self, path: &str) -> Result<Option<Result<Header, Fault>>, HostError> {
        let Some(head) = self.head(path, HEADER_BYTES)? else { return Ok(None) };
        // Asked afterwards: a file that is written to grows.
        let size = self.size(path)?;
        Ok(size.map(|size| Header::parse(&head, size)))
    }

    /// Opens a journal file and reads its head; `None` when there is none.
    ///
    /// # Errors
    /// Each [`Fault`] that a head can show.
    pub fn open_journal(&self, path: &str) -> Result<Option<JournalFile<File>>, Fault> {
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let opened = options.open(self.locate(path)).and_then(|file| {
            let meta = file.metadata()?;
            Ok((file, meta))
        });
        let (file, meta) = match opened {
            Ok(opened) => opened,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Fault::Io(error.to_string())),
        };
        if !meta.is_file() {
            return Err(Fault::NotAJournal);
        }
        JournalFile::open(file, meta.len()).map(Some)
    }
}
