//! One medium: it is asked for until what was sealed for its custodian is on it, and reads back as what was opened. A medium
//! that is not there, is full, or is the wrong one is a slip like any other: people put it right, and are asked again. What is
//! written is still there then: ciphertext, which nothing here opens any more.

use super::{CeremonyError, FileBeside, Prepared};
use crate::{
    host::{
        HostError,
        error::chain,
        medium::{Draft, Held, ReadBack, has_folder, withdraw},
        mounted::{self, Mounted},
    },
    key::{
        child::{
            Child, ChildError,
            talk::{Check, Sealed},
        },
        kit::{self, About, Kit},
        medium::{folder, judge, unfit, written_for_another},
        plan::{Medium, Plan},
        preflight::Reading,
        questions::{Ask, Question},
        transcript::{Begun, Envelope, Other, Printed, Step, Written, digest},
    },
};

/// A medium of the plan, and what is to be on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub plan: &'a Plan,
    pub medium: &'a Medium,
    pub child: &'a Child,
    pub sealed: &'a Sealed,
    pub beside: &'a [FileBeside],
}

impl Place<'_> {
    /// Has people put the medium in, and writes it.
    ///
    /// # Errors
    /// When somebody wants it left for later, or what is wrong is not the medium.
    pub(super) fn fill(
        &self,
        prepared: &mut Prepared,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let medium = self.medium;
        let serial = medium.serial.as_ref().map_or(String::new(), |serial| format!(" ({serial})"));
        // Without a default: an empty line is a slip, and would end it.
        let question = Question::words(
            format!("medium.{}", medium.name),
            format!(
                "medium {}{serial} for {}: is it mounted on {}?",
                medium.name, medium.custodian, medium.path
            ),
            "its envelopes are written onto it; `no` ends this here, and the same command goes on with it later",
            None,
        );
        let mut is_bag_read = false;
        loop {
            let later = format!("medium {} is left for later", medium.name);
            let answer = prepared.confirm(&question, ask, &later)?;
            let Err(error) = self.once(prepared, &mut is_bag_read, ask) else { return Ok(()) };
            if !is_of_the_medium(&error) {
                return Err(error);
            }
            let (question, why) = (question.id.clone(), chain(&error));
            prepared.going.record(Step::Refused { question, answer, why: why.clone() })?;
            if !ask.again(&why) {
                return Err(error);
            }
            // Another may be put in now, of which nobody has accepted anything.
            prepared.accepted.retain(|(check, _)| !check.is_of_a_medium());
        }
    }

    /// Writes it if it is as it must be. The bag is the same for every try, and is read once.
    fn once(
        &self,
        prepared: &mut Prepared,
        is_bag_read: &mut bool,
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let Self { plan, medium, .. } = self;
        let (held, found) = self.looked_at(prepared)?;
        if !*is_bag_read {
            prepared.ask_bag(medium, ask)?;
            *is_bag_read = true;
        }
        prepared.look_again(plan, ask)?;
        prepared.accept_medium(plan, medium, &judge(medium, &found), ask)?;
        let begun = prepared.going.transcript().begun().cloned().ok_or(ChildError::Silent)?;
        let kit = self.kit(prepared, &begun)?;
        let folder = folder(&begun, medium);
        let is_there = || {
            let otherwise = "something else is mounted there than when it was looked at";
            if held.is_there() { Ok(()) } else { Err(self.failed(otherwise)) }
        };
        is_there()?;
        let read_back = self.write(&folder, &kit)?;
        is_there()?;
        prepared.going.record(Step::Medium(Box::new(Written {
            medium: medium.name.to_string(),
            custodian: medium.custodian.to_string(),
            bag: medium.bag.to_string(),
            mounted: found,
            folder,
            envelopes: envelopes(&kit),
            others: others(&kit),
            read_back,
        })))
    }

    /// Takes hold of what is mounted, if that is something that can be written for this medium.
    fn looked_at(&self, prepared: &Prepared) -> Result<(Held, Mounted), CeremonyError> {
        let mount = self.medium.path.as_str();
        let held = Held::take(mount).map_err(self.host())?;
        let found = mounted::look(mount).map_err(self.host())?;
        if let Some(why) = unfit(&found) {
            return Err(self.failed(format!("{mount}: {why}")));
        }
        let has = |folder: &str| has_folder(mount, folder);
        let transcript = prepared.going.transcript();
        if let Some(other) = written_for_another(transcript, self.medium, &found, has) {
            return Err(self.failed(format!(
                "this is medium {}, which is written: take it out, and mount {}",
                other.medium, self.medium.name
            )));
        }
        Ok((held, found))
    }

    /// What is written onto it, with the record so far.
    fn kit(&self, prepared: &Prepared, begun: &Begun) -> Result<Kit, CeremonyError> {
        let Self { plan, medium, sealed, .. } = *self;
        let custodian = plan.custodians.iter().position(|each| each.name == medium.custodian);
        let custodian = custodian.ok_or(ChildError::Silent)?;
        let keys = prepared.going.transcript().sealed();
        let about = About { begun, plan, medium, custodian, keys };
        let kit = kit::kit(about, sealed).map_err(|fault| CeremonyError::No(fault.to_string()))?;
        let mut kit = kit.ok_or(ChildError::Silent)?;
        kit.others.extend_from_slice(self.beside);
        super::carried::add(&prepared.going, &mut kit, medium)?;
        Ok(kit)
    }

    /// Writes a medium, reads it back, and holds what is on it to what was opened.
    fn write(&self, folder: &str, kit: &Kit) -> Result<ReadBack, CeremonyError> {
        let mount = self.medium.path.as_str();
        let files = kit.files();
        // One of this ceremony that is not in its transcript: it was written, and the end came before it could be said.
        withdraw(mount, folder).map_err(self.host())?;
        let draft = Draft::write(mount, &files).map_err(self.host())?;
        let mut how = ReadBack::Direct;
        for (at, (name, bytes)) in files.iter().enumerate() {
            let (found, read_back) = draft.read_back(name).map_err(self.host())?;
            if found != *bytes {
                let why = format!(
                    "{name} reads back as something else; the medium is bad: throw it away"
                );
                return Err(self.failed(why));
            }
            if read_back == ReadBack::Forgotten {
                how = read_back;
            }
            if let Some(piece) = kit.pieces.get(at) {
                let armored = String::from_utf8(found).unwrap_or_default();
                self.child
                    .holds(&Check { what: piece.what, armored })
                    .map_err(|error| self.failed(format!("{name}: {}", chain(&error))))?;
            }
        }
        draft.finish(folder).map_err(self.host())?;
        Ok(how)
    }

    fn failed(&self, why: impl Into<String>) -> CeremonyError {
        CeremonyError::Medium { medium: self.medium.name.to_string(), why: why.into() }
    }

    fn host(&self) -> impl Fn(HostError) -> CeremonyError {
        |error| self.failed(error.chain())
    }
}

