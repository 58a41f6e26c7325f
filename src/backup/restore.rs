//! Brings a backup back into an empty database, with a custodian's identity.

use std::{io::Write as _, path::Path, time::Duration};

use age::IdentityFile;

use super::{
    connection::{Connection, Login, reach_as},
    manifest::Manifest,
    server::{self, ServerError},
    stream::{self, StreamError},
};
use crate::{
    host::{HostError, Reader, secret, shelf::Shelf},
    profile::schema::Backup,
};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum RestoreError {
    #[error("{0} has no identity of age in it")]
    Identity(String),
    #[error(
        "{0} is the signer's own database: restore into an empty one beside it, stop the signer, and rename"
    )]
    Own(String),
    #[error(
        "{database} has {tables} tables; only an empty database is restored into: createdb {database}"
    )]
    NotEmpty { database: String, tables: u64 },
    #[error("the file of {0} is not the one that its manifest is of")]
    OtherFile(String),
    #[error("the backup cannot be read")]
    Stream(#[source] StreamError),
    #[error("pg_restore restored nothing")]
    Restore(#[source] HostError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Where a backup goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The database; it must be empty.
    pub database: &'a str,
    /// The role that will own what is in it, and the account whose processes restore it.
    pub role: &'a str,
}

/// The identities in a file, as `age-keygen` writes one.
///
/// # Errors
/// When there is none.
pub fn identities(
    reader: &Reader,
    path: &str,
) -> Result<Vec<Box<dyn age::Identity>>, RestoreError> {
    secret::keep_in_memory()?;
    let missing = || RestoreError::Identity(path.to_owned());
    let text = zeroize::Zeroizing::new(reader.files().text(path)?.ok_or_else(missing)?);
    let file = IdentityFile::from_buffer(text.as_bytes()).map_err(|_| missing())?;
    let identities = file.into_identities().map_err(|_| missing())?;
    let identities: Vec<_> =
        identities.into_iter().map(|each| each as Box<dyn age::Identity>).collect();
    if identities.is_empty() { Err(missing()) } else { Ok(identities) }
}

/// What a stream takes.
pub fn borrowed(identities: &[Box<dyn age::Identity>]) -> Vec<&dyn age::Identity> {
    identities.iter().map(|each| &**each).collect()
}

/// Restores it: the file is read to its end first, so that nothing of an altered one gets anywhere.
///
/// # Errors
/// [`RestoreError`]; the database is then as empty as before, because all is one transaction.
pub fn restore(
    reader: &Reader,
    shelf: &Shelf,
    manifest: &Manifest,
    identities: &[&dyn age::Identity],
    backup: &Backup,
    target: Target<'_>,
) -> Result<(), RestoreError> {
    if target.database == backup.database.as_str() {
        return Err(RestoreError::Own(target.database.to_owned()));
    }
    let file = &manifest.archive.file;
    let (sha256, bytes) =
        stream::digest(shelf.read(file)?).map_err(HostError::file("read", file.as_str()))?;
    if (sha256, bytes) != (manifest.archive.sha256.clone(), manifest.archive.bytes) {
        return Err(RestoreError::OtherFile(manifest.id.clone()));
    }
    let limit = backup.time_limit.as_duration();
    let login = Login { role: target.role, database: target.database };
    let way = reach_as(reader, &manifest.name, backup, login, "pg_restore")?;
    let (newest, _) = way.newest()?;
    let (_, bin) = server::choose(&way.clients, manifest.client_major)
        .ok_or(ServerError::OldClient { server: manifest.client_major, newest })?;
    let connection = &way.connection;
    empty(connection, bin, target.database)?;
    stream::unpack(shelf.read(file)?, identities, |_| Ok(())).map_err(RestoreError::Stream)?;
    feed(connection, bin, shelf, file, identities, target, limit)
}

fn empty(connection: &Connection, bin: &Path, database: &str) -> Result<(), RestoreError> {
    let count = connection.ask(
        bin,
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')",
    )?;
    let tables = count.trim().parse();
    let tables: u64 = tables.map_err(|_| ServerError::Answer(count.trim().to_owned()))?;
    if tables == 0 {
        return Ok(());
    }
    Err(RestoreError::NotEmpty { database: database.to_owned(), tables })
}

fn feed(
    connection: &Connection,
    bin: &Path,
    shelf: &Shelf,
    file: &str,
    identities: &[&dyn age::Identity],
    target: Target<'_>,
    limit: Duration,
) -> Result<(), RestoreError> {
    let pg_restore = bin.join("pg_restore");
    let database = format!("--dbname={}", target.database);
    let args = [
        database.as_str(),
        "--exit-on-error",
        "--single-transaction",
        "--no-owner",
        "--no-privileges",
        "--no-password",
    ];
    let mut restoring = connection.launch(&pg_restore, &args, limit).start()?;
    let mut sink = restoring.stdin.take();
    let read = stream::unpack(shelf.read(file)?, identities, |bytes| {
        // One that fails ends early; its own words say why.
        if sink.as_mut().is_some_and(|pipe| pipe.write_all(bytes).is_err()) {
            sink = None;
        }
        Ok(())
    });
    if let Err(error) = read {
        // Stopped before its input ends, so that it does not take what has come for all.
        drop(restoring);
        return Err(RestoreError::Stream(error));
    }
    drop(sink);
    restoring.end().map_err(RestoreError::Restore)
}
