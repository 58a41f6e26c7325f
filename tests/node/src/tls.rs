//! Authorities, and certificates that are good or not.

use std::{io, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Somebody who certifies servers.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate, with its key.
#[derive(Debug)]
pub struct Certificate {
    pub(crate) config: Arc<rustls::ServerConfig>,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> io::Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let pem = params.self_signed(&key).map_err(io::Error::other)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// What those who believe it are given.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a server of this name or address; one that has ended in 2001 if it is `stale`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn certify(&self, name: &str, stale: bool) -> io::Result<Certificate> {
        let names = vec![name.to_owned()];
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        if stale {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let (chain, key) = (vec![signed.der().clone()], key.serialize_der());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        Ok(Certificate { config: Arc::new(config.map_err(io::Error::other)?) })
    }
}
