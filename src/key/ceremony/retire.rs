//! The end of an export: it is no longer drilled, and counts no more. Two people of the host's profile say so, because whoever
//! could do it alone could have a key forgotten, and so could whoever wrote a plan that names nobody else. They need not be
//! those of the plan: those may have left, or never have been there. The copies stay what they are: as long as anything is
//! locked to a key that was made under them, they are kept.

use jiff::Timestamp;
use serde::Serialize;

use super::{CeremonyError, Going, look::shown, signature_of};
use crate::{
    host::{binder::Shelf, clock},
    key::{
        plan::{Plan, RoleName},
        preflight::whose,
        signature::{self, Fault},
        transcript::Kind,
    },
    profile::{schema::Person, types::SshKey},
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
    /// The keys that signed it: the operator's, the witness's.
    pub by: Vec<SshKey>,
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
    people: &[Person],
) -> Result<Retired, CeremonyError> {
    let shelf = shelf.open()?;
    let (going, _) = shown(shelf.shelf(), name)?;
    let plan = super::sign::plan_of(&going)?;
    let retired = judged(&going, name, statement, signatures)?;
    // As they are today: the day on a statement is the word of whoever printed it, and those who have left sign nothing more.
    let now = Retired { at: clock::now(), ..retired.clone() };
    vouched(&now, &plan, people).map_err(|(role, why)| bad(role, Fault::Whose(why)))?;
    for (role, pem) in RoleName::ALL.into_iter().zip(signatures) {
        going.binder.put(&signature_of(STATEMENT, role), pem)?;
    }
    // Last, and by itself: it counts when it is there.
    going.binder.put(STATEMENT, statement)?;
    Ok(retired)
}

fn judged(
    going: &Going,
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
    let signer = |(role, pem): (RoleName, &[u8])| {
        let key = signature::signer(pem).map_err(|fault| bad(role, fault))?;
        let good = signature::verify(&key, NAMESPACE, statement, pem);
        good.map(|_| key).map_err(|fault| bad(role, fault))
    };
    let by = RoleName::ALL.into_iter().zip(signatures).map(signer).collect::<Result<_, _>>()?;
    Ok(Retired { at, why: why.to_owned(), by })
}

fn bad(role: RoleName, fault: Fault) -> CeremonyError {
    CeremonyError::BadSignature { role: role.as_str(), path: signature_of(STATEMENT, role), fault }
}

/// Whether those who signed a statement could: two of the profile's people, as they were when it was written. Where the profile
/// names nobody, the two whom the plan names.
///
/// # Errors
/// Whose signature does not count, and why.
pub(super) fn vouched(
    retired: &Retired,
    plan: &Plan,
    people: &[Person],
) -> Result<(), (RoleName, String)> {
    let mut before: Option<&str> = None;
    for (role, key) in RoleName::ALL.into_iter().zip(&retired.by) {
        let planned = plan.role(role);
        let name = if people.is_empty() {
            let other = || (role, format!("it is not by the plan's key of {}", planned.name));
            planned.ssh_key.is_same(key).then_some(&planned.name).ok_or_else(other)?
        } else {
            &whose(people, key, retired.at).map_err(|why| (role, why))?.name
        };
        if before.replace(name.as_str()) == Some(name.as_str()) {
            return Err((role, format!("{name} signed as the operator, too")));
        }
    }
    Ok(())
}

/// The statement that an export counts no more, where there is one. Whether those who signed it could is another question.
///
/// # Errors
/// When there is a statement, and it cannot be believed.
pub(super) fn retired(going: &Going) -> Result<Option<Retired>, CeremonyError> {
    let Some(statement) = going.binder.read(STATEMENT)? else { return Ok(None) };
    let name = going.transcript.begun().map_or(String::new(), |begun| begun.ceremony.clone());
    let pem =
        |role| going.binder.read(&signature_of(STATEMENT, role)).map(Option::unwrap_or_default);
    let (operator, witness) = (pem(RoleName::Operator)?, pem(RoleName::Witness)?);
    judged(going, &name, &statement, [&operator, &witness]).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::plan;

    fn plan() -> Plan {
        let text = plan::tests::plan();
        plan::read(std::path::Path::new("p"), text.as_bytes()).unwrap().value
    }

    fn person(name: &str, key: &SshKey, until: Option<&str>) -> Person {
        Person {
            name: name.parse().unwrap(),
            ssh_keys: Some(vec![key.clone()]),
            age_recipient: None,
            time_zone: None,
            until: until.map(|day| day.parse().unwrap()),
        }
    }

    #[test]
    fn two_people_of_the_profile_end_an_export_and_nobody_else_does() {
        let plan = plan();
        let (one, other) = (&plan.operator.ssh_key, &plan.witness.ssh_key);
        let at = "2026-11-20T10:00:00Z".parse().unwrap();
        let by = |keys: [&SshKey; 2]| Retired {
            at,
            why: "rotated".into(),
            by: keys.into_iter().cloned().collect(),
        };
        let both = by([one, other]);
        let people = [person("erin", one, None), person("frank", other, None)];
        assert_eq!(vouched(&both, &plan, &people), Ok(()), "whatever the plan calls them");
        let why = |retired: &Retired, people: &[Person]| {
            let (role, why) = vouched(retired, &plan, people).unwrap_err();
            format!("{}: {why}", role.as_str())
        };
        // The two of the plan, whom nobody else knows.
        let told = why(&both, &people[..1]);
        assert!(
            told.starts_with("witness: SHA256:") && told.ends_with("nobody's key in the profile")
        );
        assert_eq!(why(&by([one, one]), &people), "witness: erin signed as the operator, too");
        let mut two_keys = people[0].clone();
        two_keys.ssh_keys = Some(vec![one.clone(), other.clone()]);
        assert_eq!(why(&both, &[two_keys]), "witness: erin signed as the operator, too");
        // Whoever has left goes on to count for what they signed by then.
        let leaving = |day| [person("erin", one, None), person("frank", other, Some(day))];
        assert_eq!(vouched(&both, &plan, &leaving("2026-11-20")), Ok(()));
        let told = why(&both, &leaving("2026-11-19"));
        assert_eq!(told, "witness: frank is in the profile until 2026-11-19 only");
        // Where there is nobody, whom the plan names.
        assert_eq!(vouched(&both, &plan, &[]), Ok(()));
        let told = why(&by([other, one]), &[]);
        assert_eq!(told, "operator: it is not by the plan's key of carol");
    }
}
