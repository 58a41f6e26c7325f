//! The evidence log on booted hosts: what is recorded, whatever is killed or full, and that whatever is done to it shows.

use serde_json::Value;

use crate::support::*;

/// Small and quick to apply, and of the host's own network namespace.
const SMALL: &str = "[sysctl.values]\n\"net.ipv4.conf.all.log_martians\" = 1\n";

const LOG: &str = "/var/lib/holdfast/evidence/log.jsonl";

fn json(host: &Host, args: &[&str]) -> (i32, Value) {
    let words: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
    let output = holdfast(host, &words);
    let document = serde_json::from_str(&output.stdout);
    let document =
        document.unwrap_or_else(|e| panic!("{args:?}: {e}\n{}{}", output.stdout, output.stderr));
    (output.status.unwrap_or(-1), document)
}

/// The records, each as its kind, its subject and what it came to.
fn records(host: &Host) -> Vec<String> {
    let list = json(host, &["evidence", "list", "--last", "1000"]).1;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |record: &Value| {
        let (kind, subject) = (text(&record["kind"]), text(&record["subject"]));
        format!("{kind} {subject} {}", text(&record["payload"]["outcome"])).trim_end().to_owned()
    };
    list["records"].as_array().unwrap().iter().map(one).collect()
}

/// What `evidence verify` finds, by kind; its exit code must go with that.
fn problems(host: &Host) -> Vec<String> {
    let (exit, found) = json(host, &["evidence", "verify"]);
    let findings = found["findings"].as_array().unwrap().clone();
    assert_eq!(exit, if findings.is_empty() { 0 } else { 2 }, "{found:#}");
    findings.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect()
}

