//! The sizes are held to a model of what journald deletes.

use proptest::prelude::*;

use super::*;

/// An archived or active file of one journal, in hours and bytes.
#[derive(Debug, Clone, Copy)]
struct File {
    head: u64,
    tail: u64,
    bytes: u64,
}

/// journald's limits, in its own terms. Hours, bytes.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_use: u64,
    max_file_size: u64,
    max_files: u64,
    file_age: u64,
    ceiling: u64,
}

impl Limits {
    fn of(journal: &Journal) -> Self {
        let hours = |span: Option<TimeSpan>| span.unwrap().as_secs() / 3600;
        Self {
            max_use: journal.max_use.unwrap().bytes(),
            max_file_size: journal.max_file_size.unwrap().bytes(),
            max_files: u64::from(journal.max_files.unwrap()),
            file_age: hours(journal.max_file_age),
            ceiling: hours(journal.max_retention),
        }
    }

    /// The age in hours of the youngest entry that was deleted, when each journal writes so many bytes an hour for so
    /// long. systemd:src/libsystemd/sd-journal/journal-vacuum.c, src/journal/journald-server.c.
    fn youngest_deleted(&self, rates: &[u64], hours: u64) -> Option<u64> {
        let mut archived: Vec<File> = Vec::new();
        let mut active: Vec<Option<File>> = vec![None; rates.len()];
        let mut youngest: Option<u64> = None;
        for now in 0..hours {
            for (slot, rate) in active.iter_mut().zip(rates) {
                let is_over = |file: &File| {
                    file.bytes + rate > self.max_file_size || now - file.head >= self.file_age
                };
                if let Some(file) = slot.filter(is_over) {
                    archived.push(file);
                    *slot = None;
                }
                let file = slot.get_or_insert(File { head: now, tail: now, bytes: 0 });
                file.tail = now;
                file.bytes += rate;
            }
            archived.sort_by_key(|file| file.head);
            loop {
                let used: u64 = archived.iter().map(|file| file.bytes).sum::<u64>()
                    + active.iter().flatten().map(|file| file.bytes).sum::<u64>();
                let Some(oldest) = archived.first().copied() else { break };
                let is_old = self.ceiling > 0 && now - oldest.head > self.ceiling;
                if used <= self.max_use && archived.len() as u64 <= self.max_files && !is_old {
                    break;
                }
                archived.remove(0);
                let age = now - oldest.tail;
                youngest = Some(youngest.map_or(age, |other| other.min(age)));
            }
        }
        youngest
    }
}

fn logs(keep: TimeSpan, budget: Option<u64>) -> Logs {
    Logs { keep, budget: budget.map(Size::from_bytes), ..Logs::default() }
}

const DAYS_90: TimeSpan = TimeSpan::from_days(90);

#[test]
fn the_obvious_setting_loses_a_month() {
    let hour = MIB;
    let obvious = Limits {
        max_use: 100 * GIB,
        max_file_size: 100 * GIB,
        max_files: 100,
        file_age: 30 * 24,
        ceiling: 90 * 24,
    };
    let youngest = obvious.youngest_deleted(&[hour], 400 * 24).unwrap() / 24;
    assert!((59..=61).contains(&youngest), "{youngest} days");
    // A size that is raised alone is capped by the number of files: 12.5 GB.
    let raised = Limits { max_file_size: 128 * MIB, ceiling: 0, ..obvious };
    let youngest = raised.youngest_deleted(&[20 * hour], 400 * 24).unwrap() / 24;
    assert!((20..30).contains(&youngest), "{youngest} days");
    let ours = Limits::of(&journal_for(&Journal::default(), &logs(DAYS_90, None), Some(400 * GIB)));
    assert_eq!(ours.youngest_deleted(&[20 * hour], 95 * 24), None);
}

#[test]
fn numbers_for_ordinary_disks() {
    let on = |size: u64| {
        let found = journal_for(&Journal::default(), &logs(DAYS_90, None), Some(size));
        let text = |size: Option<Size>| size.unwrap().to_string();
        let files = found.max_files.unwrap();
        [text(found.max_use), text(found.keep_free), text(found.max_file_size), files.to_string()]
    };
    assert_eq!(on(20 * GIB), ["5G", "2G", "51M", "929"]);
    assert_eq!(on(252 * GIB), ["45G", "4G", "460M", "929"]);
    assert_eq!(on(64 * MIB), ["16M", "6M", "1M", "844"]);
}

