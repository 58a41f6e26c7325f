use super::*;
use crate::host::accounts::parse_passwd;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE";

/// What Debian's sshd prints when nothing was set, as far as it matters here.
const DEFAULTS: &str = "permitrootlogin without-password\npubkeyauthentication yes\npasswordauthentication yes\n\
    kbdinteractiveauthentication no\npermitemptypasswords no\nusepam yes\nauthenticationmethods any\n\
    authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\nauthorizedkeyscommand none\n\
    trustedusercakeys none\npubkeyacceptedalgorithms ssh-ed25519,rsa-sha2-512\nstrictmodes yes\n";

fn policy(lines: &str) -> Policy {
    // The later line of a keyword that has one value only would not be seen: it takes the place of the default.
    let keyword = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let set: Vec<String> = lines.lines().map(keyword).collect();
    let kept = DEFAULTS.lines().filter(|line| !set.contains(&keyword(line)));
    let text: Vec<&str> = kept.chain(lines.lines()).collect();
    Policy::of(&Effective::parse(&text.join("\n")), &[])
}

fn who(name: &str, files: &[(&str, KeysFile)], password: Password) -> Candidate {
    let passwd = "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n";
    let account = parse_passwd(passwd).into_iter().find(|account| account.name == name).unwrap();
    let files = files.iter().map(|(path, file)| ((*path).to_owned(), file.clone())).collect();
    let groups = vec![name.to_owned(), "sudo".to_owned()];
    Candidate { account, groups, secret: Ok(Secret { password, ends: None }), files }
}

fn keys(text: &str) -> KeysFile {
    KeysFile::Keys(super::super::keys::parse(text))
}

fn comes_of(policy: &Policy, who: &Candidate) -> String {
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    match judge(policy, who, "192.0.2.1".parse().unwrap(), now) {
        Outcome::In(how) => format!("in: {how}"),
        Outcome::Out(why) => format!("out: {why}"),
        Outcome::Unknown(why) => format!("unknown: {why}"),
    }
}

#[test]
fn who_gets_in() {
    let root_file = "/root/.ssh/authorized_keys";
    let root = who("root", &[(root_file, keys(KEY))], Password::Set);
    let bare = who("root", &[], Password::Set);
    let bob = who("bob", &[("/home/bob/.ssh/authorized_keys2", keys(KEY))], Password::Locked);
    let typist = who("bob", &[], Password::Set);
    let off = "passwordauthentication no";
    let cases: [(&str, &Candidate, &str); 25] = [
        ("", &root, "in: root by a key in /root/.ssh/authorized_keys"),
        ("", &bob, "in: bob by a key in /home/bob/.ssh/authorized_keys2"),
        ("", &typist, "in: bob by password"),
        (
            "",
            &bare,
            "out: root: no authorized key (/root/.ssh/authorized_keys, /root/.ssh/authorized_keys2), PermitRootLogin takes no password from root",
        ),
        (
            off,
            &typist,
            "out: bob: no authorized key (/home/bob/.ssh/authorized_keys, /home/bob/.ssh/authorized_keys2), passwords are off",
        ),
        (
            "passwordauthentication no\nkbdinteractiveauthentication yes",
            &typist,
            "in: bob by password",
        ),
        (
            "passwordauthentication no\nkbdinteractiveauthentication yes\nusepam no\npubkeyauthentication no",
            &typist,
            "out: bob: passwords are off, keys are off",
        ),
        ("permitrootlogin yes", &bare, "in: root by password"),
        ("permitrootlogin no", &root, "out: root: PermitRootLogin is no"),
        (
            "permitrootlogin forced-commands-only",
            &root,
            "out: root: PermitRootLogin is forced-commands-only",
        ),
        ("permitrootlogin no", &bob, "in: bob by a key in /home/bob/.ssh/authorized_keys2"),
        ("allowusers al", &bob, "out: bob: not in AllowUsers (al)"),
        (
            "allowusers al\nallowusers bob@10.0.0.0/8",
            &bob,
            "out: bob: not in AllowUsers (al bob@10.0.0.0/8)",
        ),
        (
            "allowusers al\nallowusers bob@192.0.2.0/24",
            &bob,
            "in: bob by a key in /home/bob/.ssh/authorized_keys2",
        ),
        ("denyusers *@192.0.2.*", &bob, "out: bob: shut out by DenyUsers *@192.0.2.*"),
        ("allowgroups adm", &bob, "out: bob: in none of AllowGroups (adm)"),
        ("allowgroups su*", &bob, "in: bob by a key in /home/bob/.ssh/authorized_keys2"),
        ("denygroups sudo", &bob, "out: bob: shut out by DenyGroups sudo"),
        ("authenticationmethods publickey,password", &bob, "out: bob: no password is set"),
        (
            "authenticationmethods publickey,password publickey",
            &bob,
            "in: bob by a key in /home/bob/.ssh/authorized_keys2",
        ),
        (
            "authenticationmethods gssapi-with-mic",
            &bob,
            "unknown: bob: holdfast cannot tell who gets in by gssapi-with-mic",
        ),
        (
            "pubkeyacceptedalgorithms rsa-sha2-512\npasswordauthentication no",
            &bob,
            "out: bob: no usable key (/home/bob/.ssh/authorized_keys2: ssh-ed25519 keys are not accepted), passwords are off",
        ),
        (
            "authorizedkeysfile /etc/keys/%u\npasswordauthentication no",
            &bob,
            "out: bob: no authorized key (/etc/keys/bob), passwords are off",
        ),
        (
            "authorizedkeyscommand /usr/bin/sss\npasswordauthentication no",
            &typist,
            "unknown: bob: holdfast cannot tell what AuthorizedKeysCommand answers",
        ),
        (
            "trustedusercakeys /etc/ssh/ca\npasswordauthentication no",
            &typist,
            "unknown: bob: holdfast cannot tell who holds a certificate of TrustedUserCAKeys",
        ),
    ];
    for (lines, candidate, expected) in cases {
        assert_eq!(comes_of(&policy(lines), candidate), expected, "{lines:?}");
    }
}

