//! How a backup's server is reached, and as whom: over its socket, by TCP, by the connection string of a credential, or
//! within its container.

use std::{collections::BTreeMap, fs::File, path::Path, path::PathBuf, sync::Arc, time::Duration};

use super::{
    conninfo::{Conninfo, password_file},
    server::{PRELUDE, PSQL, QUESTION_LIMIT, ServerError, account, versions},
    transport::protection,
    within::{CLEAR, Within},
};
use crate::{
    host::{
        HostError, Reader, secret,
        stage::{Floor, Identity, Launch, Stage},
    },
    profile::schema::Backup,
};

/// What every session is told as it begins, before any setting of a role or a database. The functions and tables that are
/// not named in full are PostgreSQL's own, whatever somebody has put into `public`; and a policy of a table, which would
/// run as who asks, is an error instead.
const OPTIONS: &str = "-c search_path=pg_catalog -c row_security=off";

/// How a server is reached, and as whom.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Whose processes ask.
    pub identity: Identity,
    /// Whether they are without any network.
    pub isolated: bool,
    pub(super) env: Vec<(&'static str, String)>,
    /// A password file that only they can read, in memory.
    password: Option<Arc<File>>,
    /// The container that they are in.
    within: Option<Within>,
}

/// A connection, and PostgreSQL's clients that make it, by their major versions.
#[derive(Debug)]
pub struct Way {
    /// How the server is reached.
    pub connection: Connection,
    /// Where the clients are.
    pub clients: BTreeMap<u32, PathBuf>,
}

impl Way {
    /// The newest clients: good for questions to a server of any version.
    ///
    /// # Errors
    /// When there are none.
    pub fn newest(&self) -> Result<(u32, &Path), ServerError> {
        let (major, bin) = self.clients.last_key_value().ok_or(ServerError::NoClient)?;
        Ok((*major, bin))
    }
}

/// As whom, and in which database.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The role, and the account whose processes ask.
    pub role: &'a str,
    /// The database.
    pub database: &'a str,
}

/// The way to the database of a backup as its role, with the clients that have `client` among them. `name`: what the
/// backup is called in the profile.
///
/// # Errors
/// When there is no such account, container or credential.
pub fn reach(
    reader: &Reader,
    name: &str,
    backup: &Backup,
    client: &str,
) -> Result<Way, ServerError> {
    let own = Login { role: backup.role.as_str(), database: backup.database.as_str() };
    way(reader, name, backup, own, client, true)
}

/// The same as another role, without any password of the backup's.
///
/// # Errors
/// As [`reach`].
pub fn reach_as(
    reader: &Reader,
    name: &str,
    backup: &Backup,
    login: Login<'_>,
    client: &str,
) -> Result<Way, ServerError> {
    way(reader, name, backup, login, client, false)
}

fn way(
    reader: &Reader,
    name: &str,
    backup: &Backup,
    login: Login<'_>,
    client: &str,
    is_own: bool,
) -> Result<Way, ServerError> {
    if let Some(container) = &backup.container {
        let (within, major) = Within::find(reader, container, client)?;
        // As root, who alone may ask an engine; inside it is the container's own account.
        let mut connection = Connection::of(backup, Identity::ROOT);
        connection.log_in_as(login);
        // The container knows where its socket is.
        connection.env.retain(|(name, _)| *name != "PGHOST");
        // By which what a run left is told from a watch that goes on meanwhile.
        connection.set("PGAPPNAME", &format!("holdfast {client} {name}"));
        connection.within = Some(within);
        return Ok(Way { connection, clients: BTreeMap::from([(major, Within::bin())]) });
    }
    let identity = account(reader, login.role)?;
    let mut connection = Connection::of(backup, identity);
    connection.log_in_as(login);
    if !is_own {
        connection.env.retain(|(name, _)| *name != "PGPASSFILE");
    }
    if backup.credential {
        let id = credential(name);
        let text = secret::credential(&id)?.ok_or_else(|| ServerError::NoCredential(id.clone()))?;
        let given = Conninfo::read(&text)
            .map_err(|fault| ServerError::Credential { id: id.clone(), fault })?;
        connection.take(&id, &given, is_own)?;
    }
    connection.protect()?;
    Ok(Way { connection, clients: versions(reader, client)? })
}