#[test]
fn explicit_keys_win_and_namespaces_share() {
    let explicit = Journal {
        max_use: Some("8G".parse().unwrap()),
        max_file_size: Some("128M".parse().unwrap()),
        rate_limit_burst: Some(1),
        storage: Some(Storage::Auto),
        ..Journal::default()
    };
    let mut logs = logs(DAYS_90, None);
    let mut source = crate::profile::schema::LogSource::named("signer".parse().unwrap());
    source.unit = Some("signer.service".parse().unwrap());
    logs.source.push(source);
    let found = journal_for(&explicit, &logs, Some(100 * GIB));
    assert_eq!(found.max_use, explicit.max_use);
    assert_eq!(found.storage, Some(Storage::Auto));
    assert_eq!((found.rate_limit_burst, found.rate_limit_interval), (Some(1), None));
    assert_eq!(found.max_retention, Some(TimeSpan::from_secs(0)));
    assert_eq!(parts(&logs), 1);
    logs.source[0].namespace = Some("signer".parse().unwrap());
    logs.budget = Some("20G".parse().unwrap());
    let found = journal_for(&Journal::default(), &logs, Some(100 * GIB));
    assert_eq!(found.max_use, Some("10G".parse().unwrap()));
}

#[test]
fn a_disk_that_is_too_small_is_told_what_would_do() {
    let room = Room {
        size: 100 * GIB,
        budget: 40 * GIB,
        keep_free: 4 * GIB,
        is_free_given: true,
        keep: DAYS_90,
    };
    assert_eq!(room.fits(None), Fits::PerDay(40 * GIB / 91));
    assert_eq!(room.fits(Some(100 * MIB)), Fits::PerDay(40 * GIB / 91));
    let Fits::Needs { budget, size } = room.fits(Some(GIB)) else { panic!("a GiB a day fits") };
    assert_eq!(size, budget + 4 * GIB);
    assert!((100 * GIB..101 * GIB).contains(&budget), "{budget}");
    let enough = Room { size, budget, ..room };
    assert!(matches!(enough.fits(Some(GIB)), Fits::PerDay(_)));
    let small = Room { size: 43 * GIB, ..room };
    assert_eq!(small.fits(None), Fits::Needs { budget: 40 * GIB, size: 44 * GIB });
}

proptest! {
    /// Whatever the disk and the retention, and whatever fits into the budget over it: nothing younger is deleted.
    #[test]
    fn nothing_younger_than_the_retention_is_deleted(
        days in 1u64..40,
        size in (32 * MIB)..(2000 * GIB),
        budget in proptest::option::of((16 * MIB)..(100 * GIB)),
        shares in proptest::collection::vec(1u64..100, 1..6),
        ceiling in proptest::bool::ANY,
    ) {
        let keep = TimeSpan::from_days(days);
        let logs = logs(keep, budget);
        let mut given = Journal::default();
        if ceiling {
            // The least that the profile may ask for.
            let least = keep.as_secs() + Logs::file_age(keep).as_secs();
            given.max_retention = Some(TimeSpan::from_secs(least));
        }
        let limits = Limits::of(&journal_for(&given, &logs, Some(size)));
        // As much as fits, but for the files that are being written and the span of the one that is deleted.
        let journals = shares.len() as u64;
        let room = limits.max_use.saturating_sub((journals + 1) * limits.max_file_size);
        let per_hour = room / (days * 24 + 2 * limits.file_age.max(1) + 2);
        let all: u64 = shares.iter().sum();
        let rates: Vec<u64> = shares.iter().map(|share| per_hour * share / all).collect();
        let youngest = limits.youngest_deleted(&rates, days * 24 * 2 + 100);
        prop_assert!(youngest.is_none_or(|age| age >= days * 24), "{youngest:?} {limits:?}");
    }

    /// The file system is never promised away, and the files are never what caps the bytes.
    #[test]
    fn the_numbers_fit_together(days in 1u64..3650, size in (16 * MIB)..(1u64 << 50)) {
        let keep = TimeSpan::from_days(days);
        let found = journal_for(&Journal::default(), &logs(keep, None), Some(size));
        let (max_use, free) = (found.max_use.unwrap().bytes(), found.keep_free.unwrap().bytes());
        let capped = found.max_file_size.unwrap().bytes() * u64::from(found.max_files.unwrap());
        prop_assert!(capped >= max_use);
        prop_assert!(max_use + free <= size);
        let by_age = keep.as_secs() / found.max_file_age.unwrap().as_secs() * JOURNALS;
        prop_assert!(u64::from(found.max_files.unwrap()) >= by_age);
    }

    #[test]
    fn what_is_said_to_do_does(rate in 0u64..(1 << 45), size in 0u64..(1 << 50), days in 1u64..3650) {
        let keep = TimeSpan::from_days(days);
        let on = |size: u64, budget: u64| {
            Room { size, budget, keep_free: kept_free(size), is_free_given: false, keep }
        };
        if let Fits::Needs { budget, size } = on(size, size / 4).fits(Some(rate)) {
            let enough = on(size, budget).fits(Some(rate));
            prop_assert!(matches!(enough, Fits::PerDay(_)), "{:?}", enough);
        }
    }
}
