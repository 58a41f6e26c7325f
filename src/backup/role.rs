//! The role that reads the database: what it may do and what it may not. Pure, but for [`look`] and [`make`].
//!
//! `pg_read_all_data` reads every table of every database it may connect to, and among them `pg_authid`, with the verifiers of
//! passwords (seen on PostgreSQL 15). Rights on the signer's two schemas alone would not outlast its migrations.

use serde::Deserialize;

use super::{
    connection::{Login, Way, reach, reach_as},
    server::ServerError,
};
use crate::{
    host::Reader,
    profile::{schema::Backup, types::DatabaseName},
};

/// The predefined role that it is a member of, and of no other.
const READS: &str = "pg_read_all_data";

/// Debian's account of PostgreSQL's superuser, and the role's name.
pub(super) const SUPERUSER: &str = "postgres";

/// What a role may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "as many as PostgreSQL has of them")]
pub struct Rights {
    login: bool,
    superuser: bool,
    create_role: bool,
    create_database: bool,
    replication: bool,
    bypass_rls: bool,
    password: bool,
    member_of: Vec<String>,
    owned: u64,
}

/// Asks for [`Rights`]; no answer when there is no such role.
fn question(role: &DatabaseName) -> String {
    format!(
        "SELECT json_build_object('login', rolcanlogin, 'superuser', rolsuper, 'create_role', rolcreaterole, \
         'create_database', rolcreatedb, 'replication', rolreplication, 'bypass_rls', rolbypassrls, \
         'password', rolpassword IS NOT NULL, \
         'member_of', (SELECT coalesce(json_agg(o.rolname ORDER BY o.rolname), '[]'::json) FROM pg_auth_members m \
         JOIN pg_authid o ON o.oid = m.roleid WHERE m.member = r.oid), \
         'owned', (SELECT count(*) FROM pg_shdepend WHERE refobjid = r.oid AND deptype = 'o')) \
         FROM pg_authid r WHERE rolname = '{role}'"
    )
}

/// What is wrong with a role; nothing: it can read all, log in over the socket, and do nothing else.
pub fn faults(rights: Option<&Rights>, by_socket: bool) -> Vec<String> {
    let Some(rights) = rights else { return vec!["there is no such role".to_owned()] };
    let mut faults = Vec::new();
    if !rights.login {
        faults.push("it may not log in".to_owned());
    }
    if !rights.member_of.iter().any(|role| role == READS) && !rights.superuser {
        faults.push(format!(
            "it is no member of {READS}, and a dump would lack what it may not read"
        ));
    }
    let more = [
        (rights.superuser, "it is a superuser"),
        (rights.create_role, "it may make roles"),
        (rights.create_database, "it may make databases"),
        (
            rights.replication,
            "it may replicate, which reads everything and holds back what can be deleted",
        ),
        (rights.bypass_rls, "it passes by row security"),
        (rights.password && by_socket, "it has a password, which the socket does not ask for"),
    ];
    faults.extend(more.into_iter().filter(|(has, _)| *has).map(|(_, text)| text.to_owned()));
    faults.extend(
        rights
            .member_of
            .iter()
            .filter(|role| *role != READS)
            .map(|role| format!("it is a member of {role}")),
    );
    if rights.owned > 0 {
        faults.push(format!("it owns {} objects, and can alter them", rights.owned));
    }
    faults
}

/// The statements that make a role what it should be. They say nothing of what is already so.
pub fn statements(role: &DatabaseName, rights: Option<&Rights>, by_socket: bool) -> Vec<String> {
    const PLAIN: &str = "LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS";
    let default = Rights::default();
    let (verb, had) = match rights {
        None => ("CREATE", &default),
        Some(rights) => ("ALTER", rights),
    };
    let password = if by_socket { " PASSWORD NULL" } else { "" };
    let mut statements = Vec::new();
    let plain = Rights { login: true, member_of: Vec::new(), owned: 0, ..Rights::default() };
    let now = Rights {
        member_of: Vec::new(),
        owned: 0,
        password: had.password && by_socket,
        ..had.clone()
    };
    if rights.is_none() || now != plain {
        statements.push(format!("{verb} ROLE \"{role}\" {PLAIN}{password}"));
    }
    let more = had.member_of.iter().filter(|other| *other != READS);
    statements.extend(more.map(|other| {
        let other = other.replace('"', "\"\"");
        format!("REVOKE \"{other}\" FROM \"{role}\"")
    }));
    if !had.member_of.iter().any(|other| other == READS) {
        statements.push(format!("GRANT {READS} TO \"{role}\""));
    }
    statements
}

