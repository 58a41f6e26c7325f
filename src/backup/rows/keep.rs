//! Which files of rows go: a pure decision over what signed manifests say.
//!
//! A file goes only when each of its rows, to the last byte but for the status, is in a later file that was proven, is
//! still whole and stays itself; when who could open it can open those, too; and when it is older than `keep.within`. So
//! the newest good file of each aggregate key stays for good; so does every file with a row that was since altered or
//! deleted in the database, and every file that nobody else's custodians take the place of: that a profile names a
//! recipient says nothing of whether somebody has the identity.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{manifest::Rows, print::Print};
use crate::{
    backup::catalogue::Entry,
    profile::{schema::Keep, types::TimeSpan},
};

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
    /// Who can open it.
    pub recipients: BTreeSet<String>,
    /// What is in it.
    pub rows: Vec<Print>,
}

impl Kept {
    /// Of a file; `None` for what is deleted already, and for what nothing is known of.
    pub fn of(entry: &Entry<Rows>) -> Option<Self> {
        let manifest = entry.known()?;
        Some(Self {
            id: entry.id.clone(),
            number: manifest.number,
            made: manifest.made,
            proven: entry.proven().is_some(),
            recipients: manifest.recipients.values().cloned().collect(),
            rows: manifest.of.rows.clone(),
        })
    }
}

/// By what it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// No file goes that is younger.
    pub within: TimeSpan,
    /// For how long the newest file of former custodians stays, from when others came: so long nobody may notice that a
    /// recipient of the profile is the wrong one.
    pub former: TimeSpan,
    /// The recipients of the profile.
    pub recipients: BTreeSet<String>,
}

impl Rules {
    /// As the profile has them.
    pub fn of(keep: &Keep, recipients: BTreeSet<String>) -> Self {
        let former = TimeSpan::from_days(u64::from(keep.monthly).saturating_mul(31));
        Self { within: keep.within, former, recipients }
    }
}

/// The files that go, oldest first.
pub fn decide(files: &[Kept], rules: &Rules, now: Timestamp) -> Vec<String> {
    let mut sorted: Vec<&Kept> = files.iter().collect();
    sorted.sort_by(|one, other| (one.number, &one.id).cmp(&(other.number, &other.id)));
    let (mut stay, mut gone): (Vec<&Kept>, Vec<String>) = (Vec::new(), Vec::new());
    // The newest first: what itself goes takes the place of none.
    for (at, file) in sorted.iter().enumerate().rev() {
        let is_old = is_past(file.made, rules.within, now);
        if is_old
            && !is_newest_of_former(file, &sorted[at + 1..], rules, now)
            && is_held(file, &stay, rules)
        {
            gone.push(file.id.clone());
        } else if file.proven {
            stay.push(file);
        }
    }
    gone.reverse();
    gone
}

/// Whether so much time has passed since.
fn is_past(since: Timestamp, span: TimeSpan, now: Timestamp) -> bool {
    let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    now.as_second().saturating_sub(since.as_second()) >= span
}

/// Whether all of it is in later files, for each of its custodians that the profile still has, and for at least one of
/// those that it was made for.
fn is_held(file: &Kept, later: &[&Kept], rules: &Rules) -> bool {
    let opens_all = |who: &String| {
        let mut theirs = later.iter().filter(|file| file.recipients.contains(who)).peekable();
        // One of a database without rows says only that there were none.
        theirs.peek().is_some()
            && file.rows.iter().all(|row| {
                theirs.clone().any(|file| file.rows.iter().any(|other| other.is_same_row(row)))
            })
    };
    let (still, were): (Vec<_>, Vec<_>) =
        file.recipients.iter().partition(|who| rules.recipients.contains(*who));
    still.iter().all(|who| opens_all(who))
        && (!still.is_empty() || were.iter().any(|who| opens_all(who)))
}

