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

/// How many files a journal may have by journald's configuration (`SystemMaxFiles=`): a hundred where that does not say,
/// or cannot be read. `namespace` is that of the journal; the host's own has none.
pub(in crate::controls) fn max_files(host: &Reader, namespace: Option<&str>) -> u64 {
    const DEFAULT: u64 = 100; // journald.conf(5)
    let key = merge::Key { name: "SystemMaxFiles", alias: None, kind: values::Kind::Count };
    let files = match namespace {
        None => observed::files(host),
        Some(name) => observed::files_of_namespace(host, name),
    };
    let decided = files.ok().and_then(|files| merge::Merged::of(&files).decides(&key));
    match decided.map(|decided| decided.meaning) {
        Some(values::Meaning::Number(files)) if files > 0 => files,
        _ => DEFAULT,
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
