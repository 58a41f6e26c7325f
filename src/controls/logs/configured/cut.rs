//! What journald would delete at once if it were given the limits of the profile: pure.
//!
//! It deletes what is beyond its limits as soon as it starts with them, and no roll-back brings that back. So lower limits
//! than it runs with are not applied over a journal that is larger, unless a person says so.

use super::checks;
use crate::{
    controls::{Obstacle, logs::measured::Space},
    profile::{
        schema::Journal,
        types::{Size, TimeSpan},
    },
};

/// Why limits must not be applied to a journal in this folder as it is now; `parts` is into how many journals a budget is
/// divided.
pub(super) fn obstacle(dir: &str, now: &Space, wanted: &Journal, parts: u64) -> Option<Obstacle> {
    let bytes = |size: Option<Size>| size.map(Size::bytes);
    let max_use = bytes(wanted.max_use).unwrap_or(now.max_use);
    let keep_free = bytes(wanted.keep_free).unwrap_or(now.keep_free);
    let max_files = wanted.max_files.map_or(now.max_files, u64::from);
    let left = now.used.saturating_add(now.available).saturating_sub(keep_free);
    let lowered = |is_lower: bool, room: u64| (is_lower && now.used > room).then_some(room);
    let (room, remedy) = if let Some(room) = lowered(max_use < now.max_use, max_use) {
        let budget = in_words(now.used.saturating_mul(parts));
        (
            format!("{} (SystemMaxUse=)", in_words(room)),
            format!("logs.budget has to be {budget} at least"),
        )
    } else if let Some(room) = lowered(keep_free > now.keep_free, left) {
        (
            format!("{} (SystemKeepFree=)", in_words(room)),
            "free its file system, or lower journal.keep_free".to_owned(),
        )
    } else if max_files < now.max_files && now.files > max_files {
        let remedy = format!("journal.max_files has to be {} at least", now.files);
        (format!("{max_files} files (SystemMaxFiles=)"), remedy)
    } else {
        return ceiling(dir, now, wanted);
    };
    let why = format!(
        "{dir} takes {} in {} files; given {room}, journald would delete its oldest entries at once, for good: {remedy}; see: \
         holdfast explain logs.space",
        in_words(now.used),
        now.files,
    );
    Some(because(why))
}

/// Why files must not be given an age at which they go: those that are there may span more time than those to come.
fn ceiling(dir: &str, now: &Space, wanted: &Journal) -> Option<Obstacle> {
    let age = wanted.max_retention.filter(|age| age.as_secs() > 0)?;
    let floor = age.as_secs().saturating_sub(now.longest);
    if floor >= now.keep || now.floor.is_some_and(|now| now <= floor) {
        return None;
    }
    let (longest, keep) = (TimeSpan::from_secs(now.longest), TimeSpan::from_secs(now.keep));
    let least = TimeSpan::from_secs(now.longest.saturating_add(now.keep));
    Some(because(format!(
        "a file of {dir} spans {longest}; given {age} (MaxRetentionSec=), journald would delete entries that are to be kept for \
         {keep}, for good: leave journal.max_retention out, or make it {least}; see: holdfast explain logs.space",
    )))
}

fn because(why: String) -> Obstacle {
    // Both write what journald is set to.
    let guards = &["journal", "logs"];
    Obstacle { check: checks::SPACE.id.to_owned(), why, overridable: true, guards }
}

/// Bytes in whole MiB, rounded up.
fn in_words(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    fn now() -> Space {
        Space {
            keep: 90 * 86_400,
            per_day: None,
            used: 30_000 * M,
            available: 60_000 * M,
            max_use: 50_000 * M,
            keep_free: 1000 * M,
            file: 128 * M,
            files: 240,
            max_files: 400,
            longest: 30 * 86_400,
            floor: None,
            files_per_hundred_days: 100,
            others_per_day: None,
        }
    }

    fn wanted(max_use: u64, keep_free: u64, max_files: u32) -> Journal {
        Journal {
            max_use: Some(Size::from_bytes(max_use * M)),
            keep_free: Some(Size::from_bytes(keep_free * M)),
            max_files: Some(max_files),
            ..Journal::default()
        }
    }

    fn why(now: &Space, wanted: &Journal, parts: u64) -> Option<String> {
        obstacle("/j", now, wanted, parts).map(|obstacle| obstacle.why)
    }

    #[test]
    fn what_is_there_is_not_deleted_by_an_apply() {
        assert_eq!(why(&now(), &wanted(50_000, 1000, 400), 1), None, "nothing changes");
        assert_eq!(why(&now(), &wanted(30_000, 4000, 240), 1), None, "lower, and enough");
        let said = why(&now(), &wanted(25_000, 1000, 400), 2).unwrap();
        assert!(
            said.starts_with(
                "/j takes 30000M in 240 files; given 25000M (SystemMaxUse=), journald would delete"
            ),
            "{said}"
        );
        assert!(said.contains("logs.budget has to be 60000M at least"), "{said}");
        let said = why(&now(), &wanted(50_000, 61_000, 400), 1).unwrap();
        assert!(said.contains("given 29000M (SystemKeepFree=)"), "{said}");
        let said = why(&now(), &wanted(50_000, 1000, 239), 1).unwrap();
        assert!(
            said.contains("given 239 files") && said.contains("journal.max_files has to be 240"),
            "{said}"
        );
    }

    /// As files of a month are, which journald makes where it is told nothing else.
    #[test]
    fn an_age_is_given_that_the_files_there_allow() {
        let given = |days: u64| {
            let age = Some(TimeSpan::from_secs(days * 86_400));
            Journal { max_retention: age, ..Journal::default() }
        };
        assert_eq!(why(&now(), &given(120), 1), None);
        assert_eq!(why(&now(), &given(0), 1), None, "none");
        let said = why(&now(), &given(119), 1).unwrap();
        assert!(said.contains("spans 30d; given 119d") && said.contains("make it 120d"), "{said}");
        let as_it_is = Space { floor: Some(89 * 86_400), ..now() };
        assert_eq!(why(&as_it_is, &given(119), 1), None, "nothing changes");
        assert!(why(&as_it_is, &given(118), 1).is_some());
    }

    /// At its limits a journal is a little over them at times, and an apply of something else goes on.
    #[test]
    fn limits_that_stay_stop_nothing() {
        let full = Space { used: 50_100 * M, files: 401, ..now() };
        assert_eq!(why(&full, &wanted(50_000, 1000, 400), 1), None);
        assert_eq!(why(&full, &wanted(60_000, 500, 500), 1), None);
        assert_eq!(why(&full, &Journal::default(), 1), None, "nothing is managed");
    }
}
