//! Where sources keep their logs, measured on booted hosts: no journal, files, containers, and files that were looked at
//! before. The judges are journalctl, Docker and the lines themselves.

use crate::{containers::engine::import, support::*};

const DAY: i64 = 86_400;

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn logs(host: &Host) -> Report {
    report(host, "logs")
}

/// A line of the table.
fn row<'a>(report: &'a Report, name: &str) -> &'a serde_json::Value {
    let rows = report.json["sources"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name);
    row.unwrap_or_else(|| panic!("no row {name} in {:#}", report.json))
}

fn seconds(time: &serde_json::Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

fn outcomes(report: &Report, expected: &[(&str, &str)]) {
    for (check, outcome) in expected {
        assert_eq!(report.outcome(check), *outcome, "{check}: {:#}", report.json);
    }
}

on_hosts! {
    /// A journal in memory, no journal at all, and a source that does not exist.
    fn journals_that_are_not_there(host: &Host) {
        give(host, "[logs]\n[[logs.source]]\nname = \"ghost\"\nunit = \"nothing.service\"\n");
        let report = logs(host);
        outcomes(&report, &[("logs.kept/ghost", "fail"), ("logs.gaps/ghost", "not-applicable")]);
        let said = report.observed("logs.kept/ghost");
        assert!(said.contains("no entry has _SYSTEMD_UNIT=nothing.service"), "{said}");

        for (storage, why) in [("volatile", "in memory only"), ("none", "no journal file in /var/log/journal")] {
            sh(host, &format!("
                mkdir -p /etc/systemd/journald.conf.d
                printf '[Journal]\\nStorage={storage}\\n' > /etc/systemd/journald.conf.d/x.conf
                systemctl restart systemd-journald; rm -rf /var/log/journal"));
            if storage == "none" {
                sh(host, "rm -rf /run/log/journal");
            }
            let report = logs(host);
            outcomes(&report, &[
                ("logs.files", "fail"), ("logs.kept", "fail"), ("logs.forecast", "not-applicable"), ("logs.kept/ghost", "fail"),
            ]);
            assert!(report.observed("logs.files").contains(why), "{}", report.observed("logs.files"));
            assert_eq!(report.exit, 2);
        }
    }
}

on_hosts! {
    /// A log that its program writes itself: dated by its lines, with those it was rotated to, and its own forecast.
    fn files_of_programs(host: &Host) {
        give(host, "[logs]\n\
            [[logs.source]]\nname = \"node\"\nfile = \"/srv/node/debug.log\"\n\
            [[logs.source]]\nname = \"small\"\nfile = \"/srv/small/debug.log\"\n\
            [[logs.source]]\nname = \"none\"\nfile = \"/srv/none/debug.log\"\n");
        // Hourly lines, as bitcoind dates them.
        let write = |path: &str, from: u32, to: u32, pad: u32| sh(host, &format!(
            "perl -MPOSIX=strftime -e 'my $now = time; for (my $t = $now - {from} * 86400; $t <= $now - {to} * 86400; $t += 3600) {{
                print strftime(\"%Y-%m-%dT%H:%M:%SZ\", gmtime $t), \" UpdateTip \", \"x\" x {pad}, \"\\n\" }}' > {path}"));
        sh(host, "mkdir -p /srv/node /srv/small; mount -t tmpfs -o size=10M none /srv/small");
        write("/srv/node/debug.log.1", 100, 50, 10);
        sh(host, "touch -d '50 days ago' /srv/node/debug.log.1");
        write("/srv/node/debug.log", 46, 0, 10);
        write("/srv/small/debug.log", 10, 0, 20_000);
        let report = logs(host);
        outcomes(&report, &[
            ("logs.kept/node", "pass"), ("logs.gaps/node", "fail"), ("logs.forecast/node", "accumulating"),
            ("logs.kept/small", "accumulating"), ("logs.gaps/small", "pass"), ("logs.forecast/small", "fail"),
            ("logs.kept/none", "fail"),
        ]);
        let first: i64 = sh(host, "date +%s -d $(head -n 1 /srv/node/debug.log.1 | cut -d ' ' -f 1)").trim().parse().unwrap();
        assert_eq!(seconds(&row(&report, "node")["oldest"]), first);
        let gaps = row(&report, "node")["gaps"].as_array().unwrap().clone();
        assert_eq!(gaps.len(), 1, "{gaps:#?}");
        assert_eq!((seconds(&gaps[0]["to"]) - seconds(&gaps[0]["from"])) / DAY, 4);
        // 4.8 MB in ten days are 43 MB in ninety.
        let said = report.observed("logs.forecast/small");
        assert!(said.starts_with("the file system is full too early on"), "{said}");
        let short_on = (seconds(&row(&report, "small")["short_on"]) - jiff::Timestamp::now().as_second()) / DAY;
        assert!((8..14).contains(&short_on), "{short_on} days: {said}");
    }
}

on_hosts! {
    Image::Containers;
    /// What containers write, in Docker's own files and in the journal. A container that is made anew has lost its file.
    fn output_of_containers(host: &Host) {
        sh(host, "systemctl start docker");
        import(host, "docker");
        let run = |name: &str, driver: &str| sh(host, &format!(
            "docker run -d --name {name} --log-driver {driver} box /bin/sh -c 'while :; do echo working; /bin/busybox sleep 1; done' >/dev/null"));
        run("filed", "json-file");
        run("journaled", "journald");
        sh(host, "until test -n \"$(docker logs filed 2>/dev/null)\" && journalctl --sync && test -n \"$(journalctl -q -n 1 CONTAINER_NAME=journaled)\"
                  do sleep 0.2; done");
        give(host, "[logs]\n[[logs.source]]\nname = \"filed\"\ncontainer = \"filed\"\n\
                    [[logs.source]]\nname = \"journaled\"\ncontainer = \"journaled\"\n");
        let report = logs(host);
        outcomes(&report, &[
            ("logs.kept/filed", "accumulating"), ("logs.gaps/filed", "pass"),
            ("logs.kept/journaled", "accumulating"), ("logs.gaps/journaled", "pass"), ("logs.lost/journaled", "pass"),
        ]);
        assert!(report.observed("logs.kept/filed").ends_with("it goes when the container is removed"));
        let first = |command: &str| sh(host, &format!("{command} | head -n 1 | cut -d ' ' -f 1"));
        let docker: jiff::Timestamp = first("docker logs -t filed").trim().parse().unwrap();
        assert_eq!(seconds(&row(&report, "filed")["oldest"]), docker.as_second());
        let journal = first("journalctl -q -o short-unix CONTAINER_NAME=journaled");
        let journal: i64 = journal.split('.').next().unwrap().trim().parse().unwrap();
        assert_eq!(seconds(&row(&report, "journaled")["oldest"]), journal);

        // Its oldest line made a hundred days old: kept, until the container goes.
        sh(host, "docker stop -t 1 filed >/dev/null; path=$(docker inspect -f '{{.LogPath}}' filed)
                  sed -i \"1s/\\\"time\\\":\\\"[^\\\"]*\\\"/\\\"time\\\":\\\"$(date -u -d '100 days ago' +%Y-%m-%dT%H:%M:%S.0Z)\\\"/\" \"$path\"");
        sh(host, "install -d -m 700 /var/lib/holdfast");
        let report = logs(host);
        outcomes(&report, &[("logs.kept/filed", "pass")]);
        assert!(report.observed("logs.kept/filed").ends_with("it goes when the container is removed"));
        sh(host, "docker rm -f filed >/dev/null");
        run("filed", "json-file");
        sh(host, "until test -n \"$(docker logs filed 2>/dev/null)\"; do sleep 0.2; done");
        let report = logs(host);
        outcomes(&report, &[("logs.kept/filed", "fail")]);
        let said = report.observed("logs.kept/filed");
        assert!(said.contains("an earlier look saw entries") && said.contains("made anew"), "{said}");
    }
}

on_hosts! {
    Image::Journals;
    /// A later look at archived files says the same as the first, reads those anew that are others, and forgets none.
    fn files_that_were_looked_at_before(host: &Host) {
        give(host, "[logs]\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\n");
        host.push("/root/forge.pl", repository("tests/logs/forge.pl"), 0o600).unwrap();
        sh(host, "install -d -m 700 /var/lib/holdfast");
        let forge = |name: &str, from: u32, to: u32| sh(host, &format!("
            file=/var/log/journal/$(cat /etc/machine-id)/system@{name}.journal
            perl /root/forge.pl $file {from} {to} 3600 signer.service node.service 2>/dev/null
            printf '\\002' | dd of=$file bs=1 seek=16 conv=notrunc status=none"));
        forge("a", 100, 60);
        forge("b", 60, 30);
        forge("c", 27, 0);
        let told = |report: &Report| {
            let of = |row: &serde_json::Value| ["oldest", "entries", "gaps", "lost", "bytes_per_day"].map(|key| row[key].clone());
            of(row(report, "signer"))
        };
        let first = logs(host);
        outcomes(&first, &[("logs.kept/signer", "pass"), ("logs.gaps/signer", "fail"), ("logs.files", "pass")]);
        let notes = String::from_utf8(host.read("/var/lib/holdfast/log-samples.json").unwrap()).unwrap();
        assert!(notes.contains("system@a.journal") && notes.contains("system@c.journal"), "{notes}");
        assert!(!notes.contains("\"system.journal\""), "what is written to is looked at each time: {notes}");
        let second = logs(host);
        assert_eq!(told(&second), told(&first));
        // Something else is asked: the notes do not answer it.
        give(host, "[logs]\nmax_gap = \"5d\"\n[[logs.source]]\nname = \"signer\"\nunit = \"node.service\"\n");
        outcomes(&logs(host), &[("logs.kept/signer", "pass"), ("logs.gaps/signer", "pass")]);
        // A file that is gone, and one that was changed since.
        sh(host, "cd /var/log/journal/$(cat /etc/machine-id); rm system@a.journal
                  perl -e 'open F, \"+<\", shift; seek F, 4096, 0; print F \"x\" x 3000000' system@b.journal");
        let report = logs(host);
        outcomes(&report, &[("logs.kept/signer", "fail"), ("logs.files", "fail")]);
        assert!(report.observed("logs.files").contains("system@b.journal"), "{}", report.observed("logs.files"));
    }
}
