//! What the profile wants of sshd: keyword by keyword, and as the text of the drop-in.
//!
//! A [`Setting`] knows its three forms: the line holdfast writes, what a person may have written elsewhere
//! ([`Setting::agrees`]), and what `sshd -T` prints ([`Setting::compare`]). They differ: times become seconds,
//! `prohibit-password` becomes `without-password`, lists become repeated lines.

use std::{collections::BTreeSet, fmt::Display};

use super::effective::Effective;
use crate::profile::{schema::Ssh, types::TimeSpan};

/// Where holdfast writes. sshd takes the first value it meets and reads drop-ins in the order of their names, so this
/// comes before cloud-init's `50-cloud-init.conf` and all the rest.
pub(super) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-holdfast.conf";

/// The folder of the drop-in.
pub(super) const DROP_IN_DIR: &str = "/etc/ssh/sshd_config.d";

const HEADER: &str = "\
# Written by holdfast from the [ssh] section of its profile. Do not edit: it is put back.
# sshd keeps the first value it meets, so a file whose name sorts before this one overrides it,
# and so does a Match block anywhere. `holdfast verify` finds both.
";

/// How the values of a keyword are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One word, in any case.
    Word,
    /// A length of time, in seconds.
    Seconds,
    /// A list joined by commas, in order.
    Commas,
    /// A list separated by blanks, in order.
    Blanks,
    /// Names in any order; each further line of a file adds to them.
    Names,
    /// Ports in any order; each further line of a file adds to them.
    Ports,
}

/// One keyword of sshd's and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls) struct Setting {
    keyword: &'static str,
    kind: Kind,
    values: Vec<String>,
}

/// What `sshd -T` says of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// The wanted value.
    Same,
    /// Another, as it is to be shown.
    Other(String),
    /// This sshd does not print the keyword.
    Missing,
}

/// Everything the profile asks of sshd, in the order of `sshd_config(5)`'s sections.
pub(in crate::controls) fn wanted(ssh: &Ssh) -> Vec<Setting> {
    let mut all = Vec::new();
    let mut add = |keyword, kind, values: Option<Vec<String>>| {
        all.extend(values.map(|values| Setting { keyword, kind, values }));
    };
    add("Port", Kind::Ports, list(ssh.ports.as_ref()));
    let root = ssh.permit_root_login.map(|value| vec![value.as_str().to_owned()]);
    add("PermitRootLogin", Kind::Word, root);
    add("PasswordAuthentication", Kind::Word, yes_no(ssh.password_authentication));
    add(
        "KbdInteractiveAuthentication",
        Kind::Word,
        yes_no(ssh.keyboard_interactive_authentication),
    );
    add("PubkeyAuthentication", Kind::Word, yes_no(ssh.pubkey_authentication));
    add("PermitEmptyPasswords", Kind::Word, yes_no(ssh.permit_empty_passwords));
    add("X11Forwarding", Kind::Word, yes_no(ssh.x11_forwarding));
    add("AllowAgentForwarding", Kind::Word, yes_no(ssh.allow_agent_forwarding));
    let forwarding = ssh.allow_tcp_forwarding.map(|value| vec![value.as_str().to_owned()]);
    add("AllowTcpForwarding", Kind::Word, forwarding);
    let gateway = ssh.gateway_ports.map(|value| vec![value.as_str().to_owned()]);
    add("GatewayPorts", Kind::Word, gateway);
    add("PermitTunnel", Kind::Word, ssh.permit_tunnel.map(|value| vec![value.as_str().to_owned()]));
    add("PermitUserEnvironment", Kind::Word, yes_no(ssh.permit_user_environment));
    add("MaxAuthTries", Kind::Word, one(ssh.max_auth_tries));
    add("MaxSessions", Kind::Word, one(ssh.max_sessions));
    add("LoginGraceTime", Kind::Seconds, one(ssh.login_grace_time.map(TimeSpan::as_secs)));
    add(
        "ClientAliveInterval",
        Kind::Seconds,
        one(ssh.client_alive_interval.map(TimeSpan::as_secs)),
    );
    add("ClientAliveCountMax", Kind::Word, one(ssh.client_alive_count_max));
    add("MaxStartups", Kind::Word, one(ssh.max_startups));
    add("LogLevel", Kind::Word, ssh.log_level.map(|value| vec![value.as_str().to_owned()]));
    add("AuthorizedKeysFile", Kind::Blanks, list(ssh.authorized_keys_file.as_ref()));
    add("AllowUsers", Kind::Names, list(ssh.allow_users.as_ref()));
    add("AllowGroups", Kind::Names, list(ssh.allow_groups.as_ref()));
    add("Ciphers", Kind::Commas, list(ssh.ciphers.as_ref()));
    add("MACs", Kind::Commas, list(ssh.macs.as_ref()));
    add("KexAlgorithms", Kind::Commas, list(ssh.kex_algorithms.as_ref()));
    add("HostKeyAlgorithms", Kind::Commas, list(ssh.host_key_algorithms.as_ref()));
    add("PubkeyAcceptedAlgorithms", Kind::Commas, list(ssh.pubkey_accepted_algorithms.as_ref()));
    all
}

