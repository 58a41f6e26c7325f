//! The quick proof: the very file that is shipped is opened, checked to its last byte, and restored as far as it takes to
//! judge it.
//!
//! One pass over the file feeds two programs: a `pg_restore` that puts the schema and the few tables that matter into an
//! ephemeral server, and one that prints all data, of which the rows are counted and nothing else is kept. A drill is the
//! same with all of the database put into the server, timed, and every page and index of it checked.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _, Write as _},
    process::{ChildStdin, ChildStdout},
    thread,
    time::{Duration, Instant},
};

use super::{
    copy::Counter,
    dkg::{QUERY, Row},
    ephemeral::Ephemeral,
    judge::{DKG_TABLE, Found},
    manifest::{Block, Drill},
    server::ServerError,
    stream::{self, StreamError},
};
use crate::host::{HostError, Reader, error::chain, scratch::Place, shelf::Shelf};

/// The tables whose rows are restored: what cannot be made again, and what the rest is judged by.
const TABLES: [&str; 3] = [DKG_TABLE, "public.__sbtc_migrations", "sbtc_signer.bitcoin_blocks"];

/// Why a file could not be restored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum ProveError {
    #[error("it cannot be opened")]
    Stream(#[source] StreamError),
    #[error("what is in it cannot be restored")]
    Restore(#[source] HostError),
    #[error("what was restored cannot be asked for")]
    Ask(#[source] ServerError),
    #[error("no server could be had to restore it into")]
    Server(#[source] ServerError),
    #[error("{0}")]
    Content(String),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// What was found.
    pub found: Found,
    /// What came of restoring all of it, where that was asked for.
    pub drill: Option<Drill>,
    /// The major version of the server it was restored into.
    pub server_major: u32,
}

/// A file, and how it is proven.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// Where it is.
    pub shelf: &'a Shelf,
    /// Its name there.
    pub file: &'a str,
    /// Who opens it.
    pub identities: &'a [&'a dyn age::Identity],
    /// The major version of the `pg_dump` that made it.
    pub client_major: u32,
    /// After how long a program is stopped.
    pub limit: Duration,
    /// How much of it is restored.
    pub depth: Depth,
}

impl fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("file", &self.file).finish_non_exhaustive()
    }
}

/// How much of a file is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The tables by which it is judged, into memory.
    Quick,
    /// All of it, onto a disk that must have so many bytes free; and all of that is checked.
    Drill {
        /// The bytes.
        free: u64,
    },
}

/// What `pg_restore` is told in any case: whose it was is of no interest, and one error is one too many.
const RESTORE: &[&str] = &[
    "--dbname=postgres",
    "--exit-on-error",
    "--single-transaction",
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
    "--no-password",
];