/// The name of the credential that has a backup's connection string.
pub fn credential(name: &str) -> String {
    format!("holdfast-backup.{name}")
}

impl Connection {
    /// The server of a backup, as its role; without a credential.
    pub fn of(backup: &Backup, identity: Identity) -> Self {
        let host = backup.host.as_ref().map_or(backup.socket.as_str(), |host| host.as_str());
        let mut connection = Self::new(identity, host, backup.role.as_str());
        connection.env.push(("PGPORT", backup.port.to_string()));
        connection.env.push(("PGDATABASE", backup.database.to_string()));
        let wait = backup.lock_timeout.as_secs().saturating_mul(1000);
        connection.set("PGOPTIONS", &format!("{OPTIONS} -c lock_timeout={wait}"));
        if let Some(file) = &backup.password_file {
            connection.env.push(("PGPASSFILE", file.to_string()));
        }
        connection
    }

    /// Another database of the same server, as another role.
    pub fn other(backup: &Backup, identity: Identity, role: &str, database: &str) -> Self {
        let mut connection = Self::of(backup, identity);
        connection.log_in_as(Login { role, database });
        connection
    }

    pub(super) fn new(identity: Identity, host: &str, role: &str) -> Self {
        let env = vec![
            ("PGHOST", host.to_owned()),
            ("PGUSER", role.to_owned()),
            ("PGAPPNAME", "holdfast".to_owned()),
            ("PGCONNECT_TIMEOUT", "10".to_owned()),
            ("PGOPTIONS", OPTIONS.to_owned()),
        ];
        Self { identity, isolated: false, env, password: None, within: None }
    }

    fn log_in_as(&mut self, login: Login<'_>) {
        self.set("PGUSER", login.role);
        self.set("PGDATABASE", login.database);
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.env.retain(|(each, _)| *each != name);
        self.env.push((name, value.to_owned()));
    }

    /// Takes a connection string: all of it as the backup's own role, the server alone as another.
    fn take(&mut self, id: &str, given: &Conninfo, is_own: bool) -> Result<(), ServerError> {
        for (name, value) in &given.env {
            self.set(name, value);
        }
        if !is_own {
            return Ok(());
        }
        for (variable, said) in [("PGUSER", &given.role), ("PGDATABASE", &given.database)] {
            let meant = self.env.iter().find(|(name, _)| *name == variable);
            let meant = meant.map(|(_, value)| value.as_str()).unwrap_or_default();
            if said.as_deref().is_some_and(|said| said != meant) {
                let what = if variable == "PGUSER" { "role" } else { "database" };
                let meant = meant.to_owned();
                return Err(ServerError::OtherThanProfile { id: id.to_owned(), what, meant });
            }
        }
        if let Some(password) = &given.password {
            let file = secret::lend(&password_file(password), self.identity)?;
            self.set("PGPASSFILE", &secret::path_of(&file));
            self.password = Some(Arc::new(file));
        }
        Ok(())
    }

    /// Has what goes over TCP protected.
    fn protect(&mut self) -> Result<(), ServerError> {
        let has_password = self.env.iter().any(|(name, _)| *name == "PGPASSFILE");
        for (name, value) in protection(&self.env, has_password)? {
            self.set(name, &value);
        }
        Ok(())
    }

