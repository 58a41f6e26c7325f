//! Drop-in folders as systemd reads them: what `journal` and `sysctl` have in common.
//!
//! systemd takes the `*.conf` files of four folders together, in the order of their names; a name that is in two
//! folders counts in the first one only, which is how an empty file or a link to `/dev/null` in `/etc` masks one of a
//! package. Of two assignments the later one wins, so holdfast's own drop-ins are named to come last.

use std::{collections::BTreeMap, fmt, io::ErrorKind, path::Path};

use sha2::{Digest as _, Sha256};

use crate::{
    engine::{
        change::{Change, FileState, Step},
        check::Verdict,
    },
    host::{HostError, Reader},
};

/// What is appended to the name of a file that is set aside: no `*.conf` pattern takes it in any more.
const SET_ASIDE: &str = ".set-aside-by-holdfast";

/// A configuration file that is read, in the order in which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfFile {
    /// Absolute path.
    pub(super) path: String,
    /// What is in it; empty for a mask. Or why it cannot be read.
    pub(super) text: Result<String, String>,
}

/// Where an assignment is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Absolute path.
    pub(super) path: String,
    /// From 1.
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

/// The `*.conf` files of some folders, the folder with the highest priority first, in the order in which systemd
/// reads them.
///
/// # Errors
/// When a folder is there and cannot be listed.
pub(super) fn conf_files(host: &Reader, dirs: &[&str]) -> Result<Vec<ConfFile>, HostError> {
    let mut found: BTreeMap<String, ConfFile> = BTreeMap::new();
    for dir in dirs {
        for name in host.files().list(dir)? {
            if !is_conf(&name) || found.contains_key(&name) {
                continue;
            }
            let path = format!("{dir}/{name}");
            let text = match host.files().text(&path) {
                // A link to nowhere is as empty as a mask.
                Ok(text) => Ok(text.unwrap_or_default()),
                Err(HostError::File { source, .. }) if source.kind() == ErrorKind::IsADirectory => {
                    continue;
                }
                Err(error) => Err(error.chain()),
            };
            found.insert(name, ConfFile { path, text });
        }
    }
    Ok(found.into_values().collect())
}

/// Whether systemd takes a file of this name in.
fn is_conf(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|suffix| suffix == "conf")
}

/// The first file that could not be read, as a reason why nothing can be said about what all of them amount to.
pub(super) fn unreadable(files: &[ConfFile]) -> Option<String> {
    files.iter().find_map(|file| {
        let why = file.text.as_ref().err()?;
        Some(format!("{why}; run holdfast as root, or mend {}", file.path))
    })
}

/// What is expected of holdfast's own file, on one line however much is in it. The digest makes a changed profile a
/// changed expectation.
pub(super) fn expected(path: &str, wanted: Option<&str>) -> String {
    let Some(text) = wanted else { return format!("no {path}") };
    let is_setting = |line: &&str| line.contains('=') && !line.starts_with('#');
    let settings = text.lines().filter(is_setting).count();
    let digest: String =
        Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let s = if settings == 1 { "" } else { "s" };
    format!("{path} with {settings} setting{s} (sha256 {digest}…)")
}

