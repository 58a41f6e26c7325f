//! Other people's rules.

use proptest::prelude::*;

use super::*;

const DEBIAN: &str = "# see \"man logrotate\" for details\nweekly\nrotate 4\ncreate\n#dateext\ninclude /etc/logrotate.d\n";

#[allow(clippy::disallowed_methods, reason = "tests lay out the rules they read")]
fn found(rules: &[(&str, &str)], path: &str) -> Option<Rule> {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/logrotate.d/folder")).unwrap();
    std::fs::write(root.path().join("etc/logrotate.conf"), DEBIAN).unwrap();
    for (name, text) in rules {
        std::fs::write(root.path().join("etc/logrotate.d").join(name), text).unwrap();
    }
    of(&Reader::below(root.path()), path).unwrap()
}

fn said(text: &str) -> String {
    let rule = found(&[("b", text)], "/srv/b/debug.log").unwrap();
    rule.loses(TimeSpan::from_days(90)).unwrap_or_default().replace("/etc/logrotate.d/", "")
}

#[test]
fn what_others_keep() {
    for (text, expected) in [
        ("/srv/b/debug.log {\n}\n", "b:1 rotates it and keeps 28 days"),
        ("/srv/b/*.log /x {\n\tdaily\n\trotate 30\n}\n", "b:1 rotates it and keeps 30 days"),
        ("/srv/b/debug.log{\nrotate=-1\n}", ""),
        ("/x\n\"/srv/b/debug.log\"\n{\nrotate 400\n}\n", ""),
        ("rotate 400\n\n/srv/b/debug.log {\nmaxage 7 }\n", "b:3 rotates it and keeps 7 days"),
        (
            "/srv/b/debug.log {\nrotate 400\ncopytruncate\n}\n",
            "b:1 copies it and empties it: what is written meanwhile is lost",
        ),
        (
            "/srv/b/debug.log {\nrotate 400\nsize 10M\n}\n",
            "b:1 rotates it by size and keeps 400 files, however soon they fill",
        ),
        (
            "/x {\npostrotate\n/srv/b/debug.log {\nendscript\n}\n/srv/?/debug.log {\n}\n",
            "b:6 rotates it and keeps 28 days",
        ),
    ] {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn whose_rules_are_read() {
    let rule = "/srv/b/debug.log {\n}\n";
    for name in ["holdfast-b", "b.dpkg-old", "b~", ".b"] {
        assert_eq!(found(&[(name, rule)], "/srv/b/debug.log"), None, "{name}");
    }
    assert_eq!(found(&[("b", rule)], "/srv/b/other.log"), None);
    assert_eq!(found(&[("b", "/srv/*/debug.log {\n}\n")], "/srv/b/c/debug.log"), None);
    assert!(found(&[("z", rule)], "/srv/b/debug.log").is_some());
}

#[test]
fn patterns() {
    for (pattern, path, expected) in [
        ("/a/*", "/a/b", true),
        ("/a/*.log", "/a/b/c.log", false),
        ("/a/[a-c]?", "/a/bx", true),
        ("/a/[!a-c]", "/a/b", false),
        ("/a/[b", "/a/b", false),
        ("/a/\\*", "/a/*", true),
        ("/a", "/ab", false),
    ] {
        assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "([/\"'~{}#a-z\\[\\]*?\\\\ \n-]|rotate 4\n|/srv/b\\{)*", path in "/[a-c/]*") {
        drop(Parsed::of(&text).rule("/x", &path, &[]));
        let _ = matches(text.as_bytes(), path.as_bytes());
    }
}
