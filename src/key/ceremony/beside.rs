//! What is on a medium beside its envelopes and sheets: it opens nothing, and is what somebody reads and runs on the day on
//! which a key is brought back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::look::plain;
use crate::{
    host::medium::{listed, read_finished},
    key::transcript::{Envelope, Other, Written, digest},
};

/// A medium that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Its name in the plan.
    pub medium: String,
    /// What is wrong with what is beside the envelopes, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Beside {
    /// What is wrong with it, in words.
    pub fn told(&self) -> Option<String> {
        Some(format!("medium {}: {}", self.medium, self.why.as_ref()?))
    }
}

/// What is wrong with what is beside the envelopes and sheets: the words, the program that puts shares together, the record;
/// and that there is more than was written. Of a medium that an older version wrote nothing is known.
pub(super) fn beside(mount: &str, written: &Written) -> Vec<String> {
    if written.others.is_empty() {
        return Vec::new();
    }
    let each = |it: &Other| unlike(mount, written, "file", &it.file, &it.sha256);
    let mut faults: Vec<String> = written.others.iter().filter_map(each).collect();
    match listed(mount, &written.folder) {
        Ok(found) => faults.extend(
            unknown(written, found)
                .map(|file| format!("{} was not written with the rest", plain(&file))),
        ),
        Err(error) => faults.push(error.chain()),
    }
    faults
}

/// Of what is in a folder what was not written into it.
fn unknown(written: &Written, found: Vec<String>) -> impl Iterator<Item = String> {
    let sheet = |it: &Envelope| it.sheet.as_ref().map(|sheet| sheet.file.clone());
    let envelopes = written.envelopes.iter().map(|it| it.file.clone());
    let sheets = written.envelopes.iter().filter_map(sheet);
    let others = written.others.iter().map(|it| it.file.clone());
    let known: BTreeSet<String> = envelopes.chain(sheets).chain(others).collect();
    found.into_iter().filter(move |file| !known.contains(file))
}

/// What is wrong with a file, if anything is.
pub(super) fn unlike(
    mount: &str,
    written: &Written,
    what: &str,
    file: &str,
    sha256: &str,
) -> Option<String> {
    match read_finished(mount, &written.folder, file) {
        Ok(bytes) if digest(&bytes) == sha256 => None,
        Ok(_) => {
            Some(format!("{file} is not the {what} that was written for {}", written.custodian))
        }
        Err(error) => Some(error.chain()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::{medium::ReadBack, mounted::Mounted},
        key::transcript::Printed,
    };

    #[test]
    fn what_was_not_written_is_told() {
        let sheet =
            Printed { file: "signer.pdf".into(), sha256: String::new(), serial: String::new() };
        let envelope = Envelope {
            key: "signer".into(),
            file: "signer.age".into(),
            sha256: String::new(),
            sheet: Some(sheet),
        };
        let written = Written {
            medium: "usb-1".into(),
            custodian: "alice".into(),
            bag: String::new(),
            mounted: Mounted::default(),
            folder: "f".into(),
            envelopes: vec![envelope],
            others: vec![Other { file: "README.txt".into(), sha256: String::new() }],
            read_back: ReadBack::Direct,
        };
        let seen = |files: &[&str]| {
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            unknown(&written, files).collect::<Vec<_>>()
        };
        assert!(seen(&["README.txt", "signer.age", "signer.pdf"]).is_empty());
        assert_eq!(seen(&["README.txt", "combine.pl", "signer.age"]), ["combine.pl"]);
    }
}
