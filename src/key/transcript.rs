//! The record of a ceremony: a line of JSON for each step, each with the digest of the line before it, and a page made of it
//! for people. Both of them sign it at the end; a line that is altered, removed or moved breaks the chain, and one that is
//! added breaks the signatures.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use super::step::{
    Begun, Envelope, Kind, Other, Printed, SealedKey, SealedTo, Share, Split, Step, Written,
};
use crate::backup::curve::hex;

/// The namespace of signatures of transcripts (SSHSIG).
pub const NAMESPACE: &str = "holdfast-transcript@v1";

/// The version of the lines' format. Within it fields are added, never changed or taken away.
const FORMAT: u32 = 1;

/// What the first line has in place of the digest of the one before it.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Version of the format.
    pub format: u32,
    /// From 1 up, without a gap.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The digest of the line before, without its end.
    pub previous: String,
    /// What was done.
    #[serde(flatten)]
    pub step: Step,
}

/// Why a transcript cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Broken {
    #[error("line {0} cannot be read")]
    Unreadable(u64),
    #[error(
        "line {0} does not follow the line before it: one was altered, removed, added or moved"
    )]
    Chain(u64),
    #[error("it does not begin with how it began")]
    Beginning,
}

/// A record, as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    lines: Vec<Line>,
    last: String,
}

impl Transcript {
    /// Reads a record. What stands behind its last whole line was cut off, and is not read.
    ///
    /// # Errors
    /// When the chain is broken.
    pub fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let mut transcript = Self { lines: Vec::new(), last: NONE.to_owned() };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for bytes in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            let number = transcript.next();
            let line: Line =
                serde_json::from_slice(bytes).map_err(|_| Broken::Unreadable(number))?;
            if line.number != number || line.previous != transcript.last || line.format != FORMAT {
                return Err(Broken::Chain(number));
            }
            transcript.last = digest(bytes);
            transcript.lines.push(line);
        }
        match transcript.lines.first().map(|line| &line.step) {
            Some(Step::Begun(_)) => Ok(transcript),
            _ => Err(Broken::Beginning),
        }
    }

    /// One that is yet to begin.
    pub fn new() -> Self {
        Self { lines: Vec::new(), last: NONE.to_owned() }
    }

    fn next(&self) -> u64 {
        self.lines.len() as u64 + 1
    }

    /// The line of the next step, to be written behind the others, and the record with it.
    pub fn then(&self, at: Timestamp, step: Step) -> (Vec<u8>, Self) {
        let line =
            Line { format: FORMAT, number: self.next(), at, previous: self.last.clone(), step };
        // Only maps with keys that are not strings cannot be written, and there are none.
        let bytes = serde_json::to_vec(&line).unwrap_or_default();
        let mut next = self.clone();
        next.last = digest(&bytes);
        next.lines.push(line);
        (bytes, next)
    }

    /// Its lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How it began.
    pub fn begun(&self) -> Option<&Begun> {
        self.beginnings().next()
    }

    /// The media that are written, read back and opened. Where a key was split, or has no public half by which it is known,
    /// those of the last sealing only: shares of another do not fit together with them, and what was sealed before may be
    /// another key.
    pub fn written(&self) -> impl Iterator<Item = &Written> {
        let is_anew = |line: &Line| match &line.step {
            Step::Sealed { split, keys, .. } => {
                split.is_some() || keys.iter().any(|key| key.facts.public.is_none())
            }
            _ => false,
        };
        let from = self.lines.iter().rposition(is_anew).unwrap_or(0);
        self.lines[from..].iter().filter_map(|line| match &line.step {
            Step::Medium(written) => Some(written.as_ref()),
            _ => None,
        })
    }

    /// All media that were ever written, those that do not count any more among them.
    pub fn ever_written(&self) -> impl Iterator<Item = &Written> {
        self.lines.iter().filter_map(|line| match &line.step {
            Step::Medium(written) => Some(written.as_ref()),
            _ => None,
        })
    }

    /// How the key that unlocks the others was split, the last time.
    pub fn split(&self) -> Option<&Split> {
        self.lines.iter().rev().find_map(|line| match &line.step {
            Step::Sealed { split, .. } => split.as_ref(),
            _ => None,
        })
    }

    /// Whether what was printed of a medium, as it was last written, was read again.
    pub fn is_reread(&self, medium: &str) -> bool {
        let is_it = |line: &Line| matches!(&line.step, Step::Medium(it) if it.medium == medium);
        let from = self.lines.iter().rposition(is_it).unwrap_or(0);
        self.lines[from..]
            .iter()
            .any(|line| matches!(&line.step, Step::Reread { medium: name } if name == medium))
    }

    /// What everybody may know of the keys, as they were last sealed.
    pub fn sealed(&self) -> &[SealedKey] {
        let mut sealed = self.lines.iter().filter_map(|line| match &line.step {
            Step::Sealed { keys, .. } => Some(keys.as_slice()),
            _ => None,
        });
        sealed.next_back().unwrap_or_default()
    }

    /// How it began, and each time went on.
    pub fn beginnings(&self) -> impl Iterator<Item = &Begun> {
        self.lines.iter().filter_map(|line| match &line.step {
            Step::Begun(begun) => Some(begun),
            _ => None,
        })
    }

    /// The exceptions that were made, each once.
    pub fn exceptions(&self) -> Vec<&Step> {
        let all = self.lines.iter().map(|line| &line.step);
        let mut exceptions: Vec<&Step> = Vec::new();
        for step in all.filter(|step| matches!(step, Step::Exception { .. })) {
            if !exceptions.contains(&step) {
                exceptions.push(step);
            }
        }
        exceptions
    }

    /// The number of its last line, and the digest of that one, which stands for all lines before it, too.
    pub fn head(&self) -> (usize, &str) {
        (self.lines.len(), &self.last)
    }

    /// When its last line was written.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.lines.last().map(|line| line.at)
    }

    /// When it was given up; `None` when it was not.
    pub fn given_up(&self) -> Option<Timestamp> {
        let line = self.lines.iter().find(|line| line.step == Step::GivenUp);
        line.map(|line| line.at)
    }

    /// When all of it was done; `None` when something is left.
    pub fn done(&self) -> Option<Timestamp> {
        let done = self.lines.iter().find(|line| line.step == Step::Done);
        done.map(|line| line.at)
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
#[path = "transcript_tests.rs"]
mod tests;
