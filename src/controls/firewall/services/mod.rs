//! `from_config`: an allow whose ports are those of a service's own configuration.
//!
//! - [`gather`]: reads the configuration, the unit or the container, through the reader
//! - [`launch`]: how the service is started: its command line and the few variables that matter
//! - [`signer`], [`stacks`], [`bitcoind`]: what each service would make of it, pure
//! - [`env_file`]: files of variables
//! - [`ports`]: what comes of it all
//!
//! The parsers are strict: what a service would refuse, and what cannot be read with certainty, opens no port and is a
//! finding. They keep ports and nothing else: private keys, passwords and database addresses stand beside them in the
//! same files, so no fault quotes a line, and no type here holds a text.
//!
//! # Containers
//!
//! A port means the port that a client of this host names. The firewall judges that one: for a container it is the
//! host's port, at which the container's is published, and not the one in the service's configuration.

mod bitcoind;
pub(crate) mod env_file;
mod gather;
mod launch;
mod ports;
pub(crate) mod signer;
mod stacks;

pub(super) use gather::gather;
pub use ports::{Found, Ports};

#[cfg(test)]
mod tests;
