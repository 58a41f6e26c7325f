//! Verdicts on hosts in memory.

use super::*;
use crate::controls::ssh::{
    effective::Effective,
    observed::{Daemon, Heard},
    testing::*,
    tree::Tree,
};

const NO_PASSWORDS: &str = "password_authentication = false";

/// The verdict on one check.
fn verdict(seen: &Observed, id: &str) -> (&'static str, String) {
    let judgements = judge(seen);
    let judgement = judgements.iter().find(|j| j.id() == id);
    let (word, text) = told(&judgement.unwrap_or_else(|| panic!("no {id}")).verdict);
    (word, text.to_owned())
}

#[track_caller]
fn assert_verdict(seen: &Observed, id: &str, word: &str, part: &str) {
    let (found, text) = verdict(seen, id);
    assert!(found == word && text.contains(part), "{id}: {found}: {text}");
}

fn effective_with(from: &str, to: &str) -> String {
    assert!(DEBIAN_12.contains(from), "{from}");
    DEBIAN_12.replace(from, to)
}

#[test]
fn every_judgement_has_its_id() {
    let seen = host("ports = [22]\nmacs = [\"a\"]", &Fake::new([]), DEBIAN_12);
    let ids: Vec<String> = judge(&seen).iter().map(Judgement::id).collect();
    let expected = [
        "ssh.config",
        "ssh.valid",
        "ssh.effective/port",
        "ssh.effective/macs",
        "ssh.running",
        "ssh.wire/22",
    ];
    assert_eq!(ids, expected);
    let seen = host("admitted = []", &Fake::new([]), DEBIAN_12);
    let ids: Vec<String> = judge(&seen).iter().map(Judgement::id).collect();
    assert_eq!(ids, ["ssh.valid", "ssh.running", "ssh.wire/22"], "nothing to write");
}

#[test]
fn the_drop_in() {
    let fresh = Fake::new([("/etc/ssh/sshd_config", DEBIAN)]);
    let mut seen = applied(NO_PASSWORDS, Fake(fresh.0.clone()), DEBIAN_12);
    assert_verdict(&seen, "ssh.config", "holds", "");
    let Ok(FileState::File { content, .. }) = &seen.drop_in else { panic!() };
    let text = String::from_utf8(content.as_bytes().to_vec()).unwrap();

    let edited = FileState::config(text.replace("tion no", "tion yes"));
    let link = FileState::Symlink { target: "/tmp/x".to_owned(), uid: 0, gid: 0, mtime: None };
    let mut loose = FileState::config(&text);
    if let FileState::File { mode, .. } = &mut loose {
        *mode = 0o666;
    }
    let mut acl = FileState::config(&text);
    if let FileState::File { xattrs, .. } = &mut acl {
        xattrs.insert("system.posix_acl_access".to_owned(), vec![2]);
    }
    let cases = [
        (FileState::Absent, "is missing"),
        (
            edited,
            "00-holdfast.conf:4 is `PasswordAuthentication yes` and not `PasswordAuthentication no`",
        ),
        (
            FileState::config(format!("{text}Port 2\n")),
            "00-holdfast.conf:5 is one too many: `Port 2`",
        ),
        (FileState::config(text.replace('\n', "\r\n")), "has other line ends"),
        (link, "is a link to /tmp/x"),
        (FileState::directory(), "is a directory"),
        (loose, "has mode 0666"),
        (acl, "access control list"),
    ];
    for (state, part) in cases {
        seen.drop_in = Ok(state);
        assert_verdict(&seen, "ssh.config", "differs", part);
    }
    seen.drop_in = Err("cannot open it".to_owned());
    assert_verdict(&seen, "ssh.config", "unknown", "cannot open it");

    let unread = Fake::new([("/etc/ssh/sshd_config", "UsePAM yes\n")]);
    let seen = applied(NO_PASSWORDS, unread, DEBIAN_12);
    assert_verdict(&seen, "ssh.config", "differs", "sshd_config does not include it");
}

#[test]
fn an_expectation_changes_with_the_profile() {
    let expected = |profile: &str| {
        let seen = host(profile, &Fake::new([]), DEBIAN_12);
        judge(&seen).into_iter().map(|j| (j.id(), j.expected)).collect::<Vec<_>>()
    };
    let (one, other) = (expected("macs = [\"a\"]"), expected("macs = [\"b\"]"));
    for ((id, one), (_, other)) in one.iter().zip(&other) {
        let differs = ["ssh.config", "ssh.effective/macs", "ssh.wire/22"].contains(&id.as_str());
        assert_eq!(one != other, differs, "{id}");
    }
}

