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
//! No process is started. What the section leaves out and `[logs]` needs is worked out by `logs::journal_for`. How long
//! logs are really kept is measured elsewhere, not inferred from these settings.

mod checks;
mod compare;
mod desired;
mod merge;
mod observed;
mod values;

use std::pin::Pin;

use self::{compare::Compared, desired::wishes, observed::Observed};
use super::{Comparison, Control, Sight, logs::journal_for};
use crate::{
    engine::check::CheckMeta,
    host::Reader,
    profile::schema::{self, Mode, Profile},
};

/// What journald's journal on disk is below.
const LOG: &str = "/var/log/journal";

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
        let logs = || profile.logs.as_ref().map(|logs| logs.mode);
        profile.journal.as_ref().map(|journal| journal.mode).or_else(logs)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        let wishes = wishes(&held_to(profile, sight.host));
        Box::pin(async move {
            let observed = Observed::read(sight.host).await;
            Box::new(Compared { wishes, observed }) as Box<dyn Comparison>
        })
    }
}

/// What journald's configuration says of one journal; what it leaves out is absent. Sizes are in bytes, spans in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls) struct Limits {
    /// How much it may take (`SystemMaxUse=`).
    pub(in crate::controls) max_use: Option<u64>,
    /// How much it leaves free (`SystemKeepFree=`).
    pub(in crate::controls) keep_free: Option<u64>,
    /// How many files it may have (`SystemMaxFiles=`): a hundred where that is not said, journald.conf(5).
    pub(in crate::controls) max_files: u64,
    /// The age from which a file's first entry has the whole file deleted (`MaxRetentionSec=`).
    pub(in crate::controls) ceiling: Option<u64>,
    /// For how long a file is written to (`MaxFileSec=`): a month where that is not said, likewise; `None` without end.
    pub(in crate::controls) file_age: Option<u64>,
}

/// What journald's configuration says. `namespace` is that of the journal; the host's own has none. What cannot be read
/// is as good as not there.
pub(in crate::controls) fn limits(host: &Reader, namespace: Option<&str>) -> Limits {
    const MAX_FILES: u64 = 100;
    const MONTH: u64 = 2_629_800; // systemd.time(7): 30.44 days
    let files = match namespace {
        None => observed::files(host),
        Some(name) => observed::files_of_namespace(host, name),
    };
    let files = files.unwrap_or_default();
    let merged = merge::Merged::of(&files);
    let number = |name, kind| {
        let decided = merged.decides(&merge::Key { name, alias: None, kind })?;
        match decided.meaning {
            values::Meaning::Number(number) => Some(number),
            values::Meaning::Micros(u64::MAX) => Some(0),
            values::Meaning::Micros(micros) => Some(micros / 1_000_000),
            _ => None,
        }
    };
    let is_some = |number: &u64| *number > 0;
    Limits {
        max_use: number("SystemMaxUse", values::Kind::Size).filter(is_some),
        keep_free: number("SystemKeepFree", values::Kind::Size),
        max_files: number("SystemMaxFiles", values::Kind::Count)
            .filter(is_some)
            .unwrap_or(MAX_FILES),
        ceiling: number("MaxRetentionSec", values::Kind::Span).filter(is_some),
        file_age: Some(number("MaxFileSec", values::Kind::Span).unwrap_or(MONTH)).filter(is_some),
    }
}

/// The drop-in for journald that holds it to this; `None` where nothing is managed.
pub(in crate::controls) fn drop_in(journal: &schema::Journal) -> Option<String> {
    desired::render(&wishes(journal))
}

/// The section, and what `[logs]` adds to it: the same on every host with a file system of this size. Where `[logs]` is
/// only looked at, it adds nothing to what is enforced.
fn held_to(profile: &Profile, host: &Reader) -> schema::Journal {
    let journal = profile.journal.clone().unwrap_or_default();
    let adds = |logs: &&schema::Logs| match logs.mode {
        Mode::Enforce => true,
        Mode::Audit => profile.journal.is_none() || journal.mode == Mode::Audit,
        Mode::Off => false,
    };
    match profile.logs.as_ref().filter(adds) {
        Some(logs) => journal_for(&journal, logs, host.files().total_bytes(LOG)),
        None => journal,
    }
}