/// Restores a file of a shelf.
///
/// # Errors
/// [`ProveError`].
pub fn restore(reader: &Reader, sealed: &Sealed<'_>) -> Result<Restored, ProveError> {
    let place = match sealed.depth {
        Depth::Quick => Place::Memory,
        Depth::Drill { free } => Place::Disk { free },
    };
    let server = Ephemeral::start(reader, sealed.client_major, place, sealed.limit);
    let server = server.map_err(ProveError::Server)?;
    let mut args: Vec<String> = RESTORE.iter().map(ToString::to_string).collect();
    if sealed.depth == Depth::Quick {
        let list = table_of_contents(&server, sealed)?;
        args.push(format!("--use-list={}", server.file("list", &selection(&list))?));
        // Keys and indexes come after the data; what they refer to is not restored.
        args.extend(["--section=pre-data", "--section=data"].map(str::to_owned));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let begun = Instant::now();
    let rows = fill(&server, sealed, &args)?;
    let milliseconds = milliseconds(begun);
    let drill = match sealed.depth {
        Depth::Quick => None,
        Depth::Drill { .. } => Some(examine(&server, milliseconds, sealed.limit)?),
    };
    let found = Found { rows, ..ask(&server)? };
    Ok(Restored { found, drill, server_major: server.major })
}

/// The milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Puts the file into the server, and counts its rows.
fn fill(
    server: &Ephemeral,
    sealed: &Sealed<'_>,
    args: &[&str],
) -> Result<BTreeMap<String, u64>, ProveError> {
    let pg_restore = server.bin.join("pg_restore");
    let launch = |args: &[&str]| server.connection.launch(&pg_restore, args, sealed.limit).start();
    let mut restoring = launch(args)?;
    let mut printing = launch(&["--data-only", "--file=-"])?;
    let counting = printing.stdout.take().map(|pipe| thread::spawn(move || count(pipe)));

    let mut sinks = [restoring.stdin.take(), printing.stdin.take()];
    let read = stream::unpack(sealed.shelf.read(sealed.file)?, sealed.identities, |bytes| {
        for sink in &mut sinks {
            feed(sink, bytes);
        }
        Ok(())
    });
    drop(sinks);
    // The file's own fault first: what the programs then say of it is of no interest.
    read.map_err(ProveError::Stream)?;
    restoring.end().map_err(ProveError::Restore)?;
    let counter = counting.and_then(|thread| thread.join().ok()).transpose();
    printing.end().map_err(ProveError::Restore)?;
    let counter = counter.map_err(HostError::file("read", "the data of the dump"))?;
    let rows = counter.unwrap_or_default().finish();
    rows.map_err(|fault| ProveError::Content(fault.to_string()))
}

/// How much is kept of what `pg_amcheck` finds: its first words say where to look.
const DAMAGE_KEPT: u64 = 2 << 10;

/// Has every page of every table and index checked, and each index against its table.
fn examine(
    server: &Ephemeral,
    restore_milliseconds: u64,
    limit: Duration,
) -> Result<Drill, ProveError> {
    let begun = Instant::now();
    let pg_amcheck = server.bin.join("pg_amcheck");
    let args = ["--install-missing", "--heapallindexed", "--no-password", "postgres"];
    let mut checking = server.connection.launch(&pg_amcheck, &args, limit).start()?;
    let mut words = Vec::new();
    if let Some(mut pipe) = checking.stdout.take() {
        // A pipe that breaks ends it; how it ended says the rest.
        drop(pipe.by_ref().take(DAMAGE_KEPT).read_to_end(&mut words));
        drop(io::copy(&mut pipe, &mut io::sink()));
    }
    let damage = checking.end().err().map(|error| {
        let found = String::from_utf8_lossy(&words).trim().replace('\n', " | ");
        if found.is_empty() { chain(&error) } else { format!("pg_amcheck: {found}") }
    });
    Ok(Drill { restore_milliseconds, check_milliseconds: milliseconds(begun), damage })
}

/// Hands bytes on to a program, for as long as it takes any: one that has all it wants may end early, and how it ended is
/// asked afterwards. The stream goes on to its end in any case, because only that tells whether it is whole.
fn feed(sink: &mut Option<ChildStdin>, bytes: &[u8]) {
    if sink.as_mut().is_some_and(|pipe| pipe.write_all(bytes).is_err()) {
        *sink = None;
    }
}

fn count(mut pipe: ChildStdout) -> io::Result<Counter> {
    let mut counter = Counter::default();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(counter),
            Ok(bytes) => counter.take(&chunk[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is in the archive, as `pg_restore --list` has it: it stands at its beginning.
fn table_of_contents(server: &Ephemeral, sealed: &Sealed<'_>) -> Result<String, ProveError> {
    let pg_restore = server.bin.join("pg_restore");
    let mut listing = server.connection.launch(&pg_restore, &["--list"], sealed.limit).start()?;
    let output = listing.stdout.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        })
    });
    let mut sink = listing.stdin.take();
    let read = stream::unpack(sealed.shelf.read(sealed.file)?, sealed.identities, |bytes| {
        feed(&mut sink, bytes);
        // It has read all it wants.
        if sink.is_some() { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    });
    drop(sink);
    match read {
        Err(StreamError::Write(_)) | Ok(_) => {}
        Err(error) => return Err(ProveError::Stream(error)),
    }
    let text = output.and_then(|thread| thread.join().ok()).transpose();
    listing.end().map_err(ProveError::Restore)?;
    let text = text.map_err(HostError::file("read", "the list of the dump"))?;
    Ok(text.unwrap_or_default())
}

/// Of the table of contents what is restored: all but the rows of other tables.
fn selection(list: &str) -> String {
    let kept = list.lines().filter(|line| match line.split_once(" TABLE DATA ") {
        // `3379; 0 16390 TABLE DATA sbtc_signer dkg_shares signer`
        Some((_, name)) => {
            let mut words = name.split(' ');
            let (schema, table) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            TABLES.contains(&format!("{schema}.{table}").as_str())
        }
        None => true,
    });
    kept.map(|line| format!("{line}\n")).collect()
}

/// Asks the restored database for what it is judged by.
fn ask(server: &Ephemeral) -> Result<Found, ProveError> {
    let query = |sql: &str| server.connection.ask(&server.bin, sql).map_err(ProveError::Ask);
    let there = |table: &str| -> Result<bool, ProveError> {
        let answer = query(&format!("SELECT to_regclass('{table}') IS NOT NULL"))?;
        Ok(answer.trim() == "t")
    };
    let [dkg_table, migrations_table, blocks_table] = TABLES;
    let mut found = Found::default();
    if there(dkg_table)? {
        let rows = Row::from_lines(&query(QUERY)?);
        found.dkg = rows.map_err(|fault| ProveError::Content(chain(&fault)))?;
    }
    if there(migrations_table)? {
        found.migrations = lines(&query(MIGRATIONS)?);
    }
    if there(blocks_table)? {
        let answer = query(
            "SELECT json_build_object('height', block_height, 'seen', created_at) \
             FROM sbtc_signer.bitcoin_blocks ORDER BY block_height DESC LIMIT 1",
        )?;
        let answer = answer.trim();
        if !answer.is_empty() {
            let block: Result<Block, _> = serde_json::from_str(answer);
            let block = block.map_err(|_| ServerError::Answer("of the newest block".into()));
            found.newest_block = Some(block.map_err(ProveError::Ask)?);
        }
    }
    Ok(found)
}

/// Asks for the migrations, in an order that does not depend on a collation.
pub(super) const MIGRATIONS: &str =
    "SELECT key FROM public.__sbtc_migrations ORDER BY key COLLATE \"C\"";

/// An answer of one column.
pub(super) fn lines(answer: &str) -> Vec<String> {
    answer.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_of_other_tables_are_left_out() {
        let list = "\
;
; Archive created at 2026-11-21 11:00:00 UTC
6; 2615 16385 SCHEMA - sbtc_signer signer
217; 1259 16393 TABLE sbtc_signer dkg_shares signer
3379; 0 16393 TABLE DATA sbtc_signer dkg_shares signer
3380; 0 16400 TABLE DATA sbtc_signer stacks_blocks signer
3381; 0 16401 TABLE DATA public __sbtc_migrations signer
3382; 0 16402 TABLE DATA sbtc_signer dkg_shares_old signer
3231; 2606 16399 CONSTRAINT sbtc_signer dkg_shares dkg_shares_pkey signer
";
        let kept = selection(list);
        assert_eq!(kept.lines().count(), 7);
        assert!(!kept.contains("stacks_blocks") && !kept.contains("dkg_shares_old"));
    }
}
