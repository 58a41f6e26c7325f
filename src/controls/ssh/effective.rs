//! What `sshd -T` prints: the configuration sshd would use, defaults included.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::listen_port;

/// Keyword, in lower case, to its values; one that is printed on several lines has several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::controls) struct Effective(BTreeMap<String, Vec<String>>);

impl Effective {
    /// Reads the output of `sshd -T`.
    pub(in crate::controls) fn parse(text: &str) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            if !keyword.is_empty() {
                let values = all.entry(keyword.to_ascii_lowercase()).or_default();
                values.push(value.trim().to_owned());
            }
        }
        Self(all)
    }

    /// The values of a keyword in the order they were printed; none when it was not.
    pub(in crate::controls) fn values(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map(Vec::as_slice).unwrap_or_default()
    }

    /// The ports sshd listens on: those of its addresses, which may name others than `Port` does.
    pub(in crate::controls) fn ports(&self) -> BTreeSet<u16> {
        let addresses = self.values("listenaddress").iter();
        let ports: BTreeSet<u16> = addresses
            .filter_map(|address| listen_port(address.split(' ').next().unwrap_or(address)))
            .collect();
        if ports.is_empty() {
            return self.values("port").iter().filter_map(|port| port.parse().ok()).collect();
        }
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::ssh::settings::{Seen, Setting, wanted},
        profile::schema::Ssh,
    };

    const DEBIAN_12: &str = include_str!("fixtures/effective-9.2.txt");
    const DEBIAN_13: &str = include_str!("fixtures/effective-10.0.txt");

    fn setting(toml: &str) -> Setting {
        wanted(&toml::from_str::<Ssh>(toml).unwrap()).remove(0)
    }

    /// Debian's defaults, which both releases share.
    #[test]
    fn defaults_beside_a_profile() {
        let other = |text: &str| Seen::Other(text.to_owned());
        let cases = [
            ("ports = [22]", Seen::Same),
            ("ports = [22, 2222]", other("22")),
            ("password_authentication = true", Seen::Same),
            ("password_authentication = false", other("yes")),
            ("permit_root_login = \"prohibit-password\"", Seen::Same),
            ("permit_root_login = \"no\"", other("without-password")),
            ("login_grace_time = \"2m\"", Seen::Same),
            ("login_grace_time = \"30s\"", other("120")),
            ("max_startups = \"10:30:100\"", Seen::Same),
            ("log_level = \"INFO\"", Seen::Same),
            ("log_level = \"VERBOSE\"", other("INFO")),
            ("allow_users = []", Seen::Same),
            ("allow_users = [\"bob\"]", other("(none named)")),
            (
                "authorized_keys_file = [\".ssh/authorized_keys\", \".ssh/authorized_keys2\"]",
                Seen::Same,
            ),
            (
                "authorized_keys_file = [\".ssh/authorized_keys\"]",
                other(".ssh/authorized_keys .ssh/authorized_keys2"),
            ),
            ("keyboard_interactive_authentication = false", Seen::Same),
            ("permit_tunnel = \"no\"", Seen::Same),
        ];
        for text in [DEBIAN_12, DEBIAN_13] {
            let effective = Effective::parse(text);
            for (toml, expected) in &cases {
                assert_eq!(setting(toml).compare(&effective), *expected, "{toml}");
            }
        }
        assert_eq!(setting("max_sessions = 10").compare(&Effective::default()), Seen::Missing);
    }

    #[test]
    fn lists_in_order() {
        let effective = Effective::parse("ciphers a,b\nmacs x\nport 22\n");
        assert_eq!(setting("ciphers = [\"a\", \"b\"]").compare(&effective), Seen::Same);
        let other = Seen::Other("a,b".to_owned());
        assert_eq!(setting("ciphers = [\"b\", \"a\"]").compare(&effective), other);
    }

    #[test]
    fn ports_are_where_sshd_listens() {
        let cases = [
            ("port 22\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:22\n", vec![22]),
            (
                "port 22\nport 2222\nlistenaddress [::]:2222\nlistenaddress 0.0.0.0:22\n",
                vec![22, 2222],
            ),
            ("port 22\nlistenaddress 10.0.0.1:2200\n", vec![2200]),
            ("port 22\nlistenaddress 10.0.0.1:2200 rdomain blue\n", vec![2200]),
            ("port 22\n", vec![22]),
            ("", vec![]),
        ];
        for (text, ports) in cases {
            assert_eq!(Effective::parse(text).ports(), ports.into_iter().collect(), "{text}");
        }
    }
}
