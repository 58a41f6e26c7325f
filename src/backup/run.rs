//! Makes a backup: one stream from the database to the file, the proof of that file, and its manifest.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use age::x25519;
use serde::Deserialize;

use super::{
    catalogue::{self, Entry},
    chain::Inquiry,
    connection::reach,
    dump::Dump,
    folder::{self, Bytes},
    joint,
    judge::{self, DKG_TABLE},
    manifest::{Archive, Check, Database, Drill, Kind as _, Manifest, Outcome, Proof, Source},
    missing::{self, Made},
    plain::{self, Use},
    prove::{self, Depth, MIGRATIONS_TABLE, ProveError, Sealed},
    rows::print,
    server::{self, ServerError, Session},
    signing,
    statement::{FORMAT, sign},
    stream::StreamError,
};
use crate::{
    engine::store::STATE_DIR,
    evidence::Log,
    host::{
        HostError, Reader, clock,
        scratch::Claim,
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
    /// The tables that may be as small as they are, or gone, this once: it was a person who took their rows away, or a
    /// migration.
    pub accept_shrunken: &'a [String],
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
    let shelf = Shelf::at(backup.store.as_str());
    let (key, _) = signing::host_key(&shelf)?;
    let shelf = shelf.open_within(patience(backup))?;
    // Before anything is dumped: a backup is not to go unproven because another one is being proven.
    let claim = Claim::take(patience(backup))?;
    folder::clear::<Database>(&shelf, &key)?;
    let before = folder::entries(shelf.shelf(), name, &key.verifying_key(), Bytes::OfSmall)?;
    folder::remember(&shelf, &before)?;
    room(&shelf, &before, backup)?;

    let limit = backup.time_limit.as_duration();
    connection.clear(bin)?;
    let session = Session::begin(connection, bin, limit)?;
    // Before the snapshot, which locks may keep waiting: what was committed by then is in the dump.
    let begun = clock::now();
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

    let id = catalogue::id::<Database>(name, begun);
    let drill = x25519::Identity::generate();
    let dump = Dump {
        connection,
        bin,
        snapshot: snapshot.trim(),
        recipients: &recipients.values().cloned().collect::<Vec<_>>(),
        drill: &drill.to_public(),
        backup,
    };
    let file = format!("{id}{}", Database::ENDS.archive);
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
        number: missing::next_number(&before, &recorded(name), name),
        name: name.to_owned(),
        database: backup.database.to_string(),
        begun,
        made: clock::now(),
        archive: Archive { file, bytes: packed.bytes, sha256: packed.sha256, plain: packed.plain },
        recipients: recipients.iter().map(|(who, to)| (who.clone(), to.to_string())).collect(),
        drill: drill.to_public().to_string(),
        server_version: facts.version,
        client_major,
        of: Database { source, ..Database::default() },
        read_again: BTreeMap::new(),
        proof: Proof::none(clock::now()),
        previous: catalogue::last_link(&before),
    };

    let last = before.iter().rev().find_map(Entry::proven);
    let started = Instant::now();
    let sealed = Sealed {
        shelf: shelf.shelf(),
        file: unfinished.name(),
        identities: &[&drill],
        client_major,
        limit,
        depth: if is_drill { drill_depth(&manifest, backup) } else { Depth::Quick },
    };
    let restored = prove::restore_or_less(&claim, reader, &sealed);
    // Nothing on this host opens the file from here on.
    drop((drill, claim));
    conclude(&mut manifest, restored, last, job, reader);
    manifest.proof.milliseconds = prove::milliseconds(started);
    manifest.read_again = folder::read_again(shelf.shelf(), &before, manifest.number);
    // All is on the disk before either has its name, so that between the two there is nothing that could fail.
    let signed =
        shelf.write(&format!("{id}{}", Database::ENDS.manifest), &sign(&manifest, &key))?;
    unfinished.finish()?;
    signed.finish()?;
    Ok(manifest)
}

/// How long one waits for another that uses the folder, or proves something: a dump, its restore and its check may each
/// take the limit.
pub fn patience(backup: &Backup) -> Duration {
    backup.time_limit.as_duration().saturating_mul(3)
}

/// What the evidence log has of the backups of a name. A log that cannot be read is another's finding, and keeps nothing from
/// being backed up: what is made then is numbered after what is there.
pub(super) fn recorded(name: &str) -> Vec<Made> {
    let records = Log::below(STATE_DIR).newest(usize::MAX).unwrap_or_default();
    missing::made(&records, name)
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
    let bytes = manifest.of.source.bytes.max(manifest.archive.plain);
    let keep = backup.keep_free.bytes();
    Depth::Drill { free: bytes.saturating_mul(2).saturating_add(keep), keep }
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
            let before = judge::Before { last, accepted: job.accept_shrunken };
            let checks =
                judge::judge(&found, &manifest.of.source, before, job.backup, manifest.begun);
            manifest.proof.checks = joint::prove(checks, &found.dkg, job.backup);
            if let Some(inquiry) = job.chain {
                let checks = std::mem::take(&mut manifest.proof.checks);
                manifest.proof.checks = inquiry.whose(checks, &found, job.backup);
                let (word, check) = inquiry.compare(&found, reader.files());
                manifest.of.chain = Some(word);
                manifest.proof.checks.push(check);
            }
            manifest.of.dkg = print::all(&found.dkg);
            manifest.proof.checks.extend(restored.drill.iter().map(Drill::check));
            manifest.proof.checks.extend(restored.unchecked);
            manifest.proof.drill = restored.drill;
            manifest.proof.server_major = Some(restored.server_major);
            manifest.of.rows = found.rows;
            manifest.of.newest_block = found.newest_block;
        }
        Err(error) => {
            let (name, text) = ("restore".to_owned(), prove::without_rows(&error));
            manifest.proof.checks = vec![Check { name, outcome: error.outcome(), text }];
        }
    }
    let Proof { checks, server_major, .. } = &manifest.proof;
    // What got into no server is not proven, whatever the reason.
    manifest.proof.proven =
        server_major.is_some() && checks.iter().all(|check| check.outcome != Outcome::Fail);
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
    let (mut session, is_there) = plain::table(session, MIGRATIONS_TABLE, Use::Read)?;
    if is_there {
        let (next, mut migrations) = plain::column(session, MIGRATIONS_TABLE, "key")?;
        // In the order in which a proof has them.
        migrations.sort();
        source.migrations = Some(migrations);
        session = next;
    }
    let (mut session, is_there) = plain::table(session, DKG_TABLE, Use::Read)?;
    if is_there {
        let (next, keys) = plain::column(session, DKG_TABLE, "aggregate_key")?;
        source.dkg_rows = Some(keys.len() as u64);
        session = next;
    }
    Ok((session, source))
}
