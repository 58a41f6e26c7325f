//! What sshd makes of files of keys, in a folder that stands for a host.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::host::accounts::parse_passwd;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE\n";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes the files it reads")]
fn modes_and_kinds() {
    let root = tempfile::tempdir().unwrap();
    let ssh = root.path().join("home/bob/.ssh");
    std::fs::create_dir_all(&ssh).unwrap();
    let file = ssh.join("authorized_keys");
    std::fs::write(&file, KEY).unwrap();
    std::fs::create_dir(ssh.join("folder")).unwrap();
    let uid = nix::unistd::geteuid().as_raw();
    let account = &parse_passwd(&format!("bob:x:{uid}:{uid}::/home/bob:/bin/sh\n"))[0];
    let files = Files::below(root.path());
    let look = |name: &str, is_strict| {
        keys_file(&files, &format!("/home/bob/.ssh/{name}"), account, is_strict)
    };
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let ignored = |file: KeysFile| match file {
        KeysFile::Ignored(why) => why,
        other => panic!("{other:?}"),
    };
    for folder in ["home", "home/bob", "home/bob/.ssh"] {
        set(&root.path().join(folder), 0o755);
    }
    set(&file, 0o600);
    assert!(matches!(look("authorized_keys", true), KeysFile::Keys(keys) if keys.len() == 1));
    assert_eq!(look("nothing", true), KeysFile::Absent);
    assert!(ignored(look("folder", true)).contains("is not a regular file"));
    set(&file, 0o620);
    assert!(ignored(look("authorized_keys", true)).contains("authorized_keys (mode 0620)"));
    assert!(matches!(look("authorized_keys", false), KeysFile::Keys(_)));
    set(&file, 0o600);
    set(&root.path().join("home/bob"), 0o775);
    let why = ignored(look("authorized_keys", true));
    assert!(why.starts_with("others may write to /home/bob (mode 0775)"), "{why}");
    // Above the home directory it is no matter.
    set(&root.path().join("home/bob"), 0o755);
    set(&root.path().join("home"), 0o777);
    assert!(matches!(look("authorized_keys", true), KeysFile::Keys(_)));
}
