//! PostgreSQL's servers and programs: which are there, and how they are asked.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::PathBuf,
    process::ChildStdout,
    time::{Duration, Instant},
};

pub use super::connection::Connection;
use super::{conninfo::ConninfoFault, ephemeral::START_LIMIT, transport::TransportFault};
use crate::host::{
    HostError, Reader,
    stage::{Identity, Stage},
};

/// Where Debian has the programs of each major version (postgresql-common).
const VERSIONS: &str = "/usr/lib/postgresql";

/// A question that is no dump.
pub(super) const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// What cannot be done with PostgreSQL.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum ServerError {
    #[error(
        "there is no account {0}; run: systemd-sysusers /usr/share/holdfast/accounts.conf, or for one of another name: useradd --system --user-group --shell /usr/sbin/nologin {0}"
    )]
    NoAccount(String),
    #[error("PostgreSQL's client is not installed; run: apt-get install postgresql-client")]
    NoClient,
    #[error(
        "the server is of version {server}, and the newest client here of {newest}: an older one cannot dump it; run: apt-get install postgresql-client-{server}"
    )]
    OldClient { server: u32, newest: u32 },
    #[error(
        "no server of version {0} or newer is installed to restore it into; run: apt-get install postgresql-{0}"
    )]
    NoServer(u32),
    #[error("the ephemeral server did not start within {} s", START_LIMIT.as_secs())]
    NoStart,
    #[error("{client} cannot be run in the container {name}: {said}")]
    NoContainer { name: String, client: String, said: String },
    #[error(
        "there is no credential {0}; run: systemd-creds encrypt --name={0} - /etc/credstore.encrypted/{0}, and give it postgresql://role:password@host:port/database"
    )]
    NoCredential(String),
    #[error("the credential {id} is no connection string")]
    Credential {
        id: String,
        #[source]
        fault: ConninfoFault,
    },
    #[error(
        "the connection string in {id} is for another {what} than {meant}, which the profile says"
    )]
    OtherThanProfile { id: String, what: &'static str, meant: String },
    #[error(transparent)]
    Transport(#[from] TransportFault),
    #[error("the server's answer is not what was asked for: {0}")]
    Answer(String),
    #[error(
        "{table} is not what a signer makes, and looking at it would run what somebody else wrote: {faults}"
    )]
    NotPlain { table: String, faults: String },
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The programs of each major version that has one of this name.
///
/// # Errors
/// When they cannot be listed.
pub fn versions(reader: &Reader, program: &str) -> Result<BTreeMap<u32, PathBuf>, HostError> {
    if !reader.files().is_dir(VERSIONS) {
        return Ok(BTreeMap::new());
    }
    let names = reader.files().list(VERSIONS)?;
    let majors = names.iter().filter_map(|name| name.parse::<u32>().ok());
    let bins = majors.map(|major| (major, format!("{VERSIONS}/{major}/bin")));
    let there = bins.filter(|(_, bin)| reader.files().exists(&format!("{bin}/{program}")));
    Ok(there.map(|(major, bin)| (major, PathBuf::from(bin))).collect())
}

/// The programs to use with a server of this major version: its own, or else the next newer ones, and never older ones,
/// which refuse it.
pub fn choose(versions: &BTreeMap<u32, PathBuf>, major: u32) -> Option<(u32, &PathBuf)> {
    versions.range(major..).next().map(|(major, bin)| (*major, bin))
}

/// The first major version whose `pg_restore` begins with what no older server knows: `SET transaction_timeout` (release
/// notes of PostgreSQL 17, E.7.3.1.6; `_doSetFixedOutputState` in `pg_backup_archiver.c`).
pub(super) const SETS_MORE: u32 = 17;

/// Whether a server of a major version takes what `pg_restore` of another says.
pub const fn takes(server: u32, pg_restore: u32) -> bool {
    pg_restore < SETS_MORE || server >= SETS_MORE
}

/// How to have the programs of a server's own version.
pub fn install_client(server: u32) -> String {
    format!("install postgresql-client-{server}, from apt.postgresql.org where Debian has none")
}

/// The account of this name.
///
/// # Errors
/// When there is none.
pub fn account(reader: &Reader, name: &str) -> Result<Identity, ServerError> {
    let accounts = reader.accounts()?;
    let found = accounts.iter().find(|account| account.name == name);
    let found = found.ok_or_else(|| ServerError::NoAccount(name.to_owned()))?;
    Ok(Identity { uid: found.uid, gid: found.gid })
}

