//! Transactions on the disk: `/var/lib/holdfast/transactions/<id>/`.
//!
//! - `begin.json`: the plan and every before-image, durable before the first change
//! - `progress`: one byte for each step, set as it begins, and one that counts the tries to roll back; its blocks exist
//!   from the start, so that a full disk cannot stop a transaction halfway
//! - `provisional.json`: it holds, and waits for a person's word; there only where it can cut off a login
//! - `set-aside.json`: where files are kept that the boot set aside, if it did: see `recovery`
//! - `end.json`: how it ended. Making it is the commit; a transaction with neither of the two was interrupted
//!
//! The newest committed `end.json` is also the only record of what was last applied.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

pub use super::durable::StoreError;
pub use super::record::{
    Before, Begin, Cause, Confirmation, End, Ending, Image, Kind, ProfileRef, Provisional, Record,
    Resource, Standing,
};
use super::{
    durable::{
        bytes, io_error, json, make_dir, read, rename, sync_dir, write_durably, write_record,
    },
    outcome::Applied,
    record::FORMAT,
};
use crate::host::Reader;

/// Where holdfast keeps what it must not lose.
pub const STATE_DIR: &str = "/var/lib/holdfast";

/// How often a roll-back is tried that fails for a reason which may pass. With 5 s between them, which is what the
/// units wait, the last is 20 minutes after the first.
const TRIES: u8 = 240;

/// How many transactions are kept: two days of corrections that are undone every quarter of an hour, and years of those
/// that people make. Junos keeps 50 configurations.
const KEPT: usize = 200;

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
        let marks = bytes(&dir.join("progress"))?.unwrap_or_default();
        let begun = marks.iter().take(begin.steps.len()).take_while(|mark| **mark != 0).count();
        // One that cannot be read counts as none, and what it stood for as interrupted: that is rolled back.
        let provisional = read(&dir.join("provisional.json")).ok().flatten();
        let provisional = provisional.filter(|found: &Provisional| found.format <= FORMAT);
        Ok(Record { begin, begun, provisional, end })
    }

    /// One of a transaction's files, as it is; `None`: it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn file(&self, id: u64, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        bytes(&self.folder(id).join(name))
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
            if let Some(End { ending: Ending::Committed { applied, .. }, format, .. }) = end {
                check_format(&self.folder(id), format)?;
                return Ok(Some((id, applied)));
            }
        }
        Ok(None)
    }

    /// The transactions that were begun and not ended, oldest first: at most one, unless records were moved about.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn unfinished(&self) -> Result<Vec<u64>, StoreError> {
        let ids = self.ids()?;
        Ok(ids.into_iter().filter(|id| !self.folder(*id).join("end.json").exists()).collect())
    }

    /// The transaction that holds and may still be confirmed.
    ///
    /// # Errors
    /// When a record or the boot's clock cannot be read.
    pub fn pending(&self, reader: &Reader) -> Result<Option<(Record, Provisional)>, StoreError> {
        for id in self.unfinished()? {
            let record = self.record(id)?;
            if let Some(provisional) = record.provisional.clone()
                && matches!(provisional.standing(&reader.moment()?), Standing::Waiting(_))
            {
                return Ok(Some((record, provisional)));
            }
        }
        Ok(None)
    }

    /// The transaction that was taken back with nobody there, if no person has acted since.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn held_still(&self) -> Result<Option<Record>, StoreError> {
        for id in self.ids()?.into_iter().rev() {
            let record = self.record(id)?;
            if record.begin.kind != Kind::Correct {
                let end = record.end.as_ref().map(|end| &end.ending);
                let still =
                    matches!(end, Some(Ending::RolledBack { cause, .. }) if cause.holds_still());
                return Ok(still.then_some(record));
            }
        }
        Ok(None)
    }

    /// Says that a transaction holds and waits for a person's word, or goes on waiting.
    ///
    /// # Errors
    /// When it cannot be written; what was said before still counts.
    pub fn wait(&self, id: u64, provisional: &Provisional) -> Result<(), StoreError> {
        write_record(&self.folder(id), "provisional.json", provisional)
    }

    /// Counts a try to roll back an open transaction of so many steps, and says whether there may be another one.
    /// Where it cannot be counted there may: a disk that takes nothing is what the tries wait for.
    pub fn try_again(&self, id: u64, steps: usize) -> bool {
        let path = self.folder(id).join("progress");
        let tries = bytes(&path).ok().flatten().and_then(|marks| marks.get(steps).copied());
        let tries = tries.unwrap_or(0).saturating_add(1);
        let count = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.seek(SeekFrom::Start(steps as u64))?;
            file.write_all(&[tries])?;
            file.sync_data()
        };
        drop(count());
        tries < TRIES
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
    pub fn begin(&self, Ahead { id, steps, record }: &Ahead) -> Result<Open, StoreError> {
        make_dir(&self.dir)?;
        let staged = self.dir.join(".begin");
        if staged.exists() {
            fs::remove_dir_all(&staged).map_err(io_error("remove", &staged))?;
        }
        make_dir(&staged)?;
        write_durably(&staged.join("begin.json"), record)?;
        // At least a block, so that the file's space is really there.
        let marks = vec![0; steps + 1];
        write_durably(&staged.join("progress"), &marks)?;
        sync_dir(&staged)?;
        let dir = self.folder(*id);
        rename(&staged, &dir)?;
        sync_dir(&self.dir)?;
        let progress = dir.join("progress");
        let progress =
            OpenOptions::new().write(true).open(&progress).map_err(io_error("open", &progress))?;
        Ok(Open { dir, progress })
    }

    /// Forgets the oldest transactions. The newest committed one is what drift is measured against, and is kept. For
    /// whoever has just seen to it that all that ended are in the evidence log: nothing else tells of them then.
    ///
    /// # Errors
    /// When one of them cannot be removed.
    pub fn prune(&self) -> Result<(), StoreError> {
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

    /// Where files are kept that the boot has set aside in putting an open transaction's back.
    ///
    /// # Errors
    /// When the list is there and cannot be read.
    pub fn set_aside(&self, id: u64) -> Result<Vec<String>, StoreError> {
        Ok(read(&self.folder(id).join("set-aside.json"))?.unwrap_or_default())
    }

    /// Adds to that list.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn add_set_aside(&self, id: u64, more: &[String]) -> Result<(), StoreError> {
        if more.is_empty() {
            return Ok(());
        }
        let all = [self.set_aside(id)?, more.to_vec()].concat();
        write_record(&self.folder(id), "set-aside.json", &all)
    }

    /// Says how an open transaction was ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, id: u64, end: &End) -> Result<(), StoreError> {
        write_record(&self.folder(id), "end.json", end)
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
        write_record(&self.dir, "end.json", end)
    }
}

/// What is written ahead of a transaction: [`Begin`], made into a record once. Of large sets that is megabytes.
#[derive(Debug)]
pub struct Ahead {
    id: u64,
    steps: usize,
    record: Vec<u8>,
}

impl Ahead {
    /// Makes it.
    pub fn of(begin: &Begin) -> Self {
        Self { id: begin.id, steps: begin.steps.len(), record: json(begin) }
    }

    /// The bytes that it takes on the disk.
    pub fn size(&self) -> u64 {
        self.record.len() as u64
    }
}

fn check_format(path: &Path, format: u32) -> Result<(), StoreError> {
    if format > FORMAT {
        return Err(StoreError::Newer { path: path.display().to_string(), format });
    }
    Ok(())
}
