//! Before-images: what a step touches, how it is now, how to put it back, and whether it is back.

use std::{collections::BTreeMap, path::Path};

use super::{
    change::{AccountState, Change, FileState, RunVerb, Step, TableState},
    listing,
    store::{Before, Image, Resource},
};
use crate::host::{HostError, Reader, clock, nft::Listing, unit_links::unit_links};

/// What a change touches. `None`: it only looks.
pub fn resource_of(change: &Change) -> Option<Resource> {
    match change {
        Change::Put { path, .. } => Some(Resource::Path(path.clone())),
        Change::Account { name, .. } => Some(Resource::Account(name.clone())),
        Change::Sysctl { key, .. } => Some(Resource::Sysctl(key.clone())),
        Change::Table { .. } => Some(Resource::Table),
        Change::UnitFile { unit, .. } | Change::UnitLinks { unit, .. } => {
            Some(Resource::UnitLinks(unit.clone()))
        }
        Change::Run { unit, .. } => Some(Resource::Unit(unit.clone())),
        Change::Require { .. } => None,
    }
}

/// The state of everything a plan touches, in the order of the steps, each once.
///
/// # Errors
/// When any of it cannot be read: without a before-image there is no change.
pub async fn capture(steps: &[Step], reader: &Reader) -> Result<Vec<Before>, HostError> {
    let mut before: Vec<Before> = Vec::new();
    for resource in steps.iter().filter_map(|step| resource_of(&step.change)) {
        if before.iter().all(|earlier| earlier.resource != resource) {
            let image = look(&resource, reader).await?;
            before.push(Before { resource, image });
        }
    }
    Ok(before)
}

/// The state a resource is in now.
///
/// # Errors
/// When it cannot be read.
pub async fn look(resource: &Resource, reader: &Reader) -> Result<Image, HostError> {
    Ok(match resource {
        Resource::Path(path) => {
            let parent = Path::new(path).parent().and_then(Path::to_str).unwrap_or("/");
            Image::Path {
                state: reader.files().state(path)?,
                parent_mtime: reader.files().modified_at(parent)?,
            }
        }
        Resource::Account(name) => Image::Account { exists: reader.has_account(name)? },
        Resource::Sysctl(key) => Image::Sysctl(reader.sysctl(key)?),
        Resource::Table => {
            let text = reader.own_table_text(Listing::Exact).await?;
            Image::Table(text.map_or(TableState::Absent, |text| {
                TableState::Listing(listing::keep(&text, clock::now()))
            }))
        }
        Resource::UnitLinks(unit) => Image::UnitLinks(unit_links(reader, unit)?),
        Resource::Unit(unit) => {
            Image::Unit { running: reader.systemd().await?.unit(unit).await?.is_running() }
        }
    })
}

/// Whether a resource is back in the state it was in. A directory's own time is not part of its state.
pub fn is_restored(wanted: &Image, found: &Image) -> bool {
    match (wanted, found) {
        (Image::Path { state: wanted, .. }, Image::Path { state: found, .. }) => {
            is_state(wanted, found)
        }
        (Image::UnitLinks(wanted), Image::UnitLinks(found)) => wanted.links == found.links,
        (Image::Table(TableState::Listing(wanted)), Image::Table(TableState::Listing(found))) => {
            listing::is_same(wanted, found, clock::now())
        }
        _ => wanted == found,
    }
}

/// Whether a path is back as it was. A folder that is to be absent and is there has somebody else's files in it, or it
/// would have been removed: it counts as gone, since all that is ours in it is.
fn is_state(wanted: &FileState, found: &FileState) -> bool {
    wanted == found || matches!((wanted, found), (FileState::Absent, FileState::Directory { .. }))
}

