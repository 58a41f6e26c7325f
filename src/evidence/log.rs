//! The log's file. Everybody who writes it goes through [`Log::append`]: under a lock of its own, because a look that
//! records findings holds no lock that would keep others from it.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, BufReader, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::fcntl::OFlag;

use super::{
    entries,
    record::{Entry, Head, Record},
    scan::{Scan, Tail},
};
use crate::engine::store::{Store, StoreError};

/// Reading and writing the log takes milliseconds.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(10);

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum EvidenceError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: String, source: io::Error },
    #[error("{path} is not a file; move it away")]
    NotAFile { path: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} is kept locked by another holdfast; try again when it has ended")]
    Busy { path: String },
}

impl EvidenceError {
    /// Whether it could be read, and not written.
    pub fn is_of_writing(&self) -> bool {
        matches!(self, Self::Io { action: "make" | "write" | "sync", .. })
            || matches!(self, Self::Io { action: "open", source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }
}

/// What an append has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// The newest record now; `None`: there is no log.
    pub head: Option<Head>,
    /// How many records were appended.
    pub records: usize,
}

/// The evidence log of a host.
#[derive(Debug, Clone)]
pub struct Log {
    dir: PathBuf,
}

impl Log {
    /// The log below a state folder; nothing is made until something is recorded.
    pub fn below(state_dir: impl AsRef<Path>) -> Self {
        Self { dir: state_dir.as_ref().join("evidence") }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.join("log.jsonl")
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn scan(&self) -> Result<Option<Scan>, EvidenceError> {
        let Some(file) = self.open(OpenOptions::new().read(true))? else { return Ok(None) };
        self.wait_for(&file, File::try_lock_shared)?;
        self.scan_in(&file).map(Some)
    }

    /// Reads the records themselves, those that can be read.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, EvidenceError> {
        let Some(file) = self.open(OpenOptions::new().read(true))? else { return Ok(Vec::new()) };
        self.wait_for(&file, File::try_lock_shared)?;
        let lines = io::BufRead::split(BufReader::new(&file), b'\n');
        let lines: io::Result<Vec<Vec<u8>>> = lines.collect();
        let lines = lines.map_err(self.error("read"))?;
        Ok(lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Appends what `entries` makes of the log as it is: in one write, synced when this returns. What a write that was
    /// cut off has left is mended by the same write. Where there is nothing to append nothing is touched.
    ///
    /// # Errors
    /// When it cannot be read or written. Records that were written whole stay, and the next append goes on behind them.
    pub fn append(
        &self,
        now: Timestamp,
        entries: impl Fn(&Scan) -> Result<Vec<Entry>, EvidenceError>,
    ) -> Result<Appended, EvidenceError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o600);
        let file = match self.open(&options)? {
            Some(file) => file,
            None if entries(&Scan::default())?.is_empty() => return Ok(Appended::default()),
            None => {
                let mut make = DirBuilder::new();
                make.mode(0o700).recursive(true).create(&self.dir).map_err(self.error("make"))?;
                let made = self.open(options.create(true))?;
                made.ok_or_else(|| self.not_a_file())?
            }
        };
        self.wait_for(&file, File::try_lock)?;
        let scan = self.scan_in(&file)?;
        let mut entries = entries(&scan)?;
        let mut head = scan.head;
        if entries.is_empty() {
            return Ok(Appended { head, records: 0 });
        }
        let mut bytes = Vec::new();
        if scan.is_unended() {
            bytes.push(b'\n');
        }
        if let Tail::Torn { torn, .. } = scan.tail {
            entries.insert(0, torn.entry());
        }
        let records = entries.len();
        for entry in entries {
            let record = Record::after(head, now, entry);
            let line = record.line();
            head = Some(Head { sequence: record.sequence, digest: super::Digest::of(&line) });
            bytes.extend(line);
            bytes.push(b'\n');
        }
        (&file).write_all(&bytes).and_then(|()| file.sync_data()).map_err(self.error("write"))?;
        if scan.lines.is_empty() {
            // It is new: its own name, and that of the folder.
            let state_dir = self.dir.parent().unwrap_or(&self.dir);
            for dir in [&self.dir, state_dir] {
                File::open(dir).and_then(|dir| dir.sync_all()).map_err(self.error("sync"))?;
            }
        }
        Ok(Appended { head, records })
    }

    /// Records every transaction that has ended and was not recorded yet: whatever was killed or refused by a full disk
    /// before, doing it again records nothing twice. Returns as [`append`](Self::append) does.
    ///
    /// # Errors
    /// When the log cannot be read or written, or transactions cannot be listed.
    pub fn catch_up(&self, store: &Store, now: Timestamp) -> Result<Appended, EvidenceError> {
        self.append(now, |scan| Ok(entries::transactions(store, scan)?))
    }

    fn open(&self, options: &OpenOptions) -> Result<Option<File>, EvidenceError> {
        let mut options = options.clone();
        // A link would lead appends elsewhere, and a pipe would be waited for.
        options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let file = match options.open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error("open")(error)),
        };
        let meta = file.metadata().map_err(self.error("look at"))?;
        if meta.is_file() { Ok(Some(file)) } else { Err(self.not_a_file()) }
    }

    fn scan_in(&self, mut file: &File) -> Result<Scan, EvidenceError> {
        file.rewind().and_then(|()| Scan::of(BufReader::new(file))).map_err(self.error("read"))
    }

    fn wait_for(
        &self,
        file: &File,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<(), EvidenceError> {
        let deadline = Instant::now() + WAIT_FOR_OTHERS;
        loop {
            match lock(file) {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(self.error("lock")(error)),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(EvidenceError::Busy { path: self.path().display().to_string() });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn error(&self, action: &'static str) -> impl FnOnce(io::Error) -> EvidenceError {
        let path = self.path().display().to_string();
        move |source| EvidenceError::Io { action, path, source }
    }

    fn not_a_file(&self) -> EvidenceError {
        EvidenceError::NotAFile { path: self.path().display().to_string() }
    }
}
