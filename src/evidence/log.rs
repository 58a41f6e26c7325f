//! The log's file. Everybody who writes it goes through [`Log::record`]: under a lock of its own, because a look that
//! records findings holds no lock that would keep others from it.

use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{errno::Errno, fcntl::OFlag, unistd::geteuid};
use serde_json::Value;

use super::{
    entries, judge,
    mark::{Identity, Mark},
    record::{Digest, Entry, Head, Record},
    scan::{Exposed, LONGEST, Scan, Tail},
};
use crate::{
    engine::store::{Store, StoreError},
    host::clock,
    report::journal,
};

/// Reading and writing the log takes milliseconds.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(10);

/// How much of its end [`Log::recent`] reads, in bytes: some thousand records.
const RECENT: u64 = 1 << 20;

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
    /// Whether it is that nothing can be recorded, and not that nothing is known.
    pub fn is_of_writing(&self) -> bool {
        match self {
            Self::Io { action: "make" | "write" | "sync", .. } | Self::NotAFile { .. } => true,
            // A file system that is read-only, a file that is immutable or somebody else's, a link.
            Self::Io { action: "append to", source, .. } => {
                let link = source.raw_os_error() == Some(Errno::ELOOP as i32);
                let kinds = [
                    io::ErrorKind::ReadOnlyFilesystem,
                    io::ErrorKind::PermissionDenied,
                    io::ErrorKind::NotADirectory,
                    io::ErrorKind::IsADirectory,
                ];
                link || kinds.contains(&source.kind())
            }
            Self::Io { .. } | Self::Store(_) | Self::Busy { .. } => false,
        }
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
    state_dir: PathBuf,
    dir: PathBuf,
}

impl Log {
    /// The log below a state folder; nothing is made until something is recorded.
    pub fn below(state_dir: impl AsRef<Path>) -> Self {
        let state_dir = state_dir.as_ref().to_owned();
        Self { dir: state_dir.join("evidence"), state_dir }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.join("log.jsonl")
    }

    /// Records one thing that happened: `kind` is one of [`super::record::kind`], `subject` what it happened to, `payload`
    /// the rest, a JSON object. No secret: the log is shown to others. When this returns it is on the disk, and the
    /// journal was told. Takes the log's lock; whoever calls it needs no other.
    ///
    /// # Errors
    /// As [`record`](Self::record). What happened has happened: say it, and go on.
    pub fn append(
        &self,
        kind: &'static str,
        subject: impl Into<String>,
        payload: Value,
    ) -> Result<Appended, EvidenceError> {
        let entry = Entry { kind, subject: subject.into(), payload };
        self.record(clock::now(), |_| Ok(vec![entry.clone()]))
    }

    /// Records every transaction that has ended, or waits for a person's word, and was not recorded yet: whatever was
    /// killed or refused by a full disk before, doing it again records nothing twice. Returns as [`record`](Self::record)
    /// does.
    ///
    /// # Errors
    /// When the log cannot be read or written, or transactions cannot be listed.
    pub fn catch_up(&self, store: &Store, now: Timestamp) -> Result<Appended, EvidenceError> {
        self.record(now, |scan| Ok(entries::transactions(store, scan)?))
    }