/// Whether a path is what holdfast would write there; `None`: nothing at all.
pub(super) fn judge_file(
    path: &str,
    found: &Result<FileState, String>,
    wanted: Option<&str>,
) -> Verdict {
    let found = match found {
        Ok(found) => found,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let Some(wanted) = wanted else {
        return match found {
            FileState::Absent => Verdict::Holds { observed: format!("{path} is not there") },
            _ => Verdict::Differs { observed: format!("{path} is left from an earlier profile") },
        };
    };
    let faults = faults(path, found, wanted);
    if faults.is_empty() {
        return Verdict::Holds { observed: format!("{path} is as holdfast writes it") };
    }
    Verdict::Differs { observed: faults.join("; ") }
}

/// What is not as it is to be about a file: nothing for one that holdfast need not write again.
fn faults(path: &str, found: &FileState, wanted: &str) -> Vec<String> {
    let (content, mode, uid, gid, xattrs) = match found {
        FileState::Absent => return vec![format!("{path} is not there")],
        FileState::Symlink { target, .. } => return vec![format!("{path} is a link to {target}")],
        FileState::Directory { .. } => {
            return vec![format!("{path} is a directory; move it away")];
        }
        FileState::File { content, mode, uid, gid, xattrs, .. } => {
            (content, *mode, *uid, *gid, xattrs)
        }
    };
    let mut faults = Vec::new();
    if content.as_bytes() != wanted.as_bytes() {
        let text = String::from_utf8_lossy(content.as_bytes());
        faults.push(first_difference(path, &text, wanted));
    }
    if mode != 0o644 {
        faults.push(format!("{path} has mode {mode:04o}, expected 0644"));
    }
    if (uid, gid) != (0, 0) {
        faults.push(format!("{path} belongs to {uid}:{gid}, expected 0:0"));
    }
    if xattrs.contains_key("system.posix_acl_access") {
        faults.push(format!("{path} has an access control list"));
    }
    faults
}

fn first_difference(path: &str, found: &str, wanted: &str) -> String {
    let (mut found, mut wanted) = (found.lines(), wanted.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (found.next(), wanted.next()) {
            (Some(has), Some(needs)) if has == needs => {}
            (Some(has), Some(needs)) => {
                return format!("{path}:{line} is `{has}`, expected `{needs}`");
            }
            (Some(has), None) => return format!("{path}:{line} is `{has}`, expected no such line"),
            (None, Some(needs)) => return format!("{path} ends before line {line}, `{needs}`"),
            (None, None) => return format!("{path} differs in how its lines end"),
        }
    }
}

/// A foreign file that takes back what holdfast sets, with all that is needed to set it aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    /// Absolute path.
    path: String,
    /// What is there.
    state: FileState,
    /// Where it is moved to: a name that is free.
    aside: String,
}

impl Foreign {
    /// The files in `dir` that sort after `ours`, which is the only way in which they can win over it.
    pub(super) fn after(host: &Reader, dir: &str, ours: &str) -> Result<Vec<Self>, HostError> {
        let names = host.files().list(dir)?;
        let later = names.iter().filter(|name| is_conf(name) && name.as_str() > ours);
        let mut found = Vec::new();
        for name in later {
            let path = format!("{dir}/{name}");
            let state = host.files().state(&path)?;
            if !matches!(state, FileState::File { .. } | FileState::Symlink { .. }) {
                continue;
            }
            let free = (1u32..).map(|n| match n {
                1 => format!("{name}{SET_ASIDE}"),
                n => format!("{name}{SET_ASIDE}.{n}"),
            });
            let aside = free.into_iter().find(|aside| !names.contains(aside));
            let aside = format!("{dir}/{}", aside.unwrap_or_default());
            found.push(Self { path, state, aside });
        }
        Ok(found)
    }

    /// Absolute path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The steps that move it where nothing reads it, unchanged in content, mode, owner and time. The copy is made
    /// before the original goes.
    pub(super) fn set_aside(&self, because: &[String]) -> [Step; 2] {
        let step = |path: &str, to| Step {
            change: Change::Put { path: path.to_owned(), to },
            because: because.to_vec(),
        };
        [step(&self.aside, self.state.clone()), step(&self.path, FileState::Absent)]
    }
}

