//! What a line of a ceremony's record says was done.

use serde::{Deserialize, Serialize};

use super::{
    material::Facts,
    plan::RoleName,
    preflight::{Check, Reading},
};
use crate::host::{medium::ReadBack, mounted::Mounted, shield::Shield};

/// Whether a key is exported, or one that is thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All of it, with a key that nothing uses.
    #[default]
    Rehearsal,
    /// The key itself.
    Export,
}

impl Kind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rehearsal => "rehearsal",
            Self::Export => "export",
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// It began, or went on after an interruption.
    Begun(Begun),
    /// The room was looked at.
    Room {
        /// What was seen.
        readings: Vec<Reading>,
    },
    /// Something is otherwise than it should be, and was accepted.
    Exception {
        /// What.
        check: Check,
        /// What was seen.
        seen: String,
        /// Why it was accepted.
        reason: String,
        /// Whether the plan has it, which was signed beforehand. Otherwise the operator gave the reason, and the witness
        /// accepted it, too.
        planned: bool,
    },
    /// Somebody said who they are.
    Present {
        /// Their part.
        role: RoleName,
        /// Their name.
        name: String,
    },
    /// Somebody answered what no machine can know.
    Answered {
        /// The question's id.
        question: String,
        /// The answer.
        answer: String,
    },
    /// What somebody answered was not so.
    Refused {
        /// The question's id.
        question: String,
        /// The answer where it was `yes`; of any other only that it was wrong.
        answer: String,
        /// What was wrong.
        why: String,
    },
    /// The keys were read and sealed, what was sealed was opened, and they were wiped.
    Sealed {
        /// What everybody may know of them.
        keys: Vec<SealedKey>,
        /// How the process that held them was shielded.
        shield: Shield,
        /// How the key that unlocks them was split, where it takes several custodians.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        split: Option<Split>,
        /// To whom.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        to: Vec<SealedTo>,
        /// How long the process lived that held them, in microseconds.
        #[serde(default)]
        lived_us: u64,
    },
    /// A medium carries a custodian's envelopes, and reads back as what was opened.
    Medium(Box<Written>),
    /// What was printed from a medium's sheets was read again, from paper, and is what is on the medium.
    Reread {
        /// The medium's name in the plan.
        medium: String,
    },
    /// All media are written.
    Done,
    /// It was interrupted, and nobody will go on with it. What is on its media counts for nothing.
    GivenUp,
}

/// Somebody to whom keys were sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedTo {
    /// Their name.
    pub custodian: String,
    /// Their recipient of age.
    pub recipient: String,
}

/// A key that unlocks, in shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// How many custodians it takes.
    pub needed: u8,
    /// Who has which.
    pub shares: Vec<Share>,
    /// How many sets of enough shares were put together and opened everything: all there are.
    pub tried: usize,
}

/// Somebody's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose.
    pub custodian: String,
    /// Its number.
    pub number: u8,
    /// SHA-256 of the share, in hexadecimal. It is random: that tells nothing but whether it is the one.
    pub sha256: String,
}

/// How it began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// What it is.
    pub kind: Kind,
    /// The ceremony's name.
    pub ceremony: String,
    /// Digest of the plan.
    pub plan: String,
    /// Version of holdfast.
    pub version: String,
    /// Digest of the program.
    pub program: Option<String>,
    /// Which machine.
    pub machine: Option<String>,
    /// Digest of the file that answered the questions; `None` where people did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<String>,
    /// Other ceremonies of this machine, of which the records cannot be believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}

/// What was sealed of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// Its name.
    pub name: String,
    /// What everybody may know of it.
    #[serde(flatten)]
    pub facts: Facts,
    /// How often it was opened again from its envelopes.
    #[serde(default)]
    pub opened: usize,
    /// It was in memory for no longer than this, in microseconds.
    pub held_for_us: u64,
}

/// What is on a medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its name in the plan.
    pub medium: String,
    /// Whose it is.
    pub custodian: String,
    /// The bag into which it goes.
    pub bag: String,
    /// What the kernel says of it.
    pub mounted: Mounted,
    /// The folder on it.
    pub folder: String,
    /// Its envelopes.
    pub envelopes: Vec<Envelope>,
    /// What else is in the folder: the words, the program, the record. Older records do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
    /// How they were read back.
    pub read_back: ReadBack,
}

/// A file beside the envelopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its name.
    pub file: String,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which key is in it.
    pub key: String,
    /// Its file.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The sheet of paper that was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<Printed>,
}

/// A file to be printed, of which the code was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// Its file.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The number that stands on it.
    pub serial: String,
}
