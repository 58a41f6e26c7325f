//! What is kept of logs, measured on booted hosts. Journals of any age are written by systemd's own journal-remote; the
//! judge beside holdfast is journalctl.

use std::time::{Duration, Instant};

use crate::support::*;

const SOURCES: &str = "[logs]\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\n[[logs.source]]\nname = \"node\"\nunit = \"node.service\"\n";

/// What holdfast remembers of earlier looks.
const NOTES: &str = "/var/lib/holdfast/log-samples.json";

const FORGE: &str = "/root/forge.pl";
const DAY: i64 = 86_400;

/// How long something of a slow machine is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

fn prepare(host: &Host, profile: &str) {
    give(host, profile);
    host.push(FORGE, repository("tests/logs/forge.pl"), 0o600).unwrap();
    sh(host, "install -d -m 700 /var/lib/holdfast");
}

/// Adds a journal file with an entry of each unit every `step` seconds, from so many days ago to so many days ago.
fn forge(host: &Host, name: &str, (from, to): (&str, &str), step: u32, units: &str) {
    let script = format!(
        "perl {FORGE} /var/log/journal/$(cat /etc/machine-id)/system@{name}.journal {from} {to} {step} {units} 2>/dev/null"
    );
    sh(host, &script);
}

/// Takes forged journals and what earlier looks have seen away.
fn forget(host: &Host) {
    sh(host, &format!("rm -f /var/log/journal/*/system@* {NOTES}"));
}

fn logs(host: &Host) -> Report {
    report(host, "logs")
}

/// A line of the table.
fn row<'a>(report: &'a Report, name: &str) -> &'a serde_json::Value {
    let rows = report.json["sources"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"].as_str().is_some_and(|each| each.ends_with(name)));
    row.unwrap_or_else(|| panic!("no row {name} in {:#}", report.json))
}

/// How many days back a line reaches.
fn days(report: &Report, name: &str) -> i64 {
    row(report, name)["reach"].as_i64().unwrap_or_else(|| panic!("{:#}", report.json)) / DAY
}

