//! Media that fail, and a ceremony that is killed: told as what it is, and nothing half is left that looks whole.

use super::*;

/// Whether what is on a medium under a finished name opens, and nothing unfinished looks like it.
fn whole_or_nothing(host: &Host, who: &str, what: &str) -> bool {
    let folders = sh(host, &format!("ls -d /media/{who}/holdfast-* 2>/dev/null || true"));
    for folder in folders.lines() {
        let opened = host.sh(&format!("age -d -i /root/k/{who}.txt {folder}/signer.age")).unwrap();
        assert_eq!(opened.stdout, format!("{KEY}\n"), "{what}: {folder} looks whole and is not");
    }
    !folders.is_empty()
}

on_hosts! {
    Image::Postgres;
    /// Full, read-only, failing: told as what it is, with nothing left that looks whole, and the same command goes on.
    fn a_medium_that_fails_leaves_nothing_that_looks_whole(host: &Host) {
        prepare(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        replan(host, "$a [[exception]]\\ncheck = \"removable\"\\nreason = \"a test\"");
        replan(host, "$a [[exception]]\\ncheck = \"traced\"\\nreason = \"a test\"");
        done(host, "rehearse");
        sh(host, "rm -r /media/*/REHEARSAL-*");

        // No exception makes a medium of a folder of the host's own disk.
        sh(host, "umount /media/bob");
        let own = refused(host, "export", 1);
        assert!(own.contains("medium usb-2: /media/bob: nothing is mounted there"), "{own}");
        sh(host, "mkdir /root/own && mount --bind /root/own /media/bob");
        let own = refused(host, "export", 1);
        assert!(own.contains("medium usb-2: /media/bob: what is mounted there is this host's own disk"), "{own}");
        assert!(!whole_or_nothing(host, "bob", "no medium"));
        sh(host, "umount /media/bob; test -z \"$(ls -A /media/bob)\"; mount -t tmpfs -o size=4k medium /media/bob");
        let full = refused(host, "export", 1);
        assert!(full.contains("medium usb-2") && full.contains("is full"), "{full}");
        assert!(whole_or_nothing(host, "alice", "full") && !whole_or_nothing(host, "bob", "full"));
        let (_, all) = inspect(host, &[]);
        // Two that began in one second are listed by their kind.
        let exports = all["ceremonies"].as_array().unwrap().iter().find(|it| it["kind"] == "export");
        assert!(exports.unwrap()["done"].is_null(), "{all}");

        sh(host, "mount -o remount,ro,size=1M /media/bob");
        let read_only = refused(host, "export", 1);
        assert!(read_only.contains("mounted read-only"), "{read_only}");
        sh(host, "mount -o remount,rw /media/bob");

        for error in ["EIO", "ENODEV"] {
            for call in ["fsync", "renameat2", "mkdir"] {
                for when in 1..=8 {
                    let what = format!("{call} {when} fails with {error}");
                    let script = format!("strace -o /root/trace -e trace={call} -e inject={call}:error={error}:when={when} holdfast key export {PLAN} --answers /root/k/answers.toml");
                    let output = host.sh(&script).unwrap();
                    assert!(!output.stderr.contains("panicked"), "{what}: {}", output.stderr);
                    whole_or_nothing(host, "bob", &what);
                    let hit = sh(host, "grep -c INJECTED /root/trace || true");
                    if hit.trim() == "0" {
                        // An export of its own for the next kind of call.
                        replan(host, "$a # Another plan.");
                        break;
                    }
                    assert_eq!(output.status, Some(1), "{what}: {}", output.stderr);
                }
            }
        }
        done_after_all(host);
    }
}

/// The ceremony that was interrupted comes to its end, or has come to it; and both media open.
fn done_after_all(host: &Host) {
    let (_, all) = inspect(host, &[]);
    let unfinished =
        all["ceremonies"].as_array().unwrap().iter().any(|each| each["done"].is_null());
    if unfinished {
        done(host, "export");
    }
    for who in ["alice", "bob"] {
        assert!(whole_or_nothing(host, who, "at the end"), "{who} has nothing");
    }
}

on_hosts! {
    Image::Postgres;
    /// Killed as it enters any call that changes something.
    fn a_ceremony_that_is_killed_goes_on_and_leaves_nothing_half(host: &Host) {
        prepare(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        replan(host, "$a [[exception]]\\ncheck = \"traced\"\\nreason = \"a test\"");
        done(host, "rehearse");
        sh(host, "rm -r /media/*/REHEARSAL-*");
        let mut kills = 0;
        for call in ["fsync", "renameat2", "mkdir", "rename"] {
            for when in 1..=40 {
                let what = format!("killed at {call} {when}");
                let script = format!("strace -o /root/trace -e trace={call} -e inject={call}:signal=KILL:when={when} holdfast key export {PLAN} --answers /root/k/answers.toml");
                let output = host.sh(&script).unwrap();
                whole_or_nothing(host, "alice", &what);
                whole_or_nothing(host, "bob", &what);
                let children = host.sh("for _ in $(seq 100); do pgrep -x exe || exit 0; sleep 0.1; done").unwrap();
                assert_eq!(children.stdout.lines().count(), 0, "{what}: the child lives on");
                if output.status == Some(2) {
                    break;
                }
                kills += 1;
            }
            // The next kind of call begins with a ceremony of its own, of another plan, on empty media.
            replan(host, "$a # Another plan.");
            sh(host, "rm -rf /media/alice/holdfast-* /media/bob/holdfast-*");
        }
        assert!(kills > 10, "only {kills} kills");
        done(host, "export");
        for who in ["alice", "bob"] {
            assert!(whole_or_nothing(host, who, "at the end"), "{who} has nothing");
        }
    }
}
