//! What is seen of the room and what people say in it: judged, accepted or not, and recorded.

use super::{CeremonyError, Prepared, until_good, words};
use crate::{
    host::room,
    key::{
        plan::{Plan, RoleName},
        preflight::{self, Check, Reading},
        questions::{Ask, Question},
        transcript::Step,
    },
};

impl Prepared {
    /// Judges the room, and has what is not as it should be accepted.
    pub(super) fn judge_room(
        &mut self,
        plan: &Plan,
        more: Vec<Reading>,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let mut readings = preflight::judge(plan, &self.room);
        readings.extend(more);
        self.going.record(Step::Room { readings: readings.clone() })?;
        self.accept(plan, &readings, ask)
    }

    /// Looks at the room again: what has become otherwise since is recorded, and must be accepted anew.
    pub(super) fn look_again(
        &mut self,
        plan: &Plan,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let before = preflight::judge(plan, &self.room);
        self.room = room::again(&self.room);
        let mut readings = preflight::judge(plan, &self.room);
        // The clock goes on.
        readings.retain(|each| {
            let goes_on = each.check == Check::Clock && each.good;
            !goes_on && !before.contains(each)
        });
        self.going.record(Step::Room { readings: readings.clone() })?;
        self.accept(plan, &readings, ask)
    }

    /// Has whatever is not as it should be accepted, by the plan or by both people; what nobody accepts ends it.
    pub(super) fn accept(
        &mut self,
        plan: &Plan,
        readings: &[Reading],
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        for reading in readings.iter().filter(|reading| !reading.good) {
            let (check, seen) = (reading.check, reading.seen.clone());
            if self.accepted.contains(&(check, seen.clone())) {
                continue;
            }
            let planned = preflight::excepted(plan, check).map(str::to_owned);
            let is_planned = planned.is_some();
            let reason = match planned {
                Some(reason) => reason,
                None => self.ask_exception(plan, reading, ask)?,
            };
            if reason.is_empty() {
                return Err(match check {
                    Check::Rehearsal => CeremonyError::NotRehearsed(seen),
                    _ => CeremonyError::Room(words(readings.iter().filter(|each| !each.good))),
                });
            }
            self.accepted.push((check, seen.clone()));
            self.going.record(Step::Exception { check, seen, reason, planned: is_planned })?;
        }
        Ok(())
    }

    /// Why both accept what the plan does not; empty when one of them does not.
    fn ask_exception(
        &mut self,
        plan: &Plan,
        reading: &Reading,
        ask: &mut dyn Ask,
    ) -> Result<String, CeremonyError> {
        let (id, seen) = (reading.check.id(), &reading.seen);
        let otherwise = if reading.check.is_of_a_medium() {
            "this medium is not taken"
        } else {
            "the ceremony ends here"
        };
        // Whoever types must not be the one who vouches for who they are.
        if reading.check == Check::People {
            return Ok(String::new());
        }
        let question = Question::words(
            format!("exception.{id}"),
            format!("operator: {id} is not as it should be: {seen}. Why do you accept that?"),
            format!("your reason goes into the transcript; without one {otherwise}"),
            Some(""),
        );
        let reason = ask.ask(&question)?;
        if reason.is_empty() {
            return Ok(reason);
        }
        let witness = &plan.role(RoleName::Witness).name;
        let question = Question::words(
            format!("exception.{id}.witness"),
            format!("witness ({witness}): {id}: {seen}. Do you accept it, too, because: {reason}?"),
            format!("with `yes` it is an exception that both of you made; otherwise {otherwise}"),
            Some(""),
        );
        let answer = ask.ask(&question)?;
        if !matches!(answer.as_str(), "yes" | "y") {
            return Ok(String::new());
        }
        self.going.record(Step::Answered { question: question.id, answer })?;
        Ok(reason)
    }

    /// Who is here.
    pub(super) fn ask_names(
        &mut self,
        plan: &Plan,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        for role in RoleName::ALL {
            let expected = plan.role(role).name.as_str();
            let question = Question::words(
                role.as_str(),
                format!("{}: type your name as the plan has it", role.as_str()),
                "you say that you are here, and stay until the end",
                None,
            );
            let (name, ()) = until_good(ask, &question, |name| {
                if name == expected {
                    return Ok(());
                }
                Err(CeremonyError::No(format!(
                    "the {} of this plan is {expected}, and not {}",
                    role.as_str(),
                    name.escape_debug()
                )))
            })?;
            self.going.record(Step::Present { role, name })?;
        }
        Ok(())
    }

    /// What only people can know of the time.
    pub(super) fn ask_clock(&mut self, ask: &mut dyn Ask) -> Result<(), CeremonyError> {
        let now = self.room.now.map(|now| now.to_string()).unwrap_or_default();
        let question = Question::confirm(
            "clock",
            format!(
                "witness: look at your own watch. Is it now {now} (UTC), give or take a minute?"
            ),
            "the times in the transcript are this clock's",
        );
        self.confirm(&question, ask, "the clock is wrong; set it, and begin again")?;
        Ok(())
    }

    /// A question that must be answered with yes; the answer is recorded, and given.
    pub(super) fn confirm(
        &mut self,
        question: &Question,
        ask: &mut dyn Ask,
        otherwise: &str,
    ) -> Result<String, CeremonyError> {
        let (answer, is_so) = until_good(ask, question, |answer| match answer {
            "yes" | "y" => Ok(true),
            "no" | "n" => Ok(false),
            other => {
                let text = format!("`{}` is neither yes nor no", other.escape_debug());
                Err(CeremonyError::No(text))
            }
        })?;
        if !is_so {
            return Err(CeremonyError::No(otherwise.to_owned()));
        }
        self.going
            .record(Step::Answered { question: question.id.clone(), answer: answer.clone() })?;
        Ok(answer)
    }
}
