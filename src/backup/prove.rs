//! The quick proof: the very file that is shipped is opened, checked to its last byte, and restored as far as it takes to
//! judge it.
//!
//! ```text
//! file ─pass 1─▶ decrypt, decompress ─┬▶ pg_restore --list        the table of contents
//!                                     └▶ pg_restore --data-only   rows, counted; nothing else of them is kept
//!      initdb, postgres               (meanwhile)
//! file ─pass 2─▶ decrypt, decompress ──▶ pg_restore --dbname      the schema and the few tables that matter
//! ```
//!
//! The second pass ends where `pg_restore` has what it wants. A drill is the same with all of the database put into the
//! server, timed, and every page and index of it checked.

use std::{
    fmt,
    io::{self, Read as _},
    thread,
    time::{Duration, Instant},
};

use super::{
    arguments,
    dkg::{QUERY, Row},
    ephemeral::Ephemeral,
    judge::{DKG_TABLE, Found},
    manifest::{Block, Check, Drill, Outcome},
    plain::{self, Use},
    server::ServerError,
    stream::{self, StreamError},
    survey::{Contents, Survey, feed},
};
use crate::host::{
    HostError, Reader,
    error::chain,
    scratch::{Claim, Place, more},
    shelf::Shelf,
    stage::Floor,
};

/// The tables whose rows are restored: what cannot be made again, and what the rest is judged by.
const TABLES: [&str; 3] = [DKG_TABLE, MIGRATIONS_TABLE, "sbtc_signer.bitcoin_blocks"];

/// The bookkeeping of migrations.
pub(super) const MIGRATIONS_TABLE: &str = "public.__sbtc_migrations";