#[test]
fn effective_values_and_who_is_to_blame() {
    let trap = with_drop_in("00-aaa.conf", "\nPasswordAuthentication yes\n");
    let seen = applied(NO_PASSWORDS, trap, DEBIAN_12);
    let id = "ssh.effective/passwordauthentication";
    assert_verdict(&seen, id, "differs", "yes (set in /etc/ssh/sshd_config.d/00-aaa.conf:2)");

    let seen = host(NO_PASSWORDS, &Fake::new([]), DEBIAN_12);
    assert_verdict(&seen, id, "differs", "yes (sshd's default, set in no file)");

    let off = effective_with("passwordauthentication yes", "passwordauthentication no");
    let late = with_drop_in("50-cloud-init.conf", "PasswordAuthentication yes\n");
    assert_verdict(&applied(NO_PASSWORDS, late, &off), id, "holds", "no");

    let main = Fake::new([("/etc/ssh/sshd_config", &format!("{DEBIAN}Port 2200\n"))]);
    let both = effective_with("listenaddress [::]:22", "listenaddress [::]:2200");
    let seen = applied("ports = [22]", main, &both);
    let part = "22 2200 (set in /etc/ssh/sshd_config:4)";
    assert_verdict(&seen, "ssh.effective/port", "differs", part);
}

#[test]
fn a_match_for_one_user() {
    let files = with_drop_in("90-bob.conf", "Match User bob\n  PasswordAuthentication yes\n");
    let off = effective_with("passwordauthentication yes", "passwordauthentication no");
    let mut seen = applied(NO_PASSWORDS, files, &off);
    let answer = |text: &str| Ok(Effective::parse(text));
    seen.answers = Answers::Given(vec![
        (Some(login("root")), answer(&off)),
        (Some(login("bob")), answer(DEBIAN_12)),
    ]);
    let id = "ssh.effective/passwordauthentication";
    let part =
        "yes for bob from 192.0.2.1 (set in /etc/ssh/sshd_config.d/90-bob.conf:2 (Match User bob))";
    assert_verdict(&seen, id, "differs", part);

    seen.answers = Answers::Given(vec![
        (Some(login("root")), answer(&off)),
        (Some(login("al")), answer(&off)),
    ]);
    seen.more = 3;
    assert_verdict(&seen, id, "holds", "no for all 2 logins tried; 3 more were not");

    let failed = (Some(login("bob")), Err("sshd was still running after 30s".to_owned()));
    seen.answers = Answers::Given(vec![(Some(login("root")), answer(&off)), failed]);
    assert_verdict(&seen, id, "unknown", "still running");
}

#[test]
fn no_answer_is_never_a_pass_nor_a_drift() {
    let mut seen = host(NO_PASSWORDS, &Fake::new([]), DEBIAN_12);
    let id = "ssh.effective/passwordauthentication";
    seen.answers =
        Answers::Refused("/etc/ssh/x: line 1: Bad configuration option: Bogus".to_owned());
    assert_verdict(&seen, "ssh.valid", "differs", "line 1: Bad configuration option");
    assert_verdict(&seen, id, "unknown", "see ssh.valid");
    assert_verdict(&seen, "ssh.running", "differs", "refuses what is on the disk");
    seen.answers = Answers::NoRuntimeDir;
    assert_verdict(&seen, "ssh.valid", "unknown", "systemctl start ssh");
    assert_verdict(&seen, id, "unknown", "systemctl start ssh");
    seen.answers = Answers::Unknown("run holdfast as root".to_owned());
    assert_verdict(&seen, "ssh.valid", "unknown", "as root");
    assert_verdict(&seen, id, "unknown", "as root");
    seen.absent =
        Some("program sshd is not installed; run: apt-get install openssh-server".to_owned());
    for judgement in judge(&seen) {
        assert_verdict(&seen, &judgement.id(), "unknown", "apt-get install openssh-server");
    }
}

/// What is otherwise, the verdict, and a part of what it says.
type Case<'a> = (&'a dyn Fn(&mut Observed), &'a str, &'a str);

#[test]
fn what_the_running_sshd_has_read() {
    let running = |change: &dyn Fn(&mut Observed)| {
        let mut seen = host(NO_PASSWORDS, &Fake::new([]), DEBIAN_12);
        change(&mut seen);
        verdict(&seen, "ssh.running")
    };
    let service = |active: &'static str, has_socket: bool| {
        move |seen: &mut Observed| {
            let daemon: &mut Daemon = seen.daemon.as_mut().unwrap();
            daemon.service.active = active.to_owned();
            daemon.has_socket = has_socket;
        }
    };
    let title = |title: &'static str| {
        move |seen: &mut Observed| seen.daemon.as_mut().unwrap().title = Some(title.to_owned())
    };
    let newest = |seconds| {
        move |seen: &mut Observed| seen.newest = Some(("/etc/ssh/x".to_owned(), at(seconds)))
    };
    let cases: [Case<'_>; 11] = [
        (&|_| {}, "holds", "unchanged since"),
        (&service("reloading", false), "holds", ""),
        (&newest(NOW - 51), "holds", ""),
        (&newest(NOW - 50), "differs", "/etc/ssh/x changed at"),
        (
            &newest(NOW - 49),
            "differs",
            "/etc/ssh/x changed at 2027-01-15T07:59:11Z, after sshd read",
        ),
        (&newest(NOW + 60), "unknown", "clock was set back"),
        (&service("inactive", false), "not-applicable", "ssh.service is inactive"),
        (&service("inactive", true), "not-applicable", "ssh.socket starts sshd"),
        (
            &title("sshd: /usr/sbin/sshd -D -o PasswordAuthentication=yes [listener]"),
            "differs",
            "-o PasswordAuthentication=yes",
        ),
        (&title("sshd: /usr/sbin/sshd -D -oPort=2 [listener]"), "differs", "-oPort=2"),
        (&|seen| seen.daemon = Err("no bus".to_owned()), "unknown", "no bus"),
    ];
    for (change, word, part) in cases {
        let (found, text) = running(change);
        assert!(found == word && text.contains(part), "{word} {part}: {found}: {text}");
    }
}

