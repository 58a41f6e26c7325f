//! A ceremony's record where it was not held: each medium carries the plan and the transcript up to then in one file, with
//! the signatures of the plan, so that a custodian's copy can be drilled and brought back on a machine that never saw the
//! ceremony. A whole copy of the ceremony's folder (`--record`) does the same, and has the signatures of the transcript. Who
//! wrote either nobody knows there: what the plan accepts does not count, and people compare its keys with the printed plan.

use serde::{Deserialize, Serialize};

use super::{
    CeremonyError, Going, PLAN, RECORD, read,
    sign::{plan_of, signed},
    signature_of,
};
use crate::{
    host::{
        binder::{Binder, OpenShelf, Shelf},
        room,
    },
    key::{
        kit::Kit,
        plan::{self, Medium, NAMESPACE, Plan, RoleName},
        preflight::{self, Check},
        questions::{Ask, Question},
        signature,
        transcript::{Envelope, Kind, SealedKey, Transcript, digest},
    },
    profile::types::Text,
};

/// The file on a medium that has it.
const CARRIED: &str = "ceremony.json";

/// What is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Carried {
    ceremony: String,
    medium: String,
    custodian: String,
    envelopes: Vec<Envelope>,
    plan: String,
    /// The signatures of the plan: the operator's, the witness's.
    #[serde(default)]
    signatures: Vec<String>,
    transcript: String,
}

/// A medium, and which envelopes are on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// Its name in the plan.
    pub medium: String,
    /// Whose it is.
    pub custodian: String,
    /// The folder on it.
    pub folder: String,
    /// Its envelopes.
    pub envelopes: Vec<Envelope>,
}

