//! Taking back what was carried out: at once when it did not work, at the next start when holdfast was killed, and by
//! itself when nobody confirmed it.

use std::collections::BTreeMap;

use super::{
    change::{AccountState, Change, FileState, FileTime, RunVerb, Step},
    image::{self, is_restored, parent_times, undo},
    record::{Before, Begin, Cause, End, Ending, Image, Record, Resource, Standing},
    store::{Store, StoreError},
};
use crate::host::{HostError, Writer, clock, error::chain};

/// How a transaction was rolled back.
#[derive(Debug)]
pub struct RolledBack {
    /// Its number.
    pub id: u64,
    /// Why.
    pub why: String,
    /// The kind of reason.
    pub cause: Cause,
    /// What could not be put back, and why; empty when all of it was, and was looked at again.
    pub unrestored: Vec<String>,
    /// Where files are kept that were neither as they had been nor as the transaction made them.
    pub set_aside: Vec<String>,
    /// Whether it is not over: what kept it may pass, and the next holdfast that runs tries again.
    pub open: bool,
}

impl RolledBack {
    /// How it went, as it is printed, filed and documented.
    pub const fn outcome(&self) -> &'static str {
        if self.open {
            "not rolled back yet"
        } else if self.unrestored.is_empty() {
            "rolled back, verified"
        } else {
            "rolled back, not all restored"
        }
    }
}

/// Ends what an interrupted holdfast left open, and what nobody has confirmed in time: puts everything back that its
/// steps had begun to touch. What may still be confirmed is left alone.
///
/// # Errors
/// When the records or the boot's clock cannot be read.
pub async fn recover(writer: &Writer, store: &Store) -> Result<Vec<RolledBack>, StoreError> {
    let mut recovered = Vec::new();
    for id in store.unfinished()?.into_iter().rev() {
        let Record { begin, begun, provisional, .. } = store.record(id)?;
        let (cause, why) = match provisional {
            None => {
                let (command, steps) = (&begin.command, begin.steps.len());
                let why = format!("`{command}` was interrupted after {begun} of {steps} steps");
                (Cause::Interrupted, why)
            }
            Some(provisional) => match provisional.standing(&writer.reader().moment()?) {
                Standing::Waiting(_) => continue,
                Standing::Late => {
                    let within = crate::profile::types::TimeSpan::from_secs(provisional.within);
                    (Cause::Unconfirmed, format!("nobody confirmed it within {within}"))
                }
                Standing::OtherBoot => {
                    let why = "the host was rebooted before it was confirmed".to_owned();
                    (Cause::Rebooted, why)
                }
            },
        };
        recovered.push(take_back(writer, store, &begin, begun, cause, why).await);
    }
    Ok(recovered)
}

/// What the boot put back, of a transaction that an earlier boot left open.
#[derive(Debug)]
pub struct FilesBack {
    /// The transaction's number.
    pub id: u64,
    /// What could not be put back, and why; empty when all of it was, and was looked at again.
    pub unrestored: Vec<String>,
    /// Where files are kept that were neither as they had been nor as the transaction made them.
    pub set_aside: Vec<String>,
}

/// Puts the files, links and folders back that open transactions of an earlier boot touched, before anything of this
/// boot reads them. Needs no D-Bus, tells nobody, and ends nothing: [`recover`] does the rest, and files it.
///
/// # Errors
/// When the records or the boot's clock cannot be read.
pub async fn recover_files(writer: &Writer, store: &Store) -> Result<Vec<FilesBack>, StoreError> {
    let now = writer.reader().moment()?;
    let mut recovered = Vec::new();
    for id in store.unfinished()?.into_iter().rev() {
        let Record { begin, begun, provisional, .. } = store.record(id)?;
        if provisional.is_some_and(|found| found.standing(&now) != Standing::OtherBoot) {
            continue;
        }
        let Restored { mut unrestored, set_aside, .. } =
            restore(writer, &begin.steps, &begin.before, begun, Extent::Files).await;
        if let Err(error) = store.add_set_aside(id, &set_aside) {
            unrestored.push(chain(&error));
        }
        recovered.push(FilesBack { id, unrestored, set_aside });
    }
    Ok(recovered)
}

/// Puts back what the first `begun` steps of an open transaction touched, and files how that went. If it failed for a
/// reason that may pass, the transaction stays open, for a number of tries.
pub(super) async fn take_back(
    writer: &Writer,
    store: &Store,
    begin: &Begin,
    begun: usize,
    cause: Cause,
    why: String,
) -> RolledBack {
    let (id, steps) = (begin.id, begin.steps.len());
    let Restored { unrestored, set_aside: now_aside, may_pass } =
        restore(writer, &begin.steps, &begin.before, begun, Extent::Whole).await;
    // What the boot has set aside is said with the rest; a list that cannot be read keeps nothing from being over.
    let mut set_aside = store.set_aside(id).unwrap_or_default();
    set_aside.extend(now_aside);
    let mut rolled_back = RolledBack { id, why, cause, unrestored, set_aside, open: true };
    if may_pass && store.try_again(id, steps) {
        return rolled_back;
    }
    let ending = Ending::RolledBack {
        why: rolled_back.why.clone(),
        cause,
        unrestored: rolled_back.unrestored.clone(),
        set_aside: rolled_back.set_aside.clone(),
    };
    if let Err(error) = store.end(id, &End::new(clock::now(), ending)) {
        // The next start finds the transaction open, restores once more (nothing to do) and files it.
        let text = format!("the record of the roll-back: {}", chain(&error));
        rolled_back.unrestored.push(text);
        return rolled_back;
    }
    rolled_back.open = false;
    if begin.confirm_within.is_some() {
        // A timer that cannot be stopped finds the transaction ended.
        drop(writer.disarm(id).await);
    }
    rolled_back
}

