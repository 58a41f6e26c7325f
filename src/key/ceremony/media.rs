//! The middle of a ceremony: the keys are sealed, and put onto one medium after the other.

use super::{CeremonyError, Prepared, Watch, acted};
use crate::{
    host::{
        HostError,
        error::chain,
        medium::{Draft, Held, ReadBack, has_folder, withdraw},
        mounted,
    },
    key::{
        child::{
            Child, ChildError,
            talk::{Check as Opening, Job, KeyJob, Sealed, Split},
        },
        kit::{self, About, Kit},
        medium::{folder, judge, unfit, written_for_another},
        paper::fits,
        plan::{KeyKind, Medium, Plan},
        preflight::{Check, Reading, excepted},
        questions::{Ask, Question},
        transcript::{
            self, Envelope, Kind, Other, Printed, SealedKey, SealedTo, Step, Written, digest,
        },
    },
};

/// A file that is put beside the envelopes, whosever they are: its name, and what is in it.
pub type Beside = (String, Vec<u8>);

/// Seals the keys for every medium that is left, and writes it.
///
/// # Errors
/// When it does not come to its end. What is in the transcript by then is done, and whoever begins again goes on with the rest.
pub fn carry_out(
    prepared: &mut Prepared,
    plan: &Plan,
    beside: &[Beside],
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<(), CeremonyError> {
    let left = left(prepared, plan);
    if !left.is_empty() {
        prepared.look_again(plan, ask)?;
        let (child, sealed) = seal(prepared, plan, ask)?;
        acted(&prepared.going, "sealed", None, watch);
        for key in &sealed.keys {
            let public = key.facts.public.as_deref().unwrap_or("no public half");
            watch.done(&format!(
                "{}: sealed, and what was sealed opens; {public}; in memory for {} µs",
                key.name, key.held_for_us
            ));
        }
        for medium in &left {
            one(prepared, plan, medium, &Sources { child: &child, sealed: &sealed, beside }, ask)?;
            acted(&prepared.going, "medium", Some(medium.name.as_str()), watch);
            watch.done(&format!("{}: written, and reads back as what was opened", medium.name));
            prepared.reread(plan, medium, ask)?;
        }
    }
    // Where it was interrupted at the printer, the paper of what was written before is asked for again.
    for medium in plan.media.iter().filter(|medium| !left.contains(medium)) {
        prepared.reread(plan, medium, ask)?;
    }
    prepared.look_again(plan, ask)?;
    prepared.going.record(Step::Done)?;
    acted(&prepared.going, prepared.kind.as_str(), None, watch);
    Ok(())
}

/// The media of the plan that are not in the transcript.
fn left<'a>(prepared: &Prepared, plan: &'a Plan) -> Vec<&'a Medium> {
    let transcript = prepared.going.transcript();
    let is_written =
        |medium: &&Medium| transcript.written().any(|each| each.medium == medium.name.as_str());
    let left: Vec<&Medium> = plan.media.iter().filter(|medium| !is_written(medium)).collect();
    // A key that is split anew has shares that fit none of those before; and of one that has no public half nobody could
    // say that it is the same as before.
    let anew = plan.threshold.is_some() || plan.keys.iter().any(|key| key.kind == KeyKind::Text);
    if anew && !left.is_empty() { plan.media.iter().collect() } else { left }
}

