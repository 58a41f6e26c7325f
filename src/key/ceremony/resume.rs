//! The ceremonies that were held before: which of them was interrupted, and whether to go on with it.

use jiff::SignedDuration;

use super::{CeremonyError, Going, Named, Watch, acted, read, retire::retired};
use crate::{
    host::{binder::Shelf, clock, room::Room},
    key::{
        plan::{Plan, RoleName},
        preflight::{Check, Reading},
        questions::{Ask, Question},
        transcript::{Begun, Kind, Step},
    },
};

/// After a longer interruption nobody remembers which medium lay where meanwhile: the ceremony begins anew.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The ceremonies of this machine.
pub(super) struct Earlier {
    all: Vec<Going>,
    /// The names of those of which the records cannot be believed. They are not counted, and stop nothing.
    pub(super) damaged: Vec<String>,
}

impl Earlier {
    /// Reads them, the oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub(super) fn read(shelf: &Shelf) -> Result<Self, CeremonyError> {
        let mut earlier = Self { all: Vec::new(), damaged: Vec::new() };
        for name in shelf.names()? {
            match read(shelf.binder(&name), &name) {
                Ok(going) => earlier.all.extend(going),
                Err(_) => earlier.damaged.push(name),
            }
        }
        Ok(earlier)
    }

    /// Takes the newest of this plan and kind that has come to no end, not by being retired either.
    pub(super) fn interrupted(&mut self, named: &Named, kind: Kind) -> Option<Going> {
        let is_it = |going: &Going| {
            let transcript = &going.transcript;
            let is_open = transcript.done().is_none() && transcript.given_up().is_none();
            is_of(going, named, kind) && is_open && !is_retired(going)
        };
        let at = self.all.iter().rposition(is_it)?;
        Some(self.all.remove(at))
    }

    /// The newest export of this plan that came to its end, and counts; otherwise the newest.
    pub(super) fn exported(&self, named: &Named) -> Option<Exported<'_>> {
        let is_it =
            |going: &&Going| is_of(going, named, Kind::Export) && going.transcript.done().is_some();
        let exported = |going| Exported { going, is_retired: is_retired(going) };
        let all: Vec<Exported<'_>> = self.all.iter().rev().filter(is_it).map(exported).collect();
        all.iter().find(|it| !it.is_retired).or(all.first()).copied()
    }

    /// Whether a rehearsal of this very plan has come to its end on this machine, with this very program.
    pub(super) fn rehearsal(&self, plan: &str, room: &Room) -> Reading {
        let mut seen = "no rehearsal of this plan has passed on this machine".to_owned();
        for going in self.all.iter().rev() {
            let transcript = &going.transcript;
            let Some(begun) = transcript.begun() else { continue };
            let is_here = begun.machine.is_some() && begun.machine == room.machine;
            if begun.kind != Kind::Rehearsal || begun.plan != plan || !is_here {
                continue;
            }
            let Some(at) = transcript.done() else { continue };
            let same = |begun: &Begun| begun.program.is_some() && begun.program == room.program;
            if transcript.beginnings().all(same) {
                let text = format!("{} passed at {at}", begun.ceremony);
                return Reading::new(Check::Rehearsal, true, text);
            }
            seen = format!("{} passed with another program than this one", begun.ceremony);
        }
        Reading::new(Check::Rehearsal, false, seen)
    }
}

/// An export that came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exported<'a> {
    /// Its record.
    pub going: &'a Going,
    /// Whether it counts no more.
    pub is_retired: bool,
}

impl Exported<'_> {
    /// Its name.
    pub(super) fn name(&self) -> String {
        self.going.transcript.begun().map_or(String::new(), |begun| begun.ceremony.clone())
    }
}

fn is_of(going: &Going, named: &Named, kind: Kind) -> bool {
    let same = |begun: &Begun| begun.kind == kind && begun.plan == named.digest;
    going.transcript.begun().is_some_and(same)
}

/// Whether two have said that it counts no more; whether they could was asked when it was taken. A statement that cannot be
/// believed says nothing.
fn is_retired(going: &Going) -> bool {
    matches!(retired(going), Ok(Some(_)))
}

/// Has both say that a plan that was carried out is to be carried out once more: what they signed beforehand was one export.
///
/// # Errors
/// When one of them does not want it.
pub(super) fn once_more(
    name: &str,
    plan: &Plan,
    ask: &mut dyn Ask,
) -> Result<Vec<Step>, CeremonyError> {
    let mut said = Vec::new();
    for role in RoleName::ALL {
        let question = Question::confirm(
            format!("again.{}", role.as_str()),
            format!(
                "{} ({}): this plan was carried out as {name} already. Are its keys to be read and exported once more?",
                role.as_str(),
                plan.role(role).name
            ),
            "with `yes` of both there will be two exports of one plan, each with media of its own; otherwise nothing is done",
        );
        let answer = ask.ask(&question)?;
        if !matches!(answer.as_str(), "yes" | "y") {
            let text = format!("nothing was done: this plan was carried out as {name}");
            return Err(CeremonyError::No(text));
        }
        said.push(Step::Answered { question: question.id, answer });
    }
    Ok(said)
}

/// Asks whether to go on with a ceremony that was interrupted; `None` when it is given up. One that was ended before a key
/// was read goes on by itself, unless another program began it.
///
/// # Errors
/// When neither is wanted, or it was too long ago to go on.
pub(super) fn go_on(
    mut going: Going,
    media: usize,
    room: &Room,
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<Option<Going>, CeremonyError> {
    let transcript = &going.transcript;
    if transcript.sealed().is_empty() {
        if transcript.beginnings().all(|begun| begun.program == room.program) {
            return Ok(Some(going));
        }
        going.record(Step::GivenUp)?;
        acted(&going, "given-up", None, watch);
        return Ok(None);
    }
    let name = transcript.begun().map(|begun| begun.ceremony.clone()).unwrap_or_default();
    let at = transcript.last_at().unwrap_or_default();
    let is_old = clock::now().duration_since(at) > LONGEST_PAUSE;
    let written = transcript.written().count();
    let question = Question::words(
        "resume",
        format!(
            "{name} of this plan was interrupted at {at}, with {written} of {media} media written. Go on with it (`yes`), or give it up and begin anew (`anew`)?"
        ),
        "what is on the media of one that is given up stays there, and counts for nothing",
        Some("no"),
    );
    let answer = ask.ask(&question)?;
    match answer.as_str() {
        "anew" => {
            going.record(Step::GivenUp)?;
            acted(&going, "given-up", None, watch);
            Ok(None)
        }
        "yes" | "y" if is_old => Err(CeremonyError::No(format!(
            "{name} was interrupted more than {} days ago: answer `anew`",
            LONGEST_PAUSE.as_hours() / 24
        ))),
        "yes" | "y" => {
            going.record(Step::Answered { question: question.id, answer })?;
            Ok(Some(going))
        }
        _ => Err(CeremonyError::No(format!("nothing was done; {name} is as it was"))),
    }
}
