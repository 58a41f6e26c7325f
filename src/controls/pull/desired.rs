//! What the profile's `[pull]` means on a host. Pure.

use crate::{
    host::shelf::FINISHED,
    profile::{schema::Profile, types::FilePath},
};

/// The account, and the name of its group.
pub(super) const ACCOUNT: &str = "holdfast-pull";

/// What `/etc/passwd` says that it is for.
pub(super) const ABOUT: &str = "Fetches finished backups (holdfast)";

/// Where its part of sshd's configuration is: sorts before `00-holdfast.conf`.
pub(super) const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-holdfast-pull.conf";

/// The folder of the drop-in.
pub(super) const DROP_IN_DIR: &str = "/etc/ssh/sshd_config.d";

/// Its keys. Beside sshd's configuration, where the account itself can read them and only root can write.
pub(super) const KEYS: &str = "/etc/ssh/holdfast-pull.keys";

/// The SFTP server that is part of sshd: read-only, and of what it can do only what it takes to list and fetch files
/// (`sftp-server -Q requests` names all). sftp-server(8): `-R`, `-p`; with the latter a request that a later version
/// brings is refused too.
const SERVER: &str =
    "internal-sftp -R -p open,close,read,lstat,fstat,opendir,readdir,stat,realpath,limits";

/// sshd's keywords for the account, as they are written and as `sshd -T` prints them. Some say the same twice: of
/// `DisableForwarding`, sshd before 10.0 passed over X11 and the agent (CVE-2025-32728).
const SETTINGS: [(&str, &str); 29] = [
    ("ForceCommand", SERVER),
    ("AuthenticationMethods", "publickey"),
    ("PubkeyAuthentication", "yes"),
    ("PubkeyAcceptedAlgorithms", "ssh-ed25519,sk-ssh-ed25519@openssh.com"),
    ("AuthorizedKeysFile", KEYS),
    ("AuthorizedKeysCommand", "none"),
    ("AuthorizedPrincipalsFile", "none"),
    ("AuthorizedPrincipalsCommand", "none"),
    ("TrustedUserCAKeys", "none"),
    ("PasswordAuthentication", "no"),
    ("KbdInteractiveAuthentication", "no"),
    ("HostbasedAuthentication", "no"),
    ("GSSAPIAuthentication", "no"),
    ("PermitEmptyPasswords", "no"),
    ("PermitTTY", "no"),
    ("PermitUserRC", "no"),
    ("DisableForwarding", "yes"),
    ("AllowAgentForwarding", "no"),
    ("AllowTcpForwarding", "no"),
    ("AllowStreamLocalForwarding", "no"),
    ("X11Forwarding", "no"),
    ("PermitTunnel", "no"),
    ("GatewayPorts", "no"),
    ("PermitOpen", "none"),
    ("PermitListen", "none"),
    ("ExposeAuthInfo", "no"),
    ("MaxSessions", "1"),
    ("ClientAliveInterval", "60"),
    ("ClientAliveCountMax", "5"),
];

const HEADER: &str = "\
# Written by holdfast from the [pull] section of its profile. Do not edit: it is put back.
# By this account another host fetches finished backups. It can do nothing else.
";

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Desired {
    /// The folder of backups.
    pub(super) store: String,
    /// The text of sshd's drop-in.
    pub(super) drop_in: String,
    /// The text of the file of keys.
    pub(super) keys: String,
    /// How many keys there are.
    pub(super) key_count: usize,
    /// What sshd must say of the account, by keyword in lower case.
    pub(super) effective: Vec<(String, String)>,
}

/// The folder that is served. Backups that are kept elsewhere than the first one are an error of the profile.
pub(super) fn store(profile: &Profile) -> Option<&FilePath> {
    profile.backup.values().next().map(|backup| &backup.store)
}

impl Desired {
    /// `None` where there is no backup to serve, or nobody fetches any.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        let pull = profile.pull.as_ref()?;
        let store = store(profile)?.as_str().trim_end_matches('/').to_owned();
        let root = format!("{store}/{FINISHED}");
        let settings = || {
            // `%` is where sshd puts in names.
            let root = ("ChrootDirectory", root.replace('%', "%%"));
            let fixed = SETTINGS.iter().map(|(keyword, value)| (*keyword, (*value).to_owned()));
            std::iter::once(root).chain(fixed)
        };
        let mut drop_in = format!("{HEADER}Match User {ACCOUNT}\n");
        for (keyword, value) in settings() {
            let value = if keyword == "ChrootDirectory" { quoted(&value) } else { value };
            drop_in.push_str(&format!("    {keyword} {value}\n"));
        }
        // These add to what is said for everybody: where only some may log in, this account may too.
        drop_in.push_str(&format!("    AllowUsers {ACCOUNT}\n    AllowGroups {ACCOUNT}\n"));
        let from = pull.from.as_ref().map(|from| {
            let nets: Vec<String> = from.iter().map(ToString::to_string).collect();
            format!(",from=\"{}\"", nets.join(","))
        });
        let from = from.unwrap_or_default();
        let mut keys =
            String::from("# Written by holdfast from the [pull] section of its profile.\n");
        for key in &pull.keys {
            let line = format!("restrict{from} {} {}", key.algorithm(), key.encoded());
            keys.push_str(line.trim_end());
            keys.push('\n');
        }
        Some(Self {
            store,
            drop_in,
            keys,
            key_count: pull.keys.len(),
            effective: settings()
                .map(|(keyword, value)| (keyword.to_ascii_lowercase(), value))
                .collect(),
        })
    }

    /// The folder that the account is locked into.
    pub(super) fn root(&self) -> String {
        format!("{}/{FINISHED}", self.store)
    }
}

/// A path as sshd's own parser takes it: blanks in quotes, and quotes and backslashes spared.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%+:@,".contains(c);
    if path.chars().all(plain) {
        return path.to_owned();
    }
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
