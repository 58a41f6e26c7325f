//! What can be done to a host: plain data, planned by pure code and carried out by [`super::transaction`] alone.
//!
//! Almost every change is "bring this resource to that state". That makes undoing it the same thing with the state
//! that was there before, and makes both safe to repeat after a crash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A file's bytes. Written to records as text where it is text, so that a person can read a before-image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Valid UTF-8.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// Takes bytes as they are on the disk.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }

    /// The bytes to put on the disk.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Seconds and nanoseconds since the epoch, as the kernel keeps a file's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileTime {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds within that second.
    pub nanoseconds: i64,
}

impl FileTime {
    /// In microseconds, as systemd counts; 0 for what is before the epoch.
    pub fn as_micros(self) -> u64 {
        let micros = self.seconds.saturating_mul(1_000_000).saturating_add(self.nanoseconds / 1000);
        u64::try_from(micros).unwrap_or(0)
    }
}

/// Everything about a path that a roll-back puts back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum FileState {
    /// Nothing is there.
    Absent,
    /// A regular file.
    File {
        /// Its bytes.
        content: Content,
        /// Permission bits, without the file type.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Extended attributes, POSIX ACLs among them (`system.posix_acl_access`).
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        xattrs: BTreeMap<String, Vec<u8>>,
        /// Modification time; `None` in a plan means "now".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<FileTime>,
    },
    /// A symbolic link, itself and never what it points to.
    Symlink {
        /// Where it points.
        target: String,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Modification time of the link itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<FileTime>,
    },
    /// A directory, without what is in it.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Extended attributes, ACLs among them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        xattrs: BTreeMap<String, Vec<u8>>,
    },
}

impl FileState {
    /// A configuration file as holdfast writes them: root's, readable by all.
    pub fn config(text: impl Into<String>) -> Self {
        Self::File {
            content: Content::Text(text.into()),
            mode: 0o644,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::new(),
            mtime: None,
        }
    }

    /// A directory as Debian's packages make them under `/etc`.
    pub fn directory() -> Self {
        Self::Directory { mode: 0o755, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }

    /// The text of a regular file that is text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::File { content: Content::Text(text), .. } => Some(text),
            _ => None,
        }
    }
}

/// The state of holdfast's own nftables table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// No such table.
    Absent,
    /// The desired table: commands that replace the old one, in one transaction. See [`super::document`] for what is
    /// not yet nft's JSON in it.
    Json(serde_json::Value),
    /// nft's own listing of the table as it was found. See [`super::listing`] for what is not as nft wrote it.
    Listing(String),
}

/// The links by which systemd enables, aliases and masks a unit, with what is set up together with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitLinks {
    /// Every such link, by path.
    pub links: BTreeMap<String, FileState>,
    /// The folders in which such links can be, whether or not there are any: enabling makes folders, disabling removes
    /// those it leaves empty, and both change their times.
    pub folders: BTreeMap<String, Folder>,
}

/// A folder and the time it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Mode, owner and attributes.
    pub state: FileState,
    /// Modification time.
    pub mtime: FileTime,
}

/// The state of an account that a control may need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Neither it nor a group of its name.
    Absent,
    /// A system account with a group of its name, `/` for its home, no shell and no password.
    System {
        /// What `/etc/passwd` says that it is for.
        about: String,
    },
}

/// How a unit file is to be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitVerb {
    /// Started at boot.
    Enable,
    /// Not started at boot.
    Disable,
    /// Cannot be started at all.
    Mask,
    /// Can be started again.
    Unmask,
}

/// What is to be done with a running unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunVerb {
    /// Start it if it is not running.
    Start,
    /// Stop it if it is running.
    Stop,
    /// Restart it; a unit that does not run stays so.
    Restart,
    /// Make it read its configuration again; a unit that does not run stays so.
    Reload,
}

/// A test that must pass before the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// `sshd -t`: the configuration on the disk is one that sshd starts with.
    Sshd,
}

/// One reversible action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "do")]
pub enum Change {
    /// Bring a path to a state: write, replace, link, make or remove it. Replacing is atomic.
    Put {
        /// Absolute path.
        path: String,
        /// What is to be there.
        to: FileState,
    },
    /// Make an account, or take it away with all that it runs.
    Account {
        /// Its name, and that of its group.
        name: String,
        /// What is to be there.
        to: AccountState,
    },
    /// Set a kernel parameter now.
    Sysctl {
        /// Dotted key.
        key: String,
        /// The value as the kernel reads it.
        value: String,
    },
    /// Replace, load or remove `table inet holdfast`, atomically.
    Table {
        /// What is to be there.
        to: TableState,
    },
    /// Set up a unit file.
    UnitFile {
        /// Unit name with suffix.
        unit: String,
        /// How.
        verb: UnitVerb,
    },
    /// Put the links that enable, alias and mask a unit back as they were, and have systemd read them.
    UnitLinks {
        /// Unit name with suffix.
        unit: String,
        /// What is to be there.
        to: UnitLinks,
    },
    /// Do something with a running unit.
    Run {
        /// Unit name with suffix.
        unit: String,
        /// What.
        verb: RunVerb,
    },
    /// Go on only if this holds.
    Require {
        /// What must hold.
        gate: Gate,
    },
}

/// A change, and the checks for whose sake it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub change: Change,
    /// Ids of the checks it puts right.
    pub because: Vec<String>,
}
