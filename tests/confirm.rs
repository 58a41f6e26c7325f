//! Changes that wait for a person's word, on booted hosts: what becomes of them when nobody is there, whatever is killed
//! or cut, and whose word counts.

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use holdfast_test_host::{Peer, Tcp};
use serde_json::Value;

use crate::support::*;

/// A drop-in of sshd's, a kernel parameter, the firewall: all of them can cut off a login.
const PROFILE: &str = r#"
[journal]
max_use = "1G"
[sysctl.values]
"net.ipv4.conf.all.accept_redirects" = 0
[ssh]
x11_forwarding = false
[[firewall.allow]]
name = "ssh"
tcp = [22]
"#;

const WATCHED: [&str; 4] = ["/etc/ssh", "/etc/systemd", "/etc/sysctl.d", "/etc/nftables.conf"];

/// How much later than its end a wait may be over: the timer's second, a start, a roll-back, on a machine that is busy.
const LATE: Duration = Duration::from_secs(90);

/// Runs a command that prints JSON, whatever it exits with.
fn json(host: &Host, args: &[&str]) -> (i32, Value) {
    let words: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
    let output = holdfast(host, &words);
    let document = serde_json::from_str(&output.stdout);
    let document =
        document.unwrap_or_else(|e| panic!("{args:?}: {e}\n{}{}", output.stdout, output.stderr));
    (output.status.unwrap_or(-1), document)
}

/// Applies what waits to be confirmed, and returns its number.
fn apply_for(host: &Host, within: &str) -> u64 {
    let (exit, document) = json(host, &["apply", "--confirm-within", within]);
    assert_eq!((exit, document["outcome"].as_str()), (0, Some("pending")), "{document:#}");
    document["transaction"].as_u64().unwrap()
}

/// How a transaction ended, read past holdfast: no command of it may be what ends it.
fn ending(host: &Host, id: u64) -> Option<Value> {
    let end = host.read(format!("/var/lib/holdfast/transactions/{id:06}/end.json")).ok()?;
    serde_json::from_slice(&end).ok()
}

/// Waits until a transaction has ended, and returns how.
fn await_ending(host: &Host, id: u64, within: Duration) -> Value {
    let start = Instant::now();
    loop {
        match ending(host, id) {
            Some(end) => return end,
            None if start.elapsed() < within => sleep(Duration::from_millis(50)),
            None => {
                let units = host
                    .sh("systemctl list-timers --all --no-pager; journalctl --no-pager -n 30")
                    .unwrap();
                panic!("transaction {id} has not ended within {within:?}:\n{}", units.stdout);
            }
        }
    }
}

/// Asserts that nothing of a wait is left in systemd.
fn assert_disarmed(host: &Host) {
    let script = "systemctl list-units --all --plain --no-legend 'holdfast-expire@*'";
    let start = Instant::now();
    loop {
        let left = host.sh(script).unwrap().ok().unwrap().stdout;
        if left.trim().is_empty() {
            return;
        }
        assert!(start.elapsed() < LATE, "still armed: {left}");
        sleep(Duration::from_millis(100));
    }
}

fn live(host: &Host) -> String {
    host.sh("sysctl net.ipv4.conf.all.accept_redirects; nft -s list ruleset; sshd -T | sort")
        .unwrap()
        .ok()
        .unwrap()
        .stdout
}

fn events(host: &Host, id: &str) -> String {
    let id = format!("MESSAGE_ID={id}");
    host.sh("journalctl --sync").unwrap();
    host.run(["journalctl", "-q", "-o", "cat", &id]).unwrap().stdout
}

