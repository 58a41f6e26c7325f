//! What else decides whether logs are kept, on booted hosts: how much a service may write at once, a second copy, seals.

use crate::support::*;

fn sh(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

on_hosts! {
    /// A signer at debug level writes more at once than journald takes by default, and loses none of it.
    fn a_busy_signer_loses_nothing(host: &Host) {
        give(host, "[logs]\n[[logs.source]]\nname = \"signer\"\nunit = \"signer.service\"\n");
        // The signer has written nothing yet: a finding, and no step's to mend.
        assert_eq!(report(host, "apply").json["outcome"], "committed");
        sh(host, "systemd-run --quiet --wait --unit=signer sh -c 'seq 1 70000; sleep 5'
                  n=0; until test \"$(journalctl -q -n 1 -o cat _SYSTEMD_UNIT=signer.service)\" = 70000
                  do n=$((n + 1)); test $n -lt 300; sleep 0.2; done");
        let written = sh(host, "journalctl -q -o cat _SYSTEMD_UNIT=signer.service | sort -n | uniq | wc -l");
        assert_eq!(written.trim(), "70000");
        let report = report(host, "logs");
        assert_eq!(report.outcome("logs.lost/signer"), "pass", "{}", report.observed("logs.lost/signer"));
    }
}

on_hosts! {
    /// rsyslog's copy is told with how long Debian's own rule keeps it; sealing does nothing until there is a key.
    fn a_second_copy_and_seals(host: &Host) {
        give(host, "[logs]\n[journal]\nseal = true\n");
        let report = verify(host);
        assert_eq!(report.outcome("logs.copy"), "not-applicable");
        assert_eq!(report.outcome("logs.sealed"), "fail");
        // What is asked is whether the unit runs, and what logrotate is told of its files.
        sh(host, "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/rsyslog.service
                  mkdir -p /etc/logrotate.d
                  printf '/var/log/syslog\\n{\\n\\trotate 4\\n\\tweekly\\n\\tmissingok\\n}\\n' > /etc/logrotate.d/rsyslog
                  systemctl daemon-reload; systemctl start rsyslog
                  mkdir -p /var/log/journal; systemctl restart systemd-journald; journalctl --flush");
        // Debian 13's journalctl makes no keys without libgcrypt20, which it does not depend on.
        let made = sh(host, "journalctl --setup-keys --force >/dev/null 2>&1 && echo pass || echo fail");
        let report = verify(host);
        assert_eq!(report.outcome("logs.copy"), "pass");
        assert_eq!(report.observed("logs.copy"), "rsyslog keeps a second copy for 28 days");
        assert_eq!(report.outcome("logs.sealed"), made.trim(), "{}", report.observed("logs.sealed"));
    }
}
