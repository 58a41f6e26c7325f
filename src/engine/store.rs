//! Transactions on the disk: `/var/lib/holdfast/transactions/<id>/`.
//!
//! - `begin.json`: the plan and every before-image, durable before the first change
//! - `progress`: one byte for each step, set as it begins; its blocks exist from the start, so that a full disk cannot
//!   stop a transaction halfway
//! - `end.json`: how it ended. Making it is the commit; a transaction without it was interrupted
//!
//! The newest committed `end.json` is also the only record of what was last applied.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    change::{FileState, FileTime, Step, TableState},
    outcome::Applied,
};
use crate::host::HostError;

/// Where holdfast keeps what it must not lose.
pub const STATE_DIR: &str = "/var/lib/holdfast";

/// The version of the records' format. Readers refuse a newer one.
const FORMAT: u32 = 1;

/// How many transactions are kept: two days of corrections that are undone every quarter of an hour, and years of those
/// that people make. Junos keeps 50 configurations.
const KEPT: usize = 200;

/// A thing whose state is put back by a roll-back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// A path.
    Path(String),
    /// A kernel parameter's live value.
    Sysctl(String),
    /// holdfast's own nftables table.
    Table,
    /// The links that enable, alias and mask a unit.
    UnitLinks(String),
    /// Whether a unit runs.
    Unit(String),
}

/// The state a resource was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// Of a path, and the time of the directory it is in.
    Path {
        /// The path itself.
        state: FileState,
        /// Modification time of the directory, where there was one.
        parent_mtime: Option<FileTime>,
    },
    /// Of a kernel parameter.
    Sysctl(Option<String>),
    /// Of the table.
    Table(TableState),
    /// Of the links.
    UnitLinks(super::change::UnitLinks),
    /// Of a unit: whether it ran.
    Unit {
        /// Active, or about to be.
        running: bool,
    },
}

/// A resource as it was before the first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// What.
    pub resource: Resource,
    /// How it was.
    pub image: Image,
}

/// Why a transaction was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person brought the host to a profile.
    Apply,
    /// Drift was put right.
    Correct,
    /// A person returned to the state before a transaction.
    Rollback {
        /// That transaction.
        of: u64,
    },
}

/// The profile a transaction was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRef {
    /// Its file.
    pub path: String,
    /// Digest of the profile after `extends`, sha256 in hex.
    pub digest: String,
}

/// `begin.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begin {
    /// Version of the format.
    pub format: u32,
    /// Number of the transaction, from 1 up.
    pub id: u64,
    /// Why it was begun.
    pub kind: Kind,
    /// The command line.
    pub command: String,
    /// The person behind it, as far as sudo or the login says.
    pub by: String,
    /// When it began.
    pub started: Timestamp,
    /// For which profile.
    pub profile: Option<ProfileRef>,
    /// What is to be done.
    pub steps: Vec<Step>,
    /// How everything was that the steps touch, in the order of the steps.
    pub before: Vec<Before>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Ending {
    /// Every check it was for holds.
    Committed {
        /// What holds now, and is from now on what drift is measured against.
        applied: Applied,
    },
    /// It did not work, and everything was put back.
    RolledBack {
        /// Why it was rolled back.
        why: String,
        /// What could not be put back, and why. Empty: all of it was, and was looked at again.
        unrestored: Vec<String>,
    },
}

/// `end.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    /// Version of the format.
    pub format: u32,
    /// When.
    pub finished: Timestamp,
    /// How.
    #[serde(flatten)]
    pub ending: Ending,
}

/// A transaction as the disk has it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The plan and the before-images.
    pub begin: Begin,
    /// How many steps were begun.
    pub begun: usize,
    /// How it ended; `None`: it is under way, or was interrupted.
    pub end: Option<End>,
}

/// A failure to keep or read records.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum StoreError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: String, source: io::Error },
    #[error("{path} is damaged; move its folder away to go on without it")]
    Damaged { path: String, source: serde_json::Error },
    #[error("{path} was written by a newer holdfast (format {format}); install that version")]
    Newer { path: String, format: u32 },
    #[error("there is no transaction {0}; see: holdfast history")]
    NoSuch(u64),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The folder of transactions.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// A transaction under way.
#[derive(Debug)]
pub struct Open {
    dir: PathBuf,
    progress: File,
}

impl Store {
    /// The store below a state folder; nothing is made until something is begun.
    pub fn below(state_dir: impl AsRef<Path>) -> Self {
        Self { dir: state_dir.as_ref().join("transactions") }
    }

    /// The numbers of all transactions, oldest first.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn ids(&self) -> Result<Vec<u64>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list", &self.dir)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("list", &self.dir))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// One transaction.
    ///
    /// # Errors
    /// When there is none of this number, or its record cannot be read.
    pub fn record(&self, id: u64) -> Result<Record, StoreError> {
        let dir = self.folder(id);
        let begin: Begin = read(&dir.join("begin.json"))?.ok_or(StoreError::NoSuch(id))?;
        check_format(&dir, begin.format)?;
        let end: Option<End> = read(&dir.join("end.json"))?;
        if let Some(end) = &end {
            check_format(&dir, end.format)?;
        }
        let progress = dir.join("progress");
        let begun = match bytes(&progress)? {
            Some(marks) => marks.iter().take_while(|mark| **mark != 0).count(),
            None => 0,
        };
        Ok(Record { begin, begun, end })
    }

