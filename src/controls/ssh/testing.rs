//! Hosts in memory for the tests of this control.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    effective::Effective,
    logins::Login,
    observed::{Answers, Daemon, Heard, Observed, Wire},
    settings::{self, DROP_IN, DROP_IN_DIR},
    tree::{Source, Tree, With},
};
use crate::{
    engine::{
        change::{FileState, FileTime},
        check::Verdict,
    },
    host::bus::{ServiceStatus, UnitStatus},
    profile::schema::Ssh,
};

/// The lines of Debian's own `sshd_config` that matter here.
pub(super) const DEBIAN: &str =
    "Include /etc/ssh/sshd_config.d/*.conf\nKbdInteractiveAuthentication no\n#Port 22\n";

/// Files in memory.
#[derive(Debug, Default)]
pub(super) struct Fake(pub(super) BTreeMap<String, String>);

impl Fake {
    pub(super) fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
    }
}

impl Source for Fake {
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let names = self.0.keys().filter_map(|file| file.strip_prefix(&format!("{path}/")));
        let mut names: Vec<String> =
            names.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        Ok(names)
    }
}

/// What sshd prints on Debian 12 as it comes.
pub(super) const DEBIAN_12: &str = include_str!("fixtures/effective-9.2.txt");

/// What it says on the wire.
pub(super) const HELLO_12: &[u8] = include_bytes!("fixtures/hello-9.2.bin");

/// When everything was seen, in seconds.
pub(super) const NOW: i64 = 1_800_000_000;

/// A host whose files and sshd are as given, seen for a profile, all else in order.
pub(super) fn host(profile: &str, files: &Fake, effective: &str) -> Observed {
    let settings = settings::wanted(&toml::from_str::<Ssh>(profile).unwrap());
    let text = settings::drop_in(&settings);
    let tree = Tree::read(files);
    let with = With { inner: files, dir: DROP_IN_DIR, path: DROP_IN, text: &text };
    let foreign = |path: &&String| {
        path.strip_prefix(DROP_IN_DIR).is_some_and(|rest| rest.rfind('/') == Some(0))
            && *path != DROP_IN
            && tree.files.iter().any(|(read, _)| read == *path)
    };
    let state = |path: &str| files.0.get(path).map_or(FileState::Absent, FileState::config);
    let listener = "127.0.0.1:22".parse().unwrap();
    Observed {
        absent: None,
        drop_in: Ok(state(DROP_IN)),
        folder: Ok(FileState::directory()),
        names: files.list(DROP_IN_DIR).unwrap(),
        foreign: files.0.keys().filter(foreign).map(|path| (path.clone(), state(path))).collect(),
        future: Tree::read(&with),
        tree,
        answers: Answers::Given(vec![(None, Ok(Effective::parse(effective)))]),
        more: 0,
        daemon: Ok(daemon()),
        newest: Some(("/etc/ssh/sshd_config".to_owned(), at(NOW - 100))),
        now: NOW,
        wires: vec![Wire {
            port: 22,
            heard: Heard::Bytes(listener, HELLO_12.to_vec()),
            listeners: vec![7, 8],
        }],
        settings,
    }
}

/// Debian's `sshd_config` and one drop-in.
pub(super) fn with_drop_in(name: &str, text: &str) -> Fake {
    Fake::new([("/etc/ssh/sshd_config", DEBIAN), (&format!("{DROP_IN_DIR}/{name}"), text)])
}

/// A host on which the drop-in is as the profile wants it.
pub(super) fn applied(profile: &str, mut files: Fake, effective: &str) -> Observed {
    let settings = settings::wanted(&toml::from_str::<Ssh>(profile).unwrap());
    files.0.insert(DROP_IN.to_owned(), settings::drop_in(&settings));
    host(profile, &files, effective)
}

/// An sshd that read its files 50 s ago.
pub(super) fn daemon() -> Daemon {
    let word = str::to_owned;
    let changed = u64::try_from((NOW - 50) * 1_000_000).unwrap();
    Daemon {
        service: UnitStatus {
            id: word("ssh.service"),
            load: word("loaded"),
            active: word("active"),
            file: word("enabled"),
            changed,
            started: changed,
            ..UnitStatus::default()
        },
        has_socket: false,
        processes: ServiceStatus { main_pid: Some(34), main_started: changed, reloads: vec![0, 0] },
        title: Some(word("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")),
        sockets: Some(BTreeSet::from([7, 8, 9])),
    }
}

/// A second.
pub(super) fn at(seconds: i64) -> FileTime {
    FileTime { seconds, nanoseconds: 0 }
}

/// A login from a documentation address.
pub(super) fn login(user: &str) -> Login {
    Login { user: user.to_owned(), from: "192.0.2.1".parse().unwrap(), port: 22 }
}

/// A verdict as one word and what was seen.
pub(super) fn told(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Holds { observed } => ("holds", observed),
        Verdict::Differs { observed } => ("differs", observed),
        Verdict::Unknown { why } => ("unknown", why),
        Verdict::NotApplicable { why } => ("not-applicable", why),
        Verdict::Accumulating { observed } => ("accumulating", observed),
    }
}
