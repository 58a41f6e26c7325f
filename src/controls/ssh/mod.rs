//! `[ssh]`: how sshd admits people.
//!
//! Three kinds of evidence, none of which trusts the one before:
//!
//! - configured: our drop-in, byte for byte ([`settings`]), and that sshd reads it ([`tree`])
//! - effective: what sshd would do for each login ([`logins`], [`effective`]), and that the running sshd has read it
//! - behavioural: what answers on the port, and what it offers ([`wire`])
//!
//! ```text
//! settings ──────────────┐
//! observe (reads) ─▶ observed ─▶ judge (pure)
//!                        └─────▶ plan  (pure): set aside, write, sshd -t, reload
//! ```
//!
//! `sshd_config` itself is never edited, and sshd is reloaded, never restarted: a reload runs the same process anew, with
//! new ports too, and no session is lost (measured on 9.2 and 10.0).

mod checks;
mod control;
mod effective;
mod glob;
mod judge;
mod judge_daemon;
mod logins;
mod observe;
mod observed;
mod plan;
mod settings;
#[cfg(test)]
mod testing;
mod tree;
mod wire;

pub use control::Ssh;
pub(in crate::controls) use effective::Effective;
pub(in crate::controls) use logins::{ANYWHERE, Login};
pub(in crate::controls) use observe::{ask, effective};
pub(in crate::controls) use observed::Answers;
pub(in crate::controls) use plan::{RUNTIME_DIR, UNIT};
pub(in crate::controls) use settings::{Setting, wanted};
pub(in crate::controls) use tree::Tree;
