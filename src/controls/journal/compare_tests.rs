//! Judging and planning without a host.

use std::collections::BTreeSet;

use super::*;
use crate::{
    controls::{
        dropin::{ConfFile, Foreign},
        journal::{desired::wishes, observed::Unflushed},
    },
    host::Reader,
    profile::schema::{Journal, Storage},
};

const STARTED: u64 = 1_790_000_000_000_000;
const BEFORE: u64 = STARTED - 5_000_000;
const AFTER: u64 = STARTED + 5_000_000;

fn profile() -> Vec<Wish> {
    wishes(&Journal {
        storage: Some(Storage::Persistent),
        max_use: Some("20G".parse().unwrap()),
        ..Journal::default()
    })
}

fn unit(active: &str) -> UnitStatus {
    UnitStatus {
        load: "loaded".into(),
        active: active.into(),
        file: "static".into(),
        changed: STARTED,
        begun: STARTED,
        ..UnitStatus::none(JOURNALD)
    }
}

fn file(path: &str, text: &str) -> ConfFile {
    ConfFile { path: path.into(), text: Ok(text.into()) }
}

fn head(tail: u64) -> Head {
    Head { archived: false, entries: 10, tail }
}

/// A host as it is after an apply.
fn applied() -> Compared {
    let wishes = profile();
    let ours = render(&wishes).unwrap();
    let observed = Observed {
        drop_in: Ok(FileState::config(ours.clone())),
        dir_exists: true,
        files: Ok(vec![file("/etc/systemd/journald.conf", "[Journal]\n"), file(DROP_IN, &ours)]),
        later: Vec::new(),
        newest: Ok(Some((DROP_IN.into(), BEFORE))),
        now: AFTER,
        journald: Ok(unit("active")),
        written: Ok(Written {
            disk_path: "/var/log/journal/id/system.journal".into(),
            disk: OnDisk::Journal(head(AFTER)),
            memory_path: "/run/log/journal/id/system.journal".into(),
            memory: None,
        }),
        unflushed: None,
    };
    Compared { wishes, observed }
}

