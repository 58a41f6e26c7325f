//! Brings rows back into a migrated database. It only ever adds: a row that is there stays as it is, and where one with the
//! same key is another row, nothing is written at all.

use std::{path::Path, time::Duration};

use super::{
    manifest::Manifest,
    print::{self, Print},
    text::{self, COLUMNS, TextFault, VALUES},
};
use crate::{
    backup::{
        chain::Status,
        connection::{Login, reach_as},
        dkg::Row,
        judge::DKG_TABLE,
        plain::{self, Use},
        restore::Target,
        server::{Connection, ServerError, Session, clients},
        stream::{self, StreamError},
    },
    host::{HostError, Reader, shelf::Shelf},
    profile::schema::Backup,
};

/// How long it may take, with a lock of somebody else's to wait for.
const LIMIT: Duration = Duration::from_secs(120);

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum PutError {
    #[error("the file of {0} is not the one that its manifest is of")]
    OtherFile(String),
    #[error("the rows cannot be read")]
    Stream(#[source] StreamError),
    #[error("what the file opens to is no backup of DKG rows")]
    Text(#[source] TextFault),
    #[error("the file of {0} has other rows in it than its manifest says")]
    OtherRows(String),
    #[error(
        "{clients} other clients are connected to {database}: stop the signer first; rows are not put under a signer that runs"
    )]
    InUse { database: String, clients: u64 },
    #[error(
        "{0} has no table sbtc_signer.dkg_shares: migrate it first (sbtc-signer --migrate-db, once, without --config of another database)"
    )]
    NotMigrated(String),
    #[error("{database} has another row under {}; nothing was written", keys.join(", "))]
    OtherRow { database: String, keys: Vec<String> },
    #[error("what {0} has now is not what was put there; nothing was kept")]
    NotThere(String),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// What became of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It was not there, and is now.
    Added(Print),
    /// It was there, as it is in the file.
    There(Print),
    /// It was there, and has got to another status: that one stays.
    OtherStatus(Print, Status),
}

/// The rows of a file, opened with a custodian's identity and held to its manifest.
///
/// # Errors
/// [`PutError`].
pub fn rows(
    shelf: &Shelf,
    manifest: &Manifest,
    identities: &[&dyn age::Identity],
) -> Result<Vec<Row>, PutError> {
    let file = &manifest.archive.file;
    let digest =
        stream::digest(shelf.read(file)?).map_err(HostError::file("read", file.as_str()))?;
    if digest != (manifest.archive.sha256.clone(), manifest.archive.bytes) {
        return Err(PutError::OtherFile(manifest.id.clone()));
    }
    let mut plain = zeroize::Zeroizing::new(Vec::new());
    stream::unpack(shelf.read(file)?, identities, |bytes| {
        plain.extend_from_slice(bytes);
        Ok(())
    })
    .map_err(PutError::Stream)?;
    let (_, rows) = text::read(&plain).map_err(PutError::Text)?;
    if print::all(&rows) != manifest.of.rows {
        return Err(PutError::OtherRows(manifest.id.clone()));
    }
    Ok(rows)
}

/// What would become of each row in a database that has `there`: pure.
///
/// # Errors
/// The keys under which there are other rows.
pub fn plan(rows: &[Row], there: &[Print]) -> Result<Vec<Put>, Vec<String>> {
    let (mut puts, mut other) = (Vec::new(), Vec::new());
    for print in print::all(rows) {
        match there.iter().find(|each| each.key == print.key) {
            None => puts.push(Put::Added(print)),
            Some(found) if found.digest != print.digest => other.push(print.key),
            Some(found) if found.status != print.status => {
                puts.push(Put::OtherStatus(print, found.status));
            }
            Some(_) => puts.push(Put::There(print)),
        }
    }
    if other.is_empty() { Ok(puts) } else { Err(other) }
}

