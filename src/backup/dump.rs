//! The stream of a backup: what `pg_dump` writes, into a file of the shelf that is not finished yet.

use std::path::Path;

use age::x25519;

use super::{
    arguments,
    run::RunError,
    server::{Connection, ServerError},
    stream::{self, Packed, StreamError},
};
use crate::{
    host::shelf::{OpenShelf, Unfinished},
    profile::{schema::Backup, types::AgeRecipient},
};

/// A dump that is made.
pub(super) struct Dump<'a> {
    pub(super) connection: &'a Connection,
    pub(super) bin: &'a Path,
    pub(super) snapshot: &'a str,
    pub(super) recipients: &'a [AgeRecipient],
    pub(super) drill: &'a x25519::Recipient,
    pub(super) backup: &'a Backup,
}

impl Dump<'_> {
    /// Writes it to a file. Where that comes to nothing the file is gone.
    pub(super) fn write<'s>(
        &self,
        shelf: &'s OpenShelf,
        name: &str,
    ) -> Result<(Unfinished<'s>, Packed), RunError> {
        let file = shelf.begin(name)?;
        let packed = self.stream(shelf, &file)?;
        file.sync()?;
        Ok((file, packed))
    }

    fn stream(&self, shelf: &OpenShelf, file: &Unfinished<'_>) -> Result<Packed, RunError> {
        let limit = self.backup.time_limit.as_duration();
        let wait = self.backup.lock_timeout.as_secs().saturating_mul(1000);
        let (wait, snapshot) =
            (format!("--lock-wait-timeout={wait}"), format!("--snapshot={}", self.snapshot));
        let pg_dump = self.bin.join("pg_dump");
        let [format, compress] = arguments::DUMP;
        let args = [format, compress, wait.as_str(), snapshot.as_str(), "--no-password"];
        let mut dump = self.connection.launch(&pg_dump, &args, limit).start()?;
        let Some(output) = dump.stdout.take() else {
            return Err(ServerError::Answer("pg_dump has no output".into()).into());
        };
        let keep = self.backup.keep_free.bytes();
        let free = || shelf.shelf().free();
        let packed = stream::pack(output, file.file(), self.recipients, self.drill, keep, free);
        match packed {
            Ok(packed) => {
                dump.end().map_err(RunError::Dump)?;
                Ok(packed)
            }
            // It wrote nothing because it failed: its own words say why.
            Err(StreamError::Empty) => match dump.end() {
                Err(error) => Err(RunError::Dump(error)),
                Ok(()) => Err(RunError::Stream(StreamError::Empty)),
            },
            // pg_dump is stopped by being dropped: that it could not write any more is no news.
            Err(error) => Err(RunError::Stream(error)),
        }
    }
}