/// What a person left there before holdfast came, with an owner, a mode, an ACL and times of its own.
fn leave_a_file(host: &Host) {
    host.sh("
        printf '# mine\\nX11Forwarding yes\\n' > /etc/ssh/sshd_config.d/00-holdfast.conf
        chown 12:34 /etc/ssh/sshd_config.d/00-holdfast.conf
        chmod 640 /etc/ssh/sshd_config.d/00-holdfast.conf
        setfacl -m u:99:r /etc/ssh/sshd_config.d/00-holdfast.conf
        touch -d '2001-02-03 04:05:06.789' /etc/ssh/sshd_config.d/00-holdfast.conf
        touch -d '2003-02-03 04:05:06.789' /etc/sysctl.d /etc/ssh/sshd_config.d /etc/systemd
        systemctl reload ssh
    ")
        .unwrap()
        .ok()
        .unwrap();
}

on_hosts! {
    /// Nobody is there: it is taken back on time and exactly, and nothing moves until a person acts.
    fn nobody_confirms(host: &Host) {
        leave_a_file(host);
        let (files, before) = (host.snapshot(&WATCHED).unwrap(), live(host));
        give(host, PROFILE);
        let id = apply_for(host, "20s");
        let pending = json(host, &["status"]).1["pending"].clone();
        assert_eq!(pending["transaction"], id, "{pending:#}");
        assert_eq!(pending["confirm"], format!("holdfast confirm {id}"));
        assert_passes(&verify(host));
        assert_ne!(live(host), before);
        let end = await_ending(host, id, Duration::from_secs(20) + LATE);
        assert_eq!(end["cause"], "unconfirmed", "{end:#}");
        assert_eq!(end["unrestored"], serde_json::json!([]));
        let until: jiff::Timestamp = pending["until"].as_str().unwrap().parse().unwrap();
        let finished: jiff::Timestamp = end["finished"].as_str().unwrap().parse().unwrap();
        let late = finished.duration_since(until).as_secs();
        assert!((0..=LATE.as_secs().cast_signed()).contains(&late), "{late} s after its time");
        eprintln!("{}: rolled back {late} s after its time", host.suite());
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);
        assert_disarmed(host);
        assert!(events(host, "6fe47f112ab74b09ab7d283da047e601").contains("nobody confirmed it within 20s"));

        // who comes now is told
        let status = json(host, &["status"]).1;
        assert_eq!(status["taken_back"]["transaction"], id, "{status:#}");
        assert!(status["pending"].is_null());
        let text = holdfast(host, &["status"]).stdout;
        assert!(text.contains(&format!("transaction {id} by root was rolled back")), "{text}");
        let late = holdfast(host, &["confirm"]);
        assert_eq!(late.status, Some(1));
        assert!(late.stderr.contains("nobody confirmed it within 20s"), "{}", late.stderr);
    }
}

on_hosts! {
    /// After a change was taken back with nobody there, drift is reported and left alone until a person acts.
    fn correct_holds_still_afterwards(host: &Host) {
        give(host, PROFILE);
        apply(host);
        give(host, &PROFILE.replace("x11_forwarding = false", "x11_forwarding = false\nmax_auth_tries = 2"));
        let id = apply_for(host, "15s");
        // while it waits
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        let (exit, correct_now) = json(host, &["correct"]);
        assert_eq!((exit, correct_now["outcome"].as_str()), (0, Some("unchanged")), "{correct_now:#}");
        assert_eq!(correct_now["pending"]["transaction"], id);
        await_ending(host, id, Duration::from_secs(15) + LATE);
        // it went back to what was confirmed, but for what somebody else did
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1; ! sshd -T | grep -qi '^maxauthtries 2'").unwrap().ok().unwrap();
        let (exit, still) = json(host, &["correct"]);
        assert_eq!((exit, still["outcome"].as_str()), (2, Some("unchanged")), "{still:#}");
        assert_eq!(still["held_still"], id);
        let said = holdfast(host, &["correct"]).stderr;
        assert!(said.contains("nothing is corrected until a person acts"), "{said}");
        give(host, PROFILE);
        apply(host);
        assert!(json(host, &["status"]).1["taken_back"].is_null());
        host.sh("sysctl -q net.ipv4.conf.all.accept_redirects=1").unwrap().ok().unwrap();
        correct(host);
        assert_passes(&verify(host));
    }
}

on_hosts! {
    /// The agent is killed halfway, and what waits is killed too: it is taken back on time all the same.
    fn killed_halfway_and_while_it_waits(host: &Host) {
        leave_a_file(host);
        let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'until test -e /run/go; do sleep 0.05; done'\n[Install]\nWantedBy=multi-user.target\n";
        host.push("/etc/systemd/system/slow.service", unit, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        let (files, before) = (host.snapshot(&WATCHED).unwrap(), live(host));
        give(host, &format!("{PROFILE}[services]\nenabled = [\"slow.service\"]\n"));
        host.sh("systemd-run --unit=first holdfast apply --confirm-within 4s
            until systemctl show -P ActiveState slow.service | grep -q activating; do sleep 0.05; done
            systemctl kill -s KILL first.service").unwrap().ok().unwrap();
        assert_ne!(live(host), before);
        let end = await_ending(host, 1, Duration::from_secs(4) + LATE);
        assert_eq!(end["cause"], "interrupted", "{end:#}");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);

        // more time was given, so what the timer has started waits; and is killed
        host.sh("systemctl stop slow.service").unwrap().ok().unwrap();
        give(host, PROFILE);
        let id = apply_for(host, "15s");
        assert_eq!(apply_for(host, "30s"), id);
        let service = format!("holdfast-expire@{id}.service");
        host.sh(&format!("until systemctl is-active -q {service}; do sleep 0.05; done; systemctl kill -s KILL {service}")).unwrap().ok().unwrap();
        assert_eq!(ending(host, id), None, "it was given more time");
        let end = await_ending(host, id, Duration::from_secs(30) + LATE);
        assert_eq!(end["cause"], "unconfirmed", "{end:#}");
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);
        assert_disarmed(host);
    }
}

