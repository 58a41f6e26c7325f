//! What the rows of a backup come to, one by one.

use std::fmt;

use super::{flaw::Flaw, key::SignerKey, row::Row};
use crate::{
    backup::{chain::Status, curve::PublicKey},
    engine::check,
};

/// By what a row is told to be this signer's.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// By the public keys that the signer has and had: its row, or another signer's of the same group.
    PublicKeys(&'a [PublicKey]),
    /// By the private keys: the joint proof. Each generation of the key opens the rows that were made under it.
    Keys(&'a [SignerKey]),
}

/// What one row comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It opens under one of the keys, and its share is the one that its public shares ask for.
    Opens {
        /// The public half of that key.
        under: PublicKey,
    },
    /// Whole as far as public data tell, and this signer is in its set.
    Whole {
        /// The signer's key in it.
        signer: PublicKey,
    },
    /// It is of no use to this signer.
    Flawed(Flaw),
    /// No key was given to judge it by.
    NoKeys,
}

/// Judges every row. One that nobody needs any more, because its round failed, is judged too.
pub fn prove(rows: &[Row], by: By<'_>) -> Vec<Verdict> {
    rows.iter().map(|row| one(row, by)).collect()
}

fn one(row: &Row, by: By<'_>) -> Verdict {
    let checked = match row.check() {
        Ok(checked) => checked,
        Err(flaw) => return Verdict::Flawed(flaw),
    };
    let mut verdict = Verdict::NoKeys;
    match by {
        By::PublicKeys(keys) => {
            for key in keys {
                match checked.position(*key) {
                    Ok(_) => return Verdict::Whole { signer: *key },
                    Err(flaw) => verdict = Verdict::Flawed(flaw),
                }
            }
        }
        By::Keys(keys) => {
            for key in keys {
                match checked.open(key) {
                    Ok(()) => return Verdict::Opens { under: key.public() },
                    // That it does not open says more than that the key is of another generation.
                    Err(Flaw::NotInSet(_)) if verdict != Verdict::NoKeys => {}
                    Err(flaw) => verdict = Verdict::Flawed(flaw),
                }
            }
        }
    }
    verdict
}

impl Verdict {
    /// The same as a control's word on a row of this status.
    pub fn judged(&self, status: Status) -> check::Verdict {
        let text = self.to_string();
        match self {
            Self::Opens { .. } | Self::Whole { .. } => check::Verdict::Holds { observed: text },
            Self::Flawed(_) if status == Status::Failed => {
                check::Verdict::NotApplicable { why: format!("its round failed, and {text}") }
            }
            Self::Flawed(_) => check::Verdict::Differs { observed: text },
            Self::NoKeys => check::Verdict::Unknown { why: text },
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opens { under } => {
                write!(f, "it opens under the key of {under}, and its share fits its public shares")
            }
            Self::Whole { signer } => write!(
                f,
                "its public shares, script and signer set are whole, with the signer {signer} in it; whether its share opens takes the key"
            ),
            Self::Flawed(flaw) => flaw.fmt(f),
            Self::NoKeys => f.write_str("no key was given by which to tell whose row it is"),
        }
    }
}