/// The steps that undo the first `begun` of `steps`, given how things were.
///
/// First every resource is put back, last touched first; then the programs that read them are told, in the order in
/// which they were told of the change.
pub fn undo(steps: &[Step], before: &[Before], begun: usize) -> Vec<Step> {
    let begun = &steps[..begun.min(steps.len())];
    let touched = |resource: &Resource| {
        begun.iter().any(|step| resource_of(&step.change).as_ref() == Some(resource))
    };
    let mut undo: Vec<Step> = Vec::new();
    for Before { resource, image } in before.iter().rev().filter(|b| touched(&b.resource)) {
        let change = match (resource, image) {
            (Resource::Path(path), Image::Path { state, .. }) => {
                Change::Put { path: path.clone(), to: state.clone() }
            }
            // One that was there already has not been made.
            (Resource::Account(name), Image::Account { exists: false }) => {
                Change::Account { name: name.clone(), to: AccountState::Absent }
            }
            (Resource::Table, Image::Table(state)) => Change::Table { to: state.clone() },
            (Resource::UnitLinks(unit), Image::UnitLinks(links)) => {
                Change::UnitLinks { unit: unit.clone(), to: links.clone() }
            }
            // Parameters and units follow below.
            _ => continue,
        };
        undo.push(Step { change, because: Vec::new() });
    }
    // First touched first: what resets other parameters was set before them, and is put back before them too.
    for Before { resource, image } in before.iter().filter(|b| touched(&b.resource)) {
        // A key that was absent cannot have been set.
        if let (Resource::Sysctl(key), Image::Sysctl(Some(value))) = (resource, image) {
            let change = Change::Sysctl { key: key.clone(), value: value.clone() };
            undo.push(Step { change, because: Vec::new() });
        }
    }
    // A program whose files were touched is told of them as they are again, even if it was not yet told of the change:
    // by their times it could not be seen that it has read them.
    let is_concerned = |step: &Step| {
        begun.iter().any(|done| {
            done.because == step.because
                || done.because.iter().any(|check| step.because.contains(check))
        })
    };
    let mut gate = None;
    for (index, step) in steps.iter().enumerate() {
        let (unit, verb) = match &step.change {
            Change::Run { verb: RunVerb::Start | RunVerb::Stop, .. } if index >= begun.len() => {
                continue;
            }
            Change::Run { .. } if !is_concerned(step) => continue,
            Change::Run { unit, verb } => (unit, verb),
            Change::Require { .. } => {
                gate = Some(step.clone());
                continue;
            }
            _ => continue,
        };
        // What a program was not to be told untested is not told it untested on the way back: what is put back may be
        // what it would not start with.
        undo.extend(gate.take());
        let ran = before.iter().any(|b| {
            b.resource == Resource::Unit(unit.clone()) && b.image == Image::Unit { running: true }
        });
        let verbs: &[RunVerb] = match (verb, ran) {
            (RunVerb::Start | RunVerb::Stop, true) => &[RunVerb::Start],
            (RunVerb::Start | RunVerb::Stop, false) => &[RunVerb::Stop],
            // What was changed may have ended it, and then neither of them starts it.
            (RunVerb::Restart | RunVerb::Reload, true) => &[*verb, RunVerb::Start],
            (RunVerb::Restart | RunVerb::Reload, false) => &[*verb],
        };
        undo.extend(verbs.iter().map(|verb| Step {
            change: Change::Run { unit: unit.clone(), verb: *verb },
            because: Vec::new(),
        }));
    }
    undo
}

/// The directories whose times change when paths in them are put back, and the times they had before the first step.
pub fn parent_times(before: &[Before]) -> BTreeMap<String, super::change::FileTime> {
    let mut times = BTreeMap::new();
    for Before { resource, image } in before {
        let (Resource::Path(path), Image::Path { parent_mtime: Some(mtime), .. }) =
            (resource, image)
        else {
            continue;
        };
        let parent = Path::new(path).parent().and_then(Path::to_str).unwrap_or("/");
        times.entry(parent.to_owned()).or_insert(*mtime);
    }
    times
}

/// Whether a before-image says that nothing was there.
pub fn was_absent(image: &Image) -> bool {
    matches!(image, Image::Path { state: FileState::Absent, .. })
}
