//! Who could have written a profile, and who can read it.
//!
//! Root acts on what a profile says, so a profile that somebody else can change is a way to become
//! root. `check` warns of it; what enforces a profile refuses it.

use std::path::Path;

use super::diagnostic::{Diagnostic, Severity};
use super::source::{Facts, Sources};

/// How much is asked of a profile's permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trust {
    /// Looking at it only: warn.
    #[default]
    Check,
    /// About to act on it: refuse.
    Enforced,
}

impl Trust {
    const fn severity(self) -> Severity {
        match self {
            Self::Check => Severity::Warning,
            Self::Enforced => Severity::Error,
        }
    }
}

const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;
const NOT_ONLY_OWNER_READS: u32 = 0o044;
/// In a folder with this bit, only the owner of a file can put another in its place.
const STICKY: u32 = 0o1000;

/// Judges one file and the folders above it. `caller` is the user holdfast runs as.
pub(crate) fn judge(
    sources: &dyn Sources,
    path: &Path,
    facts: Option<Facts>,
    has_password: bool,
    trust: Trust,
    caller: u32,
    found: &mut Vec<Diagnostic>,
) {
    let mut say = |path: &Path, message: String, help: String| {
        let diagnostic = Diagnostic::file(trust.severity(), path, message).help(help);
        // Profiles often share their folders; once is enough.
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    };
    let stranger = |facts: Facts| facts.uid != 0 && facts.uid != caller;
    if let Some(facts) = facts {
        let shown = path.display();
        let who = match (facts.mode & GROUP_MAY_WRITE != 0, facts.mode & OTHERS_MAY_WRITE != 0) {
            (_, true) => Some("everybody"),
            (true, false) => Some("its group"),
            (false, false) => None,
        };
        if let Some(who) = who {
            say(
                path,
                format!("this profile can be changed by {who} (mode {:04o})", facts.mode),
                format!("`chmod go-w {shown}`"),
            );
        }
        if stranger(facts) {
            say(
                path,
                format!("this profile belongs to user {}, who is neither root nor you", facts.uid),
                format!("read it, then `chown root: {shown}`"),
            );
        }
        if has_password && facts.mode & NOT_ONLY_OWNER_READS != 0 {
            say(
                path,
                format!(
                    "this profile holds a password and others can read it (mode {:04o})",
                    facts.mode
                ),
                format!("`chmod 0600 {shown}`, and change the password: it may have been read"),
            );
        }
    }
    for (folder, facts) in sources.folders(path) {
        let shown = folder.display();
        if facts.mode & OTHERS_MAY_WRITE != 0 && facts.mode & STICKY == 0 {
            say(
                &folder,
                format!(
                    "everybody can replace what is in this folder (mode {:04o}), {} too",
                    facts.mode,
                    path.display()
                ),
                format!("`chmod o-w {shown}`, or keep the profile in /etc/holdfast"),
            );
        } else if stranger(facts) {
            say(
                &folder,
                format!(
                    "this folder belongs to user {}, who can replace {}",
                    facts.uid,
                    path.display()
                ),
                format!("`chown root: {shown}`, or keep the profile in /etc/holdfast"),
            );
        }
    }
}
