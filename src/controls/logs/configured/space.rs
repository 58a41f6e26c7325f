//! Whether the journal's file system can hold what is to be kept: pure.

use super::{
    LOG, checks,
    sizing::{Fits, Room, journal_for, parts},
};
use crate::{
    controls::Obstacle,
    engine::check::{Judgement, Verdict},
    profile::{
        schema::{Logs, Profile},
        types::Size,
    },
};

/// What is known of it.
#[derive(Debug)]
pub(super) struct Found {
    room: Option<Room>,
    /// Whether somebody asked for just this much.
    is_given: bool,
}

impl Found {
    /// `size` is that of the journal's file system in bytes, where it is known. `unnamed` counts the namespaces that units
    /// log to and the profile does not name: each has a journal as large as the others, beyond the budget's parts.
    pub(super) fn new(profile: &Profile, logs: &Logs, unnamed: u64, size: Option<u64>) -> Self {
        let journal = profile.journal.clone().unwrap_or_default();
        let held_to = journal_for(&journal, logs, size);
        let bytes = |size: Option<Size>| size.map(Size::bytes);
        let max_use = bytes(held_to.max_use);
        let all = max_use.map(|max_use| max_use.saturating_mul(parts(logs)));
        let beyond = max_use.unwrap_or_default().saturating_mul(unnamed);
        let budget = bytes(logs.budget).or(all).map(|budget| budget.saturating_add(beyond));
        let room = size.zip(budget).map(|(size, budget)| Room {
            size,
            budget,
            keep_free: bytes(held_to.keep_free).unwrap_or_default(),
            is_free_given: journal.keep_free.is_some(),
            keep: logs.longest_in_journal(),
        });
        Self { room, is_given: logs.budget.is_some() || journal.max_use.is_some() }
    }

    /// Whether there is room. `per_day` is what is written in a day, in bytes, where that has been measured.
    pub(super) fn judge(&self, per_day: Option<u64>) -> Judgement {
        let Some(room) = self.room else {
            let why = format!("the size of the file system of {LOG} cannot be told");
            return Judgement::new(checks::SPACE, "room for the journal", Verdict::Unknown { why });
        };
        let expected = format!(
            "room for {} of journals, kept for {}",
            Size::from_bytes(room.budget),
            room.keep
        );
        let verdict = match (room.fits(None), room.fits(per_day)) {
            (Fits::Needs { size, .. }, _) => Verdict::Differs { observed: too_small(room, size) },
            (_, Fits::Needs { budget, size }) => {
                Verdict::Differs { observed: too_much(room, per_day, budget, size) }
            }
            (_, Fits::PerDay(bytes)) => {
                let written =
                    per_day.map(|bytes| format!("; {} a day is written", in_words(bytes)));
                let written = written.unwrap_or_default();
                Verdict::Holds {
                    observed: format!("enough for {} a day{written}", in_words(bytes)),
                }
            }
        };
        Judgement::new(checks::SPACE, &expected, verdict)
    }

    /// What forbids an apply: more was asked for than there is, or the retention does not fit at what is written in a day.
    /// A budget that is too small where the disk is not is a finding only: it is to be raised, and spoils nothing else.
    pub(super) fn obstacle(&self, per_day: Option<u64>) -> Option<Obstacle> {
        let room = self.room?;
        let why = match (room.fits(None), room.fits(per_day)) {
            (Fits::Needs { size, .. }, _) if self.is_given => too_small(room, size),
            (Fits::PerDay(_), Fits::Needs { budget, size }) if size > room.size => {
                too_much(room, per_day, budget, size)
            }
            _ => return None,
        };
        let why = format!("{why}; see: holdfast explain logs.space");
        Some(Obstacle { check: checks::SPACE.id.to_owned(), why, overridable: true, guards: &[] })
    }
}

/// What is written takes more than the budget.
fn too_much(room: Room, per_day: Option<u64>, budget: u64, size: u64) -> String {
    let remedy = if size > room.size {
        format!(
            "the file system of {LOG} has {} and would have to have {}",
            in_words(room.size),
            more_in_words(size)
        )
    } else {
        format!("set logs.budget to {} at least", more_in_words(budget))
    };
    format!(
        "{} a day is written: {} of it take {} and the budget is {}; {remedy}",
        in_words(per_day.unwrap_or_default()),
        room.keep,
        more_in_words(budget),
        Size::from_bytes(room.budget),
    )
}

/// Bytes in whole MiB, rounded up: what would do.
fn more_in_words(bytes: u64) -> String {
    format!("{}M", bytes.div_ceil(1 << 20))
}

fn too_small(room: Room, needed: u64) -> String {
    format!(
        "the file system of {LOG} has {}; {} of journals and what is left free take one of {}",
        in_words(room.size),
        Size::from_bytes(room.budget),
        more_in_words(needed)
    )
}

/// Bytes as people say them, rounded down.
fn in_words(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::logs::configured::said;

    const GIB: u64 = 1 << 30;

    fn verdict(size: u64, per_day: Option<u64>) -> (String, bool) {
        let profile = Profile::default();
        let found = Found::new(&profile, &Logs::default(), 0, Some(size));
        (said(&found.judge(per_day).verdict), found.obstacle(per_day).is_some())
    }

    #[test]
    fn what_is_written_decides_where_it_is_known() {
        let (said, refused) = verdict(400 * GIB, None);
        assert!(said.starts_with("holds: enough for") && !refused, "{said}");
        let (said, refused) = verdict(400 * GIB, Some(100 << 20));
        assert!(said.ends_with("100 MiB a day is written") && !refused, "{said}");
        // 91 days and a tenth of 1 GiB: the disk has room for it, the budget has not.
        let (said, refused) = verdict(400 * GIB, Some(GIB));
        assert!(said.contains("set logs.budget to 102503M at least") && !refused, "{said}");
        let (said, refused) = verdict(40 * GIB, Some(GIB));
        assert!(said.contains("has 40 GiB and would have to have 106599M") && refused, "{said}");
    }

    #[test]
    fn namespaces_that_only_units_name_take_room_too() {
        let logs = Logs { budget: Some("30G".parse().unwrap()), ..Logs::default() };
        let found = |unnamed| Found::new(&Profile::default(), &logs, unnamed, Some(80 * GIB));
        assert_eq!(found(0).room.unwrap().budget, 30 * GIB);
        assert_eq!(found(1).room.unwrap().budget, 60 * GIB);
        assert!(found(1).obstacle(None).is_none());
        let why = found(2).obstacle(None).unwrap().why;
        assert!(
            why.contains("has 80 GiB; 90G of journals") && why.contains("one of 96256M"),
            "{why}"
        );
    }
}