on_hosts! {
    /// A reboot is no confirmation.
    fn rebooted_before_it_is_confirmed(host: &Host) {
        leave_a_file(host);
        let (files, before) = (host.snapshot(&WATCHED).unwrap(), live(host));
        give(host, PROFILE);
        let id = apply_for(host, "10m");
        host.reboot().unwrap();
        let end = await_ending(host, id, LATE);
        assert_eq!(end["cause"], "rebooted", "{end:#}");
        assert_eq!(end["unrestored"], serde_json::json!([]));
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        assert_eq!(live(host), before);
        assert_eq!(json(host, &["status"]).1["taken_back"]["transaction"], id);
    }
}

/// A person on another host, with a key that root and alice of the tested one have.
struct Person {
    peer: Peer,
    keys: tempfile::TempDir,
}

impl Person {
    fn new(host: &Host) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let peer = host.peer("client").unwrap();
        let key = keys.path().join("key");
        let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()];
        peer.run(words).unwrap().ok().unwrap();
        let read = |name: &str| std::fs::read(keys.path().join(name)).unwrap();
        host.sh("useradd -m -s /bin/sh alice; mkdir -p -m 700 /root/.ssh; install -d -m 700 -o alice /home/alice/.ssh").unwrap().ok().unwrap();
        for path in ["/root/.ssh/authorized_keys", "/home/alice/.ssh/authorized_keys"] {
            host.push(path, read("key.pub"), 0o644).unwrap();
        }
        // for logins from the host to itself
        host.push("/root/key", read("key"), 0o600).unwrap();
        Self { peer, keys }
    }

    fn words(&self, account: &str, options: &[&str], command: &str) -> Vec<String> {
        let key: PathBuf = self.keys.path().join("key");
        let fixed = SSH.into_iter().chain(["-o", "ConnectTimeout=5", "-i"]);
        let mut words: Vec<String> = fixed.map(str::to_owned).collect();
        words.push(key.display().to_string());
        words.extend(options.iter().map(ToString::to_string));
        words.extend([format!("{account}@{}", self.peer.host_v4()), command.to_owned()]);
        words
    }

    /// Runs a command in a login, which need not succeed.
    fn ssh(&self, account: &str, options: &[&str], command: &str) -> Output {
        self.peer.run(self.words(account, options, command)).unwrap()
    }

    fn control(&self) -> String {
        format!("ControlPath={}", self.keys.path().join("control").display())
    }
}

