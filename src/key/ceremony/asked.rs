//! What people are asked of a medium: the number of its bag, and what they printed from it.

use super::{CeremonyError, Prepared, STOP, stopped, until_good};
use crate::{
    host::{Files, medium::is_on},
    key::{
        paper,
        plan::{Medium, Plan, RoleName},
        questions::{Ask, Question},
        transcript::{Envelope, Step, digest},
    },
};

/// A number is read wrong once, or twice. After that it is another bag, or somebody guesses.
const MOST_WRONG: u32 = 3;

/// What is recorded in place of an answer that was wrong.
const WRONG: &str = "another number";

/// The largest file of what was scanned or typed, in bytes.
const LARGEST_TYPED: usize = 64 << 10;

impl Prepared {
    /// The number on the bag, read by both. Nobody is told the plan's, or could try until they had it. That an answer was
    /// wrong is recorded, and not what was typed: that may have been meant for another console.
    pub(super) fn ask_bag(
        &mut self,
        medium: &Medium,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        for role in RoleName::ALL {
            let question = Question::words(
                format!("bag.{}.{}", medium.name, role.as_str()),
                format!(
                    "{}: read the number of the bag for medium {} and type it",
                    role.as_str(),
                    medium.name
                ),
                "it must be the plan's",
                None,
            );
            let mut wrong = 0;
            loop {
                let (question, answer) = (question.id.clone(), ask.ask(&question)?);
                if answer == medium.bag.as_str() {
                    self.going.record(Step::Answered { question, answer })?;
                    break;
                }
                if answer == STOP {
                    return Err(stopped(&question));
                }
                wrong += 1;
                let why = format!(
                    "this is not the number that the plan has for the bag of medium {}",
                    medium.name
                );
                let answer = WRONG.to_owned();
                self.going.record(Step::Refused { question, answer, why: why.clone() })?;
                if wrong == MOST_WRONG {
                    return Err(CeremonyError::No(format!(
                        "{why}, nor were those before: find out which bag it is; the same command goes on then"
                    )));
                }
                if !ask.again(&why) {
                    return Err(CeremonyError::No(why));
                }
            }
        }
        Ok(())
    }

    /// Has what came out of the printer read again, if there is paper and that was not done.
    pub(super) fn reread(
        &mut self,
        plan: &Plan,
        medium: &Medium,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let transcript = self.going.transcript();
        let written = transcript.written().find(|it| it.medium == medium.name.as_str());
        let (Some(_), Some(written)) = (plan.paper, written) else { return Ok(()) };
        if transcript.is_reread(medium.name.as_str()) {
            return Ok(());
        }
        let envelopes = written.envelopes.clone();
        let sheets: Vec<&str> =
            envelopes.iter().filter_map(|it| Some(it.sheet.as_ref()?.file.as_str())).collect();
        let question = Question::words(
            format!("paper.{}", medium.name),
            format!(
                "print {} from medium {}, scan what was printed or type its lines, and name the files of that with spaces between them",
                sheets.join(" and "),
                medium.name
            ),
            "paper that was read again is known to be good; `holdfast key inspect --paper` does that later, too",
            Some("later"),
        );
        let (answer, is_later) = until_good(ask, &question, |answer| {
            if answer == "later" {
                Ok(true)
            } else {
                compare(medium, &envelopes, answer).map(|()| false)
            }
        })?;
        if is_later {
            return self.going.record(Step::Answered { question: question.id, answer });
        }
        self.going.record(Step::Reread { medium: medium.name.to_string() })
    }
}

/// Compares what was scanned or typed, in files, with what is on a medium.
fn compare(medium: &Medium, envelopes: &[Envelope], answer: &str) -> Result<(), CeremonyError> {
    let mut missing: Vec<&Envelope> = envelopes.iter().collect();
    for path in answer.split_whitespace() {
        let no = |why: String| CeremonyError::No(format!("{path}: {why}"));
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        if is_on(medium.path.as_str(), &absolute) {
            return Err(no(format!(
                "this is on medium {} itself, and was not read from paper",
                medium.name
            )));
        }
        let bytes = Files::below("/").head(&absolute.display().to_string(), LARGEST_TYPED)?;
        let bytes = bytes.ok_or_else(|| no("it does not exist".into()))?;
        let text = String::from_utf8_lossy(&bytes);
        let envelope = paper::typed(&text).map_err(|fault| no(fault.to_string()))?;
        let sha256 = digest(envelope.as_bytes());
        let Some(at) = missing.iter().position(|it| it.sha256 == sha256) else {
            return Err(no(format!("this is no sheet of medium {}", medium.name)));
        };
        missing.remove(at);
    }
    if let Some(left) = missing.first() {
        let text = format!("the sheet of {} is not among {answer}", left.file);
        return Err(CeremonyError::No(text));
    }
    Ok(())
}
