//! Where the exports of a host stand: when one was last drilled, when it must be again, and which custodian proved when.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    CeremonyError, Going, beforehand,
    copies::{CopyStanding, MediumStanding, altered, copies, unplaced},
    look::shown,
    open::{drills, looks},
    prove::proofs_of,
    retire::{Retired, retired, vouched},
    sign::plan_of,
};
use crate::{
    host::{binder::Shelf, error::chain},
    key::{
        plan::{Custodian, Role, RoleName},
        preflight::{Check, excepted},
        transcript::{Kind, Step, Transcript},
    },
    profile::schema::Person,
};

/// Why no retirement is believed where the profile cannot be read.
const UNJUDGED: &str = "the host's profile cannot be read, and says not who could";

/// An export that was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Export {
    /// The ceremony's name.
    pub name: String,
    /// What it lacks to be done: it was interrupted. Its media that were written carry the key all the same.
    pub unfinished: Option<String>,
    /// When it was given up, and which media may carry the key since.
    pub given_up: Option<String>,
    /// What was otherwise than it should be and was accepted, and by whom.
    pub exceptions: Vec<String>,
    /// Whether both signed.
    pub signed: bool,
    /// Who they are, the operator and the witness, by the plan.
    pub by: Vec<Role>,
    /// The last drill that was good.
    pub drilled: Option<Timestamp>,
    /// Why a copy was not good when it was last tried, and the first such; or why a drill failed without one.
    pub failed: Option<String>,
    /// Every copy, each for itself.
    pub copies: Vec<CopyStanding>,
    /// Media of which something beside the envelopes is not as it was written.
    pub altered: Vec<MediumStanding>,
    /// The keys in it, with their public halves.
    pub keys: Vec<(String, Option<String>)>,
    /// When it was carried out.
    pub done: Option<Timestamp>,
    /// Why it counts no more, by both who signed it, and since when.
    pub retired: Option<Retired>,
    /// Why a statement that it counts no more does not count itself: those who signed it could not.
    pub unretired: Option<String>,
    /// The day by which it must be drilled.
    pub due: Date,
    /// Whether that day is over.
    pub overdue: bool,
    /// Custodians who never opened anything, neither a challenge nor their copy, unless the plan leaves them out.
    pub unopened: Vec<String>,
    /// Custodians, and when the challenge was made that each last proved to have opened.
    pub custodians: Vec<(String, Option<Timestamp>)>,
    /// What of its records cannot be believed; nothing else counts then.
    pub fault: Option<String>,
}

impl Export {
    /// Whether nothing is to be done about it.
    pub fn is_good(&self) -> bool {
        let is_drilled = !self.overdue && self.failed.is_none() && self.unopened.is_empty();
        let is_drilled = is_drilled && self.altered.is_empty();
        let is_whole = self.unfinished.is_none() && self.given_up.is_none() && self.signed;
        let is_ended = self.retired.is_some();
        self.fault.is_none() && (is_ended || is_whole && is_drilled && self.unretired.is_none())
    }
}

/// Every export of which there may be a copy somewhere, the oldest first. Who may end one, the host's profile says; `None`: it
/// cannot be read, and no retirement is believed.
///
/// # Errors
/// When they cannot be listed.
pub fn standing(
    shelf: &Shelf,
    today: Date,
    people: Option<&[Person]>,
) -> Result<Vec<Export>, CeremonyError> {
    let mut all = Vec::new();
    for name in shelf.names()? {
        match one(shelf, &name, today, people) {
            Ok(Some(export)) => all.push(export),
            Ok(None) => {}
            Err(error) => all.push(Export {
                name,
                due: today,
                fault: Some(chain(&error)),
                ..Export::default()
            }),
        }
    }
    Ok(all)
}