/// Who else is connected to a database: of other roles' sessions only a superuser sees more than that they are there, and
/// those count as a signer's.
const CLIENTS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend' \
     AND coalesce(application_name, '') NOT LIKE 'holdfast%'";

/// Who has just left is still counted for a moment; who is at work stays.
const LEAVING: Duration = Duration::from_secs(2);

/// How many others are connected to a database.
///
/// # Errors
/// When it cannot be asked.
pub(super) fn clients(connection: &Connection, bin: &std::path::Path) -> Result<u64, ServerError> {
    let begun = Instant::now();
    loop {
        let answer = connection.ask(bin, CLIENTS)?;
        let count = answer.trim().parse();
        let count = count.map_err(|_| ServerError::Answer(answer.trim().to_owned()))?;
        if count == 0 || begun.elapsed() > LEAVING {
            return Ok(count);
        }
    }
}

/// psql as a program uses it: nobody's configuration, nothing but values, and an end at the first error.
pub(super) const PSQL: &[&str] = &[
    "--no-psqlrc",
    "--quiet",
    "--tuples-only",
    "--no-align",
    "--no-password",
    "--set=ON_ERROR_STOP=1",
];

/// What psql is given first: where the server knows how to (since the fix of CVE-2024-7348), it lets nobody put a view or a
/// foreign table in the place of a table, whose code would run as who asks. PostgreSQL's own programs do the same.
pub(super) const PRELUDE: &str = "\\o /dev/null\n\
SELECT pg_catalog.set_config(name, 'view, foreign-table', false) FROM pg_catalog.pg_settings \
WHERE name = 'restrict_nonsystem_relation_kind';\n\\o\n";

/// How large an answer may be, in bytes: what is asked for in a conversation is small, or the rows of one small table.
const ANSWER_LIMIT: usize = 64 << 20;

/// What psql is told to print after an answer.
const MARK: &str = "--holdfast: that was all--";

/// A conversation with a server, in one transaction.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    answers: BufReader<ChildStdout>,
}

impl Session {
    /// Begins one.
    ///
    /// # Errors
    /// When psql cannot be started.
    pub fn begin(
        connection: &Connection,
        bin: &std::path::Path,
        limit: Duration,
    ) -> Result<Self, ServerError> {
        let psql = bin.join("psql");
        let mut stage = connection.launch(&psql, PSQL, limit).start()?;
        let answers = stage.stdout.take();
        let answers = answers.ok_or_else(|| ServerError::Answer("psql has no output".into()))?;
        if let Some(pipe) = &mut stage.stdin {
            // A psql that has ended says why when it is asked something.
            drop(pipe.write_all(PRELUDE.as_bytes()));
        }
        Ok(Self { stage, answers: BufReader::new(answers) })
    }

    /// One question, and its answer.
    ///
    /// # Errors
    /// With psql's own words when the server says no; the conversation is over then.
    pub fn ask(mut self, sql: &str) -> Result<(Self, String), ServerError> {
        let line = format!("{sql};\n\\echo '{MARK}'\n");
        if let Some(pipe) = &mut self.stage.stdin {
            // A psql that has ended says why when its end is asked for.
            drop(pipe.write_all(line.as_bytes()).and_then(|()| pipe.flush()));
        }
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let room = (ANSWER_LIMIT + 1).saturating_sub(answer.len());
            let read = self.answers.by_ref().take(room as u64).read_line(&mut line);
            if answer.len() + line.len() > ANSWER_LIMIT {
                return Err(ServerError::Answer(format!("it has more than {ANSWER_LIMIT} bytes")));
            }
            if read.map_or(true, |bytes| bytes == 0) {
                self.stage.end()?;
                return Err(ServerError::Answer("psql ended before it had answered".into()));
            }
            if line.trim_end() == MARK {
                return Ok((self, answer));
            }
            answer.push_str(&line);
        }
    }

    /// Ends it well.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn end(self) -> Result<(), ServerError> {
        Ok(self.stage.end()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_the_servers_own_or_newer_and_never_older() {
        let versions = |majors: &[u32]| -> BTreeMap<u32, PathBuf> {
            majors.iter().map(|major| (*major, PathBuf::from(major.to_string()))).collect()
        };
        let chosen = |majors: &[u32], server| choose(&versions(majors), server).map(|(m, _)| m);
        assert_eq!(chosen(&[14, 15, 17], 15), Some(15));
        assert_eq!(chosen(&[14, 17, 18], 15), Some(17));
        assert_eq!(chosen(&[13, 14], 15), None);
        assert_eq!(chosen(&[], 15), None);
    }
}
