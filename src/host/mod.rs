//! The only door to the machine.
//!
//! A [`Reader`] can look at everything and change nothing. A [`Writer`] is made from the one exclusive [`lock`], so
//! there is at most one on a host. Nothing outside this module opens a host's file, starts a program, asks the bus or
//! looks at the clock.

mod account_writer;
pub mod accounts;
pub mod ancestry;
pub mod break_glass;
pub mod bus;
pub mod clock;
pub mod docker;
pub mod endpoints;
pub mod error;
pub mod files;
mod generation;
pub mod http;
pub mod journal_files;
pub mod journald;
pub mod launch;
pub mod lock;
mod netlink;
pub mod nft;
pub mod open_files;
pub mod process;
pub mod reader;
mod routes;
pub mod scratch;
pub mod secret;
pub mod seen;
pub mod shelf;
mod sock_diag;
pub mod sockets;
pub mod stage;
pub mod unit_links;
pub mod watched;
pub mod writer;

pub use error::HostError;
pub use files::Files;
pub use reader::Reader;
pub use writer::Writer;
