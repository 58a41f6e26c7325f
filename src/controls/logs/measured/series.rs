//! When a source wrote, from the times of its entries: pure.
//!
//! Entries stand in the order in which they were written. Between two of them that lie no further apart than the longest
//! silence allowed there is no gap to be found, so that only wide spans are halved and looked at again: some dozen times
//! are read of a file with millions.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

/// No silence in between is longer than what is a gap. Moments are in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::logs) struct Stretch {
    /// Its first entry.
    pub(in crate::controls::logs) first: u64,
    /// Its last.
    pub(in crate::controls::logs) last: u64,
    /// How many entries it has; 0 where that is not known.
    pub(in crate::controls::logs) entries: u64,
}

/// What one file has of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub(in crate::controls::logs) struct Part {
    /// When it wrote.
    pub(in crate::controls::logs) stretches: Vec<Stretch>,
    /// How many entries are from the future: the clock was wrong then, or is now.
    pub(in crate::controls::logs) future: u64,
}

/// As it is noted: numbers in a row, which are read several times faster than what is nested.
impl From<Vec<u64>> for Part {
    fn from(numbers: Vec<u64>) -> Self {
        let (future, stretches) =
            numbers.split_first().map_or((0, &[][..]), |(f, rest)| (*f, rest));
        let (stretches, _) = stretches.as_chunks();
        let stretch = |[first, last, entries]: &[u64; 3]| Stretch {
            first: *first,
            last: *last,
            entries: *entries,
        };
        Self { stretches: stretches.iter().map(stretch).collect(), future }
    }
}

impl From<Part> for Vec<u64> {
    fn from(part: Part) -> Self {
        let stretches =
            part.stretches.iter().flat_map(|each| [each.first, each.last, each.entries]);
        [part.future].into_iter().chain(stretches).collect()
    }
}

/// A silence longer than allowed. Moments are in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::logs) struct Gap {
    /// The last entry before it.
    pub(in crate::controls::logs) from: u64,
    /// The first after it.
    pub(in crate::controls::logs) to: u64,
}

/// How many times are read of one file at most: a year with a gap every second hour has fewer.
const LOOKS: u32 = 20_000;

/// Reads a list of `len` entries, of which `time` gives the moment by place. What is later than `latest` is of the future.
///
/// # Errors
/// The first that `time` gives.
pub(super) fn part<E>(
    len: u64,
    latest: u64,
    max_gap: u64,
    mut time: impl FnMut(u64) -> Result<u64, E>,
) -> Result<Part, E> {
    if len == 0 {
        return Ok(Part::default());
    }
    let len = {
        let (mut low, mut high) = (0, len);
        if time(len - 1)? <= latest {
            low = len;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if time(middle)? <= latest { low = middle + 1 } else { high = middle }
        }
        Halved { present: low, future: len - low }
    };
    let Some(end) = len.present.checked_sub(1) else {
        return Ok(Part { stretches: Vec::new(), future: len.future });
    };
    let (first, last) = (time(0)?, time(end)?);
    let (mut gaps, mut looks) = (Vec::new(), 0);
    let mut spans = vec![((0, first), (end, last))];
    while let Some(((from, earlier), (to, later))) = spans.pop() {
        if later.saturating_sub(earlier) <= max_gap {
            continue;
        }
        if to - from <= 1 || looks >= LOOKS {
            gaps.push(((from, earlier), (to, later)));
            continue;
        }
        looks += 1;
        let middle = from + (to - from) / 2;
        // A clock that was set back and forth in between must not make a span look wider than it is.
        let at = time(middle)?.clamp(earlier, later);
        // The later half first: the earlier one is taken next, and gaps come out in order.
        spans.push(((middle, at), (to, later)));
        spans.push(((from, earlier), (middle, at)));
    }
    let mut stretches = Vec::new();
    let mut begin = (0, first);
    for (before, after) in gaps.into_iter().chain([((end, last), (end + 1, last))]) {
        let (first, last) = (begin.1, before.1.max(begin.1));
        stretches.push(Stretch { first, last, entries: before.0 - begin.0 + 1 });
        begin = after;
    }
    Ok(Part { stretches, future: len.future })
}

/// How many entries are of the past and of the future.
struct Halved {
    present: u64,
    future: u64,
}

/// All that is kept of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::controls::logs) struct Series {
    /// When it wrote, in order and apart.
    stretches: Vec<Stretch>,
    /// How many entries are from the future.
    pub(in crate::controls::logs) future: u64,
}

impl Series {
    /// Joins what files have. They may overlap, and come in any order.
    pub(super) fn join<P: Borrow<Part>>(parts: impl IntoIterator<Item = P>, max_gap: u64) -> Self {
        let mut series = Self::default();
        let mut all: Vec<Stretch> = Vec::new();
        for part in parts {
            let part: &Part = part.borrow();
            all.extend_from_slice(&part.stretches);
            series.future = series.future.saturating_add(part.future);
        }
        all.sort_by_key(|stretch| (stretch.first, stretch.last));
        for next in all {
            match series.stretches.last_mut() {
                Some(open) if next.first <= open.last.saturating_add(max_gap) => {
                    open.last = open.last.max(next.last);
                    open.entries = open.entries.saturating_add(next.entries);
                }
                _ => series.stretches.push(next),
            }
        }
        series
    }

