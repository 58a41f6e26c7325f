//! Looks at the DKG rows of a database, and makes a backup of them when something is not in the newest.
//!
//! All that is asked is read in one snapshot, by a role that can only read. A file gets its name when it is proven: what is
//! killed before leaves nothing that looks like one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use age::x25519;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    keep::{self, Kept, Rules},
    manifest::{Manifest, Rows},
    note::Note,
    print::{self, Change, Print},
    shelf,
    text::{self, TextFault},
};
use crate::{
    backup::{
        catalogue::{self, Entry},
        connection::reach,
        dkg::{self, Row},
        folder::{self, Bytes},
        joint, judge,
        manifest::{Archive, Check, Kind as _, Outcome, Proof},
        missing,
        plain::{self, Use},
        run::{self, Job, RunError},
        server::{ServerError, Session},
        signing,
        statement::{FORMAT, sign},
        stream::{self, StreamError},
    },
    host::{
        HostError, Reader, clock,
        error::chain,
        secret,
        shelf::{OpenShelf, Shelf},
    },
};

/// How long a look waits for another one that writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a look may take: rows are few.
const LIMIT: Duration = Duration::from_secs(120);

/// The check that every column is saved.
pub const COLUMNS: &str = "dkg.columns";

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
pub fn entries(store: &str, name: &str, key: &SigningKey) -> Result<Vec<Entry<Rows>>, HostError> {
    folder::entries(&shelf(store, name), name, &key.verifying_key(), Bytes::OfSmall)
}

/// What the database has.
struct Seen {
    version: u32,
    client_major: u32,
    begun: Timestamp,
    prints: Vec<Print>,
    height: Result<Option<u64>, ServerError>,
    changes: Vec<Change>,
    /// Only when something has changed.
    rows: Vec<Row>,
    /// Columns of the table that no file has.
    unsaved: Vec<String>,
}

/// Looks. Must be called from the main thread: see [`crate::host::stage`].
///
/// # Errors
/// [`WatchError`]: then there is no new file, and every older one is as it was.
pub fn look(reader: &Reader, job: Job<'_>) -> Result<Looked, WatchError> {
    secret::keep_in_memory()?;
    let store = job.backup.store.as_str();
    let (key, _) = signing::host_key(&shelf(store, job.name))?;
    let to = recipients(job)?;
    let before = entries(store, job.name, &key)?;
    let seen = ask(reader, job, &before, &to)?;
    let note = Note {
        at: seen.begun,
        rows: seen.prints.clone(),
        height: seen.height.as_ref().ok().copied().flatten(),
        heightless: seen.height.as_ref().err().map(|error| chain(error)),
        unsaved: seen.unsaved.clone(),
        chain: None,
    };
    let mut looked = Looked { note, changes: Vec::new(), made: None, gone: Vec::new() };
    if !seen.changes.is_empty() || before.iter().any(Entry::is_found_again) {
        let shelf = shelf(store, job.name).open_within(PATIENCE)?;
        folder::clear::<Rows>(&shelf, &key)?;
        // Again, now that nobody else writes: another look may have made it meanwhile.
        let entries = entries(store, job.name, &key)?;
        folder::remember(&shelf, &entries)?;
        looked.changes = changes(newest(&entries, &seen.unsaved), &seen.prints, &to);
        if !looked.changes.is_empty() {
            let made = make(&shelf, job, &seen, &looked.changes, &entries, &key)?;
            looked.made = Some(made);
        }
        looked.gone = prune(&shelf, job, &key)?;
    }
    Ok(looked)
}

/// The newest file that is there as its manifest says. Whether it was proven does not count here: rows that are flawed are
/// no better when they are saved once more. Unless they were saved without a column that is no trouble any more.
fn newest<'a>(entries: &'a [Entry<Rows>], unsaved: &[String]) -> Option<&'a Manifest> {
    let mut whole = entries.iter().rev().filter_map(Entry::whole);
    whole.find(|manifest| !unsaved.is_empty() || !manifest.failed().contains(&COLUMNS))
}

/// Who is to open it, by name.
fn recipients(job: Job<'_>) -> Result<BTreeMap<String, String>, RunError> {
    let each = run::recipients(job)?.into_iter();
    Ok(each.map(|(who, to)| (who, to.to_string())).collect())
}

/// What is not in the newest file: rows, or who may open it.
fn changes(before: Option<&Manifest>, now: &[Print], to: &BTreeMap<String, String>) -> Vec<Change> {
    let rows = before.map(|manifest| &manifest.of.rows[..]).unwrap_or_default();
    let mut changes = print::changes(rows, now);
    if let Some(manifest) = before.filter(|manifest| manifest.recipients != *to) {
        let names = |all: &BTreeMap<String, String>| {
            all.iter().map(|(who, to)| format!("{who} ({to})")).collect::<Vec<_>>().join(", ")
        };
        changes.push(Change::Custodians(names(&manifest.recipients), names(to)));
    }
    changes
}

