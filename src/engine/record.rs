//! What is kept of a transaction: the data of its files, and what it means.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::{FileState, FileTime, Step, TableState},
    outcome::Applied,
    witness::Login,
};
use crate::host::clock::Moment;

/// The version of the records' format. Readers refuse a newer one.
pub(super) const FORMAT: u32 = 1;

/// A thing whose state is put back by a roll-back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// A path.
    Path(String),
    /// An account and the group of its name.
    Account(String),
    /// A kernel parameter's live value.
    Sysctl(String),
    /// holdfast's own nftables table.
    Table,
    /// The links that enable, alias and mask a unit.
    UnitLinks(String),
    /// Whether a unit runs.
    Unit(String),
}

/// The state a resource was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// Of a path, and the time of the directory it is in.
    Path {
        /// The path itself.
        state: FileState,
        /// Modification time of the directory, where there was one.
        parent_mtime: Option<FileTime>,
    },
    /// Of an account.
    Account {
        /// Whether there is one, or a group of its name.
        exists: bool,
    },
    /// Of a kernel parameter.
    Sysctl(Option<String>),
    /// Of the table.
    Table(TableState),
    /// Of the links.
    UnitLinks(super::change::UnitLinks),
    /// Of a unit: whether it ran.
    Unit {
        /// Active, or about to be.
        running: bool,
    },
}

/// A resource as it was before the first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// What.
    pub resource: Resource,
    /// How it was.
    pub image: Image,
}

/// Why a transaction was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person brought the host to a profile.
    Apply,
    /// Drift was put right.
    Correct,
    /// A person returned to the state before a transaction.
    Rollback {
        /// That transaction.
        of: u64,
    },
}

/// The profile a transaction was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRef {
    /// Its file.
    pub path: String,
    /// Digest of the profile after `extends`, sha256 in hex.
    pub digest: String,
}

/// `begin.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begin {
    /// Version of the format.
    pub format: u32,
    /// Number of the transaction, from 1 up.
    pub id: u64,
    /// Why it was begun.
    pub kind: Kind,
    /// The command line.
    pub command: String,
    /// The person behind it, as far as sudo or the login says.
    pub by: String,
    /// When it began.
    pub started: Timestamp,
    /// For which profile.
    pub profile: Option<ProfileRef>,
    /// How many seconds it waits for a person's word before it is rolled back; `None`: it lasts as soon as it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within: Option<u64>,
    /// What is to be done.
    pub steps: Vec<Step>,
    /// How everything was that the steps touch, in the order of the steps.
    pub before: Vec<Before>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Ending {
    /// Every check it was for holds.
    Committed {
        /// What holds now, and is from now on what drift is measured against.
        applied: Applied,
        /// Whose word made it last, where it waited for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirmed: Option<Confirmation>,
    },
    /// It did not work, and everything was put back.
    RolledBack {
        /// Why it was rolled back.
        why: String,
        /// The kind of reason.
        #[serde(default)]
        cause: Cause,
        /// What could not be put back, and why. Empty: all of it was, and was looked at again.
        unrestored: Vec<String>,
        /// Files that were neither as they had been nor as this transaction made them: where they are kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        set_aside: Vec<String>,
    },
}

/// What made a transaction be rolled back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A change failed, or something did not hold after it.
    #[default]
    Failed,
    /// holdfast was killed, or the host went down, halfway.
    Interrupted,
    /// Nobody confirmed it in time.
    Unconfirmed,
    /// The host was rebooted before it was confirmed.
    Rebooted,
    /// A person took it back before it was confirmed.
    Withdrawn,
}

impl Cause {
    /// Whether a change that held was taken back with nobody there: from then on nothing is put right unattended, until
    /// a person acts.
    pub const fn holds_still(self) -> bool {
        matches!(self, Self::Unconfirmed | Self::Rebooted)
    }
}

/// A person's word, from a login that the change let in, that it may last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Whose word: the account that logged in.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
    /// The login it was given in.
    pub login: Login,
    /// How long after the change that login was made, in seconds; `None` for a console, which needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_after: Option<u64>,
}

/// `provisional.json`: the change holds, and waits for a person's word. Spans are in milliseconds of the boot's own
/// clock, which nobody sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisional {
    /// Version of the format.
    pub format: u32,
    /// The boot it was made in.
    pub boot: String,
    /// When everything was seen to hold.
    pub settled_ms: u64,
    /// When it is rolled back.
    pub deadline_ms: u64,
    /// The same for people.
    pub until: Timestamp,
    /// How long it waits, in seconds.
    pub within: u64,
    /// What holds, and is committed when it is confirmed.
    pub applied: Applied,
}

