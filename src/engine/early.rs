//! Loading the firewall at boot, before there is a network and before anybody could ask a person.
//!
//! Loaded is what was last confirmed. A transaction that is still open, be it interrupted or not confirmed yet, has
//! kept the copy that was there before it: that one counts. What cannot be loaded is never replaced by nothing: then
//! the host answers on its way in by SSH alone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    change::{Change, Content, FileState, TableState},
    document::{self, Bulk},
    store::{Image, Record, Resource, Store, StoreError},
};
use crate::{
    controls::firewall::{
        self, Facts,
        boot::{COPY, decode, last_resort, sshd_ports},
    },
    host::{HostError, Reader, Writer, error::chain},
    profile::schema::Profile,
};

/// How loading went.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The confirmed table is in force.
    Confirmed {
        /// The open transaction in whose before-image it was found; `None`: in the copy itself.
        before: Option<u64>,
    },
    /// Nothing was ever confirmed on this host, so there is nothing to load; the first transaction is still open.
    Nothing {
        /// That transaction.
        before: u64,
    },
    /// The confirmed table could not be had: only this host's way in by SSH is open.
    Closed {
        /// Why, in words.
        why: String,
        /// What is let in.
        let_in: String,
    },
}

/// Which copy is to be loaded.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// This one.
    Copy {
        /// As it was written.
        state: FileState,
        /// The open transaction that kept it.
        before: Option<u64>,
    },
    /// None: before that transaction nothing was confirmed.
    Nothing {
        /// That transaction.
        before: u64,
    },
}

/// Chooses between the copy on the disk and what the oldest open transaction found in its place.
pub fn source(open: &[Record], copy: FileState) -> Source {
    let kept = open.iter().find_map(|record| {
        let before = record.begin.before.iter();
        let mut states = before.filter_map(|before| match (&before.resource, &before.image) {
            (Resource::Path(path), Image::Path { state, .. }) if path == COPY => Some(state),
            _ => None,
        });
        states.next().map(|state| (record.begin.id, state.clone()))
    });
    match kept {
        Some((before, FileState::Absent)) => Source::Nothing { before },
        Some((before, state)) => Source::Copy { state, before: Some(before) },
        None => Source::Copy { state: copy, before: None },
    }
}

/// Loads what was last confirmed, or else closes the host but for SSH.
///
/// # Errors
/// When not even that could be loaded: the host is then as open as it was.
pub async fn load(
    writer: &Writer,
    store: &Store,
    profile: impl FnOnce() -> Option<Profile>,
) -> Result<Loaded, HostError> {
    let why = match confirmed(writer.reader(), store) {
        Ok(Source::Nothing { before }) => return Ok(Loaded::Nothing { before }),
        Ok(Source::Copy { state, before }) => match document(&state) {
            Ok(document) => match put(writer, document).await {
                Ok(()) => return Ok(Loaded::Confirmed { before }),
                Err(error) => error.chain(),
            },
            Err(why) => why,
        },
        Err(error) => chain(&error),
    };
    close(writer, profile(), why).await
}

fn confirmed(reader: &Reader, store: &Store) -> Result<Source, StoreError> {
    let open: Vec<Record> =
        store.unfinished()?.into_iter().map(|id| store.record(id)).collect::<Result<_, _>>()?;
    Ok(source(&open, reader.files().state(COPY)?))
}

fn document(state: &FileState) -> Result<serde_json::Value, String> {
    match state {
        FileState::Absent => Err(format!("{COPY} is missing")),
        state => {
            let text = state.text().ok_or_else(|| format!("{COPY} is not a file of text"))?;
            decode(text).map_err(|why| format!("{COPY} {why}"))
        }
    }
}

async fn put(writer: &Writer, document: serde_json::Value) -> Result<(), HostError> {
    writer.carry_out(&Change::Table { to: TableState::Json(document) }).await
}

/// Where the unit that needs no holdfast finds its commands for nft.
const ALONE_COMMANDS: &str = "/etc/holdfast/firewall.json";

/// That unit, and the link that enables it: in place of the packaged one, which goes with the package.
const ALONE_UNIT: &str = "/etc/systemd/system/holdfast-firewall.service";
const ALONE_LINK: &str = "/etc/systemd/system/sysinit.target.wants/holdfast-firewall.service";

