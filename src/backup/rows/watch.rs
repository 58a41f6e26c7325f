//! Looks at the DKG rows of a database, and makes a backup of them when something is not in the newest.
//!
//! All that is asked is read in one snapshot, by a role that can only read. A file gets its name when it is proven: what is
//! killed before leaves nothing that looks like one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use age::x25519;
use ed25519_dalek::{SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    catalogue::{self, ARCHIVE, Entry, MANIFEST, TOMBSTONE},
    keep,
    manifest::{FORMAT, Manifest},
    note::Note,
    print::{self, Change, Print},
    shelf,
    text::{self, TextFault},
};
use crate::{
    backup::{
        catalogue::File,
        connection::reach,
        dkg::{self, Row},
        joint, judge,
        manifest::{Archive, Check, Outcome, Proof, Tombstone, sign},
        run::{self, Job, RunError},
        server::{ServerError, Session},
        signing,
        stream::{self, StreamError},
    },
    host::{
        HostError, Reader, clock, secret,
        shelf::{OpenShelf, Shelf},
    },
};

/// How long a look may take: rows are few.
const LIMIT: Duration = Duration::from_secs(120);

/// Why nothing was looked at, or nothing made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum WatchError {
    #[error(
        "{0} has no table sbtc_signer.dkg_shares: it is no signer's database, or one that was never migrated"
    )]
    NoTable(String),
    #[error("the rows cannot be read")]
    Rows(#[source] dkg::RowFault),
    #[error("the rows that were read are not those that the server says it has")]
    Others,
    #[error("no backup of the rows was written")]
    Stream(#[source] StreamError),
    #[error("the file that was written is not what was to be written")]
    Text(#[source] TextFault),
    #[error("the file that was written has other rows in it")]
    Contents,
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What came of a look.
#[derive(Debug)]
pub struct Looked {
    /// What was seen. What the chain says is the caller's to add.
    pub note: Note,
    /// What had changed since the newest file.
    pub changes: Vec<Change>,
    /// The file that was made of it.
    pub made: Option<Manifest>,
    /// The files that went.
    pub gone: Vec<String>,
}

/// The files of rows of a backup, as they lie there.
///
/// # Errors
/// When the folder cannot be read.
pub fn entries(store: &str, name: &str, key: &SigningKey) -> Result<Vec<Entry>, HostError> {
    entries_of(&shelf(store, name), name, &key.verifying_key())
}

/// The same of any folder, and what was signed with any key.
///
/// # Errors
/// As [`entries`].
pub fn entries_of(shelf: &Shelf, name: &str, key: &VerifyingKey) -> Result<Vec<Entry>, HostError> {
    let items = shelf.items()?.into_iter();
    let files = items.filter(|item| catalogue::id_of(&item.name, name).is_some()).map(|item| {
        let is_text = catalogue::is_statement(&item.name);
        // One that cannot be read as text is one that cannot be believed.
        let text = is_text.then(|| shelf.text(&item.name).unwrap_or_default());
        File { name: item.name, bytes: item.bytes, text }
    });
    let files: Vec<_> = files.collect();
    Ok(catalogue::read_folder(&files, name, key))
}

/// What the database has.
struct Seen {
    version: u32,
    begun: Timestamp,
    prints: Vec<Print>,
    height: Option<u64>,
    changes: Vec<Change>,
    /// Only when something has changed.
    rows: Vec<Row>,
}

/// Looks. Must be called from the main thread: see [`crate::host::stage`].
///
/// # Errors
/// [`WatchError`]: then there is no new file, and every older one is as it was.
pub fn look(reader: &Reader, job: Job<'_>) -> Result<Looked, WatchError> {
    secret::keep_in_memory()?;
    let key = signing::host_key()?;
    let store = job.backup.store.as_str();
    let before = newest(&entries(store, job.name, &key)?);
    let seen = ask(reader, job, &before)?;
    let note = Note { at: seen.begun, rows: seen.prints.clone(), height: seen.height, chain: None };
    let mut looked = Looked { note, changes: Vec::new(), made: None, gone: Vec::new() };
    if !seen.changes.is_empty() {
        let shelf = shelf(store, job.name).open()?;
        run::clear(&shelf, &key, [ARCHIVE, MANIFEST], |made: &Manifest| &made.archive.file)?;
        // Again, now that nobody else writes: another look may have made it meanwhile.
        let entries = entries(store, job.name, &key)?;
        looked.changes = print::changes(&newest(&entries), &seen.prints);
        if !looked.changes.is_empty() {
            let made = make(&shelf, job, &seen, &looked.changes, &entries, &key)?;
            looked.made = Some(made);
        }
        looked.gone = prune(&shelf, job, &key)?;
    }
    Ok(looked)
}

/// The rows of the newest file that is there as its manifest says. Whether it was proven does not count here: rows that are
/// flawed are no better when they are saved once more.
fn newest(entries: &[Entry]) -> Vec<Print> {
    let newest = entries.iter().rev().find_map(Entry::whole);
    newest.map(|manifest| manifest.rows.clone()).unwrap_or_default()
}

fn ask(reader: &Reader, job: Job<'_>, before: &[Print]) -> Result<Seen, WatchError> {
    #[derive(Deserialize)]
    struct Facts {
        version: u32,
        table: bool,
        blocks: bool,
    }
    let way = reach(reader, job.name, job.backup, "psql")?;
    let (_, bin) = way.newest()?;
    let session = Session::begin(&way.connection, bin, LIMIT)?;
    let (session, _) = session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let (session, facts) = session.ask(
        "SELECT json_build_object('version', current_setting('server_version_num')::int, \
         'table', to_regclass('sbtc_signer.dkg_shares') IS NOT NULL, \
         'blocks', to_regclass('sbtc_signer.bitcoin_blocks') IS NOT NULL)",
    )?;
    let Facts { version, table, blocks } = run::answer(&facts)?;
    if !table {
        return Err(WatchError::NoTable(job.backup.database.to_string()));
    }
    let begun = clock::now();
    let (mut session, prints) = session.ask(print::QUERY)?;
    let prints = print::from_lines(&prints)
        .map_err(|_| ServerError::Answer("of the prints of the rows".into()))?;
    let mut height = None;
    if blocks {
        let (next, answer) =
            session.ask("SELECT max(block_height) FROM sbtc_signer.bitcoin_blocks")?;
        height = answer.trim().parse().ok();
        session = next;
    }
    let (changes, mut rows) = (print::changes(before, &prints), Vec::new());
    if !changes.is_empty() {
        let (next, lines) = session.ask(dkg::QUERY)?;
        rows = Row::from_lines(&lines).map_err(WatchError::Rows)?;
        session = next;
        if print::all(&rows) != prints {
            return Err(WatchError::Others);
        }
    }
    session.end()?;
    Ok(Seen { version, begun, prints, height, changes, rows })
}

fn make(
    shelf: &OpenShelf,
    job: Job<'_>,
    seen: &Seen,
    changes: &[Change],
    entries: &[Entry],
    key: &SigningKey,
) -> Result<Manifest, WatchError> {
    let Job { name, backup, .. } = job;
    let recipients = run::recipients(job)?;
    let to: Vec<_> = recipients.values().cloned().collect();
    let started = Instant::now();
    let id = catalogue::id(name, clock::now_in_milliseconds());
    let file_name = format!("{id}{ARCHIVE}");
    let drill = x25519::Identity::generate();
    let plain = zeroize::Zeroizing::new(text::write(
        name,
        backup.database.as_str(),
        seen.begun,
        &seen.rows,
    ));
    let file = shelf.begin(&file_name)?;
    // What must stay free is for dumps: some kB of what cannot be made again are written while there is any room.
    let packed = stream::pack(&plain[..], file.file(), &to, &drill.to_public(), 0, || None);
    let packed = packed.map_err(WatchError::Stream)?;
    file.sync()?;
    held(shelf.shelf(), file.name(), &drill, &packed.sha256, &seen.rows)?;
    let drill_recipient = drill.to_public().to_string();
    // Nothing on this host opens the file from here on.
    drop(drill);
    let checks = checks(job, seen);
    let manifest = Manifest {
        format: FORMAT,
        id: id.clone(),
        number: catalogue::next_number(entries),
        name: name.to_owned(),
        database: backup.database.to_string(),
        begun: seen.begun,
        made: clock::now(),
        archive: Archive {
            file: file_name,
            bytes: packed.bytes,
            sha256: packed.sha256,
            plain: packed.plain,
        },
        recipients: recipients
            .iter()
            .map(|(who, to)| (who.clone(), to.to_string()))
            .collect::<BTreeMap<_, _>>(),
        drill: drill_recipient,
        server_version: seen.version,
        rows: seen.prints.clone(),
        changes: changes.iter().map(ToString::to_string).collect(),
        proof: Proof {
            proven: checks.iter().all(|check| check.outcome != Outcome::Fail),
            at: clock::now(),
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            server_major: None,
            checks,
            drill: None,
        },
        previous: entries.iter().rev().find(|entry| entry.manifest.is_some()).and_then(Entry::link),
    };
    // Both are on the disk before either has its name.
    let signed = shelf.write(&format!("{id}{MANIFEST}"), &sign(&manifest, key))?;
    file.finish()?;
    signed.finish()?;
    Ok(manifest)
}

/// Reads the very file again, to its last byte: it must hold the rows, and nothing else.
fn held(
    shelf: &Shelf,
    file: &str,
    drill: &x25519::Identity,
    sha256: &str,
    rows: &[Row],
) -> Result<(), WatchError> {
    let mut plain = zeroize::Zeroizing::new(Vec::new());
    stream::unpack(shelf.read(file)?, &[drill], |bytes| {
        plain.extend_from_slice(bytes);
        Ok(())
    })
    .map_err(WatchError::Stream)?;
    let (_, found) = text::read(&plain).map_err(WatchError::Text)?;
    let digest = stream::digest(shelf.read(file)?).map_err(HostError::file("read", file))?;
    if found == rows && digest.0 == sha256 { Ok(()) } else { Err(WatchError::Contents) }
}

fn checks(job: Job<'_>, seen: &Seen) -> Vec<Check> {
    let text =
        format!("{} rows were read again from the file, as in the database", seen.rows.len());
    let held = Check { name: "dkg.rows".into(), outcome: Outcome::Pass, text };
    let public = std::iter::once(held).chain(judge::each_row(&seen.rows, job.backup)).collect();
    joint::prove(public, &seen.rows, job.backup)
}

/// Deletes what the rule lets go, and what a killed run of this has begun to.
fn prune(shelf: &OpenShelf, job: Job<'_>, key: &SigningKey) -> Result<Vec<String>, WatchError> {
    let entries = entries(job.backup.store.as_str(), job.name, key)?;
    let now = clock::now();
    let kept: Vec<_> = entries.iter().filter_map(Entry::kept).collect();
    let gone = keep::decide(&kept, job.backup.keep.within, now);
    for entry in &entries {
        let id = &entry.id;
        if gone.contains(id)
            && let Some(deleted) = entry.link()
        {
            let name = format!("{id}{TOMBSTONE}");
            shelf.remove(&name)?;
            shelf.put(&name, &sign(&Tombstone { deleted, at: now }, key))?;
        } else if entry.deleted.is_none() {
            continue;
        }
        shelf.remove(&format!("{id}{ARCHIVE}"))?;
        shelf.remove(&format!("{id}{MANIFEST}"))?;
    }
    Ok(gone)
}
