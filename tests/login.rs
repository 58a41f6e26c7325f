//! The proof that administrators still get in, beside what happens to a real SSH connection from another host: in every
//! case the two must agree.

use std::path::PathBuf;

use holdfast_test_host::Peer;

use crate::support::*;

/// A person on another host whose key root of the tested one admits.
struct Client {
    peer: Peer,
    keys: tempfile::TempDir,
}

impl Client {
    fn new(host: &Host, name: &str) -> Self {
        let client = Self { peer: host.peer(name).unwrap(), keys: tempfile::tempdir().unwrap() };
        let key = client.key();
        let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()];
        client.peer.run(words).unwrap().ok().unwrap();
        let line = format!("cat >>/root/.ssh/authorized_keys <<'END'\n{}END\n", client.public());
        host.sh(&line).unwrap().ok().unwrap();
        client
    }

    fn key(&self) -> PathBuf {
        self.keys.path().join("key")
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.keys.path().join("key.pub")).unwrap()
    }

    /// Runs a command over a new connection; what it said, or `None` when there was no login.
    fn ssh(&self, port: u16, command: &str) -> Option<Output> {
        let (key, port) = (self.key().display().to_string(), port.to_string());
        let to = format!("root@{}", self.peer.host_v4());
        let fixed = SSH.into_iter().chain(["-o", "ConnectTimeout=2", "-o", "LogLevel=ERROR"]);
        let words = fixed.chain(["-i", &key, "-p", &port, &to, command]);
        let output = self.peer.run(words).unwrap();
        // 255 is ssh's own: no connection, or no login.
        (output.status != Some(255)).then_some(output)
    }

    fn can_log_in(&self, port: u16) -> bool {
        self.ssh(port, "echo in").is_some_and(|output| output.text() == "in")
    }
}

fn do_in(host: &Host, script: &str) {
    host.sh(script).unwrap().ok().unwrap();
}

/// sshd listens again a moment after its reload.
fn await_port(host: &Host, port: u16) {
    do_in(
        host,
        &format!(
            "for i in $(seq 100); do ss -ltnH 'sport = :{port}' | grep -q . && exit 0; sleep 0.05; done; exit 1"
        ),
    );
}

/// A profile under which the client gets in, as root with a key, on port 22.
const RIGHT: &str = r#"
[login]
from = ["10.99.1.0/24"]
[ssh]
ports = [22]
password_authentication = false
keyboard_interactive_authentication = false
[[firewall.allow]]
from = ["10.99.1.0/24"]
name = "ssh"
tcp = [22]
"#;

