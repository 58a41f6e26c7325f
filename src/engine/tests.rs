//! Properties of transactions, on a temporary root: undoing brings back exactly what was there, wherever it stopped.

use std::{collections::BTreeMap, fs, io::Write as _, os::unix::fs::MetadataExt as _, path::Path};

use proptest::prelude::*;

use super::{
    apply::{RollingBack, roll_back_to},
    change::{Change, Content, FileState, FileTime, Step},
    outcome::Applied,
    store::{Cause, Ending, Kind, Store},
    transaction::{Request, Transaction, recover, recover_files},
};
use crate::host::{Reader, Writer, lock::Lock};

/// A host in a temporary folder, and the store of its transactions.
struct Bench {
    dir: tempfile::TempDir,
    writer: Writer,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for path in ["etc", "etc/a", "etc/b", "var/lib/holdfast", "proc/sys/kernel/random"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let mut boot = fs::File::create(root.join("proc/sys/kernel/random/boot_id")).unwrap();
        boot.write_all(b"this boot").unwrap();
        let lock = Lock::exclusive(&dir.path().join("lock"), "test").unwrap();
        let writer = Writer::new(Reader::below(&root), lock);
        let store = Store::below(dir.path().join("state"));
        Self { dir, writer, store }
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("root/etc")
    }

    fn put(&self, path: &str, state: &FileState) {
        let change = Change::Put { path: path.to_owned(), to: state.clone() };
        run(self.writer.carry_out(&change)).unwrap();
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn request() -> Request {
    Request {
        kind: Kind::Apply,
        command: "test".into(),
        by: "test".into(),
        profile: None,
        despite: Vec::new(),
        confirm_within: None,
    }
}

/// Kind, mode, owner, times and content of everything below a folder.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if meta.is_dir() {
                folders.push(path.clone());
                String::new()
            } else {
                format!("{:?}", fs_read(&path))
            };
            let line = format!(
                "{:o} {}:{} {}.{:09} {content}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec()
            );
            found.insert(path.display().to_string(), line);
        }
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "the test's own files")]
fn fs_read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

fn paths() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["/etc/a/x", "/etc/a/y", "/etc/b/x", "/etc/z"]).prop_map(str::to_owned)
}

fn states() -> impl Strategy<Value = FileState> {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let mtime = (0..2_000_000_000_i64, 0..1_000_000_000_i64)
        .prop_map(|(seconds, nanoseconds)| Some(FileTime { seconds, nanoseconds }));
    let file = (prop::collection::vec(any::<u8>(), 0..64), 0..0o777_u32, mtime.clone()).prop_map(
        move |(bytes, mode, mtime)| FileState::File {
            content: Content::from_bytes(bytes),
            mode: mode | 0o600,
            uid,
            gid,
            xattrs: BTreeMap::new(),
            mtime,
        },
    );
    let link = ("[a-z]{1,8}", mtime).prop_map(move |(target, mtime)| FileState::Symlink {
        target,
        uid,
        gid,
        mtime,
    });
    prop_oneof![Just(FileState::Absent), file, link]
}

fn puts() -> impl Strategy<Value = Vec<(String, FileState)>> {
    prop::collection::vec((paths(), states()), 1..8)
}

