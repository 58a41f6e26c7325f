//! The profile: what a host is held to, as a person writes it and as the rest of holdfast reads it.

pub mod schema;
pub mod types;

pub use self::schema::{Mode, Profile};
