//! Files that are not what they should be: too large, unreadable, in the wrong hands, hostile.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use super::{load_text, messages, options};
use crate::profile::{
    Facts, LoadFailed, MAX_BYTES, MemorySources, RealSources, Severity, SourceFile, Sources, load,
};

fn refused(path: &Path) -> (String, LoadFailed) {
    let failed = load(path, &RealSources, &options()).unwrap_err();
    (failed.render(false), failed)
}

/// A folder only we can write to, and a profile in it.
#[expect(clippy::disallowed_methods, reason = "a test's own file in its own folder")]
fn on_disk(text: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

#[test]
fn ten_megabytes_are_refused_at_once_and_not_shown() {
    let (_folder, path) = on_disk(&b"wombat = 1\n".repeat(1_000_000), 0o644);
    let begun = Instant::now();
    let (said, failed) = refused(&path);
    assert!(begun.elapsed().as_secs() < 5);
    assert_eq!(failed.errors, 1);
    assert!(said.contains("larger than 1 MiB"), "{said}");
    assert!(said.len() < 1000 && !said.contains("wombat"), "{said}");
}

#[test]
fn what_is_no_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (said, _) = refused(folder.path());
    assert!(said.contains("it is a directory"), "{said}");
    let (said, _) = refused(&folder.path().join("missing.toml"));
    assert!(said.contains("it does not exist"), "{said}");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let (said, _) = refused(&fifo);
    assert!(said.contains("not a regular file"), "{said}");
    let (said, _) = refused(Path::new("/dev/zero"));
    assert!(said.contains("not a regular file"), "{said}");
}

#[test]
fn a_profile_others_can_change_is_warned_of_and_not_enforced() {
    for (mode, who) in [(0o666, "by everybody"), (0o664, "by its group")] {
        let (_folder, path) = on_disk(b"[ssh]\nports = [22]\n", mode);
        let loaded = load(&path, &RealSources, &options()).unwrap();
        let warning = loaded.diagnostics.iter().find(|each| each.message.contains(who)).unwrap();
        assert_eq!(warning.severity, Severity::Warning);
        let failed = load(&path, &RealSources, &options().enforced()).unwrap_err();
        let said = failed.render(false);
        assert!(said.contains(who) && said.contains("chmod go-w"), "{said}");
    }
}

#[test]
fn a_folder_others_can_write_to_is_as_bad() {
    let (folder, path) = on_disk(b"", 0o644);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let said = load(&path, &RealSources, &options().enforced()).unwrap_err().render(false);
    assert!(said.contains("everybody can replace"), "{said}");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
    let loaded = load(&path, &RealSources, &options()).unwrap();
    assert!(!loaded.render_warnings(false).contains("everybody can replace"), "sticky is fine");
}

/// Memory that claims an owner and a mode.
struct Claiming(MemorySources, Facts);

impl Sources for Claiming {
    fn read(&self, path: &Path, limit: usize) -> std::io::Result<SourceFile> {
        let file = self.0.read(path, limit)?;
        Ok(SourceFile { facts: Some(self.1), ..file })
    }

    fn identity(&self, path: &Path) -> std::io::Result<std::path::PathBuf> {
        self.0.identity(path)
    }

    fn folders(&self, _: &Path) -> Vec<(std::path::PathBuf, Facts)> {
        Vec::new()
    }
}

#[test]
fn owners_and_passwords() {
    let with_password = "[about]\nsource = \"https://bob:hunter2@example.org\"\n";
    let cases = [
        (with_password, 0o600, 0, None),
        (with_password, 0o640, 0, Some("holds a password")),
        (with_password, 0o604, 0, Some("holds a password")),
        ("", 0o644, 0, None),
        ("", 0o644, super::NOBODY, None),
        ("", 0o644, 4242, Some("belongs to user 4242")),
    ];
    for (text, mode, uid, expected) in cases {
        let mut sources = MemorySources::default();
        sources.insert("p.toml", text);
        let sources = Claiming(sources, Facts { mode, uid });
        let mut options = options().enforced();
        options.caller = super::NOBODY;
        let result = load(Path::new("p.toml"), &sources, &options);
        match (result, expected) {
            (Ok(_), None) => {}
            (Err(failed), Some(part)) => {
                let said = failed.render(false);
                assert!(said.contains(part) && !said.contains("hunter2"), "{said}");
            }
            (Ok(_), Some(part)) => panic!("mode {mode:o}, user {uid}: {part} was not said"),
            (Err(failed), None) => panic!("{}", failed.render(false)),
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    let texts = [
        "[about]\nsource = \"https://bob:hunter2@example.org\"\nsauce = 1\n",
        "[about]\nsource = \"https://bob:a/hunter2#@example.org\"\n",
        "[about]\nsource = \"ftp://bob:hunter2@example.org\"\n",
        "[about]\nsource = 'https://bob:hunter2@example.org' x\n",
        "[[people]]\nname = \"a\"\nssh_keys = [\"-----BEGIN OPENSSH PRIVATE KEY----- hunter2\"]\n",
        "[[people]]\nname = \"a\"\nssh_keys = [\"-----BEGIN OPENSSH PRIVATE KEY----- hunter2]\n",
        "[[people]]\nname = \"a\"\nage = \"AGE-SECRET-KEY-1hunter2\"\nssh_keys = [\"AGE-SECRET-KEY-1hunter2\"]\n",
        "[[people]]\nname = \"a\"\nage = \"AGE-SECRET-KEY-1hunter2\nb = 2\n",
    ];
    // Cropped, this would begin in the middle of the password.
    let long = format!(
        "about = {{ source = \"https://bob:{}hunter2@example.org\", sauce = 1, title = \"{}\" }}",
        "y".repeat(200),
        "z".repeat(1_000)
    );
    for text in texts.into_iter().chain([long.as_str()]) {
        let failed = load_text(&[("profile.toml", text)]).unwrap_err();
        let said = failed.render(false);
        assert!(!said.contains("hunter2"), "{said}");
        let json: Vec<_> =
            failed.diagnostics.iter().map(|each| each.report(&failed.sources)).collect();
        let json = serde_json::to_string(&json).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
    }
}

#[test]
fn deep_nesting_does_not_overflow() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(!messages(&text).is_empty());
    }
    let dotted = format!("{}x = 1\n", "a.".repeat(100_000));
    assert!(!messages(&dotted).is_empty());
    let headers = format!("[{}x]\n{}x = 1\n", "a.".repeat(70), "b.".repeat(70));
    assert!(!messages(&headers).is_empty());
}

