//! How long a file system will hold the journal, at the rate observed: pure.
//!
//! journald gives up its oldest files when it reaches the smaller of two limits: what it may use (`SystemMaxUse=`), and
//! what must be left free for others (`SystemKeepFree=`). The first stands; the second shrinks as others grow. What is
//! written today must last for the whole retention, so the forecast looks as far ahead as that.
//!
//! Whatever room there is, a ceiling (`MaxRetentionSec=`) deletes a file when its first entry is as old as that, and with it
//! entries that are younger by what a file spans.

/// Seconds in a day.
pub(super) const DAY: u64 = 86_400;

/// One journal and the file system it is on. Sizes are in bytes, spans in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::logs) struct Space {
    /// How long entries must be kept.
    pub(in crate::controls::logs) keep: u64,
    /// What the journal grows by in a day; `None` while less than a day of it has been seen.
    pub(in crate::controls::logs) per_day: Option<u64>,
    /// What it takes now.
    pub(in crate::controls::logs) used: u64,
    /// What the file system has left for it.
    pub(in crate::controls::logs) available: u64,
    /// What it may take.
    pub(in crate::controls::logs) max_use: u64,
    /// What it must leave.
    pub(in crate::controls::logs) keep_free: u64,
    /// What its largest file takes: so much goes at a time.
    pub(in crate::controls::logs) file: u64,
    /// How many files it has.
    pub(in crate::controls::logs) files: u64,
    /// How many files it may have.
    pub(in crate::controls::logs) max_files: u64,
    /// The longest time that one of its files spans.
    pub(in crate::controls::logs) longest: u64,
    /// How old entries are at least when they go for their age; `None` where none do.
    pub(in crate::controls::logs) floor: Option<u64>,
    /// How many files are begun in a hundred days; 0 where none was yet.
    pub(in crate::controls::logs) files_per_hundred_days: u64,
    /// What everything else on the file system grows by in a day; `None` while that has not been observed for a day.
    pub(in crate::controls::logs) others_per_day: Option<u64>,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::logs) enum Forecast {
    /// Less than a day has been observed.
    TooYoung,
    /// Entries are deleted for their age before they may go.
    Ceiling {
        /// How old they may be then, in seconds.
        floor: u64,
    },
    /// At this rate it holds so many seconds' worth, today's conditions given.
    Lasts {
        /// Seconds' worth of entries that it holds.
        holds: u64,
        /// In how many seconds it will hold less than must be kept, if ever.
        short_in: Option<u64>,
    },
    /// It holds too little, now or before today's entries may go.
    Short {
        /// Seconds' worth of entries that it holds when it is full.
        holds: u64,
        /// In how many seconds entries will go that must be kept.
        short_in: u64,
        /// How much room it takes to keep enough, in bytes; 0 where room is not what is lacking.
        needed: u64,
    },
}

impl Space {
    /// What journald may fill, with the file system as it is.
    pub(in crate::controls::logs) fn capacity(&self) -> u64 {
        self.max_use.min(self.shared())
    }

    /// What is there for the journal and for others to grow into.
    fn shared(&self) -> u64 {
        self.used.saturating_add(self.available).saturating_sub(self.keep_free)
    }

