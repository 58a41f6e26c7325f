//! Makes a backup: one stream from the database to the file, the proof of that file, and its manifest.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use age::x25519;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::Deserialize;

use super::{
    catalogue::{self, ARCHIVE, Entry, MANIFEST},
    judge::{self, DKG_TABLE},
    manifest::{Archive, Check, FORMAT, Link, Manifest, Outcome, Proof, Source, sign},
    prove::{self, ProveError, lines},
    server::{self, Connection, ServerError, Session},
    signing,
    stream::{self, Packed, StreamError},
};
use crate::{
    host::{
        HostError, Reader, clock,
        error::chain,
        secret,
        shelf::{OpenShelf, Shelf},
    },
    profile::{
        schema::{Backup, Person},
        types::AgeRecipient,
    },
};

/// Why no backup was made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum RunError {
    #[error("{0} has no age_recipient in the profile")]
    NoRecipient(String),
    #[error(
        "role {role} may not read all of {database}; run as a superuser: GRANT pg_read_all_data TO \"{role}\""
    )]
    NotPermitted { role: String, database: String },
    #[error("pg_dump made no whole dump")]
    Dump(#[source] HostError),
    #[error("no backup was written")]
    Stream(#[source] StreamError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What to back up.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Its name in the profile.
    pub name: &'a str,
    /// Its section.
    pub backup: &'a Backup,
    /// The people of the profile.
    pub people: &'a [Person],
}

/// The backups of a name, as they lie there.
///
/// # Errors
/// When the folder or a manifest cannot be read.
pub fn catalogue(shelf: &Shelf, name: &str, key: &SigningKey) -> Result<Vec<Entry>, HostError> {
    catalogue_of(shelf, name, &key.verifying_key())
}

/// The same by the public half of the key.
///
/// # Errors
/// As [`catalogue`].
pub fn catalogue_of(
    shelf: &Shelf,
    name: &str,
    key: &VerifyingKey,
) -> Result<Vec<Entry>, HostError> {
    let mut files = Vec::new();
    for item in shelf.items()? {
        if catalogue::id_of(&item.name, name).is_none() {
            continue;
        }
        let is_archive = item.name.ends_with(ARCHIVE);
        // One that cannot be read as text is one that cannot be believed.
        let text = if is_archive { None } else { Some(shelf.text(&item.name).unwrap_or_default()) };
        files.push(catalogue::File { name: item.name, bytes: item.bytes, text });
    }
    Ok(catalogue::read_shelf(&files, name, key))
}

/// What the database says of itself in the transaction that is dumped.
#[derive(Debug, Deserialize)]
struct Facts {
    version: u32,
    may_read: bool,
}

/// Makes a backup, and proves it. That the proof failed is in the manifest, and no error here: the file may still be all
/// there is. Must be called from the main thread: see [`crate::host::stage`].
///
/// # Errors
/// [`RunError`]: then there is no new file.
pub fn run(reader: &Reader, job: Job<'_>) -> Result<Manifest, RunError> {
    let Job { name, backup, .. } = job;
    secret::keep_in_memory()?;
    secret::idle_io()?;
    let recipients = recipients(job)?;
    let identity = server::account(reader, backup.role.as_str())?;
    let clients = server::versions(reader, "pg_dump")?;
    let (newest, bin) = clients.last_key_value().ok_or(ServerError::NoClient)?;
    let key = signing::host_key()?;
    let shelf = Shelf::at(backup.store.as_str()).open()?;
    shelf.clear_unfinished()?;
    let before = catalogue(shelf.shelf(), name, &key)?;

    let limit = backup.time_limit.as_duration();
    let connection = Connection::of(backup, identity);
    let session = Session::begin(&connection, bin, limit)?;
    let (session, _) = session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let (session, facts) = session.ask(
        "SELECT json_build_object('version', current_setting('server_version_num')::int, \
         'may_read', pg_has_role(current_user, 'pg_read_all_data', 'USAGE'))",
    )?;
    let facts: Facts = answer(&facts)?;
    let server = facts.version / 10_000;
    let (client_major, bin) = server::choose(&clients, server)
        .ok_or(ServerError::OldClient { server, newest: *newest })?;
    if !facts.may_read {
        let (role, database) = (backup.role.to_string(), backup.database.to_string());
        return Err(RunError::NotPermitted { role, database });
    }
    let (session, source) = source(session)?;
    let (session, snapshot) = session.ask("SELECT pg_export_snapshot()")?;

    let begun = clock::now();
    let id = catalogue::id(name, begun);
    let drill = x25519::Identity::generate();
    let file = format!("{id}{ARCHIVE}");
    let dump = Dump {
        connection: &connection,
        bin,
        snapshot: snapshot.trim(),
        recipients: &recipients.values().cloned().collect::<Vec<_>>(),
        drill: &drill.to_public(),
        backup,
    };
    let packed = dump.write(&shelf, &file)?;
    // Only now: the snapshot lives as long as the transaction that exported it.
    session.end()?;
    let made = clock::now();

    let last = before.iter().rev().find(|entry| entry.is_proven());
    let last = last.and_then(|entry| entry.manifest.as_ref()).map(|(manifest, _)| manifest);
    let started = Instant::now();
    let restored = prove::restore(reader, shelf.shelf(), &file, &[&drill], client_major, limit);
    // Nothing on this host opens the file from here on.
    let drill_recipient = drill.to_public().to_string();
    drop(drill);
    let mut manifest = Manifest {
        format: FORMAT,
        id: id.clone(),
        name: name.to_owned(),
        database: backup.database.to_string(),
        begun,
        made,
        archive: Archive { file, bytes: packed.bytes, sha256: packed.sha256, plain: packed.plain },
        recipients: recipients.iter().map(|(who, to)| (who.clone(), to.to_string())).collect(),
        drill: drill_recipient,
        server_version: facts.version,
        client_major,
        rows: BTreeMap::new(),
        newest_block: None,
        proof: Proof {
            proven: false,
            at: clock::now(),
            milliseconds: 0,
            server_major: None,
            checks: Vec::new(),
        },
        previous: before
            .iter()
            .rev()
            .find_map(|entry| entry.manifest.as_ref())
            .map(|(manifest, sha256)| Link { id: manifest.id.clone(), sha256: sha256.clone() }),
        source,
    };
    conclude(&mut manifest, restored, last, backup);
    manifest.proof.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    shelf.put(&format!("{id}{MANIFEST}"), &sign(&manifest, &key))?;
    Ok(manifest)
}

/// Writes what came of the proof into the manifest.
fn conclude(
    manifest: &mut Manifest,
    restored: Result<prove::Restored, ProveError>,
    last: Option<&Manifest>,
    rules: &Backup,
) {
    match restored {
        Ok(restored) => {
            let found = restored.found;
            let checks = judge::judge(&found, &manifest.source, last, rules, manifest.begun);
            manifest.proof.checks = checks;
            manifest.proof.server_major = Some(restored.server_major);
            manifest.rows = found.rows;
            manifest.newest_block = found.newest_block;
        }
        Err(error) => {
            let (name, text) = ("restore".to_owned(), chain(&error));
            manifest.proof.checks = vec![Check { name, outcome: Outcome::Fail, text }];
        }
    }
    let checks = &manifest.proof.checks;
    manifest.proof.proven = checks.iter().all(|check| check.outcome != Outcome::Fail);
    manifest.proof.at = clock::now();
}

fn recipients(job: Job<'_>) -> Result<BTreeMap<String, AgeRecipient>, RunError> {
    let each = job.backup.to.iter().map(|who| {
        let person = job.people.iter().find(|person| person.name == *who);
        let recipient = person.and_then(|person| person.age_recipient.clone());
        let recipient = recipient.ok_or_else(|| RunError::NoRecipient(who.to_string()))?;
        Ok((who.to_string(), recipient))
    });
    each.collect()
}

fn answer<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, ServerError> {
    serde_json::from_str(text.trim()).map_err(|_| ServerError::Answer(text.trim().to_owned()))
}

/// What the database says of itself.
fn source(session: Session) -> Result<(Session, Source), ServerError> {
    let mut source = Source::default();
    let there = |table: &str| format!("SELECT to_regclass('{table}') IS NOT NULL");
    let (mut session, is_there) = session.ask(&there("public.__sbtc_migrations"))?;
    if is_there.trim() == "t" {
        let (next, migrations) = session.ask(prove::MIGRATIONS)?;
        source.migrations = Some(lines(&migrations));
        session = next;
    }
    let (mut session, is_there) = session.ask(&there(DKG_TABLE))?;
    if is_there.trim() == "t" {
        let (next, count) = session.ask(&format!("SELECT count(*) FROM {DKG_TABLE}"))?;
        source.dkg_rows = Some(answer(&count)?);
        session = next;
    }
    Ok((session, source))
}

/// A dump that is made.
struct Dump<'a> {
    connection: &'a Connection,
    bin: &'a Path,
    snapshot: &'a str,
    recipients: &'a [AgeRecipient],
    drill: &'a x25519::Recipient,
    backup: &'a Backup,
}

