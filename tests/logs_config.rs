//! How logs are set up to be kept, on booted hosts. The judges are journald's own journal, the lines that a program has
//! written, the engines and logrotate.

use std::time::{Duration, Instant};

use crate::support::*;

/// A unit in the journal, and a file that its program opens anew on SIGHUP.
const KEPT: &str = r#"
[logs]
[[logs.source]]
name = "signer"
unit = "signer.service"
[[logs.source]]
name = "bitcoin"
file = "/srv/bitcoin/debug.log"
reopened_by = "node.service"
bitcoin_conf = "/srv/bitcoin.conf"
"#;

const RULE: &str = "/etc/logrotate.d/holdfast-bitcoin";

/// Numbers lines as fast as it is told to, appends them, and opens its file anew on SIGHUP, as bitcoind does.
const NODE: &str = r#"use IO::Handle; use POSIX qw(strftime);
my ($path, $pause) = @ARGV; my $log;
sub anew { open($log, '>>', $path) or die $!; $log->autoflush(1); }
anew(); $SIG{HUP} = sub { $hup = 1 };
for (my $n = 1; ; $n++) { if ($hup) { $hup = 0; anew() } print $log strftime("%Y-%m-%dT%H:%M:%SZ", gmtime), " $n\n"; select(undef, undef, undef, $pause); }
"#;

/// No wait on a host is longer: a minute's work on a slow machine.
const LIMIT: Duration = Duration::from_secs(480);

fn sh(host: &Host, script: &str) -> String {
    let command = host.command(["sh", "-euc", script]).unwrap().limit(LIMIT);
    command.run().unwrap().ok().unwrap().stdout
}

/// A signer that logs to the journal, and a node that writes a file of its own.
fn programs(host: &Host) {
    host.push("/root/node.pl", NODE, 0o644).unwrap();
    sh(
        host,
        r#"
        useradd -r -d /srv/bitcoin bitcoin; install -d -o bitcoin -g bitcoin -m 710 /srv/bitcoin
        install -m 644 /root/node.pl /usr/local/bin/node.pl
        printf 'server=1\nshrinkdebugfile=0\n' > /srv/bitcoin.conf
        printf '[Service]\nExecStart=/bin/sh -c "while :; do echo signing; sleep 1; done"\n' > /etc/systemd/system/signer.service
        printf '[Service]\nUser=bitcoin\nExecStart=/usr/bin/perl /usr/local/bin/node.pl /srv/bitcoin/debug.log 0.002\n' > /etc/systemd/system/node.service
        systemctl daemon-reload; systemctl start signer node
        until test -s /srv/bitcoin/debug.log; do sleep 0.1; done"#,
    );
}