/// How far everything is as it was.
#[derive(Debug, Default)]
struct Restored {
    unrestored: Vec<String>,
    set_aside: Vec<String>,
    /// Whether what kept something from being put back may pass.
    may_pass: bool,
}

impl Restored {
    fn failed(&mut self, error: &HostError) {
        self.may_pass |= error.is_passing();
        self.unrestored.push(error.chain());
    }
}

/// How much of a transaction is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Everything, and the programs that read it are told.
    Whole,
    /// Files, links and folders: what can be put back before anything runs.
    Files,
}

impl Extent {
    const fn takes_in(self, resource: &Resource) -> bool {
        matches!(self, Self::Whole)
            || matches!(resource, Resource::Path(_) | Resource::UnitLinks(_))
    }
}

/// Undoes the first `begun` steps and looks whether everything is as it was. Goes on past what cannot be put back.
async fn restore(
    writer: &Writer,
    steps: &[Step],
    before: &[Before],
    begun: usize,
    extent: Extent,
) -> Restored {
    let mut restored = Restored::default();
    let begun_steps = &steps[..begun.min(steps.len())];
    for step in begun_steps {
        if let Change::Put { path, .. } = &step.change
            && let Err(error) = writer.clear_staging(path)
        {
            restored.failed(&error);
        }
    }
    let mut refusal = None;
    for step in undo(steps, before, begun) {
        let resource = image::resource_of(&step.change);
        if extent == Extent::Files && !resource.is_some_and(|of| extent.takes_in(&of)) {
            continue;
        }
        // What was not reached, or is back already, is not touched again: its times stay. Of links systemd is told all
        // the same: those that were put back early in a boot it has not read yet.
        let is_to_be_told =
            extent == Extent::Whole && matches!(step.change, Change::UnitLinks { .. });
        if !is_to_be_told && is_as_wanted(writer, &step.change).await {
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
                if found.is_ok_and(|found| found == wanted)
                    && let Some(error) = refusal.take()
                {
                    restored.failed(&error);
                }
            }
            change => {
                if let Change::Put { path, to } = change
                    && is_foreign(writer, path, to, begun_steps)
                {
                    match writer.set_aside(path) {
                        Ok(beside) => restored.set_aside.push(beside),
                        Err(error) => {
                            restored.failed(&error);
                            continue;
                        }
                    }
                }
                let done = match extent {
                    Extent::Whole => writer.carry_out(change).await,
                    Extent::Files => writer.put_files(change),
                };
                if let Err(error) = done {
                    restored.failed(&error);
                }
            }
        }
    }
    if let Err(error) = set_times(writer, &parent_times(before)) {
        restored.failed(&error);
    }
    for Before { resource, image } in before.iter().filter(|b| extent.takes_in(&b.resource)) {
        match image::look(resource, writer.reader()).await {
            Ok(found) if is_restored(image, &found) => {}
            Ok(_) => restored.unrestored.push(format!("{} is not as it was", name(resource))),
            Err(error) => {
                restored.may_pass |= error.is_passing();
                restored.unrestored.push(format!("{}: {}", name(resource), error.chain()));
            }
        }
    }
    restored
}

/// Whether what is at a path was put there by neither the begun steps nor whoever was there before them: somebody has
/// edited it since. That is theirs, and is not written over.
fn is_foreign(writer: &Writer, path: &str, before: &FileState, begun: &[Step]) -> bool {
    let Ok(found) = writer.reader().files().state(path) else { return false };
    let ours = begun.iter().filter_map(|step| match &step.change {
        Change::Put { path: of, to } if of == path => Some(to),
        _ => None,
    });
    matches!(found, FileState::File { .. } | FileState::Symlink { .. })
        && !ours.chain([before]).any(|known| is_same_content(known, &found))
}

/// Whether two states hold the same, whoever owns them and however they may be read: what differs only in that loses
/// nothing by being put back.
fn is_same_content(a: &FileState, b: &FileState) -> bool {
    match (a, b) {
        (FileState::File { content: a, .. }, FileState::File { content: b, .. }) => a == b,
        (FileState::Symlink { target: a, .. }, FileState::Symlink { target: b, .. }) => a == b,
        _ => false,
    }
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
        (Change::Account { to, .. }, Image::Account { exists }) => {
            exists == matches!(to, AccountState::System { .. })
        }
        (Change::Sysctl { value, .. }, Image::Sysctl(now)) => now.as_ref() == Some(value),
        (Change::Table { to }, Image::Table(now)) => *to == now,
        (Change::UnitLinks { to, .. }, Image::UnitLinks(now)) => to.links == now.links,
        _ => false,
    }
}

fn name(resource: &Resource) -> String {
    match resource {
        Resource::Path(path) => path.clone(),
        Resource::Account(name) => format!("the account {name}"),
        Resource::Sysctl(key) => format!("sysctl {key}"),
        Resource::Table => "table inet holdfast".to_owned(),
        Resource::UnitLinks(unit) => format!("the links of {unit}"),
        Resource::Unit(unit) => format!("whether {unit} runs"),
    }
}
