//! The end of an export: it is no longer drilled, and counts no more. Both say so, with the keys that the plan names, because
//! whoever could do it alone could have a key forgotten. The copies stay what they are: as long as anything is locked to a key
//! that was made under them, they are kept.

use jiff::Timestamp;
use serde::Serialize;

use super::{CeremonyError, Going, look::shown, signature_of};
use crate::{
    host::{binder::Shelf, clock},
    key::{
        plan::{Plan, RoleName},
        signature::{self, Good},
        transcript::Kind,
    },
};

/// The namespace of signatures of it (SSHSIG).
pub const NAMESPACE: &str = "holdfast-retire@v1";

/// The statement's name in a ceremony's folder.
const STATEMENT: &str = "retired.txt";

/// That an export counts no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// When that was written.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// What both sign: the words, for somebody who has them signed.
///
/// # Errors
/// When there is no such export, or the reason is none.
pub fn statement(shelf: &Shelf, name: &str, why: &str) -> Result<String, CeremonyError> {
    let (going, _) = shown(shelf, name)?;
    let why = why.trim();
    if why.is_empty() || why.chars().any(char::is_control) {
        return Err(CeremonyError::No("give the reason, in one line".into()));
    }
    Ok(format!("{}written {}\nreason {why}\n", head(&going, name)?, clock::now()))
}

/// How a statement begins: it is of this export and of no other.
fn head(going: &Going, name: &str) -> Result<String, CeremonyError> {
    match going.transcript.begun() {
        Some(begun) if begun.kind == Kind::Export => {
            Ok(format!("holdfast retire v1\nceremony {name}\nplan {}\n", begun.plan))
        }
        _ => Err(CeremonyError::No(format!("{name} is no export"))),
    }
}

/// Takes a statement that both signed.
///
/// # Errors
/// When it is not of this export, or a signature does not count.
pub fn retire(
    shelf: Shelf,
    name: &str,
    statement: &[u8],
    signatures: [&[u8]; 2],
) -> Result<Retired, CeremonyError> {
    let shelf = shelf.open()?;
    let (going, _) = shown(shelf.shelf(), name)?;
    let plan = super::sign::plan_of(&going)?;
    let retired = judged(&going, &plan, name, statement, signatures)?;
    for (role, pem) in RoleName::ALL.into_iter().zip(signatures) {
        going.binder.put(&signature_of(STATEMENT, role), pem)?;
    }
    // Last, and by itself: it counts when it is there.
    going.binder.put(STATEMENT, statement)?;
    Ok(retired)
}

fn judged(
    going: &Going,
    plan: &Plan,
    name: &str,
    statement: &[u8],
    signatures: [&[u8]; 2],
) -> Result<Retired, CeremonyError> {
    let other = || CeremonyError::No(format!("the statement is none that retires {name}"));
    let text = str::from_utf8(statement).map_err(|_| other())?;
    let rest = text.strip_prefix(&head(going, name)?).ok_or_else(other)?;
    let (written, why) = rest.split_once('\n').ok_or_else(other)?;
    let at = written.strip_prefix("written ").and_then(|at| at.parse().ok()).ok_or_else(other)?;
    let why = why.strip_prefix("reason ").and_then(|why| why.strip_suffix('\n'));
    let why = why.filter(|why| !why.contains('\n')).ok_or_else(other)?;
    for (role, pem) in RoleName::ALL.into_iter().zip(signatures) {
        verify(plan, role, statement, pem)?;
    }
    Ok(Retired { at, why: why.to_owned() })
}

fn verify(
    plan: &Plan,
    role: RoleName,
    statement: &[u8],
    pem: &[u8],
) -> Result<Good, CeremonyError> {
    let key = &plan.role(role).ssh_key;
    signature::verify(key, NAMESPACE, statement, pem).map_err(|fault| {
        let path = signature_of(STATEMENT, role);
        CeremonyError::BadSignature { role: role.as_str(), path, fault }
    })
}

/// Whether an export counts no more.
///
/// # Errors
/// When there is a statement, and it cannot be believed.
pub(super) fn retired(going: &Going, plan: &Plan) -> Result<Option<Retired>, CeremonyError> {
    let Some(statement) = going.binder.read(STATEMENT)? else { return Ok(None) };
    let name = going.transcript.begun().map_or(String::new(), |begun| begun.ceremony.clone());
    let pem =
        |role| going.binder.read(&signature_of(STATEMENT, role)).map(Option::unwrap_or_default);
    let (operator, witness) = (pem(RoleName::Operator)?, pem(RoleName::Witness)?);
    judged(going, plan, &name, &statement, [&operator, &witness]).map(Some)
}
