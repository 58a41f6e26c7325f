//! `[pull]`: the account by which another host fetches finished backups, and can do nothing else.
//!
//! What an attacker can talk to is OpenSSH alone: its own SFTP server, read-only, with a list of the requests that it
//! answers, locked into the folder of finished backups, in a `Match` block for one account that has no shell, no password
//! and no other keys than the profile's.
//!
//! - [`desired`]: sshd's drop-in, the file of keys, and what sshd must say of the account
//! - [`observe`]: reads the host; [`observed`]: that as data
//! - [`judge`], [`plan`]: pure
//! - [`path`]: whether the firewall lets them reach sshd
//! - [`session`]: when somebody last came to fetch
//! - [`checks`]: what is checked, and why
//!
//! The drop-in is a file of its own and comes before [`ssh`](super::ssh)'s: sshd keeps the first value it meets, so what
//! the profile says for everybody would win otherwise. Its `Match` is about no other account, so that `ssh` and `login`
//! pass it over.

mod checks;
mod control;
mod desired;
mod judge;
mod observe;
mod observed;
mod path;
mod plan;
mod session;
#[cfg(test)]
mod tests;

pub use control::PullControl;

/// Whether the criteria of a `Match` take in the account that fetches backups and nobody else.
pub(in crate::controls) fn is_about_account(criteria: &str) -> bool {
    criteria.strip_prefix("User ") == Some(desired::ACCOUNT)
}
