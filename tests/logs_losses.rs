//! Ways in which logs are lost that a look must not pass, and that an apply must not be one of: on booted hosts. The judges
//! are logrotate, journald and Docker themselves.

use crate::{containers::engine::import, support::*};

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn outcomes(report: &Report, expected: &[(&str, &str)]) {
    for (check, outcome) in expected {
        assert_eq!(report.outcome(check), *outcome, "{check}: {:#}", report.json);
    }
}

/// Adds a journal file under the name that journald gives to archived ones: it deletes no others.
fn forge(host: &Host, number: u32, (from, to): (u32, u32), step: u32) {
    host.push("/root/forge.pl", repository("tests/logs/forge.pl"), 0o600).unwrap();
    sh(
        host,
        &format!(
            "
        cd /var/log/journal/$(cat /etc/machine-id)
        perl /root/forge.pl $PWD/x.journal {from} {to} {step} signer.service 2>/dev/null
        printf '\\002' | dd of=x.journal bs=1 seek=16 conv=notrunc status=none
        at=$(printf %016x $(( ($(date +%s) - {from} * 86400) * 1000000 )))
        mv x.journal system@$(printf %032x {number})-0000000000000001-$at.journal"
        ),
    );
}

fn archived(host: &Host) -> usize {
    let names = sh(host, "ls /var/log/journal/$(cat /etc/machine-id)");
    names.lines().filter(|name| name.contains("-0000000000000001-")).count()
}