/// The server's superuser: over its socket, or in its container.
fn superuser(reader: &Reader, name: &str, backup: &Backup) -> Result<Way, ServerError> {
    let login = Login { role: SUPERUSER, database: SUPERUSER };
    reach_as(reader, name, backup, login, "psql")
}

/// What the role of a backup may do, as the server's superuser sees it; `None`: there is none.
///
/// # Errors
/// When the server cannot be asked.
pub fn look(reader: &Reader, name: &str, backup: &Backup) -> Result<Option<Rights>, ServerError> {
    let way = superuser(reader, name, backup)?;
    let answer = way.connection.ask(way.newest()?.1, &question(&backup.role))?;
    let answer = answer.trim();
    if answer.is_empty() {
        return Ok(None);
    }
    let rights = serde_json::from_str(answer);
    rights.map(Some).map_err(|_| ServerError::Answer("of a role's rights".into()))
}

/// Carries statements out, all or none.
///
/// # Errors
/// With the server's own words when it does not.
pub fn make(
    reader: &Reader,
    name: &str,
    backup: &Backup,
    statements: &[String],
) -> Result<(), ServerError> {
    let way = superuser(reader, name, backup)?;
    let all = format!("BEGIN; {}; COMMIT", statements.join("; "));
    way.connection.ask(way.newest()?.1, &all)?;
    Ok(())
}

/// Whether the role's account gets in as a backup does.
///
/// # Errors
/// With psql's words when it does not.
pub fn log_in(reader: &Reader, name: &str, backup: &Backup) -> Result<(), ServerError> {
    let way = reach(reader, name, backup, "psql")?;
    way.connection.ask(way.newest()?.1, "SELECT 1").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role() -> DatabaseName {
        "holdfast-backup".parse().unwrap()
    }

    fn good() -> Rights {
        Rights { login: true, member_of: vec![READS.into()], ..Rights::default() }
    }

    #[test]
    fn a_role_that_reads_all_and_nothing_else_is_left_alone() {
        assert!(faults(Some(&good()), true).is_empty());
        assert!(statements(&role(), Some(&good()), true).is_empty());
        let with_password = Rights { password: true, ..good() };
        assert!(faults(Some(&with_password), false).is_empty(), "TCP asks for one");
        assert!(statements(&role(), Some(&with_password), false).is_empty());
    }

    #[test]
    fn each_right_more_is_a_fault_and_is_taken() {
        let cases = [
            Rights { login: false, ..good() },
            Rights { superuser: true, ..good() },
            Rights { create_role: true, ..good() },
            Rights { create_database: true, ..good() },
            Rights { replication: true, ..good() },
            Rights { bypass_rls: true, ..good() },
            Rights { password: true, ..good() },
        ];
        for rights in cases {
            assert_eq!(faults(Some(&rights), true).len(), 1, "{rights:?}");
            assert_eq!(
                statements(&role(), Some(&rights), true),
                [
                    "ALTER ROLE \"holdfast-backup\" LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD NULL"
                ],
                "{rights:?}"
            );
        }
        let member = Rights { member_of: vec!["pg_monitor".into()], ..good() };
        assert_eq!(faults(Some(&member), true).len(), 2);
        assert_eq!(
            statements(&role(), Some(&member), true),
            [
                "REVOKE \"pg_monitor\" FROM \"holdfast-backup\"",
                "GRANT pg_read_all_data TO \"holdfast-backup\""
            ]
        );
        let owner = Rights { owned: 2, ..good() };
        assert_eq!(faults(Some(&owner), true), ["it owns 2 objects, and can alter them"]);
        assert!(
            statements(&role(), Some(&owner), true).is_empty(),
            "what it owns is for a person to give"
        );
    }

    #[test]
    fn a_role_that_is_not_there_is_made() {
        assert_eq!(faults(None, true), ["there is no such role"]);
        let made = statements(&role(), None, true);
        assert!(made[0].starts_with("CREATE ROLE \"holdfast-backup\" LOGIN NOSUPERUSER"));
        assert_eq!(made[1], "GRANT pg_read_all_data TO \"holdfast-backup\"");
    }
}
