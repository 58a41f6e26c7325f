//! `[backup.NAME]`: whether those who are to open backups can.

use jiff::civil;

use super::{At, distinct};
use crate::backup::judge::may_lose_rows;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Backup, Profile};

/// Wrong file systems are found where there is a host; here only what the profile itself says.
const WHOLE: u8 = 100;

pub(super) fn validate(
    profile: &Profile,
    at: At<'_>,
    today: civil::Date,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    for (name, backup) in &profile.backup {
        let here = at.key(name.as_str());
        distinct(&backup.to, here.key("to"), found);
        distinct(backup.signer_keys.as_deref().unwrap_or_default(), here.key("signer_keys"), found);
        distinct(backup.key_files.as_deref().unwrap_or_default(), here.key("key_files"), found);
        for (index, who) in backup.to.iter().enumerate() {
            let span = here.key("to").item(index).span;
            match profile.people.iter().find(|person| person.name == *who) {
                Some(person) if person.age_recipient.is_some() => {
                    if let Some(until) = person.until.filter(|until| until.is_over(today)) {
                        let message =
                            format!("`{who}` can open these backups, and left on {until}");
                        found.push(
                            Diagnostic::warning(span, message)
                                .help("take them out of `to`: new backups are none of theirs"),
                        );
                    }
                }
                Some(_) if complete => found.push(
                    Diagnostic::error(span, format!("`{who}` has no age_recipient"))
                        .help("give them one in [[people]]: what `age-keygen -y` prints"),
                ),
                None if complete => found.push(
                    Diagnostic::error(span, format!("`{who}` is not in `people`"))
                        .help("name a person of this profile"),
                ),
                _ => {}
            }
        }
        if let [only] = backup.to.as_slice() {
            let span = here.key("to").span;
            found.push(
                Diagnostic::warning(span, format!("only `{only}` can open these backups"))
                    .help("name a second person: one key is lost more easily than two"),
            );
        }
        for (table, percent) in &backup.may_shrink {
            if *percent > WHOLE {
                let span = here.key("may_shrink").key(table.as_str()).span;
                found.push(
                    Diagnostic::error(span, "no table can shrink by more than 100 percent")
                        .help("write a number from 0 to 100"),
                );
            }
            if !may_lose_rows(table.as_str()) {
                let span = here.key("may_shrink").key(table.as_str()).span;
                found.push(
                    Diagnostic::error(span, format!("`{table}` never loses a row"))
                        .help("leave it out: no signer deletes DKG rows, and one that is gone cannot be made again"),
                );
            }
        }
        ways(backup, here, found);
        if backup.password_file.is_some() && backup.host.is_none() && !backup.credential {
            let span = here.key("password_file").span;
            found.push(
                Diagnostic::warning(span, "the server's socket asks for no password")
                    .help("say `host`, or leave the file out"),
            );
        }
    }
}

/// There is one way to a server: by its container, by a credential, or as the other keys say.
fn ways(backup: &Backup, here: At<'_>, found: &mut Vec<Diagnostic>) {
    let first = match (&backup.container, backup.credential) {
        (Some(_), _) => "container",
        (None, true) => "credential",
        (None, false) => return,
    };
    let others = [
        ("credential", backup.credential && first == "container"),
        ("host", backup.host.is_some()),
        ("password_file", backup.password_file.is_some()),
    ];
    for (other, is_there) in others {
        if is_there {
            let text = format!("`{first}` already says how the server is reached");
            found.push(
                Diagnostic::error(here.key_span(other), text)
                    .and(here.key_span(first), "here")
                    .help(format!("leave out `{first}` or `{other}`")),
            );
        }
    }
}
