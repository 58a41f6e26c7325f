//! A note of what the sets of holdfast's table were last seen to hold, so that a hundred thousand networks need not be
//! listed again while nobody has changed any table.
//!
//! The kernel counts every transaction that changes a table ([`Reader::tables`]). Whoever changes anything moves that
//! number, and then the sets are listed and compared in full. What the note spares is only the listing of elements:
//! chains, rules and the sets themselves are listed and compared at every look.
//!
//! The note is holdfast's own, in `/run`, and gone with the boot. One that is absent, damaged, of another format or that
//! anybody but root could have written counts as none.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
};

use serde::{Deserialize, Serialize};

use super::{HostError, Reader, clock, generation};

/// Where the note is; the folder is made with the lock.
const NOTE: &str = "/run/holdfast/seen.json";

/// The version of its format. Another one counts as no note.
const FORMAT: u32 = 2;

/// Permission bits of those who are not the owner.
const OTHERS: u32 = 0o077;

/// For how long what was listed counts. Enough for several looks by the timer; and a kernel that made a transaction in
/// every microsecond of it would not come round to the same 32-bit number.
const LISTED_MILLIS: u64 = 60 * 60 * 1000;

/// For how long nft's word counts that it has loaded all it was given: for the look that ends an apply. The next look
/// after that lists what is really there.
const LOADED_MILLIS: u64 = 60 * 1000;

/// How far the time of day may have moved against the clock that runs by itself, in seconds. Clocks are slewed by 1.8 s
/// an hour at most (`adjtimex(2)`); when one is set, or the host was suspended, the ends of elements are to be looked at
/// again.
const MOVED_SECONDS: i64 = 5;

/// Which tables there are: equal ones mean that nobody has changed any table in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tables {
    /// The kernel's count of the transactions that changed any.
    generation: u32,
    /// Which boot: it counts anew in each.
    boot: String,
    /// Which network namespace: each has a count of its own. Device and inode of its file.
    network: (u64, u64),
}

impl Tables {
    /// Whether one transaction was made since `earlier`, and no other.
    pub(super) fn is_next_of(&self, earlier: &Self) -> bool {
        let next = Self { generation: earlier.generation.wrapping_add(1), ..earlier.clone() };
        *self == next
    }
}

/// How it is known what the sets hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// They were listed and compared.
    Listed,
    /// nft has loaded them.
    Loaded,
}

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    format: u32,
    tables: Tables,
    /// Of what they hold: [`document::sets`](crate::engine::document::sets).
    sets: String,
    known: Known,
    /// When, on the clock that runs by itself, in milliseconds.
    at: u64,
    /// By how much the time of day was ahead of that clock, in seconds.
    ahead: i64,
}

impl Note {
    fn new(tables: Tables, sets: &str, known: Known, (at, ahead): (u64, i64)) -> Self {
        Self { format: FORMAT, tables, sets: sets.to_owned(), known, at, ahead }
    }

    /// Whether it still says what the sets hold.
    fn counts(&self, tables: &Tables, sets: &str, (at, ahead): (u64, i64)) -> bool {
        let longest = match self.known {
            Known::Listed => LISTED_MILLIS,
            Known::Loaded => LOADED_MILLIS,
        };
        self.format == FORMAT
            && self.tables == *tables
            && self.sets == sets
            && at.checked_sub(self.at).is_some_and(|age| age <= longest)
            && self.ahead.abs_diff(ahead) <= MOVED_SECONDS.unsigned_abs()
    }
}

/// Milliseconds of the clock that runs by itself, and by how many seconds the time of day is ahead of it.
fn clocks() -> Result<(u64, i64), HostError> {
    let at =
        clock::running().map_err(|error| HostError::file("read", "the clock")(error.into()))?;
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Ok((millis, clock::now().as_second().saturating_sub(seconds)))
}

impl Reader {
    /// Which tables there are in this thread's network namespace.
    ///
    /// # Errors
    /// When the kernel does not tell: it has no `nf_tables`, or this process may not ask.
    pub fn tables(&self) -> Result<Tables, HostError> {
        const NAMESPACE: &str = "/proc/thread-self/ns/net";
        let network = fs::metadata(NAMESPACE).map_err(HostError::file("look at", NAMESPACE))?;
        Ok(Tables {
            generation: generation::generation()?,
            boot: self.moment()?.boot,
            network: (network.dev(), network.ino()),
        })
    }

    /// Whether the sets of these tables are known to hold what a document wants: the one with this digest of its
    /// [sets](crate::engine::document::sets).
    pub fn knows_sets(&self, tables: &Tables, sets: &str) -> bool {
        let note = self
            .note()
            .filter(|note| clocks().is_ok_and(|clocks| note.counts(tables, sets, clocks)));
        note.is_some()
    }