on_hosts! {
    /// Whose word counts: that of somebody who has come in since, from elsewhere.
    fn only_a_new_login_confirms(host: &Host) {
        let person = Person::new(host);
        give(host, PROFILE);
        let control = person.control();
        person.peer.run(person.words("root", &["-o", "ControlMaster=yes", "-o", &control, "-o", "ControlPersist=yes", "-f"], "true")).unwrap().ok().unwrap();

        // the session that applied
        let own = person.ssh("root", &[], "holdfast -q apply --confirm-within 10m; echo $?; holdfast confirm; echo $?");
        assert!(own.stdout.contains("0\n") && own.stdout.trim_end().ends_with('1'), "{own:?}");
        assert!(own.stderr.contains("before the change was complete") && own.stderr.contains("and proves nothing"), "{}", own.stderr);
        let id = json(host, &["status"]).1["pending"]["transaction"].as_u64().unwrap();

        // a new session in an old connection
        let shared = person.ssh("root", &["-o", "ControlMaster=no", "-o", &control], "holdfast confirm");
        assert_eq!(shared.status, Some(1), "{shared:?}");
        assert!(shared.stderr.contains("before the change was complete"), "{}", shared.stderr);
        assert!(shared.stderr.contains("log in anew"), "{}", shared.stderr);

        // from the host to itself, by loopback and by the address that others use
        for to in ["127.0.0.1".to_owned(), "::1".to_owned(), person.peer.host_v4().to_string()] {
            let local = host.run(["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-i", "/root/key", &format!("root@{to}"), "holdfast confirm"]).unwrap();
            assert_eq!(local.status, Some(1), "{local:?}");
            assert!(local.stderr.contains("this host itself, and proves nothing"), "{to}: {}", local.stderr);
        }

        // a new connection, and what leads away from it
        for detached in ["systemd-run -q --pipe --wait holdfast confirm", "SSH_CONNECTION='203.0.113.7 1 192.0.2.1 22' systemd-run -q --pipe --wait holdfast confirm"] {
            let lost = person.ssh("root", &[], detached);
            assert_eq!(lost.status, Some(1), "{lost:?}");
            assert!(lost.stderr.contains("not started from a login that can be traced"), "{}", lost.stderr);
        }

        // a number that does not wait
        let other = person.ssh("root", &[], "holdfast confirm 99");
        assert!(other.status == Some(1) && other.stderr.contains(&format!("holdfast confirm {id}")), "{other:?}");

        let new = person.ssh("root", &[], &format!("holdfast confirm {id}"));
        assert_eq!(new.status, Some(0), "{new:?}");
        let words = format!("Transaction {id}: confirmed by root from {}, connection of ", person.peer.v4());
        assert!(new.stdout.starts_with(&words) && new.stdout.contains(" s after the change. It lasts."), "{}", new.stdout);
        assert_disarmed(host);
        assert_passes(&verify(host));
        let confirmed = ending(host, id).unwrap()["confirmed"].clone();
        assert_eq!(confirmed["by"], "root", "{confirmed:#}");
        assert_eq!(confirmed["login"]["from"], person.peer.v4().to_string());
        assert!(events(host, "7809b703d6db4544b71f146007b0c962").contains("confirmed by root from"));
        let history = holdfast(host, &["history"]).stdout;
        assert!(history.contains("committed, confirmed by root from"), "{history}");
        // nothing is left to confirm, and it stays
        let again = person.ssh("root", &[], "holdfast confirm");
        assert!(again.status == Some(1) && again.stderr.contains("nothing waits to be confirmed"), "{again:?}");
        host.reboot().unwrap();
        assert_passes(&verify(host));
    }
}

/// A container as engines make them: a network of its own, behind a bridge.
const GUEST: &str = "
    ip link add br9 type bridge
    ip addr add 10.88.0.1/24 dev br9
    ip link set br9 up
    ip netns add guest
    ip link add port9 type veth peer name eth0 netns guest
    ip link set port9 master br9 up
    ip -n guest addr add 10.88.0.2/24 dev eth0
    ip -n guest link set eth0 up
";

on_hosts! {
    /// A login counts that the change itself has let in: not from a container, not while the host is open to everybody,
    /// and not by rules that somebody has put there since.
    fn nothing_else_may_have_let_the_login_in(host: &Host) {
        let person = Person::new(host);
        give(host, PROFILE);
        let id = apply_for(host, "15m");
        let refused = |output: &Output, why: &str| {
            assert_eq!(output.status, Some(1), "{output:?}");
            assert!(output.stderr.contains(why), "{why}: {}", output.stderr);
        };
        host.sh(GUEST).unwrap().ok().unwrap();
        let words = ["ip", "netns", "exec", "guest"].into_iter().chain(SSH);
        let words: Vec<&str> = words.chain(["-i", "/root/key", "root@10.88.0.1", "holdfast confirm"]).collect();
        refused(&host.run(&words).unwrap(), "10.88.0.2, a container or guest of this host behind br9");

        // A master that comes in while the host is open.
        let control = person.control();
        holdfast(host, &["firewall", "open", "--for", "5m"]).ok().unwrap();
        person.peer.run(person.words("root", &["-o", "ControlMaster=yes", "-o", &control, "-o", "ControlPersist=yes", "-f"], "true")).unwrap().ok().unwrap();
        refused(&person.ssh("root", &[], "holdfast confirm"), "before the change was complete (or the host shut again)");
        holdfast(host, &["firewall", "close"]).ok().unwrap();
        refused(&person.ssh("root", &["-o", "ControlMaster=no", "-o", &control], "holdfast confirm"), "or the host shut again");
        sleep(Duration::from_secs(2));
        host.sh("nft 'add element inet holdfast break-glass { 6 timeout 5m }'").unwrap().ok().unwrap();
        refused(&person.ssh("root", &[], "holdfast confirm"), "the host is open to everybody now");
        host.sh("nft flush set inet holdfast break-glass; nft insert rule inet holdfast input tcp dport 22 accept").unwrap().ok().unwrap();
        refused(&person.ssh("root", &[], "holdfast confirm"), "does not hold any more");
        host.sh("nft flush ruleset").unwrap().ok().unwrap();
        refused(&person.ssh("root", &[], "holdfast confirm"), "firewall.ruleset: table inet holdfast is missing");
        // What the timer has to do is not stopped with what no target names.
        host.sh("systemctl isolate multi-user.target").unwrap().ok().unwrap();
        host.run(["systemctl", "is-active", &format!("holdfast-expire@{id}.timer")]).unwrap().ok().unwrap();
        // The target has brought the loader of the firewall along, which holds the lock.
        host.sh("systemctl start holdfast-firewall.service").unwrap().ok().unwrap();
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        let id = apply_for(host, "15m");
        let new = person.ssh("root", &[], "holdfast confirm");
        assert_eq!(new.status, Some(0), "{new:?}");
        assert!(new.stdout.starts_with(&format!("Transaction {id}: confirmed by root")), "{new:?}");
    }
}

