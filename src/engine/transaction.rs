//! A plan being carried out: written ahead, and at every moment repairable.
//!
//! ```text
//! preflight ─▶ before-images ─▶ begin.json ─▶ step, step, … ─▶ judged again ─▶ end.json (the commit)
//!                                  │                               │
//!                                  └── any error, any kill ────────┴──▶ undo ─▶ looked at again ─▶ end.json
//! ```

use std::{collections::BTreeMap, path::Path};

use super::{
    change::{Change, FileState, FileTime, RunVerb, Step},
    image::{self, capture, is_restored, parent_times, undo},
    outcome::Applied,
    store::{
        Before, Begin, End, Ending, Image, Kind, Open, ProfileRef, Record, Resource, STATE_DIR,
        Store, StoreError,
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
}

/// A failure that left the host as it was.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum BeginError {
    #[error("nothing was changed")]
    Host(#[source] HostError),
    #[error("nothing was changed")]
    Store(#[source] StoreError),
}

/// A transaction under way. Every path out of it ends in [`Transaction::commit`] or [`Transaction::roll_back`]; if the
/// program dies first, [`recover`] does the latter.
#[derive(Debug)]
pub struct Transaction<'a> {
    writer: &'a Writer,
    open: Open,
    begin: Begin,
    begun: usize,
}

/// How a transaction was rolled back.
#[derive(Debug)]
pub struct RolledBack {
    /// Its number.
    pub id: u64,
    /// Why.
    pub why: String,
    /// What could not be put back, and why; empty when all of it was, and was looked at again.
    pub unrestored: Vec<String>,
}

impl<'a> Transaction<'a> {
    /// Looks for obstacles, takes the before-images and writes both plan and images to the disk.
    ///
    /// # Errors
    /// [`BeginError`]; nothing has been changed then.
    pub async fn begin(
        writer: &'a Writer,
        store: &Store,
        request: Request,
        steps: Vec<Step>,
    ) -> Result<Self, BeginError> {
        preflight(writer, &steps).map_err(BeginError::Host)?;
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
            steps,
            before,
        };
        let open = store.begin(&begin).map_err(BeginError::Store)?;
        Ok(Self { writer, open, begin, begun: 0 })
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
        match self.open.end(&End::new(clock::now(), Ending::Committed { applied })) {
            Ok(()) => Ok(self.begin.id),
            // The record may be in place and only its folder not synced: how it really ended is written over it.
            Err(error) => Err(self.roll_back(chain(&error)).await),
        }
    }

    /// Puts everything back, looks whether it is, and files how it went.
    pub async fn roll_back(self, why: String) -> RolledBack {
        let Self { writer, open, begin, begun } = self;
        let mut unrestored = restore(writer, &begin.steps, &begin.before, begun).await;
        let ending = Ending::RolledBack { why: why.clone(), unrestored: unrestored.clone() };
        if let Err(error) = open.end(&End::new(clock::now(), ending)) {
            // The next start finds the transaction open, restores once more (nothing to do) and files it.
            unrestored.push(format!("the record of the roll-back: {}", chain(&error)));
        }
        RolledBack { id: begin.id, why, unrestored }
    }
}

/// Ends what an interrupted holdfast left open: puts everything back that its steps had begun to touch.
///
/// # Errors
/// When the records cannot be read or written.
pub async fn recover(writer: &Writer, store: &Store) -> Result<Vec<RolledBack>, StoreError> {
    let mut recovered = Vec::new();
    for id in store.unfinished()?.into_iter().rev() {
        let Record { begin, begun, .. } = store.record(id)?;
        let why = format!(
            "`{}` was interrupted after {begun} of {} steps",
            begin.command,
            begin.steps.len()
        );
        let unrestored = restore(writer, &begin.steps, &begin.before, begun).await;
        let ending = Ending::RolledBack { why: why.clone(), unrestored: unrestored.clone() };
        store.end(id, &End::new(clock::now(), ending))?;
        recovered.push(RolledBack { id, why, unrestored });
    }
    Ok(recovered)
}

