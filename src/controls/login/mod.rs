//! `login`: whether administrators still get in, worked out before anything is changed.
//!
//! ```text
//! source ─▶ firewall (model) ─▶ port on which sshd will listen ─▶ sshd's lists ─▶ a way of authenticating ─▶ in
//! ```
//!
//! - [`observe`]: reads what decides it; [`observed`]: that as data, and the way of one source through it
//! - [`listen`]: where sshd will wait; [`admit`]: whom it lets in; [`keys`], [`patterns`]: by sshd's own rules
//! - [`judge`]: verdicts, and whether an apply may begin
//! - [`checks`]: what is checked, and why
//!
//! Everything is judged as it will be: the firewall by the profile's section, sshd by the profile's settings where it is
//! managed and by `sshd -T` where it is not. A network is judged as a whole: it is cut wherever the firewall, a list, a
//! `Match Address` or a key's `from=` divides it, and an address of each part stands for the part.
//!
//! # What it cannot know
//!
//! Accounts, groups and keys that do not come from files (LDAP, `AuthorizedKeysCommand`, certificates) are unknown, never
//! a way in. So is what lies between the administrator and this host. The proof is about what holdfast is going to
//! change; that the change works is for the confirmation from a new login to show.

mod admit;
mod checks;
mod control;
mod judge;
mod keys;
mod listen;
mod observe;
mod observed;
mod patterns;

pub use control::LoginControl;
pub(in crate::controls) use patterns::matches;
