//! The engine: what a check's outcome is, what can be changed, and how a plan is carried out so that a host is always
//! wholly before or wholly after.

pub mod change;
pub mod check;
pub mod image;
pub mod outcome;
pub mod store;
pub mod transaction;
