//! holdfast holds a Debian host to a TOML profile.
//!
//! The way through the code is one-directional:
//!
//! ```text
//! profile.toml ─load─▶ Profile ──┐
//!                                ├─ judge ─▶ findings ─ plan ─▶ steps ─ run ─▶ transaction ─ observe again ─▶ commit or roll back
//! host ──Reader──▶ observations ─┘  (pure)             (pure)      (Writer, the only one)
//! ```
//!
//! - [`profile`]: the TOML schema, loading, `extends`, diagnostics that point into the file
//! - [`controls`]: one folder per control: observe (reads the host), judge and plan (pure)
//! - [`host`]: the only door to the machine; a [`host::Reader`] and a [`host::Writer`]
//! - [`engine`]: outcomes, changes, transactions, recovery
//! - [`backup`]: what proves a backup of a signer's database: its DKG rows, and the key on chain; pure
//! - [`key`]: the ceremony that brings keys into cold storage
//! - [`locked`]: the processes that hold a key
//! - [`evidence`]: the log of what was done and found, hash-chained and anchored in the journal
//! - [`report`]: findings as text, JSON and journal entries
//! - [`cli`]: one file per subcommand

pub mod backup;
pub mod cli;
pub mod controls;
pub mod engine;
pub mod evidence;
pub mod host;
pub mod key;
pub mod locked;
pub mod profile;
pub mod report;
