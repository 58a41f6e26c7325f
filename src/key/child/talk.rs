//! What is said to the child, and by it. Nothing here is secret.

use serde::{Deserialize, Serialize};

use super::open::Open;
use crate::{
    backup::chain::Status,
    host::shield::Shield,
    key::{
        material::Facts,
        plan::{From, KeyKind, Network},
    },
};

/// What the child is to do: the first line to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Seal keys.
    Seal(Job),
    /// Open copies again.
    Open(Open),
}

/// Where a key is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Put {
    /// Into a new file with mode 0400.
    File {
        /// Its path.
        path: String,
        /// Whose it is: user and group.
        owner: Option<(u32, u32)>,
    },
    /// Into a credential that systemd encrypts.
    Credential {
        /// Its path.
        path: String,
        /// What it is called.
        name: String,
        /// With which key: `host`, `tpm2` or `host+tpm2`.
        with_key: String,
        /// To which registers of the TPM it is bound.
        pcrs: Option<String>,
    },
}

/// A row of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSeen {
    /// Its aggregate key, in hexadecimal.
    pub row: String,
    /// How far its round got.
    pub status: Status,
    /// Whether it opens, and its share fits.
    pub opens: bool,
    /// The same in words.
    pub text: String,
}

/// Keys to seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The keys.
    pub keys: Vec<KeyJob>,
    /// For whom: name and recipient of age.
    pub custodians: Vec<(String, String)>,
    /// Whether keys are thrown away ones, made for this, and nothing is read.
    pub rehearsal: bool,
    /// Whether it goes on where the kernel does not lock its memory.
    pub may_be_unlocked: bool,
    /// How many custodians it takes; `None`: each opens alone.
    pub threshold: Option<u8>,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyJob {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: KeyKind,
    /// Of which network.
    pub network: Network,
    /// Where it is.
    pub from: From,
    /// Its public half, as the plan has it.
    pub public: Option<String>,
}

/// What the child says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// All keys are sealed, what was sealed opens, and they are wiped.
    Sealed(Sealed),
    /// It does not do what was asked, and why.
    Refused(String),
}

/// What comes of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Of each key, in the order of the job.
    pub keys: Vec<SealedKey>,
    /// How the child is shielded, as the kernel says.
    pub shield: Shield,
    /// What comes of the key that unlocks them, where it takes several custodians.
    pub split: Option<Split>,
    /// How long the child lived, from before its start until after its end, in microseconds, as its parent has measured.
    #[serde(default)]
    pub lived_us: u64,
}

/// A key that unlocks envelopes, in shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// How many it takes.
    pub needed: u8,
    /// One for each custodian, in the order of the job.
    pub shares: Vec<SealedShare>,
    /// How many sets of enough shares were put together, each of which opened every key's envelope: all there are.
    pub tried: usize,
}

/// A custodian's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedShare {
    /// Its number.
    pub number: u8,
    /// SHA-256 of the share, in hexadecimal: it is random, so that this tells nothing but whether it is the one.
    pub sha256: String,
    /// The share in an envelope that its custodian can open, armored.
    pub envelope: String,
}

/// What comes of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// Its name.
    pub name: String,
    /// What everybody may know of it.
    pub facts: Facts,
    /// Each custodian's envelope, armored, in the order of the job.
    pub envelopes: Vec<String>,
    /// How often it was opened again, to see that it opens.
    pub opened: usize,
    /// From before its first byte was read until nothing of this was left to do, in microseconds: it was in memory no longer.
    pub held_for_us: u64,
}

/// What was read back from a medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What should be in it.
    pub what: What,
    /// The envelope as it was read.
    pub armored: String,
}

/// What an envelope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A key, by its place in the job.
    Key(usize),
    /// A share, by its custodian's place in the job.
    Share(usize),
}
