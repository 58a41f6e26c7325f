//! The engine: what a check's outcome is, what can be changed, and how a plan is carried out so that a host is always
//! wholly before or wholly after.
//!
//! - [`check`]: what a check is and what a control says about it
//! - [`outcome`]: the three-way comparison that turns that into an outcome
//! - [`session`]: one look at a host: judged, planned for (pure)
//! - [`change`]: what can be done to a host (data)
//! - [`image`]: before-images and how to put them back (pure, but for looking)
//! - [`document`], [`listing`]: the firewall's table as it is recorded, and what is loaded of it later
//! - [`transaction`]: a plan being carried out
//! - [`recovery`]: taking back what was carried out, and what an interrupted or unconfirmed transaction left
//! - [`record`], [`store`]: transactions on the disk; `durable`: how they get there
//! - [`witness`]: whether a login proves that the changed host lets people in (pure)
//! - [`apply`], [`rollback`], [`confirm`], [`early`]: the flows that commands call

pub mod apply;
pub mod change;
pub mod check;
pub mod confirm;
pub mod document;
mod durable;
pub mod early;
pub mod image;
pub mod listing;
pub mod outcome;
pub mod record;
pub mod recovery;
pub mod rollback;
pub mod session;
pub mod store;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod witness;