/// Whether another medium would do, or this one when it is put right.
const fn is_of_the_medium(error: &CeremonyError) -> bool {
    matches!(error, CeremonyError::Medium { .. } | CeremonyError::NotTheMedium(..))
}

/// What is recorded of envelopes and sheets.
fn envelopes(kit: &Kit) -> Vec<Envelope> {
    let each = |piece: &kit::Piece| Envelope {
        key: piece.name.clone(),
        file: piece.file.clone(),
        sha256: digest(piece.envelope.as_bytes()),
        sheet: piece.sheet.as_ref().map(|(file, bytes, serial)| Printed {
            file: file.clone(),
            sha256: digest(bytes),
            serial: serial.clone(),
        }),
    };
    kit.pieces.iter().map(each).collect()
}

/// What is recorded of everything else.
fn others(kit: &Kit) -> Vec<Other> {
    let each =
        |(file, bytes): &(String, Vec<u8>)| Other { file: file.clone(), sha256: digest(bytes) };
    kit.others.iter().map(each).collect()
}

impl Prepared {
    /// As [`Prepared::accept`], in the words of a medium. Each is accepted for itself: that one tells no serial number is
    /// no reason for the next.
    fn accept_medium(
        &mut self,
        plan: &Plan,
        medium: &Medium,
        readings: &[Reading],
        ask: &mut dyn Ask,
    ) -> Result<(), CeremonyError> {
        let named =
            |it: &Reading| Reading::new(it.check, it.good, format!("{}: {}", medium.name, it.seen));
        let readings: Vec<Reading> = readings.iter().map(named).collect();
        self.accept(plan, &readings, ask).map_err(|error| match error {
            CeremonyError::Room(why) => CeremonyError::NotTheMedium(medium.name.to_string(), why),
            other => other,
        })
    }
}