/// What shuts the client out, and what is said of it.
struct Case {
    what: &'static str,
    /// Done in the host before, and taken back after.
    script: [&'static str; 2],
    /// Of the right profile this is replaced by that.
    profile: [&'static str; 2],
    /// Where sshd is to be found.
    port: u16,
    says: &'static str,
}

/// Nothing is done; nothing is replaced.
const AS_IT_IS: [&str; 2] = ["", ""];

const CASES: [Case; 11] = [
    Case {
        what: "another source",
        script: AS_IT_IS,
        profile: ["from = [\"10.99.1.0/24\"]\nname", "from = [\"198.51.100.0/24\"]\nname"],
        port: 22,
        says: "10.99.1.0/24: no entry of firewall.allow lets it reach tcp 22 (ssh allows 198.51.100.0/24 only)",
    },
    Case {
        what: "a blocklist",
        script: AS_IT_IS,
        profile: [
            "tcp = [22]",
            "tcp = [22]\n[[firewall.block]]\nname = \"bad\"\nnetworks = [\"10.99.0.0/16\"]",
        ],
        port: 22,
        says: "10.99.1.0/24: firewall.block bad lists it",
    },
    Case {
        what: "another port",
        script: AS_IT_IS,
        profile: ["tcp = [22]", "tcp = [2222]"],
        port: 22,
        says: "no entry of firewall.allow names tcp 22, where sshd listens",
    },
    Case {
        what: "sshd on another port than the one that is allowed",
        script: AS_IT_IS,
        profile: ["ports = [22]", "ports = [2222]"],
        port: 2222,
        says: "no entry of firewall.allow names tcp 2222, where sshd listens",
    },
    Case {
        what: "nobody who is here is named",
        script: AS_IT_IS,
        profile: ["ports = [22]", "ports = [22]\nallow_users = [\"somebody\"]"],
        port: 22,
        says: "root: not in AllowUsers (somebody)",
    },
    Case {
        what: "root has the only key and may not log in",
        script: AS_IT_IS,
        profile: ["ports = [22]", "ports = [22]\npermit_root_login = \"no\""],
        port: 22,
        says: "root: PermitRootLogin is no",
    },
    Case {
        what: "passwords off, and no key anywhere",
        script: [
            "mv /root/.ssh/authorized_keys /root/keys",
            "mv /root/keys /root/.ssh/authorized_keys",
        ],
        profile: AS_IT_IS,
        port: 22,
        says: "root: no authorized key (/root/.ssh/authorized_keys, /root/.ssh/authorized_keys2), passwords are off",
    },
    Case {
        what: "a file of keys that anybody may write to",
        script: ["chmod 666 /root/.ssh/authorized_keys", "chmod 600 /root/.ssh/authorized_keys"],
        profile: AS_IT_IS,
        port: 22,
        says: "others may write to /root/.ssh/authorized_keys (mode 0666)",
    },
    Case {
        what: "keys for another network",
        script: [
            "cd /root/.ssh; cp -p authorized_keys /root/keys; sed -i 's/^/from=\"198.51.100.0\\/24\" /' authorized_keys",
            "mv /root/keys /root/.ssh/authorized_keys",
        ],
        profile: AS_IT_IS,
        port: 22,
        says: "a key is for 198.51.100.0/24 only",
    },
    Case {
        what: "a list of sshd's that the profile does not manage",
        script: [
            "echo 'DenyUsers *@10.99.1.0/24' >/etc/ssh/sshd_config.d/70-deny.conf; systemctl reload ssh",
            "rm /etc/ssh/sshd_config.d/70-deny.conf; systemctl reload ssh",
        ],
        profile: AS_IT_IS,
        port: 22,
        says: "root: shut out by DenyUsers *@10.99.1.0/24",
    },
    Case {
        what: "a Match for where the client comes from",
        script: [
            "printf 'Match Address 10.99.1.0/24\\n  AuthorizedKeysFile /etc/none\\n' >/etc/ssh/sshd_config.d/70-match.conf; systemctl reload ssh",
            "rm /etc/ssh/sshd_config.d/70-match.conf; systemctl reload ssh",
        ],
        profile: AS_IT_IS,
        port: 22,
        says: "root: no authorized key (/etc/none), passwords are off",
    },
];

on_hosts! {
    /// Each case is refused; gone on with in spite of that, a real connection fares as was said. Then the right profile.
    fn the_proof_and_a_real_connection_agree(host: &Host) {
        let client = Client::new(host, "client");
        for Case { what, script, profile, port, says } in CASES {
            do_in(host, script[0]);
            await_port(host, 22);
            give(host, &RIGHT.replace(profile[0], profile[1]));
            let plan = holdfast(host, &["plan"]);
            assert!(plan.stderr.contains("apply would be refused: login.path: "), "{what}: {plan:?}");
            let refused = host.run(["holdfast", "apply"]).unwrap();
            assert_eq!(refused.status, Some(1), "{what}: {refused:?}");
            assert!(refused.stderr.contains("nothing was changed: login.path: "), "{what}: {refused:?}");
            assert!(refused.stderr.contains(says), "{what}: {}", refused.stderr);
            let found = verify(host);
            assert_eq!(found.outcome("login.path/10.99.1.0/24"), "fail", "{what}");
            assert!(found.observed("login.path/10.99.1.0/24").contains(says), "{what}");

            let done = host.run(["holdfast", "--format", "json", "apply", "--despite", "login.path", "--no-confirm"]).unwrap();
            let done: serde_json::Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{what}: {done:?}"));
            assert_eq!(done["outcome"], "committed", "{what}: {done:#}");
            await_port(host, port);
            assert!(!client.can_log_in(port), "{what}: the proof said that nobody gets in");
            let id = done["transaction"].to_string();
            holdfast(host, &["rollback", &id]).ok().unwrap();
            do_in(host, script[1]);
            await_port(host, 22);
            assert!(client.can_log_in(22), "{what}: everything was taken back");
        }

        give(host, RIGHT);
        let applied = apply(host);
        assert_eq!(applied.outcome("login.path/10.99.1.0/24"), "pass");
        let observed = applied.observed("login.path/10.99.1.0/24");
        assert_eq!(observed, "tcp 22 (ssh), root by a key in /root/.ssh/authorized_keys");
        await_port(host, 22);
        assert!(client.can_log_in(22));
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// Who types over SSH and would lose the way by which they came.
    fn the_session_that_types(host: &Host) {
        let (client, other) = (Client::new(host, "client"), Client::new(host, "other"));
        let allow = "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\nfrom = [\"10.99.2.0/24\"]\n";
        // Nobody is declared: the session is all there is to lose.
        give(host, allow);
        let refused = client.ssh(22, "holdfast apply --no-confirm").unwrap();
        assert_eq!(refused.status, Some(1), "{refused:?}");
        let says = "10.99.1.2: no entry of firewall.allow lets it reach tcp 22 (ssh allows 10.99.2.0/24 only)";
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
        assert!(client.can_log_in(22));
        // From where it does let in the same profile is no trouble.
        let taken = other.ssh(22, "holdfast apply --no-confirm").unwrap();
        assert_eq!(taken.status, Some(0), "{taken:?}");
        assert!(other.can_log_in(22) && !client.can_log_in(22));
        holdfast(host, &["rollback", "1"]).ok().unwrap();

        // Others are declared and remain: a warning, the apply goes on, and what was said comes true.
        give(host, &format!("[login]\nfrom = [\"10.99.2.0/24\"]\n{allow}"));
        let warned = client.ssh(22, "holdfast apply --no-confirm").unwrap();
        assert_eq!(warned.status, Some(2), "a finding about where the session comes from: {warned:?}");
        let says = "warning: after it a new SSH connection from 10.99.1.2, where you come from, does not get in";
        assert!(warned.stderr.contains(says), "{}", warned.stderr);
        assert!(other.can_log_in(22) && !client.can_log_in(22));
        // To a look that nobody types there is nothing wrong.
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// The override is told where the refusal is explained, and counts for this check only.
    fn what_is_said_of_the_override(host: &Host) {
        let explained = holdfast(host, &["explain", "login.path"]).ok().unwrap();
        assert!(explained.text().contains("holdfast apply --despite login.path"), "{}", explained.text());
        assert!(explained.text().contains("console"));
        give(host, "[firewall]\n");
        for despite in ["firewall.ruleset", "login.path/anybody"] {
            let output = host.run(["holdfast", "apply", "--no-confirm", "--despite", despite]).unwrap();
            assert_eq!(output.status, Some(1), "{despite}: {output:?}");
        }
        do_in(host, "! nft list table inet holdfast");
    }
}