/// Why a file could not be restored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum ProveError {
    #[error("it cannot be opened")]
    Stream(#[source] StreamError),
    #[error("what is in it cannot be restored")]
    Restore(#[source] HostError),
    #[error("the profile's time_limit of {} s was over before it was restored", .0.as_secs())]
    Slow(Duration),
    #[error(
        "{} had less than {} bytes free while it was restored; {}", .0.folder, .0.bytes, more(&.0.folder)
    )]
    Room(Floor),
    #[error("what was restored cannot be asked for")]
    Ask(#[source] ServerError),
    #[error("no server could be had to restore it into")]
    Server(#[source] ServerError),
    #[error("{0}")]
    Content(String),
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ProveError {
    /// Whether it is for want of something on this host, and says nothing of the file.
    pub const fn is_of_host(&self) -> bool {
        matches!(self, Self::Slow(_) | Self::Room(_) | Self::Server(_) | Self::Host(_))
    }

    /// What it is worth as a check.
    pub const fn outcome(&self) -> Outcome {
        if self.is_of_host() { Outcome::CannotCheck } else { Outcome::Fail }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Restored {
    /// What was found.
    pub found: Found,
    /// What came of restoring all of it, where that was asked for.
    pub drill: Option<Drill>,
    /// Why it came to nothing, where that is not for what was restored.
    pub unchecked: Option<Check>,
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
        /// How many of them must stay so.
        keep: u64,
    },
}

/// How long one proof waits for another.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// As [`restore_with`]; and where all of it cannot be restored for want of something on this host, as much as the quick proof
/// restores. That there was no drill is a check of its own then.
///
/// # Errors
/// [`ProveError`].
pub fn restore_or_less(
    claim: &Claim,
    reader: &Reader,
    sealed: &Sealed<'_>,
) -> Result<Restored, ProveError> {
    match restore_with(claim, reader, sealed) {
        Err(error) if sealed.depth != Depth::Quick && error.is_of_host() => {
            let quick = restore_with(claim, reader, &Sealed { depth: Depth::Quick, ..*sealed })?;
            let (name, text) = ("drill".to_owned(), without_rows(&error));
            let unchecked = Some(Check { name, outcome: error.outcome(), text });
            Ok(Restored { unchecked, ..quick })
        }
        other => other,
    }
}

/// Restores a file of a shelf.
///
/// # Errors
/// [`ProveError`]; when another proof goes on for too long, too.
pub fn restore(reader: &Reader, sealed: &Sealed<'_>) -> Result<Restored, ProveError> {
    restore_with(&Claim::take(PATIENCE)?, reader, sealed)
}

/// The same with the right to, which was taken before.
///
/// # Errors
/// [`ProveError`].
pub fn restore_with(
    claim: &Claim,
    reader: &Reader,
    sealed: &Sealed<'_>,
) -> Result<Restored, ProveError> {
    let place = match sealed.depth {
        Depth::Quick => Place::Memory,
        Depth::Drill { free, keep } => Place::Disk { free, keep },
    };
    let begun = Ephemeral::begin(reader, claim, sealed.client_major, place, sealed.limit);
    let begun = begun.map_err(ProveError::Server)?;
    let survey = Survey::begin(&begun.connection, &begun.bin, sealed)?;
    let (server, contents) = thread::scope(|scope| {
        let surveying = scope.spawn(|| survey.finish());
        let server = begun.start();
        (server, stream::ended(surveying))
    });
    // The file's own fault first.
    let (contents, server) = (contents?, server.map_err(ProveError::Server)?);
    // One that was stopped for want of room says so in other words.
    restore_into(&server, sealed, contents)
        .map_err(|error| server.starved().map_or(error, ProveError::Room))
}

fn restore_into(
    server: &Ephemeral,
    sealed: &Sealed<'_>,
    contents: Contents,
) -> Result<Restored, ProveError> {
    let mut args: Vec<String> = vec!["--dbname=postgres".to_owned(), "--no-password".to_owned()];
    args.extend(arguments::RESTORE.iter().map(ToString::to_string));
    if sealed.depth == Depth::Quick {
        let list = server.file("list", &selection(&contents.list))?;
        args.push(format!("--use-list={list}"));
        // Keys and indexes come after the data; what they refer to is not restored.
        args.extend(["--section=pre-data", "--section=data"].map(str::to_owned));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let begun = Instant::now();
    fill(server, sealed, &args)?;
    let milliseconds = milliseconds(begun);
    let (drill, unchecked) = match sealed.depth {
        Depth::Quick => (None, None),
        Depth::Drill { .. } => examine(server, milliseconds, sealed.limit)?,
    };
    let found = Found { rows: contents.rows, ..ask(server)? };
    Ok(Restored { found, drill, unchecked, server_major: server.major })
}

/// How `pg_restore` ended.
pub(super) fn ended(how: Result<(), HostError>) -> Result<(), ProveError> {
    how.map_err(|error| match error {
        // Of the file that says nothing.
        HostError::Timeout { limit, .. } => ProveError::Slow(limit),
        other => ProveError::Restore(other),
    })
}

/// What is said of a file that was not proven, in a manifest that leaves the host: PostgreSQL quotes rows in its errors,
/// so of its words only the entry of the dump stays at which it failed.
pub fn without_rows(error: &ProveError) -> String {
    let (ProveError::Restore(failed) | ProveError::Ask(ServerError::Host(failed))) = error else {
        return chain(error);
    };
    let HostError::Failed { command, status, stderr } = failed else { return chain(error) };
    let program = command.split(' ').next().unwrap_or_default();
    let mut lines = stderr.split(" | ");
    let entry = lines.find_map(|line| {
        // Of a table's rows it names the table alone.
        let table = line.strip_prefix("pg_restore: error: COPY failed for table \"");
        let table = table.and_then(|rest| rest.split_once('"')).map(|(name, _)| name);
        let entry = line.strip_prefix("pg_restore: from TOC entry ");
        table
            .map(|name| format!(" at the rows of {name}"))
            .or(entry.map(|entry| format!(" at the entry {entry}")))
    });
    let entry = entry.unwrap_or_default();
    format!(
        "{error}: {program} failed with {status}{entry}; its own words can have rows in them, and are not kept: `holdfast \
         backup prove ID --identity FILE` prints them"
    )
}

/// The milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Puts the file into the server, as far as `pg_restore` takes it: that all of it is whole is known by now.
fn fill(server: &Ephemeral, sealed: &Sealed<'_>, args: &[&str]) -> Result<(), ProveError> {
    let pg_restore = server.bin.join("pg_restore");
    let mut restoring = server.connection.launch(&pg_restore, args, sealed.limit).start()?;
    let mut sink = restoring.stdin.take();
    let read = stream::unpack(sealed.shelf.read(sealed.file)?, sealed.identities, |bytes| {
        feed(&mut sink, bytes);
        // It has all it wants, or has failed; its end says which.
        if sink.is_some() { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    });
    drop(sink);
    match read {
        Err(StreamError::Write(_)) | Ok(_) => ended(restoring.end()),
        Err(error) => Err(ProveError::Stream(error)),
    }
}

/// How much is kept of what `pg_amcheck` finds: its first words say where to look.
const DAMAGE_KEPT: u64 = 2 << 10;

/// Has every page of every table and index checked, and each index against its table.
fn examine(
    server: &Ephemeral,
    restore_milliseconds: u64,
    limit: Duration,
) -> Result<(Option<Drill>, Option<Check>), ProveError> {
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
    let found = String::from_utf8_lossy(&words).trim().replace('\n', " | ");
    let damage = match checking.end() {
        Ok(()) => None,
        Err(HostError::Timeout { .. }) if found.is_empty() => {
            let text = format!(
                "all of it was restored; checking it was stopped when the profile's time_limit of {} s was over: set a longer \
                 one",
                limit.as_secs()
            );
            let name = "drill".to_owned();
            return Ok((None, Some(Check { name, outcome: Outcome::CannotCheck, text })));
        }
        Err(error) if found.is_empty() => Some(chain(&error)),
        Err(_) => Some(format!("pg_amcheck: {found}")),
    };
    let check_milliseconds = milliseconds(begun);
    Ok((Some(Drill { restore_milliseconds, check_milliseconds, damage }), None))
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
        if answer.trim() != "t" {
            return Ok(false);
        }
        plain::judge(table, &query(&plain::question(table, Use::Read))?)
            .map_err(ProveError::Ask)?;
        Ok(true)
    };
    let [dkg_table, migrations_table, blocks_table] = TABLES;
    let mut found = Found::default();
    if there(dkg_table)? {
        let rows = Row::from_lines(&query(QUERY)?);
        found.dkg = rows.map_err(|fault| ProveError::Content(chain(&fault)))?;
    }
    if there(migrations_table)? {
        found.migrations = migrations_of(&query(MIGRATIONS)?).map_err(ProveError::Ask)?;
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

/// Asks for the migrations, in an order that does not depend on a collation; each as JSON, so that it is one line whatever
/// is in it.
const MIGRATIONS: &str =
    "SELECT to_json(key) FROM public.__sbtc_migrations ORDER BY key COLLATE \"C\"";

/// The answer to [`MIGRATIONS`].
///
/// # Errors
/// When it is none.
fn migrations_of(answer: &str) -> Result<Vec<String>, ServerError> {
    let lines = answer.lines().filter(|line| !line.is_empty());
    let keys: Result<_, _> = lines.map(serde_json::from_str).collect();
    keys.map_err(|_| ServerError::Answer("of the migrations".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_says_of_a_failure_has_no_row_in_it() {
        let failed = |stderr: &str| {
            let command = "pg_restore --dbname=postgres".into();
            let (status, stderr) = ("exit code 1".into(), stderr.into());
            without_rows(&ProveError::Restore(HostError::Failed { command, status, stderr }))
        };
        let said = failed(
            "pg_restore: error: COPY failed for table \"dkg_shares\": ERROR:  invalid input | CONTEXT:  COPY dkg_shares, \
             line 1, column x: \"secret\"",
        );
        assert!(!said.contains("secret") && !said.contains("invalid input"), "{said}");
        assert!(
            said.contains("pg_restore failed with exit code 1 at the rows of dkg_shares;"),
            "{said}"
        );
        let said = failed(
            "pg_restore: while PROCESSING TOC: | pg_restore: from TOC entry 3; 1259 9 TABLE x signer | pg_restore: error: \
             could not execute query: ERROR:  secret",
        );
        assert!(
            !said.contains("secret") && said.contains("at the entry 3; 1259 9 TABLE x signer;"),
            "{said}"
        );
        assert!(without_rows(&ProveError::Slow(Duration::from_secs(7))).contains("of 7 s"));
    }

    #[test]
    fn a_migration_is_one_whatever_its_name() {
        let keys = migrations_of("\"0001\"\n\"0002\\n--holdfast: that was all--\\n\"\n").unwrap();
        assert_eq!(keys, ["0001", "0002\n--holdfast: that was all--\n"]);
        assert!(migrations_of("0001\n").is_err());
    }

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