/// Where an unconfirmed change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may still be confirmed, for this long.
    Waiting(Duration),
    /// Its time is over.
    Late,
    /// The host was rebooted meanwhile.
    OtherBoot,
}

impl Provisional {
    /// A change that holds `now` and waits `within` for a person's word; `wall` is the time of day.
    pub fn new(now: &Moment, within: Duration, wall: Timestamp, applied: Applied) -> Self {
        let settled_ms = millis(now.up);
        Self {
            format: FORMAT,
            boot: now.boot.clone(),
            settled_ms,
            deadline_ms: settled_ms.saturating_add(millis(within)),
            until: wall
                .saturating_add(jiff::SignedDuration::try_from(within).unwrap_or_default())
                .unwrap_or(wall),
            within: within.as_secs(),
            applied,
        }
    }

    /// The same, waiting `within` from `now` on.
    #[must_use]
    pub fn extended(&self, now: &Moment, within: Duration, wall: Timestamp) -> Self {
        let anew = Self::new(now, within, wall, self.applied.clone());
        // What a login must be later than is the change, not this.
        Self { settled_ms: self.settled_ms, ..anew }
    }

    /// The same, asking for a login that is made after this moment since boot: until then anybody gets in.
    #[must_use]
    pub fn proven_after(&self, up: Duration) -> Self {
        Self { settled_ms: millis(up), ..self.clone() }
    }

    /// Where it stands.
    pub fn standing(&self, now: &Moment) -> Standing {
        if self.boot != now.boot {
            return Standing::OtherBoot;
        }
        match self.deadline_ms.saturating_sub(millis(now.up)) {
            0 => Standing::Late,
            left => Standing::Waiting(Duration::from_millis(left)),
        }
    }

    /// When everything was seen to hold, since boot.
    pub const fn settled(&self) -> Duration {
        Duration::from_millis(self.settled_ms)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// `end.json`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    /// Version of the format.
    pub format: u32,
    /// When.
    pub finished: Timestamp,
    /// How.
    #[serde(flatten)]
    pub ending: Ending,
}

/// A transaction as the disk has it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The plan and the before-images.
    pub begin: Begin,
    /// How many steps were begun.
    pub begun: usize,
    /// That it holds and waits for a person's word, if it does or did.
    pub provisional: Option<Provisional>,
    /// How it ended; `None`: it is under way, was interrupted, or waits to be confirmed.
    pub end: Option<End>,
}

impl End {
    /// An ending, at this time.
    pub fn new(finished: Timestamp, ending: Ending) -> Self {
        Self { format: FORMAT, finished, ending }
    }
}

impl Begin {
    /// The format's version that this holdfast writes.
    pub const FORMAT: u32 = FORMAT;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, up: u64) -> Moment {
        Moment { boot: boot.to_owned(), up: Duration::from_secs(up) }
    }

    #[test]
    fn a_wait_ends_with_its_time_or_its_boot() {
        let (wall, within) = (Timestamp::UNIX_EPOCH, Duration::from_secs(60));
        let waits = Provisional::new(&moment("a", 100), within, wall, Applied::new());
        assert_eq!(waits.until.as_second(), 60);
        assert_eq!(waits.standing(&moment("a", 130)), Standing::Waiting(Duration::from_secs(30)));
        assert_eq!(waits.standing(&moment("a", 160)), Standing::Late);
        assert_eq!(waits.standing(&moment("a", 1000)), Standing::Late);
        assert_eq!(waits.standing(&moment("b", 130)), Standing::OtherBoot);
        // more time moves the end, and not what a login must be later than
        let longer = waits.extended(&moment("a", 150), within, wall);
        assert_eq!(longer.standing(&moment("a", 200)), Standing::Waiting(Duration::from_secs(10)));
        assert_eq!(longer.settled(), Duration::from_secs(100));
    }

    #[test]
    fn endings_of_earlier_versions_are_read() {
        let old = r#"{"format":1,"finished":"2026-01-01T00:00:00Z","result":"rolled-back","why":"x","unrestored":[]}"#;
        let end: End = serde_json::from_str(old).unwrap();
        assert!(matches!(end.ending, Ending::RolledBack { cause: Cause::Failed, .. }));
        let old =
            r#"{"format":1,"finished":"2026-01-01T00:00:00Z","result":"committed","applied":{}}"#;
        let end: End = serde_json::from_str(old).unwrap();
        assert!(matches!(end.ending, Ending::Committed { confirmed: None, .. }));
    }
}
