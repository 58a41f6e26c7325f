//! Accounts, as `/etc/passwd` lists them.

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
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
            let [name, _, uid, _, _, _, shell] = fields.as_slice() else { return None };
            let shell = if shell.is_empty() { "/bin/sh" } else { shell };
            Some(Account {
                name: (*name).to_owned(),
                uid: uid.parse().ok()?,
                shell: shell.to_owned(),
            })
        })
        .collect()
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
}