on_hosts! {
    Image::Rotation;
    /// A rule of somebody else's wins: holdfast's beside it does nothing, and what the other deletes is what counts.
    fn another_rule_for_the_same_file(host: &Host) {
        sh(host, r#"
            mkdir /srv/node; echo 'shrinkdebugfile=0' > /srv/node/bitcoin.conf
            cat > /root/node.pl <<'END'
$SIG{HUP} = sub { open F, '>>', '/srv/node/debug.log' }; $SIG{HUP}->();
use IO::Handle; use POSIX 'strftime';
for (;;) { F->autoflush(1); print F strftime("%Y-%m-%dT%H:%M:%SZ x\n", gmtime); sleep 1 }
END
            systemd-run -q --unit=node perl /root/node.pl
            until test -s /srv/node/debug.log; do sleep 0.1; done
            printf '/var/log/before.log {\n\tmissingok\n}\n/srv/node/*.log {\n\tweekly\n\trotate 4\n}\n' > /etc/logrotate.d/bitcoind"#);
        let profile = |more: &str| format!("[logs]\n[[logs.source]]\nname = \"node\"\nfile = \"/srv/node/debug.log\"\n{more}");
        give(host, &profile(""));
        let report = verify(host);
        outcomes(&report, &[("logs.effective/node", "fail")]);
        assert_eq!(report.observed("logs.effective/node"), "/srv/node/debug.log: /etc/logrotate.d/bitcoind:4 rotates it and keeps 28 days");

        give(host, &profile("reopened_by = \"node.service\"\n"));
        let report = verify(host);
        outcomes(&report, &[("logs.effective/node", "fail")]);
        let said = report.observed("logs.effective/node");
        assert!(said.starts_with("/etc/logrotate.d/bitcoind:4 rotates /srv/node/debug.log already"), "{said}");
        crate::support::report(host, "apply");
        assert!(host.read("/etc/logrotate.d/holdfast-node").is_err(), "logrotate would fail over it every day");

        // So it is: what logrotate makes of two.
        sh(host, "mv /etc/logrotate.d/bitcoind /root/");
        apply(host);
        outcomes(&verify(host), &[("logs.effective/node", "pass"), ("logs.config/node", "pass")]);
        sh(host, "cp /root/bitcoind /etc/logrotate.d/");
        let said = sh(host, "logrotate -d /etc/logrotate.conf 2>&1 || true");
        assert!(said.contains("duplicate log entry for /srv/node/debug.log"), "{said}");
        let report = verify(host);
        outcomes(&report, &[("logs.effective/node", "drift")]);
    }
}

on_hosts! {
    Image::Rotation;
    /// A folder that belongs to somebody whom the host does not know, as containers leave them.
    fn a_folder_of_nobody(host: &Host) {
        sh(host, r#"
            install -d -o 4242 -g 4343 -m 750 /srv/node
            cat > /root/node.pl <<'END'
$SIG{HUP} = sub { open F, '>>', '/srv/node/debug.log' }; $SIG{HUP}->();
use IO::Handle; use POSIX 'strftime';
for (;;) { F->autoflush(1); print F strftime("%Y-%m-%dT%H:%M:%SZ x\n", gmtime); select(undef, undef, undef, 0.1) }
END
            chmod 644 /root/node.pl; cp /root/node.pl /usr/local/bin/
            systemd-run -q --unit=node setpriv --reuid=4242 --regid=4343 --clear-groups perl /usr/local/bin/node.pl
            until test -s /srv/node/debug.log; do sleep 0.1; done"#);
        give(host, "[logs]\n[[logs.source]]\nname = \"node\"\nfile = \"/srv/node/debug.log\"\nreopened_by = \"node.service\"\n");
        apply(host);
        // As the timer has it run, a day after it was last rotated.
        sh(host, r#"
            printf 'logrotate state -- version 2\n"/srv/node/debug.log" 2020-1-1-0:0:0\n' > /var/lib/logrotate/status
            systemctl start logrotate.service || { journalctl -q -o cat -u logrotate.service >&2; exit 1; }
            until test -s /srv/node/debug.log; do sleep 0.1; done"#);
        let files = sh(host, "stat -c '%n %u %g' /srv/node/*");
        assert_eq!(files.lines().count(), 2, "{files}");
        assert!(files.lines().all(|line| line.ends_with(" 4242 4343")), "{files}");
        outcomes(&verify(host), &[("logs.effective/node", "pass")]);
    }
}

on_hosts! {
    Image::Journals;
    /// Limits that somebody has raised are put back only where the journal still fits: nobody is there to ask.
    fn a_correction_deletes_no_logs(host: &Host) {
        const DROP_IN: &str = "/etc/systemd/journald.conf.d/zz-holdfast.conf";
        sh(host, "mkdir -p /var/log/journal && systemctl restart systemd-journald");
        for number in 0..3 {
            forge(host, number, (80 - number * 10, 70 - number * 10), 120);
        }
        let used: u64 = sh(host, "du -sm /var/log/journal | cut -f1").trim().parse().unwrap();
        give(host, &format!("[logs]\nbudget = \"{}M\"\n", used * 3 / 2));
        // Not enough for ninety days, which is not what this is about.
        drop(holdfast(host, &["apply", "--despite", "logs.space"]));
        let ours = host.read(DROP_IN).unwrap();
        sh(host, &format!("sed -i s/^SystemMaxUse=.*/SystemMaxUse=900M/ {DROP_IN} && systemctl restart systemd-journald"));
        let drifted = host.read(DROP_IN).unwrap();
        assert_ne!(drifted, ours);
        for number in 3..6 {
            forge(host, number, (80 - number * 10, 70 - number * 10), 120);
        }
        assert_eq!(archived(host), 6);
        let output = holdfast(host, &["correct"]);
        assert_eq!(output.status, Some(1), "{}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains("journald would delete its oldest entries at once"), "{}", output.stderr);
        assert_eq!((archived(host), host.read(DROP_IN).unwrap()), (6, drifted));
        sh(host, "rm /var/log/journal/*/system@*[345]-0000000000000001-*");
        assert_eq!(archived(host), 3);
        drop(holdfast(host, &["correct"]));
        assert_eq!((archived(host), host.read(DROP_IN).unwrap()), (3, ours), "they fit again");
    }
}

on_hosts! {
    Image::Journals;
    /// Limits lower than a journal takes would have journald delete the rest as it starts: that is refused, and what a
    /// person then does in spite of it is what was said.
    fn an_apply_deletes_no_logs(host: &Host) {
        sh(host, "mkdir -p /etc/systemd/journald.conf.d
                  printf '[Journal]\nStorage=persistent\nSystemMaxUse=500M\n' > /etc/systemd/journald.conf.d/x.conf
                  systemctl restart systemd-journald");
        for number in 0..4 {
            forge(host, number, (40 - number * 10, 30 - number * 10), 120);
        }
        give(host, "[logs]\nbudget = \"12M\"\n");
        let output = holdfast(host, &["apply"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        assert!(output.stderr.contains("journald would delete its oldest entries at once"), "{}", output.stderr);
        assert!(output.stderr.contains("given 12M (SystemMaxUse=)"), "{}", output.stderr);
        assert_eq!(archived(host), 4);
        assert!(host.read("/etc/systemd/journald.conf.d/zz-holdfast.conf").is_err());
        give(host, "[logs]\nbudget = \"400M\"\n");
        report(host, "apply");
        assert_eq!(archived(host), 4);
        give(host, "[logs]\nbudget = \"12M\"\n");
        drop(holdfast(host, &["apply", "--despite", "logs.space"]));
        assert!(archived(host) < 4, "so it is: journald has deleted some");
    }
}

on_hosts! {
    Image::Journals;
    /// A ceiling shorter than the retention is told before it deletes anything; what is in memory is not kept.
    fn what_is_kept_for_now_only(host: &Host) {
        let source = "[logs]\nmode = \"audit\"\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\n";
        give(host, source);
        sh(host, "mkdir -p /etc/systemd/journald.conf.d
                  printf '[Journal]\nStorage=persistent\nMaxRetentionSec=91day\n' > /etc/systemd/journald.conf.d/x.conf
                  systemctl restart systemd-journald");
        forge(host, 1, (20, 0), 3600);
        let told = report(host, "logs");
        outcomes(&told, &[("logs.forecast", "fail"), ("logs.kept/signer", "accumulating")]);
        let said = told.observed("logs.forecast");
        assert!(said.contains("MaxRetentionSec=") && said.contains("entries of 60.5 days can go"), "{said}");
        sh(host, "echo MaxFileSec=1day >> /etc/systemd/journald.conf.d/x.conf");
        // The file that is there spans 20 days all the same.
        let told = report(host, "logs");
        outcomes(&told, &[("logs.forecast", "fail")]);
        assert!(told.observed("logs.forecast").contains("entries of 71.0 days can go"), "{}", told.observed("logs.forecast"));
        sh(host, "rm /var/log/journal/*/system@*");
        outcomes(&report(host, "logs"), &[("logs.forecast", "accumulating")]);
        forge(host, 1, (20, 0), 3600);

        sh(host, "printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf.d/x.conf
                  systemctl restart systemd-journald
                  mkdir -p /run/log/journal/$(cat /etc/machine-id)
                  mv /var/log/journal/*/system@* /run/log/journal/$(cat /etc/machine-id)/; rm -r /var/log/journal
                  rm -f /var/lib/holdfast/log-samples.json");
        let told = report(host, "logs");
        outcomes(&told, &[("logs.kept/signer", "fail"), ("logs.files", "fail")]);
        assert!(told.observed("logs.kept/signer").contains("no journal on disk"), "{}", told.observed("logs.kept/signer"));
    }
}

on_hosts! {
    /// Lines without a time prove nothing, and are no deletion at the next look either; a signer's JSON has one.
    fn lines_with_and_without_a_time(host: &Host) {
        sh(host, "install -d -m 700 /var/lib/holdfast; echo hello > /srv/plain.log
                  date -u +'{\"timestamp\":\"%Y-%m-%dT%H:%M:%S.123456Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"signed\"}}' > /srv/json.log");
        give(host, "[logs]\n[[logs.source]]\nname = \"plain\"\nfile = \"/srv/plain.log\"\n\
                    [[logs.source]]\nname = \"json\"\nfile = \"/srv/json.log\"\n");
        let expected = [("logs.kept/plain", "cannot-check"), ("logs.kept/json", "accumulating"), ("logs.gaps/json", "pass")];
        outcomes(&report(host, "logs"), &expected);
        sh(host, "touch -d '10 minutes' /srv/plain.log; echo again >> /srv/plain.log");
        let later = report(host, "logs");
        outcomes(&later, &expected);
        assert!(later.observed("logs.kept/plain").contains("bear no time that is known"));
    }
}

on_hosts! {
    Image::Containers;
    /// Docker's files elsewhere, as on the disk where chains are; and a note of another container that cannot be read.
    fn docker_on_another_disk(host: &Host) {
        sh(host, "mkdir -p /etc/docker
                  printf '{\"data-root\": \"/var/lib/docker/elsewhere\"}' > /etc/docker/daemon.json; systemctl restart docker");
        import(host, "docker");
        sh(host, "docker run -d --name node --log-driver json-file box /bin/sh -c 'while :; do echo working; /bin/busybox sleep 1; done' >/dev/null
                  until test -n \"$(docker logs node 2>/dev/null)\"; do sleep 0.2; done
                  mkdir /var/lib/docker/elsewhere/containers/0000; echo odd > /var/lib/docker/elsewhere/containers/0000/config.v2.json");
        give(host, "[logs]\n[[logs.source]]\nname = \"node\"\ncontainer = \"node\"\n");
        outcomes(&report(host, "logs"), &[("logs.kept/node", "accumulating"), ("logs.gaps/node", "pass")]);
        outcomes(&verify(host), &[("logs.effective/node", "pass")]);
        sh(host, "systemctl stop docker.service docker.socket");
        outcomes(&verify(host), &[("logs.kept/node", "accumulating"), ("logs.effective/node", "pass")]);
    }
}

on_hosts! {
    /// One archived file less, of some hours: no silence is long enough to tell, the numbers of entries do. What journald
    /// does itself, with users' journals, rotations, restarts and its own death in between, is no removal.
    fn a_file_that_was_removed(host: &Host) {
        sh(host, "useradd -m alice; mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush");
        give(host, "[logs]\n");
        let killed = "old=$(systemctl show -P MainPID systemd-journald); systemctl kill -s KILL systemd-journald
                      until test $(systemctl show -P MainPID systemd-journald) != $old; do sleep 0.1; done";
        for how in ["journalctl --rotate", "systemctl restart systemd-journald", killed, "true"] {
            for _ in 0..2 {
                // A journald that was started too often in a short time stays down.
                sh(host, &format!("
                    seq 200 | logger -t talks; setpriv --reuid=alice --regid=alice --clear-groups sh -c 'seq 50 | logger'
                    timeout 20 journalctl --sync || true
                    {how}
                    until logger back && timeout 20 journalctl --sync; do
                        sleep 0.2; systemctl reset-failed systemd-journald || true; systemctl start systemd-journald || true
                    done
                    journalctl --rotate"));
            }
        }
        let told = report(host, "logs");
        outcomes(&told, &[("logs.files", "pass")]);
        // Not the first, and not one of the few entries between a rotation and the next.
        sh(host, "cd /var/log/journal/$(cat /etc/machine-id); before=
                  for file in $(ls system@*.journal | sort -t - -k 3 | sed 1d); do
                      number=$((0x$(echo $file | cut -d - -f 2)))
                      if test -n \"$before\" && test $((number - begin)) -gt 100; then rm $before; exit; fi
                      before=$file begin=$number
                  done; false");
        let told = report(host, "logs");
        outcomes(&told, &[("logs.files", "fail"), ("logs.gaps", "pass")]);
        let said = told.observed("logs.files");
        assert!(said.contains("entries between") && said.contains("a file was removed"), "{said}");
    }
}
