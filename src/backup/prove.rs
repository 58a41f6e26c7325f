//! The quick proof: the very file that is shipped is opened, checked to its last byte, and restored as far as it takes to
//! judge it.
//!
//! One pass over the file feeds two programs: a `pg_restore` that puts the schema and the few tables that matter into an
//! ephemeral server, and one that prints all data, of which the rows are counted and nothing else is kept.

use std::{
    io::{self, Read as _, Write as _},
    process::{ChildStdin, ChildStdout},
    thread,
    time::Duration,
};

use super::{
    copy::Counter,
    dkg::{QUERY, Row},
    judge::{DKG_TABLE, Found},
    manifest::Block,
    server::{Ephemeral, ServerError},
    stream::{self, StreamError},
};
use crate::host::{HostError, Reader, shelf::Shelf, stage::Launch};

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
    /// The major version of the server it was restored into.
    pub server_major: u32,
}

/// Restores a file of a shelf.
///
/// # Errors
/// [`ProveError`].
pub fn restore(
    reader: &Reader,
    shelf: &Shelf,
    file: &str,
    identities: &[&dyn age::Identity],
    client_major: u32,
    limit: Duration,
) -> Result<Restored, ProveError> {
    let server = Ephemeral::start(reader, client_major, limit).map_err(ProveError::Server)?;
    let list = table_of_contents(&server, shelf, file, identities, limit)?;
    let list = server.file("list", &selection(&list))?;
    let pg_restore = server.bin.join("pg_restore");
    let list = format!("--use-list={list}");
    let mut restoring = server
        .connection
        .launch(
            &pg_restore,
            &[
                "--dbname=postgres",
                list.as_str(),
                // Keys and indexes come after the data; what they refer to is not restored.
                "--section=pre-data",
                "--section=data",
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
            ],
            limit,
        )
        .start()?;
    let mut printing =
        server.connection.launch(&pg_restore, &["--data-only", "--file=-"], limit).start()?;
    let counting = printing.stdout.take().map(|pipe| thread::spawn(move || count(pipe)));

    let mut sinks = [restoring.stdin.take(), printing.stdin.take()];
    let read = stream::unpack(shelf.read(file)?, identities, |bytes| {
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
    let rows = rows.map_err(|fault| ProveError::Content(fault.to_string()))?;
    let found = Found { rows, ..ask(&server)? };
    Ok(Restored { found, server_major: server.major })
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
fn table_of_contents(
    server: &Ephemeral,
    shelf: &Shelf,
    file: &str,
    identities: &[&dyn age::Identity],
    limit: Duration,
) -> Result<String, ProveError> {
    let pg_restore = server.bin.join("pg_restore");
    let launch: Launch<'_> = server.connection.launch(&pg_restore, &["--list"], limit);
    let mut listing = launch.start()?;
    let output = listing.stdout.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        })
    });
    let mut sink = listing.stdin.take();
    let read = stream::unpack(shelf.read(file)?, identities, |bytes| {
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
        found.dkg = rows.map_err(|fault| ProveError::Content(crate::host::error::chain(&fault)))?;
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
