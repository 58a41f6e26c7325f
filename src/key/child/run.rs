//! What the child does, from its first line to its last.

use std::{
    io::{BufRead, Write},
    time::Instant,
};

use super::{
    open,
    read::read,
    seal::Proof,
    split::Unlock,
    talk::{Answer, Job, KeyJob, Order, Sealed, SealedKey, Split},
};
use crate::{
    host::{
        secret,
        shield::{self, Shield},
    },
    key::{
        material::{Facts, Located, Material, is_in_set},
        plan::{KeyKind, Network},
    },
    profile::types::AgeRecipient,
};

/// Said when the kernel does not lock it, and nobody has accepted that.
pub const UNLOCKED: &str = "the kernel does not lock the memory of the process that holds the key";

/// Longer lines are no order and no envelope: a round of the largest group has some hundred kilobytes.
const LONGEST_LINE: u64 = 64 << 20;

/// The child's whole life: shields itself, does what it is told, and ends when it is told no more.
///
/// # Errors
/// When it cannot talk: then nobody is there to whom a reason could be given.
pub fn run(from: &mut impl BufRead, to: &mut impl Write) -> std::io::Result<()> {
    shield::be_silent_in_panics();
    let locked = secret::keep_in_memory();
    serve(from, to, shield::shield(locked.is_ok()))
}

/// The same, when it has shielded itself.
pub(super) fn serve(
    from: &mut impl BufRead,
    to: &mut impl Write,
    shield: Shield,
) -> std::io::Result<()> {
    let mut say = |answer: &Answer| {
        serde_json::to_writer(&mut *to, answer)?;
        to.write_all(b"\n")?;
        to.flush()
    };
    let Some(order) = line::<Order>(from)? else {
        return say(&Answer::Refused("the order is none".into()));
    };
    // The key of a rehearsal is nobody's: there it can be watched what becomes of one.
    let (may_be_unlocked, may_be_traced) = match &order {
        Order::Seal(job) => (job.may_be_unlocked, job.rehearsal),
        Order::Open(order) => (order.may_be_unlocked, false),
    };
    if let Err(why) = is_shielded(may_be_unlocked, may_be_traced, &shield) {
        return say(&Answer::Refused(why));
    }
    let job = match order {
        Order::Seal(job) => job,
        Order::Open(order) => return open::serve(&order, shield, from, to),
    };
    let sealed = seal_all(&job).map(|(keys, split)| Sealed { keys, shield, split, lived_us: 0 });
    say(&sealed.map_or_else(Answer::Refused, Answer::Sealed))
}

/// The next line; `None` at the end, and when it is not what is expected.
pub(super) fn line<T: serde::de::DeserializeOwned>(
    from: &mut impl BufRead,
) -> std::io::Result<Option<T>> {
    let mut line = Vec::new();
    std::io::Read::take(&mut *from, LONGEST_LINE).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line).ok())
}

fn is_shielded(may_be_unlocked: bool, may_be_traced: bool, shield: &Shield) -> Result<(), String> {
    if shield.is_dumpable || shield.core_limit != 0 {
        return Err("the kernel would write a dump of the process that holds the key".into());
    }
    if shield.tracer != 0 && !may_be_traced {
        return Err(format!("process {} traces the process that holds the key", shield.tracer));
    }
    if shield.has_network {
        return Err("the process that holds the key has a network".into());
    }
    if !shield.is_locked && !may_be_unlocked {
        return Err(UNLOCKED.into());
    }
    Ok(())
}

/// The keys are in memory from the first line of this to the last, and so is what could open their envelopes.
fn seal_all(job: &Job) -> Result<(Vec<SealedKey>, Option<Split>), String> {
    let recipients: Vec<AgeRecipient> = job
        .custodians
        .iter()
        .map(|(name, text)| text.parse().map_err(|fault| format!("{name}: {fault}")))
        .collect::<Result<_, _>>()?;
    let proof = Proof::new();
    let unlock = job.threshold.map(|needed| (needed, Unlock::new()));
    let to_unlock = unlock.as_ref().map(|(_, unlock)| unlock.recipient());
    let to: Vec<&dyn age::Recipient> = recipients
        .iter()
        .map(|custodian| match &to_unlock {
            Some(unlock) => unlock as &dyn age::Recipient,
            None => custodian.as_age(),
        })
        .collect();
    let (mut keys, mut begun) = (Vec::new(), Vec::new());
    for key in &job.keys {
        begun.push(Instant::now());
        let sealed = seal(key, job.rehearsal, &to, &proof);
        keys.push(sealed.map_err(|why| format!("{}: {why}", key.name))?);
    }
    let split = unlock.map(|(needed, unlock)| unlock.split(needed, &recipients, &proof, &keys));
    let split = split.transpose()?;
    drop(proof);
    for (key, begun) in keys.iter_mut().zip(begun) {
        // Each set of shares that was tried has opened each envelope.
        key.opened += split.as_ref().map_or(0, |split| split.tried * key.envelopes.len());
        key.held_for_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    }
    Ok((keys, split))
}

/// A key in envelopes that were seen to open, and to hold it.
fn seal(
    key: &KeyJob,
    rehearsal: bool,
    to: &[&dyn age::Recipient],
    proof: &Proof,
) -> Result<SealedKey, String> {
    let (material, beside) = read(key, rehearsal)?;
    let facts = judged(key, rehearsal, &material, &beside)?;
    let envelopes = to.iter().map(|recipient| proof.seal(material.secret(), *recipient));
    let envelopes: Vec<String> = envelopes.collect::<Result<_, _>>()?;
    for envelope in &envelopes {
        proof.holds(key.kind, key.network, envelope, &material)?;
    }
    let opened = envelopes.len();
    Ok(SealedKey { name: key.name.clone(), facts, envelopes, opened, held_for_us: 0 })
}

/// Compares what was read with what the plan expects, and with what stands beside it.
fn judged(
    key: &KeyJob,
    rehearsal: bool,
    material: &Material,
    beside: &Located,
) -> Result<Facts, String> {
    let mut facts = material.facts().clone();
    let public = facts.public.as_deref().unwrap_or_default();
    if rehearsal {
        return Ok(facts);
    }
    if let Some(expected) = &key.public {
        let expected = expected.strip_prefix("0x").unwrap_or(expected).to_ascii_lowercase();
        if expected != public {
            return Err(format!(
                "this is another key than the plan's: its public half is {public}, and {expected} is expected"
            ));
        }
    }
    if let Some(set) = &beside.signing_set {
        facts.in_signing_set = is_in_set(public, set.iter().map(String::as_str));
        match facts.in_signing_set {
            Some(true) => {}
            Some(false) => {
                return Err(format!(
                    "its public half, {public}, is not in the bootstrap_signing_set beside it: the signer would not start with it"
                ));
            }
            None => {
                return Err("the bootstrap_signing_set beside it has an entry that is no public key: the signer would not start with it".into());
            }
        }
    }
    let is_main = key.network == Network::Mainnet;
    match &beside.network {
        Some(name) if key.kind == KeyKind::SbtcSigner && (name == "mainnet") != is_main => {
            Err(format!(
                "the configuration beside it is of the network {}, and the plan's key is not",
                name.escape_debug()
            ))
        }
        _ => Ok(facts),
    }
}
