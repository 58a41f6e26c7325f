//! `journal`: how journald keeps logs.
//!
//! holdfast writes one drop-in and has journald start anew, which is the only way in which every version takes a
//! change up (252 cannot reload). Then it asks four questions, each of another surface:
//!
//! - is the drop-in as it was written (`journal.config`)
//! - what do all of journald's files amount to, and which line decides (`journal.effective/<Key>`)
//! - has journald read them (`journal.running`)
//! - does journald write to the disk (`journal.persistent`): read from the journal file, not from a setting
//!
//! `/var/log/journal` is left for journald to make: what it then holds is not a roll-back's to remove. Until the next
//! boot gives it to the group systemd-journal, only root reads it.
//!
//! No process is started. How long logs are really kept is measured elsewhere, not inferred from these settings.

mod checks;
mod compare;
mod desired;
mod header;
mod merge;
mod observed;
mod values;

use std::pin::Pin;

use self::{compare::Compared, desired::wishes, observed::Observed};
use super::{Comparison, Control, Sight};
use crate::{
    engine::check::CheckMeta,
    profile::schema::{Mode, Profile},
};

/// The control.
#[derive(Debug)]
pub struct Journal;

impl Control for Journal {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.journal.as_ref().map(|journal| journal.mode)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        let wishes = profile.journal.as_ref().map(wishes).unwrap_or_default();
        Box::pin(async move {
            let observed = Observed::read(sight.host).await;
            Box::new(Compared { wishes, observed }) as Box<dyn Comparison>
        })
    }
}
