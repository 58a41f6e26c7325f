//! Every piece that can be missing, and what is said of it.

use super::{
    super::{
        admit::{Candidate, KeysFile, Policy},
        keys,
        listen::Place,
    },
    *,
};
use crate::{
    controls::{
        firewall::{Facts, model::Model},
        ssh::{self, Effective},
    },
    host::accounts::{Password, Secret, parse_passwd},
    profile::{schema::Profile, types::Port},
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE";

const SSHD: &str = "permitrootlogin without-password\npubkeyauthentication yes\npasswordauthentication no\n\
    kbdinteractiveauthentication no\nusepam yes\nauthenticationmethods any\n\
    authorizedkeysfile .ssh/authorized_keys\npubkeyacceptedalgorithms ssh-ed25519\nstrictmodes yes\n";

/// The profile beside a host whose root has this line of keys and whose sshd says this too.
fn seen(profile: &str, port: u16, key: &str, sshd: &str) -> Observed {
    let profile: Profile = toml::from_str(profile).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let later = "2026-11-28T00:00:00Z".parse().unwrap();
    let section = profile.firewall.as_ref();
    let account = parse_passwd("root:x:0:0::/root:/bin/sh\n").remove(0);
    let file = KeysFile::Keys(keys::parse(key));
    let root = Candidate {
        account,
        groups: vec!["root".to_owned()],
        secret: Ok(Secret { password: Password::Locked, ends: None }),
        files: [("/root/.ssh/authorized_keys".to_owned(), file)].into(),
    };
    let effective = Effective::parse(&format!("{sshd}\n{SSHD}"));
    let wanted = profile.ssh.as_ref().map(ssh::wanted).unwrap_or_default();
    let cuts = Policy::of(&effective, &wanted).networks().collect();
    let declared = profile.login.as_ref().and_then(|login| login.from.as_ref());
    Observed {
        declared: declared.map(|nets| nets.iter().map(|cidr| cidr.net()).collect()),
        session: Session::Nobody,
        firewall: Ok(Model::of(section, &Facts::default(), now)),
        later: Ok(Model::of(section, &Facts::default(), later)),
        listening: Listening::At(vec![Place { ip: None, port: Port::new(port).unwrap() }]),
        wanted,
        answers: vec![(None, Ok(effective))],
        accounts: Ok(vec![root]),
        cuts,
        now,
    }
}

/// The finding on `login.path`, or how it holds.
fn path(seen: &Observed) -> String {
    match judge(seen).remove(0).verdict {
        Verdict::Holds { observed } => format!("holds: {observed}"),
        Verdict::Unknown { why } => format!("unknown: {why}"),
        Verdict::NotApplicable { why } => format!("not applicable: {why}"),
        Verdict::Differs { observed } | Verdict::Accumulating { observed } => observed,
    }
}

const DECLARED: &str = "[login]\nfrom = [\"203.0.113.0/24\"]\n";

fn allow(rest: &str) -> String {
    format!("{DECLARED}[[firewall.allow]]\nname = \"ssh\"\n{rest}\n")
}

#[test]
fn every_missing_piece_is_named() {
    let open = allow("tcp = [22]");
    let cases = [
        (
            open.clone(),
            22,
            KEY,
            "",
            "holds: tcp 22 (ssh), root by a key in /root/.ssh/authorized_keys",
        ),
        (
            allow("tcp = [22]\nfrom = [\"198.51.100.0/24\"]"),
            22,
            KEY,
            "",
            "203.0.113.0/24: no entry of firewall.allow lets it reach tcp 22 (ssh allows 198.51.100.0/24 only)",
        ),
        (
            open.clone(),
            2222,
            KEY,
            "",
            "203.0.113.0/24: no entry of firewall.allow names tcp 2222, where sshd listens",
        ),
        (
            open.clone(),
            22,
            "",
            "",
            "203.0.113.0/24: sshd lets nobody in: root: no authorized key (/root/.ssh/authorized_keys), passwords are off",
        ),
        (
            open.clone() + "[ssh]\nallow_users = [\"al\"]\n",
            22,
            KEY,
            "",
            "203.0.113.0/24: sshd lets nobody in: root: not in AllowUsers (al)",
        ),
        (
            open.clone() + "[ssh]\npermit_root_login = \"no\"\n",
            22,
            KEY,
            "",
            "203.0.113.0/24: sshd lets nobody in: root: PermitRootLogin is no",
        ),
        (
            allow("tcp = [22]\nfrom = [\"203.0.113.0/25\"]"),
            22,
            KEY,
            "",
            "of 203.0.113.0/24 only a part gets in; not 203.0.113.128/25: no entry of firewall.allow lets it reach \
             tcp 22 (ssh allows 203.0.113.0/25 only)",
        ),
        (
            open.clone(),
            22,
            KEY,
            "allowusers root@203.0.113.64/26",
            "of 203.0.113.0/24 only a part gets in; not 203.0.113.0/26, 203.0.113.128/25: sshd lets nobody in: root: \
             not in AllowUsers (root@203.0.113.64/26)",
        ),
        (
            open.clone(),
            22,
            KEY,
            "authorizedkeyscommand /usr/bin/x",
            "holds: tcp 22 (ssh), root by a key in /root/.ssh/authorized_keys",
        ),
        (
            open.clone(),
            22,
            "",
            "authorizedkeyscommand /usr/bin/x",
            "unknown: 203.0.113.0/24: root: holdfast cannot tell what AuthorizedKeysCommand answers",
        ),
        (
            format!("{DECLARED}[firewall]\nmode = \"off\"\n"),
            22,
            KEY,
            "",
            "holds: tcp 22, root by a key in /root/.ssh/authorized_keys",
        ),
    ];
    for (profile, port, key, sshd, expected) in cases {
        let seen = seen(&profile, port, key, sshd);
        assert_eq!(path(&seen), expected, "{profile}");
        let is_refused = !obstacles(&seen).is_empty();
        let is_partly = expected.starts_with("of ");
        assert_eq!(is_refused, !(expected.starts_with("holds") || is_partly), "{profile}");
        assert_eq!(!warnings(&seen).is_empty(), is_partly, "{profile}");
    }
}

/// The way in ends before whoever is away for a week comes back; and has ended.
#[test]
fn a_way_in_that_ends() {
    let lasting = |seen: &Observed| {
        let found = judge(seen).into_iter().find(|judgement| judgement.meta.id == LASTING.id)?;
        Some(found.verdict)
    };
    let until =
        |until: &str| seen(&allow(&format!("tcp = [22]\nuntil = \"{until}\"")), 22, KEY, "");
    for (day, lasts) in [("2026-11-21", false), ("2026-11-26", false), ("2026-11-29", true)] {
        match lasting(&until(day)) {
            Some(Verdict::Holds { .. }) => assert!(lasts, "{day}"),
            Some(Verdict::Differs { observed }) => {
                assert!(!lasts, "{day}");
                let says = "203.0.113.0/24: ssh, which alone lets it in, ends on 2026-11-2";
                assert!(observed.starts_with(says), "{observed}");
            }
            other => panic!("{day}: {other:?}"),
        }
    }
    // Nothing is refused for that.
    assert!(obstacles(&until("2026-11-21")).is_empty());
    let ended = until("2026-11-20");
    assert!(path(&ended).contains("ssh ended on 2026-11-21T00:00:00Z"), "{}", path(&ended));
    assert_eq!(lasting(&ended), None);
    // Another entry stays.
    let both = allow(
        "tcp = [22]\nuntil = \"2026-11-22\"\n[[firewall.allow]]\nname = \"other\"\ntcp = [22]",
    );
    let both = seen(&both, 22, KEY, "");
    assert!(matches!(lasting(&both), Some(Verdict::Holds { .. })));
}

#[test]
fn nobody_is_declared() {
    let profile = "[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\nfrom = [\"198.51.100.0/24\"]\n";
    let fine = seen(profile, 22, KEY, "");
    assert_eq!(
        path(&fine),
        "holds: from 198.51.100.0/24: tcp 22 (ssh), root by a key in /root/.ssh/authorized_keys"
    );
    assert_eq!((obstacles(&fine), warnings(&fine)), (Vec::new(), Vec::new()));
    for (profile, port, key, part) in [
        (profile, 22, "", "no authorized key"),
        (profile, 2222, KEY, "names tcp 2222"),
        ("[firewall]\n", 22, KEY, "names tcp 22"),
    ] {
        let seen = seen(profile, port, key, "");
        assert!(path(&seen).contains(part), "{}", path(&seen));
        assert!(obstacles(&seen)[0].why.contains(part), "{:?}", obstacles(&seen));
    }
}

#[test]
fn who_is_typing() {
    let profile = allow("tcp = [22]\nfrom = [\"203.0.113.0/24\"]");
    let elsewhere = Session::Ssh("198.51.100.7".parse().unwrap());

    // Others are left: a warning, and a finding about where the session comes from.
    let mut others = seen(&profile, 22, KEY, "");
    others.session = elsewhere.clone();
    assert!(obstacles(&others).is_empty());
    assert!(
        warnings(&others)[0].contains("from 198.51.100.7, where you come from, does not get in")
    );
    let about: Vec<String> =
        judge(&others).iter().filter(|j| j.meta.id == PATH.id).map(Judgement::id).collect();
    assert_eq!(about, ["login.path/203.0.113.0/24", "login.path/198.51.100.7"]);

    // Of those who get in no check comes and goes.
    others.session = Session::Ssh("203.0.113.9".parse().unwrap());
    assert_eq!(judge(&others).iter().filter(|j| j.meta.id == PATH.id).count(), 1);
    assert!(warnings(&others).is_empty());

    // Nobody is declared and the session is not let in: what others could do is nothing to it.
    let mut alone = seen(&profile.replace(DECLARED, ""), 22, KEY, "");
    assert!(obstacles(&alone).is_empty());
    alone.session = elsewhere;
    assert!(
        obstacles(&alone)[0]
            .why
            .contains("198.51.100.7: no entry of firewall.allow lets it reach tcp 22")
    );

    // The session is the only way in that is left.
    let mut only =
        seen(&profile.replace(DECLARED, "[login]\nfrom = [\"192.0.2.0/24\"]\n"), 22, KEY, "");
    assert!(!obstacles(&only).is_empty());
    only.session = Session::Ssh("203.0.113.9".parse().unwrap());
    assert!(obstacles(&only).is_empty());
    assert!(warnings(&only)[0].contains("192.0.2.0/24: no entry"), "{:?}", warnings(&only));

    // At the console nothing is refused.
    only.session = Session::Console("tty1".to_owned());
    assert!(obstacles(&only).is_empty());
    assert!(warnings(&only)[0].contains("the console tty1, at which you are, remains"));
}

#[test]
fn a_host_without_sshd_has_nothing_to_lose() {
    let mut none = seen(&allow("tcp = [80]"), 22, KEY, "");
    none.listening = Listening::NoSshd("ssh.service is not installed".to_owned());
    assert_eq!(path(&none), "not applicable: ssh.service is not installed");
    assert!(obstacles(&none).is_empty() && warnings(&none).is_empty());
    none.listening = Listening::Nowhere("ssh.service is failed".to_owned());
    assert_eq!(path(&none), "203.0.113.0/24: ssh.service is failed");
    assert!(!obstacles(&none).is_empty());
}

#[test]
fn only_this_host_can_come_to_it() {
    let mut local = seen(&allow("tcp = [22]"), 22, KEY, "");
    local.listening =
        Listening::At(vec![Place { ip: Some("127.0.0.1".parse().unwrap()), port: Port::SSH }]);
    assert_eq!(
        path(&local),
        "203.0.113.0/24: sshd listens on 127.0.0.1:22 only, which nobody reaches over IPv4"
    );
}