#[test]
fn files_that_sshd_does_not_read() {
    let off = policy("passwordauthentication no");
    let path = "/root/.ssh/authorized_keys";
    let ignored = KeysFile::Ignored(format!("{path} may be written by others (mode 0666)"));
    let unknown = KeysFile::Unknown("cannot open it".to_owned());
    assert_eq!(
        comes_of(&off, &who("root", &[(path, ignored)], Password::Locked)),
        "out: root: no usable key (/root/.ssh/authorized_keys may be written by others (mode 0666)), passwords are off"
    );
    assert_eq!(
        comes_of(&off, &who("root", &[(path, unknown)], Password::Locked)),
        "unknown: cannot open it"
    );
    let second = [(path, KeysFile::Absent), ("/root/.ssh/authorized_keys2", keys(KEY))];
    assert!(comes_of(&off, &who("root", &second, Password::Locked)).starts_with("in: "));
}

#[test]
fn accounts_that_have_ended() {
    let mut bob = who("bob", &[("/home/bob/.ssh/authorized_keys", keys(KEY))], Password::Set);
    for (ends, gets_in) in [(None, true), (Some(20_000), false), (Some(30_000), true)] {
        bob.secret = Ok(Secret { password: Password::Set, ends });
        assert_eq!(comes_of(&policy(""), &bob).starts_with("in: "), gets_in, "{ends:?}");
    }
    bob.secret = Err("cannot read /etc/shadow".to_owned());
    assert!(comes_of(&policy(""), &bob).starts_with("in: "), "a key needs no password");
    bob.files.clear();
    assert_eq!(comes_of(&policy(""), &bob), "unknown: cannot read /etc/shadow");
}

/// The profile's settings count, not those that sshd has now.
#[test]
fn as_the_profile_wants_it() {
    let effective = Effective::parse(DEFAULTS);
    let typist = who("bob", &[], Password::Set);
    for (toml, gets_in) in [
        ("password_authentication = true", true),
        ("password_authentication = false", false),
        ("allow_users = [\"al\"]", false),
        ("allow_users = []", true),
    ] {
        let ssh = toml::from_str(toml).unwrap();
        let policy = Policy::of(&effective, &crate::controls::ssh::wanted(&ssh));
        assert_eq!(comes_of(&policy, &typist).starts_with("in: "), gets_in, "{toml}");
    }
}
