//! The logins for which sshd is asked what it would do: with a `Match` anywhere, one answer does not fit all.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    host::accounts::Account,
    profile::{schema::Profile, types::Port},
};

/// A process for each login, 27 ms of CPU each; more than this is asked in no run.
pub(super) const MOST_LOGINS: usize = 16;

/// Addresses nobody has (RFC 5737, RFC 3849): they stand for "anywhere".
pub(in crate::controls) const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The host's side of such a connection; a `Match LocalAddress` on a real address is not tried.
const HERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe)),
];

/// Who logs in, and where from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls) struct Login {
    /// The account.
    pub(in crate::controls) user: String,
    /// The client's address.
    pub(in crate::controls) from: IpAddr,
    /// The port it comes to.
    pub(in crate::controls) port: u16,
}

impl Login {
    /// Whether sshd's `-C` can say it.
    pub(in crate::controls) fn is_plain(&self) -> bool {
        is_plain(&self.user)
    }

    /// The value of sshd's `-C`. `host` is the address: `UseDNS` is off unless somebody turned it on.
    pub(super) fn connection(&self) -> String {
        let Self { user, from, port } = self;
        let here = HERE[usize::from(from.is_ipv6())];
        format!("user={user},host={from},addr={from},laddr={here},lport={port}")
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.user, self.from)
    }
}

/// The logins to try, and how many more there would be.
pub(super) fn to_try(profile: &Profile, accounts: &[Account], port: Port) -> (Vec<Login>, usize) {
    let port_number = port.get();
    let admitted = profile.ssh.as_ref().and_then(|ssh| ssh.admitted.as_ref());
    let mut logins: Vec<Login> = if let Some(admitted) = admitted {
        let login = |user: &str, from| Login { user: user.to_owned(), from, port: port_number };
        admitted.iter().map(|a| login(a.user.as_str(), a.from.sample())).collect()
    } else {
        let users: Vec<&str> = accounts
            .iter()
            .filter(|account| account.can_log_in() && is_plain(&account.name))
            .map(|account| account.name.as_str())
            .collect();
        // All users from one place before the next place: if it is too many, everybody was tried once.
        let from_all = |from| {
            let login =
                move |user: &&str| Login { user: (*user).to_owned(), from, port: port_number };
            users.iter().map(login).collect::<Vec<_>>()
        };
        sources(profile, port).into_iter().flat_map(from_all).collect()
    };
    let more = logins.len().saturating_sub(MOST_LOGINS);
    logins.truncate(MOST_LOGINS);
    (logins, more)
}

/// An address of each source that the firewall lets come to this port.
fn sources(profile: &Profile, port: Port) -> Vec<IpAddr> {
    let mut sources: Vec<IpAddr> = Vec::new();
    let ports = [port];
    if let Some(firewall) = &profile.firewall {
        for allow in firewall.allowing(&ports) {
            match firewall.networks(allow) {
                None => sources.extend(ANYWHERE),
                Some(from) => sources.extend(from.iter().map(|cidr| cidr.sample())),
            }
        }
    }
    if sources.is_empty() {
        sources.extend(ANYWHERE);
    }
    let mut seen = std::collections::BTreeSet::new();
    sources.retain(|address| seen.insert(*address));
    sources
}

/// A name with a comma or blank would say something else to `-C`.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::accounts::parse_passwd;

    fn profile(text: &str) -> Profile {
        toml::from_str(text).unwrap()
    }

    fn tried(profile: &Profile, passwd: &str) -> (Vec<String>, usize) {
        let (logins, more) = to_try(profile, &parse_passwd(passwd), Port::SSH);
        (logins.iter().map(ToString::to_string).collect(), more)
    }

    const PASSWD: &str = "root:x:0:0::/root:/bin/bash\nsshd:x:1:1::/:/usr/sbin/nologin\n\
        bob:x:1000:1000::/home/bob:/bin/sh\no,dd:x:1001:1::/:/bin/sh\n";

    #[test]
    fn every_account_from_every_source() {
        let anywhere = [
            "root from 192.0.2.1",
            "bob from 192.0.2.1",
            "root from 2001:db8::1",
            "bob from 2001:db8::1",
        ];
        let cases: [(&str, &[&str]); 4] = [
            ("[ssh]\n", &anywhere),
            ("[ssh]\n[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\n", &anywhere),
            (
                "[ssh]\n[[firewall.allow]]\nname = \"ssh\"\ntcp = [22]\nfrom = [\"198.51.100.0/24\"]\n\
                 [[firewall.allow]]\nname = \"web\"\ntcp = [443]\n",
                &["root from 198.51.100.1", "bob from 198.51.100.1"],
            ),
            ("[ssh]\nadmitted = [{ user = \"al\", from = \"10.0.0.9\" }]\n", &["al from 10.0.0.9"]),
        ];
        for (text, expected) in cases {
            assert_eq!(
                tried(&profile(text), PASSWD),
                (expected.iter().map(ToString::to_string).collect(), 0),
                "{text}"
            );
        }
        assert_eq!(tried(&profile("[ssh]\nadmitted = []\n"), PASSWD), (Vec::new(), 0));
    }

    #[test]
    fn bounded_with_everybody_once() {
        let passwd: String = (0..12).map(|n| format!("u{n}:x:{n}:{n}::/:/bin/sh\n")).collect();
        let (logins, more) = tried(&profile("[ssh]\n"), &passwd);
        assert_eq!((logins.len(), more), (16, 8));
        assert!(logins.contains(&"u11 from 192.0.2.1".to_owned()));
    }

    #[test]
    fn as_sshd_takes_it() {
        let login = Login { user: "bob".to_owned(), from: ANYWHERE[1], port: 22 };
        let expected = "user=bob,host=2001:db8::1,addr=2001:db8::1,laddr=2001:db8::fe,lport=22";
        assert_eq!(login.connection(), expected);
    }
}
