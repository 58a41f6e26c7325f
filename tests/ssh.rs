//! The ssh control on booted hosts: judged by real logins from another host, by sshd itself and by systemd.

use std::path::{Path, PathBuf};

use holdfast_test_host::Peer;

use crate::support::*;

/// The shipped values, and nothing but sshd.
const PROFILE_SSH: &str = r#"
extends = ["baseline"]
[ssh]
ports = [22]
[firewall]
mode = "off"
[journal]
mode = "off"
[sysctl]
mode = "off"
[services]
mode = "off"
"#;

const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-holdfast.conf";

/// A person on another host, with a key that root of the tested one admits.
struct Client {
    peer: Peer,
    keys: tempfile::TempDir,
}

impl Client {
    fn new(host: &Host) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let peer = host.peer("client").unwrap();
        let key = keys.path().join("key");
        let words: [&Path; 7] = [
            Path::new("ssh-keygen"),
            Path::new("-q"),
            Path::new("-t"),
            Path::new("ed25519"),
            Path::new("-N"),
            Path::new(""),
            Path::new("-f"),
        ];
        peer.run(words.into_iter().chain([key.as_path()])).unwrap().ok().unwrap();
        let public = std::fs::read(keys.path().join("key.pub")).unwrap();
        host.sh("mkdir -p -m 700 /root/.ssh; useradd -m -s /bin/sh bob").unwrap().ok().unwrap();
        host.push("/root/.ssh/authorized_keys", public, 0o600).unwrap();
        Self { peer, keys }
    }

    fn ssh(&self, port: u16, options: &[&str], command: &str) -> Vec<String> {
        let key: PathBuf = self.keys.path().join("key");
        let fixed = SSH.iter().chain(&["-o", "ConnectTimeout=10"]).chain(options);
        let mut words: Vec<String> = fixed.map(ToString::to_string).collect();
        words.extend(["-i".into(), key.display().to_string(), "-p".into(), port.to_string()]);
        words.extend([format!("root@{}", self.peer.host_v4()), command.to_owned()]);
        words
    }

    /// Whether a login with the key works.
    fn can_log_in(&self, port: u16) -> bool {
        let output = self.peer.run(self.ssh(port, &[], "echo in")).unwrap();
        output.status == Some(0) && output.text() == "in"
    }

    /// The ways in that sshd offers to somebody without a key.
    fn ways_in(&self) -> String {
        let none = ["-o", "PreferredAuthentications=none"];
        let output = self.peer.run(self.ssh(22, &none, "true")).unwrap();
        let (_, ways) = output.stderr.split_once("Permission denied (").expect(&output.stderr);
        ways.split(')').next().unwrap().to_owned()
    }
}

fn main_pid(host: &Host) -> String {
    let words = ["systemctl", "show", "-P", "MainPID", "ssh.service"];
    host.run(words).unwrap().ok().unwrap().text().to_owned()
}

fn do_in(host: &Host, script: &str) {
    host.sh(script).unwrap().ok().unwrap();
}

/// The ssh checks that need attention.
fn findings(report: &Report) -> Vec<&str> {
    let bad = ["drift", "fail", "cannot-check"];
    report
        .results
        .keys()
        .map(String::as_str)
        .filter(|check| bad.contains(&report.outcome(check)))
        .collect()
}

