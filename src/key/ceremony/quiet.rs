//! What must hold of the room before copies are opened: the same as before they are made, as far as it is about who could see.
//! Where the ceremony was held its plan's exceptions hold here too; whatever else is otherwise needs a reason, which is
//! recorded.

use serde::{Deserialize, Serialize};

use super::{CeremonyError, carried::Kept, given::Given, words};
use crate::{
    host::room,
    key::{
        child::{
            ChildError, UNLOCKED,
            open::{Open, Opener},
        },
        preflight::{self, Check, Reading},
        questions::{Ask, Question},
    },
};

/// Something that was otherwise than it should be, and was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// What.
    pub check: Check,
    /// What was seen.
    pub seen: String,
    /// Why it was accepted.
    pub reason: String,
    /// Whether the plan has it, which both signed.
    pub planned: bool,
}

/// Not the program: one that was updated since opens what an older one made.
const CHECKS: [Check; 7] = [
    Check::Network,
    Check::SshSession,
    Check::Swap,
    Check::CoreDumps,
    Check::Traced,
    Check::Entropy,
    Check::Clock,
];

/// Looks at the room, and has what is otherwise accepted.
///
/// # Errors
/// When nobody accepts it.
pub(super) fn look(kept: &Kept, ask: &mut dyn Ask) -> Result<Vec<Accepted>, CeremonyError> {
    let readings = preflight::judge(&kept.plan, &room::look());
    let bad = |it: &Reading| !it.good && CHECKS.contains(&it.check);
    let readings: Vec<Reading> = readings.into_iter().filter(bad).collect();
    let mut accepted = Vec::new();
    for reading in readings.clone() {
        let Some(it) = accept(kept, reading, ask)? else {
            let open = readings.iter().filter(|it| kept.excepted(it.check).is_none());
            return Err(CeremonyError::Room(words(open)));
        };
        accepted.push(it);
    }
    Ok(accepted)
}

/// Has something accepted, by the plan or by people; `None` when nobody does.
///
/// # Errors
/// When nobody can be asked.
pub(super) fn accept(
    kept: &Kept,
    reading: Reading,
    ask: &mut dyn Ask,
) -> Result<Option<Accepted>, CeremonyError> {
    let Reading { check, seen, .. } = reading;
    if let Some(reason) = kept.excepted(check) {
        let reason = reason.to_owned();
        return Ok(Some(Accepted { check, seen, reason, planned: true }));
    }
    let reason = ask.ask(&Question::words(
        format!("exception.{}", check.id()),
        format!("{} is not as it should be: {seen}. Why do you accept that?", check.id()),
        "your reason is recorded; without one nothing is opened",
        Some(""),
    ))?;
    let accepted = Accepted { check, seen, reason, planned: false };
    Ok((!accepted.reason.is_empty()).then_some(accepted))
}

/// Starts the process that has the identities.
///
/// Identities are read when the process is shielded: one that is not has read none, and another is started if people accept
/// that its memory is not locked.
///
/// # Errors
/// When it cannot be started, reads no identity, or nobody accepts that.
pub(super) fn opener(
    kept: &Kept,
    given: &Given,
    accepted: &mut Vec<Accepted>,
    ask: &mut dyn Ask,
) -> Result<Opener, CeremonyError> {
    let order = |may_be_unlocked| Open { identities: given.identities.clone(), may_be_unlocked };
    let is_planned = kept.excepted(Check::MemoryLocked).is_some();
    match Opener::start(order(is_planned)) {
        Err(ChildError::Refused(why)) if why == UNLOCKED => {
            let reading = Reading::new(Check::MemoryLocked, false, why);
            let it = accept(kept, reading, ask)?
                .ok_or_else(|| ChildError::Refused(UNLOCKED.to_owned()))?;
            accepted.push(it);
            Ok(Opener::start(order(true))?.0)
        }
        other => Ok(other?.0),
    }
}
