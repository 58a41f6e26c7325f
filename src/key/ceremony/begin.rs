//! How a ceremony begins, or goes on: the plan and its signatures, the room, and who is in it.

use std::path::{Path, PathBuf};

use super::{
    CeremonyError, FileBeside, Going, PLAN, RECORD, Watch, acted, beforehand,
    media::left,
    resume::{Earlier, go_on, once_more},
    sign::signed,
    sign_command, signature_of,
};
use crate::{
    host::{
        Files,
        binder::{OpenShelf, Shelf},
        clock,
        room::{self, Room},
    },
    key::{
        plan::{self, NAMESPACE, Plan, RoleName},
        preflight::{self, Check, Known, Reading},
        questions::{Answerer, Ask},
        signature::{self, Good},
        transcript::{Begun, Kind, Step, Transcript},
    },
    profile::{Diagnostic, document::Document},
};

/// A plan, read and judged, with its signatures.
#[derive(Debug)]
pub struct Named {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it says.
    pub document: Document<Plan>,
    /// Digest of its bytes.
    pub digest: String,
}

impl Named {
    /// What it says.
    pub const fn plan(&self) -> &Plan {
        &self.document.value
    }

    /// Its warnings.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.document.diagnostics
    }

    /// Where somebody's signature of it is looked for: beside it.
    pub fn signature(&self, role: RoleName) -> String {
        signature_of(&self.path.display().to_string(), role)
    }

    /// Somebody's signature of it.
    ///
    /// # Errors
    /// When there is none, or it does not count.
    pub fn signed(&self, role: RoleName) -> Result<(Good, Vec<u8>), CeremonyError> {
        let path = self.signature(role);
        let role_name = role.as_str();
        let limit = usize::try_from(signature::MAX_BYTES).unwrap_or(usize::MAX);
        let Some(pem) = Files::below("/").head(&path, limit)? else {
            let command = sign_command(NAMESPACE, &self.path, &path);
            return Err(CeremonyError::Unsigned { role: role_name, path, command });
        };
        let key = &self.plan().role(role).ssh_key;
        let good = signature::verify(key, NAMESPACE, &self.bytes, &pem)
            .map_err(|fault| CeremonyError::BadSignature { role: role_name, path, fault })?;
        Ok((good, pem))
    }
}

/// Reads a plan.
///
/// # Errors
/// When there is none, or it is faulty.
pub fn named(path: &Path) -> Result<Named, CeremonyError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let limit = usize::try_from(plan::MAX_BYTES).unwrap_or(usize::MAX);
    let bytes = Files::below("/").head(&path.display().to_string(), limit + 1)?;
    let Some(bytes) = bytes else { return Err(CeremonyError::NoPlan { path }) };
    if bytes.len() > limit {
        return Err(CeremonyError::LargePlan { path });
    }
    let document = plan::read(&path, &bytes).map_err(Box::new)?;
    let digest = plan::digest(&bytes);
    Ok(Named { path, bytes, document, digest })
}

/// A ceremony in a room that is as it must be, with both people in it.
#[derive(Debug)]
pub struct Prepared {
    /// What goes on.
    pub going: Going,
    /// Whether it goes on after an interruption.
    pub resumed: bool,
    pub(super) kind: Kind,
    /// The room as it was when it was looked at last.
    pub(super) room: Room,
    /// What was accepted although it is not as it should be: as it was seen.
    pub(super) accepted: Vec<(Check, String)>,
    /// What goes beside the envelopes of the media that are left.
    pub(super) beside: Vec<FileBeside>,
    /// Nobody else holds a ceremony as long as this is there.
    shelf: OpenShelf,
}

/// What a plan's carrying out comes to.
#[derive(Debug)]
pub enum Start {
    /// A ceremony, begun or gone on with.
    Ceremony(Box<Prepared>),
    /// The export of this name is done, and not signed by both: no key is read for that.
    ToSign(String),
}

