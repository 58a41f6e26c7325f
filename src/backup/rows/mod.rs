//! DKG rows on their own: a backup of some kB within a minute of each new row or status, because a round's share cannot be
//! made again, and a day is too long to wait for the next dump.
//!
//! - [`watch`]: looks at the database, and makes one when something is not in the newest
//! - [`print`](mod@print): by what a row is known again, in the server's words and in ours
//! - [`text`]: what is in the file: it explains itself
//! - [`manifest`]: what is known of a file, beyond what is known of any backup
//! - [`keep`]: which files go; pure
//! - [`put`]: brings rows back into a database
//! - [`note`]: what the last look saw, for `verify`

pub mod keep;
pub mod manifest;
pub mod note;
pub mod print;
pub mod put;
pub mod text;
pub mod watch;

pub use manifest::Rows;

use crate::host::shelf::Shelf;

/// Where the rows of a backup are kept: among its dumps, with a lock of their own, so that no dump is waited for.
pub fn shelf(store: &str, name: &str) -> Shelf {
    Shelf::beside(store, &format!("dkg-rows/{name}"))
}
