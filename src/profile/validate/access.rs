//! `[ssh]`, people and waivers: who gets in, and who answers for what.

use jiff::civil;

use super::{At, distinct};
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Profile, Ssh};

pub(super) fn validate(ssh: &Ssh, at: At<'_>, found: &mut Vec<Diagnostic>) {
    distinct(ssh.ports.as_deref().unwrap_or_default(), at.key("ports"), found);
    distinct(
        ssh.authorized_keys_file.as_deref().unwrap_or_default(),
        at.key("authorized_keys_file"),
        found,
    );
    for (key, names) in [("allow_users", &ssh.allow_users), ("allow_groups", &ssh.allow_groups)] {
        distinct(names.as_deref().unwrap_or_default(), at.key(key), found);
    }
    for (key, names) in [
        ("ciphers", &ssh.ciphers),
        ("macs", &ssh.macs),
        ("kex_algorithms", &ssh.kex_algorithms),
        ("host_key_algorithms", &ssh.host_key_algorithms),
        ("pubkey_accepted_algorithms", &ssh.pubkey_accepted_algorithms),
    ] {
        distinct(names.as_deref().unwrap_or_default(), at.key(key), found);
    }
    let password = ssh.password_authentication;
    let keyboard = ssh.keyboard_interactive_authentication;
    if password == Some(false) && keyboard == Some(true) {
        let span = at.key("keyboard_interactive_authentication").span;
        found.push(
            Diagnostic::warning(
                span,
                "passwords still work: PAM asks for them by keyboard-interactive",
            )
            .and(at.key("password_authentication").span, "though they are off here")
            .help("write false, unless PAM asks for something other than the password"),
        );
    }
    if password == Some(false)
        && keyboard == Some(false)
        && ssh.pubkey_authentication == Some(false)
    {
        let span = at.key("pubkey_authentication").span;
        found.push(
            Diagnostic::warning(span, "nobody can log in: no way of authenticating is left")
                .help("write true"),
        );
    }
}

pub(super) fn people(profile: &Profile, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let list = at.key("people");
    for (index, person) in profile.people.iter().enumerate() {
        let keys = person.ssh_keys.as_deref().unwrap_or_default();
        for (key_index, key) in keys.iter().enumerate() {
            let here = list.item(index).key("ssh_keys").item(key_index);
            if keys[..key_index].iter().any(|other| other.encoded() == key.encoded()) {
                found.push(
                    Diagnostic::error(here.span, format!("`{}` has this key twice", person.name))
                        .help("leave one of them out"),
                );
                continue;
            }
            for (other_index, other) in profile.people[..index].iter().enumerate() {
                let others = other.ssh_keys.as_deref().unwrap_or_default();
                if let Some(first) = others.iter().position(|each| each.encoded() == key.encoded())
                {
                    let message = format!("`{}` and `{}` share a key", other.name, person.name);
                    found.push(
                        Diagnostic::warning(here.span, message)
                            .and(
                                list.item(other_index).key("ssh_keys").item(first).span,
                                "the same key",
                            )
                            .help("what one of them does cannot be told from what the other does"),
                    );
                }
            }
        }
    }
}

pub(super) fn waivers(
    profile: &Profile,
    at: At<'_>,
    today: civil::Date,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    let list = at.key("waiver");
    for (index, waiver) in profile.waiver.iter().enumerate() {
        let here = list.item(index);
        if waiver.is_expired(today) {
            let message = format!("the waiver of `{}` ended on {}", waiver.check, waiver.until);
            found.push(
                Diagnostic::warning(here.key("until").span, message)
                    .help("it counts for nothing: mend what it waived, or have it approved anew"),
            );
        }
        let known = profile.people.iter().any(|person| person.name == waiver.approved_by);
        if complete && !known {
            let message =
                format!("`{}` approved this waiver but is not in `people`", waiver.approved_by);
            found.push(
                Diagnostic::warning(here.key("approved_by").span, message)
                    .help("name a person of this profile"),
            );
        }
    }
}
