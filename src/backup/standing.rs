//! How the backups of a name stand: which is the newest that is worth something, and how old that is. Pure.

use jiff::Timestamp;

use super::{catalogue::Entry, manifest::Manifest};
use crate::profile::{schema::Backup, types::TimeSpan};

/// How they stand.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The newest that has a manifest and a file.
    pub newest: Option<&'a Entry>,
    /// The newest that is proven.
    pub proven: Option<Aged<'a>>,
    /// The newest of which all was restored.
    pub drilled: Option<Aged<'a>>,
}

/// A backup, and how old it is.
#[derive(Debug, Clone, Copy)]
pub struct Aged<'a> {
    /// What is known of it.
    pub manifest: &'a Manifest,
    /// Since it was begun: what is newer is not in it. `None`: it is of the future, and says nothing about today.
    pub age: Option<TimeSpan>,
}

impl<'a> Standing<'a> {
    /// Of these entries, in the order in which they were made.
    pub fn of(entries: &'a [Entry], now: Timestamp) -> Self {
        let aged = |is: fn(&Entry) -> Option<&Manifest>| {
            let manifest = entries.iter().rev().find_map(is)?;
            let age = now.as_second().checked_sub(manifest.begun.as_second());
            let age = age.and_then(|age| u64::try_from(age).ok()).map(TimeSpan::from_secs);
            Some(Aged { manifest, age })
        };
        Self {
            newest: entries.iter().rev().find(|entry| entry.known().is_some()),
            proven: aged(Entry::proven),
            drilled: aged(Entry::drilled),
        }
    }

    /// Whether the newest proven one and the newest drilled one are as young as the profile wants them.
    pub fn is_good(&self, rules: &Backup) -> bool {
        let young =
            |aged: Option<Aged<'_>>, within| aged.is_some_and(|aged| aged.is_within(within));
        young(self.proven, rules.proven_within) && young(self.drilled, rules.drilled_within)
    }
}

impl Aged<'_> {
    /// Whether it is so young.
    pub fn is_within(&self, within: TimeSpan) -> bool {
        self.age.is_some_and(|age| age.as_secs() <= within.as_secs())
    }

    /// Which one, and how old.
    pub fn told(&self) -> String {
        match self.age {
            Some(age) => format!("{}, {age} old", self.manifest.id),
            None => format!("{}, which is of the future: the clock was set back", self.manifest.id),
        }
    }
}
