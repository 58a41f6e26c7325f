//! What of this host can be reached from outside, by which rule, and who serves there.
//!
//! ```text
//! /proc/net, sock_diag ─▶ sockets ──────────┐
//! Docker, Podman, nft's NAT ─▶ publications ─┼─ judge ─▶ Exposure ─▶ `holdfast exposure`, check firewall.exposure
//! section, is the table in force ─▶ model ───┘  (pure)
//! ```
//!
//! - [`gather`]: reads them
//! - [`owner`]: which unit and which container a process belongs to, by its cgroup
//! - [`published`]: what engines say they publish, and what the kernel's NAT rules show of it
//! - [`judge`]: whether the outside can reach each, pure
//! - [`found`]: what comes of it
//! - [`verdict`]: what the check says of it
//!
//! The firewall's own word counts only while the live table is the desired one and packets are put to it: whatever is
//! not provably filtered is open.
//!
//! A container with an address of its own on the outside network (macvlan, ipvlan) is not behind this host: its packets
//! pass neither input nor forward hook. It is listed, and can be filtered only by itself or in front of the host.

mod found;
mod gather;
mod judge;
mod owner;
mod published;
mod verdict;

pub use found::{Exposed, Exposure, Force, Idle, Reach, What};
pub(super) use gather::{Depth, look, owners};
pub(super) use judge::{judge, judges_forwarded};
pub use owner::Owner;
pub use published::{Apart, Engine, Publication};
pub(super) use verdict::exposed;

#[cfg(test)]
mod tests;
