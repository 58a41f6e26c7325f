//! The profile: what a host is held to, as a person writes it and as the rest of holdfast reads it.
//!
//! [`load`] is the way in; `check`, `plan`, `apply` and `verify` all begin with it.
//!
//! ```text
//! files ──chain──▶ text ──tree──▶ Node ──check──▶ Node ──merge──▶ Node ──serde──▶ Profile ──validate──▶ Loaded
//!                                        (JSON Schema)                  (schema)
//! ```
//!
//! - [`schema`] and [`types`] are the one source of truth: serde reads into them, and the JSON
//!   Schema that editors use, that `check` judges files by and that the reference is written from
//!   is generated from them.
//! - `chain` reads a profile and all it `extends`; `merge` makes one of them, by a rule for each
//!   kind of value.
//! - `validate` finds what no single value can show; `trust` judges who could have written a file.
//! - Every fault is a [`Diagnostic`] with its place in the text. Nothing stops at the first: all
//!   faults of all files come back at once, in the order of the text.
//!
//! Nothing here needs root, a host, or a clock: files come in through [`Sources`], the user and
//! the day through [`Options`].

mod chain;
mod check;
mod diagnostic;
pub mod document;
mod load;
mod merge;
mod reference;
pub mod schema;
mod schema_json;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod trust;
pub mod types;
mod validate;

pub use self::diagnostic::{Diagnostic, Place, Report, Severity, render_all};
pub use self::load::{LoadFailed, Loaded, Options, SHIPPED, load};
pub use self::reference::reference_markdown;
pub use self::schema::{Mode, Profile};
pub use self::schema_json::schema_json;
pub use self::source::{
    Facts, Location, MAX_BYTES, MemorySources, RealSources, SourceFile, SourceMap, Sources, Span,
};
pub use self::trust::Trust;