fn seal(
    prepared: &mut Prepared,
    plan: &Plan,
    ask: &mut dyn Ask,
) -> Result<(Child, Sealed), CeremonyError> {
    let key = |key: &crate::key::plan::Key| {
        Some(KeyJob {
            name: key.name.to_string(),
            kind: key.kind,
            network: key.network,
            from: key.from.from()?,
            public: key.public.as_ref().map(ToString::to_string),
        })
    };
    let custodian =
        |each: &crate::key::plan::Custodian| (each.name.to_string(), each.recipient.to_string());
    let job = Job {
        keys: plan.keys.iter().filter_map(key).collect(),
        custodians: plan.custodians.iter().map(custodian).collect(),
        rehearsal: prepared.kind == Kind::Rehearsal,
        may_be_unlocked: excepted(plan, Check::MemoryLocked).is_some(),
        threshold: plan.threshold,
    };
    let (child, sealed) = Child::seal(job)?;
    // Before anybody is asked for a medium.
    if plan.paper.is_some() {
        for key in &sealed.keys {
            let too_long = key.envelopes.iter().find_map(|envelope| fits(envelope).err());
            if let Some(fault) = too_long {
                return Err(CeremonyError::No(format!("{}: {fault}", key.name)));
            }
        }
    }
    let keys = sealed.keys.iter().map(|key| SealedKey {
        name: key.name.clone(),
        facts: key.facts.clone(),
        opened: key.opened,
        held_for_us: key.held_for_us,
    });
    let keys: Vec<SealedKey> = keys.collect();
    if prepared.kind == Kind::Export {
        same(prepared.going.transcript().sealed(), &keys)?;
    }
    let to = plan.custodians.iter().map(|each| SealedTo {
        custodian: each.name.to_string(),
        recipient: each.recipient.to_string(),
    });
    let to = to.collect();
    let shield = sealed.shield.clone();
    let is_locked = shield.is_locked;
    let split = sealed.split.as_ref().map(|split| facts(split, plan));
    let lived_us = sealed.lived_us;
    prepared.going.record(Step::Sealed { keys, shield, split, to, lived_us })?;
    if !is_locked {
        let reading = Reading::new(Check::MemoryLocked, false, "the kernel did not lock it");
        prepared.accept(plan, &[reading], ask)?;
    }
    for (key, sealed) in plan.keys.iter().zip(&sealed.keys) {
        if key.public.is_some() || prepared.kind == Kind::Rehearsal {
            continue;
        }
        let facts = &sealed.facts;
        let text = match (&facts.public, &facts.shape) {
            (Some(public), _) => format!(
                "the plan does not say which key {} is. Is its public half {public}?",
                key.name
            ),
            (None, shape) => format!(
                "nothing tells which key {} is: it has {}. Is that what you know of it?",
                key.name,
                shape.as_deref().unwrap_or("no public half")
            ),
        };
        let id = format!("public.{}", key.name);
        let question = Question::confirm(id, text, "envelopes of this key are written");
        prepared.confirm(&question, ask, "this is not the key that was meant")?;
    }
    Ok((child, sealed))
}

/// Whether what is sealed now are the keys that were sealed before an interruption: copies of two keys in one ceremony
/// would be taken for copies of one.
fn same(before: &[SealedKey], now: &[SealedKey]) -> Result<(), CeremonyError> {
    for key in now {
        let Some(was) = before.iter().find(|was| was.name == key.name) else { continue };
        if was.facts.public != key.facts.public {
            let half = |key: &SealedKey| key.facts.public.clone().unwrap_or_else(|| "none".into());
            return Err(CeremonyError::No(format!(
                "{} is another key than the one that was sealed before the interruption: its public half is {}, and was {}; put that one back, or begin anew",
                key.name,
                half(key),
                half(was)
            )));
        }
    }
    Ok(())
}

/// What of a split is recorded.
fn facts(split: &Split, plan: &Plan) -> transcript::Split {
    let shares = plan.custodians.iter().zip(&split.shares);
    let share = |(custodian, share): (&crate::key::plan::Custodian, &_)| {
        let crate::key::child::talk::SealedShare { number, sha256, .. } = share;
        transcript::Share {
            custodian: custodian.name.to_string(),
            number: *number,
            sha256: sha256.clone(),
        }
    };
    transcript::Split {
        needed: split.needed,
        shares: shares.map(share).collect(),
        tried: split.tried,
    }
}

/// Of what each medium gets its part.
struct Sources<'a> {
    child: &'a Child,
    sealed: &'a Sealed,
    beside: &'a [Beside],
}