/// Puts the record so far into a kit.
///
/// # Errors
/// When it cannot be read.
pub(super) fn add(going: &Going, kit: &mut Kit, medium: &Medium) -> Result<(), CeremonyError> {
    let text = |file: &str| {
        let bytes = going.binder.read(file)?.unwrap_or_default();
        Ok::<_, CeremonyError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let envelope = |piece: &crate::key::kit::Piece| Envelope {
        key: piece.name.clone(),
        file: piece.file.clone(),
        sha256: digest(piece.envelope.as_bytes()),
        sheet: None,
    };
    let carried = Carried {
        ceremony: going.transcript.begun().map_or(String::new(), |it| it.ceremony.clone()),
        medium: medium.name.to_string(),
        custodian: medium.custodian.to_string(),
        envelopes: kit.pieces.iter().map(envelope).collect(),
        plan: text(PLAN)?,
        signatures: RoleName::ALL
            .iter()
            .map(|role| text(&signature_of(PLAN, *role)))
            .collect::<Result<_, _>>()?,
        transcript: text(RECORD)?,
    };
    // Only maps with keys that are not strings cannot be written, and there are none.
    let mut bytes = serde_json::to_vec_pretty(&carried).unwrap_or_default();
    bytes.push(b'\n');
    kit.others.push((CARRIED.to_owned(), bytes));
    Ok(())
}

/// A ceremony that is over, wherever its record was found.
#[derive(Debug)]
pub struct Kept {
    pub(super) transcript: Transcript,
    pub(super) plan: Plan,
    /// This host's own, to which what comes after is added, and to which nobody else does meanwhile.
    pub(super) here: Option<Going>,
    /// Whether this is the machine of the ceremony.
    is_home: bool,
    _lock: Option<OpenShelf>,
    /// The media that are given, as they say it themselves.
    carried: Vec<Label>,
}

impl Kept {
    /// Finds a ceremony: in a folder that is named, on this host, or else on one of the media that are given.
    ///
    /// # Errors
    /// When there is none, it cannot be believed, or it has not come to its end.
    pub fn find(
        shelf: Shelf,
        name: &str,
        record: Option<&str>,
        media: &[String],
    ) -> Result<Self, CeremonyError> {
        let kept = Self::found(shelf, name, record, media)?;
        // A rehearsal has keys of its own.
        if kept.transcript.begun().is_some_and(|begun| begun.kind == Kind::Export) {
            as_planned(&kept.plan, kept.transcript.sealed())?;
        }
        Ok(kept)
    }

    fn found(
        shelf: Shelf,
        name: &str,
        record: Option<&str>,
        media: &[String],
    ) -> Result<Self, CeremonyError> {
        let carried: Vec<(Label, Carried)> =
            carried(media).filter(|(_, carried)| carried.ceremony == name).collect();
        let labels = || carried.iter().map(|(label, _)| label.clone()).collect();
        let texts = carried.iter().map(|(_, it)| (it.medium.as_str(), it.transcript.as_str()));
        let nowhere = || CeremonyError::NoSuch(name.to_owned());
        let found = match record {
            Some(folder) => Some(read(Binder::at(folder), name)?.ok_or_else(nowhere)?),
            None => read(shelf.binder(name), name)?,
        };
        let Some(going) = found else {
            // As far as it went when that medium was written; that the medium has its name says that it is whole.
            let last = carried.iter().max_by_key(|(_, it)| it.transcript.len());
            let (_, last) = last.ok_or_else(nowhere)?;
            agree(&last.transcript, texts)?;
            let (transcript, plan) = last.read(name)?;
            return Ok(Self::elsewhere(transcript, plan, labels()));
        };
        if going.transcript.begun().is_none_or(|begun| begun.ceremony != name) {
            return Err(CeremonyError::No(format!("what is there is not the record of {name}")));
        }
        let plan = plan_of(&going)?;
        signed(&going, &plan)?;
        let signatures = RoleName::ALL.map(|role| going.binder.read(&signature_of(PLAN, role)));
        let bytes = going.binder.read(PLAN)?.unwrap_or_default();
        for (role, pem) in RoleName::ALL.into_iter().zip(signatures) {
            plan_signed(&plan, &bytes, role, &pem?.unwrap_or_default(), &going.path(PLAN))?;
        }
        if going.transcript.done().is_none() {
            return Err(CeremonyError::No("this ceremony has not come to its end".into()));
        }
        let transcript = going.transcript.clone();
        if record.is_some() {
            let bytes = going.binder.read(RECORD)?.unwrap_or_default();
            agree(&String::from_utf8_lossy(&bytes), texts)?;
            return Ok(Self::elsewhere(transcript, plan, labels()));
        }
        let machine = transcript.begun().and_then(|begun| begun.machine.clone());
        let is_home = machine.is_some() && machine == room::machine();
        let (here, lock) = (Some(going), Some(shelf.open()?));
        Ok(Self { transcript, plan, here, is_home, _lock: lock, carried: Vec::new() })
    }

    const fn elsewhere(transcript: Transcript, plan: Plan, carried: Vec<Label>) -> Self {
        Self { transcript, plan, here: None, is_home: false, _lock: None, carried }
    }

    /// Why the plan accepts that something is otherwise than it should be. Counts on the machine of the ceremony only: what
    /// two people accepted there was that machine, and elsewhere nobody knows who they were.
    pub(super) fn excepted(&self, check: Check) -> Option<&str> {
        if self.is_home { preflight::excepted(&self.plan, check) } else { None }
    }

    /// Who signed the plan, and with which keys, for people to compare.
    pub fn signers(&self) -> impl Iterator<Item = (&'static str, String)> {
        RoleName::ALL.into_iter().map(move |role| {
            let person = self.plan.role(role);
            let fingerprint = signature::fingerprint(&person.ssh_key);
            (role.as_str(), format!("{}, {fingerprint}", person.name))
        })
    }

    /// Of a key without a public half nothing tells on another machine whether it is the one that is meant: somebody must.
    ///
    /// # Errors
    /// When nobody does.
    pub(super) fn known(&self, key: &plan::Key, ask: &mut dyn Ask) -> Result<(), CeremonyError> {
        let has_public = self.public_halves().any(|(name, _)| name == key.name.as_str());
        if self.is_here() || has_public {
            return Ok(());
        }
        let question = Question::confirm(
            "restore.unknown",
            format!(
                "this record is not this host's own, and {} has no public half: nothing tells which key it is. Do you know that nobody has changed what is given?",
                key.name
            ),
            "what is given is brought back, whatever it is",
        );
        if matches!(ask.ask(&question)?.as_str(), "yes" | "y") {
            return Ok(());
        }
        Err(CeremonyError::No("nothing was restored: bring the record with --record".into()))
    }

    /// Whether it is this host's own.
    pub const fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// The keys of it, each with its public half.
    pub fn public_halves(&self) -> impl Iterator<Item = (&str, &str)> {
        let sealed = self.transcript.sealed().iter();
        sealed.filter_map(|key| Some((key.name.as_str(), key.facts.public.as_deref()?)))
    }

    /// What is known to be on media: by the transcript, and where that is not this host's own, by the media themselves.
    pub(super) fn labels(&self) -> Vec<Label> {
        let written = self.transcript.written().map(|written| Label {
            medium: written.medium.clone(),
            custodian: written.custodian.clone(),
            folder: written.folder.clone(),
            envelopes: written.envelopes.clone(),
        });
        let mut all: Vec<Label> = written.collect();
        for label in &self.carried {
            if all.iter().all(|known| known.medium != label.medium) {
                all.push(label.clone());
            }
        }
        all
    }
}

impl Carried {
    /// The record that it has.
    fn read(&self, name: &str) -> Result<(Transcript, Plan), CeremonyError> {
        let broken = |why| CeremonyError::Broken { ceremony: name.to_owned(), why };
        let transcript = Transcript::read(self.transcript.as_bytes()).map_err(broken)?;
        let same = |begun: &crate::key::transcript::Begun| {
            begun.ceremony == name && begun.plan == plan::digest(self.plan.as_bytes())
        };
        if !transcript.begun().is_some_and(same) {
            let text = format!("the plan on medium {} is not that of its transcript", self.medium);
            return Err(CeremonyError::No(text));
        }
        let path = std::path::Path::new(CARRIED);
        let plan = plan::read(path, self.plan.as_bytes()).map_err(Box::new)?.value;
        for (at, role) in RoleName::ALL.into_iter().enumerate() {
            let pem = self.signatures.get(at).map_or("", String::as_str);
            plan_signed(&plan, self.plan.as_bytes(), role, pem.as_bytes(), path)?;
        }
        Ok((transcript, plan))
    }
}

/// Whether the keys are the plan's, where it says which they are: it is signed, and a record that comes from elsewhere is not.
fn as_planned(plan: &Plan, sealed: &[SealedKey]) -> Result<(), CeremonyError> {
    for key in &plan.keys {
        let Some(expected) = key.public.as_ref().map(Text::as_str) else { continue };
        let expected = expected.strip_prefix("0x").unwrap_or(expected);
        let found = sealed.iter().find(|it| it.name == key.name.as_str());
        let found = found.and_then(|it| it.facts.public.as_deref()).unwrap_or("none");
        if !found.eq_ignore_ascii_case(expected) {
            return Err(CeremonyError::No(format!(
                "the public half of {} is {expected} in the plan, which is signed, and {} in the record: one of them was altered",
                key.name,
                found.escape_debug()
            )));
        }
    }
    Ok(())
}

/// Whether a plan is signed by whom it names.
fn plan_signed(
    plan: &Plan,
    bytes: &[u8],
    role: RoleName,
    pem: &[u8],
    path: &std::path::Path,
) -> Result<(), CeremonyError> {
    let result = signature::verify(&plan.role(role).ssh_key, NAMESPACE, bytes, pem);
    result.map(|_| ()).map_err(|fault| CeremonyError::BadSignature {
        role: role.as_str(),
        path: path.display().to_string(),
        fault,
    })
}

/// Whether each of several records is a beginning of the whole one: a record only grows.
fn agree<'a>(
    whole: &str,
    mut records: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), CeremonyError> {
    let other = records.find(|(_, text)| !whole.starts_with(*text));
    other.map_or(Ok(()), |(medium, _)| {
        Err(CeremonyError::No(format!(
            "the record on medium {} is another than what else is given has of this ceremony: one of them was altered",
            medium.escape_debug()
        )))
    })
}