on_hosts! {
    /// From fresh to held and back, with a session that stays open all the while.
    fn held_without_cutting_anybody_off(host: &Host) {
        let client = Client::new(host);
        give(host, PROFILE_SSH);
        assert!(client.can_log_in(22));
        assert!(client.ways_in().contains("password"));
        let pid = main_pid(host);
        let wait = "until [ -e /tmp/end ]; do read -t 0.1 _ </dev/zero || :; done; echo lived";
        let session = client.peer.command(client.ssh(22, &[], &format!("touch /tmp/begun; bash -c '{wait}'")))
            .unwrap().start().unwrap();
        do_in(host, "for i in $(seq 200); do [ -e /tmp/begun ] && exit 0; sleep 0.05; done; exit 1");
        let before = host.snapshot(&["/etc/ssh"]).unwrap();

        let first = verify(host);
        assert_eq!(first.exit, 2);
        for check in ["ssh.config", "ssh.effective/passwordauthentication", "ssh.effective/x11forwarding"] {
            assert_eq!(first.outcome(check), "fail", "{check}");
        }
        assert!(first.observed("ssh.effective/x11forwarding").contains("/etc/ssh/sshd_config:"));
        for check in ["ssh.valid", "ssh.running", "ssh.effective/port"] {
            assert_eq!(first.outcome(check), "pass", "{check}: {}", first.observed(check));
        }
        assert_eq!(first.outcome("ssh.wire/22"), "fail", "it offers more than the profile has");

        let applied = apply(host);
        assert_passes(&verify(host));
        assert_eq!(main_pid(host), pid, "sshd was restarted");
        assert!(client.can_log_in(22));
        assert_eq!(client.ways_in(), "publickey");
        let sshd = host.run(["sshd", "-T"]).unwrap().ok().unwrap().stdout;
        for line in ["passwordauthentication no", "loglevel VERBOSE", "logingracetime 30", "allowtcpforwarding local"] {
            assert!(sshd.lines().any(|found| found == line), "no {line} in {sshd}");
        }

        let held = host.snapshot(&["/etc/ssh"]).unwrap();
        let again = apply(host);
        assert_eq!(changes(&held, &host.snapshot(&["/etc/ssh"]).unwrap()), Vec::<String>::new());
        assert!(again.json["transaction"].is_null(), "{:#}", again.json);

        holdfast(host, &["rollback", &applied.transaction().to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/ssh"]).unwrap()), Vec::<String>::new());
        assert_eq!(main_pid(host), pid);
        do_in(host, "for i in $(seq 100); do ss -ltnH 'sport = :22' | grep -q . && exit 0; sleep 0.05; done; exit 1");
        assert!(client.can_log_in(22));
        assert!(client.ways_in().contains("password"), "{}", client.ways_in());
        let back = verify(host);
        assert_eq!(back.outcome("ssh.running"), "pass", "{}", back.observed("ssh.running"));
        do_in(host, "touch /tmp/end");
        assert_eq!(session.wait().unwrap().ok().unwrap().text(), "lived");
    }
}

/// A fault, the checks it breaks, and what is said of one of them.
struct Fault {
    what: &'static str,
    script: &'static str,
    breaks: &'static [&'static str],
    says: (&'static str, &'static str),
}

const FAULTS: [Fault; 11] = [
    Fault {
        what: "our drop-in edited",
        script: "sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' $D/00-holdfast.conf; systemctl reload ssh",
        breaks: &["ssh.config", "ssh.effective/passwordauthentication"],
        says: (
            "ssh.effective/passwordauthentication",
            "yes (set in /etc/ssh/sshd_config.d/00-holdfast.conf:",
        ),
    },
    Fault {
        what: "our drop-in deleted, nothing reloaded",
        script: "rm $D/00-holdfast.conf",
        breaks: &[
            "ssh.config",
            "ssh.effective/passwordauthentication",
            "ssh.effective/loglevel",
            "ssh.running",
        ],
        says: ("ssh.config", "00-holdfast.conf is missing"),
    },
    Fault {
        what: "our drop-in behind a link",
        script: "mv $D/00-holdfast.conf /root/h; ln -s /root/h $D/00-holdfast.conf; systemctl reload ssh",
        breaks: &["ssh.config"],
        says: ("ssh.config", "is a link to /root/h"),
    },
    Fault {
        what: "our drop-in writable by all",
        script: "chmod 666 $D/00-holdfast.conf; systemctl reload ssh",
        breaks: &["ssh.config"],
        says: ("ssh.config", "has mode 0666"),
    },
    Fault {
        what: "our drop-in made nonsense",
        script: "echo Nonsense yes >>$D/00-holdfast.conf",
        breaks: &["ssh.config", "ssh.valid", "ssh.running", "ssh.effective/passwordauthentication"],
        says: ("ssh.valid", "00-holdfast.conf: line "),
    },
    Fault {
        what: "a drop-in that is read before ours",
        script: "echo PasswordAuthentication yes >$D/00-aaa.conf; systemctl reload ssh",
        breaks: &["ssh.effective/passwordauthentication"],
        says: (
            "ssh.effective/passwordauthentication",
            "yes (set in /etc/ssh/sshd_config.d/00-aaa.conf:1)",
        ),
    },
    Fault {
        what: "a Match that plain sshd -T does not show",
        script: "printf 'Match User bob\\n  PasswordAuthentication yes\\n' >$D/90-bob.conf; systemctl reload ssh",
        breaks: &["ssh.effective/passwordauthentication"],
        says: (
            "ssh.effective/passwordauthentication",
            "yes for bob from 192.0.2.1, bob from 2001:db8::1 (set in /etc/ssh/sshd_config.d/90-bob.conf:2 (Match User bob))",
        ),
    },
    Fault {
        what: "a further port",
        script: "echo Port 2222 >$D/90-port.conf; systemctl reload ssh",
        breaks: &["ssh.effective/port"],
        says: ("ssh.effective/port", "22 2222 (set in /etc/ssh/sshd_config.d/90-port.conf:1)"),
    },
    Fault {
        what: "a change that sshd has not read",
        script: "echo PrintMotd no >$D/60-motd.conf",
        breaks: &["ssh.running"],
        says: ("ssh.running", "60-motd.conf changed at"),
    },
    Fault {
        what: "weak ciphers in a file read before ours",
        script: "echo Ciphers aes128-ctr >$D/00-a.conf; systemctl reload ssh",
        breaks: &["ssh.effective/ciphers", "ssh.wire/22"],
        says: ("ssh.wire/22", "ciphers are aes128-ctr"),
    },
    Fault {
        what: "an include of another place",
        script: "mkdir -p /opt/x; echo 'MaxAuthTries 100' >/opt/x/y; echo 'Include /opt/x/*' >$D/00-b.conf; systemctl reload ssh; rm $D/00-b.conf",
        breaks: &["ssh.running"],
        says: ("ssh.running", "/etc/ssh/sshd_config.d changed at"),
    },
];

on_hosts! {
    fn faults_are_found_and_put_right(host: &Host) {
        let client = Client::new(host);
        give(host, PROFILE_SSH);
        apply(host);
        let pid = main_pid(host);
        for Fault { what, script, breaks, says: (check, part) } in FAULTS {
            do_in(host, &format!("D=/etc/ssh/sshd_config.d; {script}"));
            // A reload is over for systemd a moment before sshd listens again.
            do_in(host, "for i in $(seq 100); do ss -ltnH 'sport = :22' | grep -q . && exit 0; sleep 0.05; done; exit 1");
            let found = verify(host);
            for broken in breaks {
                let outcome = found.outcome(broken);
                let unseen = broken.starts_with("ssh.effective/") && breaks.contains(&"ssh.valid");
                assert_eq!(outcome, if unseen { "cannot-check" } else { "drift" }, "{what}: {broken}: {}", found.observed(broken));
            }
            if breaks.len() == 1 {
                assert_eq!(findings(&found), breaks, "{what}");
            }
            assert!(found.observed(check).contains(part), "{what}: {}", found.observed(check));
            correct(host);
            let after = verify(host);
            assert!(findings(&after).is_empty(), "{what}: {:?}", after.findings());
            assert_eq!(client.ways_in(), "publickey", "{what}");
            assert!(client.can_log_in(22), "{what}");
        }
        assert_eq!(main_pid(host), pid, "sshd was restarted");
        let kept = host.sh("cd /etc/ssh/sshd_config.d; ls; cat 00-aaa.conf.set-aside-by-holdfast").unwrap().ok().unwrap().stdout;
        for part in ["90-bob.conf.set-aside-by-holdfast\n", "90-port.conf.set-aside-by-holdfast\n", "\n60-motd.conf\n", "PasswordAuthentication yes\n"] {
            assert!(kept.contains(part), "{part} was lost: {kept}");
        }
    }
}

on_hosts! {
    /// cloud-init's file, which hosts were broken into through, comes after ours and changes nothing.
    fn the_cloud_init_trap(host: &Host) {
        let client = Client::new(host);
        do_in(host, "echo PasswordAuthentication yes >/etc/ssh/sshd_config.d/50-cloud-init.conf; systemctl reload ssh");
        give(host, PROFILE_SSH);
        let found = verify(host);
        let observed = found.observed("ssh.effective/passwordauthentication");
        assert!(observed.contains("50-cloud-init.conf:1"), "{observed}");
        apply(host);
        assert_passes(&verify(host));
        assert_eq!(client.ways_in(), "publickey");
        assert_eq!(host.read("/etc/ssh/sshd_config.d/50-cloud-init.conf").unwrap(), b"PasswordAuthentication yes\n");
    }
}

on_hosts! {
    /// Setting files aside is undone to the byte and the nanosecond.
    fn rollback_of_what_was_set_aside(host: &Host) {
        let files = "cd /etc/ssh/sshd_config.d
            printf '# \\303\\nPasswordAuthentication yes\\n' >00-aaa.conf
            chmod 640 00-aaa.conf; chown bin:games 00-aaa.conf; setfacl -m u:games:r 00-aaa.conf
            echo X11Forwarding yes >/etc/ssh/other; ln -s /etc/ssh/other 00-b-link.conf
            touch -h -d '2020-01-02 03:04:05.678' 00-aaa.conf 00-b-link.conf .
            systemctl reload ssh";
        do_in(host, files);
        give(host, PROFILE_SSH);
        let before = host.snapshot(&["/etc/ssh"]).unwrap();
        let applied = apply(host);
        assert_passes(&verify(host));
        let after = host.snapshot(&["/etc/ssh"]).unwrap();
        for name in ["00-aaa.conf", "00-b-link.conf"] {
            let path = format!("/etc/ssh/sshd_config.d/{name}");
            assert!(!after.contains_key(Path::new(&path)), "{path} is still there");
            let aside = &after[Path::new(&format!("{path}.set-aside-by-holdfast"))];
            assert_eq!(aside, &before[Path::new(&path)], "not as it was");
        }
        holdfast(host, &["rollback", &applied.transaction().to_string()]).ok().unwrap();
        assert_eq!(changes(&before, &host.snapshot(&["/etc/ssh"]).unwrap()), Vec::<String>::new());
    }
}

on_hosts! {
    /// What holdfast must not touch, it names, and leaves the host as it is.
    fn what_only_a_person_can_mend(host: &Host) {
        let client = Client::new(host);
        give(host, PROFILE_SSH);
        apply(host);
        let pid = main_pid(host);
        let tree = || host.snapshot(&["/etc/ssh"]).unwrap();

        do_in(host, "echo Bogus 1 >/etc/ssh/sshd_config.d/70-bogus.conf");
        let (broken, found) = (tree(), verify(host));
        assert_eq!(found.outcome("ssh.valid"), "drift");
        assert!(found.observed("ssh.valid").contains("70-bogus.conf: line 1"), "{}", found.observed("ssh.valid"));
        assert_eq!(found.outcome("ssh.effective/passwordauthentication"), "cannot-check");
        assert_ne!(report(host, "correct").exit, 0);
        // Together with a fault it could mend: still nothing is reloaded.
        do_in(host, &format!("echo Port 9 >>{DROP_IN}"));
        let (both, said) = (tree(), holdfast(host, &["correct"]));
        assert_ne!(said.status, Some(0), "{}", said.stdout);
        assert!(said.stderr.contains("70-bogus.conf") || said.stdout.contains("70-bogus.conf"), "{said:?}");
        assert_eq!(changes(&both, &tree()), Vec::<String>::new());
        assert_ne!(broken, both);
        assert_eq!(main_pid(host), pid);
        assert!(client.can_log_in(22), "the running sshd was not disturbed");
        do_in(host, "rm /etc/ssh/sshd_config.d/70-bogus.conf");
        correct(host);
        assert_passes(&verify(host));

        do_in(host, "printf 'Match User bob\\n  PasswordAuthentication yes\\n' >>/etc/ssh/sshd_config; systemctl reload ssh");
        let found = verify(host);
        let observed = found.observed("ssh.effective/passwordauthentication");
        assert!(observed.contains("/etc/ssh/sshd_config:") && observed.contains("(Match User bob)"), "{observed}");
        let main = host.read("/etc/ssh/sshd_config").unwrap();
        assert_ne!(report(host, "correct").exit, 0);
        assert_eq!(host.read("/etc/ssh/sshd_config").unwrap(), main, "sshd_config is never edited");
        do_in(host, "sed -i '/^Match/,$d' /etc/ssh/sshd_config; systemctl reload ssh");

        do_in(host, &format!("rm {DROP_IN}; mkdir {DROP_IN}"));
        let found = verify(host);
        assert_eq!(found.outcome("ssh.config"), "drift");
        assert!(found.observed("ssh.config").contains("is a directory"));
        let said = holdfast(host, &["correct"]);
        assert_ne!(said.status, Some(0));
        assert!(said.stderr.contains("is a directory"), "{said:?}");
        do_in(host, &format!("rmdir {DROP_IN}"));
        correct(host);

        do_in(host, &format!("echo X11Forwarding yes >{DROP_IN}"));
        if host.run(["chattr", "+i", DROP_IN]).unwrap().status == Some(0) {
            let said = holdfast(host, &["correct"]);
            assert_ne!(said.status, Some(0));
            assert!(said.stderr.contains("chattr -i"), "{said:?}");
            assert_eq!(host.read(DROP_IN).unwrap(), b"X11Forwarding yes\n");
            do_in(host, &format!("chattr -i {DROP_IN}"));
        }
        correct(host);
        assert_passes(&verify(host));
        assert!(client.can_log_in(22));
    }
}

on_hosts! {
    /// A running sshd that is not what the files say: other options, another program, none at all.
    fn what_runs_is_looked_at(host: &Host) {
        give(host, PROFILE_SSH);
        apply(host);

        do_in(host, "echo SSHD_OPTS=\\'-o PasswordAuthentication=yes\\' >/etc/default/ssh; systemctl restart ssh");
        let found = verify(host);
        assert_eq!(findings(&found), ["ssh.running"]);
        assert!(found.observed("ssh.running").contains("-o PasswordAuthentication=yes"));
        assert_eq!(report(host, "correct").exit, 2, "a reload would keep the options");
        do_in(host, "rm /etc/default/ssh; systemctl restart ssh");
        assert_passes(&verify(host));

        do_in(host, "systemctl stop ssh");
        let stopped = verify(host);
        for check in ["ssh.valid", "ssh.effective/passwordauthentication"] {
            assert_eq!(stopped.outcome(check), "cannot-check", "{check}");
            assert!(stopped.observed(check).contains("systemctl start ssh"));
        }
        assert_eq!(stopped.outcome("ssh.running"), "not-applicable");
        assert_eq!(stopped.outcome("ssh.wire/22"), "not-applicable");

        do_in(host, "mkdir -p /run/sshd; printf 'PasswordAuthentication yes\\nPort 22\\n' >/tmp/evil; /usr/sbin/sshd -f /tmp/evil -o PidFile=/tmp/evil.pid");
        let evil = verify(host);
        assert_eq!(evil.outcome("ssh.wire/22"), "drift");
        assert!(evil.observed("ssh.wire/22").contains("though ssh.service does not run"));
        do_in(host, "kill $(cat /tmp/evil.pid); systemctl start ssh");
        assert_passes(&verify(host));

        do_in(host, "mv /usr/sbin/sshd /usr/sbin/sshd.away");
        let gone = verify(host);
        let mut of_ssh = gone.results.keys().filter(|check| check.starts_with("ssh.")).peekable();
        assert!(of_ssh.peek().is_some());
        assert!(of_ssh.all(|check| gone.outcome(check) == "cannot-check"), "{:#}", gone.json);
        assert!(gone.observed("ssh.config").contains("apt-get install openssh-server"));
        do_in(host, "mv /usr/sbin/sshd.away /usr/sbin/sshd");
        assert_passes(&verify(host));

        // Many looks in a row are not taken for an attack.
        for _ in 0..20 {
            assert_passes(&verify(host));
        }
    }
}

on_hosts! {
    /// The units see as much through their sandboxes as root does, and put right what root would.
    fn the_timers_units(host: &Host) {
        give(host, PROFILE_SSH);
        apply(host);
        do_in(host, "systemctl start holdfast-verify.service");
        do_in(host, "echo PasswordAuthentication yes >/etc/ssh/sshd_config.d/00-aaa.conf; systemctl reload ssh");
        assert_ne!(host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().status, Some(0));
        do_in(host, "systemctl start holdfast-correct.service");
        do_in(host, "systemctl start holdfast-verify.service; sshd -T | grep -qx 'passwordauthentication no'");
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// A further port is opened and shut again by reload alone.
    fn ports_change_without_a_restart(host: &Host) {
        let client = Client::new(host);
        give(host, PROFILE_SSH);
        apply(host);
        let pid = main_pid(host);
        give(host, &PROFILE_SSH.replace("[22]", "[22, 2222]"));
        let found = verify(host);
        assert_eq!(found.outcome("ssh.wire/2222"), "fail");
        assert_eq!(found.outcome("ssh.effective/port"), "fail");
        let applied = apply(host);
        assert_passes(&verify(host));
        assert!(client.can_log_in(22) && client.can_log_in(2222));
        holdfast(host, &["rollback", &applied.transaction().to_string()]).ok().unwrap();
        do_in(host, "for i in $(seq 100); do ss -ltnH 'sport = :2222' | grep -q . || exit 0; sleep 0.05; done; exit 1");
        do_in(host, "for i in $(seq 100); do ss -ltnH 'sport = :22' | grep -q . && exit 0; sleep 0.05; done; exit 1");
        assert!(client.can_log_in(22) && !client.can_log_in(2222));
        assert_eq!(main_pid(host), pid, "sshd was restarted");
    }
}

on_hosts! {
    /// A host that has never started sshd: written and tested, nothing started.
    fn before_sshds_first_start(host: &Host) {
        do_in(host, "systemctl disable --now ssh; rm -rf /run/sshd /etc/ssh/sshd_config.d");
        give(host, PROFILE_SSH);
        let applied = apply(host);
        let found = verify(host);
        assert!(findings(&found).is_empty(), "{:?}", found.findings());
        assert_eq!(found.outcome("ssh.effective/passwordauthentication"), "pass");
        assert_eq!(host.run(["systemctl", "is-active", "ssh"]).unwrap().text(), "inactive");
        holdfast(host, &["rollback", &applied.transaction().to_string()]).ok().unwrap();
        do_in(host, "test ! -e /run/sshd; test ! -e /etc/ssh/sshd_config.d");
    }
}
