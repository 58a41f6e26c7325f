//! What custodians bring: media and sheets, and the envelopes on them that the record knows.

use super::{
    CeremonyError,
    beside::{Beside, beside},
    carried::{Kept, Label},
};
use crate::{
    host::medium::{has_folder, read_finished},
    key::{
        paper::typed,
        transcript::{Written, digest},
    },
};

/// What people have, and with what they open it.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Where media are mounted.
    pub media: Vec<String>,
    /// What was scanned or typed from sheets.
    pub papers: Vec<String>,
    /// Files and pipes of identities.
    pub identities: Vec<String>,
    /// Which of the ceremony's keys; may be left out where there is one, and for a drill of all.
    pub key: Option<String>,
    /// The public half that the key must have, where the record is not this host's own.
    pub public: Option<String>,
}

/// An envelope that is in the record.
#[derive(Debug)]
pub(super) struct Found {
    /// The key's name, or that it is a share.
    pub name: String,
    pub custodian: String,
    pub medium: String,
    pub is_paper: bool,
    /// The envelope, armored; or why it is not the one that was written.
    pub armored: Result<String, String>,
}

impl Found {
    /// Which one it is, in words.
    pub(super) fn told(&self) -> String {
        let Self { name, custodian, medium, is_paper, .. } = self;
        let on = if *is_paper { format!("paper of {medium}") } else { medium.clone() };
        format!("{name} on {on}, {custodian}'s")
    }
}

/// All of them.
///
/// # Errors
/// When something that is given is nothing of this ceremony.
pub(super) fn found(kept: &Kept, given: &Given) -> Result<Vec<Found>, CeremonyError> {
    let labels = kept.labels();
    let mut all = Vec::new();
    for mount in &given.media {
        all.extend(on(mount, &labels)?);
    }
    for text in &given.papers {
        let no = |why: String| CeremonyError::No(format!("the paper: {why}"));
        let armored = typed(text).map_err(|fault| no(fault.to_string()))?;
        let sha256 = digest(armored.as_bytes());
        let known = labels
            .iter()
            .flat_map(|label| label.envelopes.iter().map(move |each| (label, each)))
            .find(|(_, each)| each.sha256 == sha256);
        let (label, envelope) =
            known.ok_or_else(|| no("it is whole, and no envelope of this ceremony".into()))?;
        all.push(Found {
            name: envelope.key.clone(),
            custodian: label.custodian.clone(),
            medium: label.medium.clone(),
            is_paper: true,
            armored: Ok(armored),
        });
    }
    Ok(all)
}

/// Looks at what is beside the envelopes, on media that the record knows: it opens nothing, and is what somebody reads and runs
/// on the day on which the key is brought back.
pub(super) fn looked(kept: &Kept, given: &Given) -> Vec<Beside> {
    let on = |mount: &String| -> Vec<Beside> {
        let there = kept.transcript.written().filter(|it| has_folder(mount, &it.folder));
        let look = |it: &Written| {
            let faults = beside(mount, it);
            let why = (!faults.is_empty()).then(|| faults.join("; "));
            Beside { medium: it.medium.clone(), why }
        };
        there.map(look).collect()
    };
    given.media.iter().flat_map(on).collect()
}

/// What is on a medium. Which one it is, its files tell.
fn on(mount: &str, labels: &[Label]) -> Result<Vec<Found>, CeremonyError> {
    let read = |label: &Label| -> Vec<Found> {
        let each = |envelope: &crate::key::transcript::Envelope| {
            let armored = match read_finished(mount, &label.folder, &envelope.file) {
                Ok(bytes) if digest(&bytes) == envelope.sha256 => {
                    Ok(String::from_utf8(bytes).unwrap_or_default())
                }
                Ok(_) => Err(format!(
                    "{mount}: {} is not the envelope that was written for {}",
                    envelope.file, label.custodian
                )),
                Err(error) => Err(format!("{mount}: {}", error.chain())),
            };
            Found {
                name: envelope.key.clone(),
                custodian: label.custodian.clone(),
                medium: label.medium.clone(),
                is_paper: false,
                armored,
            }
        };
        label.envelopes.iter().map(each).collect()
    };
    let is_there = |label: &Label, found: &Found| {
        let file = label.envelopes.iter().find(|it| it.key == found.name).map(|it| &it.file);
        found.armored.is_ok()
            || file.is_some_and(|file| read_finished(mount, &label.folder, file).is_ok())
    };
    let candidates = labels.iter().map(|label| {
        let found = read(label);
        let missing = found.iter().filter(|it| !is_there(label, it)).count();
        let bad = found.iter().filter(|it| it.armored.is_err()).count();
        (missing, bad, found)
    });
    match candidates.min_by_key(|(missing, bad, _)| (*missing, *bad)) {
        Some((missing, _, found)) if missing < found.len() => Ok(found),
        _ => Err(CeremonyError::No(format!("{mount}: no envelope of this ceremony is on it"))),
    }
}