    /// The oldest entry.
    pub(in crate::controls::logs) fn oldest(&self) -> Option<u64> {
        self.stretches.first().map(|stretch| stretch.first)
    }

    /// The newest.
    pub(in crate::controls::logs) fn newest(&self) -> Option<u64> {
        self.stretches.last().map(|stretch| stretch.last)
    }

    /// How many entries there are.
    pub(in crate::controls::logs) fn entries(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.entries).sum()
    }

    /// The silences that ended after `since`, up to `now`.
    pub(in crate::controls::logs) fn gaps(&self, since: u64, now: u64, max_gap: u64) -> Vec<Gap> {
        let between = self.stretches.windows(2);
        let between = between.map(|pair| Gap { from: pair[0].last, to: pair[1].first });
        let until_now = self.newest().map(|newest| Gap { from: newest, to: now });
        let until_now = until_now.filter(|gap| gap.to.saturating_sub(gap.from) > max_gap);
        between.chain(until_now).filter(|gap| gap.to > since).collect()
    }

    /// Whether anything was written within a silence.
    pub(in crate::controls::logs) fn wrote_within(&self, gap: Gap) -> bool {
        self.stretches.iter().any(|stretch| stretch.first < gap.to && stretch.last > gap.from)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64], latest: u64, max_gap: u64) -> Part {
        let time = |index: u64| Ok::<_, Infallible>(times[usize::try_from(index).unwrap()]);
        part(times.len() as u64, latest, max_gap, time).unwrap()
    }

    /// What is so by definition, entry by entry.
    fn plain(times: &[u64], latest: u64, max_gap: u64) -> Part {
        let mut found = Part::default();
        for time in times {
            match found.stretches.last_mut() {
                _ if *time > latest => found.future += 1,
                Some(open) if *time - open.last <= max_gap => {
                    open.last = *time;
                    open.entries += 1;
                }
                _ => found.stretches.push(Stretch { first: *time, last: *time, entries: 1 }),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn halving_finds_every_gap(
            mut times in prop::collection::vec(0_u64..10_000, 0..200),
            latest in 0_u64..12_000,
            max_gap in 1_u64..500,
        ) {
            times.sort_unstable();
            prop_assert_eq!(of(&times, latest, max_gap), plain(&times, latest, max_gap));
        }

        /// However entries are spread over files, what they have together is the same.
        #[test]
        fn files_join_to_what_one_would_have(
            mut times in prop::collection::vec((0_u64..10_000, 0_usize..4), 1..100),
            max_gap in 1_u64..500,
        ) {
            times.sort_unstable();
            let file = |number| {
                let of_it = times.iter().filter(|(_, file)| *file == number);
                of(&of_it.map(|(time, _)| *time).collect::<Vec<_>>(), u64::MAX, max_gap)
            };
            let all: Vec<u64> = times.iter().map(|(time, _)| *time).collect();
            let joined = Series::join((0..4).map(file), max_gap);
            prop_assert_eq!(joined.stretches, plain(&all, u64::MAX, max_gap).stretches);
        }

        /// A clock that jumps gives odd answers, and always one.
        #[test]
        fn no_order_is_too_odd(times in prop::collection::vec(any::<u64>(), 0..100), latest: u64, max_gap in 1_u64..1000) {
            let found = of(&times, latest, max_gap);
            let series = Series::join([found], max_gap);
            prop_assert!(series.entries() + series.future == times.len() as u64);
        }
    }

    #[test]
    fn silences_are_told_with_who_wrote_meanwhile() {
        let one = Series::join([of(&[100, 110, 500, 510], 1000, 50)], 50);
        assert_eq!((one.oldest(), one.newest(), one.entries()), (Some(100), Some(510), 4));
        let gap = Gap { from: 110, to: 500 };
        assert_eq!(one.gaps(0, 540, 50), [gap]);
        assert_eq!(one.gaps(0, 600, 50), [gap, Gap { from: 510, to: 600 }]);
        assert_eq!(one.gaps(500, 540, 50), [], "before what is asked for");
        let others = Series::join([of(&[100, 300, 500], 1000, 200)], 200);
        assert!(others.wrote_within(gap) && !one.wrote_within(gap));
    }

    #[test]
    fn few_times_are_read_of_many() {
        let mut reads = 0;
        let time = |index: u64| {
            reads += 1;
            Ok::<_, Infallible>(index)
        };
        // A month with an entry each second, and a gap from a day on.
        let found = part(30 * 86_400, u64::MAX, 86_400, time).unwrap();
        assert_eq!(found.stretches.len(), 1);
        assert!(reads < 100, "{reads}");
    }
}
