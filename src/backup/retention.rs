//! Which backups are kept: a pure decision over what signed manifests say.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::catalogue::Entry;
use crate::profile::schema::Keep;

/// What of a backup its keeping goes by. The number and the time are those of its manifest, which the host has signed: a
/// file's own time can be set by anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Its place in their order.
    pub number: u64,
    /// When it was made.
    pub made: Timestamp,
    /// Whether it was proven, and is still there as it was.
    pub proven: bool,
    /// Whether it is proven by having been restored as a whole.
    pub drilled: bool,
    /// Whether its time fits its place: the clock was neither ahead nor behind.
    pub timely: bool,
}

impl Kept {
    /// Of all backups but what is deleted already, and what is [`unclear`]. What is deleted still tells by its manifest
    /// what the clock said then.
    pub fn all(entries: &[Entry], now: Timestamp) -> Vec<Self> {
        let known = entries.iter().filter_map(|entry| entry.manifest.as_ref());
        let mut times: Vec<_> =
            known.map(|(manifest, _)| (manifest.number, manifest.made)).collect();
        times.retain(|(_, made)| *made <= now);
        times.sort_unstable();
        let timely = timely(&times);
        let each = entries.iter().filter_map(|entry| {
            let manifest = entry.known().filter(|_| entry.is_clear())?;
            Some(Self {
                id: entry.id.clone(),
                number: manifest.number,
                made: manifest.made,
                proven: entry.proven().is_some(),
                drilled: entry.drilled().is_some(),
                timely: timely.contains(&(manifest.number, manifest.made)),
            })
        });
        each.collect()
    }
}

/// Of numbers and times, in the order of the numbers, those that are in some longest run in which both only grow: most
/// backups were made under a clock that was right, and what does not fit among them was not.
fn timely(times: &[(u64, Timestamp)]) -> BTreeSet<(u64, Timestamp)> {
    let to = longest(times.iter().map(|(_, made)| made.as_second()));
    let mut from = longest(times.iter().rev().map(|(_, made)| made.as_second().saturating_neg()));
    from.reverse();
    let length = |(to, from): (usize, usize)| to.saturating_add(from);
    let most = to.iter().copied().zip(from.iter().copied()).map(length).max();
    let each = times.iter().zip(to.into_iter().zip(from));
    each.filter(|(_, ends)| Some(length(*ends)) == most).map(|(time, _)| *time).collect()
}

/// How long the longest run is that ends with each of them and never falls.
fn longest(values: impl Iterator<Item = i64>) -> Vec<usize> {
    // Of each length the least value that a run of it ends with.
    let mut ends: Vec<i64> = Vec::new();
    let length = |value| {
        let at = ends.partition_point(|end| *end <= value);
        match ends.get_mut(at) {
            Some(end) => *end = value,
            None => ends.push(value),
        }
        at + 1
    };
    values.map(length).collect()
}

/// What becomes of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Those that go, oldest first.
    pub delete: Vec<String>,
    /// Those that stay, oldest first, each with the rules that keep it.
    pub keep: Vec<(String, Vec<&'static str>)>,
    /// Why nothing goes; then all stay.
    pub halted: Option<String>,
}

impl Decision {
    /// That all stay, and why.
    pub fn halted(backups: &[Kept], why: String) -> Self {
        let keep = in_order(backups).into_iter().map(|backup| (backup.id.clone(), vec!["halted"]));
        Self { delete: Vec::new(), keep: keep.collect(), halted: Some(why) }
    }

    /// The same, but that these stay, whose files could not be read: they are told last.
    #[must_use]
    pub fn sparing(mut self, unread: &BTreeSet<String>) -> Self {
        let (stay, go) = self.delete.into_iter().partition(|id| unread.contains(id));
        self.delete = go;
        let stay: Vec<String> = stay;
        self.keep.extend(stay.into_iter().map(|id| (id, vec!["unreadable"])));
        self
    }
}