fn ask(
    reader: &Reader,
    job: Job<'_>,
    before: &[Entry<Rows>],
    to: &BTreeMap<String, String>,
) -> Result<Seen, WatchError> {
    #[derive(Deserialize)]
    struct Facts {
        version: u32,
        table: bool,
        blocks: bool,
        columns: Option<Vec<String>>,
    }
    let way = reach(reader, job.name, job.backup, "psql")?;
    let (client_major, bin) = way.newest()?;
    let session = Session::begin(&way.connection, bin, LIMIT)?;
    // Before the snapshot: what was committed by then is seen.
    let begun = clock::now();
    let (session, _) = session.ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let (session, facts) = session.ask(
        "SELECT json_build_object('version', current_setting('server_version_num')::int, \
         'columns', (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute \
         WHERE attrelid = to_regclass('sbtc_signer.dkg_shares') AND attnum > 0 AND NOT attisdropped), \
         'table', to_regclass('sbtc_signer.dkg_shares') IS NOT NULL, \
         'blocks', to_regclass('sbtc_signer.bitcoin_blocks') IS NOT NULL)",
    )?;
    let Facts { version, table, blocks, columns } = run::answer(&facts)?;
    if !table {
        return Err(WatchError::NoTable(job.backup.database.to_string()));
    }
    let (session, _) = plain::table(session, judge::DKG_TABLE, Use::Read)?;
    let (session, prints) = session.ask(print::QUERY)?;
    let prints = print::from_lines(&prints)
        .map_err(|_| ServerError::Answer("of the prints of the rows".into()))?;
    let columns = columns.unwrap_or_default().into_iter();
    let unsaved = columns.filter(|name| !text::COLUMNS.split(", ").any(|known| known == name));
    let unsaved: Vec<_> = unsaved.collect();
    let (changes, mut rows) = (changes(newest(before, &unsaved), &prints, to), Vec::new());
    let mut session = session;
    if !changes.is_empty() {
        let (next, lines) = session.ask(dkg::QUERY)?;
        rows = Row::from_lines(&lines).map_err(WatchError::Rows)?;
        session = next;
        if print::all(&rows) != prints {
            return Err(WatchError::Others);
        }
    }
    // Last: what somebody has made of that table, or a lock on it, ends the session, and keeps no row from being saved.
    let height = if blocks { height(session) } else { session.end().map(|()| None) };
    Ok(Seen { version, client_major, begun, prints, height, changes, rows, unsaved })
}

/// The height of the newest Bitcoin block that the signer has seen.
fn height(session: Session) -> Result<Option<u64>, ServerError> {
    let (session, _) = plain::table(session, "sbtc_signer.bitcoin_blocks", Use::Read)?;
    let (session, height) =
        session.ask("SELECT max(block_height) FROM sbtc_signer.bitcoin_blocks")?;
    session.end()?;
    Ok(height.trim().parse().ok())
}

fn make(
    shelf: &OpenShelf,
    job: Job<'_>,
    seen: &Seen,
    changes: &[Change],
    entries: &[Entry<Rows>],
    key: &SigningKey,
) -> Result<Manifest, WatchError> {
    let Job { name, backup, .. } = job;
    let recipients = run::recipients(job)?;
    let to: Vec<_> = recipients.values().cloned().collect();
    let started = Instant::now();
    let id = catalogue::id::<Rows>(name, clock::now_in_milliseconds());
    let file_name = format!("{id}{}", Rows::ENDS.archive);
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
        number: missing::next_number(entries, &run::recorded(name), name),
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
        client_major: seen.client_major,
        of: Rows {
            rows: seen.prints.clone(),
            changes: changes.iter().map(ToString::to_string).collect(),
        },
        read_again: BTreeMap::new(),
        proof: Proof {
            proven: checks.iter().all(|check| check.outcome != Outcome::Fail),
            at: clock::now(),
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            server_major: None,
            checks,
            drill: None,
        },
        previous: catalogue::last_link(entries),
    };
    // Both are on the disk before either has its name.
    let signed = shelf.write(&format!("{id}{}", Rows::ENDS.manifest), &sign(&manifest, key))?;
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
    let columns = columns(&seen.unsaved);
    let public =
        [held, columns].into_iter().chain(judge::each_row(&seen.rows, job.backup)).collect();
    joint::prove(public, &seen.rows, job.backup)
}

/// A migration may add to the table what this holdfast knows nothing of. What it knows is saved all the same.
fn columns(unsaved: &[String]) -> Check {
    let (outcome, text) = if unsaved.is_empty() {
        (Outcome::Pass, "the table has no column that is not in the file".to_owned())
    } else {
        (Outcome::Fail, unsaved_words(unsaved))
    };
    Check { name: COLUMNS.into(), outcome, text }
}

/// That there are columns which no file has.
pub fn unsaved_words(unsaved: &[String]) -> String {
    format!(
        "dkg_shares has columns that no backup of rows has: {}; dumps have them; take a holdfast that knows this migration",
        unsaved.join(", ")
    )
}

/// Deletes what the rule lets go, and what a killed run of this has begun to.
fn prune(shelf: &OpenShelf, job: Job<'_>, key: &SigningKey) -> Result<Vec<String>, WatchError> {
    let entries = entries(job.backup.store.as_str(), job.name, key)?;
    let now = clock::now();
    let kept: Vec<_> = entries.iter().filter_map(Kept::of).collect();
    let rules = Rules::of(&job.backup.keep, recipients(job)?.into_values().collect());
    let gone = keep::decide(&kept, &rules, now);
    folder::delete(shelf, &entries, &gone, key, now)?;
    Ok(gone)
}