/// Puts them there, into the server of this section and its name; in one transaction that nobody else can write to the table in.
///
/// # Errors
/// [`PutError`]; the database is then as it was.
pub fn put(
    reader: &Reader,
    rows: &[Row],
    (name, backup): (&str, &Backup),
    target: Target<'_>,
    dry_run: bool,
) -> Result<Vec<Put>, PutError> {
    let login = Login { role: target.role, database: target.database };
    let way = reach_as(reader, name, backup, login, "psql")?;
    let (_, bin) = way.newest()?;
    check(&way.connection, bin, target.database)?;
    let session = Session::begin(&way.connection, bin, LIMIT)?;
    let (session, _) = session.ask("BEGIN")?;
    let (session, _) = plain::table(session, DKG_TABLE, Use::Write)?;
    let (session, there) = prints(session)?;
    let puts = plan(rows, &there)
        .map_err(|keys| PutError::OtherRow { database: target.database.to_owned(), keys })?;
    let added: Vec<&Print> = puts
        .iter()
        .filter_map(|put| if let Put::Added(print) = put { Some(print) } else { None })
        .collect();
    if dry_run || added.is_empty() {
        session.end()?;
        return Ok(puts);
    }
    let (mut session, _) = session.ask("CREATE TEMP TABLE kept (row jsonb) ON COMMIT DROP")?;
    for row in rows.iter().filter(|row| added.iter().any(|print| print.key == row.name())) {
        // Hexadecimal, numbers, a time and a status: nothing in it ends a literal.
        let line = serde_json::to_string(row).unwrap_or_default().replace('\'', "''");
        let insert = format!("INSERT INTO pg_temp.kept VALUES ('{line}')");
        session = session.ask(&insert)?.0;
    }
    let (session, _) =
        session.ask(&format!("INSERT INTO sbtc_signer.dkg_shares ({COLUMNS}) {VALUES}"))?;
    let (session, now) = prints(session)?;
    // By the server's own reckoning, and before it counts.
    let is_there = |print: &&Print| now.contains(*print);
    if now.len() != there.len() + added.len() || !added.iter().all(is_there) {
        return Err(PutError::NotThere(target.database.to_owned()));
    }
    let (session, _) = session.ask("COMMIT")?;
    session.end()?;
    Ok(puts)
}

/// That it is migrated, and that no signer is at work in it.
fn check(connection: &Connection, bin: &Path, database: &str) -> Result<(), PutError> {
    let there = connection.ask(bin, "SELECT to_regclass('sbtc_signer.dkg_shares') IS NOT NULL")?;
    if there.trim() != "t" {
        return Err(PutError::NotMigrated(database.to_owned()));
    }
    match clients(connection, bin)? {
        0 => Ok(()),
        clients => Err(PutError::InUse { database: database.to_owned(), clients }),
    }
}

fn prints(session: Session) -> Result<(Session, Vec<Print>), ServerError> {
    let (session, answer) = session.ask(print::QUERY)?;
    let prints = print::from_lines(&answer);
    let prints = prints.map_err(|_| ServerError::Answer("of the prints of the rows".into()))?;
    Ok((session, prints))
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;

    #[test]
    fn rows_are_added_and_never_written_over() {
        let group = Group::new("put", 3, 2);
        let lines: Vec<_> = (1..4).map(|n| group.round(n).row(0).json()).collect();
        let rows = Row::from_lines(&lines.join("\n")).unwrap();
        let all: Vec<_> = rows.iter().map(Print::of).collect();
        let added = plan(&rows, &[]).unwrap();
        assert!(added.iter().all(|put| matches!(put, Put::Added(_))) && added.len() == 3);
        let mut there = all.clone();
        there[1].status = Status::Failed;
        there.pop();
        let mut found = plan(&rows, &there).unwrap();
        found.sort_by_key(|put| match put {
            Put::There(_) => 0,
            Put::OtherStatus(..) => 1,
            Put::Added(_) => 2,
        });
        let expected = [
            Put::There(all[0].clone()),
            Put::OtherStatus(all[1].clone(), Status::Failed),
            Put::Added(all[2].clone()),
        ];
        assert_eq!(found, expected);
        there[0].digest = "another".to_owned();
        assert_eq!(plan(&rows, &there), Err(vec![all[0].key.clone()]));
    }
}