on_hosts! {
    Image::Rotation;
    fn a_blank_host_is_brought_there_and_back(host: &Host) {
        programs(host);
        give(host, KEPT);
        let before = host.snapshot(&["/etc"]).unwrap();
        let report = verify(host);
        let failing = report.with("fail");
        for check in ["journal.config", "journal.effective/MaxFileSec", "journal.effective/MaxRetentionSec",
                      "journal.effective/SystemMaxFiles", "journal.effective/SystemMaxUse", "logs.config/bitcoin"] {
            assert!(failing.contains(&check), "{check}: {:?}", report.findings());
        }
        for check in ["logs.effective/signer", "logs.effective/bitcoin", "logs.space"] {
            assert_eq!(report.outcome(check), "pass", "{:?}", report.findings());
        }
        assert_eq!(report.observed("logs.effective/signer"), "it logs to the journal of the host");

        let id = apply(host).transaction();
        assert_eq!(ours(&verify(host)), Vec::<String>::new());
        assert_eq!(apply(host).json["outcome"], "unchanged");

        // each fault by its name, and put right
        let faults: &[(&str, &[&str])] = &[
            (&format!("rm {RULE}"), &["logs.config/bitcoin"]),
            (&format!("sed -i 's/maxage.*/maxage 7/' {RULE}"), &["logs.config/bitcoin"]),
            (&format!("chmod 666 {RULE}"), &["logs.config/bitcoin"]),
            ("sed -i s/SystemMaxFiles=.*/SystemMaxFiles=100/ /etc/systemd/journald.conf.d/zz-holdfast.conf",
             &["journal.config", "journal.effective/SystemMaxFiles", "journal.running"]),
        ];
        for (fault, ids) in faults {
            sh(host, fault);
            let report = verify(host);
            assert_eq!(report.with("drift"), *ids, "{fault}: {:?}", report.findings());
            correct(host);
            assert_eq!(ours(&verify(host)), Vec::<String>::new(), "{fault}");
        }

        // what is not holdfast's to mend is a finding, and keeps nothing else from being put right
        sh(host, &format!("sed -i /shrink/d /srv/bitcoin.conf; rm {RULE}"));
        let report = verify(host);
        assert_eq!(report.with("drift"), ["logs.config/bitcoin", "logs.effective/bitcoin"]);
        crate::support::report(host, "correct");
        assert_eq!(verify(host).with("drift"), ["logs.effective/bitcoin"]);
        sh(host, "echo shrinkdebugfile=0 >> /srv/bitcoin.conf; systemctl stop logrotate.timer");
        assert!(verify(host).observed("logs.effective/bitcoin").contains("logrotate.timer"));
        sh(host, "systemctl start logrotate.timer; printf 'server=1\\nshrinkdebugfile=0\\n' > /srv/bitcoin.conf");

        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        let changed = changes(&before, &host.snapshot(&["/etc"]).unwrap());
        assert_eq!(changed, Vec::<String>::new());
    }
}

/// The findings of this control and of journald's.
fn ours(report: &Report) -> Vec<String> {
    let all = report.findings().into_iter();
    all.filter(|line| {
        line.contains("logs.config") || line.contains("logs.effective") || line.contains("journal.")
    })
    .collect()
}