    /// What will become of it.
    pub(in crate::controls::logs) fn forecast(&self) -> Forecast {
        if let Some(floor) = self.floor.filter(|floor| *floor < self.keep) {
            return Forecast::Ceiling { floor };
        }
        let Some(rate) = self.per_day.filter(|rate| *rate > 0) else { return Forecast::TooYoung };
        let capacity = self.capacity();
        let seconds = |bytes: u64, per_day: u64| {
            let seconds = u128::from(bytes) * u128::from(DAY) / u128::from(per_day.max(1));
            u64::try_from(seconds).unwrap_or(u64::MAX)
        };
        let needed = u128::from(rate) * u128::from(self.keep) / u128::from(DAY);
        let needed = u64::try_from(needed).unwrap_or(u64::MAX).saturating_add(self.file);
        let by_room = seconds(capacity.saturating_sub(self.file), rate);
        let by_count = match self.files_per_hundred_days {
            0 => u64::MAX,
            // One of them is being written to, and one goes at a time.
            files => seconds(self.max_files.saturating_sub(2).saturating_mul(100), files),
        };
        let holds = by_room.min(by_count);
        let growth = self.others_per_day.unwrap_or(0);
        // Until its limit is reached nothing goes, however low that is.
        let until_full = seconds(self.max_use.saturating_sub(self.used), rate)
            .min(seconds(self.shared().saturating_sub(self.used), rate.saturating_add(growth)));
        if by_count < self.keep && by_count <= by_room {
            let left = self.max_files.saturating_sub(self.files).saturating_mul(100);
            let short_in = seconds(left, self.files_per_hundred_days).min(until_full);
            return Forecast::Short { holds, short_in, needed: 0 };
        }
        if capacity < needed {
            return Forecast::Short { holds, short_in: until_full, needed };
        }
        if growth == 0 {
            return Forecast::Lasts { holds, short_in: None };
        }
        let short_in = seconds(self.shared().saturating_sub(needed), growth).max(until_full);
        if short_in < self.keep {
            return Forecast::Short { holds, short_in, needed };
        }
        Forecast::Lasts { holds, short_in: Some(short_in) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const G: u64 = 1 << 30;

    fn space() -> Space {
        Space {
            keep: 90 * DAY,
            per_day: Some(G / 10),
            used: 5 * G,
            available: 100 * G,
            max_use: 20 * G,
            keep_free: 4 * G,
            file: G / 8,
            files: 60,
            max_files: 1000,
            longest: DAY,
            floor: None,
            files_per_hundred_days: 100,
            others_per_day: None,
        }
    }

    fn days(forecast: Forecast) -> (u64, Option<u64>) {
        match forecast {
            Forecast::TooYoung | Forecast::Ceiling { .. } => panic!("{forecast:?}"),
            Forecast::Lasts { holds, short_in } => (holds / DAY, short_in.map(|at| at / DAY)),
            Forecast::Short { holds, short_in, .. } => (holds / DAY, Some(short_in / DAY)),
        }
    }

    #[test]
    fn its_own_limit_decides_on_a_large_disk() {
        assert_eq!(days(space().forecast()), (198, None));
        let small = Space { max_use: 8 * G, ..space() };
        assert!(matches!(small.forecast(), Forecast::Short { needed, .. } if needed > 9 * G));
        // 3 GB are left to it, at a tenth a day.
        assert_eq!(days(small.forecast()), (78, Some(30)));
        let full = Space { used: 8 * G, ..small };
        assert_eq!(days(full.forecast()), (78, Some(0)));
    }

    #[test]
    fn others_take_its_room_away() {
        let growing = |each| Space { others_per_day: Some(each), ..space() };
        // 101 GB to share, of which 9.1 are needed: a gigabyte a day leaves 91 days.
        assert!(
            matches!(growing(G).forecast(), Forecast::Lasts { short_in: Some(at), .. } if at / DAY == 91)
        );
        let Forecast::Short { short_in, .. } = growing(2 * G).forecast() else { panic!() };
        // Two of them 46, and until then it is not full; what is written today would not last.
        assert_eq!(short_in / DAY, 45);
        assert!(matches!(growing(1).forecast(), Forecast::Lasts { .. }));
    }

    #[test]
    fn too_many_files_are_too_few_days() {
        let daily = Space { max_files: 80, ..space() };
        assert_eq!(days(daily.forecast()), (78, Some(20)));
        assert_eq!(days(Space { max_files: 100, ..space() }.forecast()), (98, None));
    }

    #[test]
    fn a_ceiling_deletes_whatever_room_there_is() {
        let at = |days: u64| Space { floor: Some(days * DAY), ..space() }.forecast();
        assert_eq!(at(60), Forecast::Ceiling { floor: 60 * DAY });
        assert_eq!(days(at(90)), (198, None));
    }

    #[test]
    fn a_day_must_have_been_seen() {
        assert_eq!(Space { per_day: None, ..space() }.forecast(), Forecast::TooYoung);
        assert_eq!(Space { per_day: Some(0), ..space() }.forecast(), Forecast::TooYoung);
    }

    proptest! {
        /// No numbers overflow, and more room is never worse.
        #[test]
        fn more_room_is_never_worse(rate: u64, used: u64, available: u64, max_use: u64, others: u64, keep in 1..4_000 * DAY, more: u64) {
            let space = Space { per_day: Some(rate), used, available, max_use, others_per_day: Some(others), keep, ..space() };
            let roomier = Space { max_use: max_use.saturating_add(more), available: available.saturating_add(more), ..space };
            let is_short = |space: Space| matches!(space.forecast(), Forecast::Short { .. });
            prop_assert!(is_short(space) || !is_short(roomier));
        }
    }
}
