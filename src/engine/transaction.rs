//! A plan being carried out: written ahead, and at every moment repairable.
//!
//! ```text
//! before-images ─▶ preflight ─▶ begin.json ─▶ step, step, … ─▶ judged again ─▶ end.json (the commit)
//!                                  │                               │
//!                                  └── any error, any kill ────────┴──▶ undo ─▶ looked at again ─▶ end.json
//! ```
//!
//! One that can cut off a login is provisional: systemd is told to take it back after a while, before the first step;
//! and what is judged again ends in `provisional.json`, which a person's word makes `end.json` of ([`super::confirm`]).

use std::{path::Path, time::Duration};

pub use super::recovery::{
    FilesBack, RolledBack, not_as_planned, recover, recover_files, set_times,
};
use super::{
    change::{Change, FileState, Step},
    image::capture,
    outcome::Applied,
    recovery::take_back,
    store::{
        Ahead, Begin, Cause, End, Ending, Kind, Open, ProfileRef, Provisional, STATE_DIR, Store,
        StoreError,
    },
};
use crate::host::{HostError, Writer, clock, error::chain};

/// Kept free beside what a transaction needs, for the records of its ending.
const HEADROOM: u64 = 256 << 10;

/// Who asks for a transaction, and why.
#[derive(Debug, Clone)]
pub struct Request {
    /// Why.
    pub kind: Kind,
    /// The command line.
    pub command: String,
    /// The person behind it.
    pub by: String,
    /// For which profile.
    pub profile: Option<ProfileRef>,
    /// The checks whose obstacles a person goes on in spite of.
    pub despite: Vec<String>,
    /// How long changes that can cut off a login wait for a person's word; `None`: they do not.
    pub confirm_within: Option<Duration>,
}

/// A failure that left the host as it was.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum BeginError {
    #[error("nothing was changed")]
    Host(#[source] HostError),
    #[error("nothing was changed")]
    Store(#[source] StoreError),
    #[error(
        "nothing was changed: the way back could not be armed, which is a timer of systemd's; --no-confirm goes without"
    )]
    Arm(#[source] HostError),
}

/// A transaction under way. Every path out of it ends in [`Transaction::commit`] or [`Transaction::roll_back`]; if the
/// program dies first, [`recover`] does the latter.
#[derive(Debug)]
pub struct Transaction<'a> {
    writer: &'a Writer,
    store: &'a Store,
    open: Open,
    begin: Begin,
    begun: usize,
}

impl<'a> Transaction<'a> {
    /// Looks for obstacles, takes the before-images and writes both plan and images to the disk.
    ///
    /// # Errors
    /// [`BeginError`]; nothing has been changed then.
    pub async fn begin(
        writer: &'a Writer,
        store: &'a Store,
        request: Request,
        steps: Vec<Step>,
    ) -> Result<Self, BeginError> {
        let before = capture(&steps, writer.reader()).await.map_err(BeginError::Host)?;
        let id = store.next_id().map_err(BeginError::Store)?;
        let begin = Begin {
            format: Begin::FORMAT,
            id,
            kind: request.kind,
            command: request.command,
            by: request.by,
            started: clock::now(),
            profile: request.profile,
            confirm_within: request.confirm_within.map(|within| within.as_secs()),
            steps,
            before,
        };
        let ahead = Ahead::of(&begin);
        preflight(writer, &begin.steps, ahead.size()).map_err(BeginError::Host)?;
        let open = store.begin(&ahead).map_err(BeginError::Store)?;
        let transaction = Self { writer, store, open, begin, begun: 0 };
        if let Some(within) = request.confirm_within
            && let Err(error) = writer.arm(id, within).await
        {
            transaction
                .roll_back(format!("the way back could not be armed: {}", error.chain()))
                .await;
            return Err(BeginError::Arm(error));
        }
        Ok(transaction)
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.begin.id
    }

