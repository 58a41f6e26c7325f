//! What goes wrong in the middle: each stage is held still, something is done to it, and it goes on.

use std::time::Duration;

use super::*;

/// A database whose dump takes long enough to be met in its middle.
fn large(host: &Host) {
    let database = Database { stacks_blocks: 60_000, ..database(rows(&group())) };
    prepare(host, &database);
}

/// Runs a backup, stops a program of an account in it once `when` is so, does `act` (in which `$run` is holdfast's own
/// process), and lets it go on. Gives the exit code and what was said.
fn amid(
    host: &Host,
    args: &str,
    account: &str,
    program: &str,
    when: &str,
    act: &str,
) -> (String, i32, String) {
    let script = format!(
        "holdfast backup run {args} signer-db >/tmp/run.out 2>/tmp/run.err & run=$!
         for _ in $(seq 6000); do
             {when} && pkill -STOP -u {account} -x {program} && break
             kill -0 $run 2>/dev/null || {{ echo 'it was over too soon' >&2; cat /tmp/run.err >&2; exit 99; }}
             sleep 0.01
         done
         pgrep -u {account} -x {program} >/dev/null || {{ echo 'it never came to that' >&2; exit 99; }}
         {act}
         pkill -CONT -u {account} -x {program} || :
         code=0; wait $run || code=$?
         cat /tmp/run.err; exit $code"
    );
    for _ in 0..TRIES {
        let before = shelf(host);
        let output = host.command(["sh", "-euc", &script]).unwrap().limit(PATIENCE).run().unwrap();
        if output.status != Some(99) {
            return (before, output.status.unwrap_or(-1), output.stdout);
        }
        eprintln!("{program}: {}", output.stderr);
    }
    panic!("{program} was never met");
}

/// How often a run is tried to be met in its middle.
const TRIES: usize = 5;

/// Of machines that have much else to do.
const PATIENCE: Duration = Duration::from_secs(400);

/// That nothing of a killed run runs on, and nothing looks like a backup that is none.
fn assert_only_what_was(host: &Host, before: &str) {
    let quiet = "for _ in $(seq 600); do pgrep -u holdfast-backup,holdfast-proof >/dev/null || exit 0; sleep 0.1; done; ps aux; exit 1";
    host.sh(quiet).unwrap().ok().unwrap();
    let names = format!("cd {STORE} && sha256sum *");
    assert_eq!(host.sh(&names).unwrap().ok().unwrap().stdout, before);
    assert_eq!(backup(host, &["list"]).0, 0);
}

const WHENEVER: &str = ":";

/// Kills holdfast. One that has ended meanwhile, or has finished its files, was met too late: what was held still was going
/// away already.
const KILL: &str = "killed=0; kill -9 $run || killed=$?
    if test $killed != 0 || ! ls -A /var/backups/holdfast | grep -q unfinished; then
        pkill -CONT -u holdfast-backup,holdfast-proof || :
        echo 'it was over already' >&2; cat /tmp/run.err >&2; exit 99
    fi";

on_hosts! {
    Image::Postgres;
    /// The dump is cut off: its program is killed, its server goes away, the disk is filled by somebody else.
    fn a_dump_that_is_cut_off_is_no_backup(host: &Host) {
        host.sh(&format!("mkdir -p {FOLDER} && mount -t tmpfs -o size=256M,mode=700 tmpfs {FOLDER}")).unwrap().ok().unwrap();
        large(host);
        make(host, true);
        let amid_dump = |when: &str, act: &str| {
            let (before, exit, said) = amid(host, "", "holdfast-backup", "pg_dump", when, act);
            assert_eq!(exit, 1, "{act}: {said}");
            assert_eq!(shelf(host), before, "{act}: {said}");
            let left = host.sh(&format!("ls -A {FOLDER} | grep unfinished")).unwrap().stdout;
            assert_eq!(left, "", "{act}");
            said
        };
        let class = "ionice -p $(pgrep -u holdfast-backup -x pg_dump) >/tmp/class";
        let said = amid_dump(WHENEVER, &format!("{class}; pkill -KILL -u holdfast-backup -x pg_dump"));
        assert_eq!(host.read("/tmp/class").unwrap(), b"idle\n");
        assert!(said.contains("pg_dump made no whole dump"), "{said}");
        let flowing = format!("test $(stat -c %s {FOLDER}/*.unfinished 2>/dev/null || echo 0) -gt 0");
        let said = amid_dump(&flowing, &format!("dd if=/dev/zero of={FOLDER}/.filler bs=1M 2>/dev/null || :"));
        // Whichever comes first: that it looks how much is free, or that it cannot write.
        assert!(said.contains("not enough room") || said.contains("No space left"), "{said}");
        eprintln!("filled amid the dump: {said}");
        host.sh(&format!("rm {FOLDER}/.filler")).unwrap().ok().unwrap();
        let said = amid_dump(WHENEVER, "systemctl kill -s QUIT 'postgresql@*.service'");
        assert!(said.contains("pg_dump made no whole dump"), "{said}");
        let again = "systemctl reset-failed 'postgresql@*' || :; systemctl restart postgresql@$(pg_lsclusters -h | cut -d' ' -f1)-main
            for _ in $(seq 600); do runuser -u postgres -- psql -qc 'SELECT 1' signer >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1";
        host.sh(again).unwrap().ok().unwrap();
        make(host, true);
        assert_eq!(backup(host, &["list"]).0, 0);
    }
}

