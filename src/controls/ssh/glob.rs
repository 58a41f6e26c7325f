//! `glob(3)` as sshd uses it for `Include`: `*`, `?` and `[…]`, none of which matches a `/` or a leading dot.

use super::tree::Source;

/// The existing paths an absolute pattern stands for, sorted as `glob(3)` does, and the folders that were listed.
pub(super) fn expand(
    pattern: &str,
    source: &dyn Source,
) -> Result<(Vec<String>, Vec<String>), String> {
    let mut paths = vec![String::new()];
    let mut listed = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        if !part.contains(['*', '?', '[']) {
            for path in &mut paths {
                path.extend(["/", part]);
            }
            continue;
        }
        let mut matched = Vec::new();
        for path in paths {
            let dir = if path.is_empty() { "/" } else { &path };
            let names = source.list(dir)?;
            matched.extend(
                names
                    .iter()
                    .filter(|name| part_matches(part, name))
                    .map(|name| format!("{path}/{name}")),
            );
            listed.push(dir.to_owned());
        }
        paths = matched;
    }
    paths.sort();
    Ok((paths, listed))
}

/// Whether an absolute pattern takes in an absolute path.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (pattern, path) = (parts(pattern), parts(path));
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(p, name)| part_matches(p, name))
}

fn part_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // The last `*` is where to go on from when a literal does not fit: linear, whatever the pattern.
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        } else {
            one(&pattern[p.min(pattern.len())..], name[n])
        };
        match (step, star) {
            (Some(used), _) => {
                p += used;
                n += 1;
            }
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == '*')
}

/// How much of the pattern's beginning takes in this one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => class(pattern, c),
        literal => (*literal == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let begin = if negated { 2 } else { 1 };
    // A `]` in the first place is one of the characters.
    let end = begin + 1 + pattern.get(begin + 1..)?.iter().position(|c| *c == ']')?;
    let set = &pattern[begin..end];
    let mut found = false;
    let mut at = 0;
    while at < set.len() {
        if let (Some('-'), Some(last)) = (set.get(at + 1), set.get(at + 2)) {
            found |= (set[at]..=*last).contains(&c);
            at += 3;
        } else {
            found |= set[at] == c;
            at += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("*.conf", "00-holdfast.conf", true),
            ("*.conf", ".hidden.conf", false),
            ("*.conf", "x.conf.set-aside-by-holdfast", false),
            ("*", "x.conf.set-aside-by-holdfast", true),
            ("*a*b", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("[0-9][0-9]-*.conf", "50-cloud-init.conf", true),
            ("[!0-9]*", "50", false),
            ("[]x]y", "]y", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("\\*", "*", true),
            ("[", "[", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(part_matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(matches("/etc/ssh/sshd_config.d/*.conf", "/etc/ssh/sshd_config.d/a.conf"));
        assert!(!matches("/etc/ssh/*.conf", "/etc/ssh/sshd_config.d/a.conf"));
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[\\[\\]*?!a^\\\\.-]{0,12}", name in "[ab.\\]-]{0,12}") {
            part_matches(&pattern, &name);
        }

        #[test]
        fn a_plain_name_matches_itself_only(a in "[a-z0-9_]{1,8}", b in "[a-z0-9_]{1,8}") {
            prop_assert_eq!(part_matches(&a, &b), a == b);
            prop_assert!(part_matches("*", &a));
        }
    }
}