/// Undoes the first `begun` steps and looks whether everything is as it was. Goes on past what cannot be put back.
/// Returns what could not, and why.
async fn restore(writer: &Writer, steps: &[Step], before: &[Before], begun: usize) -> Vec<String> {
    let mut failed = Vec::new();
    for step in &steps[..begun.min(steps.len())] {
        if let Change::Put { path, .. } = &step.change
            && let Err(error) = writer.clear_staging(path)
        {
            failed.push(error.chain());
        }
    }
    let mut refusal = None;
    for step in undo(steps, before, begun) {
        // What was not reached, or is back already, is not touched again: its times stay.
        if is_as_wanted(writer, &step.change).await {
            continue;
        }
        match &step.change {
            // Told below, if there is anybody who should have been told of what is there again.
            Change::Require { .. } => refusal = writer.carry_out(&step.change).await.err(),
            // A program that would not start with what is there again keeps running with what it has. One that does
            // not run is no matter here: starting it tests its files by itself.
            Change::Run { unit, verb: RunVerb::Reload | RunVerb::Restart } if refusal.is_some() => {
                let wanted = Image::Unit { running: true };
                let found = image::look(&Resource::Unit(unit.clone()), writer.reader()).await;
                if found.is_ok_and(|found| found == wanted) {
                    failed.extend(refusal.take().map(|error| error.chain()));
                }
            }
            change => {
                if let Err(error) = writer.carry_out(change).await {
                    failed.push(error.chain());
                }
            }
        }
    }
    if let Err(error) = set_times(writer, &parent_times(before)) {
        failed.push(error.chain());
    }
    for Before { resource, image } in before {
        match image::look(resource, writer.reader()).await {
            Ok(found) if is_restored(image, &found) => {}
            Ok(_) => failed.push(format!("{} is not as it was", name(resource))),
            Err(error) => failed.push(format!("{}: {}", name(resource), error.chain())),
        }
    }
    failed
}

/// Gives directories their times back; those that are gone have none.
///
/// # Errors
/// When one of them cannot be set.
pub fn set_times(writer: &Writer, times: &BTreeMap<String, FileTime>) -> Result<(), HostError> {
    for (dir, mtime) in times {
        let now = writer.reader().files().modified_at(dir)?;
        if now.is_some_and(|now| now != *mtime) {
            writer.set_mtime(dir, *mtime)?;
        }
    }
    Ok(())
}

/// The resources that are not in the state which `steps` put them in, by name.
pub async fn not_as_planned(writer: &Writer, steps: &[Step]) -> Vec<String> {
    let mut wrong = Vec::new();
    for step in steps {
        let Some(resource) = image::resource_of(&step.change) else { continue };
        if let Change::Put { path, to: FileState::Absent } = &step.change
            && writer.reader().files().is_dir(path)
        {
            // Somebody else's files are in it, or it would be gone.
            continue;
        }
        if !matches!(resource, Resource::Unit(_)) && !is_as_wanted(writer, &step.change).await {
            wrong.push(name(&resource));
        }
    }
    wrong
}

/// Whether a restoring change has nothing to do. Programs are always told again: they may have read what is now gone.
async fn is_as_wanted(writer: &Writer, change: &Change) -> bool {
    let Some(resource) = image::resource_of(change) else { return false };
    let Ok(found) = image::look(&resource, writer.reader()).await else { return false };
    match (change, found) {
        (Change::Put { to, .. }, Image::Path { state, .. }) => *to == state,
        (Change::Sysctl { value, .. }, Image::Sysctl(now)) => now.as_ref() == Some(value),
        (Change::Table { to }, Image::Table(now)) => *to == now,
        (Change::UnitLinks { to, .. }, Image::UnitLinks(now)) => to.links == now.links,
        _ => false,
    }
}

/// Looks for what would stop a step, before anything is changed.
fn preflight(writer: &Writer, steps: &[Step]) -> Result<(), HostError> {
    let files = writer.reader().files();
    let mut needed = HEADROOM;
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

fn name(resource: &Resource) -> String {
    match resource {
        Resource::Path(path) => path.clone(),
        Resource::Sysctl(key) => format!("sysctl {key}"),
        Resource::Table => "table inet holdfast".to_owned(),
        Resource::UnitLinks(unit) => format!("the links of {unit}"),
        Resource::Unit(unit) => format!("whether {unit} runs"),
    }
}