/// The steps that put holdfast's own drop-in in place, and its folder where that is missing.
pub(super) fn write(dir: &str, dir_exists: bool, path: &str, text: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    if !dir_exists {
        changes.push(Change::Put { path: dir.to_owned(), to: FileState::directory() });
    }
    changes.push(Change::Put { path: path.to_owned(), to: FileState::config(text) });
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::change::Content;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Reader) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let at = root.path().join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            if let Some(target) = text.strip_prefix("-> ") {
                std::os::unix::fs::symlink(target, &at).unwrap();
            } else {
                #[expect(clippy::disallowed_methods, reason = "a fixture")]
                std::fs::write(at, text).unwrap();
            }
        }
        let reader = Reader::below(root.path());
        (root, reader)
    }

    const DIRS: &[&str] = &["/etc/x.d", "/run/x.d", "/usr/lib/x.d"];

    #[test]
    fn files_come_by_name_and_the_first_folder_wins() {
        let (_root, reader) = host(&[
            ("usr/lib/x.d/10-a.conf", "vendor a"),
            ("usr/lib/x.d/20-b.conf", "vendor b"),
            ("run/x.d/10-a.conf", "run a"),
            ("etc/x.d/20-b.conf", "-> /dev/null"),
            ("etc/x.d/30-c.conf", "-> /nowhere"),
            ("etc/x.d/README", "not read"),
            ("etc/x.d/.hidden.conf", "not read"),
            ("etc/x.d/folder.conf/file", "not read"),
        ]);
        let found = conf_files(&reader, DIRS).unwrap();
        let found: Vec<_> =
            found.iter().map(|f| (f.path.as_str(), f.text.as_deref().unwrap())).collect();
        assert_eq!(
            found,
            [
                ("/run/x.d/10-a.conf", "run a"),
                ("/etc/x.d/20-b.conf", ""),
                ("/etc/x.d/30-c.conf", ""),
            ]
        );
    }

    #[test]
    fn a_foreign_file_is_moved_whole_and_to_a_free_name() {
        let (_root, reader) = host(&[
            ("etc/x.d/zz-holdfast.conf", ""),
            ("etc/x.d/99.conf", "earlier"),
            ("etc/x.d/zzz.conf", "later"),
            ("etc/x.d/zzz.conf.set-aside-by-holdfast", "an older one"),
        ]);
        let found = Foreign::after(&reader, "/etc/x.d", "zz-holdfast.conf").unwrap();
        assert_eq!(found.len(), 1);
        let [copy, gone] = found[0].set_aside(&["x.effective/A".to_owned()]);
        let Change::Put { path, to } = &copy.change else { panic!("{copy:?}") };
        assert_eq!(path, "/etc/x.d/zzz.conf.set-aside-by-holdfast.2");
        assert_eq!(to, &reader.files().state("/etc/x.d/zzz.conf").unwrap());
        let path = "/etc/x.d/zzz.conf".to_owned();
        assert_eq!(gone.change, Change::Put { path, to: FileState::Absent });
    }

    #[test]
    fn a_file_is_judged_by_content_mode_owner_and_kind() {
        let file = |text: &str, mode, uid| FileState::File {
            content: Content::Text(text.to_owned()),
            mode,
            uid,
            gid: 0,
            xattrs: BTreeMap::new(),
            mtime: None,
        };
        let link = FileState::Symlink { target: "/dev/null".into(), uid: 0, gid: 0, mtime: None };
        let cases = [
            (file("a\nb\n", 0o644, 0), None),
            (FileState::Absent, Some("/f is not there")),
            (link, Some("/f is a link to /dev/null")),
            (FileState::directory(), Some("/f is a directory; move it away")),
            (file("a\nc\n", 0o644, 0), Some("/f:2 is `c`, expected `b`")),
            (file("a\n", 0o644, 0), Some("/f ends before line 2, `b`")),
            (file("a\nb\nc\n", 0o644, 0), Some("/f:3 is `c`, expected no such line")),
            (file("a\nb", 0o644, 0), Some("/f differs in how its lines end")),
            (
                file("a\nb\n", 0o666, 7),
                Some("/f has mode 0666, expected 0644; /f belongs to 7:0, expected 0:0"),
            ),
        ];
        for (state, fault) in cases {
            let verdict = judge_file("/f", &Ok(state), Some("a\nb\n"));
            match (verdict, fault) {
                (Verdict::Holds { .. }, None) => {}
                (Verdict::Differs { observed }, Some(fault)) => assert_eq!(observed, fault),
                other => panic!("{other:?}"),
            }
        }
    }
}
