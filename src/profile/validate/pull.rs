//! `[pull]`: whether there is something to fetch, and by keys that are for nothing else.

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Mode, Profile, Pull};

/// The kinds of key that sshd takes from whoever fetches.
const KINDS: [&str; 2] = ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"];

pub(super) fn validate(
    profile: &Profile,
    pull: &Pull,
    root: At<'_>,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    let at = root.key("pull");
    super::distinct(pull.from.as_deref().unwrap_or_default(), at.key("from"), found);
    for (index, key) in pull.keys.iter().enumerate() {
        let here = at.key("keys").item(index);
        if pull.keys[..index].iter().any(|other| other.encoded() == key.encoded()) {
            found.push(
                Diagnostic::error(here.span, "this key stands in the list twice")
                    .help("leave one of them out"),
            );
        }
        if !KINDS.contains(&key.algorithm()) {
            found.push(
                Diagnostic::error(here.span, format!("a key of the kind {} does not fetch backups", key.algorithm()))
                    .help("make one for this alone, on the host that fetches: `ssh-keygen -t ed25519 -f holdfast-pull`"),
            );
        }
        for (who, person) in profile.people.iter().enumerate() {
            let keys = person.ssh_keys.as_deref().unwrap_or_default();
            if let Some(same) = keys.iter().position(|other| other.encoded() == key.encoded()) {
                let theirs = root.key("people").item(who).key("ssh_keys").item(same);
                found.push(
                    Diagnostic::error(here.span, format!("this is a key of `{}`", person.name))
                        .and(theirs.span, "the same key")
                        .help("a key that fetches by itself lies on a disk and opens nothing else: make one of its own"),
                );
            }
        }
    }
    if pull.mode == Mode::Off {
        return;
    }
    let mut backups = profile.backup.iter();
    let Some((first, backup)) = backups.next() else {
        if complete {
            found.push(Diagnostic::warning(at.span, "there is no backup to fetch").help(
                "say in [backup.NAME] which database is backed up, or leave this section out",
            ));
        }
        return;
    };
    for (name, other) in backups.filter(|(_, other)| other.store != backup.store) {
        let here = root.key("backup").key(name.as_str()).key("store");
        let first = root.key("backup").key(first.as_str()).key("store");
        found.push(
            Diagnostic::error(
                here.span,
                format!("`{}` is not where the other backups are", other.store),
            )
            .and(first.span, "they are kept here")
            .and(at.span, "sshd locks the account that fetches into one folder")
            .help("give all backups one `store`: their files are told apart by their names"),
        );
    }
}