    /// Reads all of it; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn scan(&self) -> Result<Option<Scan>, EvidenceError> {
        let reading =
            self.open_locked(OpenOptions::new().read(true), "open", File::try_lock_shared)?;
        reading.map(|file| self.read(&file, None, clock::now())).transpose()
    }

    /// What there is to know of it, read only as far as it has changed since it was found whole.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn look(&self, now: Timestamp) -> Result<Scan, EvidenceError> {
        let reading =
            self.open_locked(OpenOptions::new().read(true), "open", File::try_lock_shared)?;
        let mark = Mark::load(&self.state_dir);
        match reading {
            Some(file) => self.read(&file, mark.as_ref(), now),
            None => Ok(absent(mark.as_ref())),
        }
    }

    /// The newest records, so many of those that can be read, oldest first.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub fn newest(&self, count: usize) -> Result<Vec<Record>, EvidenceError> {
        let reading =
            self.open_locked(OpenOptions::new().read(true), "open", File::try_lock_shared)?;
        reading.map_or_else(|| Ok(Vec::new()), |file| self.records(&file, count))
    }

    /// The records in the last MiB of it, oldest first: for what would be recorded again before long.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub fn recent(&self) -> Result<Vec<Record>, EvidenceError> {
        let reading =
            self.open_locked(OpenOptions::new().read(true), "open", File::try_lock_shared)?;
        let Some(mut file) = reading else { return Ok(Vec::new()) };
        let bytes = file.metadata().map_err(self.error("look at"))?.len();
        // A record that is cut there is none.
        let from = SeekFrom::Start(bytes.saturating_sub(RECENT));
        file.seek(from).map_err(self.error("read"))?;
        self.records(&file, usize::MAX)
    }

    /// The newest from where the file stands.
    fn records(&self, file: &File, count: usize) -> Result<Vec<Record>, EvidenceError> {
        let mut newest = VecDeque::new();
        let (mut log, mut piece) = (BufReader::new(file), Vec::new());
        // Pieces of an overlong line are no records either.
        while {
            piece.clear();
            let limit = LONGEST as u64;
            log.by_ref().take(limit).read_until(b'\n', &mut piece).map_err(self.error("read"))? > 0
        } {
            if let Ok(record) = serde_json::from_slice::<Record>(&piece) {
                newest.push_back(record);
                if newest.len() > count {
                    newest.pop_front();
                }
            }
        }
        Ok(newest.into())
    }

    /// Appends what `entries` makes of the log as it is: in one write, synced when this returns; and tells the journal.
    /// What a write that was cut off has left is mended by the same write. Where there is nothing to append nothing is
    /// touched.
    ///
    /// # Errors
    /// When it cannot be read or written. Records that were written whole stay, and the next append goes on behind them.
    pub fn record(
        &self,
        now: Timestamp,
        entries: impl Fn(&Scan) -> Result<Vec<Entry>, EvidenceError>,
    ) -> Result<Appended, EvidenceError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o600);
        let file = match self.open_locked(&options, "append to", File::try_lock)? {
            Some(file) => file,
            None if entries(&absent(Mark::load(&self.state_dir).as_ref()))?.is_empty() => {
                return Ok(Appended::default());
            }
            None => {
                let mut make = DirBuilder::new();
                make.mode(0o700).recursive(true).create(&self.dir).map_err(self.error("make"))?;
                let made = self.open_locked(options.create(true), "append to", File::try_lock)?;
                made.ok_or_else(|| self.not_a_file())?
            }
        };
        let mark = Mark::load(&self.state_dir);
        let mut scan = self.read(&file, mark.as_ref(), now)?;
        let given = entries(&scan)?;
        let is_whole = judge::by_itself(&scan).is_empty();
        let records = self.write(&file, &mut scan, given, now)?;
        let Some(head) = scan.head else { return Ok(Appended { head: None, records }) };
        let told = mark.as_ref().and_then(|mark| mark.anchored(head, now));
        if told.is_none() {
            journal::anchored(head);
        }
        // Of a log with something wrong in it the old mark is kept, and it is read each time until a person has mended
        // that or moved both away.
        let spared = mark.filter(|_| scan.before.is_some());
        if is_whole && (records > 0 || told.is_none() || spared.is_none()) {
            let meta = file.metadata().map_err(self.error("look at"))?;
            let read = spared.map_or(now, |mark| mark.read());
            let times = (now, read, told.unwrap_or(now));
            Mark::of(&scan, head, Identity::from(&meta), times).keep(&self.state_dir);
        }
        Ok(Appended { head: Some(head), records })
    }

    /// Writes entries behind what was read, and takes them into it. Returns how many records they have become.
    fn write(
        &self,
        mut file: &File,
        scan: &mut Scan,
        mut entries: Vec<Entry>,
        now: Timestamp,
    ) -> Result<usize, EvidenceError> {
        if entries.is_empty() {
            return Ok(0);
        }
        let is_new = scan.is_empty();
        let mut bytes = Vec::new();
        if scan.is_unended() {
            bytes.push(b'\n');
        }
        if let Tail::Torn { torn, .. } = scan.tail {
            entries.insert(0, torn.entry());
        }
        let records = entries.len();
        let mut lines = Vec::new();
        let mut head = scan.head;
        for entry in entries {
            let record = Record::after(head, now, entry);
            let line = record.line();
            head = Some(Head { sequence: record.sequence, digest: Digest::of(&line) });
            bytes.extend(&line);
            bytes.push(b'\n');
            lines.push(line);
        }
        file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(self.error("write"))?;
        if is_new {
            // It is new: its own name, and that of the folder.
            for dir in [&self.dir, &self.state_dir] {
                File::open(dir).and_then(|dir| dir.sync_all()).map_err(self.error("sync"))?;
            }
        }
        for line in &lines {
            scan.add(line);
        }
        scan.head = head;
        Ok(records)
    }

    /// Opens it and waits for the lock; `None`: there is none.
    fn open_locked(
        &self,
        options: &OpenOptions,
        action: &'static str,
        lock: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<File>, EvidenceError> {
        let deadline = Instant::now() + WAIT_FOR_OTHERS;
        while let Some(file) = self.open(options, action)? {
            match lock(&file) {
                // Somebody may have put another in its place meanwhile: what is written to this one is lost.
                Ok(()) if self.is_still(&file)? => return Ok(Some(file)),
                Err(TryLockError::Error(error)) => return Err(self.error("lock")(error)),
                Ok(()) | Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(EvidenceError::Busy { path: self.path().display().to_string() });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        Ok(None)
    }

    fn open(
        &self,
        options: &OpenOptions,
        action: &'static str,
    ) -> Result<Option<File>, EvidenceError> {
        let mut options = options.clone();
        // A link would lead appends elsewhere, and a pipe would be waited for.
        options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        let file = match options.open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.error(action)(error)),
        };
        let meta = file.metadata().map_err(self.error("look at"))?;
        if meta.is_file() { Ok(Some(file)) } else { Err(self.not_a_file()) }
    }

    fn is_still(&self, file: &File) -> Result<bool, EvidenceError> {
        let opened = file.metadata().map_err(self.error("look at"))?;
        let there = fs::symlink_metadata(self.path()).ok();
        Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino())))
    }

    /// Reads an open file, as far as the mark does not spare it.
    fn read(
        &self,
        mut file: &File,
        mark: Option<&Mark>,
        now: Timestamp,
    ) -> Result<Scan, EvidenceError> {
        let meta = file.metadata().map_err(self.error("look at"))?;
        let spares = |mark: &&Mark| mark.spares(Identity::from(&meta), now) && ends_as(file, mark);
        let mut scan = if let Some(mark) = mark.filter(spares) {
            mark.scan()
        } else {
            let all = file.rewind().and_then(|()| Scan::of(BufReader::new(file)));
            all.map_err(self.error("read"))?
        };
        scan.known = mark.map(Mark::known);
        let (uid, mode) = (meta.uid(), meta.mode() & 0o7777);
        let is_ours = uid == geteuid().as_raw() && mode & 0o022 == 0;
        scan.exposed = (!is_ours).then_some(Exposed { uid, mode });
        Ok(scan)
    }

    fn error(&self, action: &'static str) -> impl FnOnce(io::Error) -> EvidenceError {
        let path = self.path().display().to_string();
        move |source| EvidenceError::Io { action, path, source }
    }

    fn not_a_file(&self) -> EvidenceError {
        EvidenceError::NotAFile { path: self.path().display().to_string() }
    }
}

/// A log that is not there.
fn absent(mark: Option<&Mark>) -> Scan {
    Scan { known: mark.map(Mark::known), ..Scan::default() }
}

/// Whether the file ends with the line that the mark has the digest of: between two ticks of the kernel's clock a file
/// can change without its times.
fn ends_as(file: &File, mark: &Mark) -> bool {
    let (at, bytes) = mark.last_line();
    if bytes > LONGEST as u64 {
        return false;
    }
    let mut line = vec![0; usize::try_from(bytes).unwrap_or(0) + 1];
    file.read_exact_at(&mut line, at).is_ok() && mark.is_last(&line)
}