on_hosts! {
    /// Somebody who is not root logs in with privilege separation: two processes of sshd, and the account is hers.
    fn a_user_confirms(host: &Host) {
        let person = Person::new(host);
        give(host, PROFILE);
        let id = apply_for(host, "10m");
        // A set-user-id shell stands in for sudo, which the image does not have; it too sets the real user.
        host.sh("cp /bin/dash /usr/local/bin/as-root; chmod 4755 /usr/local/bin/as-root").unwrap().ok().unwrap();
        let new = person.ssh("alice", &[], "as-root -p -c 'setpriv --reuid 0 --regid 0 --clear-groups holdfast confirm'");
        assert_eq!(new.status, Some(0), "{new:?}");
        assert!(new.stdout.contains(&format!("Transaction {id}: confirmed by alice from {}", person.peer.v4())), "{}", new.stdout);
    }
}

on_hosts! {
    /// A change that shuts its owner out is taken back by itself, with the session that made it cut.
    fn locked_out_and_let_in_again(host: &Host) {
        let person = Person::new(host);
        let wrong_source = PROFILE.replace("tcp = [22]", "tcp = [22]\nfrom = [\"192.0.2.0/24\"]");
        let wrong_port = PROFILE.replace("x11_forwarding = false", "x11_forwarding = false\nports = [2222]");
        for bad in [wrong_source, wrong_port] {
            let before = live(host);
            give(host, &bad);
            let mut session = person.peer.command(person.words("root", &[], "holdfast apply --despite login.path --confirm-within 20s; sleep 200")).unwrap().start().unwrap();
            let start = Instant::now();
            let id = loop {
                let status = json(host, &["status"]).1;
                if let Some(id) = status["pending"]["transaction"].as_u64() {
                    break id;
                }
                assert!(start.elapsed() < LATE, "{status:#}");
                sleep(Duration::from_millis(50));
            };
            assert_ne!(person.peer.tcp_open(22).unwrap(), Tcp::Open);
            host.cut_off().unwrap();
            session.kill();
            let end = await_ending(host, id, Duration::from_secs(20) + LATE);
            assert_eq!(end["cause"], "unconfirmed", "{end:#}");
            host.reconnect().unwrap();
            host.sh("for i in $(seq 1000); do ss -ltnH 'sport = :22' | grep -q . && exit 0; sleep 0.05; done; exit 1").unwrap().ok().unwrap();
            let back = person.ssh("root", &[], "echo in");
            assert_eq!(back.text(), "in", "{back:?}");
            assert_eq!(live(host), before);
        }
    }
}