impl Dump<'_> {
    /// Writes it to a file of the shelf, which is there whole or not at all.
    fn write(&self, shelf: &OpenShelf, name: &str) -> Result<Packed, RunError> {
        let file = shelf.begin(name)?;
        let written = self.stream(shelf, &file);
        let packed = match written {
            Ok(packed) => packed,
            Err(error) => {
                shelf.abandon(name);
                return Err(error);
            }
        };
        shelf.finish(&file, name)?;
        Ok(packed)
    }

    fn stream(&self, shelf: &OpenShelf, file: &File) -> Result<Packed, RunError> {
        let limit: Duration = self.backup.time_limit.as_duration();
        let wait = self.backup.lock_timeout.as_secs().saturating_mul(1000);
        let (wait, snapshot) =
            (format!("--lock-wait-timeout={wait}"), format!("--snapshot={}", self.snapshot));
        let pg_dump = self.bin.join("pg_dump");
        let args =
            ["--format=custom", "--compress=0", wait.as_str(), snapshot.as_str(), "--no-password"];
        let mut dump = self.connection.launch(&pg_dump, &args, limit).start()?;
        let Some(output) = dump.stdout.take() else {
            return Err(ServerError::Answer("pg_dump has no output".into()).into());
        };
        let keep = self.backup.keep_free.bytes();
        let free = || shelf.shelf().free();
        let packed = stream::pack(output, file, self.recipients, self.drill, keep, free);
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
