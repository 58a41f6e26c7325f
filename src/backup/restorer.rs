//! The role that restores: made for one restore, and gone afterwards. What is in a dump runs as who restores it, so this one
//! may do nothing, and owns nothing but the database that is filled, for as long as that takes.
//!
//! Killed amid a restore, holdfast leaves it; the next one ends what still runs as it, and takes from it what it owns,
//! before anything is given to it again.

use std::path::Path;

use super::{connection::Connection, role::SUPERUSER, server::ServerError};

/// The account that restores, and its role while it does.
pub(super) const RESTORER: &str = "holdfast-restore";

/// How long PostgreSQL waits for the end of what it ends, in milliseconds.
const END: u32 = 10_000;

/// The server, asked as its superuser, in the database that is filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) connection: &'a Connection,
    pub(super) bin: &'a Path,
    pub(super) database: &'a str,
}

impl Server<'_> {
    pub(super) fn ask(&self, sql: &str) -> Result<String, ServerError> {
        self.connection.ask(self.bin, sql)
    }

    /// Ends whatever is still at work as the role: a program in a container outlives who started it, and a server that nobody
    /// listens to any more goes on until it has something to say.
    fn end(&self) -> Result<(), ServerError> {
        let end = format!(
            "SELECT count(pg_terminate_backend(pid, {END})) FROM pg_stat_activity WHERE usename = '{RESTORER}'"
        );
        self.ask(&end).map(drop)
    }

    /// Takes back what a restore left that was killed: its role can log in no longer, and its databases, whichever they are, are
    /// the superuser's. What it has in another database is not seen from here: the role stays for as long as that does.
    pub(super) fn clear(&self) -> Result<(), ServerError> {
        self.connection.clear(self.bin)?;
        let is_there =
            self.ask(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{RESTORER}'"))?;
        if is_there.trim() == "0" {
            return Ok(());
        }
        self.ask(&format!("ALTER ROLE {} NOLOGIN", quoted(RESTORER)))?;
        self.end()?;
        self.ask(&format!(
            "DO $$ DECLARE owned name; BEGIN FOR owned IN SELECT datname FROM pg_database \
             WHERE pg_get_userbyid(datdba) = '{RESTORER}' LOOP \
             EXECUTE format('ALTER DATABASE %I OWNER TO {SUPERUSER}', owned); END LOOP; END $$"
        ))?;
        Ok(())
    }

    /// Makes the role, or what one that stayed should be, and gives it the database.
    pub(super) fn appoint(&self) -> Result<(), ServerError> {
        let is_there =
            self.ask(&format!("SELECT count(*) FROM pg_roles WHERE rolname = '{RESTORER}'"))?;
        let verb = if is_there.trim() == "0" { "CREATE" } else { "ALTER" };
        let own = quoted(RESTORER);
        self.ask(&format!(
            "BEGIN; {verb} ROLE {own} LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD NULL; \
             ALTER DATABASE {} OWNER TO {own}; COMMIT",
            quoted(self.database)
        ))?;
        Ok(())
    }

    /// Gives what was restored to its owner. The role can do nothing more.
    pub(super) fn give(&self, owner: &str) -> Result<(), ServerError> {
        let own = quoted(RESTORER);
        self.ask(&format!(
            "BEGIN; ALTER ROLE {own} NOLOGIN; REASSIGN OWNED BY {own} TO {}; DROP OWNED BY {own}; COMMIT",
            quoted(owner)
        ))?;
        Ok(())
    }

    /// Of a restore that came to nothing: nothing of it stays, and the database is whose it was.
    pub(super) fn undo(&self, before: &str) -> Result<(), ServerError> {
        let own = quoted(RESTORER);
        self.ask(&format!("ALTER ROLE {own} NOLOGIN"))?;
        // One that was stopped may still hold what is altered next.
        self.connection.clear(self.bin)?;
        self.end()?;
        self.ask(&format!(
            "BEGIN; ALTER DATABASE {} OWNER TO {}; DROP OWNED BY {own}; COMMIT",
            quoted(self.database),
            quoted(before)
        ))?;
        self.dismiss()
    }

    /// Removes the role. By itself, so that where that cannot be nothing else is undone by it.
    pub(super) fn dismiss(&self) -> Result<(), ServerError> {
        self.ask(&format!("DROP ROLE {}", quoted(RESTORER))).map(drop)
    }
}

/// A name as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_no_statement() {
        assert_eq!(quoted("signer"), "\"signer\"");
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}