on_hosts! {
    /// What fails at once leaves no timer behind, and where no timer can be had nothing is begun.
    fn a_failed_apply_disarms(host: &Host) {
        let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        host.push("/etc/systemd/system/ends.service", unit, 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        let files = host.snapshot(&WATCHED).unwrap();
        give(host, &format!("{PROFILE}[services]\nenabled = [\"ends.service\"]\n"));
        let (exit, failed) = json(host, &["apply", "--confirm-within", "10m"]);
        assert_eq!((exit, failed["outcome"].as_str()), (1, Some("rolled back, verified")), "{failed:#}");
        assert_disarmed(host);
        assert!(json(host, &["status"]).1["taken_back"].is_null(), "a person was there");

        host.sh("mkdir -p /run/systemd/system; ln -s /dev/null /run/systemd/system/holdfast-expire@.service; systemctl daemon-reload").unwrap().ok().unwrap();
        give(host, PROFILE);
        let unarmed = holdfast(host, &["apply", "--confirm-within", "10m"]);
        assert_eq!(unarmed.status, Some(1), "{unarmed:?}");
        for part in ["nothing was changed", "--no-confirm"] {
            assert!(unarmed.stderr.contains(part), "{}", unarmed.stderr);
        }
        assert_eq!(changes(&files, &host.snapshot(&WATCHED).unwrap()), Vec::<String>::new());
        let history = holdfast(host, &["history"]).stdout;
        assert!(history.contains("the way back could not be armed"), "{history}");
        apply(host);
    }
}

on_hosts! {
    /// Without the program nobody would take back what nobody confirms.
    fn the_package_stays_while_a_change_waits(host: &Host) {
        give(host, PROFILE);
        let id = apply_for(host, "10m");
        let removal = host.run(["dpkg", "--remove", "holdfast"]).unwrap();
        assert_ne!(removal.status, Some(0), "{removal:?}");
        assert!(removal.stderr.contains("a change waits to be confirmed"), "{}", removal.stderr);
        holdfast(host, &["rollback", &id.to_string()]).ok().unwrap();
        assert_disarmed(host);
        host.run(["dpkg", "--remove", "holdfast"]).unwrap().ok().unwrap();
    }
}

on_hosts! {
    /// One change at a time, by its number: the same profile gets more time, anything else waits.
    fn one_change_at_a_time(host: &Host) {
        give(host, PROFILE);
        let first = apply(host).transaction();
        give(host, &PROFILE.replace("false", "true"));
        let id = apply_for(host, "10m");
        let until = |host: &Host| json(host, &["status"]).1["pending"]["until"].as_str().unwrap().to_owned();
        let before = until(host);
        assert_eq!(apply_for(host, "20m"), id, "the same change");
        assert!(until(host) > before);
        give(host, PROFILE);
        for refused in [&["apply", "--confirm-within", "5m"][..], &["apply"], &["rollback", &first.to_string()]] {
            let output = holdfast(host, refused);
            assert_eq!(output.status, Some(75), "{refused:?}: {output:?}");
            for part in [format!("transaction {id} waits to be confirmed"), format!("holdfast confirm {id}"), format!("holdfast rollback {id}")] {
                assert!(output.stderr.contains(&part), "{refused:?}: {}", output.stderr);
            }
        }
        // taken back at once
        let (exit, back) = json(host, &["rollback", &id.to_string()]);
        assert_eq!((exit, back["outcome"].as_str()), (0, Some("rolled back, verified")), "{back:#}");
        assert_eq!(ending(host, id).unwrap()["cause"], "withdrawn");
        assert_disarmed(host);
        assert!(json(host, &["status"]).1["taken_back"].is_null(), "a person was there");
        assert_passes(&verify(host));

        // going back waits too, and is taken back in turn
        let before = live(host);
        let (exit, back) = json(host, &["rollback", &first.to_string(), "--confirm-within", "10s"]);
        assert_eq!((exit, back["outcome"].as_str()), (0, Some("pending")), "{back:#}");
        assert_ne!(live(host), before);
        await_ending(host, back["transaction"].as_u64().unwrap(), Duration::from_secs(10) + LATE);
        assert_eq!(live(host), before);

        // no time at all is no confirmation, unless it is said
        for (args, code) in [(&["apply", "--confirm-within", "0s"][..], 64), (&["apply", "--confirm-within", "5m", "--no-confirm"], 64), (&["apply", "--confirm-within", "0s", "--no-confirm"], 0)] {
            let output = holdfast(host, args);
            assert_eq!(output.status, Some(code), "{args:?}: {output:?}");
        }
        // what cannot cut anybody off does not wait
        give(host, &PROFILE.replace("1G", "2G"));
        let (_, done) = json(host, &["apply", "--confirm-within", "5m"]);
        assert_eq!(done["outcome"], "committed", "{done:#}");
    }
}
