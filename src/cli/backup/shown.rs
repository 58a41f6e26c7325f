//! A backup of either kind on one line, and as JSON.

use serde_json::{Value, json};

use super::jobs;
use crate::{
    backup::{
        catalogue::Entry,
        folder::{self, Bytes},
        manifest::Kind,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::{Tone, harmless},
    },
    host::shelf::Shelf,
    profile::Loaded,
    report,
};

/// Lists the backups of one name or of all, under this title.
pub(super) fn list<K: Kind>(
    context: &Context,
    loaded: &Loaded,
    name: Option<&str>,
    title: &str,
) -> Result<Exit, Failure> {
    let (mut exit, mut documents) = (Exit::Ok, Vec::new());
    for job in jobs(loaded, name)? {
        let shelf = Shelf::at(job.backup.store.as_str());
        let key = super::host_key(context, job)?.verifying_key();
        let entries = folder::entries::<K>(&shelf, job.name, &key, Bytes::OfSmall)?;
        if !each(context, &entries, &mut documents)? {
            exit = Exit::Findings;
        }
    }
    if context.format == Format::Json {
        let body = json!({ "backups": documents });
        context.out.raw(&report::json::document(title, body))?;
    }
    Ok(exit)
}

/// Shows each, or adds it to the documents; whether nothing is wrong with any.
pub(super) fn each<K: Kind>(
    context: &Context,
    entries: &[Entry<K>],
    documents: &mut Vec<Value>,
) -> Result<bool, Failure> {
    for entry in entries {
        match context.format {
            Format::Json => documents.push(json_of(entry)),
            Format::Text => context.out.line(text_of(context, entry))?,
        }
    }
    Ok(entries.iter().all(|entry| entry.faults.is_empty()))
}

fn word<K: Kind>(entry: &Entry<K>) -> (&'static str, Tone) {
    match entry {
        _ if !entry.faults.is_empty() => ("damaged", Tone::Bad),
        _ if entry.is_lost() => ("lost", Tone::Faint),
        _ if entry.is_deleted() => ("deleted", Tone::Faint),
        _ if entry.proven().is_some() => ("proven", Tone::Good),
        _ => ("not proven", Tone::Bad),
    }
}

/// What another host's manifests and files call themselves is others' work.
pub(super) fn text_of<K: Kind>(context: &Context, entry: &Entry<K>) -> String {
    let (word, tone) = word(entry);
    let mut line = format!("{} {}", entry.id, context.out.paint(tone, word));
    if let Some((manifest, _)) = &entry.manifest {
        let told = manifest.of.told();
        line.push_str(&format!(",{told} {} bytes, made {}", manifest.archive.bytes, manifest.made));
    }
    if let Some(loss) = entry.loss() {
        let told = format!("; {} has said so: {}", loss.by, loss.reason);
        line.push_str(&harmless(&told).replace('\n', " "));
    }
    for fault in &entry.faults {
        line.push_str(&format!("; {}", harmless(&fault.to_string()).replace('\n', " ")));
    }
    line
}

fn json_of<K: Kind>(entry: &Entry<K>) -> Value {
    let faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
    json!({
        "id": entry.id,
        "state": word(entry).0,
        "faults": faults,
        "lost": entry.loss(),
        "manifest": entry.manifest.as_ref().map(|(manifest, _)| manifest),
        "digest": entry.manifest.as_ref().map(|(_, digest)| digest),
    })
}
