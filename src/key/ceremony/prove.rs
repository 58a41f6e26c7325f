//! Proof of custodians, at any time: a challenge that only their identity opens, and what was in it, signed with their SSH
//! key. On their side it takes `age` and `ssh-keygen`. It shows that they have the identity; that what it opens is good shows
//! a drill.

use std::io::Write as _;

use age::{
    Encryptor,
    armor::{ArmoredWriter, Format},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    CeremonyError,
    look::shown,
    no_more,
    open::custodian,
    records::{note, noted},
    sign::plan_of,
};
use crate::{
    backup::curve::hex,
    host::{binder::Shelf, clock, shield},
    key::{
        plan::Custodian,
        preflight::shows_no_more,
        signature::{self, Good},
        transcript::digest,
    },
    profile::schema::Person,
};

/// The namespace of signatures of receipts (SSHSIG).
pub const NAMESPACE: &str = "holdfast-receipt@v1";

/// The challenges' record in a ceremony's folder.
const CHALLENGES: &str = "challenges.jsonl";

/// The proofs' record in a ceremony's folder.
const PROOFS: &str = "proofs.jsonl";

/// A challenge that was handed out. What is in it is not kept: only its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Challenge {
    at: Timestamp,
    custodian: String,
    sha256: String,
}

/// A challenge that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// When that was said here.
    pub at: Timestamp,
    /// By whom.
    pub custodian: String,
    /// When the challenge was made.
    pub challenged: Timestamp,
    /// SHA-256 of what was in it.
    pub sha256: String,
    /// How it was signed.
    pub signed: Good,
}

/// Makes a challenge for a custodian: an envelope, armored. Nothing secret is in it, and nobody knows it but who opens it.
///
/// # Errors
/// When they cannot sign, or it cannot be noted.
pub fn challenge(shelf: Shelf, name: &str, who: &str) -> Result<String, CeremonyError> {
    let shelf = shelf.open()?;
    let (going, _) = shown(shelf.shelf(), name)?;
    let plan = plan_of(&going)?;
    let custodian = custodian(&plan, who)?;
    can_sign(custodian)?;
    let at = clock::now();
    let random = hex(shield::random()?.as_slice());
    let receipt = format!(
        "holdfast receipt v1\nceremony {name}\ncustodian {who}\nchallenge {random}\nmade {at}\n\
         With the identity that opens my copies I opened this.\n"
    );
    let sealed = sealed(custodian, &receipt)
        .ok_or_else(|| CeremonyError::No("the challenge cannot be encrypted".into()))?;
    let sha256 = digest(receipt.as_bytes());
    note(&going, CHALLENGES, &Challenge { at, custodian: who.to_owned(), sha256 })?;
    Ok(sealed)
}

pub(super) fn sealed(custodian: &Custodian, text: &str) -> Option<String> {
    let recipients = std::iter::once(custodian.recipient.as_age());
    let encryptor = Encryptor::with_recipients(recipients).ok()?;
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).ok()?;
    let mut sealed = encryptor.wrap_output(armor).ok()?;
    sealed.write_all(text.as_bytes()).ok()?;
    let bytes = sealed.finish().and_then(ArmoredWriter::finish).ok()?;
    String::from_utf8(bytes).ok()
}

pub(super) fn can_sign(
    custodian: &Custodian,
) -> Result<&crate::profile::types::SshKey, CeremonyError> {
    custodian.ssh_key.as_ref().ok_or_else(|| {
        let name = &custodian.name;
        CeremonyError::No(format!(
            "the plan has no ssh_key of {name}, so they cannot sign a receipt"
        ))
    })
}

/// Takes what a custodian brings back: what was in the challenge, and their signature of it.
///
/// # Errors
/// When it is not of a challenge that was made for them, was used before, the signature does not count, or they have left.
pub fn receive(
    shelf: Shelf,
    name: &str,
    who: &str,
    receipt: &[u8],
    pem: &[u8],
    people: &[Person],
) -> Result<Proof, CeremonyError> {
    let shelf = shelf.open()?;
    let (going, _) = shown(shelf.shelf(), name)?;
    let plan = plan_of(&going)?;
    let custodian = custodian(&plan, who)?;
    let sha256 = digest(receipt);
    let made: Vec<Challenge> = noted(&going, CHALLENGES)?;
    let found = made.iter().find(|it| it.sha256 == sha256);
    let found = found.ok_or_else(|| {
        CeremonyError::No("this was in no challenge of this ceremony, or was altered".into())
    })?;
    if found.custodian != who {
        let text = format!("this was in a challenge for {}, and not for {who}", found.custodian);
        return Err(CeremonyError::No(text));
    }
    if proofs_of(&going)?.iter().any(|it| it.sha256 == sha256) {
        return Err(CeremonyError::No(
            "this receipt was taken before: make a new challenge".into(),
        ));
    }
    let signed = signature::verify(can_sign(custodian)?, NAMESPACE, receipt, pem)
        .map_err(|fault| CeremonyError::No(format!("the signature of {who}: {fault}")))?;
    let at = clock::now();
    if let Some(why) = shows_no_more(&plan, people, custodian, at) {
        return Err(no_more(&why));
    }
    let custodian = who.to_owned();
    let proof = Proof { at, custodian, challenged: found.at, sha256, signed };
    note(&going, PROOFS, &proof)?;
    Ok(proof)
}

/// The proofs of a ceremony, the oldest first.
///
/// # Errors
/// When they cannot be read.
pub(super) fn proofs_of(going: &super::Going) -> Result<Vec<Proof>, CeremonyError> {
    noted(going, PROOFS)
}
