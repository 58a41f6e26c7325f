//! Backups that another host made, in a folder that they were fetched into: what is left when that host is gone, and its
//! key with it.

use ed25519_dalek::VerifyingKey;

use super::host_key;
use crate::{
    backup::{curve::unhex, run::Job},
    cli::{
        Context,
        failure::{Exit, Failure},
    },
    host::shelf::Shelf,
};

#[derive(Debug, Default, clap::Args)]
pub(super) struct Fetched {
    /// A folder that another host's backups were fetched into, in place of this host's own; nobody but root may write to it,
    /// to what is in it or to a folder above it
    #[arg(long, value_name = "FOLDER", requires = "key")]
    from: Option<String>,

    /// The public key of the host that made them, as its `holdfast backup status` said it
    #[arg(long, value_name = "HEX", requires = "from")]
    key: Option<String>,
}

impl Fetched {
    /// Where backups of a section are, and by which key they are known: as the arguments say, or else `own`, by this host's.
    pub(super) fn or_own(
        &self,
        context: &Context,
        job: Job<'_>,
        own: impl FnOnce() -> Shelf,
    ) -> Result<(Shelf, VerifyingKey), Failure> {
        match (&self.from, &self.key) {
            (Some(folder), Some(key)) => Ok((Shelf::guarded(folder)?, public_key(key)?)),
            _ => Ok((own(), host_key(context, job)?.verifying_key())),
        }
    }

    /// What to do when there is no such backup.
    pub(super) fn hint(&self, list: &str) -> String {
        self.from.as_ref().map_or_else(
            || list.to_owned(),
            |folder| format!("ls {folder}; a backup NAME-… there takes a section [backup.NAME] in this host's profile"),
        )
    }
}

/// A host's public key, as people write it down.
pub(super) fn public_key(hex: &str) -> Result<VerifyingKey, Failure> {
    let key = unhex(hex).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(|| {
        Failure::new(Exit::Usage, "this is no public key of a host")
            .hint("write the 64 hexadecimal digits that `holdfast backup status` ends with there")
    })
}
