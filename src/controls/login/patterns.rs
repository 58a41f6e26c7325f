//! Patterns as `ssh_config(5)`, PATTERNS has them, and the places where sshd matches them against a login. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// `match_pattern`: `*` and `?`, nothing else is special.
pub(in crate::controls) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on from when a literal does not fit: the last `*`, taking in one character more.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// `match_user`: an entry of `AllowUsers` or `DenyUsers`, `USER` or `USER@HOST`.
pub(super) fn matches_login(pattern: &str, user: &str, from: IpAddr) -> bool {
    match pattern.split_once('@') {
        None => matches(pattern, user),
        Some((name, hosts)) => matches(name, user) && matches_address(hosts, from),
    }
}

/// `match_host_and_ip` for an address that has no name (`UseDNS` is off unless somebody turned it on): a list of
/// networks, addresses and patterns; one that is negated and fits ends it.
pub(super) fn matches_address(list: &str, from: IpAddr) -> bool {
    let text = from.to_string();
    let mut found = false;
    for entry in list.split(',').map(str::trim) {
        let (negated, pattern) =
            entry.strip_prefix('!').map_or((false, entry), |rest| (true, rest));
        let fits = match network(pattern) {
            Some(net) => net.contains(&from),
            None => matches(&pattern.to_ascii_lowercase(), &text),
        };
        if fits && negated {
            return false;
        }
        found |= fits;
    }
    found
}

/// The networks in a list of hosts: where what it says changes from one address to the next.
pub(super) fn networks(list: &str) -> impl Iterator<Item = IpNet> + '_ {
    list.split(',').filter_map(|entry| network(entry.trim().trim_start_matches('!')))
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from).ok();
    text.parse::<IpNet>().ok().map(|net| net.trunc()).or_else(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        let cases = [
            ("bob", "bob", true),
            ("bob", "bobby", false),
            ("b*", "bob", true),
            ("b?b", "bob", true),
            ("*", "", true),
            ("*o*b", "bobob", true),
            ("[ab]", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn logins() {
        let cases = [
            ("bob", "192.0.2.1", true),
            ("bob@192.0.2.0/24", "192.0.2.1", true),
            ("bob@192.0.2.0/24", "192.0.3.1", false),
            ("bob@192.0.2.1", "192.0.2.1", true),
            ("bob@192.0.2.*", "192.0.2.1", true),
            ("bob@2001:db8::/32", "2001:db8::9", true),
            ("bob@2001:db8::/32", "192.0.2.1", false),
            ("*@10.0.0.0/8,192.0.2.1", "192.0.2.1", true),
            ("*@192.0.2.0/24,!192.0.2.1", "192.0.2.1", false),
            ("al@192.0.2.1", "192.0.2.1", false),
            ("bob@example.org", "192.0.2.1", false),
        ];
        for (pattern, from, expected) in cases {
            let found = matches_login(pattern, "bob", from.parse().unwrap());
            assert_eq!(found, expected, "{pattern} {from}");
        }
        let nets: Vec<_> = networks("10.0.0.0/8,!192.0.2.1,*.example.org").collect();
        assert_eq!(nets, ["10.0.0.0/8".parse::<IpNet>().unwrap(), "192.0.2.1/32".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn a_plain_name_is_itself(a in "[a-z]{0,6}", b in "[a-z]{0,6}") {
            prop_assert_eq!(matches(&a, &b), a == b);
            let (begins, ends, both) = (format!("{a}*"), format!("*{b}"), format!("{a}{b}"));
            prop_assert!(matches(&begins, &both) && matches(&ends, &both));
        }
    }
}
