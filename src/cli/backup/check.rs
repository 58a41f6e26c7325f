//! `holdfast backup check`: on the host that fetched backups. It needs no profile and no root, only the key by which the
//! other host signs.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use jiff::Timestamp;
use serde_json::json;

use super::{list, rows};
use crate::{
    backup::{
        catalogue::{self, Entry, Fault},
        curve::unhex,
        manifest::Archive,
        rows::{catalogue as rows_catalogue, watch::entries_of},
        run::catalogue_of,
        stream,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    host::{HostError, clock, shelf::Shelf},
    profile::types::TimeSpan,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that they were fetched into
    folder: String,

    /// The public key of the host that made them, as its `holdfast backup status` says it
    #[arg(long, value_name = "HEX")]
    key: String,

    /// How old the newest proven one of each name may be
    #[arg(long, value_name = "TIME")]
    newest_within: Option<TimeSpan>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let key = unhex(&args.key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let key = key.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).ok_or_else(|| {
        Failure::new(Exit::Usage, "this is no public key of a host")
            .hint("write the 64 hexadecimal digits that `holdfast backup status` ends with there")
    })?;
    let (shelf, now) = (Shelf::fetched(&args.folder), clock::now());
    let items = shelf.items()?;
    let names = |of: fn(&str) -> Option<&str>| -> BTreeSet<&str> {
        items.iter().filter_map(|item| of(&item.name)).collect()
    };
    let (dumps, of_rows) = (names(catalogue::name_of), names(rows_catalogue::name_of));
    if dumps.is_empty() && of_rows.is_empty() {
        return Err(Failure::new(Exit::Data, format!("there is no backup in {}", args.folder)));
    }
    let (mut exit, mut documents, mut old) = (Exit::Ok, Vec::new(), Vec::new());
    for name in dumps {
        let mut entries = catalogue_of(&shelf, name, &key)?;
        for entry in &mut entries {
            let archive = entry.manifest.as_ref().map(|(manifest, _)| &manifest.archive);
            let fault = compare(&shelf, archive, entry.deleted, &entry.faults)?;
            entry.faults.extend(fault);
            if !entry.faults.is_empty() {
                exit = Exit::Findings;
            }
            match context.format {
                Format::Json => documents.push(list::json_of(entry)),
                Format::Text => context.out.line(list::text_of(context, entry))?,
            }
        }
        let Some(within) = args.newest_within else { continue };
        if let Some(why) = too_old(&entries, within, now) {
            exit = Exit::Findings;
            old.push(format!("{name}: {why}"));
        }
    }
    let mut rows_documents = Vec::new();
    for name in of_rows {
        for mut entry in entries_of(&shelf, name, &key)? {
            let archive = entry.manifest.as_ref().map(|(manifest, _)| &manifest.archive);
            let fault = compare(&shelf, archive, entry.deleted.is_some(), &entry.faults)?;
            entry.faults.extend(fault);
            if !entry.faults.is_empty() {
                exit = Exit::Findings;
            }
            match context.format {
                Format::Json => rows_documents.push(rows::json_of(&entry)),
                Format::Text => context.out.line(rows::text_of(context, &entry))?,
            }
        }
    }
    match context.format {
        Format::Json => {
            let body = json!({ "backups": documents, "rows": rows_documents, "too_old": old });
            context.out.raw(&report::json::document("backup check", body))?;
        }
        Format::Text => {
            for text in &old {
                context.out.line(context.out.paint(Tone::Bad, text))?;
            }
        }
    }
    Ok(exit)
}

/// Reads the whole file: whether it is the one that its manifest is about.
fn compare(
    shelf: &Shelf,
    archive: Option<&Archive>,
    is_deleted: bool,
    known: &[Fault],
) -> Result<Option<Fault>, HostError> {
    let Some(archive) = archive.filter(|_| !known.contains(&Fault::NoArchive)) else {
        return Ok(None);
    };
    let file = match shelf.read(&archive.file) {
        // Of one that `prune` deleted the file need not have been fetched.
        Err(_) if is_deleted => return Ok(None),
        opened => opened?,
    };
    let digest = stream::digest(file).map_err(HostError::file("read", archive.file.as_str()))?;
    let is_it = digest == (archive.sha256.clone(), archive.bytes);
    Ok((!is_it).then_some(Fault::Bytes))
}

/// Why the newest proven one is not new enough.
fn too_old(entries: &[Entry], within: TimeSpan, now: Timestamp) -> Option<String> {
    let proven = entries.iter().rev().find(|entry| entry.is_proven());
    let manifest = proven.and_then(|entry| entry.manifest.as_ref()).map(|(manifest, _)| manifest);
    let Some(manifest) = manifest else {
        return Some("none of them is proven and whole".to_owned());
    };
    if manifest.begun > now {
        return Some(format!("{} is of the future: one of the two clocks is wrong", manifest.id));
    }
    let seconds = now.as_second().saturating_sub(manifest.begun.as_second());
    let age = TimeSpan::from_secs(u64::try_from(seconds).unwrap_or(0));
    (age.as_secs() > within.as_secs())
        .then(|| format!("the newest proven one is {age} old; at most {within} is allowed"))
}