    /// Carries out every step, calling `progress` before each.
    ///
    /// # Errors
    /// The first thing that went wrong, in one line; the caller then rolls back.
    pub async fn run(&mut self, mut progress: impl FnMut(usize, &Step)) -> Result<(), String> {
        for index in 0..self.begin.steps.len() {
            self.open.step_begins(index).map_err(|error| chain(&error))?;
            self.begun = index + 1;
            let step = &self.begin.steps[index];
            progress(index, step);
            self.writer.carry_out(&step.change).await.map_err(|error| error.chain())?;
        }
        Ok(())
    }

    /// Carries out the first `count` steps, as a run that is killed does.
    #[cfg(test)]
    pub(super) async fn run_some(&mut self, count: usize) {
        for index in 0..count {
            self.open.step_begins(index).unwrap();
            self.begun = index + 1;
            self.writer.carry_out(&self.begin.steps[index].change).await.unwrap();
        }
    }

    /// Makes the changes last. `applied` is what holds now.
    ///
    /// # Errors
    /// When the commit cannot be written: everything has been rolled back then.
    pub async fn commit(self, applied: Applied) -> Result<u64, RolledBack> {
        let ending = Ending::Committed { applied, confirmed: None };
        match self.open.end(&End::new(clock::now(), ending)) {
            Ok(()) => Ok(self.begin.id),
            // The record may be in place and only its folder not synced: how it really ended is written over it.
            Err(error) => Err(self.roll_back(chain(&error)).await),
        }
    }

    /// Leaves the changes until a person confirms them or their time is over. `applied` is what holds now.
    ///
    /// # Errors
    /// When that cannot be written: everything has been rolled back then.
    pub async fn wait(
        self,
        applied: Applied,
        within: Duration,
    ) -> Result<(u64, Provisional), RolledBack> {
        let id = self.begin.id;
        let note = || -> Result<Provisional, StoreError> {
            let now = self.writer.reader().moment()?;
            let provisional = Provisional::new(&now, within, clock::now(), applied);
            self.store.wait(id, &provisional)?;
            Ok(provisional)
        };
        match note() {
            Ok(provisional) => Ok((id, provisional)),
            Err(error) => Err(self.roll_back(chain(&error)).await),
        }
    }

    /// Puts everything back, looks whether it is, and files how it went.
    pub async fn roll_back(self, why: String) -> RolledBack {
        take_back(self.writer, self.store, &self.begin, self.begun, Cause::Failed, why).await
    }
}

/// Looks for what would stop a step, before anything is changed. `record` is what the plan and the before-images take, in
/// bytes.
fn preflight(writer: &Writer, steps: &[Step], record: u64) -> Result<(), HostError> {
    let files = writer.reader().files();
    // Once for their record, and once more for what is put back.
    let mut needed = HEADROOM + 2 * record;
    for step in steps {
        let Change::Put { path, to } = &step.change else { continue };
        let parent = Path::new(path).parent().and_then(Path::to_str).unwrap_or("/");
        if files.is_read_only(parent) {
            return Err(HostError::ReadOnly { path: path.clone() });
        }
        if let Some(path) = [path.as_str(), parent].into_iter().find(|at| files.is_immutable(at)) {
            return Err(HostError::Immutable { path: path.to_owned() });
        }
        let replaces_directory = matches!(files.state(path)?, FileState::Directory { .. })
            && matches!(to, FileState::File { .. } | FileState::Symlink { .. });
        if replaces_directory {
            return Err(HostError::WrongKind {
                path: path.clone(),
                found: "a directory",
                wanted: "a file",
            });
        }
        if let FileState::File { content, .. } = to {
            needed += content.as_bytes().len() as u64;
        }
    }
    for path in steps
        .iter()
        .filter_map(|step| match &step.change {
            Change::Put { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .chain([STATE_DIR])
    {
        if let Some(free) = files.free_bytes(path).filter(|free| *free < needed) {
            return Err(HostError::NoSpace { path: path.to_owned(), free, needed });
        }
    }
    Ok(())
}