on_hosts! {
    Image::Rotation;
    /// Under load, with rotations in between: every line once and in order. What is deleted is older than asked for.
    fn a_rotation_loses_no_line(host: &Host) {
        programs(host);
        give(host, KEPT);
        apply(host);
        let dated = |days: u32| format!("touch -d '{days} days ago' /srv/bitcoin/debug.log-$(date -d '{days} days ago' +%Y%m%d)");
        sh(host, &format!("cd /srv/bitcoin; {}; {}; chown bitcoin:bitcoin debug.log-*", dated(89), dated(400)));
        for round in 1..=3 {
            // Each rotation is that of another day: logrotate writes over nothing.
            sh(host, &format!("
                cd /srv/bitcoin
                logrotate -f {RULE}
                until test -s debug.log; do sleep 0.05; done
                mv debug.log-$(date +%Y%m%d) round-{round}
                n=$(wc -l < debug.log); until test $(wc -l < debug.log) -gt $((n + 100)); do sleep 0.05; done"));
        }
        let left = sh(host, "cd /srv/bitcoin; systemctl stop node; ls debug.log-*");
        assert_eq!(left.lines().count(), 1, "the one of 89 days is kept, the one of 400 is not: {left}");
        let all = sh(host, "cd /srv/bitcoin; cat round-1 round-2 round-3 debug.log");
        let all: Vec<usize> = all.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(all.len() > 300, "{}", all.len());
        assert_eq!(all, (1..=all.len()).collect::<Vec<_>>(), "a line was lost or came twice");
        // A program that does not run is told nothing, and that is no failure.
        sh(host, &format!("logrotate -f {RULE}"));
    }
}

on_hosts! {
    /// Programs that lose what they write, and ones that SIGHUP ends.
    fn files_that_lose_lines(host: &Host) {
        programs(host);
        let source = |more: &str| format!("[logs]\n[[logs.source]]\nname = \"signer\"\nfile = \"/srv/signer.log\"\n{more}");
        let tee = |flag: &str| sh(host, &format!("
            systemctl stop tees 2>/dev/null || true
            systemd-run -q --unit=tees sh -c 'while :; do echo x; sleep 1; done | tee {flag} /srv/signer.log >/dev/null'
            until test -s /srv/signer.log && pgrep -x tee >/dev/null; do sleep 0.1; done"));
        give(host, &source(""));
        assert_eq!(verify(host).outcome("logs.effective/signer"), "cannot-check");
        tee("");
        let report = verify(host);
        assert_eq!(report.outcome("logs.effective/signer"), "fail");
        assert!(report.observed("logs.effective/signer").contains("tee without -a"), "{}", report.observed("logs.effective/signer"));
        tee("-a");
        assert_eq!(verify(host).observed("logs.effective/signer"), "tee appends to /srv/signer.log; nothing rotates it");

        // `sleep` catches nothing: a rotation would end it
        sh(host, "systemd-run -q --unit=mortal sleep 10000");
        give(host, &source("reopened_by = \"mortal.service\"\n"));
        let output = holdfast(host, &["apply"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        assert!(output.stderr.contains("SIGHUP would end sleep"), "{}", output.stderr);
        assert!(host.read("/etc/logrotate.d/holdfast-signer").is_err());

        // output that never reaches the journal
        sh(host, "mkdir -p /run/systemd/system/signer.service.d
                  printf '[Service]\\nStandardOutput=truncate:/srv/out\\n' > /run/systemd/system/signer.service.d/x.conf
                  systemctl daemon-reload");
        give(host, KEPT);
        let report = verify(host);
        assert_eq!(report.outcome("logs.effective/signer"), "fail");
        assert!(report.observed("logs.effective/signer").contains("emptied at each start"));
        give(host, "[logs]\n[[logs.source]]\nname = \"x\"\nunit = \"nothing.service\"\n");
        let report = verify(host);
        assert_eq!(report.outcome("logs.effective/x"), "cannot-check");
        assert!(report.observed("logs.effective/x").contains("there is no unit nothing.service"));
    }
}

on_hosts! {
    /// A namespace's journald is given limits of its own, and runs with them.
    fn a_namespace_has_its_own_limits(host: &Host) {
        programs(host);
        sh(host, "mkdir -p /etc/systemd/system/signer.service.d
                  printf '[Service]\\nLogNamespace=signer\\n' > /etc/systemd/system/signer.service.d/ns.conf
                  systemctl daemon-reload; systemctl restart signer
                  until systemctl is-active -q systemd-journald@signer.service; do sleep 0.1; done");
        give(host, "[logs]\nbudget = \"600M\"\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\nnamespace = \"signer\"\n");
        assert_eq!(verify(host).outcome("logs.config/journald@signer"), "fail");
        let before = sh(host, "systemctl show -P MainPID systemd-journald@signer.service");
        let id = apply(host).transaction();
        assert_eq!(ours(&verify(host)), Vec::<String>::new());
        assert_ne!(sh(host, "systemctl show -P MainPID systemd-journald@signer.service"), before);
        let said = sh(host, "journalctl --namespace=signer -q -o json -n 1 MESSAGE_ID=ec387f577b844b8fa948f33cad9a75e6");
        let said: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        // Half of the budget: the main journal has the other.
        assert_eq!(said["MAX_USE"].as_str().unwrap().parse::<u64>().unwrap() >> 20, 300);
        sh(host, "rm -r /etc/systemd/journald@signer.conf.d");
        assert_eq!(verify(host).with("drift"), ["logs.config/journald@signer"]);
        correct(host);
        assert_eq!(ours(&verify(host)), Vec::<String>::new());
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert!(host.read("/etc/systemd/journald@signer.conf.d/zz-holdfast.conf").is_err());
    }
}

/// Applies on a host whose journal has lost entries: that is found, and is no reason to take the change back.
fn apply_with_losses(host: &Host) {
    let report = report(host, "apply");
    assert_eq!(report.json["outcome"], "committed", "{:#}", report.json);
    let broken = |check: &&str| !check.starts_with("logs.kept");
    assert_eq!(
        report.with("fail").into_iter().filter(|c| broken(c)).count(),
        0,
        "{:#}",
        report.json
    );
}

/// The numbers and times of writing (seconds since the epoch) of what has been written.
fn written(host: &Host) -> Vec<(u64, u64)> {
    let text = sh(host, "cat /run/written");
    let numbers = |line: &str| {
        let (number, time) = line.split_once(' ')?;
        Some((number.parse().ok()?, time.parse().ok()?))
    };
    text.lines().filter_map(numbers).collect()
}

/// The numbers of what was written within so many seconds and is not in the journal.
fn lost(host: &Host, within: u64) -> Vec<u64> {
    let written = written(host);
    let kept = sh(host, "journalctl --sync; journalctl -q -o cat -t talks");
    let kept: std::collections::BTreeSet<u64> =
        kept.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect();
    // What is younger than this was before the look, however long the look took.
    let now: u64 = sh(host, "date +%s").trim().parse().unwrap();
    let is_young = |(_, time): &&(u64, u64)| now - time < within;
    written
        .iter()
        .filter(is_young)
        .map(|(number, _)| *number)
        .filter(|n| !kept.contains(n))
        .collect()
}

on_hosts! {
    /// A day is a third of a second: 90 days kept with files of a month, as `MaxRetentionSec=90day` alone leaves it, and then as
    /// holdfast has it. Real messages, real deletions.
    fn the_obvious_setting_loses_what_holdfast_keeps(host: &Host) {
        sh(host, "mkdir -p /etc/systemd/journald.conf.d
                  printf '[Journal]\\nStorage=persistent\\nMaxRetentionSec=30s\\nMaxFileSec=10s\\n' > /etc/systemd/journald.conf.d/50-role.conf
                  systemctl restart systemd-journald; journalctl --flush; : > /run/written");
        let talk = "i=0; while :; do i=$((i+1)); echo \"$i $(date +%s)\" | tee -a /run/written; sleep 0.5; done";
        host.run(["systemd-run", "-q", "--unit=talks", "-p", "SyslogIdentifier=talks", "sh", "-c", talk]).unwrap().ok().unwrap();
        let begun = Instant::now();
        let missing = loop {
            let missing = lost(host, 30);
            if !missing.is_empty() {
                break missing;
            }
            assert!(begun.elapsed() < LIMIT, "the obvious setting has lost nothing");
            std::thread::sleep(Duration::from_secs(1));
        };
        assert!(missing.len() > 5, "{missing:?}");

        give(host, "[logs]\nkeep = \"30s\"\n");
        assert_eq!(verify(host).observed("journal.effective/MaxRetentionSec"), "30s (/etc/systemd/journald.conf.d/50-role.conf:3)");
        apply_with_losses(host);
        let first = written(host).last().unwrap().0 + 1;
        // Over twice the retention, at every look: nothing of what was written since has gone.
        loop {
            let missing = lost(host, 30);
            let missing: Vec<_> = missing.into_iter().filter(|number| *number >= first).collect();
            assert_eq!(missing, Vec::<u64>::new());
            let all = written(host);
            let since = all.iter().find(|(number, _)| *number >= first).map(|(_, time)| *time);
            if since.is_some_and(|since| all.last().unwrap().1 - since > 60) {
                break;
            }
            std::thread::sleep(Duration::from_secs(5));
        }
        let files = sh(host, "ls /var/log/journal/*/system@*.journal | wc -l");
        assert!(files.trim().parse::<u32>().unwrap() > 5, "journald did begin new files: {files}");
    }
}

on_hosts! {
    /// A file system that is too small is refused before anything is touched, with the number that would do.
    fn a_disk_that_is_too_small(host: &Host) {
        sh(host, "mkdir -p /var/log/journal; mount -t tmpfs -o size=64M none /var/log/journal; systemctl restart systemd-journald");
        give(host, "[logs]\nbudget = \"1G\"\n");
        let report = verify(host);
        assert_eq!(report.outcome("logs.space"), "fail");
        let said = "the file system of /var/log/journal has 64 MiB; 1G of journals and what is left free take one of 1138M";
        assert_eq!(report.observed("logs.space"), said);
        let before = host.snapshot(&["/etc"]).unwrap();
        let output = holdfast(host, &["apply"]);
        assert_eq!(output.status, Some(1));
        assert!(output.stderr.contains(said), "{}", output.stderr);
        assert_eq!(changes(&before, &host.snapshot(&["/etc"]).unwrap()), Vec::<String>::new());
        // Without a budget it is worked out from what is there.
        give(host, "[logs]\n");
        apply_with_losses(host);
        assert_eq!(verify(host).outcome("logs.space"), "pass");
        let drop_in = String::from_utf8(host.read("/etc/systemd/journald.conf.d/zz-holdfast.conf").unwrap()).unwrap();
        assert!(drop_in.contains("SystemMaxUse=16M\n"), "{drop_in}");
    }
}

/// A source for each container.
fn containers(names: &[&str]) -> String {
    let source =
        |name: &&str| format!("[[logs.source]]\nname = \"{name}\"\ncontainer = \"{name}\"\n");
    format!("[logs]\n{}", names.iter().map(source).collect::<String>())
}

on_hosts! {
    Image::Containers;
    /// Drivers of real containers, as each was made; and of Docker's own notes once it does not run.
    fn the_drivers_of_containers(host: &Host) {
        sh(host, r#"
            systemctl start docker
            tar -cf /root/empty.tar --files-from /dev/null
            docker import /root/empty.tar empty >/dev/null
            make() { name=$1; shift; docker create --name $name "$@" empty /none >/dev/null; }
            make endless --log-driver json-file
            make capped --log-driver json-file --log-opt max-size=1m --log-opt max-file=3
            make local --log-driver local
            make away --log-driver fluentd --log-opt fluentd-async=true
            make none --log-driver none
            make syslog --log-driver syslog
            make journal --log-driver journald
            make default
            podman import /root/empty.tar empty >/dev/null 2>&1
            podman create --name pod-journal --log-driver journald empty /none >/dev/null
            podman create --name pod-file --log-driver k8s-file empty /none >/dev/null
            podman create --name pod-none --log-driver none empty /none >/dev/null"#);
        // A changed default concerns new containers only.
        sh(host, r#"mkdir -p /etc/docker; printf '{"log-driver": "journald"}' > /etc/docker/daemon.json; systemctl restart docker"#);
        let expected = [
            ("away", "fail"), ("capped", "cannot-check"), ("default", "pass"), ("endless", "pass"), ("journal", "pass"),
            ("local", "cannot-check"), ("missing", "cannot-check"), ("none", "fail"), ("syslog", "fail"),
            ("pod-journal", "pass"), ("pod-file", "pass"), ("pod-none", "fail"),
        ];
        give(host, &containers(&expected.map(|(name, _)| name)));
        let judge = |when: &str| {
            let report = verify(host);
            for (name, outcome) in expected {
                let check = format!("logs.effective/{name}");
                assert_eq!(report.outcome(&check), outcome, "{when}, {name}: {}", report.observed(&check));
            }
            assert!(report.observed("logs.effective/default").contains("json-file"), "{when}");
        };
        judge("as Docker says");
        sh(host, "systemctl stop docker.service docker.socket");
        judge("as its notes say");
    }
}
