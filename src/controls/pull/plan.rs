//! The steps that put it right. Pure.
//!
//! ```text
//! account ─▶ folders ─▶ keys ─▶ drop-in ─▶ sshd -t ─▶ reload
//! ```
//!
//! Undone in the other order: the drop-in and the keys are gone before the account is.

use std::collections::BTreeMap;

use super::{
    checks::{ACCOUNT, CONFIG, EFFECTIVE, KEYS, STORE},
    desired::{self, DROP_IN, DROP_IN_DIR},
    judge::fault,
    observed::{Folder, Observed},
};
use crate::{
    controls::{Wanted, dropin, ssh},
    engine::{
        change::{AccountState, Change, FileState, Gate, RunVerb, Step},
        check::Verdict,
    },
};

/// The steps for the wanted checks.
pub(super) fn plan(seen: &Observed, wanted: Wanted<'_>) -> Vec<Step> {
    let Some(desired) = &seen.wanted else { return Vec::new() };
    let mut steps = Vec::new();
    let mut add = |change, because: &[&str]| {
        let because = because.iter().map(|id| (*id).to_owned()).collect();
        steps.push(Step { change, because });
    };
    if wanted.has(ACCOUNT.id) && seen.account == Ok(None) {
        let to = AccountState::System { about: desired::ABOUT.to_owned() };
        add(Change::Account { name: desired::ACCOUNT.to_owned(), to }, &[ACCOUNT.id]);
    }
    if wanted.has(STORE.id) {
        for change in seen.way.iter().filter_map(made) {
            add(change, &[STORE.id]);
        }
    }
    let is_wrong = |path, found, text: &str| {
        matches!(dropin::judge_file(path, found, Some(text)), Verdict::Differs { .. })
    };
    if wanted.has(KEYS.id) && is_wrong(desired::KEYS, &seen.keys, &desired.keys) {
        let to = FileState::config(&*desired.keys);
        add(Change::Put { path: desired::KEYS.to_owned(), to }, &[KEYS.id]);
    }
    // Written where nothing includes it, it would do nothing, and the whole would be rolled back.
    let is_to_be_written = is_wrong(DROP_IN, &seen.drop_in, &desired.drop_in) && seen.is_included;
    if wanted.has(CONFIG.id) && is_to_be_written {
        let both: &[&str] = &[CONFIG.id, EFFECTIVE.id];
        let because = if wanted.has(EFFECTIVE.id) { both } else { &both[..1] };
        for change in dropin::write(DROP_IN_DIR, seen.has_dir, DROP_IN, &desired.drop_in) {
            add(change, because);
        }
        if seen.has_no_runtime_dir {
            let to = FileState::directory();
            add(Change::Put { path: ssh::RUNTIME_DIR.to_owned(), to }, because);
        }
        add(Change::Require { gate: Gate::Sshd }, because);
        add(Change::Run { unit: ssh::UNIT.to_owned(), verb: RunVerb::Reload }, because);
    }
    steps
}

/// What makes a folder that is missing, or sets the mode of one of holdfast's own. Others' are for a person to mend.
fn made(folder: &Folder) -> Option<Change> {
    fault(folder)?;
    let directory = |mode| FileState::Directory { mode, uid: 0, gid: 0, xattrs: BTreeMap::new() };
    let to = match (&folder.state, folder.mode) {
        (Ok(FileState::Absent), mode) => directory(mode.unwrap_or(0o755)),
        (Ok(FileState::Directory { .. }), Some(mode)) => directory(mode),
        _ => return None,
    };
    Some(Change::Put { path: folder.path.clone(), to })
}
