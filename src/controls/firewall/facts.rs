//! What the desired table depends on beside the profile: read from the host, then handed to pure code.

use crate::{host::Reader, profile::schema::Firewall};

/// Everything of a host that decides what its table must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// What is missing, for a person, with what to do about it: there is no desired table then, and nothing is changed.
    #[expect(clippy::unused_async, reason = "what is read later is asked of programs")]
    pub async fn gather(_section: &Firewall, _host: &Reader) -> Result<Self, String> {
        Ok(Self {})
    }
}
