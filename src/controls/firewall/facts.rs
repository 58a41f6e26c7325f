//! What the desired table depends on beside the profile: read from the host, then handed to pure code.

use super::services::{self, Found};
use crate::{host::Reader, profile::schema::Firewall};

/// Everything of a host that decides what its table must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The ports of allows that take them from a service's own configuration, or why they cannot be known.
    pub services: Found,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    /// What is missing, for a person, with what to do about it: there is no desired table then, and nothing is changed.
    pub async fn gather(section: &Firewall, host: &Reader) -> Result<Self, String> {
        Ok(Self { services: services::gather(section, host).await })
    }
}
