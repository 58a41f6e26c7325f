//! The kinds of value a profile is made of.
//!
//! Each is a type that cannot hold a bad value: it is made by [`FromStr`](std::str::FromStr), and
//! its [`Display`](std::fmt::Display) is the one canonical way of writing it, which parses back to
//! an equal value ([`HttpUrl`] excepted: it never shows a password).
//!
//! Who uses it: the schema's sections are built of these; [`FORMATS`] lets the checker of
//! `profile::check` try every scalar of a file before serde sees it, so that all bad ones are
//! reported at once.

mod account;
mod backup;
mod check;
mod format;
mod interface;
mod moment;
mod net;
mod path;
mod size;
mod source;
mod ssh;
mod ssh_key;
mod stacks;
mod sysctl;
mod text;
mod time;
mod unit;
mod web;

pub use self::account::{TimeZoneName, UserName};
pub use self::backup::{AgeRecipient, DatabaseName, SignerPublicKey, TableName};
pub use self::check::CheckId;
pub use self::format::{Accepts, FORMATS, Format, Invalid, Scalar};
pub(crate) use self::format::{holds_private_key, is_secret, looks_secret, shown};
pub use self::interface::Interface;
pub use self::moment::Moment;
pub use self::net::{Cidr, Port, PortRange};
pub use self::path::{ContainerName, FilePath};
pub use self::size::Size;
pub use self::source::Source;
pub use self::ssh::{Algorithm, KeysFile, MaxStartups};
pub use self::ssh_key::SshKey;
pub use self::stacks::{NodeUrl, StacksAddress};
pub use self::sysctl::{SysctlKey, SysctlValue};
pub use self::text::{RuleName, Text};
pub use self::time::{Rate, RateUnit, TimeSpan, Until};
pub use self::unit::UnitName;
pub use self::web::HttpUrl;
