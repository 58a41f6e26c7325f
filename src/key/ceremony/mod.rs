//! The ceremony itself: its steps in their order. Each is in the transcript before the next begins, and one that was
//! interrupted goes on with what is left: a medium that is in the transcript is whole and opens, one that is not has to be
//! written anew, and the keys are read again for it.

mod asked;
mod beforehand;
mod begin;
mod beside;
mod carried;
mod copies;
mod given;
mod look;
mod media;
mod onto;
mod open;
mod present;
mod prove;
mod quiet;
mod records;
mod resume;
mod retire;
mod sign;
mod standing;

use std::path::{Path, PathBuf};

pub use beforehand::{challenge_before, receive_before};
pub use begin::{Named, Prepared, Start, named, prepare};
pub use beside::Beside;
pub use carried::Kept;
pub use copies::{CopyStanding, MediumStanding};
pub use given::Given;
pub use look::{HeldTo, Paper, Shown, Standing, list, show};
pub use media::{FileBeside, carry_out};
pub use open::{Backup, Drilled, Fetch, Restored, Tried, bring_back, drill};
pub use prove::{NAMESPACE as RECEIPT_NAMESPACE, Proof, challenge, receive};
pub use quiet::Accepted;
pub use retire::{NAMESPACE as RETIRE_NAMESPACE, Retired, retire, statement};
pub use sign::{Signed, close, reopen};
pub use standing::{Export, standing};

use super::{
    child::ChildError,
    plan::RoleName,
    preflight::Reading,
    questions::{Ask, Question, Unanswered},
    signature,
    transcript::{Broken, Step, Transcript},
};
use crate::{
    host::{HostError, binder::Binder, clock, error::chain},
    profile::document::Faulty,
};

/// The record's name in a ceremony's folder.
const RECORD: &str = "transcript.jsonl";

/// The plan's.
const PLAN: &str = "plan.toml";

/// The readable page's.
const PAGE: &str = "transcript.txt";

/// The name of a person's signature of a file.
fn signature_of(file: &str, role: RoleName) -> String {
    format!("{file}.{}.sig", role.as_str())
}

/// Why a ceremony does not go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum CeremonyError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Plan(Box<Faulty>),
    #[error("{path} does not exist")]
    NoPlan { path: PathBuf },
    #[error("{path} is larger than any plan")]
    LargePlan { path: PathBuf },
    #[error("the plan is not signed by the {role}: {path} does not exist")]
    Unsigned { role: &'static str, path: String, command: String },
    #[error("the signature of the {role} in {path} does not count: {fault}")]
    BadSignature { role: &'static str, path: String, fault: signature::Fault },
    #[error("the plan ended on {0}")]
    Expired(String),
    #[error("{0}")]
    NotRehearsed(String),
    #[error("the room is not as it must be: {0}")]
    Room(String),
    #[error("medium {0}: it is not as it must be: {1}")]
    NotTheMedium(String, String),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("{0}")]
    No(String),
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("medium {medium}: {why}")]
    Medium { medium: String, why: String },
    #[error("the transcript of {ceremony} cannot be believed: {why}")]
    Broken { ceremony: String, why: Broken },
    #[error("there is no ceremony {0}")]
    NoSuch(String),
}

impl From<Box<Faulty>> for CeremonyError {
    fn from(faulty: Box<Faulty>) -> Self {
        Self::Plan(faulty)
    }
}

/// Whoever wants to see how it goes, and keeps it elsewhere, too.
pub trait Watch {
    /// A step has been done.
    fn done(&mut self, what: &str);

    /// Something was done that has to be in the evidence, whatever becomes of the ceremony.
    fn act(&mut self, act: &Act<'_>);
}

/// What goes into the evidence while a ceremony goes on.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// What was done.
    pub what: &'a str,
    /// To which medium, or by whom.
    pub of: Option<&'a str>,
    /// The record as it is by now.
    pub transcript: &'a Transcript,
}

/// Tells of something that was done.
fn acted(going: &Going, what: &str, of: Option<&str>, watch: &mut dyn Watch) {
    watch.act(&Act { what, of, transcript: &going.transcript });
}

/// A ceremony that goes on: its folder, and its record so far.
#[derive(Debug)]
pub struct Going {
    binder: Binder,
    transcript: Transcript,
}

impl Going {
    /// Its record so far.
    pub const fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Where a file of it is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.binder.path(file)
    }

    /// Records a step; when this returns it is on the disk.
    fn record(&mut self, step: Step) -> Result<(), CeremonyError> {
        let (line, next) = self.transcript.then(clock::now(), step);
        self.binder.append(RECORD, &line)?;
        self.transcript = next;
        Ok(())
    }
}

/// The folder of a name, and its record.
fn read(binder: Binder, name: &str) -> Result<Option<Going>, CeremonyError> {
    let Some(bytes) = binder.read(RECORD)? else { return Ok(None) };
    let transcript = Transcript::read(&bytes)
        .map_err(|why| CeremonyError::Broken { ceremony: name.to_owned(), why })?;
    Ok(Some(Going { binder, transcript }))
}

/// The readings in words.
fn words<'a>(readings: impl Iterator<Item = &'a Reading>) -> String {
    let each = |reading: &Reading| format!("{} ({})", reading.check.id(), reading.seen);
    readings.map(each).collect::<Vec<_>>().join("; ")
}

/// What people answer who do not want to be asked once more.
const STOP: &str = "stop";

/// Asks until an answer is good, or somebody says [`STOP`]: a slip is no reason to end a ceremony whose first media are in
/// their bags.
fn until_good<T>(
    ask: &mut dyn Ask,
    question: &Question,
    judge: impl Fn(&str) -> Result<T, CeremonyError>,
) -> Result<(String, T), CeremonyError> {
    loop {
        let answer = ask.ask(question)?;
        match judge(&answer) {
            Ok(good) => return Ok((answer, good)),
            Err(_) if answer == STOP => return Err(stopped(&question.id)),
            Err(error) if !ask.again(&chain(&error)) => return Err(error),
            Err(_) => {}
        }
    }
}

/// The end that somebody wanted.
fn stopped(question: &str) -> CeremonyError {
    CeremonyError::No(format!("`{STOP}` was said to `{question}`; the same command goes on"))
}

/// The refusal of what somebody signs who does so no more.
fn no_more(why: &str) -> CeremonyError {
    CeremonyError::No(format!(
        "{why}, and signs nothing more: carry out a plan with another, and end this one with `holdfast key retire`"
    ))
}

/// How a plan's signature is made, for people to type.
pub fn sign_command(namespace: &str, file: &Path, to: &str) -> String {
    format!("ssh-keygen -Y sign -n {namespace} -f KEY < {} > {to}", file.display())
}