fn one(
    prepared: &mut Prepared,
    plan: &Plan,
    medium: &Medium,
    from: &Sources<'_>,
    ask: &mut dyn Ask,
) -> Result<(), CeremonyError> {
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
    prepared.confirm(&question, ask, &format!("medium {} is left for later", medium.name))?;
    prepared.ask_bag(medium, ask)?;
    prepared.look_again(plan, ask)?;
    let mount = medium.path.as_str();
    let held = Held::take(mount)?;
    let found = mounted::look(mount)?;
    if let Some(why) = unfit(&found) {
        let why = format!("{mount}: {why}");
        return Err(CeremonyError::Medium { medium: medium.name.to_string(), why });
    }
    let has = |folder: &str| has_folder(mount, folder);
    if let Some(other) = written_for_another(prepared.going.transcript(), medium, &found, has) {
        let why = format!(
            "this is medium {}, which is written: take it out, and mount {}",
            other.medium, medium.name
        );
        return Err(CeremonyError::Medium { medium: medium.name.to_string(), why });
    }
    prepared.accept_medium(plan, medium, &judge(medium, &found), ask)?;
    let custodian = plan.custodians.iter().position(|each| each.name == medium.custodian);
    let begun = prepared.going.transcript().begun().cloned();
    let (Some(custodian), Some(begun)) = (custodian, begun) else {
        return Err(ChildError::Silent.into());
    };
    let place = Place { medium, folder: folder(&begun, medium) };
    let keys = prepared.going.transcript().sealed();
    let about = About { begun: &begun, plan, medium, custodian, keys };
    let kit = kit::kit(about, from.sealed).map_err(|fault| place.failed(fault.to_string()))?;
    let mut kit = kit.ok_or(ChildError::Silent)?;
    kit.others.extend_from_slice(from.beside);
    super::carried::add(&prepared.going, &mut kit, medium)?;
    let is_there = || {
        let otherwise = "something else is mounted there than when it was looked at";
        if held.is_there() { Ok(()) } else { Err(place.failed(otherwise)) }
    };
    is_there()?;
    let read_back = write(&place, &kit, from.child)?;
    is_there()?;
    prepared.going.record(Step::Medium(Box::new(Written {
        medium: medium.name.to_string(),
        custodian: medium.custodian.to_string(),
        bag: medium.bag.to_string(),
        mounted: found,
        folder: place.folder,
        envelopes: envelopes(&kit),
        others: others(&kit),
        read_back,
    })))
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

/// Where a custodian's envelopes go.
struct Place<'a> {
    medium: &'a Medium,
    folder: String,
}

impl Place<'_> {
    fn failed(&self, why: impl Into<String>) -> CeremonyError {
        CeremonyError::Medium { medium: self.medium.name.to_string(), why: why.into() }
    }

    fn host(&self) -> impl Fn(HostError) -> CeremonyError {
        |error| self.failed(error.chain())
    }
}

/// Writes a medium, reads it back, and holds what is on it to what was opened.
fn write(place: &Place<'_>, kit: &Kit, child: &Child) -> Result<ReadBack, CeremonyError> {
    let mount = place.medium.path.as_str();
    let files = kit.files();
    // One of this ceremony that is not in its transcript: it was written, and the end came before it could be said.
    withdraw(mount, &place.folder).map_err(place.host())?;
    let draft = Draft::write(mount, &files).map_err(place.host())?;
    let mut how = ReadBack::Direct;
    for (at, (name, bytes)) in files.iter().enumerate() {
        let (found, read_back) = draft.read_back(name).map_err(place.host())?;
        if found != *bytes {
            let why =
                format!("{name} reads back as something else; the medium is bad: throw it away");
            return Err(place.failed(why));
        }
        if read_back == ReadBack::Forgotten {
            how = read_back;
        }
        if let Some(piece) = kit.pieces.get(at) {
            let armored = String::from_utf8(found).unwrap_or_default();
            child
                .holds(&Opening { what: piece.what, armored })
                .map_err(|error| place.failed(format!("{name}: {}", chain(&error))))?;
        }
    }
    draft.finish(&place.folder).map_err(place.host())?;
    Ok(how)
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