/// The text of the drop-in.
pub(super) fn drop_in(settings: &[Setting]) -> String {
    let mut text = HEADER.to_owned();
    for line in settings.iter().flat_map(Setting::lines) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn one(value: Option<impl Display>) -> Option<Vec<String>> {
    value.map(|value| vec![value.to_string()])
}

fn yes_no(value: Option<bool>) -> Option<Vec<String>> {
    value.map(|value| vec![if value { "yes" } else { "no" }.to_owned()])
}

fn list<T: Display>(values: Option<&Vec<T>>) -> Option<Vec<String>> {
    values.map(|values| values.iter().map(ToString::to_string).collect())
}

impl Setting {
    /// The keyword as `sshd -T` prints it, which is the subject of its check.
    pub(in crate::controls) fn key(&self) -> String {
        self.keyword.to_ascii_lowercase()
    }

    /// Whether further lines of a file add to this keyword rather than being passed over.
    pub(super) fn accumulates(&self) -> bool {
        matches!(self.kind, Kind::Names | Kind::Ports)
    }

    /// The wanted value, as a person reads it.
    pub(super) fn value(&self) -> String {
        match self.kind {
            Kind::Commas => self.values.join(","),
            _ if self.values.is_empty() => "(none named)".to_owned(),
            _ => self.values.join(" "),
        }
    }

    /// The wanted values one by one.
    pub(in crate::controls) fn values(&self) -> &[String] {
        &self.values
    }

    /// Its lines in the drop-in. sshd refuses an empty `AllowUsers`, so where nobody is to be named there is no line.
    fn lines(&self) -> Vec<String> {
        let keyword = self.keyword;
        match self.kind {
            Kind::Ports => self.values.iter().map(|port| format!("{keyword} {port}")).collect(),
            _ if self.values.is_empty() => Vec::new(),
            _ => vec![format!("{keyword} {}", self.value())],
        }
    }

    /// Whether a line with this keyword (or, for ports, a `ListenAddress`) asks for nothing but what is wanted.
    pub(super) fn agrees(&self, keyword: &str, args: &[String]) -> bool {
        match self.kind {
            Kind::Word => {
                let written = args.first().map(|arg| canonical(arg));
                written == self.values.first().map(|value| canonical(value))
            }
            Kind::Seconds => {
                let wanted = self.values.first().and_then(|value| seconds(value));
                args.first().and_then(|arg| seconds(arg)) == wanted
            }
            Kind::Commas => args.first().is_some_and(|arg| *arg == self.values.join(",")),
            Kind::Blanks => args == self.values,
            Kind::Names => args.iter().all(|arg| self.values.contains(arg)),
            Kind::Ports if keyword == "listenaddress" => {
                let port = args.first().and_then(|arg| listen_port(arg));
                port.is_none_or(|port| self.values.contains(&port.to_string()))
            }
            Kind::Ports => args.first().is_some_and(|arg| self.values.contains(arg)),
        }
    }

    /// What `sshd -T` says beside what is wanted.
    pub(super) fn compare(&self, effective: &Effective) -> Seen {
        let key = self.key();
        let printed = effective.values(&key);
        let first = printed.first().map(String::as_str);
        let (same, shown) = match self.kind {
            Kind::Names => {
                let seen: BTreeSet<&str> = printed.iter().map(String::as_str).collect();
                let same = seen == self.values.iter().map(String::as_str).collect();
                (same, seen.into_iter().collect::<Vec<_>>().join(" "))
            }
            Kind::Ports => {
                let seen = effective.ports();
                if seen.is_empty() {
                    return Seen::Missing;
                }
                let seen: BTreeSet<String> = seen.iter().map(ToString::to_string).collect();
                let same = seen == self.values.iter().cloned().collect();
                (same, seen.into_iter().collect::<Vec<_>>().join(" "))
            }
            _ => {
                let Some(first) = first else { return Seen::Missing };
                let same = match self.kind {
                    Kind::Word => {
                        Some(canonical(first)) == self.values.first().map(|value| canonical(value))
                    }
                    Kind::Blanks => first.split_whitespace().eq(self.values.iter()),
                    _ => first == self.value(),
                };
                (same, first.to_owned())
            }
        };
        match same {
            true => Seen::Same,
            false if shown.is_empty() => Seen::Other("(none named)".to_owned()),
            false => Seen::Other(shown),
        }
    }
}

/// The name sshd prints for a value that has several.
fn canonical(value: &str) -> String {
    match value.to_ascii_lowercase().as_str() {
        "prohibit-password" => "without-password".to_owned(),
        "debug" => "debug1".to_owned(),
        other => other.to_owned(),
    }
}

/// A length of time as `sshd_config(5)`'s TIME FORMATS have it: `90`, `2m`, `1h30m`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut digits = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    if digits.is_empty() {
        return (!text.is_empty()).then_some(total);
    }
    total.checked_add(digits.parse().ok()?)
}