#[test]
fn when_sshd_was_told_to_read() {
    // Started, the test and the signal of the last reload, active since, state changed, and what counts.
    let cases = [
        ("started only", 10, [0, 0], 12, 12, 10),
        ("reloaded", 10, [20, 22], 12, 25, 22),
        ("restarted after a reload", 30, [20, 22], 32, 32, 30),
        ("reload refused by the test", 10, [20, 0], 12, 21, 10),
        ("a later one refused", 10, [30, 22], 12, 31, 22),
        ("reloaded and forgotten", 10, [0, 0], 12, 25, 25),
    ];
    for (what, main_started, reloads, started, changed, expected) in cases {
        let mut daemon = daemon();
        daemon.processes.main_started = main_started;
        daemon.processes.reloads = reloads.to_vec();
        (daemon.service.started, daemon.service.changed) = (started, changed);
        assert_eq!(daemon.told_to_read_at(), expected, "{what}");
    }
}

#[test]
fn what_answers_on_the_port() {
    let ciphers = "ciphers = [\"chacha20-poly1305@openssh.com\", \"aes128-ctr\", \"aes192-ctr\", \
        \"aes256-ctr\", \"aes128-gcm@openssh.com\", \"aes256-gcm@openssh.com\"]\n";
    let keys = "host_key_algorithms = [\"ssh-ed25519\", \"rsa-sha2-512\", \"rsa-sha2-256\", \"ecdsa-sha2-nistp256\"]\n";
    let good = host(&format!("{ciphers}{keys}"), &Fake::new([]), DEBIAN_12);
    assert_verdict(&good, "ssh.wire/22", "holds", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10");
    let weak = host(
        "ciphers = [\"aes256-ctr\"]\nhost_key_algorithms = [\"ssh-ed25519\"]",
        &Fake::new([]),
        DEBIAN_12,
    );
    assert_verdict(&weak, "ssh.wire/22", "differs", "ciphers are chacha20");
    assert_verdict(&weak, "ssh.wire/22", "differs", "host keys also rsa-sha2-512");

    let mut seen = good;
    let from = "127.0.0.1:22".parse().unwrap();
    let heard = |bytes: &[u8]| Heard::Bytes(from, bytes.to_vec());
    let cases = [
        (heard(b"Not allowed at this time\r\n"), "unknown", "turned holdfast away"),
        (heard(b""), "unknown", "hung up"),
        (heard(b"SSH-2.0-x\r\n\0\0\0\x04\x01\x15\0\0"), "differs", "no SSH server"),
        (Heard::Nobody, "differs", "nobody listens on port 22"),
        (Heard::Failed("timed out".to_owned()), "unknown", "timed out"),
    ];
    for (heard, word, part) in cases {
        seen.wires[0].heard = heard;
        assert_verdict(&seen, "ssh.wire/22", word, part);
    }
    seen.wires[0].heard = heard(HELLO_12);
    seen.wires[0].listeners.push(66);
    assert_verdict(&seen, "ssh.wire/22", "differs", "another process than ssh.service's (34)");
    seen.daemon.as_mut().unwrap().sockets = None;
    assert_verdict(&seen, "ssh.wire/22", "holds", "");
    seen.daemon.as_mut().unwrap().service.active = "inactive".to_owned();
    assert_verdict(&seen, "ssh.wire/22", "differs", "though ssh.service does not run");
    seen.wires[0].heard = Heard::Nobody;
    assert_verdict(&seen, "ssh.wire/22", "not-applicable", "inactive");
}

#[test]
fn the_first_global_line_counts_unless_they_add_up() {
    let files = Fake::new([(
        "/etc/ssh/sshd_config",
        "X11Forwarding no\nX11Forwarding yes\nPort 22\nPort 23\nListenAddress 10.0.0.1:24\nListenAddress ::\n",
    )]);
    let tree = Tree::read(&files);
    let culprits = |profile: &str| {
        let settings = host(profile, &files, DEBIAN_12).settings;
        tree.culprits(&settings[0]).iter().map(|line| line.number).collect::<Vec<_>>()
    };
    assert_eq!(culprits("x11_forwarding = false"), [] as [usize; 0]);
    assert_eq!(culprits("x11_forwarding = true"), [1]);
    assert_eq!(culprits("ports = [22]"), [4, 5]);
    assert_eq!(culprits("ports = [22, 23, 24]"), [] as [usize; 0]);
}
