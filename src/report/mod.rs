//! Findings for people, machines and the journal.

pub mod exposure;
pub mod journal;
pub mod json;
pub mod logs;
pub mod saved;
pub mod text;
