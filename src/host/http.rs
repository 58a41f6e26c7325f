//! Questions to a server by HTTP: one, its answer, one deadline over both.
//!
//! No proxy, whatever the environment says: it would answer in the server's place. No redirect, for the same reason. No
//! authority but those of a given file.

use std::{io, sync::Arc, time::Duration};

use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem},
};

use super::Files;

/// The longest answer that is read: what a Stacks node says of itself is a few kB.
const LONGEST: u64 = 256 << 10;

/// The longest headers.
const LONGEST_HEAD: usize = 16 << 10;

/// Why there is no answer. Nothing of what the server said is in it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum HttpError {
    #[error("{url} did not answer within {limit:?}")]
    Slow { url: String, limit: Duration },
    #[error("{url} sent more than {LONGEST} bytes")]
    Long { url: String },
    #[error("{url} sends on to another address, and nobody else is asked (status {status})")]
    Elsewhere { url: String, status: u16 },
    #[error("{url} is not who its certificate would have to say it is")]
    Tls { url: String, source: Box<rustls::Error> },
    #[error("{url} has no address")]
    NoAddress { url: String },
    #[error("no conversation with {url}")]
    Talk { url: String, source: io::Error },
    #[error("{url} does not speak HTTP as it should: {what}")]
    Protocol { url: String, what: String },
    #[error(
        "{path} has no certificate of an authority in it; run: apt-get install ca-certificates"
    )]
    NoAuthorities { path: String },
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// What stands below the headers.
    pub body: Vec<u8>,
}

/// Asks.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    limit: Duration,
}

impl Client {
    /// One that believes the authorities in a file, and waits so long for each answer. The file is read only if TLS is
    /// spoken with anybody.
    ///
    /// # Errors
    /// When there is no certificate in it.
    pub fn new(
        files: &Files,
        authorities: Option<&str>,
        limit: Duration,
    ) -> Result<Self, HttpError> {
        let roots = match authorities {
            Some(path) => read(files, path)?,
            None => Vec::new(),
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(limit))
            .max_response_header_size(LONGEST_HEAD)
            .max_idle_connections(0)
            .user_agent("holdfast")
            .build();
        Ok(Self { agent: config.new_agent(), limit })
    }

    /// GET.
    ///
    /// # Errors
    /// [`HttpError`]. A status of 400 and more is an answer.
    pub fn get(&self, url: &str) -> Result<Answer, HttpError> {
        self.taken(url, self.agent.get(url).call())
    }

    /// POST of a JSON document.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn post(&self, url: &str, json: &str) -> Result<Answer, HttpError> {
        self.taken(url, self.agent.post(url).content_type("application/json").send(json))
    }

    fn taken(
        &self,
        url: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, HttpError> {
        let mut response = response.map_err(|error| self.fault(url, error))?;
        let status = response.status().as_u16();
        if response.status().is_redirection() {
            return Err(HttpError::Elsewhere { url: url.to_owned(), status });
        }
        let body = response.body_mut().with_config().limit(LONGEST).read_to_vec();
        Ok(Answer { status, body: body.map_err(|error| self.fault(url, error))? })
    }

    fn fault(&self, url: &str, error: ureq::Error) -> HttpError {
        use ureq::Error as E;
        let url = url.to_owned();
        match error {
            E::Timeout(_) => HttpError::Slow { url, limit: self.limit },
            E::BodyExceedsLimit(_) | E::LargeResponseHeader(..) => HttpError::Long { url },
            E::HostNotFound => HttpError::NoAddress { url },
            E::Rustls(source) => HttpError::Tls { url, source: Box::new(source) },
            E::Io(source) => of_io(url, source),
            other => HttpError::Protocol { url, what: other.to_string() },
        }
    }
}

/// rustls says what it has against a certificate through the socket.
fn of_io(url: String, source: io::Error) -> HttpError {
    match source.downcast::<rustls::Error>() {
        Ok(source) => HttpError::Tls { url, source: Box::new(source) },
        Err(source) => HttpError::Talk { url, source },
    }
}

fn read(files: &Files, path: &str) -> Result<Vec<Certificate<'static>>, HttpError> {
    let text = files.text(path).ok().flatten().unwrap_or_default();
    let certificates = parse_pem(text.as_bytes()).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(HttpError::NoAuthorities { path: path.to_owned() });
    }
    Ok(certificates)
}