    fn note(&self) -> Option<Note> {
        let at = self.files().locate(NOTE);
        let is_roots =
            |meta: &fs::Metadata| meta.is_file() && meta.uid() == 0 && meta.mode() & OTHERS == 0;
        fs::symlink_metadata(at).ok().filter(is_roots)?;
        serde_json::from_str(&self.files().text(NOTE).ok()??).ok()
    }

    /// Notes that the sets hold what the document with this digest of its sets wants. Where that cannot be written they are
    /// listed at the next look: that is all.
    pub fn note_sets(&self, tables: Tables, sets: &str, known: Known) {
        let Ok(clocks) = clocks() else { return };
        let note = Note::new(tables, sets, known, clocks);
        drop(self.write_note(&note));
    }

    #[expect(clippy::disallowed_methods, reason = "holdfast's own note, not the host's")]
    fn write_note(&self, note: &Note) -> std::io::Result<()> {
        let at = self.files().locate(NOTE);
        // Two looks may be at it at once.
        let staged = at.with_extension(format!("{}.new", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
        let written =
            file.write_all(&serde_json::to_vec(note)?).and_then(|()| fs::rename(&staged, &at));
        if written.is_err() {
            drop(fs::remove_file(&staged));
        }
        written
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out what the note may be found as")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn tables(generation: u32) -> Tables {
        Tables { generation, boot: "b".to_owned(), network: (4, 7) }
    }

    #[test]
    fn a_note_counts_for_the_same_tables_and_sets_only() {
        let note = Note::new(tables(7), "d", Known::Listed, (1000, 50));
        assert!(note.counts(&tables(7), "d", (1000, 50)));
        assert!(!note.counts(&tables(8), "d", (1000, 50)), "a table was changed");
        assert!(!note.counts(&tables(7), "e", (1000, 50)), "other sets");
        let other = Tables { boot: "c".to_owned(), ..tables(7) };
        assert!(!note.counts(&other, "d", (1000, 50)), "another boot");
        let other = Tables { network: (4, 8), ..tables(7) };
        assert!(!note.counts(&other, "d", (1000, 50)), "another network");
        let other = Note { format: FORMAT + 1, ..note };
        assert!(!other.counts(&tables(7), "d", (1000, 50)), "another format");
    }

    #[test]
    fn a_note_counts_for_a_time_and_while_the_clock_is_not_set() {
        let note = |known| Note::new(tables(7), "d", known, (1000, 50));
        let counts = |known, at, ahead| note(known).counts(&tables(7), "d", (at, ahead));
        assert!(counts(Known::Listed, 1000 + LISTED_MILLIS, 50));
        assert!(!counts(Known::Listed, 1001 + LISTED_MILLIS, 50));
        assert!(counts(Known::Loaded, 1000 + LOADED_MILLIS, 50));
        assert!(!counts(Known::Loaded, 1001 + LOADED_MILLIS, 50));
        assert!(!counts(Known::Listed, 999, 50), "from the future");
        assert!(counts(Known::Listed, 2000, 55) && counts(Known::Listed, 2000, 45));
        assert!(!counts(Known::Listed, 2000, 56) && !counts(Known::Listed, 2000, 44));
    }

    #[test]
    fn one_transaction_is_told_from_two() {
        assert!(tables(8).is_next_of(&tables(7)));
        assert!(tables(0).is_next_of(&tables(u32::MAX)));
        assert!(!tables(9).is_next_of(&tables(7)) && !tables(7).is_next_of(&tables(7)));
        let other = Tables { network: (4, 8), ..tables(8) };
        assert!(!other.is_next_of(&tables(7)));
    }

    #[test]
    fn a_note_that_others_could_have_written_or_that_is_damaged_is_none() {
        let root = tempfile::tempdir().unwrap();
        let reader = Reader::below(root.path());
        let path = root.path().join(&NOTE[1..]);
        reader.note_sets(tables(7), "d", Known::Listed);
        assert!(!path.exists(), "no folder is made for it");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(!reader.knows_sets(&tables(7), "d"));
        reader.note_sets(tables(7), "d", Known::Listed);
        // Only root's own counts, and who runs this may be anybody.
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(reader.knows_sets(&tables(7), "d"), is_root);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(!reader.knows_sets(&tables(7), "d"), "another group may write to it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(reader.knows_sets(&tables(7), "d"), is_root);
        let whole = fs::read_to_string(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], "", "{}", "\0", &whole.replace('7', "70")] {
            fs::write(&path, damaged).unwrap();
            assert!(!reader.knows_sets(&tables(7), "d"), "{damaged}");
        }
        fs::remove_file(&path).unwrap();
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(!reader.knows_sets(&tables(7), "d"), "a link");
    }
}
