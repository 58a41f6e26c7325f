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
    os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt as _},
};

use nix::fcntl::OFlag;

pub use self::{
    header::{HEADER_BYTES, Header, State},
    lists::{Entries, JournalFile},
};
use super::{Files, HostError};

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

/// What became of a journal file in a folder.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: String,
    /// How much of the disk it takes, in bytes: what journald counts against its limits.
    pub disk_bytes: u64,
    /// When it was last written to, in microseconds since the epoch.
    pub modified: u64,
    /// The file, or why it cannot be read.
    pub file: Result<JournalFile<File>, Fault>,
}

impl Found {
    /// Whether journald found it unclean or damaged, and put it aside: its name ends in `~`.
    pub fn is_put_aside(&self) -> bool {
        self.path.ends_with('~')
    }
}

impl Files {
    /// Every journal file in a folder, by name; none when there is no such folder.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn journals(&self, dir: &str) -> Result<Vec<Found>, HostError> {
        let names = self.list(dir)?;
        let is_journal = |name: &&String| name.ends_with(".journal") || name.ends_with(".journal~");
        // A file that went between the two looks was deleted by journald, as they are.
        Ok(names.iter().filter(is_journal).filter_map(|name| self.journal(dir, name)).collect())
    }

    fn journal(&self, dir: &str, name: &str) -> Option<Found> {
        let path = format!("{dir}/{name}");
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let opened = options.open(self.locate(&path)).and_then(|file| {
            let meta = file.metadata()?;
            Ok((file, meta))
        });
        let (file, meta) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let file = Err(Fault::Io(error.to_string()));
                return Some(Found { path, disk_bytes: 0, modified: 0, file });
            }
        };
        let modified = u64::try_from(meta.mtime()).unwrap_or_default().saturating_mul(1_000_000);
        let disk_bytes = meta.blocks().saturating_mul(512);
        let file = if meta.is_file() {
            JournalFile::open(file, meta.len())
        } else {
            Err(Fault::NotAJournal)
        };
        Some(Found { path, disk_bytes, modified, file })
    }
}
