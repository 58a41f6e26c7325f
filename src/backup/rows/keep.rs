//! Which files of rows go: a pure decision over what signed manifests say.
//!
//! A file goes only when each of its rows, to the last byte but for the status, is in a later file that was proven and is
//! still whole, and when it is older than `keep.within`. So the newest good file of each aggregate key stays for
//! good; so does every file with a row that was since altered or deleted in the database.

use jiff::Timestamp;

use super::print::Print;
use crate::profile::types::TimeSpan;

/// What of a file its keeping goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Its place in their order.
    pub number: u64,
    /// When it was made, as the host has signed.
    pub made: Timestamp,
    /// Whether it was proven, and is still there as it was.
    pub proven: bool,
    /// What is in it.
    pub rows: Vec<Print>,
}

/// The files that go, oldest first.
pub fn decide(files: &[Kept], within: TimeSpan, now: Timestamp) -> Vec<String> {
    let mut sorted: Vec<&Kept> = files.iter().collect();
    sorted.sort_by(|one, other| (one.number, &one.id).cmp(&(other.number, &other.id)));
    let within = i64::try_from(within.as_secs()).unwrap_or(i64::MAX);
    let is_old = |file: &Kept| now.as_second().saturating_sub(file.made.as_second()) >= within;
    let gone = sorted.iter().enumerate().filter(|(at, file)| {
        let later = || sorted[at + 1..].iter().filter(|file| file.proven);
        let is_later =
            |row: &Print| later().any(|file| file.rows.iter().any(|other| other.is_same_row(row)));
        // One of a database without rows says only that there were none.
        is_old(file) && later().next().is_some() && file.rows.iter().all(is_later)
    });
    gone.map(|(_, file)| file.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backup::chain::Status;

    const NOW: i64 = 1_790_000_000;

    fn row(key: u8, digest: u8, verified: bool) -> Print {
        let status = if verified { Status::Verified } else { Status::Unverified };
        let (key, digest) = (key.to_string(), digest.to_string());
        Print { key, status, created: Timestamp::UNIX_EPOCH, digest }
    }

    fn file(hours_ago: i64, proven: bool, rows: Vec<Print>) -> Kept {
        let made = Timestamp::from_second(NOW - hours_ago * 3600).unwrap();
        let number = 1000_u64.saturating_add_signed(-hours_ago);
        Kept { id: format!("{hours_ago:03}"), number, made, proven, rows }
    }

    fn gone(files: &[Kept]) -> Vec<String> {
        let within = TimeSpan::from_secs(2 * 3600);
        decide(files, within, Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn a_status_supersedes_and_a_row_never_does() {
        let first = file(9, true, vec![row(1, 1, false)]);
        let second = file(8, true, vec![row(1, 1, true)]);
        let third = file(7, true, vec![row(1, 1, true), row(2, 1, false)]);
        assert_eq!(gone(std::slice::from_ref(&first)), Vec::<String>::new());
        assert_eq!(gone(&[first.clone(), second.clone()]), ["009"]);
        assert_eq!(gone(&[third.clone(), first.clone(), second.clone()]), ["009", "008"]);
        // Altered, or gone from the database: whatever the newer ones say, this one has it.
        let altered = file(6, true, vec![row(1, 9, true), row(2, 1, true)]);
        assert_eq!(gone(&[first.clone(), third.clone(), altered]), ["009"]);
        let deleted = file(6, true, vec![row(2, 1, true)]);
        assert_eq!(gone(&[third.clone(), deleted]), Vec::<String>::new());
        // What is not proven, or of these hours, takes no place.
        let bad = file(6, false, vec![row(1, 1, true), row(2, 1, true)]);
        assert_eq!(gone(&[third.clone(), bad]), Vec::<String>::new());
        let young = file(1, true, vec![row(1, 1, true)]);
        assert_eq!(gone(&[young, file(0, true, vec![row(1, 1, true)])]), Vec::<String>::new());
    }

    fn files() -> impl Strategy<Value = Vec<Kept>> {
        let row = (0..4u8, 0..2u8, any::<bool>()).prop_map(|(k, d, v)| row(k, d, v));
        let rows = prop::collection::vec(row, 0..4);
        let files = prop::collection::btree_map(0..60i64, (any::<bool>(), rows), 0..20);
        files.prop_map(|files| {
            files.into_iter().map(|(ago, (proven, rows))| file(ago, proven, rows)).collect()
        })
    }

    proptest! {
        /// Whatever goes, every row that was in a proven file still is in one.
        #[test]
        fn no_row_is_lost(files in files()) {
            let gone = gone(&files);
            let left = || files.iter().filter(|file| !gone.contains(&file.id));
            for file in files.iter().filter(|file| file.proven) {
                for row in &file.rows {
                    let has = |file: &Kept| file.rows.iter().any(|other| other.is_same_row(row));
                    prop_assert!(left().any(|file| file.proven && has(file)), "{row:?}");
                }
            }
        }

        #[test]
        fn deciding_again_over_what_is_left_deletes_nothing_more(files in files()) {
            let first = gone(&files);
            let left: Vec<_> = files.into_iter().filter(|f| !first.contains(&f.id)).collect();
            prop_assert_eq!(gone(&left), Vec::<String>::new());
        }
    }
}
