//! Makes a backup: one stream from the database to the file, the proof of that file, and its manifest.

use std::{collections::BTreeMap, time::Instant};

use age::x25519;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    catalogue::{self, ARCHIVE, Entry, MANIFEST},
    chain::Inquiry,
    connection::reach,
    dump::Dump,
    joint,
    judge::{self, DKG_TABLE},
    manifest::{Archive, Check, Drill, FORMAT, Link, Manifest, Outcome, Proof, Source, read, sign},
    prove::{self, Depth, ProveError, Sealed, lines},
    rows::print,
    server::{self, ServerError, Session},
    signing,
    stream::StreamError,
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
    #[error(
        "there is not enough room: {free} bytes are free where it goes, the one before it has {last}, and {keep} must stay free"
    )]
    Room { free: u64, last: u64, keep: u64 },
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
    /// How the chain is asked; none: the profile names none.
    pub chain: Option<&'a Inquiry>,
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
    bytes: u64,
}

/// Asks for [`Facts`]. `pg_database_size` takes the right to connect, which who asks has.
const FACTS: &str = "SELECT json_build_object('version', current_setting('server_version_num')::int, \
     'may_read', pg_has_role(current_user, 'pg_read_all_data', 'USAGE'), \
     'bytes', pg_database_size(current_database()))";

/// Makes a backup, and proves it; as a drill, with all of it restored. That the proof failed is in the manifest, and no
/// error here: the file may still be all there is. Must be called from the main thread: see [`crate::host::stage`].
///
/// Until it is proven the file has a name that nobody takes for a backup's, so that a kill at any moment leaves a backup
/// with its manifest, or nothing that looks like one.
///
/// # Errors
/// [`RunError`]: then there is no new file.
pub fn run(reader: &Reader, job: Job<'_>, is_drill: bool) -> Result<Manifest, RunError> {
    let Job { name, backup, .. } = job;
    secret::keep_in_memory()?;
    secret::idle_io()?;
    let recipients = recipients(job)?;
    let way = reach(reader, name, backup, "pg_dump")?;
    let (connection, (newest, bin)) = (&way.connection, way.newest()?);
    let key = signing::host_key()?;
    let shelf = Shelf::at(backup.store.as_str()).open()?;
    clear(&shelf, &key, [ARCHIVE, MANIFEST], |manifest: &Manifest| &manifest.archive.file)?;
    let before = catalogue(shelf.shelf(), name, &key)?;
    room(&shelf, &before, backup)?;

    let limit = backup.time_limit.as_duration();
    connection.clear(bin)?;
    let session = Session::begin(connection, bin, limit)?;
    let (session, _) = session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let (session, facts) = session.ask(FACTS)?;
    let facts: Facts = answer(&facts)?;
    let server = facts.version / 10_000;
    let (client_major, bin) =
        server::choose(&way.clients, server).ok_or(ServerError::OldClient { server, newest })?;
    if !facts.may_read {
        let (role, database) = (backup.role.to_string(), backup.database.to_string());
        return Err(RunError::NotPermitted { role, database });
    }
    let (session, source) = source(session, facts.bytes)?;
    let (session, snapshot) = session.ask("SELECT pg_export_snapshot()")?;

    let begun = clock::now();
    let id = catalogue::id(name, begun);
    let drill = x25519::Identity::generate();
    let dump = Dump {
        connection,
        bin,
        snapshot: snapshot.trim(),
        recipients: &recipients.values().cloned().collect::<Vec<_>>(),
        drill: &drill.to_public(),
        backup,
    };
    let file = format!("{id}{ARCHIVE}");
    let written = dump.write(&shelf, &file);
    if written.is_err() {
        // What went wrong is said; that what is left of it could not be ended either is for the next run to say.
        drop(connection.clear(bin));
    }
    let (unfinished, packed) = written?;
    // Only now: the snapshot lives as long as the transaction that exported it.
    session.end()?;
    let mut manifest = Manifest {
        format: FORMAT,
        id: id.clone(),
        name: name.to_owned(),
        database: backup.database.to_string(),
        begun,
        made: clock::now(),
        archive: Archive { file, bytes: packed.bytes, sha256: packed.sha256, plain: packed.plain },
        recipients: recipients.iter().map(|(who, to)| (who.clone(), to.to_string())).collect(),
        drill: drill.to_public().to_string(),
        server_version: facts.version,
        client_major,
        rows: BTreeMap::new(),
        newest_block: None,
        dkg: Vec::new(),
        chain: None,
        proof: Proof::none(clock::now()),
        previous: before
            .iter()
            .rev()
            .find_map(|entry| entry.manifest.as_ref())
            .map(|(manifest, sha256)| Link { id: manifest.id.clone(), sha256: sha256.clone() }),
        source,
    };

    let last = before.iter().rev().find(|entry| entry.is_proven());
    let last = last.and_then(|entry| entry.manifest.as_ref()).map(|(manifest, _)| manifest);
    let started = Instant::now();
    let sealed = Sealed {
        shelf: shelf.shelf(),
        file: unfinished.name(),
        identities: &[&drill],
        client_major,
        limit,
        depth: if is_drill { drill_depth(&manifest, backup) } else { Depth::Quick },
    };
    let restored = prove::restore(reader, &sealed);
    // Nothing on this host opens the file from here on.
    drop(drill);
    conclude(&mut manifest, restored, last, job, reader);
    manifest.proof.milliseconds = prove::milliseconds(started);
    // All is on the disk before either has its name, so that between the two there is nothing that could fail.
    let signed = shelf.write(&format!("{id}{MANIFEST}"), &sign(&manifest, &key))?;
    unfinished.finish()?;
    signed.finish()?;
    Ok(manifest)
}

