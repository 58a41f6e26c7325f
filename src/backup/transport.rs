//! How what goes over TCP is protected: a dump has every row of the signer's, and a password opens its database. Pure.
//!
//! libpq's own answer is `prefer`: TLS if the server offers it, with whoever offers it. Its variables: PostgreSQL's documentation
//! of libpq, "Environment Variables"; what each `sslmode` is worth: "Protection Provided in Different Modes".

use std::net::IpAddr;

/// The authorities that Debian trusts, and the operator's with them (package ca-certificates).
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why a connection is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransportFault {
    /// What is asked for would go over a network in the clear.
    #[error(
        "its server is not on this host, and its connection string lets the connection go without TLS: say sslmode=verify-full, or require, which is then held to the password (channel_binding)"
    )]
    Clear,
}

/// What protects a connection with these variables, beside what they say already. `has_password`: whether one is given.
///
/// Off the host it is TLS with who proves to be the server: by a certificate, or, where the operator settles for less, by knowing
/// the password's verifier over this very TLS. On it a socket of TCP is anybody's who is there first: the password is
/// given to nobody who asks for it in the clear (libpq 16 and newer).
///
/// # Errors
/// [`TransportFault`].
pub fn protection(
    env: &[(&'static str, String)],
    has_password: bool,
) -> Result<Vec<(&'static str, String)>, TransportFault> {
    let said = |name: &str| env.iter().find(|(each, _)| *each == name).map(|(_, value)| &**value);
    let host = said("PGHOSTADDR").or_else(|| said("PGHOST")).unwrap_or_default();
    let mode = said("PGSSLMODE");
    let mut more = Vec::new();
    let mut lacking = |name: &'static str, value: &str| {
        if said(name).is_none() {
            more.push((name, value.to_owned()));
        }
    };
    if host.is_empty() || host.starts_with(['/', '@']) {
        return Ok(more);
    }
    if is_loopback(host) {
        if has_password && mode != Some("verify-full") {
            lacking("PGREQUIREAUTH", "scram-sha-256");
        }
        return Ok(more);
    }
    match mode {
        None | Some("verify-full") => {
            lacking("PGSSLMODE", "verify-full");
            lacking("PGSSLROOTCERT", AUTHORITIES);
        }
        // Signed by one of the operator's own authorities, if not for this name.
        Some("verify-ca") => lacking("PGSSLROOTCERT", AUTHORITIES),
        Some("require") if has_password => lacking("PGCHANNELBINDING", "require"),
        // Without a password it is a certificate that this host shows, and the server's is the operator's to settle.
        Some("require") => {}
        Some(_) => return Err(TransportFault::Clear),
    }
    Ok(more)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected(
        env: &[(&'static str, &str)],
        has_password: bool,
    ) -> Result<String, TransportFault> {
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let more = protection(&env, has_password)?;
        let words: Vec<_> = more.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn off_the_host_it_is_tls_with_who_proves_to_be_the_server() {
        let full =
            "PGSSLMODE=verify-full PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt".to_owned();
        for host in ["db.example.net", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(protected(&[("PGHOST", host)], true), Ok(full.clone()), "{host}");
            let mode =
                |mode, password| protected(&[("PGHOST", host), ("PGSSLMODE", mode)], password);
            assert_eq!(mode("require", true), Ok("PGCHANNELBINDING=require".into()));
            assert_eq!(mode("verify-full", true), Ok(full[22..].to_owned()));
            for less in ["disable", "allow", "prefer", "no such"] {
                assert_eq!(mode(less, true), Err(TransportFault::Clear), "{less}");
            }
        }
        let own =
            [("PGHOST", "db"), ("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/etc/own.pem")];
        assert_eq!(protected(&own, true), Ok(String::new()), "the operator's own authority");
        // What is connected to counts, and not what it is called.
        let elsewhere = [("PGHOST", "localhost"), ("PGHOSTADDR", "192.0.2.1")];
        assert_eq!(protected(&elsewhere, false), Ok(full));
    }

    #[test]
    fn on_the_host_a_password_is_not_told_to_who_listens() {
        for host in ["127.0.0.1", "::1", "localhost", "127.8.8.8"] {
            let scram = Ok("PGREQUIREAUTH=scram-sha-256".to_owned());
            assert_eq!(protected(&[("PGHOST", host)], true), scram, "{host}");
            assert_eq!(protected(&[("PGHOST", host)], false), Ok(String::new()), "{host}");
        }
        for socket in ["/run/postgresql", "@abstract"] {
            assert_eq!(protected(&[("PGHOST", socket)], true), Ok(String::new()), "{socket}");
        }
    }
}