fn failing(compared: &Compared) -> Vec<(String, String)> {
    let judged = compared.judge().into_iter();
    judged
        .filter_map(|judgement| match &judgement.verdict {
            Verdict::Holds { .. } => None,
            Verdict::Differs { observed } => Some((judgement.id(), observed.clone())),
            Verdict::Unknown { why } => Some((judgement.id(), format!("unknown: {why}"))),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn plan(compared: &Compared) -> Vec<Step> {
    let wanted: BTreeSet<String> = failing(compared).into_iter().map(|(id, _)| id).collect();
    compared.plan(&Wanted(&wanted))
}

fn done(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| crate::engine::session::describe(&step.change)).collect()
}

/// Puts a file among those that were found, as a real folder would give it.
fn with_later(compared: &mut Compared, name: &str, text: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join(DIR.trim_start_matches('/'));
    std::fs::create_dir_all(&dir).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    std::fs::write(dir.join(name), text).unwrap();
    let reader = Reader::below(root.path());
    compared.observed.later =
        Foreign::after(&reader, DIR, crate::controls::journal::observed::NAME).unwrap();
    compared.observed.files.as_mut().unwrap().push(file(&format!("{DIR}/{name}"), text));
    root
}

#[test]
fn an_applied_host_passes_and_has_no_plan() {
    let compared = applied();
    assert_eq!(failing(&compared), []);
    assert!(plan(&compared).is_empty());
    let ids: Vec<String> = compared.judge().iter().map(Judgement::id).collect();
    assert_eq!(
        ids,
        [
            "journal.config",
            "journal.effective/Storage",
            "journal.effective/SystemMaxUse",
            "journal.running",
            "journal.persistent"
        ]
    );
}

#[test]
fn a_blank_host_gets_folder_drop_in_and_restart() {
    let mut compared = applied();
    compared.observed.drop_in = Ok(FileState::Absent);
    compared.observed.dir_exists = false;
    compared.observed.files.as_mut().unwrap().pop();
    let failing = failing(&compared);
    assert_eq!(
        failing,
        [
            ("journal.config".into(), format!("{DROP_IN} is not there")),
            ("journal.effective/Storage".into(), "journald's own default: no file sets it".into()),
            (
                "journal.effective/SystemMaxUse".into(),
                "journald's own default: no file sets it".into()
            ),
        ]
    );
    let steps = plan(&compared);
    assert_eq!(
        done(&steps),
        [
            format!("make {DIR}/"),
            format!("write {DROP_IN}"),
            "restart systemd-journald.service".to_owned()
        ]
    );
    assert_eq!(steps[0].because.len(), 3);
}

#[test]
fn a_later_drop_in_is_named_and_set_aside() {
    let mut compared = applied();
    let _root = with_later(&mut compared, "zzz.conf", "[Journal]\nSystemMaxUse=10M\n");
    let expected = ("journal.effective/SystemMaxUse".to_owned(), format!("10M ({DIR}/zzz.conf:2)"));
    assert_eq!(failing(&compared), [expected]);
    assert_eq!(
        done(&plan(&compared)),
        [
            format!("write {DIR}/zzz.conf.set-aside-by-holdfast"),
            format!("remove {DIR}/zzz.conf"),
            "restart systemd-journald.service".to_owned()
        ]
    );
}

#[test]
fn a_later_drop_in_that_means_the_same_stays() {
    let mut compared = applied();
    let text = "[Journal]\nSystemMaxUse=20480M\nMaxLevelStore=info\n";
    let _root = with_later(&mut compared, "zzz.conf", text);
    assert_eq!(failing(&compared), []);
}

#[test]
fn a_later_file_that_cannot_be_moved_is_reported_and_not_promised_away() {
    let mut compared = applied();
    let runtime = file("/run/systemd/journald.conf.d/zzz.conf", "[Journal]\nSystemMaxUse=1G\n");
    compared.observed.files.as_mut().unwrap().push(runtime);
    let found = failing(&compared);
    assert_eq!(found[0].1, "1G (/run/systemd/journald.conf.d/zzz.conf:2)");
    assert!(plan(&compared).is_empty());
    // With something else to do, that alone is claimed.
    compared.observed.drop_in = Ok(FileState::Absent);
    let steps = plan(&compared);
    assert_eq!(done(&steps)[0], format!("write {DROP_IN}"));
    assert!(steps.iter().all(|step| step.because == ["journal.config"]), "{steps:?}");
}

#[test]
fn a_broken_main_file_is_named() {
    let mut compared = applied();
    compared.observed.files.as_mut().unwrap()[0].text = Ok("\n[Journal\n".into());
    let found = failing(&compared);
    assert_eq!(found.len(), 2);
    assert!(found[0].1.ends_with("section header at /etc/systemd/journald.conf:2"), "{found:?}");
    assert!(plan(&compared).is_empty());
}

#[test]
fn a_file_changed_after_the_start_asks_for_a_restart_only() {
    let mut compared = applied();
    compared.observed.newest = Ok(Some(("/etc/systemd/journald.conf".into(), AFTER)));
    let found = failing(&compared);
    assert_eq!(
        found,
        [(
            "journal.running".into(),
            "started 2026-09-21T14:13:20Z; /etc/systemd/journald.conf changed 2026-09-21T14:13:25Z"
                .to_owned()
        )]
    );
    assert_eq!(done(&plan(&compared)), ["restart systemd-journald.service"]);
}

#[test]
fn a_clock_that_was_set_back_is_no_drift() {
    let mut compared = applied();
    let future = AFTER + 3_600_000_000;
    compared.observed.newest = Ok(Some(("/etc/systemd/journald.conf".into(), future)));
    let judged = compared.judge();
    let running = judged.iter().find(|judged| judged.id() == "journal.running").unwrap();
    let Verdict::Unknown { why } = &running.verdict else { panic!("{running:?}") };
    assert!(why.contains("the clock was set back"), "{why}");
}

#[test]
fn what_journald_writes_before_systemd_has_noted_its_start_is_its_own() {
    let written = |tail: u64, ended: u64| {
        let unit = UnitStatus { ended, ..unit("active") };
        let disk = OnDisk::Journal(head(tail));
        let (disk_path, memory_path) = (String::new(), String::new());
        judge_written(&Written { disk_path, disk, memory_path, memory: None }, first_word(&unit))
    };
    let holds = |verdict: Verdict| matches!(verdict, Verdict::Holds { .. });
    assert!(holds(written(STARTED - 1_000, STARTED - 50_000)));
    assert!(!holds(written(STARTED - 60_000, STARTED - 50_000)), "of the one before");
    assert!(!holds(written(STARTED - 1_000, STARTED - 60_000_000)), "no restart");
    assert!(!holds(written(STARTED - 1_000, 0)) && !holds(written(STARTED - 1_000, STARTED + 1)));
}

#[test]
fn persistence_is_judged_by_what_was_written() {
    type Case = (OnDisk, Option<Head>, Option<&'static str>);
    let archived = Head { archived: true, ..head(AFTER) };
    let cases: &[Case] = &[
        (OnDisk::Journal(head(AFTER)), None, None),
        (OnDisk::Journal(head(AFTER)), Some(Head { entries: 0, ..head(0) }), None),
        (OnDisk::Journal(head(AFTER)), Some(head(BEFORE)), Some("10 entries are in memory only")),
        (OnDisk::Missing, None, Some("no /var/log/journal/id/system.journal")),
        (
            OnDisk::Missing,
            Some(head(AFTER)),
            Some("writes to memory (/run/log/journal/id/system.journal)"),
        ),
        (OnDisk::Other, None, Some("is no journal file")),
        (OnDisk::Journal(head(BEFORE)), Some(head(AFTER)), Some("journald writes to memory")),
        (OnDisk::Journal(archived), None, Some("is archived")),
        (OnDisk::Journal(head(BEFORE)), None, Some("nothing was written")),
    ];
    for (disk, memory, fault) in cases {
        let mut compared = applied();
        let written = compared.observed.written.as_mut().unwrap();
        (written.disk, written.memory) = (*disk, *memory);
        let found = failing(&compared);
        match fault {
            None => assert_eq!(found, []),
            Some(fault) => {
                assert_eq!(found.len(), 1, "{found:?}");
                assert_eq!(found[0].0, "journal.persistent");
                assert!(found[0].1.contains(fault), "{found:?}");
                assert_eq!(done(&plan(&compared)), ["restart systemd-journald.service"]);
            }
        }
    }
}

#[test]
fn a_journal_that_was_never_flushed_is() {
    for (active, verb, is_marked) in
        [("inactive", "start", false), ("active", "restart", false), ("active", "restart", true)]
    {
        let mut compared = applied();
        compared.observed.written.as_mut().unwrap().disk = OnDisk::Missing;
        compared.observed.unflushed = Some(Unflushed { unit: unit(active), is_marked });
        let mut expected = vec![
            "restart systemd-journald.service".to_owned(),
            format!("{verb} systemd-journal-flush.service"),
        ];
        if is_marked {
            expected.insert(0, "remove /run/systemd/journal/flushed".to_owned());
        }
        assert_eq!(done(&plan(&compared)), expected);
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_planned_for() {
    let mut compared = applied();
    compared.observed.drop_in = Err("cannot open it".into());
    compared.observed.files.as_mut().unwrap()[0].text = Err("cannot open it".into());
    compared.observed.newest = Err("cannot look".into());
    compared.observed.written = Err("cannot read".into());
    let found = failing(&compared);
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|(_, observed)| observed.starts_with("unknown: ")), "{found:?}");
}

#[test]
fn a_drop_in_of_a_section_that_is_empty_now_goes() {
    let mut compared = applied();
    compared.wishes = Vec::new();
    assert_eq!(failing(&compared).len(), 1);
    assert_eq!(
        done(&plan(&compared)),
        [format!("remove {DROP_IN}"), "restart systemd-journald.service".to_owned()]
    );
}
