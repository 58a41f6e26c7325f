//! `sysctl`: kernel parameters, for the next boot and live.
//!
//! - is holdfast's file as it was written (`sysctl.config`)
//! - what would systemd-sysctl set at the next boot, and which line decides (`sysctl.boot/<key>`)
//! - what is set now (`sysctl.live/<key>`)
//! - what does `all` amount to on each interface (`sysctl.interfaces/<key>`)
//!
//! A parameter that this kernel does not have, that belongs to the machine around this container, or that containers
//! on this host need otherwise is not applicable, and the last kind is not written for the next boot either.

mod boot;
mod checks;
mod compare;
mod containers;
mod desired;
mod interfaces;
mod observed;

use std::pin::Pin;

use self::{compare::Compared, desired::settings, observed::Observed};
use super::{Comparison, Control, Sight};
use crate::{
    engine::{change::Change, check::CheckMeta},
    profile::schema::{Mode, Profile},
};

/// The control.
#[derive(Debug)]
pub struct Sysctl;

impl Control for Sysctl {
    fn name(&self) -> &'static str {
        "sysctl"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn can_cut_off_login(&self, change: &Change) -> bool {
        matches!(change, Change::Sysctl { key, .. } if key.starts_with("net."))
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.sysctl.as_ref().map(|sysctl| sysctl.mode)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        let settings = profile.sysctl.as_ref().map(settings).unwrap_or_default();
        Box::pin(async move {
            let observed = Observed::read(sight.host, &settings).await;
            Box::new(Compared { settings, observed }) as Box<dyn Comparison>
        })
    }
}
