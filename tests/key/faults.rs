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
        a_medium_that_is_not_synced_does_not_count(host);
        done_after_all(host);
    }
}

/// The calls that bring a medium onto its device, each of them failing by itself: strace fails those about the medium only.
fn a_medium_that_is_not_synced_does_not_count(host: &Host) {
    take_out(host, "bob");
    sh(host, "rm -rf /media/alice/*");
    refused(host, "export", 1);
    sh(host, "mount -t tmpfs -o size=1M medium /media/bob");
    let name = sh(host, "ls /var/lib/holdfast/ceremonies | grep -- -export | tail -n 1");
    let named = format!("/holdfast-{}-usb-2", name.trim());
    let unfinished = |file: &str| format!("/.holdfast-unfinished{file}");
    for (path, when) in [
        (unfinished("/signer.age"), 1),
        (unfinished("/README.txt"), 1),
        (unfinished("/ceremony.json"), 1),
        (unfinished(""), 1),
        // Before it is read back.
        (unfinished("/signer.age"), 2),
        (named, 1),
        (String::new(), 1),
    ] {
        let what = format!("fsync {when} of {path} fails");
        let script = format!(
            "strace -o /root/trace -P /media/bob{path} -e trace=fsync -e inject=fsync:error=EIO:when={when} holdfast key export {PLAN} --answers /root/k/answers.toml"
        );
        let output = host.sh(&script).unwrap();
        let told = output.stderr.contains("medium usb-2: ") && output.stderr.contains("is damaged");
        assert!(output.status == Some(1) && told, "{what}: {}", output.stderr);
        sh(host, "grep -q INJECTED /root/trace");
        whole_or_nothing(host, "bob", &what);
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

/// Brings the key back into `/root/put/key`, while its process is failed by strace in this way. That process refuses to be
/// traced as it begins, so it is met where it waits for an identity: it has opened the pipe. Says whether strace failed
/// anything, and how the restore ended.
fn restored_with(host: &Host, export: &str, inject: &str) -> (bool, Output) {
    let call = inject.split(':').next().unwrap();
    let script = format!(
        "cd /root && rm -rf id ended trace put && mkfifo id && mkdir put
        (code=0; holdfast key restore {export} --medium /media/alice --identity /root/id --answers k/answers.toml --to /root/put/key 2>said || code=$?; echo $code >ended) &
        exec 3>id
        child=$(pgrep -x exe)
        strace -p $child -o trace -e trace={call} -e inject={inject} 2>strace-said 3>&- &
        for _ in $(seq 600); do
            grep -q 'TracerPid:.[1-9]' /proc/$child/status && break
            sleep 0.1
        done
        grep -q 'TracerPid:.[1-9]' /proc/$child/status || {{ cat strace-said >&2; exit 99; }}
        cat k/alice.txt >&3; exec 3>&-
        wait
        cat said >&2; exit $(cat ended)"
    );
    let output = host.sh(&script).unwrap();
    assert_ne!(output.status, Some(99), "{inject}: {output}");
    let hit = sh(host, "grep -c INJECTED /root/trace || true");
    (hit.trim() != "0", output)
}

on_hosts! {
    Image::Postgres;
    /// A key that is brought back is in its file, whole, or nowhere.
    fn a_key_that_cannot_be_brought_back_leaves_nothing(host: &Host) {
        prepare(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        sh(host, "echo 'restore = \"yes\"' >>/root/k/answers.toml");
        let export = done(host, "export");
        let put = "cd /root/put && for file in $(ls -A); do stat -c '%n %a' $file; cat $file; done";
        let whole = format!("key 400\n{KEY}");
        for call in ["linkat", "fsync", "write"] {
            let mut hits = 0;
            for when in 1..=20 {
                let inject = format!("{call}:error=EIO:when={when}");
                let (hit, output) = restored_with(host, &export, &inject);
                let left = sh(host, put);
                if !hit {
                    assert_eq!((output.status, left.as_str()), (Some(0), whole.as_str()), "{inject}: {output}");
                    break;
                }
                hits += 1;
                assert_eq!(output.status, Some(1), "{inject}: {output}");
                // What its process could only not say is done.
                assert!(left.is_empty() || left == whole && call == "write", "{inject}: {left}");
                let told = output.stderr.contains("/root/put/key: Input/output error");
                assert!(told || call == "write", "{inject}: {output}");
            }
            // The name; the file and its folder; two answers and the file, at least.
            let expected = if call == "write" { 3..20 } else if call == "fsync" { 2..3 } else { 1..2 };
            assert!(expected.contains(&hits), "{call} failed {hits} times");
        }
        // A file system that is full, and no fault of strace's.
        sh(host, "mkdir /root/small && mount -t tmpfs -o size=4k small /root/small && head -c 4096 /dev/zero >/root/small/full");
        let full = holdfast(host, &["key", "restore", &export, "--medium", "/media/alice", "--identity", "/root/k/alice.txt", "--answers", "/root/k/answers.toml", "--to", "/root/small/key"]);
        assert!(full.status == Some(1) && full.stderr.contains("No space left on device"), "{}", full.stderr);
        assert_eq!(sh(host, "ls -A /root/small"), "full\n");
    }
}
