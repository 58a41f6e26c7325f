//! Which backups are kept: a pure decision over what signed manifests say.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::profile::schema::Keep;

/// What of a backup its keeping goes by. The time is that of its manifest, which the host has signed: a file's own can be
/// set by anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub made: Timestamp,
    /// Whether it was proven, and is still there as it was.
    pub proven: bool,
    /// Whether it is proven by having been restored as a whole.
    pub drilled: bool,
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

/// Decides. A backup that is not proven counts for no rule but `within`: seven days of bad backups must not push out the
/// last good one.
pub fn decide(backups: &[Kept], keep: &Keep, now: Timestamp) -> Decision {
    let mut sorted: Vec<&Kept> = backups.iter().collect();
    sorted.sort_by(|one, other| (one.made, &one.id).cmp(&(other.made, &other.id)));
    let all = |why: &'static str| {
        sorted.iter().map(|backup| (backup.id.clone(), vec![why])).collect::<Vec<_>>()
    };
    let halt =
        |why: String| Decision { delete: Vec::new(), keep: all("halted"), halted: Some(why) };
    let Some(newest) = sorted.last() else {
        return Decision { delete: Vec::new(), keep: Vec::new(), halted: None };
    };
    if !newest.proven {
        return halt(format!("the newest backup, {}, is not proven", newest.id));
    }
    if newest.made > now {
        return halt(format!(
            "{} is of the future: this host's clock has been set back",
            newest.id
        ));
    }
    let proven: Vec<&Kept> = sorted.iter().rev().filter(|each| each.proven).copied().collect();
    let day = |backup: &Kept| backup.made.to_zoned(TimeZone::UTC).date();
    let week = |date: Date| (date.iso_week_date().year(), date.iso_week_date().week());
    let rules: [(&'static str, BTreeSet<&str>); 4] = [
        ("last", first_of_each(&proven, keep.last, |backup| backup.id.clone())),
        ("daily", first_of_each(&proven, keep.daily, |backup| day(backup))),
        ("weekly", first_of_each(&proven, keep.weekly, |backup| week(day(backup)))),
        ("monthly", first_of_each(&proven, keep.monthly, |b| (day(b).year(), day(b).month()))),
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::types::TimeSpan;

    const NOW: i64 = 1_790_000_000;
    const DAY: i64 = 86_400;

    fn backup(days_ago: i64, proven: bool) -> Kept {
        let made = Timestamp::from_second(NOW - days_ago * DAY).unwrap();
        Kept { id: format!("{days_ago:04}"), made, proven, drilled: proven && days_ago % 7 == 3 }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    fn keep(last: u32, daily: u32, weekly: u32, monthly: u32) -> Keep {
        Keep { last, daily, weekly, monthly, within: TimeSpan::from_secs(0) }
    }

    #[test]
    fn a_year_of_days_comes_to_days_weeks_and_months() {
        let backups: Vec<_> = (0..365).map(|ago| backup(ago, true)).collect();
        let decision = decide(&backups, &keep(1, 7, 5, 12), now());
        assert_eq!(decision.halted, None);
        // 7 days, of which one or two are a week's too; 12 months, of which one or two are a week's or a day's.
        assert!((19..=22).contains(&decision.keep.len()), "{:?}", decision.keep);
        assert_eq!(decision.keep.len() + decision.delete.len(), 365);
    }

    #[test]
    fn bad_days_push_out_nothing_good() {
        let mut backups: Vec<_> = (1..60).map(|ago| backup(ago, false)).collect();
        backups.extend([backup(60, true), backup(0, true)]);
        let decision = decide(&backups, &keep(1, 2, 0, 0), now());
        let kept: Vec<_> = decision.keep.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(kept, ["0060", "0000"]);
    }

    #[test]
    fn nothing_goes_while_the_newest_is_unproven_or_of_the_future() {
        let backups = [backup(400, true), backup(300, true), backup(0, false)];
        let decision = decide(&backups, &keep(1, 0, 0, 0), now());
        assert!(decision.delete.is_empty() && decision.keep.len() == 3);
        assert_eq!(decision.halted.unwrap(), "the newest backup, 0000, is not proven");
        let decision = decide(&[backup(400, true), backup(-1, true)], &keep(1, 0, 0, 0), now());
        assert!(decision.delete.is_empty() && decision.halted.unwrap().contains("clock"));
    }

    fn shelf() -> impl Strategy<Value = (Vec<Kept>, Keep)> {
        let backups = prop::collection::btree_map(0..800i64, any::<bool>(), 0..60);
        let keep = (1..5u32, 0..10u32, 0..6u32, 0..6u32, 0..20u64);
        (backups, keep).prop_map(|(backups, (last, daily, weekly, monthly, days))| {
            let backups = backups.into_iter().map(|(ago, proven)| backup(ago, proven));
            let within = TimeSpan::from_days(days);
            (backups.collect(), Keep { last, daily, weekly, monthly, within })
        })
    }

    proptest! {
        #[test]
        fn each_is_kept_or_deleted_and_the_newest_proven_is_kept((backups, rules) in shelf()) {
            let decision = decide(&backups, &rules, now());
            let mut all: Vec<_> = decision.delete.clone();
            all.extend(decision.keep.iter().map(|(id, _)| id.clone()));
            all.sort();
            let mut ids: Vec<_> = backups.iter().map(|each| each.id.clone()).collect();
            ids.sort();
            prop_assert_eq!(all, ids);
            let newest = backups.iter().filter(|each| each.proven).max_by_key(|each| each.made);
            if let Some(newest) = newest {
                prop_assert!(!decision.delete.contains(&newest.id));
            }
            let drilled = backups.iter().filter(|each| each.drilled).max_by_key(|each| each.made);
            if let Some(drilled) = drilled {
                prop_assert!(!decision.delete.contains(&drilled.id));
            }
            if backups.iter().max_by_key(|each| each.made).is_some_and(|each| !each.proven) {
                prop_assert!(decision.delete.is_empty());
            }
        }

        #[test]
        fn deciding_again_over_what_is_left_deletes_nothing_more((backups, rules) in shelf()) {
            let first = decide(&backups, &rules, now());
            let left: Vec<_> =
                backups.into_iter().filter(|each| !first.delete.contains(&each.id)).collect();
            prop_assert_eq!(decide(&left, &rules, now()).delete, Vec::<String>::new());
        }

        #[test]
        fn what_is_young_enough_stays((backups, rules) in shelf()) {
            let decision = decide(&backups, &rules, now());
            let within = i64::try_from(rules.within.as_secs()).unwrap();
            for each in backups {
                let age = NOW - each.made.as_second();
                prop_assert!(age >= within || !decision.delete.contains(&each.id));
            }
        }
    }
}
