//! The end of a ceremony: both sign its transcript as it is, and the page for people is made.

use std::path::Path;

use super::{
    CeremonyError, Going, PAGE, PLAN, RECORD, Watch, acted, no_more, sign_command, signature_of,
    until_good,
};
use crate::{
    host::{Files, binder::Shelf, clock},
    key::{
        plan::{Plan, RoleName},
        preflight::signs_no_more,
        questions::{Ask, Question},
        signature::{self, Good},
        transcript::{NAMESPACE, digest},
    },
    profile::schema::Person,
};

/// Whose signatures of a transcript are there and good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signed {
    /// Those who signed, and whether they touched a hardware key.
    pub by: Vec<(RoleName, Good)>,
    /// Those who have not.
    pub missing: Vec<RoleName>,
}

impl Signed {
    /// Whether both did.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Takes what signatures are still missing of a ceremony that was done.
///
/// # Errors
/// When there is none of that name, it is not done, or a signature does not count.
pub fn reopen(
    shelf: Shelf,
    name: &str,
    people: &[Person],
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<Signed, CeremonyError> {
    let shelf = shelf.open()?;
    let going = super::read(shelf.shelf().binder(name), name)?;
    let going = going.ok_or_else(|| CeremonyError::NoSuch(name.to_owned()))?;
    if going.transcript.done().is_none() {
        return Err(CeremonyError::No(format!(
            "{name} was interrupted, and is not to be signed yet"
        )));
    }
    let plan = plan_of(&going)?;
    close(&going, &plan, people, ask, watch)
}

/// Takes the signatures that there are, and makes the page anew. What is signed is shown before. Nobody is known to have signed
/// before today: of the profile's people those who have left sign nothing more.
///
/// # Errors
/// When one that is given does not count.
pub fn close(
    going: &Going,
    plan: &Plan,
    people: &[Person],
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<Signed, CeremonyError> {
    let before = signed(going, plan)?;
    let sha256 = digest(&going.binder.read(RECORD)?.unwrap_or_default());
    if !before.is_complete() {
        ask.show(&super::look::page(going.transcript(), &before));
    }
    for role in before.missing {
        let name = signature_of(RECORD, role);
        let record = going.path(RECORD);
        let command = sign_command(NAMESPACE, &record, "SIGNATURE");
        let question = Question::words(
            format!("signature.{}", role.as_str()),
            format!(
                "{} ({}): read the page above; it is made of the transcript, whose sha256sum is {sha256}. Sign that with `{command}`, and name the file of the signature",
                role.as_str(),
                plan.role(role).name
            ),
            "the ceremony counts as signed; without it `holdfast key sign` with its name asks again",
            Some("later"),
        );
        let (_, pem) = until_good(ask, &question, |answer| {
            if answer == "later" {
                return Ok(None);
            }
            let limit = usize::try_from(signature::MAX_BYTES).unwrap_or(usize::MAX);
            let path = std::path::absolute(Path::new(answer)).unwrap_or_else(|_| answer.into());
            let pem = Files::below("/").head(&path.display().to_string(), limit)?;
            let pem = pem.ok_or_else(|| CeremonyError::No(format!("{answer} does not exist")))?;
            verify(going, plan, role, &pem)?;
            match signs_no_more(plan, people, role, clock::now()) {
                Some(why) => Err(no_more(&why)),
                None => Ok(Some(pem)),
            }
        })?;
        let Some(pem) = pem else { continue };
        going.binder.put(&name, &pem)?;
        acted(going, "signed", Some(role.as_str()), watch);
    }
    let signed = signed(going, plan)?;
    going.binder.put(PAGE, super::look::page(going.transcript(), &signed).as_bytes())?;
    Ok(signed)
}

/// The signatures that are there.
///
/// # Errors
/// When one of them does not count.
pub(super) fn signed(going: &Going, plan: &Plan) -> Result<Signed, CeremonyError> {
    let mut signed = Signed::default();
    for role in RoleName::ALL {
        match going.binder.read(&signature_of(RECORD, role))? {
            Some(pem) => signed.by.push((role, verify(going, plan, role, &pem)?)),
            None => signed.missing.push(role),
        }
    }
    Ok(signed)
}

fn verify(going: &Going, plan: &Plan, role: RoleName, pem: &[u8]) -> Result<Good, CeremonyError> {
    let bytes = going.binder.read(RECORD)?.unwrap_or_default();
    let key = &plan.role(role).ssh_key;
    signature::verify(key, NAMESPACE, &bytes, pem).map_err(|fault| CeremonyError::BadSignature {
        role: role.as_str(),
        path: going.path(&signature_of(RECORD, role)).display().to_string(),
        fault,
    })
}

/// The plan that a ceremony was of, from its own folder.
///
/// # Errors
/// When it is not the plan of which the transcript speaks.
pub(super) fn plan_of(going: &Going) -> Result<Plan, CeremonyError> {
    let bytes = going.binder.read(PLAN)?.unwrap_or_default();
    let digest = crate::key::plan::digest(&bytes);
    if going.transcript.begun().is_none_or(|begun| begun.plan != digest) {
        let text = format!("{} is not the plan of this ceremony", going.path(PLAN).display());
        return Err(CeremonyError::No(text));
    }
    let document = crate::key::plan::read(&going.path(PLAN), &bytes).map_err(Box::new)?;
    Ok(document.value)
}