fn in_order(backups: &[Kept]) -> Vec<&Kept> {
    let mut sorted: Vec<&Kept> = backups.iter().collect();
    sorted.sort_by(|one, other| (one.number, &one.id).cmp(&(other.number, &other.id)));
    sorted
}

/// Those of which it is unclear what they are, each with why. They stay, and count for no rule: nobody knows what each would
/// be kept for.
pub fn unclear(entries: &[Entry]) -> Vec<(String, String)> {
    let each = entries.iter().filter_map(|entry| {
        let fault = entry.faults.iter().find(|fault| fault.is_unclear())?;
        Some((entry.id.clone(), fault.to_string()))
    });
    each.collect()
}

/// Decides. A backup that is not proven counts for no rule but `within`: seven days of bad backups must not push out the
/// last good one. Nor does one of the future, which was made while the clock was ahead: it takes no good one's day. One of a
/// time that does not fit its place takes none either, and counts among the last.
pub fn decide(backups: &[Kept], keep: &Keep, now: Timestamp) -> Decision {
    let sorted = in_order(backups);
    let Some(newest) = sorted.last() else {
        return Decision { delete: Vec::new(), keep: Vec::new(), halted: None };
    };
    if !newest.proven {
        return Decision::halted(
            backups,
            format!("the newest backup, {}, is not proven", newest.id),
        );
    }
    if newest.made > now {
        return Decision::halted(
            backups,
            format!("{} is of the future: this host's clock has been set back", newest.id),
        );
    }
    let proven: Vec<&Kept> = sorted.iter().rev().filter(|each| each.proven).copied().collect();
    let ruled: Vec<&Kept> = proven.iter().filter(|each| each.made <= now).copied().collect();
    let dated: Vec<&Kept> = ruled.iter().filter(|each| each.timely).copied().collect();
    let day = |backup: &Kept| backup.made.to_zoned(TimeZone::UTC).date();
    let week = |date: Date| (date.iso_week_date().year(), date.iso_week_date().week());
    let rules: [(&'static str, BTreeSet<&str>); 4] = [
        ("last", first_of_each(&ruled, keep.last, |backup| backup.id.clone())),
        ("daily", first_of_each(&dated, keep.daily, |backup| day(backup))),
        ("weekly", first_of_each(&dated, keep.weekly, |backup| week(day(backup)))),
        ("monthly", first_of_each(&dated, keep.monthly, |b| (day(b).year(), day(b).month()))),
    ];
    let drilled = proven.iter().find(|each| each.drilled).map(|each| each.id.as_str());
    let mut decision = Decision { delete: Vec::new(), keep: Vec::new(), halted: None };
    let within = i64::try_from(keep.within.as_secs()).unwrap_or(i64::MAX);
    for backup in &sorted {
        let mut why: Vec<&'static str> = rules
            .iter()
            .filter(|(_, ids)| ids.contains(backup.id.as_str()))
            .map(|(rule, _)| *rule)
            .collect();
        if now.as_second().saturating_sub(backup.made.as_second()) < within {
            why.push("within");
        }
        if backup.id == newest.id {
            why.push("newest proven");
        }
        if Some(backup.id.as_str()) == drilled {
            why.push("newest drilled");
        }
        if why.is_empty() {
            decision.delete.push(backup.id.clone());
        } else {
            decision.keep.push((backup.id.clone(), why));
        }
    }
    decision
}

/// Of each period the newest, for so many periods.
fn first_of_each<'a, P: Ord>(
    newest_first: &[&'a Kept],
    count: u32,
    period: impl Fn(&Kept) -> P,
) -> BTreeSet<&'a str> {
    let (mut seen, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for backup in newest_first {
        if seen.len() >= count as usize {
            break;
        }
        if seen.insert(period(backup)) {
            ids.insert(backup.id.as_str());
        }
    }
    ids
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