/// The port of a `ListenAddress`, where it names one: `[::]:22`, `0.0.0.0:22`, but not `::1` or `10.0.0.1`.
pub(super) fn listen_port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    let is_bare_v6 = host.contains(':') && !host.ends_with(']');
    (!is_bare_v6).then(|| port.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(toml: &str) -> Vec<Setting> {
        wanted(&toml::from_str::<Ssh>(toml).unwrap())
    }

    fn args(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_drop_in() {
        let settings = ssh("ports = [22, 2222]\npermit_root_login = \"prohibit-password\"\n\
            password_authentication = false\nlogin_grace_time = \"2m\"\nallow_users = []\n\
            allow_groups = [\"ssh\", \"adm\"]\nciphers = [\"aes256-ctr\", \"aes128-ctr\"]\n\
            authorized_keys_file = [\".ssh/authorized_keys\", \"/etc/keys/%u\"]\n\
            max_startups = \"10:30:60\"\nlog_level = \"VERBOSE\"\n");
        let text = drop_in(&settings);
        let body: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "Port 22",
            "Port 2222",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "LoginGraceTime 120",
            "MaxStartups 10:30:60",
            "LogLevel VERBOSE",
            "AuthorizedKeysFile .ssh/authorized_keys /etc/keys/%u",
            "AllowGroups ssh adm",
            "Ciphers aes256-ctr,aes128-ctr",
        ];
        assert_eq!(body, expected);
        assert!(text.starts_with("# Written by holdfast"));
        assert!(settings.iter().any(|s| s.key() == "allowusers" && s.value() == "(none named)"));
    }

    #[test]
    fn lines_that_agree() {
        let cases = [
            ("password_authentication = false", "NO", true),
            ("password_authentication = false", "yes", false),
            ("permit_root_login = \"prohibit-password\"", "without-password", true),
            ("permit_root_login = \"no\"", "prohibit-password", false),
            ("login_grace_time = \"2m\"", "120", true),
            ("login_grace_time = \"90m\"", "1h30m", true),
            ("login_grace_time = \"2m\"", "2h", false),
            ("log_level = \"DEBUG1\"", "debug", true),
            ("allow_users = [\"a\", \"b\"]", "b", true),
            ("allow_users = [\"a\", \"b\"]", "b c", false),
            ("ports = [22]", "22", true),
            ("ports = [22]", "2222", false),
            ("ciphers = [\"a\", \"b\"]", "a,b", true),
            ("ciphers = [\"a\", \"b\"]", "b,a", false),
            ("authorized_keys_file = [\"a\", \"b\"]", "a b", true),
        ];
        for (toml, written, agrees) in cases {
            let setting = &ssh(toml)[0];
            assert_eq!(setting.agrees(&setting.key(), &args(written)), agrees, "{toml}: {written}");
        }
        let ports = &ssh("ports = [22]")[0];
        for (address, agrees) in
            [("0.0.0.0", true), ("::1", true), ("[::1]:22", true), ("10.0.0.1:2200", false)]
        {
            assert_eq!(ports.agrees("listenaddress", &args(address)), agrees, "{address}");
        }
    }

    #[test]
    fn times() {
        let cases = [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1h30m", Some(5_400)),
            ("1W", Some(604_800)),
            ("none", None),
            ("", None),
            ("m", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
