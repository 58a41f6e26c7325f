//! The child, as its parent has it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    time::{Duration, Instant},
};

use super::talk::{Answer, Check, Job, Order, Sealed, What};
use crate::{
    host::{HostError, stage::Stage},
    locked::Purpose,
};

/// It takes milliseconds, and waits for nobody but a command that prints a key, or systemd and a TPM.
const LIMIT: Duration = Duration::from_secs(600);

/// The child says no more than this in a line: an envelope for each of 1000 custodians.
pub(super) const LONGEST_LINE: u64 = 64 << 20;

/// Why the child was of no use.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It could not be started, or ended badly.
    #[error(transparent)]
    Host(#[from] HostError),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// It ended, or said what was not expected.
    #[error("the process that holds the key ended without an answer")]
    Silent,
}

/// A child that has sealed the keys, opened all that it sealed, and ended.
#[derive(Debug)]
pub struct Child {
    sealed: Sealed,
}

impl Child {
    /// Has one seal, and sees its end.
    ///
    /// # Errors
    /// When it cannot be started, refuses, or ends badly.
    pub fn seal(job: Job) -> Result<(Self, Sealed), ChildError> {
        let begun = Instant::now();
        match ask(&Order::Seal(job))? {
            Answer::Sealed(sealed) => {
                let lived_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                let sealed = Sealed { lived_us, ..sealed };
                Ok((Self { sealed: sealed.clone() }, sealed))
            }
            Answer::Refused(why) => Err(ChildError::Refused(why)),
        }
    }

    /// Whether what was read back is, byte for byte, what it sealed and opened.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn holds(&self, check: &Check) -> Result<(), ChildError> {
        held(&self.sealed, check).map_err(|why| ChildError::Refused(why.to_owned()))
    }
}

/// The same of what a child said.
pub(super) fn held(sealed: &Sealed, check: &Check) -> Result<(), &'static str> {
    let is_it = match check.what {
        What::Key(at) => {
            sealed.keys.get(at).is_some_and(|key| key.envelopes.contains(&check.armored))
        }
        What::Share(at) => {
            let mut shares = sealed.split.iter().flat_map(|split| &split.shares);
            shares.nth(at).is_some_and(|share| share.envelope == check.armored)
        }
    };
    if is_it { Ok(()) } else { Err("it is not the envelope that was sealed and opened") }
}

/// Starts a child, gives it its order, takes its answer, and waits for its end.
fn ask(order: &Order) -> Result<Answer, ChildError> {
    let mut line = serde_json::to_vec(order).map_err(|_| ChildError::Silent)?;
    line.push(b'\n');
    let mut stage = Purpose::Ceremony.launch(true, LIMIT).start()?;
    let talk = |stage: &mut Stage| -> Option<Answer> {
        let mut pipe = stage.stdin.take()?;
        pipe.write_all(&line).ok()?;
        drop(pipe);
        let mut answer = Vec::new();
        let answers = BufReader::new(stage.stdout.take()?);
        answers.take(LONGEST_LINE).read_until(b'\n', &mut answer).ok()?;
        serde_json::from_slice(&answer).ok()
    };
    let answer = talk(&mut stage);
    // How it ended says more than that it was silent.
    stage.end()?;
    answer.ok_or(ChildError::Silent)
}
