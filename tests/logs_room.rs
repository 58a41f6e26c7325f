//! Whether there is room for the logs that are really written, and whether a container opens its file anew, on booted hosts.

use crate::{containers::engine::import, support::*};

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// What a check expects.
fn expected<'a>(report: &'a Report, check: &str) -> &'a str {
    report.results[check]["expected"].as_str().unwrap()
}

/// By what a container's file is rotated.
const RULE: &str = "/etc/logrotate.d/holdfast-node";

on_hosts! {
    Image::Journals;
    /// A file system that is large enough for what nobody has measured, and too small for what is written: refused before
    /// anything is touched, with a number that would do, and that does.
    fn a_disk_that_is_too_small_for_what_is_written(host: &Host) {
        host.push("/root/forge.pl", repository("tests/logs/forge.pl"), 0o600).unwrap();
        sh(host, "mkdir -p /var/log/journal; mount -t tmpfs -o size=64M none /var/log/journal
                  install -d /var/log/journal/$(cat /etc/machine-id); systemctl restart systemd-journald");
        give(host, "[logs]\n");
        assert_eq!(verify(host).outcome("logs.space"), "pass");
        sh(host, "perl /root/forge.pl /var/log/journal/$(cat /etc/machine-id)/system@a.journal 10 0 20 signer.service 2>/dev/null");
        let report = verify(host);
        assert_eq!(report.outcome("logs.space"), "fail");
        let said = report.observed("logs.space");
        assert!(said.contains(" a day is written: 90d of it take "), "{said}");
        let would_do = said.rsplit_once("has 64 MiB and would have to have ");
        let would_do = would_do.unwrap_or_else(|| panic!("{said}")).1.to_owned();
        let budget = said.split_once("of it take ").unwrap().1.split(' ').next().unwrap().to_owned();

        let before = host.snapshot(&["/etc"]).unwrap();
        let output = holdfast(host, &["apply"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        assert!(output.stderr.contains(&format!("would have to have {would_do}")), "{}", output.stderr);
        assert_eq!(changes(&before, &host.snapshot(&["/etc"]).unwrap()), Vec::<String>::new());

        // A MiB more: by then a little more is written.
        let more = |size: &str| format!("{}M", size.strip_suffix('M').unwrap().parse::<u64>().unwrap() + 1);
        sh(host, &format!("mount -o remount,size={} /var/log/journal", more(&would_do)));
        give(host, &format!("[logs]\nbudget = \"{budget}\"\n"));
        let report = verify(host);
        assert_eq!(report.outcome("logs.space"), "pass", "{}", report.observed("logs.space"));
    }
}

on_hosts! {
    /// A unit that logs to a namespace which only itself names: measured there, limited there, and its room counted.
    fn a_namespace_that_only_the_unit_names(host: &Host) {
        sh(host, "printf '[Service]\\nLogNamespace=lab\\nExecStart=/bin/sh -c \"while :; do echo working; sleep 1; done\"\\n' > /etc/systemd/system/lab.service
                  mkdir -p /var/log/journal; systemctl restart systemd-journald; systemctl daemon-reload; systemctl start lab
                  until journalctl -q --namespace=lab -n 1 _SYSTEMD_UNIT=lab.service | grep -q working; do sleep 0.2; done");
        let profile = |namespace: &str| format!("[logs]\nbudget = \"64M\"\n[[logs.source]]\nname = \"lab\"\nunit = \"lab.service\"\n{namespace}");
        give(host, &profile(""));
        let report = verify(host);
        assert_eq!(expected(&report, "logs.space"), "room for 128M of journals, kept for 90d");
        assert_eq!(report.outcome("logs.config/journald@lab"), "fail");
        assert_eq!(report.outcome("logs.kept/lab"), "accumulating", "{}", report.observed("logs.kept/lab"));
        let limit = || {
            apply(host);
            let drop_in = String::from_utf8(host.read("/etc/systemd/journald@lab.conf.d/zz-holdfast.conf").unwrap()).unwrap();
            drop_in.lines().find(|line| line.starts_with("SystemMaxUse=")).unwrap().to_owned()
        };
        assert_eq!(limit(), "SystemMaxUse=64M");
        // Named in the profile, it shares the budget.
        give(host, &profile("namespace = \"lab\"\n"));
        assert_eq!(expected(&verify(host), "logs.space"), "room for 64M of journals, kept for 90d");
        assert_eq!(limit(), "SystemMaxUse=32M");
    }
}

on_hosts! {
    Image::Containers;
    /// The rule's own commands tell a real container, which opens its file anew and loses no line; one whose program SIGHUP
    /// would end is refused.
    fn a_container_opens_its_file_anew(host: &Host) {
        sh(host, "systemctl start docker; mkdir -p /srv/node /etc/logrotate.d");
        import(host, "docker");
        let run = |name: &str, script: &str| sh(host, &format!(
            "docker run -d --name {name} --log-driver none -v /srv/node:/log box /bin/sh -c '{script}' >/dev/null"));
        run("mortal", "/bin/busybox sleep 10000; exit");
        run("node", "trap \"exec 3>>/log/debug.log\" HUP; exec 3>>/log/debug.log; n=0
            while :; do n=$((n + 1)); echo \"$(/bin/busybox date -u +%Y-%m-%dT%H:%M:%SZ) $n\" >&3; /bin/busybox usleep 5000; done");
        sh(host, "until test -s /srv/node/debug.log; do sleep 0.1; done");
        let source = |container: &str| format!(
            "[logs]\n[[logs.source]]\nname = \"node\"\nfile = \"/srv/node/debug.log\"\nreopened_by_container = \"{container}\"\n");

        give(host, &source("mortal"));
        let output = holdfast(host, &["apply"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        assert!(output.stderr.contains("SIGHUP would end"), "{}", output.stderr);
        assert!(host.read(RULE).is_err());

        give(host, &source("node"));
        // What is not a step's to mend (no logrotate.timer runs in this image) keeps it from nothing.
        assert_eq!(report(host, "apply").json["outcome"], "committed");
        assert_eq!(verify(host).outcome("logs.config/node"), "pass");
        sh(host, &format!("sed -n '/postrotate/,/endscript/p' {RULE} | sed '1d;$d' > /root/tell.sh; grep -q docker /root/tell.sh"));
        for round in 1..=3 {
            sh(host, &format!("cd /srv/node; mv debug.log round-{round}; sh /root/tell.sh >/dev/null
                               until test -s debug.log; do sleep 0.05; done
                               n=$(wc -l < debug.log); until test $(wc -l < debug.log) -gt $((n + 20)); do sleep 0.05; done"));
        }
        sh(host, "docker stop -t 1 node >/dev/null");
        let all = sh(host, "cd /srv/node; cat round-1 round-2 round-3 debug.log");
        let all: Vec<usize> = all.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(all.len() > 60, "{}", all.len());
        assert_eq!(all, (1..=all.len()).collect::<Vec<_>>(), "a line was lost or came twice");
        // One that does not run is told nothing, and that is no failure.
        sh(host, "sh /root/tell.sh");
    }
}