    /// Every transaction, oldest first.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, StoreError> {
        self.ids()?.into_iter().map(|id| self.record(id)).collect()
    }

    /// What held after the newest committed transaction, and its number.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn applied(&self) -> Result<Option<(u64, Applied)>, StoreError> {
        for id in self.ids()?.into_iter().rev() {
            let end: Option<End> = read(&self.folder(id).join("end.json"))?;
            if let Some(End { ending: Ending::Committed { applied }, format, .. }) = end {
                check_format(&self.folder(id), format)?;
                return Ok(Some((id, applied)));
            }
        }
        Ok(None)
    }

    /// The transactions that were begun and not ended: at most one, unless records were moved about.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn unfinished(&self) -> Result<Vec<u64>, StoreError> {
        let ids = self.ids()?;
        Ok(ids.into_iter().filter(|id| !self.folder(*id).join("end.json").exists()).collect())
    }

    /// The number the next transaction will have.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn next_id(&self) -> Result<u64, StoreError> {
        Ok(self.ids()?.last().map_or(1, |last| last + 1))
    }

    /// Writes a transaction ahead. When this returns, its plan and before-images survive a power cut.
    ///
    /// # Errors
    /// When they cannot be written; nothing has been changed then.
    pub fn begin(&self, begin: &Begin) -> Result<Open, StoreError> {
        make_dir(&self.dir)?;
        let staged = self.dir.join(".begin");
        if staged.exists() {
            fs::remove_dir_all(&staged).map_err(io_error("remove", &staged))?;
        }
        make_dir(&staged)?;
        write_durably(&staged.join("begin.json"), &json(begin))?;
        // At least a block, so that the file's space is really there.
        let marks = vec![0; begin.steps.len().max(1)];
        write_durably(&staged.join("progress"), &marks)?;
        sync_dir(&staged)?;
        let dir = self.folder(begin.id);
        rename(&staged, &dir)?;
        sync_dir(&self.dir)?;
        self.prune()?;
        let progress = dir.join("progress");
        let progress =
            OpenOptions::new().write(true).open(&progress).map_err(io_error("open", &progress))?;
        Ok(Open { dir, progress })
    }

    /// Forgets the oldest transactions. The newest committed one is what drift is measured against, and is kept.
    fn prune(&self) -> Result<(), StoreError> {
        let ids = self.ids()?;
        let applied = self.applied()?.map(|(id, _)| id);
        for id in ids.iter().rev().skip(KEPT) {
            let dir = self.folder(*id);
            if Some(*id) != applied && dir.join("end.json").exists() {
                fs::remove_dir_all(&dir).map_err(io_error("remove", &dir))?;
            }
        }
        Ok(())
    }

    /// Says how an interrupted transaction was ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, id: u64, end: &End) -> Result<(), StoreError> {
        write_end(&self.folder(id), end)
    }

    fn folder(&self, id: u64) -> PathBuf {
        // Six digits keep a listing in order for longer than any host lives.
        self.dir.join(format!("{id:06}"))
    }
}

impl Open {
    /// Notes, durably, that a step begins.
    ///
    /// # Errors
    /// When it cannot be noted; the step must not be begun then.
    pub fn step_begins(&mut self, index: usize) -> Result<(), StoreError> {
        let mut mark = || {
            self.progress.seek(SeekFrom::Start(index as u64))?;
            self.progress.write_all(&[1])?;
            self.progress.sync_data()
        };
        mark().map_err(io_error("write", &self.dir.join("progress")))
    }

    /// Ends the transaction: with [`Ending::Committed`] this is the commit.
    ///
    /// # Errors
    /// When it cannot be written; the transaction is then not ended.
    pub fn end(&self, end: &End) -> Result<(), StoreError> {
        write_end(&self.dir, end)
    }
}

impl End {
    /// An ending, at this time.
    pub fn new(finished: Timestamp, ending: Ending) -> Self {
        Self { format: FORMAT, finished, ending }
    }
}

impl Begin {
    /// The format's version that this holdfast writes.
    pub const FORMAT: u32 = FORMAT;
}

fn write_end(dir: &Path, end: &End) -> Result<(), StoreError> {
    let staged = dir.join(".end.json");
    write_durably(&staged, &json(end))?;
    rename(&staged, &dir.join("end.json"))?;
    sync_dir(dir)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are not strings cannot be written, and there are none.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| StoreError::Damaged { path: path.display().to_string(), source })
}

#[expect(clippy::disallowed_methods, reason = "records are holdfast's own files, not the host's")]
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        // Before-images may hold what only root may read.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_error("write", path))
}

#[expect(clippy::disallowed_methods, reason = "records are holdfast's own files, not the host's")]
fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(io_error("rename", from))
}

fn make_dir(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(io_error("make", path))
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { action, path, source }
}

fn check_format(path: &Path, format: u32) -> Result<(), StoreError> {
    if format > FORMAT {
        return Err(StoreError::Newer { path: path.display().to_string(), format });
    }
    Ok(())
}
