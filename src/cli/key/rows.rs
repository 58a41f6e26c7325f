//! DKG rows beside a key's envelopes: who brings the key back needs them, too, and on that day may have nothing else.

use std::io::Read as _;

use jiff::Timestamp;

use crate::{
    backup::{
        folder::{Bytes, entries},
        manifest::Kind as _,
        rows::{Rows, manifest::Manifest, note::Note, print::Print, shelf},
        signing,
        stream::digest,
    },
    cli::{
        Context, PROFILE,
        failure::{Exit, Failure},
        host,
    },
    host::{Files, HostError, clock, watched},
    key::{ceremony::FileBeside, plan::Plan},
    profile::{Trust, types::TimeSpan},
};

/// The words that go with them.
const README: &str = "DKG-ROWS.txt";

/// The newest proven rows of the backup that the plan names: their file, its manifest, and words. Which they are is said.
///
/// # Errors
/// When the profile has no such backup, none was proven, the watch does not know it to have every row, or a custodian of the
/// plan could not open it.
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
    let files = Files::below("/");
    let looks = Looks {
        last: watched::note(&files, &Note::name(name.as_str())),
        failure: watched::note(&files, &Note::failure(name.as_str())).unwrap_or_default(),
        within: backup.watched_within,
        now: clock::now(),
    };
    if let Some(why) = looks.lacking(&manifest.of.rows) {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is not put beside the key: {why}", manifest.id),
        )
        .hint(format!("holdfast backup watch {name}")));
    }
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
    let (id, count, begun) = (&manifest.id, manifest.of.rows.len(), manifest.begun);
    context.out.say(format!("DKG rows: {id}, {count} rows as of {begun}"));
    Ok(vec![(archive.clone(), rows), (statement, signed), (README.to_owned(), words.into_bytes())])
}

/// What is known of the looks at the database.
struct Looks {
    /// What the last good one saw.
    last: Option<Note>,
    /// Why the last one failed; empty: it did not.
    failure: String,
    within: TimeSpan,
    now: Timestamp,
}

impl Looks {
    /// Why rows that were saved may not be all that there are; `None`: they are, as of the last look.
    fn lacking(&self, saved: &[Print]) -> Option<String> {
        if !self.failure.is_empty() {
            return Some(format!("the last look at the database failed: {}", self.failure));
        }
        let Some(note) = &self.last else {
            return Some("nobody has looked for rows since this host was started".to_owned());
        };
        let has = |row: &Print| {
            saved.iter().any(|each| each.is_same_row(row) && each.status == row.status)
        };
        let missing: Vec<String> = note
            .rows
            .iter()
            .filter(|row| !has(row))
            .map(|row| format!("{} ({})", row.key, row.status))
            .collect();
        if !missing.is_empty() {
            return Some(format!("it has not {}", missing.join(", ")));
        }
        let age = self.now.as_second().saturating_sub(note.at.as_second());
        match u64::try_from(age).map(TimeSpan::from_secs) {
            Err(_) => Some(format!("the last look was at {}, which is in the future", note.at)),
            Ok(age) if age > self.within => Some(format!(
                "nobody has looked for new rows for {age}; at most {} is allowed",
                self.within
            )),
            Ok(_) => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::chain::Status;

    fn row(key: &str, status: Status) -> Print {
        let created = Timestamp::from_second(1).unwrap();
        Print { key: key.into(), status, created, digest: format!("digest of {key}") }
    }

    #[test]
    fn rows_are_put_beside_a_key_when_the_last_look_saw_no_others() {
        let saved = [row("a", Status::Verified), row("b", Status::Unverified)];
        let note = |rows: &[Print]| Note {
            at: Timestamp::from_second(1_000).unwrap(),
            rows: rows.to_vec(),
            height: None,
            heightless: None,
            unsaved: Vec::new(),
            chain: None,
        };
        let lacking = |last: Option<Note>, failure: &str, now| {
            let now = Timestamp::from_second(now).unwrap();
            let (failure, within) = (failure.to_owned(), TimeSpan::from_secs(300));
            Looks { last, failure, within, now }.lacking(&saved).unwrap_or_default()
        };
        for rows in [&saved[..], &saved[..1], &[]] {
            assert_eq!(lacking(Some(note(rows)), "", 1_300), "");
        }
        let told = lacking(Some(note(&[row("c", Status::Unverified)])), "", 1_000);
        assert_eq!(told, "it has not c (unverified)");
        let told = lacking(Some(note(&[row("b", Status::Verified)])), "", 1_000);
        assert_eq!(told, "it has not b (verified)");
        let told = lacking(Some(note(&saved)), "", 1_301);
        assert_eq!(told, "nobody has looked for new rows for 5m1s; at most 5m is allowed");
        let told = lacking(Some(note(&saved)), "", 999);
        assert!(told.ends_with("1970-01-01T00:16:40Z, which is in the future"), "{told}");
        let told = lacking(Some(note(&saved)), "no server", 1_000);
        assert_eq!(told, "the last look at the database failed: no server");
        let told = lacking(None, "", 1_000);
        assert_eq!(told, "nobody has looked for rows since this host was started");
    }
}