fn steps(puts: Vec<(String, FileState)>) -> Vec<Step> {
    let step = |(path, to)| Step { change: Change::Put { path, to }, because: Vec::new() };
    puts.into_iter().map(step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was there, whatever is done, and wherever it stops: recovery brings back all of it.
    #[test]
    fn recovery_is_exact(there in puts(), done in puts(), stop in 0_usize..9, early: bool) {
        let bench = Bench::new();
        for (path, state) in &there {
            bench.put(path, state);
        }
        let before = tree(&bench.root());
        let done = steps(done);
        run(async {
            let mut transaction =
                Transaction::begin(&bench.writer, &bench.store, request(), done.clone()).await.unwrap();
            transaction.run_some(stop.min(done.len())).await;
            // dropped without an ending, as a kill leaves it
            drop(transaction);
            assert_eq!(bench.store.unfinished().unwrap(), [1]);
            if early {
                let back = recover_files(&bench.writer, &bench.store).await.unwrap();
                assert_eq!(back[0].unrestored, Vec::<String>::new());
                assert_eq!(tree(&bench.root()), before, "by files alone");
                assert_eq!(bench.store.unfinished().unwrap(), [1], "ends nothing");
            }
            let recovered = recover(&bench.writer, &bench.store).await.unwrap();
            assert_eq!(recovered[0].unrestored, Vec::<String>::new());
        });
        prop_assert_eq!(tree(&bench.root()), before);
        prop_assert!(bench.store.unfinished().unwrap().is_empty());
    }

    /// Committed transactions are returned from together, to before the first of them.
    #[test]
    fn rolling_back_many_is_exact(there in puts(), many in prop::collection::vec(puts(), 1..4)) {
        let bench = Bench::new();
        for (path, state) in &there {
            bench.put(path, state);
        }
        let before = tree(&bench.root());
        run(async {
            for done in many {
                let mut transaction =
                    Transaction::begin(&bench.writer, &bench.store, request(), steps(done)).await.unwrap();
                transaction.run(|_, _| ()).await.unwrap();
                transaction.commit(Applied::new()).await.unwrap();
            }
            let rolled = roll_back_to(&bench.writer, &bench.store, 1, request(), |_, _, _| ()).await;
            assert!(matches!(rolled.unwrap(), RollingBack::Done { .. }));
        });
        prop_assert_eq!(tree(&bench.root()), before);
    }

    /// A record reads back as it was written.
    #[test]
    fn records_round_trip(done in puts()) {
        let bench = Bench::new();
        let done = steps(done);
        let record = run(async {
            let transaction =
                Transaction::begin(&bench.writer, &bench.store, request(), done.clone()).await.unwrap();
            transaction.roll_back("because".into()).await;
            bench.store.record(1).unwrap()
        });
        prop_assert_eq!(record.begin.steps, done);
        let ending = Ending::RolledBack {
            why: "because".into(),
            cause: Cause::Failed,
            unrestored: Vec::new(),
            set_aside: Vec::new(),
        };
        prop_assert_eq!(record.end.unwrap().ending, ending);
    }
}

#[test]
fn a_staged_file_left_by_a_kill_is_cleared_away() {
    let bench = Bench::new();
    run(async {
        let done = steps(vec![("/etc/a/x".into(), FileState::config("new"))]);
        let mut transaction =
            Transaction::begin(&bench.writer, &bench.store, request(), done).await.unwrap();
        transaction.run_some(1).await;
        fs::File::create(bench.root().join("a/.x.holdfast-new")).unwrap();
        drop(transaction);
        recover(&bench.writer, &bench.store).await.unwrap();
    });
    assert_eq!(tree(&bench.root().join("a")), BTreeMap::new());
}

/// Begins a transaction that replaces `/etc/a/x`, and leaves it as a kill does.
fn interrupted(bench: &Bench) {
    bench.put("/etc/a/x", &FileState::config("before"));
    run(async {
        let done = steps(vec![("/etc/a/x".into(), FileState::config("ours"))]);
        let mut transaction =
            Transaction::begin(&bench.writer, &bench.store, request(), done).await.unwrap();
        transaction.run_some(1).await;
    });
}

fn names(bench: &Bench) -> Vec<String> {
    bench.writer.reader().files().list("/etc/a").unwrap()
}

fn text(bench: &Bench, path: &str) -> String {
    bench.writer.reader().files().text(path).unwrap().unwrap()
}

#[test]
fn an_edit_made_after_a_crash_is_set_aside() {
    let bench = Bench::new();
    interrupted(&bench);
    bench.put("/etc/a/x", &FileState::config("somebody's"));
    bench.put("/etc/a/x.set-aside-by-holdfast", &FileState::config("an earlier one"));
    let recovered = run(recover(&bench.writer, &bench.store)).unwrap();
    let beside = "/etc/a/x.set-aside-by-holdfast.2";
    assert_eq!(recovered[0].set_aside, [beside]);
    assert_eq!(recovered[0].unrestored, Vec::<String>::new());
    assert_eq!(text(&bench, "/etc/a/x"), "before");
    assert_eq!(text(&bench, beside), "somebody's");
    let end = bench.store.record(1).unwrap().end.unwrap().ending;
    assert!(matches!(end, Ending::RolledBack { set_aside, .. } if set_aside == [beside]));
}

#[test]
fn an_edit_that_was_set_aside_early_is_named_at_the_end() {
    let bench = Bench::new();
    interrupted(&bench);
    bench.put("/etc/a/x", &FileState::config("somebody's"));
    let beside = "/etc/a/x.set-aside-by-holdfast";
    let back = run(recover_files(&bench.writer, &bench.store)).unwrap();
    assert_eq!(back[0].set_aside, [beside]);
    assert_eq!(text(&bench, "/etc/a/x"), "before");
    assert_eq!(text(&bench, beside), "somebody's");
    // Once more, as after a crash in between: nothing is left to do.
    assert_eq!(run(recover_files(&bench.writer, &bench.store)).unwrap()[0].set_aside, [""; 0]);
    assert_eq!(run(recover(&bench.writer, &bench.store)).unwrap()[0].set_aside, [beside]);
    assert_eq!(names(&bench), ["x", "x.set-aside-by-holdfast"]);
}

#[test]
fn what_nobody_edited_is_not_set_aside() {
    let bench = Bench::new();
    interrupted(&bench);
    run(recover(&bench.writer, &bench.store)).unwrap();
    assert_eq!(names(&bench), ["x"]);
    assert_eq!(text(&bench, "/etc/a/x"), "before");
}

#[test]
fn tries_are_counted_beside_the_steps() {
    let bench = Bench::new();
    interrupted(&bench);
    let tries = (1..1000).find(|_| !bench.store.try_again(1, 1));
    assert_eq!(tries, Some(240));
    assert_eq!(bench.store.record(1).unwrap().begun, 1);
}

#[test]
fn a_damaged_record_is_named() {
    let bench = Bench::new();
    run(async {
        let transaction =
            Transaction::begin(&bench.writer, &bench.store, request(), Vec::new()).await;
        transaction.unwrap().commit(Applied::new()).await.unwrap();
    });
    let path = bench.dir.path().join("state/transactions/000001/begin.json");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(10).unwrap();
    let error = bench.store.records().unwrap_err().to_string();
    assert!(error.contains("000001/begin.json is damaged"), "{error}");
}

#[test]
fn the_oldest_transactions_are_forgotten_and_never_the_applied_one() {
    let bench = Bench::new();
    run(async {
        for id in 1..=205_u64 {
            let transaction =
                Transaction::begin(&bench.writer, &bench.store, request(), Vec::new())
                    .await
                    .unwrap();
            if id == 2 {
                transaction.commit(Applied::new()).await.unwrap();
            } else {
                transaction.roll_back("a test".into()).await;
            }
        }
    });
    // For whoever has recorded them.
    bench.store.prune().unwrap();
    let ids = bench.store.ids().unwrap();
    assert_eq!((ids[0], ids[1], ids.len()), (2, 6, 201));
    assert_eq!(bench.store.applied().unwrap().unwrap().0, 2);
}
