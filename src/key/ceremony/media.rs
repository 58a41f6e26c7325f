//! The middle of a ceremony: the keys are sealed, and put onto one medium after the other.

use super::{CeremonyError, Prepared, Watch, acted, onto::Place};
use crate::key::{
    child::{
        Child,
        talk::{Job, KeyJob, Sealed, Split},
    },
    paper::fits,
    plan::{KeyKind, Medium, Plan},
    preflight::{Check, Reading, excepted},
    questions::{Ask, Question},
    transcript::{self, Kind, SealedKey, SealedTo, Step, Transcript},
};

/// A file that is put beside the envelopes, whosever they are: its name, and what is in it.
pub type FileBeside = (String, Vec<u8>);

/// Seals the keys for every medium that is left, and writes it.
///
/// # Errors
/// When it does not come to its end. What is in the transcript by then is done, and whoever begins again goes on with the rest.
pub fn carry_out(
    prepared: &mut Prepared,
    plan: &Plan,
    ask: &mut dyn Ask,
    watch: &mut dyn Watch,
) -> Result<(), CeremonyError> {
    let left = left(prepared.going.transcript(), plan);
    if !left.is_empty() {
        let beside = std::mem::take(&mut prepared.beside);
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
            let place = Place { plan, medium, child: &child, sealed: &sealed, beside: &beside };
            place.fill(prepared, ask)?;
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
pub(super) fn left<'a>(transcript: &Transcript, plan: &'a Plan) -> Vec<&'a Medium> {
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