#[test]
fn a_flood_of_errors_is_cut_short() {
    let lines: Vec<_> = (0..5_000).map(|at| format!("wombat{at} = 1")).collect();
    let text = lines.join("\n");
    let failed = load_text(&[("profile.toml", &text)]).unwrap_err();
    assert_eq!(failed.errors, 5_000);
    assert_eq!(failed.diagnostics.len(), 101);
    assert!(failed.render(false).contains("and 4900 more"));
    assert_eq!(failed.to_string(), "The profile profile.toml has 5000 errors");
}

#[test]
fn a_megabyte_of_faults_is_judged_quickly() {
    let begun = Instant::now();
    let pieces =
        ["wombat = = 1\n", "[[people]]\nname='a'\n", "ssh.ports = [\n", "x = \"\n", "x = [,", ",x"];
    for piece in pieces {
        let text = piece.repeat(MAX_BYTES / piece.len());
        let failed = load_text(&[("profile.toml", &text)]).unwrap_err();
        let said = failed.render(false);
        assert!(!said.is_empty() && said.len() < 200_000, "{piece:?}: {} bytes", said.len());
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn a_file_may_extend_the_shipped_profile_of_its_own_name() {
    let mut sources = MemorySources::default();
    sources.insert("etc/baseline.toml", "extends = [\"baseline\"]\n[ssh]\nports = [2222]\n");
    sources.insert("shipped/baseline.toml", "[ssh]\nmax_sessions = 3\n");
    let loaded = load(Path::new("etc/baseline.toml"), &sources, &options()).unwrap();
    assert_eq!(loaded.profile.ssh.unwrap().max_sessions, Some(3));
    let alone = load_text(&[("profile.toml", "extends = [\"profile\"]\n")]).unwrap_err();
    assert!(alone.render(false).contains("in a circle"));
}

#[test]
fn extending_has_a_limit() {
    let texts: Vec<_> = (0..40)
        .map(|at| (format!("p{at}.toml"), format!("extends = [\"p{}\"]\n", at + 1)))
        .collect();
    let mut files: Vec<_> =
        texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    files.push(("profile.toml", "extends = [\"p0\"]\n"));
    let said = load_text(&files).unwrap_err().render(false);
    assert!(said.contains("too deeply"), "{said}");
}

#[test]
fn of_an_overlong_line_only_the_part_that_matters_is_shown() {
    let text = format!("x = \"{}\" # {}", "é".repeat(2_000), "z".repeat(2_000));
    let said = load_text(&[("profile.toml", &text)]).unwrap_err().render(false);
    assert!(said.contains("profile.toml:1:1") && said.contains("1 | x = "), "{said}");
    assert!(said.len() < 1_000, "{said}");
    let text = format!("{} = 1", "é".repeat(2_000));
    let said = load_text(&[("profile.toml", &text)]).unwrap_err().render(false);
    assert!(said.contains("profile.toml:1:1") && said.len() < 1_000, "{said}");
}

#[test]
fn programs_get_the_place_of_each_fault() {
    let failed = load_text(&[("profile.toml", "[ssh]\n  \"ö\" = 1\n")]).unwrap_err();
    let report = failed.diagnostics[0].report(&failed.sources);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["severity"], "error");
    assert_eq!(json["file"], "profile.toml");
    assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(2), Some(3)));
    assert!(json["help"].is_string() && json["message"].is_string());
    let coloured = failed.render(true);
    assert!(coloured.contains('\u{1b}') && !failed.render(false).contains('\u{1b}'));
}