on_hosts! {
    Image::Postgres;
    /// holdfast itself is killed at each stage: nothing of it runs on, nothing looks like a backup, and the next run clears
    /// what it left.
    fn a_killed_run_leaves_nothing_that_looks_like_a_backup(host: &Host) {
        large(host);
        make(host, true);
        let stages = [
            ("", "holdfast-backup", "pg_dump"),
            ("", "holdfast-proof", "postgres"),
            ("", "holdfast-proof", "pg_restore"),
            ("--drill", "holdfast-proof", "pg_restore"),
        ];
        for (args, account, program) in stages {
            let (before, exit, said) = amid(host, args, account, program, WHENEVER, KILL);
            assert_eq!(exit, 137, "{program}: {said}");
            assert_only_what_was(host, &before);
            let left = host.sh(&format!("ls -A {FOLDER} | grep -c unfinished")).unwrap().stdout;
            assert_eq!(left.trim(), "1", "{program}: it was met before it was finished");
            let manifest = make(host, true);
            assert_nothing_left(host);
            let left = host.sh(&format!("ls -A {FOLDER} | grep unfinished")).unwrap().stdout;
            assert_eq!(left, "", "{program}");
            assert!(!before.contains(manifest["id"].as_str().unwrap()));
        }

        // As it gives the file its name, and then the manifest: of the second all is on the disk already, and the next run
        // ends what was begun.
        for (call, more) in [(1, 1), (2, 2)] {
            let proven = || {
                let (exit, list) = backup(host, &["list"]);
                let all = list["backups"].as_array().unwrap().clone();
                (exit, all.iter().filter(|each| each["state"] == "proven").count(), list.to_string())
            };
            let (_, before, _) = proven();
            let kill = format!("inject=renameat2:signal=KILL:when={call}");
            let words = ["strace", "-qq", "-o", "/tmp/trace", "-e", "trace=renameat2", "-e", &kill, "holdfast", "backup", "run", "signer-db"];
            let killed = host.command(words).unwrap().limit(PATIENCE).run().unwrap();
            assert_ne!(killed.status, Some(0), "{}", killed.stdout);
            let (exit, there, list) = proven();
            assert_eq!(there, before);
            assert_eq!((exit, list.contains("has no manifest")), if call == 1 { (0, false) } else { (2, true) }, "{list}");
            host.sh("sleep 1.1").unwrap().ok().unwrap();
            make(host, true);
            let (exit, there, list) = proven();
            assert_eq!((exit, there), (0, before + more), "killed at call {call}: {list}");
            assert_eq!(host.sh(&format!("ls -A {FOLDER} | grep unfinished")).unwrap().stdout, "");
        }

        // NFS knows no rename that replaces nothing: what it answers is told to holdfast here.
        host.sh("sleep 1.1").unwrap().ok().unwrap();
        let words = ["strace", "-qq", "-o", "/tmp/trace", "-e", "trace=renameat2", "-e", "inject=renameat2:error=EINVAL", "holdfast", "backup", "run", "signer-db"];
        host.command(words).unwrap().limit(PATIENCE).run().unwrap().ok().unwrap();
        assert!(String::from_utf8_lossy(&host.read("/tmp/trace").unwrap()).contains("INJECTED"));
        assert_eq!(host.sh(&format!("ls -A {FOLDER} | grep unfinished")).unwrap().stdout, "");
        assert_eq!(backup(host, &["list"]).0, 0);
    }
}
