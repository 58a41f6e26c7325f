//! Accounts, groups and passwords, as the files in `/etc` list them.

use std::collections::BTreeMap;

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Its first group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

impl Account {
    /// Whether its shell lets anybody in.
    pub fn can_log_in(&self) -> bool {
        !(self.shell.ends_with("/nologin") || self.shell.ends_with("/false"))
            && self.shell != "/bin/sync"
            && self.shell != "/usr/bin/sync"
    }
}

/// Reads the text of `/etc/passwd`; lines that are not accounts are passed over, as libc does.
pub fn parse_passwd(text: &str) -> Vec<Account> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
            let shell = if shell.is_empty() { "/bin/sh" } else { shell };
            Some(Account {
                name: (*name).to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: (*home).to_owned(),
                shell: shell.to_owned(),
            })
        })
        .collect()
}

/// The names of an account's groups, from the text of `/etc/group`.
pub fn groups_of(account: &Account, text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.as_slice() else { return None };
        let is_first = gid.parse() == Ok(account.gid);
        let is_member = members.split(',').any(|member| member == account.name);
        (is_first || is_member).then(|| (*name).to_owned())
    });
    named.collect()
}

/// What `/etc/shadow` says of an account, but for the password itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Secret {
    /// What kind of password there is.
    pub password: Password,
    /// The day on which the account ends, in days since 1970-01-01. `None`: never.
    pub ends: Option<i64>,
}

/// What kind of password there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Password {
    /// None fits: it is locked or was never set.
    #[default]
    Locked,
    /// The empty one.
    Empty,
    /// One that may be known to somebody.
    Set,
}

/// Reads the text of `/etc/shadow`. No password leaves this function.
pub(super) fn parse_shadow(text: &str) -> BTreeMap<String, Secret> {
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, hash) = (fields.next()?, fields.next()?);
        // shadow(5): a hash that begins with `!` or `*`, or is no hash, fits nothing.
        let password = match hash.chars().next() {
            None => Password::Empty,
            Some('!' | '*') => Password::Locked,
            Some(_) => Password::Set,
        };
        let ends = fields.nth(5).and_then(|days| days.parse().ok());
        Some((name.to_owned(), Secret { password, ends }))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        let accounts = parse_passwd(
            "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\n\
             sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\nodd\nbob:x:1000:1000::/home/bob:\n",
        );
        let may: Vec<_> = accounts.iter().filter(|a| a.can_log_in()).map(|a| &a.name).collect();
        assert_eq!(may, ["root", "bob"]);
    }

    #[test]
    fn groups() {
        let bob = &parse_passwd("bob:x:1000:1000::/home/bob:/bin/sh\n")[0];
        let text = "root:x:0:\nbob:x:1000:\nsudo:x:27:al,bob\nadm:x:4:bobby\nodd\n";
        assert_eq!(groups_of(bob, text), ["bob", "sudo"]);
    }

    #[test]
    fn passwords() {
        let text = "root:*:19000:0:99999:7:::\nbob:$y$j9T$x$y:19000:0:99999:7::20000:\n\
                    al:!$y$j9T$x$y:1::::::\neve::1::::::\nodd\n";
        let all = parse_shadow(text);
        assert_eq!(all["root"], Secret { password: Password::Locked, ends: None });
        assert_eq!(all["bob"], Secret { password: Password::Set, ends: Some(20_000) });
        assert_eq!(all["al"].password, Password::Locked);
        assert_eq!(all["eve"].password, Password::Empty);
        assert_eq!(all.len(), 4);
        assert!(!format!("{all:?}").contains("j9T"));
    }
}