/// Whether no other file is there for just these custodians, who had their day until lately.
fn is_newest_of_former(file: &Kept, later: &[&Kept], rules: &Rules, now: Timestamp) -> bool {
    let is_theirs = |other: &Kept| other.recipients == file.recipients;
    let since = later.iter().find(|other| !is_theirs(other)).map(|other| other.made);
    file.proven
        && !later.iter().any(|other| other.proven && is_theirs(other))
        && since.is_some_and(|since| !is_past(since, rules.former, now))
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

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn file(hours_ago: i64, proven: bool, rows: Vec<Print>) -> Kept {
        let made = Timestamp::from_second(NOW - hours_ago * 3600).unwrap();
        let number = 1000_u64.saturating_add_signed(-hours_ago);
        let recipients = names(&["alice"]);
        Kept { id: format!("{hours_ago:03}"), number, made, proven, recipients, rows }
    }

    /// What goes when these are the profile's, and former ones' files stay for so many hours.
    fn gone_of(files: &[Kept], recipients: &[&str], former: u64) -> Vec<String> {
        let hours = |hours: u64| TimeSpan::from_secs(hours * 3600);
        let rules =
            Rules { within: hours(2), former: hours(former), recipients: names(recipients) };
        decide(files, &rules, Timestamp::from_second(NOW).unwrap())
    }

    fn gone(files: &[Kept]) -> Vec<String> {
        gone_of(files, &["alice"], 0)
    }

    /// All have the same row; the number is how many hours ago, the names are who can open it.
    fn to(hours_ago: i64, who: &[&str]) -> Kept {
        Kept { recipients: names(who), ..file(hours_ago, true, vec![row(1, 1, true)]) }
    }

    #[test]
    fn custodians_take_the_place_of_others_only_where_somebody_opens_both() {
        let (none, all): (Vec<String>, _) = (Vec::new(), ["alice", "bob"]);
        // A recipient that nobody has the identity of, put in the place of all: what the former ones can open stays.
        assert_eq!(gone_of(&[to(9, &all), to(8, &["carol"])], &["carol"], 0), none);
        assert_eq!(gone_of(&[to(9, &all), to(8, &all), to(7, &["carol"])], &["carol"], 0), ["009"]);
        // One of them after the other, too.
        let step =
            [to(9, &["alice", "bob"]), to(8, &["alice", "carol"]), to(7, &["carol", "dave"])];
        assert_eq!(gone_of(&step, &["carol", "dave"], 0), ["008"]);
        // Who stays opens what is later: then what is older may go, but not at once.
        let one_left = [to(9, &all), to(8, &["alice"])];
        assert_eq!(gone_of(&one_left, &["alice"], 0), ["009"]);
        assert_eq!(gone_of(&one_left, &["alice"], 9), none);
        assert_eq!(gone_of(&one_left, &["alice"], 8), ["009"]);
        // Each who is in the profile, and not one of them alone.
        let one_new = [to(9, &all), to(8, &["alice"]), to(7, &["alice"])];
        assert_eq!(gone_of(&one_new, &all, 0), ["008"]);
        let back = [to(9, &all), to(8, &["alice"]), to(7, &all)];
        assert_eq!(gone_of(&back, &all, 0), ["009", "008"]);
        // Who cannot open what is newest cannot open what is not proven, either.
        let bad = Kept { proven: false, ..to(7, &all) };
        assert_eq!(gone_of(&[to(9, &all), to(8, &["carol"]), bad], &["carol"], 0), none);
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

    const WHO: [&str; 3] = ["alice", "bob", "carol"];

    fn files() -> impl Strategy<Value = Vec<Kept>> {
        let row = (0..4u8, 0..2u8, any::<bool>()).prop_map(|(k, d, v)| row(k, d, v));
        let rows = prop::collection::vec(row, 0..4);
        let who = prop::sample::subsequence(&WHO[..], 1..=3);
        let files = prop::collection::btree_map(0..60i64, (any::<bool>(), who, rows), 0..20);
        files.prop_map(|files| {
            let each = files.into_iter().map(|(ago, (proven, who, rows))| Kept {
                recipients: names(&who),
                ..file(ago, proven, rows)
            });
            each.collect()
        })
    }

    proptest! {
        /// Whatever goes, of each proven file somebody who could open it can open every row still; and so can each of them
        /// who is in the profile.
        #[test]
        fn no_row_is_lost(
            files in files(),
            now in prop::sample::subsequence(&WHO[..], 0..=3),
            former in 0..40u64,
        ) {
            let gone = gone_of(&files, &now, former);
            let left = || files.iter().filter(|file| file.proven && !gone.contains(&file.id));
            for file in files.iter().filter(|file| file.proven) {
                let opens = |who: &&String| {
                    let theirs = || left().filter(|file| file.recipients.contains(*who));
                    let has = |row: &Print| {
                        theirs().any(|file| file.rows.iter().any(|other| other.is_same_row(row)))
                    };
                    file.rows.iter().all(has)
                };
                prop_assert!(file.recipients.iter().any(|who| opens(&who)), "{file:?}");
                let mut still = file.recipients.iter().filter(|who| now.contains(&who.as_str()));
                prop_assert!(still.all(|who| opens(&who)), "{file:?}");
            }
        }

        #[test]
        fn deciding_again_over_what_is_left_deletes_nothing_more(
            files in files(),
            now in prop::sample::subsequence(&WHO[..], 0..=3),
            former in 0..40u64,
        ) {
            let first = gone_of(&files, &now, former);
            let left: Vec<_> = files.into_iter().filter(|f| !first.contains(&f.id)).collect();
            prop_assert_eq!(gone_of(&left, &now, former), Vec::<String>::new());
        }
    }
}