fn one(
    shelf: &Shelf,
    name: &str,
    today: Date,
    people: Option<&[Person]>,
) -> Result<Option<Export>, CeremonyError> {
    let (going, signed) = shown(shelf, name)?;
    let is_export = going.transcript.begun().is_some_and(|begun| begun.kind == Kind::Export);
    let done = going.transcript.done();
    // No key was read in it.
    let is_empty = done.is_none() && going.transcript.sealed().is_empty();
    let given_up = given_up(&going.transcript);
    if !is_export || is_empty || going.transcript.given_up().is_some() && given_up.is_none() {
        return Ok(None);
    }
    let plan = plan_of(&going)?;
    let retired = retired(&going)?;
    let doubt = |it: &Retired| {
        let Some(people) = people else { return Some(UNJUDGED.to_owned()) };
        let (role, why) = vouched(it, &plan, people).err()?;
        Some(format!("the {}: {why}", role.as_str()))
    };
    let unretired = retired.as_ref().and_then(doubt);
    let drills = drills(&going)?;
    let last = drills.iter().rev().find(|drill| drill.good).map(|drill| drill.at);
    let copies = copies(&going.transcript, &drills);
    let bad = copies.iter().find_map(|it| Some(format!("{}: {}", it.told(), it.failed.as_ref()?)));
    let altered = altered(&looks(&going)?);
    let failed = bad.or_else(|| unplaced(&drills));
    let sealed = going.transcript.sealed().iter();
    let keys = sealed.map(|key| (key.name.clone(), key.facts.public.clone())).collect();
    let due = due(done.map_or(today, day), plan.next_drill.date(), last.map(day));
    let proofs = proofs_of(&going)?;
    let digest = going.transcript.begun().map_or(String::new(), |begun| begun.plan.clone());
    let proved = |custodian: &Custodian| {
        let who = custodian.name.as_str();
        let after = proofs.iter().rev().find(|it| it.custodian == who).map(|it| it.challenged);
        after.or_else(|| beforehand::proved(shelf, &digest, custodian).ok())
    };
    let custodians: Vec<(String, Option<Timestamp>)> =
        plan.custodians.iter().map(|each| (each.name.to_string(), proved(each))).collect();
    let is_opened =
        |name: &str| copies.iter().any(|copy| copy.custodian == name && copy.drilled.is_some());
    let unopened = custodians.iter().filter(|(name, proved)| proved.is_none() && !is_opened(name));
    let unopened = match excepted(&plan, Check::Proofs) {
        Some(_) => Vec::new(),
        None => unopened.map(|(name, _)| name.clone()).collect(),
    };
    Ok(Some(Export {
        name: name.to_owned(),
        unfinished: unfinished(&going, plan.media.len()),
        given_up,
        exceptions: exceptions(&going),
        signed: signed.is_complete(),
        by: RoleName::ALL.map(|role| plan.role(role).clone()).into(),
        drilled: last,
        failed,
        copies,
        altered,
        keys,
        done,
        retired: retired.filter(|_| unretired.is_none()),
        unretired,
        due,
        overdue: today > due,
        unopened,
        custodians,
        fault: None,
    }))
}

/// What an export that was given up has left, if anything: a medium that was put in for it may have a whole envelope, whether or
/// not it could be said that it was written.
fn given_up(transcript: &Transcript) -> Option<String> {
    let at = transcript.given_up()?;
    let put_in = transcript.lines().iter().filter_map(|line| match &line.step {
        Step::Answered { question, .. } => question.strip_prefix("medium."),
        Step::Medium(written) => Some(written.medium.as_str()),
        _ => None,
    });
    let media: BTreeSet<&str> = put_in.collect();
    let media: Vec<&str> = media.into_iter().collect();
    let told = || format!("given up at {at}, and may be on {}", media.join(", "));
    (!media.is_empty()).then(told)
}

/// What an export that was interrupted lacks.
fn unfinished(going: &Going, media: usize) -> Option<String> {
    if going.transcript.done().is_some() || going.transcript.given_up().is_some() {
        return None;
    }
    let written: Vec<&str> = going.transcript.written().map(|it| it.medium.as_str()).collect();
    let at = going.transcript.last_at().unwrap_or_default();
    let which =
        if written.is_empty() { String::new() } else { format!(": {}", written.join(", ")) };
    Some(format!("interrupted at {at} with {} of {media} media written{which}", written.len()))
}

fn exceptions(going: &Going) -> Vec<String> {
    let told = |step: &Step| match step {
        Step::Exception { check, reason, planned, .. } => {
            let whose = if *planned { "the plan" } else { "both present" };
            Some(format!("{} by {whose}: {reason}", check.id()))
        }
        _ => None,
    };
    going.transcript.exceptions().into_iter().filter_map(told).collect()
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The day by which the next drill must be: as the plan says, and ever after as long after the last one as the plan had
/// between export and drill.
fn due(done: Date, planned: Date, last: Option<Date>) -> Date {
    let Some(last) = last else { return planned };
    // A span of days that leaves the calendar ends with it.
    let days = done.until(planned).map_or(0, |span| span.get_days());
    let next = last.checked_add(jiff::Span::new().days(days.max(1))).unwrap_or(Date::MAX);
    next.max(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_may_be_on_every_medium_that_was_put_in() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let answered =
            |question: &str| Step::Answered { question: question.to_owned(), answer: "yes".into() };
        let told = |steps: &[Step]| {
            let add = |transcript: Transcript, (step, second): (&Step, i64)| {
                transcript.then(at(second), step.clone()).1
            };
            given_up(&steps.iter().zip(1..).fold(Transcript::new(), add))
        };
        let clock = answered("clock");
        assert_eq!(told(&[clock.clone(), answered("medium.usb-1")]), None, "it goes on");
        assert_eq!(told(&[clock.clone(), Step::GivenUp]), None, "no medium was put in");
        let steps =
            [clock, answered("medium.usb-2"), answered("bag.usb-2.operator"), Step::GivenUp];
        let expected = "given up at 1970-01-01T00:00:04Z, and may be on usb-2";
        assert_eq!(told(&steps).as_deref(), Some(expected));
    }

    #[test]
    fn drills_are_due_as_planned_and_at_the_same_distance_ever_after() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let (done, planned) = (day("2026-11-21"), day("2027-02-21"));
        assert_eq!(due(done, planned, None), planned);
        assert_eq!(due(done, planned, Some(day("2027-02-20"))), day("2027-05-23"));
        // One that was early does not bring the next one forward.
        assert_eq!(due(done, planned, Some(day("2026-11-22"))), day("2027-02-22"));
        assert_eq!(due(planned, done, Some(planned)), day("2027-02-22"));
    }
}
