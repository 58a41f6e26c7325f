//! Shelves of years, under clocks of every kind.

use proptest::prelude::*;

use super::*;
use crate::profile::types::TimeSpan;

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

fn backup(days_ago: i64, proven: bool) -> Kept {
    let made = Timestamp::from_second(NOW - days_ago * DAY).unwrap();
    let number = 10_000_u64.saturating_add_signed(-days_ago);
    let drilled = proven && days_ago % 7 == 3;
    Kept { id: format!("{days_ago:04}"), number, made, proven, drilled, timely: true }
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

/// A month ahead of the time, once: whatever was made then keeps its place, takes no other's, and goes in its turn.
#[test]
fn a_run_under_a_clock_ahead_spoils_nothing() {
    let mut backups: Vec<_> = (0..20).map(|ago| backup(ago, true)).collect();
    let before = decide(&backups, &keep(1, 7, 0, 0), now());
    let ahead = Kept { number: backups[3].number, ..backup(-30, true) };
    backups[3].number -= 1;
    for each in &mut backups[4..] {
        each.number -= 1;
    }
    backups.push(ahead.clone());
    let mut decision = decide(&backups, &keep(1, 7, 0, 0), now());
    let place = decision.keep.iter().position(|(id, _)| *id == ahead.id).unwrap();
    assert_eq!(decision.keep.remove(place).1, ["within"]);
    assert_eq!(decision, before);
    let later = Timestamp::from_second(NOW + 31 * DAY).unwrap();
    let decision = decide(&backups, &keep(1, 1, 0, 0), later);
    assert_eq!((decision.halted, decision.keep.len()), (None, 2), "the newest, and the drilled");
}

/// Forty days behind the time, once, at any place: the real ones keep their days, weeks and months.
#[test]
fn a_run_under_a_clock_behind_spoils_nothing() {
    let rules = keep(1, 7, 5, 12);
    let real: Vec<_> = (0..100).map(|ago| backup(ago, true)).collect();
    let before = decide(&real, &rules, now());
    for at in [1, 5, 30] {
        let mut backups = real.clone();
        let made = Timestamp::from_second(NOW - (40 + at) * DAY).unwrap();
        let number = backups[usize::try_from(at).unwrap()].number;
        for each in backups.iter_mut().filter(|each| each.number >= number) {
            each.number += 1;
        }
        backups.push(Kept { id: "behind".into(), number, made, drilled: false, ..real[0].clone() });
        let times: BTreeSet<_> = backups.iter().map(|each| (each.number, each.made)).collect();
        let fits = timely(&times.into_iter().collect::<Vec<_>>());
        for each in &mut backups {
            each.timely = fits.contains(&(each.number, each.made));
            assert_eq!(each.timely, each.id != "behind");
        }
        let mut decision = decide(&backups, &rules, now());
        decision.delete.retain(|id| id != "behind");
        assert_eq!(decision, before, "{at}");
    }
}

#[test]
fn most_clocks_are_right() {
    let fits = |days: &[i64]| {
        let time = |day: &i64| Timestamp::from_second(NOW + day * DAY).unwrap();
        let times: Vec<_> = (1..).zip(days.iter().map(time)).collect();
        let found = timely(&times);
        let places = times.iter().enumerate().filter(|(_, time)| found.contains(time));
        places.map(|(place, _)| days[place]).collect::<Vec<_>>()
    };
    assert_eq!(fits(&[]), [0; 0]);
    assert_eq!(fits(&[1, 2, 2, 3]), [1, 2, 2, 3]);
    assert_eq!(fits(&[1, 2, 43, 4, 5]), [1, 2, 4, 5], "ahead");
    assert_eq!(fits(&[1, 2, -37, 4, 5]), [1, 2, 4, 5], "behind");
    assert_eq!(fits(&[1, 2, 3, -37]), [1, 2, 3], "and still is");
    assert_eq!(fits(&[41, 42, 1, 2, 3, 4]), [1, 2, 3, 4], "from the beginning");
    assert_eq!(fits(&[9, 1]), [9, 1], "nobody knows which");
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
        let newest = backups.iter().filter(|each| each.proven).max_by_key(|each| each.number);
        if let Some(newest) = newest {
            prop_assert!(!decision.delete.contains(&newest.id));
        }
        let drilled = backups.iter().filter(|each| each.drilled).max_by_key(|each| each.number);
        if let Some(drilled) = drilled {
            prop_assert!(!decision.delete.contains(&drilled.id));
        }
        if backups.iter().max_by_key(|each| each.number).is_some_and(|each| !each.proven) {
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
