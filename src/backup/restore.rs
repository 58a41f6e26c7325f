//! Brings a backup back into an empty database, with a custodian's identity.

use std::{io::Write as _, path::Path};

use age::IdentityFile;

use super::{
    arguments,
    connection::{Connection, Login, reach_as},
    manifest::Manifest,
    restorer::{RESTORER, Server},
    role::SUPERUSER,
    run,
    server::{self, ServerError},
    stream::{self, StreamError},
};
use crate::{
    host::{
        HostError, Reader,
        error::chain,
        lock::{Lock, LockError},
        secret,
        shelf::Shelf,
    },
    profile::schema::Backup,
};

/// By which one restore at a time uses its one role, and what is left of another one may be ended. A proof goes on meanwhile,
/// and is not waited for.
const LOCK: &str = "/run/holdfast/restore.lock";

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
    #[error(
        "{clients} other clients are connected to {database}: a signer may be one; nothing is restored under anybody"
    )]
    InUse { database: String, clients: u64 },
    #[error("{}", match .0 {
        Some(role) => format!("there is no role {role}: createuser {role}"),
        None => "the server has no database of the name that is backed up, by which its owner would be known; say --owner ROLE".to_owned(),
    })]
    NoOwner(Option<String>),
    #[error(
        "{database} is owned by {role}, a superuser, and as one everything in the backup would run: say --owner ROLE"
    )]
    Superuser { database: String, role: String },
    #[error(
        "it is restored, but could not be given to {owner}: REASSIGN OWNED BY \"{RESTORER}\" TO \"{owner}\""
    )]
    NotGiven { owner: String, source: ServerError },
    #[error(
        "it is restored, and owned by {owner}; but the role {RESTORER}, which can do nothing, could not be removed: what it has in other databases is of a restore that was killed: REASSIGN OWNED BY \"{RESTORER}\" there"
    )]
    NotDismissed { owner: String, source: ServerError },
    #[error(
        "{error}; nor could what it left be cleared, of the role {RESTORER}, which the next restore tries again: {}",
        chain(.left)
    )]
    Left { error: String, left: ServerError },
    #[error("the file of {0} is not the one that its manifest is of")]
    OtherFile(String),
    #[error("the backup cannot be read")]
    Stream(#[source] StreamError),
    #[error(
        "the backup was made by pg_dump of PostgreSQL {made}, and here it takes pg_restore of {pg_restore}, whose first words no server older than 17 knows; this one is {server}"
    )]
    OlderServer { made: u32, pg_restore: u32, server: u32 },
    #[error("pg_restore restored nothing")]
    Restore(#[source] HostError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Where a backup goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The database; it must be empty.
    pub database: &'a str,
    /// The role that restores it, and the account whose processes do.
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

/// As whom a backup is restored. A dump is a program: what its authors wrote into it runs with the rights of who restores
/// it, and no `SET ROLE` keeps it from taking back those of who logged in.
#[derive(Debug, Clone, Copy)]
pub enum Hand<'a> {
    /// As a role that may do nothing, and is there for this alone; then it is given to its owner.
    Plain {
        /// Who that is; none: who owns the database that the backup is of.
        owner: Option<&'a str>,
    },
    /// As a role of somebody's choice, which owns it then.
    As(&'a str),
}

/// Restores it, and says who owns it: the file is read to its end first, so that nothing of an altered one gets anywhere.
///
/// # Errors
/// [`RestoreError`]; the database is then as empty as before, because all is one transaction.
pub fn restore(
    reader: &Reader,
    shelf: &Shelf,
    manifest: &Manifest,
    identities: &[&dyn age::Identity],
    backup: &Backup,
    (database, hand): (&str, Hand<'_>),
) -> Result<String, RestoreError> {
    if database == backup.database.as_str() {
        return Err(RestoreError::Own(database.to_owned()));
    }
    let file = &manifest.archive.file;
    let (sha256, bytes) =
        stream::digest(shelf.read(file)?).map_err(HostError::file("read", file.as_str()))?;
    if (sha256, bytes) != (manifest.archive.sha256.clone(), manifest.archive.bytes) {
        return Err(RestoreError::OtherFile(manifest.id.clone()));
    }
    stream::unpack(shelf.read(file)?, identities, |_| Ok(())).map_err(RestoreError::Stream)?;
    let restoring = Restoring { reader, shelf, manifest, identities, backup };
    let _lock = Lock::exclusive(
        Path::new(LOCK),
        &format!("backup restore {} --into {database}", manifest.id),
    )?;
    match hand {
        Hand::As(role) => {
            restoring.fill(Target { database, role })?;
            Ok(role.to_owned())
        }
        Hand::Plain { owner } => restoring.plainly(database, owner),
    }
}

/// What is restored, and from where.
#[derive(Clone, Copy)]
struct Restoring<'a> {
    reader: &'a Reader,
    shelf: &'a Shelf,
    manifest: &'a Manifest,
    identities: &'a [&'a dyn age::Identity],
    backup: &'a Backup,
}

