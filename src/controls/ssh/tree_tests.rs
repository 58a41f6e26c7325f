//! Reading configurations that were tried on sshd 9.2 and 10.0, which agree.

use proptest::prelude::*;

use super::*;
use crate::controls::ssh::testing::{DEBIAN, Fake};

fn told(tree: &Tree) -> Vec<String> {
    let line = |line: &Line| format!("{} {} {}", line.place(), line.keyword, line.args.join("|"));
    tree.lines.iter().map(line).collect()
}

#[test]
fn lines_in_sshds_order() {
    let tree = Tree::read(&Fake::new([
        (MAIN, DEBIAN),
        ("/etc/ssh/sshd_config.d/50-cloud-init.conf", "PasswordAuthentication yes\n"),
        ("/etc/ssh/sshd_config.d/00-holdfast.conf", "# ours\nPasswordAuthentication no\n"),
        ("/etc/ssh/sshd_config.d/.hidden.conf", "PasswordAuthentication yes\n"),
        ("/etc/ssh/sshd_config.d/readme.txt", "no\n"),
    ]));
    let expected = [
        "/etc/ssh/sshd_config.d/00-holdfast.conf:2 passwordauthentication no",
        "/etc/ssh/sshd_config.d/50-cloud-init.conf:1 passwordauthentication yes",
        "/etc/ssh/sshd_config:2 kbdinteractiveauthentication no",
    ];
    assert_eq!(told(&tree), expected);
    assert!(tree.matches.is_empty());
    assert!(tree.includes("/etc/ssh/sshd_config.d/00-holdfast.conf"));
    assert_eq!(tree.dirs, BTreeSet::from(["/etc/ssh/sshd_config.d".to_owned()]));
}

#[test]
fn a_match_ends_with_its_file() {
    let tree = Tree::read(&Fake::new([
        (
            MAIN,
            "Include sshd_config.d/*.conf\nX11Forwarding yes\nMatch User a\nInclude more\nPort 1\n",
        ),
        ("/etc/ssh/sshd_config.d/10.conf", "Match User bob\n  PasswordAuthentication yes\n"),
        ("/etc/ssh/more", "MaxAuthTries 3\nMatch Address 10.0.0.0/8\nMaxSessions 1\n"),
    ]));
    let expected = [
        "/etc/ssh/sshd_config.d/10.conf:2 (Match User bob) passwordauthentication yes",
        "/etc/ssh/sshd_config:2 x11forwarding yes",
        "/etc/ssh/more:1 (Match User a) maxauthtries 3",
        "/etc/ssh/more:3 (Match User a, Address 10.0.0.0/8) maxsessions 1",
        "/etc/ssh/sshd_config:5 (Match User a) port 1",
    ];
    assert_eq!(told(&tree), expected);
    assert_eq!(tree.matches.len(), 3);
    assert!(!tree.includes("/etc/ssh/more"));
}

#[test]
fn a_match_for_nobody_but_the_account_that_fetches_backups_divides_no_other_logins() {
    let path = "/etc/ssh/sshd_config.d/00-holdfast-pull.conf";
    for (text, count) in [
        ("Match User holdfast-pull\n  PermitTTY no\n", 0),
        ("match  user holdfast-pull\n", 1),
        ("Match User holdfast-pull,root\n", 1),
        ("Match User holdfast-pull Address 10.0.0.0/8\n", 1),
        ("Match User holdfast-pul?\n", 1),
        ("Match !User holdfast-pull\n", 1),
        ("Match Group holdfast-pull\n", 1),
    ] {
        let tree = Tree::read(&Fake::new([(MAIN, DEBIAN), (path, text)]));
        assert_eq!(tree.matches.len(), count, "{text}");
        assert!(tree.setting("permittty").all(|line| line.scope.is_some()));
    }
    let within = Tree::read(&Fake::new([
        (MAIN, "Match Address 10.0.0.0/8\nInclude more\n"),
        ("/etc/ssh/more", "Match User holdfast-pull\n"),
    ]));
    assert_eq!(within.matches.len(), 2);
}

#[test]
fn one_more_file() {
    let fake = Fake::new([(MAIN, DEBIAN)]);
    let path = "/etc/ssh/sshd_config.d/00-holdfast.conf";
    let with =
        With { inner: &fake, dir: "/etc/ssh/sshd_config.d", path, text: "X11Forwarding no\n" };
    assert!(!Tree::read(&fake).includes(path));
    assert!(Tree::read(&with).includes(path));
    let bare = Fake::new([(MAIN, "UsePAM yes\n")]);
    let with = With { inner: &bare, ..with };
    assert!(!Tree::read(&with).includes(path), "nothing includes it");
}

#[test]
fn an_include_of_itself_ends() {
    let tree = Tree::read(&Fake::new([(MAIN, "UsePAM yes\nInclude /etc/ssh/sshd_config\n")]));
    assert_eq!(tree.lines.len(), DEEPEST + 1);
}

/// A line, and its keyword and arguments.
type Case = (&'static str, Option<(&'static str, &'static [&'static str])>);

#[test]
fn splitting_lines() {
    let cases: [Case; 12] = [
        ("PermitRootLogin yes # no", Some(("permitrootlogin", &["yes"]))),
        ("PermitRootLogin=yes", Some(("permitrootlogin", &["yes"]))),
        ("  MACs = hmac-sha2-256", Some(("macs", &["hmac-sha2-256"]))),
        ("\"PermitRootLogin\" yes", Some(("permitrootlogin", &["yes"]))),
        ("AllowUsers a\t b", Some(("allowusers", &["a", "b"]))),
        ("Include \"/etc/a b\" c\\ d", Some(("include", &["/etc/a b", "c d"]))),
        ("Banner 'it is'", Some(("banner", &["it is"]))),
        ("Banner a#b", Some(("banner", &["a#b"]))),
        ("ChallengeResponseAuthentication no", Some(("kbdinteractiveauthentication", &["no"]))),
        ("UsePAM", Some(("usepam", &[]))),
        ("# UsePAM no", None),
        ("   ", None),
    ];
    for (line, expected) in cases {
        let expected = expected.map(|(keyword, args)| {
            (keyword.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
        });
        assert_eq!(words(line), expected, "{line}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}", second in "(Match|Include|\"|'|\\\\| |\n|[*?]|x){0,40}") {
        Tree::read(&Fake::new([(MAIN, &text), ("/etc/ssh/x", &second)]));
        Tree::read(&Fake::new([(MAIN, &second), ("/etc/ssh/x", &second)]));
    }
}