/// Leaves what was last confirmed to nft alone, for as long as holdfast is not installed. What ends by itself is left
/// out: without holdfast nothing would work out anew, at each boot, how much of it is left.
///
/// # Errors
/// When nothing was confirmed, it cannot be read, or cannot be written.
pub async fn hand_over(writer: &Writer, store: &Store) -> Result<(), HostError> {
    let refused = |why: String| HostError::Refused(why);
    let document =
        match confirmed(writer.reader(), store).map_err(|error| refused(chain(&error)))? {
            Source::Copy { state, .. } => document(&state).map_err(refused)?,
            Source::Nothing { before } => {
                return Err(refused(format!("nothing was confirmed before transaction {before}")));
            }
        };
    let commands = document::at(&document, Timestamp::MAX, Bulk::Full);
    let commands = FileState::File {
        content: Content::Text(commands),
        mode: 0o600,
        uid: 0,
        gid: 0,
        xattrs: BTreeMap::new(),
        mtime: None,
    };
    let unit = FileState::config(include_str!("../../packaging/holdfast-firewall-alone.service"));
    let link = FileState::Symlink { target: ALONE_UNIT.to_owned(), uid: 0, gid: 0, mtime: None };
    for (path, to) in [(ALONE_COMMANDS, commands), (ALONE_UNIT, unit), (ALONE_LINK, link)] {
        writer.carry_out(&Change::Put { path: path.to_owned(), to }).await?;
    }
    Ok(())
}

/// The profile's way in by SSH; if nft does not take that either, SSH from anywhere.
async fn close(
    writer: &Writer,
    profile: Option<Profile>,
    mut why: String,
) -> Result<Loaded, HostError> {
    let listening = sshd_ports(&sshd_files(writer.reader()));
    let mut refused = None;
    let choices = [profile.as_ref(), None];
    for profile in if profile.is_some() { &choices[..] } else { &choices[1..] } {
        let section = last_resort(*profile, &listening);
        let document = match firewall::document(&section, &Facts::default()) {
            Ok(document) => document,
            Err(error) => {
                why.push_str(&format!("; {error}"));
                continue;
            }
        };
        match put(writer, document).await {
            Ok(()) => {
                let ports = section.allow.first().map_or(&[][..], |allow| allow.tcp());
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                let from = match profile {
                    _ if ports.is_empty() => "nothing, as the profile lets nobody in by SSH",
                    Some(_) => "SSH as the profile has it",
                    None => "SSH from anywhere",
                };
                let tcp = if ports.is_empty() { String::new() } else { " on TCP ".to_owned() };
                return Ok(Loaded::Closed {
                    why,
                    let_in: format!("{from}{tcp}{}", ports.join(", ")),
                });
            }
            Err(error) => {
                why.push_str(&format!("; {}", error.chain()));
                refused = Some(error);
            }
        }
    }
    Err(refused.unwrap_or_else(|| HostError::Refused(why)))
}

/// sshd's configuration as far as it can be read; what cannot be read names no port.
fn sshd_files(reader: &Reader) -> Vec<String> {
    let files = reader.files();
    let folder = "/etc/ssh/sshd_config.d";
    let dropins = files.list(folder).unwrap_or_default().into_iter();
    let paths = dropins.map(|name| format!("{folder}/{name}"));
    paths
        .chain(["/etc/ssh/sshd_config".to_owned()])
        .filter_map(|path| files.text(&path).ok().flatten())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::record::{Before, Begin, Kind};

    fn copy(text: &str) -> FileState {
        FileState::config(text)
    }

    /// An open transaction that found this where the copy is; `None`: it did not touch it.
    fn open(id: u64, found: Option<FileState>) -> Record {
        let before = found.map(|state| Before {
            resource: Resource::Path(COPY.to_owned()),
            image: Image::Path { state, parent_mtime: None },
        });
        let begin = Begin {
            format: Begin::FORMAT,
            id,
            kind: Kind::Apply,
            command: "holdfast apply".to_owned(),
            by: "root".to_owned(),
            started: "2026-11-21T07:00:00Z".parse().unwrap(),
            profile: None,
            confirm_within: None,
            steps: Vec::new(),
            before: before.into_iter().collect(),
        };
        Record { begin, begun: 0, provisional: None, end: None }
    }

    #[test]
    fn what_was_there_before_the_oldest_open_transaction_counts() {
        let found = |open: &[Record]| source(open, copy("now"));
        let is = |text: &str, before| Source::Copy { state: copy(text), before };
        assert_eq!(found(&[]), is("now", None));
        assert_eq!(found(&[open(3, None)]), is("now", None));
        assert_eq!(found(&[open(3, Some(copy("old")))]), is("old", Some(3)));
        let several = [open(3, None), open(4, Some(copy("old"))), open(5, Some(copy("newer")))];
        assert_eq!(found(&several), is("old", Some(4)));
        assert_eq!(found(&[open(3, Some(FileState::Absent))]), Source::Nothing { before: 3 });
    }
}
