//! A connection string as libpq takes one, in its form of a URI: read strictly, so that what is not understood is said and
//! not left out. Pure; nothing of it is ever shown.
//!
//! Form: PostgreSQL's documentation of libpq, "Connection URIs"; the variables: "Environment Variables".

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

/// What a connection string says.
#[derive(Default, PartialEq, Eq)]
pub struct Conninfo {
    /// The role to log in as.
    pub role: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// Its password.
    pub password: Option<Zeroizing<String>>,
    /// libpq's variables for everything else.
    pub env: Vec<(&'static str, String)>,
}

/// The password is not shown, nor is anything that could be one in another's place.
impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conninfo").finish_non_exhaustive()
    }
}

/// Why a text is none. It never has the text in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoFault {
    /// Not of this form at all.
    #[error("it is not of the form postgresql://role:password@host:port/database")]
    Form,
    /// An option that is not known.
    #[error("its option {0} is not supported")]
    Option(String),
    /// More than one server.
    #[error("it names several servers, and a backup is of one")]
    Several,
}

/// The options that are taken, with their variables: how the connection is protected, and nothing that would alter what is
/// dumped.
const OPTIONS: &[(&str, &str)] = &[
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslcrl", "PGSSLCRL"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("gssencmode", "PGGSSENCMODE"),
    ("hostaddr", "PGHOSTADDR"),
];

impl Conninfo {
    /// Reads one.
    ///
    /// # Errors
    /// [`ConninfoFault`].
    pub fn read(text: &str) -> Result<Self, ConninfoFault> {
        let text = text.trim();
        if !["postgresql://", "postgres://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(ConninfoFault::Form);
        }
        // libpq's list of servers, which is no URL's.
        let authority = text.split("://").nth(1).and_then(|rest| rest.split(['/', '?']).next());
        if authority.and_then(|all| all.rsplit('@').next()).is_some_and(|host| host.contains(',')) {
            return Err(ConninfoFault::Several);
        }
        let url = Url::parse(text).map_err(|_| ConninfoFault::Form)?;
        if url.fragment().is_some() {
            return Err(ConninfoFault::Form);
        }
        let mut conninfo = Self {
            role: decoded(url.username())?,
            database: decoded(url.path().trim_start_matches('/'))?,
            password: decoded(url.password().unwrap_or_default())?.map(Zeroizing::new),
            env: Vec::new(),
        };
        // An IPv6 address is in brackets in a URL, and is not in libpq's variable.
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Some(host) = decoded(host)? {
            conninfo.env.push(("PGHOST", host));
        }
        if let Some(port) = url.port() {
            conninfo.env.push(("PGPORT", port.to_string()));
        }
        for (name, value) in url.query_pairs() {
            let known = OPTIONS.iter().find(|(option, _)| *option == name);
            let (_, variable) = known.ok_or_else(|| {
                let shown = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
                ConninfoFault::Option(shown.take(40).collect())
            })?;
            conninfo.env.push((variable, value.into_owned()));
        }
        Ok(conninfo)
    }
}

/// A part of a URI as it is meant; nothing where there is nothing.
fn decoded(part: &str) -> Result<Option<String>, ConninfoFault> {
    let text = percent_decode_str(part).decode_utf8().map_err(|_| ConninfoFault::Form)?;
    // A line break would begin another entry of a password file.
    if text.contains(['\n', '\r', '\0']) {
        return Err(ConninfoFault::Form);
    }
    Ok((!text.is_empty()).then(|| text.into_owned()))
}

/// A password file of libpq's in which the password is for every server, as it is used for one only.
pub fn password_file(password: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::from("*:*:*:*:"));
    for c in password.chars() {
        if matches!(c, ':' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(conninfo: &Conninfo) -> Vec<(&str, &str)> {
        conninfo.env.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    #[test]
    fn all_of_it_is_taken_as_it_is_meant() {
        let text = "postgresql://holdfast-backup:p%40ss%3Aw%2Frd@db.example.net:5433/signer?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem\n";
        let read = Conninfo::read(text).unwrap();
        assert_eq!(read.role.as_deref(), Some("holdfast-backup"));
        assert_eq!(read.database.as_deref(), Some("signer"));
        assert_eq!(read.password.as_ref().map(|word| word.as_str()), Some("p@ss:w/rd"));
        assert_eq!(
            env(&read),
            [
                ("PGHOST", "db.example.net"),
                ("PGPORT", "5433"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "/etc/ca.pem")
            ]
        );
        assert!(!format!("{read:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_left_out_is_left_to_the_profile() {
        let read = Conninfo::read("postgres://[::1]").unwrap();
        assert_eq!((read.role, read.database, read.password), (None, None, None));
        assert_eq!(read.env, [("PGHOST", "::1".to_owned())]);
        let read = Conninfo::read("postgresql:///signer").unwrap();
        assert_eq!((read.database.as_deref(), read.env.len()), (Some("signer"), 0));
        let read = Conninfo::read("postgresql://%2Frun%2Fpostgresql/signer").unwrap();
        assert_eq!(read.env, [("PGHOST", "/run/postgresql".to_owned())]);
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_shown() {
        use ConninfoFault as F;
        for (text, fault) in [
            ("host=db password=secret", F::Form),
            ("https://db/secret", F::Form),
            ("postgresql://u:secret%0Ax@db/signer", F::Form),
            ("postgresql://u:secret%ff@db/signer", F::Form),
            ("postgresql://u:secret@db:port/signer", F::Form),
            ("postgresql://u:secret@one,two/signer", F::Several),
            ("postgresql://u@db/signer?options=-csecret", F::Option("options".into())),
            ("postgresql://u@db/signer?password=secret", F::Option("password".into())),
        ] {
            assert_eq!(Conninfo::read(text), Err(fault.clone()), "{text}");
            assert!(!fault.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_password_with_anything_in_it_stays_one_field() {
        assert_eq!(*password_file("a:b\\c"), "*:*:*:*:a\\:b\\\\c\n");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            drop(Conninfo::read(&text));
            drop(Conninfo::read(&format!("postgresql://{text}")));
        }
    }
}