    /// A program that talks to the server.
    pub fn launch<'a>(&self, program: &'a Path, args: &[&str], limit: Duration) -> Client<'a> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let launch = match &self.within {
            Some(within) => within.launch(program, &args, &self.env, limit),
            None => Launch {
                program,
                args,
                env: self.env.clone(),
                identity: Some(self.identity),
                isolated: self.isolated,
                limit,
            },
        };
        Client { launch, password: self.password.clone() }
    }

    /// One question, and its answer: what psql prints, without decoration.
    ///
    /// # Errors
    /// When the server says no.
    pub fn ask(&self, bin: &Path, sql: &str) -> Result<String, ServerError> {
        let psql = bin.join("psql");
        let output = self
            .launch(&psql, PSQL, QUESTION_LIMIT)
            .ask(format!("{PRELUDE}{sql};\n").as_bytes())?;
        String::from_utf8(output).map_err(|_| ServerError::Answer("it is not UTF-8".into()))
    }

    /// Ends what a run of this backup has left running out of reach: programs in a container outlive who started them.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn clear(&self, bin: &Path) -> Result<(), ServerError> {
        if self.within.is_some() {
            self.ask(bin, CLEAR)?;
        }
        Ok(())
    }
}

/// A program that talks to a server.
#[derive(Debug)]
pub struct Client<'a> {
    launch: Launch<'a>,
    password: Option<Arc<File>>,
}

impl Client<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<Stage, HostError> {
        self.launch.start_with(self.password.as_deref())
    }

    /// Starts it with what it starts, apart from the rest of the host: see [`Launch::start_alone`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_alone(&self, floor: &Floor) -> Result<Stage, HostError> {
        self.launch.start_alone(floor)
    }

    /// Runs it to its end, and gives what it printed.
    ///
    /// # Errors
    /// When it cannot be started, fails, runs over its time or prints too much.
    pub fn ask(&self, input: &[u8]) -> Result<Vec<u8>, HostError> {
        self.launch.ask_with(input, self.password.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(more: &str) -> Backup {
        toml::from_str(&format!("database = \"signer\"\nto = [\"alice\"]\n{more}")).unwrap()
    }

    fn value<'a>(connection: &'a Connection, name: &str) -> Option<&'a str> {
        let found = connection.env.iter().find(|(each, _)| *each == name);
        found.map(|(_, value)| value.as_str())
    }

    fn given(uri: &str) -> Conninfo {
        Conninfo::read(uri).unwrap()
    }

    #[test]
    fn a_connection_string_names_the_server_and_not_another_role_or_database() {
        let mut connection = Connection::of(&rules("credential = true"), Identity::ROOT);
        connection.take("c", &given("postgresql://db:5433?sslmode=require"), true).unwrap();
        assert_eq!(value(&connection, "PGHOST"), Some("db"));
        assert_eq!(value(&connection, "PGPORT"), Some("5433"));
        assert_eq!(value(&connection, "PGSSLMODE"), Some("require"));
        assert_eq!(value(&connection, "PGUSER"), Some("holdfast-backup"));
        for (uri, what) in
            [("postgresql://admin@db", "role"), ("postgresql://db/other", "database")]
        {
            let refused = connection.take("c", &given(uri), true);
            let Err(ServerError::OtherThanProfile { what: said, .. }) = refused else {
                panic!("{uri}")
            };
            assert_eq!(said, what);
            connection.take("c", &given(uri), false).unwrap();
        }
    }

    #[test]
    fn no_session_finds_what_somebody_put_into_public() {
        let connection = Connection::of(&rules("lock_timeout = \"2s\""), Identity::ROOT);
        assert_eq!(
            value(&connection, "PGOPTIONS"),
            Some("-c search_path=pg_catalog -c row_security=off -c lock_timeout=2000")
        );
        let connection = Connection::new(Identity::ROOT, "/run/x", "y");
        assert!(value(&connection, "PGOPTIONS").unwrap().starts_with(OPTIONS));
    }

    #[test]
    fn a_password_is_in_no_variable_and_no_argument() {
        let mut connection = Connection::of(&rules("credential = true"), Identity::ROOT);
        connection.take("c", &given("postgresql://:not-so-secret@db"), true).unwrap();
        let client = connection.launch(Path::new("/usr/bin/psql"), PSQL, QUESTION_LIMIT);
        assert!(!format!("{client:?} {connection:?}").contains("not-so-secret"));
        assert!(value(&connection, "PGPASSFILE").unwrap().starts_with("/proc/self/fd/"));
    }
}
