//! `holdfast backup check`: on the host that fetched backups. It needs no profile and no root, only the key by which the
//! other host signs.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use jiff::Timestamp;
use serde_json::json;

use super::list::{json_of, text_of};
use crate::{
    backup::{
        catalogue::{Entry, Fault, name_of},
        curve::unhex,
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
    let names: BTreeSet<&str> = items.iter().filter_map(|item| name_of(&item.name)).collect();
    if names.is_empty() {
        return Err(Failure::new(Exit::Data, format!("there is no backup in {}", args.folder)));
    }
    let (mut exit, mut documents, mut old) = (Exit::Ok, Vec::new(), Vec::new());
    for name in names {
        let mut entries = catalogue_of(&shelf, name, &key)?;
        for entry in &mut entries {
            compare(&shelf, entry)?;
            if !entry.faults.is_empty() {
                exit = Exit::Findings;
            }
            match context.format {
                Format::Json => documents.push(json_of(entry)),
                Format::Text => context.out.line(text_of(context, entry))?,
            }
        }
        let Some(within) = args.newest_within else { continue };
        if let Some(why) = too_old(&entries, within, now) {
            exit = Exit::Findings;
            old.push(format!("{name}: {why}"));
        }
    }
    match context.format {
        Format::Json => {
            let body = json!({ "backups": documents, "too_old": old });
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

/// Reads the whole file and notes where it is not the one that its manifest is about.
fn compare(shelf: &Shelf, entry: &mut Entry) -> Result<(), HostError> {
    let Some((manifest, _)) = &entry.manifest else { return Ok(()) };
    let missing = [Fault::NoArchive];
    if entry.faults.iter().any(|fault| missing.contains(fault)) {
        return Ok(());
    }
    let archive = &manifest.archive;
    let file = match shelf.read(&archive.file) {
        // Of one that `prune` deleted the file need not have been fetched.
        Err(_) if entry.deleted => return Ok(()),
        opened => opened?,
    };
    let digest = stream::digest(file).map_err(HostError::file("read", archive.file.as_str()))?;
    if digest != (archive.sha256.clone(), archive.bytes) {
        entry.faults.push(Fault::Bytes);
    }
    Ok(())
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