fn lines(host: &Host) -> Vec<String> {
    let text = String::from_utf8(host.read(LOG).unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn put(host: &Host, lines: &[String]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    host.push(LOG, text, 0o600).unwrap();
}

fn drift(host: &Host) {
    host.run(["sysctl", "-q", "net.ipv4.conf.all.log_martians=0"]).unwrap().ok().unwrap();
}

on_hosts! {
    /// Every transaction, by whom and with what end, and each finding as it appears and ends: also by the units alone.
    fn what_is_done_and_found_is_recorded(host: &Host) {
        assert_eq!(problems(host), Vec::<String>::new());
        assert!(holdfast(host, &["evidence", "verify"]).stdout.contains("Nothing was recorded"));
        give(host, SMALL);
        apply(host);
        assert_eq!(records(host), ["transaction 1 committed"]);
        drift(host);
        assert_eq!(host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().status, Some(1));
        assert_eq!(records(host)[1..], ["finding sysctl.live/net.ipv4.conf.all.log_martians drift"]);
        verify(host);
        assert_eq!(records(host).len(), 2, "what is known is not recorded again");
        host.run(["systemctl", "start", "holdfast-correct.service"]).unwrap().ok().unwrap();
        assert_passes(&verify(host));
        holdfast(host, &["rollback", "1"]).ok().unwrap();
        assert_eq!(records(host)[2..], [
            "transaction 2 committed",
            "finding-ended sysctl.live/net.ipv4.conf.all.log_martians pass",
            "transaction 3 committed",
        ]);
        assert_eq!(problems(host), Vec::<String>::new());
        let report = verify(host);
        assert_eq!(report.outcome("evidence.log"), "pass", "{:#}", report.json);

        // what is said of one, and that it is said in the journal too
        let list = json(host, &["evidence", "list", "--last", "1000"]).1;
        let (first, last) = (&list["records"][0], &list["records"][4]);
        assert_eq!((&first["sequence"], &first["payload"]["by"]), (&1.into(), &"root".into()));
        assert_eq!(first["payload"]["command"], "holdfast apply --format json --no-confirm");
        assert!(first["payload"]["checks"].as_array().unwrap().contains(&"sysctl.live/net.ipv4.conf.all.log_martians".into()), "{first:#}");
        assert_eq!((&last["payload"]["action"], &last["payload"]["of"]), (&"rollback".into(), &1.into()));
        let (_, found) = json(host, &["evidence", "verify"]);
        assert_eq!(found["anchored"]["sequence"], found["records"], "{found:#}");
        // any tool can follow it
        let followed = host.sh(&format!("tail -n 1 {LOG} | grep -o '\"previous\":\"[0-9a-f]*' | cut -d'\"' -f4
            tail -n 2 {LOG} | head -n 1 | tr -d '\\n' | sha256sum | cut -d' ' -f1")).unwrap().ok().unwrap().stdout;
        let both: Vec<&str> = followed.split_whitespace().collect();
        assert_eq!(both[0], both[1]);
        assert_eq!(host.sh(&format!("stat -c %a:%U {LOG} /var/lib/holdfast/evidence")).unwrap().text(), "600:root\n700:root");
        assert!(holdfast(host, &["status"]).stdout.contains("records, whole"));
        assert!(holdfast(host, &["explain", "evidence.log"]).ok().unwrap().stdout.contains("chain"));
    }
}

on_hosts! {
    /// A kill between a transaction's end and its record loses nothing, wherever in the writing it comes.
    fn a_kill_loses_nothing(host: &Host) {
        give(host, SMALL);
        apply(host);
        let trace = "trace=openat,write,fsync,fdatasync,mkdir,sendmsg,rename";
        let words = ["strace", "-qq", "-o", "/tmp/trace", "-e", "signal=none", "-e", trace, "holdfast", "-q", "correct"];
        drift(host);
        host.run(words).unwrap().ok().unwrap();
        let trace = String::from_utf8(host.read("/tmp/trace").unwrap()).unwrap();
        let trace: Vec<&str> = trace.lines().filter(|line| line.contains('(')).collect();
        let calls: Vec<&str> = trace.iter().filter_map(|line| Some(line.split_once('(')?.0)).collect();
        let end = trace.iter().position(|line| line.contains("/.end.json")).unwrap();
        let mut killed = 0;
        for at in end + 1..calls.len() {
            let nth = calls[..=at].iter().filter(|call| **call == calls[at]).count();
            let (of, inject) = (format!("trace={}", calls[at]), format!("inject={}:signal=KILL:when={nth}", calls[at]));
            drift(host);
            let output = host.run(["strace", "-qq", "-o", "/dev/null", "-e", &of, "-e", &inject, "holdfast", "-q", "correct"]).unwrap();
            killed += usize::from(output.status != Some(0));
            // rolled back or committed, by whatever command comes next it is recorded, and once
            holdfast(host, &["correct"]).ok().unwrap();
            let history = json(host, &["history"]).1["transactions"].as_array().unwrap().clone();
            let recorded: Vec<String> = records(host).into_iter().filter(|one| one.starts_with("transaction")).collect();
            assert_eq!(recorded.len(), history.len(), "killed at {} {nth}: {recorded:#?}", calls[at]);
            let found: Vec<String> = problems(host);
            assert_eq!(found, Vec::<String>::new(), "killed at {} {nth}", calls[at]);
        }
        eprintln!("{}: killed at {killed} of {} points after the end was written", host.suite(), calls.len() - end - 1);
        assert!(killed > 3);
    }
}

on_hosts! {
    /// A full disk: what was done stays done, that it is not recorded is said and found, and nothing is lost by it.
    fn a_full_disk_keeps_nothing_from_being_done(host: &Host) {
        give(host, SMALL);
        host.sh("mkdir -p -m 700 /var/lib/holdfast/evidence
            mount -t tmpfs -o size=16k,mode=700 tmpfs /var/lib/holdfast/evidence").unwrap().ok().unwrap();
        apply(host);
        assert_eq!(records(host), ["transaction 1 committed"]);
        let full = || host.sh("head -c 64k /dev/zero > /var/lib/holdfast/evidence/full || true").unwrap();
        full();
        // Until the page that the log ends in is full too, it goes on.
        let mut done = 1;
        let said = loop {
            drift(host);
            let output = holdfast(host, &["correct"]);
            assert_eq!(output.status, Some(0), "{output:?}");
            done += 1;
            if output.stderr.contains("not recorded in the evidence log yet") {
                break output.stderr;
            }
            assert!(done < 30, "it was never full");
        };
        assert!(said.contains("No space left on device"), "{said}");
        assert_eq!(host.run(["sysctl", "-n", "net.ipv4.conf.all.log_martians"]).unwrap().text(), "1");
        assert!(records(host).len() < done);
        let report = verify(host);
        assert_eq!((report.exit, report.outcome("evidence.log")), (2, "fail"), "{:#}", report.json);
        assert!(report.observed("evidence.log").contains("No space left"), "{:#}", report.json);
        assert!(problems(host).contains(&"unrecorded".to_owned()));
        let left = host.read(LOG).unwrap();

        host.run(["rm", "/var/lib/holdfast/evidence/full"]).unwrap().ok().unwrap();
        holdfast(host, &["correct"]).ok().unwrap();
        let all = records(host);
        let recorded = all.iter().filter(|one| one.starts_with("transaction"));
        assert_eq!(recorded.count(), done, "{all:#?}");
        assert!(host.read(LOG).unwrap().starts_with(&left), "what was torn stays where it is");
        if left.last() != Some(&b'\n') {
            assert!(all.iter().any(|one| one.starts_with("mended")), "{all:#?}");
        }
        assert_eq!(problems(host), Vec::<String>::new());
        // that it was found torn or not writable has an end
        verify(host);
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// A log that cannot be written for other reasons than that: read-only, a link, somebody else's, no file. What was done
    /// stays done, it is found by whoever looks, the sandboxed unit too, and afterwards nothing is missing.
    fn what_keeps_it_from_being_written_is_found(host: &Host) {
        give(host, SMALL);
        apply(host);
        let mut done = 1;
        let unit = || host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().status;
        verify(host);
        assert_eq!(unit(), Some(0));
        let dir = "/var/lib/holdfast/evidence";
        let cases = [
            (format!("mount --bind {dir} {dir} && mount -o remount,bind,ro {dir}"), format!("umount {dir}"), "Read-only file system"),
            (format!("mv {LOG} {LOG}.away; cp /etc/passwd /root/passwd; ln -s /root/passwd {LOG}"),
                format!("cmp /etc/passwd /root/passwd && mv {LOG}.away {LOG}"), "symbolic links"),
            (format!("mv {LOG} {LOG}.away; mkdir {LOG}"), format!("rmdir {LOG}; mv {LOG}.away {LOG}"), "s a directory"),
            (format!("mv {LOG} {LOG}.away; mkfifo {LOG}"), format!("rm {LOG}; mv {LOG}.away {LOG}"), "is not a file"),
        ];
        for (plant, mend, why) in &cases {
            host.sh(plant).unwrap().ok().unwrap();
            drift(host);
            let output = holdfast(host, &["correct"]);
            done += 1;
            assert_eq!(output.status, Some(0), "{output:?}");
            assert!(output.stderr.contains("not recorded in the evidence log yet") && output.stderr.contains(why), "{plant}: {}", output.stderr);
            let report = verify(host);
            assert_eq!((report.exit, report.outcome("evidence.log")), (2, "fail"), "{plant}: {:#}", report.json);
            assert_eq!(unit(), Some(1), "{plant}");
            host.sh(mend).unwrap().ok().unwrap();
            holdfast(host, &["correct"]).ok().unwrap();
            let all = records(host);
            assert_eq!(all.iter().filter(|one| one.starts_with("transaction")).count(), done, "{plant}: {all:#?}");
            verify(host);
            assert_passes(&verify(host));
        }
        // the unit may not write what is somebody else's, and root may; both find it
        for _ in 0..2 {
            host.sh(&format!("chown nobody {LOG}")).unwrap().ok().unwrap();
            let report = verify(host);
            assert_eq!(report.outcome("evidence.log"), "fail", "{:#}", report.json);
            assert!(report.observed("evidence.log").contains("others than root may write"), "{:#}", report.json);
            assert_eq!(problems(host), ["exposed"]);
            assert_eq!(unit(), Some(1));
        }
        host.sh(&format!("chown root {LOG}")).unwrap().ok().unwrap();
        verify(host);
        assert_passes(&verify(host));
        assert_eq!(problems(host), Vec::<String>::new());
    }
}

on_hosts! {
    /// What persons do that is no transaction, and changes that wait; many commands at once; and a clock that was set back.
    fn what_persons_do_is_recorded_in_one_order(host: &Host) {
        give(host, "[firewall]\n[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n");
        host.sh(&format!("install -d -m 700 /root/.ssh; echo '{}' > /root/.ssh/authorized_keys", SOMEBODYS_KEY.trim())).unwrap().ok().unwrap();
        host.run(["holdfast", "apply", "--confirm-within", "10m"]).unwrap().ok().unwrap();
        host.run(["holdfast", "apply", "--confirm-within", "20m"]).unwrap().ok().unwrap();
        assert_eq!(records(host), ["pending 1", "pending 1"]);
        holdfast(host, &["rollback", "1"]).ok().unwrap();
        apply(host);
        let open = host.command(["holdfast", "firewall", "open", "--for", "5m", "--reason", "locked\tout"]).unwrap();
        open.env("SUDO_USER", "alice").run().unwrap().ok().unwrap();
        holdfast(host, &["firewall", "close"]).ok().unwrap();
        holdfast(host, &["firewall", "close"]).ok().unwrap();
        assert_eq!(records(host)[2..], ["transaction 1 rolled-back", "transaction 2 committed", "opened firewall", "closed firewall"]);
        let list = holdfast(host, &["evidence", "list", "--last", "2"]).stdout;
        assert!(list.lines().count() == 2 && list.contains("by alice until ") && list.contains("locked out"), "{list}");
        assert_eq!(problems(host), Vec::<String>::new());

        // the container's clock is this machine's and is not set: the log is written as if by one that was
        let ahead = host.sh("faketime=$(date -u -d '+3 days' +%Y-%m-%dT%H:%M:%SZ); sed -i \"s/\\\"at\\\":\\\"[^\\\"]*/\\\"at\\\":\\\"$faketime/;s/\\\"read\\\":\\\"[^\\\"]*/\\\"read\\\":\\\"$faketime/\" /var/lib/holdfast/evidence.json");
        ahead.unwrap().ok().unwrap();
        assert_passes(&verify(host));

        // several at once: those that find the host locked say so, and no record is lost or doubled
        host.sh("for n in 1 2 3 4 5 6; do
                holdfast -q verify --no-repair & holdfast -q firewall open --for 1m --reason $n & holdfast -q status &
            done; wait").unwrap().ok().unwrap();
        let all = lines(host);
        for (index, line) in all.iter().enumerate() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["sequence"], index + 1, "{line}");
        }
        assert_eq!(problems(host), Vec::<String>::new());
    }
}

on_hosts! {
    /// While it has not changed a look reads its last line, and a change a line more; `evidence verify` reads everything.
    fn what_has_not_changed_is_not_read(host: &Host) {
        give(host, SMALL);
        apply(host);
        for _ in 0..12 {
            drift(host);
            holdfast(host, &["correct"]).ok().unwrap();
        }
        let longest = lines(host).iter().map(String::len).max().unwrap();
        let read = |words: &[&str]| -> usize {
            let strace = ["strace", "-f", "-qq", "-o", "/tmp/trace", "-P", LOG, "-e", "trace=read,pread64,readv", "holdfast", "-q"];
            let words: Vec<&str> = strace.iter().chain(words).copied().collect();
            host.run(words).unwrap().ok().unwrap();
            let trace = String::from_utf8_lossy(&host.read("/tmp/trace").unwrap()).into_owned();
            trace.lines().filter_map(|line| line.rsplit_once(" = ")?.1.split(' ').next()?.parse::<usize>().ok()).sum()
        };
        verify(host);
        let size = host.read(LOG).unwrap().len();
        assert!(size > 8 * longest, "{size} {longest}");
        for look in [&["verify"][..], &["status"]] {
            let bytes = read(look);
            assert!((1..=longest + 1).contains(&bytes), "{look:?} read {bytes} of {size}");
        }
        drift(host);
        // as it begins and as it ends
        let bytes = read(&["correct"]);
        assert!((1..=2 * (longest + 1)).contains(&bytes), "correct read {bytes} of {size}");
        assert!(read(&["evidence", "verify"]) > size);
        // a byte that was changed in place has it read, and found
        host.sh(&format!("printf x | dd of={LOG} bs=1 seek=100 conv=notrunc status=none")).unwrap().ok().unwrap();
        assert_eq!(verify(host).outcome("evidence.log"), "fail");
    }
}

on_hosts! {
    /// Whatever is done to the log behind holdfast's back shows, and where: by its chain, or by the journal.
    fn whatever_is_done_to_it_shows(host: &Host) {
        give(host, SMALL);
        apply(host);
        for _ in 0..4 {
            drift(host);
            holdfast(host, &["correct"]).ok().unwrap();
        }
        let whole = lines(host);
        assert_eq!((whole.len(), problems(host)), (5, Vec::new()));
        let edited = |edit: &dyn Fn(&mut Vec<String>)| {
            let mut lines = whole.clone();
            edit(&mut lines);
            put(host, &lines);
            problems(host)
        };
        assert_eq!(edited(&|lines| drop(lines.remove(2))), ["removed", "unrecorded"]);
        // the journal saw the third record as it was
        assert_eq!(edited(&|lines| lines[2] = lines[2].replace("\"by\":\"root\"", "\"by\":\"nobody\"")), ["altered", "replaced"]);
        assert_eq!(edited(&|lines| lines.swap(1, 2)), ["reordered"]);
        assert_eq!(edited(&|lines| lines.insert(3, lines[1].clone())), ["duplicated"]);
        assert_eq!(edited(&|lines| lines[4] = lines[4].replace("\"by\":\"root\"", "\"by\":\"nobody\"")), ["replaced"]);
        let cut = edited(&|lines| lines.truncate(3));
        assert_eq!(cut, ["shorter", "unrecorded", "unrecorded"]);
        let text = holdfast(host, &["evidence", "verify"]).stdout;
        assert!(text.contains("the log ends with record 3, and record 5 was there at"), "{text}");
        // a torn end is found until the next record says so
        host.push(LOG, whole.join("\n").as_bytes(), 0o600).unwrap();
        assert_eq!(problems(host), ["torn"]);

        put(host, &whole);
        assert_eq!(problems(host), Vec::<String>::new());
        // so do the transactions' own folders
        host.sh("sed -i s/root/nobody/ /var/lib/holdfast/transactions/000002/begin.json").unwrap().ok().unwrap();
        assert_eq!(problems(host), ["differs"]);
        host.sh("sed -i s/nobody/root/ /var/lib/holdfast/transactions/000002/begin.json").unwrap().ok().unwrap();
        assert_eq!(problems(host), Vec::<String>::new());

        // somebody has holdfast itself write a new one, consistent and shorter
        host.sh("rm -r /var/lib/holdfast/evidence /var/lib/holdfast/transactions/00000[1-3]").unwrap().ok().unwrap();
        assert_eq!(problems(host), ["missing", "shorter"]);
        holdfast(host, &["correct"]).ok().unwrap();
        assert_eq!(records(host).len(), 2);
        let found = problems(host);
        assert!(found.contains(&"shorter".to_owned()) && found.contains(&"replaced".to_owned()), "{found:?}");
        // anybody can file such an event, and only root's counts
        host.sh("runuser -u nobody -- logger --journald <<'EOF'
MESSAGE_ID=fcdc790e45794559a8d998db7572054f
HOLDFAST_SEQUENCE=1000
HOLDFAST_DIGEST=0000000000000000000000000000000000000000000000000000000000000000
MESSAGE=evidence record 1000
EOF
            journalctl --sync").unwrap().ok().unwrap();
        let (_, report) = json(host, &["evidence", "verify"]);
        let shorter = report["findings"].as_array().unwrap().iter().find(|one| one["kind"] == "shorter").unwrap();
        assert_eq!(shorter["sequence"], 5, "{report:#}");
    }
}

on_hosts! {
    /// verify asks no journal, and yet knows the log of its last report; what is wrong stays until a person deals with it.
    fn verify_misses_what_it_knew(host: &Host) {
        give(host, SMALL);
        apply(host);
        drift(host);
        correct(host);
        assert_passes(&verify(host));
        let whole = host.read(LOG).unwrap();
        // What is recorded anew is not what it was: one of the two is gone.
        host.run(["rm", "-r", LOG, "/var/lib/holdfast/transactions/000001"]).unwrap().ok().unwrap();
        for _ in 0..2 {
            let report = verify(host);
            assert_eq!((report.exit, report.outcome("evidence.log")), (2, "fail"), "{:#}", report.json);
        }
        assert!(holdfast(host, &["status"]).stdout.contains("evidence    "));
        assert!(records(host).contains(&"finding evidence.log fail".to_owned()));
        // a way out that is written down in holdfast explain
        host.push(LOG, whole, 0o600).unwrap();
        assert_passes(&verify(host));
        // another profile's findings are not this host's
        let before = records(host);
        host.push("/root/other.toml", "[sysctl.values]\n\"net.ipv4.conf.all.log_martians\" = 0\n", 0o600).unwrap();
        assert_eq!(holdfast(host, &["verify", "/root/other.toml"]).status, Some(2));
        assert_eq!(records(host), before);
        // without journald nobody can tell whether it was replaced, and that is no pass
        host.sh("mv /usr/bin/journalctl /usr/bin/journalctl.away").unwrap().ok().unwrap();
        assert_eq!(problems(host), ["no-journal"]);
        assert!(holdfast(host, &["evidence", "verify"]).stdout.contains("cannot-check"));
    }
}