/// What media say of themselves.
fn carried(media: &[String]) -> impl Iterator<Item = (Label, Carried)> {
    media.iter().flat_map(|mount| {
        let folders = Shelf::at(mount).names().unwrap_or_default();
        folders.into_iter().filter_map(move |folder| {
            let bytes = Shelf::at(mount).binder(&folder).read(CARRIED).ok()??;
            let carried: Carried = serde_json::from_slice(&bytes).ok()?;
            if carried.envelopes.iter().any(|it| it.file.contains('/')) {
                return None;
            }
            let label = Label {
                medium: carried.medium.clone(),
                custodian: carried.custodian.clone(),
                folder,
                envelopes: carried.envelopes.clone(),
            };
            Some((label, carried))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::material::Facts;

    #[test]
    fn what_the_plan_accepts_counts_where_the_ceremony_was() {
        let text =
            plan::tests::plan() + "[[exception]]\ncheck = \"network\"\nreason = \"no cable\"\n";
        let plan = plan::read(std::path::Path::new("p"), text.as_bytes()).unwrap().value;
        let elsewhere = Kept::elsewhere(Transcript::new(), plan, Vec::new());
        assert_eq!(elsewhere.excepted(Check::Network), None);
        let home = Kept { is_home: true, ..elsewhere };
        assert_eq!(home.excepted(Check::Network), Some("no cable"));
        assert_eq!(home.excepted(Check::Swap), None);
    }

    #[test]
    fn whose_key_it_is_the_plan_says() {
        let text = plan::tests::plan();
        let plan = plan::read(std::path::Path::new("p"), text.as_bytes()).unwrap().value;
        let public = plan.keys[0].public.as_ref().unwrap().to_string();
        let sealed = |public: Option<String>| {
            let facts = Facts { public, ..Facts::default() };
            let name = plan.keys[0].name.to_string();
            as_planned(&plan, &[SealedKey { name, facts, opened: 1, held_for_us: 1 }])
        };
        assert!(sealed(Some(public.to_uppercase())).is_ok());
        let told = sealed(Some(format!("02{}", &public[2..]))).unwrap_err().to_string();
        assert!(told.contains(&public) && told.contains("in the record"), "{told}");
        assert!(sealed(None).is_err() && as_planned(&plan, &[]).is_err());
    }

    #[test]
    fn a_record_only_grows() {
        let agrees = |records: &[(&'static str, &'static str)]| {
            agree("one\ntwo\nthree\n", records.iter().copied()).is_ok()
        };
        assert!(agrees(&[("usb-1", "one\n"), ("usb-2", "one\ntwo\nthree\n")]));
        assert!(!agrees(&[("usb-1", "one\ntwo\n"), ("usb-2", "one\nTwo\n")]));
        assert!(!agrees(&[("usb-1", "one\ntwo\nthree\nfour\n")]));
    }
}
