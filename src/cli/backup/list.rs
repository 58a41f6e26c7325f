//! `holdfast backup list` and `holdfast backup status`

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{entries, jobs};
use crate::{
    backup::{catalogue::Entry, signing},
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    host::clock,
    profile::{Loaded, types::TimeSpan},
    report,
};

pub(super) fn list(
    context: &Context,
    loaded: &Loaded,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    let (mut exit, mut documents) = (Exit::Ok, Vec::new());
    for job in jobs(loaded, name)? {
        let (entries, _) = entries(job)?;
        for entry in &entries {
            if !entry.faults.is_empty() {
                exit = Exit::Findings;
            }
            match context.format {
                Format::Json => documents.push(json_of(entry)),
                Format::Text => context.out.line(text_of(context, entry))?,
            }
        }
    }
    if context.format == Format::Json {
        let body = json!({ "backups": documents });
        context.out.raw(&report::json::document("backup list", body))?;
    }
    Ok(exit)
}

fn word(entry: &Entry) -> (&'static str, Tone) {
    match entry {
        _ if !entry.faults.is_empty() => ("damaged", Tone::Bad),
        _ if entry.deleted => ("deleted", Tone::Faint),
        _ if entry.is_proven() => ("proven", Tone::Good),
        _ => ("not proven", Tone::Bad),
    }
}

pub(super) fn text_of(context: &Context, entry: &Entry) -> String {
    let (word, tone) = word(entry);
    let mut line = format!("{} {}", entry.id, context.out.paint(tone, word));
    if let Some((manifest, _)) = &entry.manifest {
        line.push_str(&format!(", {} bytes, made {}", manifest.archive.bytes, manifest.made));
    }
    for fault in &entry.faults {
        line.push_str(&format!("; {fault}"));
    }
    line
}

pub(super) fn json_of(entry: &Entry) -> Value {
    let faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
    json!({
        "id": entry.id,
        "state": word(entry).0,
        "faults": faults,
        "manifest": entry.manifest.as_ref().map(|(manifest, _)| manifest),
        "digest": entry.manifest.as_ref().map(|(_, digest)| digest),
    })
}

pub(super) fn status(
    context: &Context,
    loaded: &Loaded,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    let (mut exit, mut documents, now) = (Exit::Ok, Vec::new(), clock::now());
    for job in jobs(loaded, name)? {
        let (entries, key) = entries(job)?;
        let newest = entries.iter().rev().find(|entry| entry.manifest.is_some() && !entry.deleted);
        let proven = entries.iter().rev().find(|entry| entry.is_proven());
        let proven = proven.and_then(|entry| entry.manifest.as_ref()).map(|(manifest, _)| manifest);
        let within = job.backup.proven_within;
        let age = proven.map(|manifest| age(manifest.begun, now));
        let good = age.is_some_and(|age| age.as_secs() <= within.as_secs())
            // A backup of the future says nothing about today.
            && proven.is_some_and(|manifest| manifest.begun <= now);
        if !good {
            exit = Exit::Findings;
        }
        if context.format == Format::Json {
            documents.push(json!({
                "name": job.name,
                "good": good,
                "newest": newest.map(|entry| &entry.id),
                "newest_proven": proven.map(|manifest| &manifest.id),
                "newest_proven_seconds": age.map(TimeSpan::as_secs),
                "proven_within_seconds": within.as_secs(),
                "proof_milliseconds": proven.map(|manifest| manifest.proof.milliseconds),
                "host_key": signing::public(&key),
            }));
            continue;
        }
        let out = &context.out;
        let told = match (proven, age) {
            (Some(manifest), Some(age)) => {
                format!("{}, {age} old; at most {within} is allowed", manifest.id)
            }
            _ => "none; no backup has ever been proven, or none that was is still whole".to_owned(),
        };
        let tone = if good { Tone::Good } else { Tone::Bad };
        out.line(format!("{}: newest proven: {}", job.name, out.paint(tone, &told)))?;
        if let Some(newest) = newest.filter(|entry| !entry.is_proven()) {
            out.line(format!("{}: newest: {}", job.name, text_of(context, newest)))?;
        }
        if let Some(manifest) = proven {
            let proof = &manifest.proof;
            let (seconds, rest) = (proof.milliseconds / 1000, proof.milliseconds % 1000);
            out.line(format!(
                "{}: opening, restoring and judging it took {seconds}.{rest:03} s",
                job.name
            ))?;
        }
        out.line(format!("{}: signed with the host's key {}", job.name, signing::public(&key)))?;
    }
    if context.format == Format::Json {
        let body = json!({ "backups": documents });
        context.out.raw(&report::json::document("backup status", body))?;
    }
    Ok(exit)
}

pub(super) fn age(then: Timestamp, now: Timestamp) -> TimeSpan {
    let seconds = now.as_second().saturating_sub(then.as_second());
    TimeSpan::from_secs(u64::try_from(seconds).unwrap_or(0))
}
