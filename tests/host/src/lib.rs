//! Disposable, really booted Debian hosts.
//!
//! holdfast changes firewalls, sshd and units, so its tests never touch the machine that runs them. They boot Debian in
//! a container instead: systemd as PID 1, its own network, copy-on-write over an image that is made once.
//!
//! ```no_run
//! use holdfast_test_host::{Host, Suite, Tcp};
//! # fn main() -> anyhow::Result<()> {
//! let host = Host::boot(Suite::Trixie)?; // with holdfast installed from its .deb
//! host.run(["holdfast", "--version"])?.ok()?;
//! let client = host.peer("client")?; // another host, one cable away
//! assert_eq!(client.tcp_open(22)?, Tcp::Open);
//! # Ok(())
//! # } // dropped: nothing is left, not even when the test panics
//! ```
//!
//! The moving parts, in the order in which a boot meets them:
//!
//! - [`Suite`]: which Debian.
//! - `machine`: what this machine must have, and how its programs are run.
//! - `image`, `layer`: the cached root file systems, bare and with holdfast installed.
//! - `supervise` and `supervise.sh`: mounts, boots and takes down one host, whatever happens to the test.
//! - `boot`: waits until a host is up whole.
//! - `inside`: finds the host's PID 1, refuses anything that is not a host, starts programs in it.
//! - `scan`: every TCP port of a host, asked by a peer.
//! - `vm`: virtual machines, for what needs a kernel of its own.
//! - [`Host`], [`Machine`], [`Peer`], [`Snapshot`]: what tests use.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bans steer holdfast to its own doors to the machine; a test harness has none"
)]

mod boot;
mod cache;
mod files;
mod host;
mod image;
mod inside;
mod layer;
mod machine;
mod majors;
mod output;
mod peer;
mod scan;
mod snapshot;
mod suite;
mod supervise;
mod vm;

pub use host::{Host, Options};
pub use image::{Image, ensure as ensure_image};
pub use inside::Inside;
pub use layer::deb;
pub use output::{Output, Run, Running};
pub use peer::{Peer, Tcp, Udp};
pub use scan::{Prober, Scan};
pub use snapshot::{Entry, Kind, Snapshot, changes};
pub use suite::Suite;
pub use supervise::{Named, named, sweep};
pub use vm::{Console, Machine};
