//! DKG rows beside a key's envelopes: who brings the key back needs them, too, and on that day may have nothing else.

use std::io::Read as _;

use crate::{
    backup::{
        folder::{Bytes, entries},
        manifest::Kind as _,
        rows::{Rows, manifest::Manifest, shelf},
        signing,
        stream::digest,
    },
    cli::{
        Context, PROFILE,
        failure::{Exit, Failure},
        host,
    },
    host::HostError,
    key::{ceremony::FileBeside, plan::Plan},
    profile::Trust,
};

/// The words that go with them.
const README: &str = "DKG-ROWS.txt";

/// The newest proven rows of the backup that the plan names: their file, its manifest, and words.
///
/// # Errors
/// When the profile has no such backup, none was proven, or a custodian of the plan could not open it.
pub(super) fn beside(context: &Context, plan: &Plan) -> Result<Vec<FileBeside>, Failure> {
    let Some(name) = &plan.rows else { return Ok(Vec::new()) };
    let loaded = host::load(context, std::path::Path::new(PROFILE), Trust::Enforced)?;
    let backup = loaded.profile.backup.get(name).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("the plan wants the rows of [backup.{name}], which {PROFILE} does not have"),
        )
        .hint("carry the plan out on the signer's own host, or take `rows` out of it")
    })?;
    let shelf = shelf(backup.store.as_str(), name.as_str());
    let none = || {
        Failure::new(
            Exit::Failed,
            format!("there are no proven rows of {name} to put beside the key"),
        )
        .hint(format!("holdfast backup watch {name}; holdfast backup rows"))
    };
    let key = signing::known_key()?.ok_or_else(none)?;
    let found = entries::<Rows>(&shelf, name.as_str(), &key.verifying_key(), Bytes::OfSmall)?;
    let manifest = found.iter().rev().find_map(|entry| entry.proven()).ok_or_else(none)?;
    for custodian in &plan.custodians {
        if !manifest.recipients.values().any(|to| *to == custodian.recipient.to_string()) {
            return Err(Failure::new(
                Exit::Failed,
                format!(
                    "{} could not open {}: it is not encrypted to their recipient of the plan",
                    custodian.name, manifest.id
                ),
            )
            .hint(format!(
                "have {} among `to` of [backup.{name}], and run: holdfast backup watch {name}",
                custodian.name
            )));
        }
    }
    let archive = &manifest.archive.file;
    let read = |file: &str| -> Result<Vec<u8>, HostError> {
        let mut bytes = Vec::new();
        shelf
            .read(file)?
            .read_to_end(&mut bytes)
            .map_err(HostError::file("read", shelf.shown(file)))?;
        Ok(bytes)
    };
    let rows = read(archive)?;
    // It was read before, to be judged; what is written now is what was judged then.
    let is_it = digest(&rows[..]).is_ok_and(|(sha256, _)| sha256 == manifest.archive.sha256);
    if !is_it {
        return Err(Failure::new(
            Exit::Failed,
            format!("{archive} is not the file any more that its manifest is of"),
        ));
    }
    let statement = format!("{}{}", manifest.id, Rows::ENDS.manifest);
    let signed = read(&statement)?;
    let words = words(manifest, name.as_str(), &signing::public(&key));
    Ok(vec![(archive.clone(), rows), (statement, signed), (README.to_owned(), words.into_bytes())])
}

/// For whoever has the medium.
fn words(manifest: &Manifest, name: &str, host: &str) -> String {
    let Manifest { id, begun, archive, recipients, of, .. } = manifest;
    let who = recipients.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let (count, file) = (of.rows.len(), &archive.file);
    format!(
        "THE SIGNER'S DKG SHARES, ENCRYPTED

{file}
  sha256 {sha256}
has the {count} rows of sbtc_signer.dkg_shares as they were at {begun}: the signer's part of each key that the
signers made together. They are in no block chain, and cannot be made again; without them the signer's own key
signs nothing for those. Later rows are in later backups of the host: look for those first.
Each of {who} can open it alone, with their identity of age.

With holdfast, into a database that the signer has migrated and that no signer runs on (its host's profile needs a
section [backup.{name}]; FOLDER is where this file lies):

  holdfast backup restore-rows {id} --from FOLDER --key {host} --into DATABASE --identity IDENTITY-FILE

Without it, with age and zstd: the first line of what comes out says how the rest is put back.

  age --decrypt --identity IDENTITY-FILE {file} | zstd --decompress | head --lines=1
",
        sha256 = archive.sha256,
    )
}
