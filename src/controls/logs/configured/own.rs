//! A file of holdfast's own: what it is to hold, what is there, how it is put right.

use super::checks;
use crate::{
    controls::{Wanted, dropin},
    engine::{
        change::{Change, FileState, RunVerb, Step},
        check::{Judgement, Verdict},
    },
};

/// One of them.
#[derive(Debug)]
pub(super) struct Own {
    /// What the check is about.
    pub(super) subject: String,
    /// The folder it is in.
    pub(super) dir: String,
    /// Whether that is there.
    pub(super) dir_exists: bool,
    /// Where it is.
    pub(super) path: String,
    /// What is there.
    pub(super) found: Result<FileState, String>,
    /// What is to be in it; `None`: nothing is to be there.
    pub(super) wanted: Option<String>,
    /// Why nothing can be wanted yet.
    pub(super) not_yet: Option<String>,
    /// The unit that reads it when it starts.
    pub(super) read_by: Option<String>,
    /// Whether that unit was started after the file had changed; `None` where it does not run or does not matter.
    pub(super) is_read: Option<Result<bool, String>>,
}

impl Own {
    fn id(&self) -> String {
        format!("{}/{}", checks::CONFIG.id, self.subject)
    }

    /// Whether it is in place, and has been read.
    pub(super) fn judge(&self) -> Judgement {
        let expected = dropin::expected(&self.path, self.wanted.as_deref());
        Judgement::new(checks::CONFIG, &expected, self.verdict()).about(&self.subject)
    }

    fn verdict(&self) -> Verdict {
        if let Some(why) = &self.not_yet {
            return Verdict::NotApplicable { why: why.clone() };
        }
        let verdict = dropin::judge_file(&self.path, &self.found, self.wanted.as_deref());
        let unit = self.read_by.as_deref().unwrap_or_default();
        match (verdict, &self.is_read) {
            (Verdict::Holds { .. }, Some(Ok(false))) => Verdict::Differs {
                observed: format!("{unit} was started before {} changed", self.path),
            },
            (Verdict::Holds { .. }, Some(Err(why))) => Verdict::Unknown { why: why.clone() },
            (verdict, _) => verdict,
        }
    }

    /// The steps that put it in place, where that is wanted.
    pub(super) fn plan(&self, wanted: Wanted<'_>) -> Vec<Step> {
        let id = self.id();
        if !wanted.has(&id) || self.not_yet.is_some() {
            return Vec::new();
        }
        let mut changes = match &self.wanted {
            Some(text) => dropin::write(&self.dir, self.dir_exists, &self.path, text),
            None => vec![Change::Put { path: self.path.clone(), to: FileState::Absent }],
        };
        if let Some(unit) = &self.read_by {
            changes.push(Change::Run { unit: unit.clone(), verb: RunVerb::Restart });
        }
        changes.into_iter().map(|change| Step { change, because: vec![id.clone()] }).collect()
    }
}
