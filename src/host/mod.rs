//! The only door to the machine.
//!
//! A [`Reader`] can look at everything and change nothing. A [`Writer`] is made from the one exclusive [`lock`], so
//! there is at most one on a host. Nothing outside this module opens a host's file, starts a program, asks the bus or
//! looks at the clock.

mod account_writer;
pub mod accounts;
pub mod ancestry;
pub mod binder;
pub mod break_glass;
pub mod bus;
pub mod clock;
mod disks;
pub mod docker;
mod enclosure;
pub mod endpoints;
pub mod error;
pub mod files;
mod generation;
pub mod guarded;
pub mod handover;
pub mod http;
pub mod journal_files;
pub mod journald;
pub mod launch;
pub mod lock;
pub mod medium;
pub mod mounted;
mod netlink;
pub mod nft;
pub mod open_files;
pub mod page;
pub mod process;
pub mod reader;
pub mod room;
mod routes;
pub mod scratch;
pub mod secret;
pub mod seen;
pub mod shelf;
pub mod shell;
pub mod shield;
mod sock_diag;
pub mod sockets;
pub mod stage;
pub mod terminal;
pub mod unit_links;
pub mod watched;
pub mod writer;

pub use error::HostError;
pub use files::Files;
pub use reader::Reader;
pub use writer::Writer;