/// Begins a ceremony, or goes on with one of this plan that was interrupted. An export that is done is not begun again: it is
/// to be signed, even when the plan has ended since, and one that is signed takes both to say that they want another. One
/// that is retired is neither signed nor gone on with. What goes beside the envelopes is fetched where a medium is left to be written
/// only, and before anything is begun.
///
/// # Errors
/// When the plan is not signed or has ended, what goes beside the envelopes cannot be had, the room is not as it must be, or
/// somebody says no.
pub fn prepare<E: From<CeremonyError>>(
    named: &Named,
    kind: Kind,
    known: Option<&Known>,
    mut beside: impl FnMut() -> Result<Vec<FileBeside>, E>,
    shelf: Shelf,
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<Start, E> {
    let plan = named.plan();
    let mut files = vec![(PLAN.to_owned(), named.bytes.clone())];
    for role in RoleName::ALL {
        files.push((signature_of(PLAN, role), named.signed(role)?.1));
    }
    let shelf = shelf.open().map_err(CeremonyError::from)?;
    let mut earlier = Earlier::read(shelf.shelf())?;
    let exported = if kind == Kind::Export { earlier.exported(named) } else { None };
    // It was done in time, whenever it is signed: of that the plan's last day says nothing.
    if let Some(done) = exported.filter(|done| !done.is_retired)
        && !signed(done.going, plan)?.is_complete()
    {
        return Ok(Start::ToSign(done.name()));
    }
    if plan.valid_until.is_over(clock::today()) {
        return Err(CeremonyError::Expired(plan.valid_until.to_string()).into());
    }
    let exported = exported.map(|done| done.name());
    let room = room::look();
    let interrupted = earlier.interrupted(named, kind);
    let is_written = |going: &Going| left(going.transcript(), plan).is_empty();
    let fetched = if interrupted.as_ref().is_some_and(is_written) { None } else { Some(beside()?) };
    let found = match interrupted {
        Some(going) => go_on(going, plan.media.len(), &room, ask, watch)?,
        None => None,
    };
    let resumed = found.is_some();
    let beside = match fetched {
        Some(files) => files,
        None if resumed => Vec::new(),
        // All was written, and is given up.
        None => beside()?,
    };
    let again = match exported {
        Some(name) if !resumed => once_more(&name, plan, ask)?,
        _ => Vec::new(),
    };
    let name = found.as_ref().and_then(|going| going.transcript.begun());
    let mut begun = Begun {
        kind,
        ceremony: name.map_or_else(String::new, |begun| begun.ceremony.clone()),
        plan: named.digest.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        program: room.program.clone(),
        machine: room.machine.clone(),
        answers: match ask.answerer() {
            Answerer::File(sha256) => Some(sha256.to_owned()),
            Answerer::People | Answerer::Pipe => None,
        },
        damaged: earlier.damaged.clone(),
    };
    let mut going = if let Some(mut going) = found {
        going.record(Step::Begun(begun))?;
        going
    } else {
        begun.ceremony = name_of(&shelf, plan, kind)?;
        begin(&shelf, begun, &files)?
    };
    for step in again {
        going.record(step)?;
    }
    acted(&going, if resumed { "resumed" } else { "begun" }, None, watch);
    let accepted = Vec::new();
    let mut prepared = Prepared { going, resumed, kind, room, accepted, beside, shelf };
    prepared.ask_names(plan, ask)?;
    let mut more = vec![preflight::people(plan, known), preflight::recipients(plan, known)];
    if kind == Kind::Export {
        more.push(beforehand::proofs(prepared.shelf.shelf(), &named.digest, plan));
        more.push(earlier.rehearsal(&named.digest, &prepared.room));
        more.push(answers(ask));
    }
    prepared.judge_room(plan, more, ask)?;
    prepared.ask_clock(ask)?;
    Ok(Start::Ceremony(Box::new(prepared)))
}

/// That people answer is what makes two of them two.
fn answers(ask: &dyn Ask) -> Reading {
    match ask.answerer() {
        Answerer::People => Reading::new(Check::Answers, true, "people answer, at a terminal"),
        Answerer::Pipe => Reading::new(Check::Answers, false, "a pipe answers for everybody"),
        Answerer::File(sha256) => {
            let seen = format!("a file answers for everybody, sha256 {sha256}");
            Reading::new(Check::Answers, false, seen)
        }
    }
}

/// A name for a ceremony that begins now.
fn name_of(shelf: &OpenShelf, plan: &Plan, kind: Kind) -> Result<String, CeremonyError> {
    // Sorted by name they are in the order in which they began.
    let moment = clock::now().strftime("%Y%m%dT%H%M%SZ");
    let name = format!("{moment}-{}-{}", plan.name, kind.as_str());
    Ok(unused(name, &shelf.shelf().names()?))
}

fn begin(
    shelf: &OpenShelf,
    begun: Begun,
    files: &[(String, Vec<u8>)],
) -> Result<Going, CeremonyError> {
    let name = begun.ceremony.clone();
    let (mut line, transcript) = Transcript::new().then(clock::now(), Step::Begun(begun));
    line.push(b'\n');
    let mut all: Vec<(&str, &[u8])> =
        files.iter().map(|(file, bytes)| (file.as_str(), bytes.as_slice())).collect();
    all.push((RECORD, &line));
    let binder = shelf.begin(&name, &all)?;
    Ok(Going { binder, transcript })
}

/// The name, or the first of `NAME-2` and so on that no other ceremony of the same second has.
fn unused(name: String, taken: &[String]) -> String {
    if !taken.contains(&name) {
        return name;
    }
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    numbered.take(taken.len() + 1).find(|name| !taken.contains(name)).unwrap_or(name.clone())
}
