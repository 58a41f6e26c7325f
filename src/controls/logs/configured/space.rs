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
    /// `size` is that of the journal's file system in bytes, where it is known.
    pub(super) fn new(profile: &Profile, logs: &Logs, size: Option<u64>) -> Self {
        let journal = profile.journal.clone().unwrap_or_default();
        let held_to = journal_for(&journal, logs, size);
        let bytes = |size: Option<Size>| size.map(Size::bytes);
        let max_use = bytes(held_to.max_use).map(|max_use| max_use.saturating_mul(parts(logs)));
        let budget = bytes(logs.budget).or(max_use);
        let room = size.zip(budget).map(|(size, budget)| Room {
            size,
            budget,
            keep_free: bytes(held_to.keep_free).unwrap_or_default(),
            keep: logs.longest_in_journal(),
        });
        Self { room, is_given: logs.budget.is_some() || journal.max_use.is_some() }
    }

    /// Whether there is room.
    pub(super) fn judge(&self) -> Judgement {
        let Some(room) = self.room else {
            let why = format!("the size of the file system of {LOG} cannot be told");
            return Judgement::new(checks::SPACE, "room for the journal", Verdict::Unknown { why });
        };
        let expected = format!(
            "room for {} of journals, kept for {}",
            Size::from_bytes(room.budget),
            room.keep
        );
        let verdict = match room.fits(None) {
            Fits::PerDay(bytes) => {
                Verdict::Holds { observed: format!("enough for {} a day", in_words(bytes)) }
            }
            Fits::Needs { size, .. } => Verdict::Differs { observed: too_small(room, size) },
        };
        Judgement::new(checks::SPACE, &expected, verdict)
    }

    /// What forbids an apply: more was asked for than there is.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let room = self.room.filter(|_| self.is_given)?;
        let Fits::Needs { size, .. } = room.fits(None) else { return None };
        let why = format!("{}; see: holdfast explain logs.space", too_small(room, size));
        Some(Obstacle { check: checks::SPACE.id.to_owned(), why, overridable: true })
    }
}

fn too_small(room: Room, needed: u64) -> String {
    format!(
        "the file system of {LOG} has {}; {} of journals and {} left free take {}",
        in_words(room.size),
        Size::from_bytes(room.budget),
        Size::from_bytes(room.keep_free),
        in_words(needed)
    )
}

/// Bytes as people say them, rounded down.
fn in_words(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit))
}