/// Clears what a run left that was killed. Killed between naming its file and naming the manifest, all of it was done and on
/// the disk: then that is finished. What names end in, and of which file a manifest is, are given.
pub(super) fn clear<M: DeserializeOwned>(
    shelf: &OpenShelf,
    key: &SigningKey,
    [archive_end, manifest_end]: [&str; 2],
    archive_of: fn(&M) -> &str,
) -> Result<(), HostError> {
    let there = shelf.shelf().items()?;
    for file in shelf.unfinished()? {
        let Some(id) = file.becomes().strip_suffix(manifest_end) else { continue };
        let text = shelf.shelf().text(file.name()).unwrap_or_default();
        let archive = format!("{id}{archive_end}");
        let is_signed = read::<M>(&text, &key.verifying_key())
            .is_ok_and(|(manifest, _)| archive_of(&manifest) == archive);
        if is_signed && there.iter().any(|item| item.name == archive) {
            file.finish()?;
        }
    }
    Ok(())
}

/// Whether a file as large as the last one would fit. How large this one gets shows as it is written, and is looked at then.
fn room(shelf: &OpenShelf, before: &[Entry], backup: &Backup) -> Result<(), RunError> {
    let last = before.iter().rev().find_map(|entry| entry.manifest.as_ref());
    let last = last.map_or(0, |(manifest, _)| manifest.archive.bytes);
    let keep = backup.keep_free.bytes();
    match shelf.shelf().free() {
        Some(free) if free < keep.saturating_add(last) => Err(RunError::Room { free, last, keep }),
        _ => Ok(()),
    }
}

/// A drill of this backup: what its database takes on the disk, as much again for what is written ahead and sorted
/// meanwhile, and what is to stay free.
pub fn drill_depth(manifest: &Manifest, backup: &Backup) -> Depth {
    let bytes = manifest.source.bytes.max(manifest.archive.plain);
    Depth::Drill { free: bytes.saturating_mul(2).saturating_add(backup.keep_free.bytes()) }
}

/// Writes what came of the proof into the manifest.
fn conclude(
    manifest: &mut Manifest,
    restored: Result<prove::Restored, ProveError>,
    last: Option<&Manifest>,
    job: Job<'_>,
    reader: &Reader,
) {
    match restored {
        Ok(restored) => {
            let found = restored.found;
            let checks = judge::judge(&found, &manifest.source, last, job.backup, manifest.begun);
            manifest.proof.checks = joint::prove(checks, &found.dkg, job.backup);
            if let Some(inquiry) = job.chain {
                let (word, check) = inquiry.compare(&found, reader.files());
                manifest.chain = Some(word);
                manifest.proof.checks.push(check);
            }
            manifest.dkg = print::all(&found.dkg);
            manifest.proof.checks.extend(restored.drill.iter().map(Drill::check));
            manifest.proof.drill = restored.drill;
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

pub(super) fn recipients(job: Job<'_>) -> Result<BTreeMap<String, AgeRecipient>, RunError> {
    let each = job.backup.to.iter().map(|who| {
        let person = job.people.iter().find(|person| person.name == *who);
        let recipient = person.and_then(|person| person.age_recipient.clone());
        let recipient = recipient.ok_or_else(|| RunError::NoRecipient(who.to_string()))?;
        Ok((who.to_string(), recipient))
    });
    each.collect()
}

pub(super) fn answer<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, ServerError> {
    serde_json::from_str(text.trim()).map_err(|_| ServerError::Answer(text.trim().to_owned()))
}

/// What the database says of itself.
fn source(session: Session, bytes: u64) -> Result<(Session, Source), ServerError> {
    let mut source = Source { bytes, ..Source::default() };
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