impl Restoring<'_> {
    /// As a role made for it, which is gone afterwards.
    fn plainly(&self, database: &str, owner: Option<&str>) -> Result<String, RestoreError> {
        let login = Login { role: SUPERUSER, database };
        let way = reach_as(self.reader, &self.manifest.name, self.backup, login, "pg_restore")?;
        let (connection, bin) = (&way.connection, way.newest()?.1);
        let server = Server { connection, bin, database };
        server.clear()?;
        ready(connection, bin, database)?;
        let owner = self.owner(&|sql| server.ask(sql), owner)?;
        let before = server.ask(
            "SELECT to_json(pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()",
        )?;
        let before: String = run::answer(&before)?;
        server.appoint()?;
        if let Err(error) = self.fill(Target { database, role: RESTORER }) {
            return Err(match server.undo(&before) {
                Ok(()) => error,
                Err(left) => RestoreError::Left { error: chain(&error), left },
            });
        }
        server
            .give(&owner)
            .map_err(|error| RestoreError::NotGiven { owner: owner.clone(), source: error })?;
        server
            .dismiss()
            .map_err(|error| RestoreError::NotDismissed { owner: owner.clone(), source: error })?;
        Ok(owner)
    }

    /// Who is to own it.
    fn owner(
        &self,
        ask: &impl Fn(&str) -> Result<String, ServerError>,
        given: Option<&str>,
    ) -> Result<String, RestoreError> {
        let database = &self.backup.database;
        let whose = given.map_or_else(
            || format!("oid = (SELECT datdba FROM pg_database WHERE datname = '{database}')"),
            |role| format!("rolname = '{role}'"),
        );
        let answer = ask(&format!(
            "SELECT json_build_array(rolname, rolsuper) FROM pg_roles WHERE {whose}"
        ))?;
        if answer.trim().is_empty() {
            return Err(RestoreError::NoOwner(given.map(str::to_owned)));
        }
        match run::answer(&answer)? {
            // What is in the dump would run as a superuser, later.
            (role, true) if given.is_none() => {
                Err(RestoreError::Superuser { database: database.to_string(), role })
            }
            (role, _) => Ok(role),
        }
    }

    fn fill(&self, target: Target<'_>) -> Result<(), RestoreError> {
        let Self { reader, shelf, manifest, identities, backup } = *self;
        let login = Login { role: target.role, database: target.database };
        let way = reach_as(reader, &manifest.name, backup, login, "pg_restore")?;
        let (newest, _) = way.newest()?;
        let made = manifest.client_major;
        let (pg_restore, bin) = server::choose(&way.clients, made)
            .ok_or(ServerError::OldClient { server: made, newest })?;
        let connection = &way.connection;
        let server =
            connection.ask(bin, "SELECT current_setting('server_version_num')::int / 10000")?;
        let server = run::answer(&server)?;
        if !server::takes(server, pg_restore) {
            return Err(RestoreError::OlderServer { made, pg_restore, server });
        }
        // What one that was killed left in a container would go on filling it.
        connection.clear(bin)?;
        ready(connection, bin, target.database)?;
        let pg_restore = bin.join("pg_restore");
        let database = format!("--dbname={}", target.database);
        let mut args = vec![database.as_str(), "--no-password"];
        args.extend(arguments::RESTORE);
        let limit = backup.time_limit.as_duration();
        let mut restoring = connection.launch(&pg_restore, &args, limit).start()?;
        let mut sink = restoring.stdin.take();
        let file = shelf.read(&manifest.archive.file)?;
        let read = stream::unpack(file, identities, |bytes| {
            // One that fails ends early; its own words say why.
            if sink.as_mut().is_some_and(|pipe| pipe.write_all(bytes).is_err()) {
                sink = None;
            }
            Ok(())
        });
        if let Err(error) = read {
            // Stopped before its input ends, so that it does not take what has come for all.
            drop(restoring);
            // In a container that ends only what speaks to it. What keeps this from being said is said by the next one.
            drop(connection.clear(bin));
            return Err(RestoreError::Stream(error));
        }
        drop(sink);
        let ended = restoring.end();
        if ended.is_err() {
            drop(connection.clear(bin));
        }
        ended.map_err(RestoreError::Restore)
    }
}

/// That a database is empty, and nobody else is at work in it.
fn ready(connection: &Connection, bin: &Path, database: &str) -> Result<(), RestoreError> {
    let clients = server::clients(connection, bin)?;
    if clients > 0 {
        return Err(RestoreError::InUse { database: database.to_owned(), clients });
    }
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