fn seconds(time: &serde_json::Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

/// Asserts outcomes, printing everything when one is another.
fn outcomes(report: &Report, expected: &[(&str, &str)]) {
    for (check, outcome) in expected {
        assert_eq!(report.outcome(check), *outcome, "{check}: {:#}", report.json);
    }
}

/// journalctl's answers to the same questions: how many entries a unit has, the oldest and the newest second.
fn journalctl(host: &Host, unit: &str) -> (u64, i64, i64) {
    let script = format!(
        "journalctl -q --no-pager -o json --output-fields=PRIORITY _SYSTEMD_UNIT={unit} |
         sed 's/.*\"__REALTIME_TIMESTAMP\" *: *\"\\([0-9]*\\)[0-9]\\{{6\\}}\".*/\\1/' | sort -n | sed -n '1p;$p;$='"
    );
    let said = sh(host, &script);
    let mut numbers = said.lines().map(|line| line.parse::<i64>().unwrap());
    let (first, last) = (numbers.next().unwrap(), numbers.next().unwrap());
    (u64::try_from(numbers.next().unwrap()).unwrap(), first, last)
}

on_hosts! {
    Image::Journals;
    /// Hosts of four ages, and one that once reached farther back than it does now.
    fn hosts_of_any_age(host: &Host) {
        prepare(host, SOURCES);
        for (age, outcome) in [("30", "accumulating"), ("89", "accumulating"), ("91", "pass"), ("400", "pass")] {
            forget(host);
            forge(host, "a", (age, "0"), 14_400, "signer.service node.service node.service node.service");
            let report = logs(host);
            outcomes(&report, &[
                ("logs.kept", outcome), ("logs.kept/signer", outcome), ("logs.kept/node", outcome),
                ("logs.gaps", "pass"), ("logs.gaps/signer", "pass"), ("logs.lost/signer", "pass"),
                ("logs.files", "pass"), ("logs.forecast", "accumulating"),
            ]);
            assert_eq!(days(&report, "signer").to_string(), age);
            for (name, unit) in [("signer", "signer.service"), ("node", "node.service")] {
                let row = row(&report, name);
                let found = (row["entries"].as_u64().unwrap(), seconds(&row["oldest"]), seconds(&row["newest"]));
                assert_eq!(found, journalctl(host, unit), "{age} days, {name}");
            }
            // Three times as many messages take about three times the room.
            let volume = |name| row(&report, name)["bytes_per_day"].as_u64().unwrap();
            let (signer, node) = (volume("signer"), volume("node"));
            assert!(node > 2 * signer && node < 4 * signer, "{signer} {node}");
        }
        let day = jiff::Timestamp::now().as_second() + 60 * DAY;
        let day = jiff::Timestamp::from_second(day).unwrap().strftime("%Y-%m").to_string();
        forget(host);
        forge(host, "a", ("30", "0"), 14_400, "signer.service node.service");
        let report = verify(host);
        assert!(report.observed("logs.kept/signer").contains(&format!("can be proven on {day}")), "{:#}", report.json);

        // What a look has seen must still be there at the next.
        sh(host, "rm /var/log/journal/*/system@a.journal");
        forge(host, "b", ("20", "0"), 14_400, "signer.service node.service");
        let report = verify(host);
        outcomes(&report, &[("logs.kept", "fail"), ("logs.kept/signer", "fail")]);
        assert!(report.observed("logs.kept/signer").contains("an earlier look saw entries"));
    }
}

on_hosts! {
    Image::Journals;
    /// Silences are told with who wrote meanwhile.
    fn holes(host: &Host) {
        prepare(host, SOURCES);
        forge(host, "a", ("100", "43"), 3600, "signer.service node.service");
        forge(host, "b", ("40", "0"), 3600, "signer.service node.service");
        let report = logs(host);
        outcomes(&report, &[("logs.gaps", "fail"), ("logs.gaps/signer", "fail"), ("logs.kept/signer", "pass")]);
        let said = report.observed("logs.gaps");
        assert!(said.contains("nobody wrote") && (said.contains("(3.0 days") || said.contains("(2.9 days")), "{said}");
        assert_eq!(row(&report, "signer")["gaps"].as_array().unwrap().len(), 1);

        forget(host);
        forge(host, "a", ("100", "0"), 3600, "node.service");
        forge(host, "b", ("100", "17"), 3600, "signer.service");
        forge(host, "c", ("10", "0"), 3600, "signer.service");
        let report = logs(host);
        outcomes(&report, &[("logs.gaps", "pass"), ("logs.gaps/node", "pass"), ("logs.gaps/signer", "fail")]);
        let said = report.observed("logs.gaps/signer");
        assert!(said.contains("others wrote") && (said.contains("(7.0 days") || said.contains("(6.9 days")), "{said}");

        // Silent until now; and silences of before the retention are nobody's business.
        forget(host);
        forge(host, "a", ("100", "0"), 3600, "node.service");
        forge(host, "b", ("300", "200"), 3600, "signer.service");
        forge(host, "c", ("100", "5"), 3600, "signer.service");
        let report = logs(host);
        let said = report.observed("logs.gaps/signer");
        assert!(said.starts_with("silent since") && !said.contains(','), "{said}");
    }
}

on_hosts! {
    Image::Journals;
    /// Deleted, damaged, cut and from the future: each is said, and nothing is counted that is not there.
    fn files_that_are_not_as_they_should_be(host: &Host) {
        prepare(host, SOURCES);
        let dir = sh(host, "printf %s /var/log/journal/$(cat /etc/machine-id)");
        // At its cap: the oldest file goes on with numbers whose beginning was deleted.
        forge(host, "a", ("40", "0"), 3600, "signer.service node.service");
        sh(host, &format!("perl -e 'open F, \"+<\", shift; seek F, 168, 0; print F pack \"Q<\", 5000' {dir}/system@a.journal"));
        let header = sh(host, &format!("journalctl --header --file {dir}/system@a.journal"));
        assert!(header.contains("Head sequential number: 5000"), "{header}");
        let report = logs(host);
        outcomes(&report, &[("logs.kept", "fail"), ("logs.kept/signer", "fail"), ("logs.gaps/signer", "pass")]);
        assert!(report.observed("logs.kept").contains("has been deleted"), "{}", report.observed("logs.kept"));

        forget(host);
        forge(host, "a", ("91", "0"), 3600, "signer.service node.service");
        forge(host, "cut", ("50", "49"), 60, "signer.service");
        forge(host, "odd", ("50", "49"), 60, "signer.service");
        sh(host, &format!(
            "cd {dir}; truncate -s 4096 system@cut.journal
             perl -e 'open F, \"+<\", shift; seek F, 8192, 0; print F \"x\" x 4000000' system@odd.journal
             head -c 100 /dev/urandom > system@noise.journal; : > system@empty.journal; mkdir system@folder.journal
             cp -a system@a.journal system@b.journal~"
        ));
        let report = logs(host);
        outcomes(&report, &[("logs.kept/signer", "pass"), ("logs.files", "fail"), ("logs.lost/signer", "cannot-check")]);
        let faulty = report.json["journals"][0]["faulty"].as_array().unwrap().clone();
        for name in ["cut", "odd", "noise", "empty", "folder"] {
            let of = faulty.iter().find(|each| each["path"].as_str().unwrap().ends_with(&format!("@{name}.journal")));
            assert!(of.is_some(), "{name}: {faulty:#?}");
        }
        assert_eq!(faulty.len(), 5, "{faulty:#?}");
        assert!(report.observed("logs.files").contains("not closed cleanly"), "{}", report.observed("logs.files"));
        sh(host, &format!("rm -r {dir}/system@folder.journal"));

        forget(host);
        forge(host, "a", ("91", "-20"), 3600, "signer.service node.service");
        let report = logs(host);
        outcomes(&report, &[("logs.files", "fail"), ("logs.kept/signer", "pass"), ("logs.gaps/signer", "pass")]);
        assert!(report.observed("logs.files").contains("from the future"), "{}", report.observed("logs.files"));
        assert!(seconds(&row(&report, "signer")["newest"]) <= jiff::Timestamp::now().as_second() + 600);
    }
}

on_hosts! {
    Image::Journals;
    /// journald itself drops messages; a file system fills up, and that is said days before.
    fn losses_and_room(host: &Host) {
        prepare(host, SOURCES);
        sh(host, "
            mkdir -p /etc/systemd/journald.conf.d
            printf '[Journal]\\nStorage=persistent\\nRateLimitIntervalSec=2s\\nRateLimitBurst=50\\nSystemMaxUse=300M\\nSystemKeepFree=10M\\n' > /etc/systemd/journald.conf.d/x.conf
            systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald 2>/dev/null || true
            mount -t tmpfs -o size=400M none /var/log/journal
            systemctl start systemd-journald; mkdir -p /var/log/journal/$(cat /etc/machine-id); systemctl restart systemd-journald; journalctl --flush
            systemd-run --quiet --unit=signer sh -c 'seq 1 9000; sleep 5; echo again; sleep 1; echo last; sleep 60'");
        let begin = Instant::now();
        let report = loop {
            let report = logs(host);
            if report.outcome("logs.lost/signer") == "fail" || begin.elapsed() > PATIENCE {
                break report;
            }
            std::thread::sleep(Duration::from_millis(500));
        };
        outcomes(&report, &[("logs.lost/signer", "fail"), ("logs.lost/node", "pass")]);
        let said = sh(host, "journalctl -q -o json MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e");
        let dropped = said.lines().map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            entry["N_DROPPED"].as_str().unwrap().parse::<u64>().unwrap()
        });
        let (dropped, lost) = (dropped.sum::<u64>(), row(&report, "signer")["lost"].as_u64().unwrap());
        assert!(lost > 0 && lost == dropped, "{lost} {dropped}");

        // Twenty days of it; what others took in five days is noted.
        forge(host, "a", ("20", "0"), 60, "signer.service");
        let before = row(&logs(host), "signer")["bytes_per_day"].as_u64().unwrap();
        assert!(before > 0);
        sh(host, &format!("rm {NOTES}"));
        logs(host);
        let notes = String::from_utf8(host.read(NOTES).unwrap()).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let at = notes.split("\"at\":").nth(1).unwrap().split(',').next().unwrap().to_owned();
        let earlier = notes.replace(&at, &(now - 5 * DAY).to_string());
        host.push(NOTES, earlier, 0o600).unwrap();
        sh(host, "head -c 100M /dev/zero > /var/log/journal/ballast");
        let report = logs(host);
        outcomes(&report, &[("logs.forecast", "fail")]);
        let said = report.observed("logs.forecast");
        assert!(said.contains("others on its file system grow by 20.0M a day") || said.contains("grow by 19.9M"), "{said}");
        let short_on = seconds(&report.json["sources"][0]["short_on"].clone());
        let ahead = (short_on - jiff::Timestamp::now().as_second()) / DAY;
        assert!((3..60).contains(&ahead), "{ahead} days: {said}");
        assert_eq!(report.exit, 2);
    }
}
