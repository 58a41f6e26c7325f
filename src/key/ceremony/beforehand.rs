//! Before an export: each custodian opens a challenge with the identity to which their copies will be sealed, and signs that
//! they did. It is of one plan and one recipient, so that nobody finds out afterwards that a copy opens for nobody.

use jiff::Timestamp;

use super::{
    CeremonyError, Named, RECEIPT_NAMESPACE,
    open::custodian,
    prove::{can_sign, sealed},
};
use crate::{
    host::{
        binder::{Binder, OpenShelf, Shelf},
        clock, shield,
    },
    key::{
        plan::{Custodian, Plan},
        preflight::{Check, Reading},
        signature,
        transcript::digest,
    },
};

/// The folder of a plan's receipts. Its name begins so that it is no ceremony.
fn folder(plan: &str) -> String {
    format!(".receipts-{plan}")
}

fn challenge_of(custodian: &Custodian) -> String {
    format!("{}.challenge", custodian.name)
}

fn receipt_of(custodian: &Custodian) -> String {
    format!("{}.receipt", custodian.name)
}

fn signature_of(custodian: &Custodian) -> String {
    format!("{}.receipt.sig", custodian.name)
}

/// The folder for writing, made if it is not there.
fn open(shelf: &OpenShelf, plan: &str) -> Result<Binder, CeremonyError> {
    let name = folder(plan);
    let binder = shelf.shelf().binder(&name);
    if binder.read("plan")?.is_some() {
        return Ok(binder);
    }
    Ok(shelf.begin(&name, &[("plan", plan.as_bytes())])?)
}

/// What a receipt of this plan and custodian begins with.
fn head(plan: &str, custodian: &Custodian) -> String {
    format!(
        "holdfast receipt v1\nplan {plan}\ncustodian {}\nrecipient {}\n",
        custodian.name, custodian.recipient
    )
}

/// Makes a challenge for a custodian of a plan: an envelope, armored. It takes the place of one that was not answered.
///
/// # Errors
/// When they are none of this plan or cannot sign, or it cannot be noted.
pub fn challenge_before(shelf: Shelf, named: &Named, who: &str) -> Result<String, CeremonyError> {
    let shelf = shelf.open()?;
    let custodian = custodian(named.plan(), who)?;
    can_sign(custodian)?;
    let random = digest(shield::random()?.as_slice());
    let receipt = format!(
        "{}challenge {random}\nmade {}\nWith the identity that will open my copies I opened this.\n",
        head(&named.digest, custodian),
        clock::now()
    );
    let sealed = sealed(custodian, &receipt)
        .ok_or_else(|| CeremonyError::No("the challenge cannot be encrypted".into()))?;
    let binder = open(&shelf, &named.digest)?;
    binder.put(&challenge_of(custodian), digest(receipt.as_bytes()).as_bytes())?;
    Ok(sealed)
}

/// Takes what was in a challenge, and the custodian's signature of it.
///
/// # Errors
/// When it is not of the last challenge that was made for them, or the signature does not count.
pub fn receive_before(
    shelf: Shelf,
    named: &Named,
    who: &str,
    receipt: &[u8],
    pem: &[u8],
) -> Result<Timestamp, CeremonyError> {
    let shelf = shelf.open()?;
    let custodian = custodian(named.plan(), who)?;
    let binder = open(&shelf, &named.digest)?;
    let made = binder.read(&challenge_of(custodian))?.unwrap_or_default();
    if made != digest(receipt).as_bytes() {
        let text =
            format!("this was not in the last challenge of this plan for {who}, or was altered");
        return Err(CeremonyError::No(text));
    }
    let at = judged(&named.digest, custodian, receipt, pem).map_err(CeremonyError::No)?;
    binder.put(&receipt_of(custodian), receipt)?;
    binder.put(&signature_of(custodian), pem)?;
    Ok(at)
}

/// When the challenge was made of which this is a receipt.
fn judged(
    plan: &str,
    custodian: &Custodian,
    receipt: &[u8],
    pem: &[u8],
) -> Result<Timestamp, String> {
    let who = &custodian.name;
    let key = custodian.ssh_key.as_ref().ok_or(format!("the plan has no ssh_key of {who}"))?;
    signature::verify(key, RECEIPT_NAMESPACE, receipt, pem)
        .map_err(|fault| format!("the signature of {who}: {fault}"))?;
    let text = str::from_utf8(receipt).unwrap_or_default();
    let rest = text.strip_prefix(&head(plan, custodian));
    let made = rest.and_then(|rest| rest.lines().find_map(|line| line.strip_prefix("made ")));
    made.and_then(|made| made.parse().ok())
        .ok_or(format!("the receipt of {who} is of another plan or recipient"))
}

/// When a custodian opened a challenge of this plan; otherwise why that is not known.
pub(super) fn proved(
    shelf: &Shelf,
    plan: &str,
    custodian: &Custodian,
) -> Result<Timestamp, String> {
    let binder = shelf.binder(&folder(plan));
    let read = |file: String| binder.read(&file).map_err(|error| error.chain());
    let who = &custodian.name;
    let (receipt, pem) = (read(receipt_of(custodian))?, read(signature_of(custodian))?);
    let (Some(receipt), Some(pem)) = (receipt, pem) else {
        return Err(match custodian.ssh_key {
            Some(_) => format!("{who} has not opened a challenge of this plan"),
            None => format!(
                "the plan has no ssh_key of {who}, who cannot sign that they opened a challenge"
            ),
        });
    };
    judged(plan, custodian, &receipt, &pem)
}

/// Whether each custodian has shown that they can open what will be sealed to them.
pub(super) fn proofs(shelf: &Shelf, digest: &str, plan: &Plan) -> Reading {
    let each = plan.custodians.iter().map(|each| (each, proved(shelf, digest, each)));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (custodian, proved) in each {
        match proved {
            Ok(at) => good.push(format!("{} opened the challenge of {at}", custodian.name)),
            Err(why) => bad.push(why),
        }
    }
    if bad.is_empty() {
        return Reading::new(Check::Proofs, true, good.join(", "));
    }
    Reading::new(Check::Proofs, false, bad.join(", "))
}
