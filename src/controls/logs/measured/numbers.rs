//! What the numbers of entries say of files that are no longer there: pure.
//!
//! journald numbers entries through all files of a journal, and deletes the oldest ones first. Numbers that are missing
//! between two files were in one that somebody else has removed, however short a time it was for.

/// So many numbers may be missing where a file ends: journald gives one away for each entry for which the file is found to be
/// full.
const TOLERATED: u64 = 16;

/// Which entries a file has. Moments are in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// What distinguishes the count that these numbers are of from others.
    pub(super) count: u64,
    /// The number of its first entry.
    pub(super) head: u64,
    /// The number of its last.
    pub(super) tail: u64,
    /// When its first was written.
    pub(super) first: u64,
    /// When its last was written.
    pub(super) last: u64,
    /// It is the system's, not a user's: journald begins anew with all of them, so that a user's alone says nothing.
    pub(super) is_systems: bool,
    /// Nobody writes to it any more. A user's that is written to may have begun after the system's was read.
    pub(super) is_closed: bool,
}

impl Range {
    /// How many of its entries can be among those between two files of another count: journald 252 begins a count for a
    /// user's file that it opens anew, and goes on with the numbers of the system's.
    fn between(&self, before: &Self, after: &Self) -> u64 {
        if self.last < before.last || self.first > after.first {
            return 0;
        }
        let (head, tail) = (
            self.head.max(before.tail.saturating_add(1)),
            self.tail.min(after.head.saturating_sub(1)),
        );
        tail.saturating_add(1).saturating_sub(head)
    }
}

/// Entries that are missing between two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::logs) struct Hole {
    /// When the last one before them was written.
    pub(in crate::controls::logs) from: u64,
    /// When the first one after them was written.
    pub(in crate::controls::logs) to: u64,
    /// How many there are.
    pub(in crate::controls::logs) entries: u64,
}

/// The holes between files, which come in any order.
pub(super) fn holes(ranges: impl IntoIterator<Item = Range>) -> Vec<Hole> {
    let mut ranges: Vec<Range> = ranges.into_iter().collect();
    ranges.sort_unstable_by_key(|range| (range.count, range.head, range.tail));
    let users: Vec<Range> = ranges.iter().filter(|range| !range.is_systems).copied().collect();
    let mut holes = Vec::new();
    // What has been seen of a count: up to which number, until when, and whether anything of the system's.
    let mut seen: Option<Range> = None;
    for range in ranges {
        let elsewhere = |so_far: &Range| -> u64 {
            let of_users = users.iter().filter(|user| user.count != range.count);
            of_users.fold(0, |all: u64, user| all.saturating_add(user.between(so_far, &range)))
        };
        let Some(so_far) = seen.as_mut().filter(|so_far| so_far.count == range.count) else {
            seen = Some(range);
            continue;
        };
        let missing = range.head.saturating_sub(so_far.tail).saturating_sub(1);
        let missing = missing.saturating_sub(elsewhere(so_far));
        if missing > TOLERATED && so_far.is_systems && (range.is_systems || range.is_closed) {
            holes.push(Hole { from: so_far.last, to: range.first, entries: missing });
        }
        if range.tail > so_far.tail {
            (so_far.tail, so_far.last) = (range.tail, range.last);
        }
        so_far.is_systems |= range.is_systems;
    }
    holes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(count: u64, head: u64, tail: u64) -> Range {
        let (first, last) = (head * 10, tail * 10);
        Range { count, head, tail, first, last, is_systems: true, is_closed: true }
    }

    #[test]
    fn a_file_that_was_removed_leaves_its_numbers() {
        let files = [range(1, 1, 100), range(1, 101, 400), range(1, 401, 500)];
        assert_eq!(holes(files), []);
        let hole = Hole { from: 1000, to: 4010, entries: 300 };
        assert_eq!(holes([files[2], files[0]]), [hole]);
        assert_eq!(holes([files[2], files[1]]), [], "the oldest goes first");
        assert_eq!(holes([files[0], range(2, 401, 500)]), [], "another count");
        assert_eq!(holes([files[0], range(1, 110, 500)]), [], "too few to tell");
    }

    #[test]
    fn users_files_lie_among_the_systems() {
        let user = |head, tail| Range { is_systems: false, ..range(1, head, tail) };
        assert_eq!(
            holes([range(1, 1, 100), user(40, 300), range(1, 101, 299), range(1, 301, 400)]),
            []
        );
        assert_eq!(holes([range(1, 1, 100), Range { is_closed: false, ..user(200, 300) }]), []);
        // A count of a user's own, with the numbers of the system's; and one of another time.
        let own = |head, tail| Range { count: 2, ..user(head, tail) };
        assert_eq!(holes([range(1, 1, 100), own(101, 150), range(1, 153, 400)]), []);
        assert_eq!(holes([range(1, 1, 100), own(90, 120), own(121, 200), range(1, 153, 400)]), []);
        let of_another = Range { first: 9000, last: 9100, ..own(101, 150) };
        assert_eq!(holes([range(1, 1, 100), of_another, range(1, 153, 400)]).len(), 1);
        // One that was not written to for long outlives the system's of its time.
        assert_eq!(holes([user(40, 50), range(1, 5000, 6000)]), []);
    }

    proptest! {
        #[test]
        fn nothing_overflows(numbers in prop::collection::vec(any::<[u64; 5]>(), 0..20)) {
            let range = |[count, head, tail, first, last]: [u64; 5]| {
                Range { count: count % 2, head, tail, first, last, is_systems: count % 3 > 0, is_closed: true }
            };
            drop(holes(numbers.into_iter().map(range)));
        }
    }
}
