//! The rule by which logrotate rotates a source's file without losing a line.
//!
//! The file is renamed, and the program told by SIGHUP to open its file anew. Until the program has opened a new file there
//! is none (`nocreate`), so that one that missed the signal is not rotated again while it writes on. What is deleted is
//! decided by age alone (`maxage` goes by a file's last line), never by how many files there are: a rotation by hand costs
//! nothing. Nothing is compressed: bitcoind writes a few MB a day, and in compressed files no silence would be seen.

use std::collections::BTreeSet;

use super::{
    own::Own,
    rules::{DIR, PREFIX},
};
use crate::{
    host::Reader,
    profile::{schema::LogSource, types::TimeSpan},
};

/// How the program is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// The main process of a unit.
    Unit(String),
    /// The main process of a container.
    Container(String),
}

impl Told {
    /// Who opens this source's file anew.
    pub(super) fn of(source: &LogSource) -> Option<Self> {
        let unit = source.reopened_by.as_ref().map(|unit| Self::Unit(unit.as_str().to_owned()));
        let container = source.reopened_by_container.as_ref();
        unit.or_else(|| container.map(|name| Self::Container(name.as_str().to_owned())))
    }

    /// What tells it, if it runs: one that does not opens a new file when it starts.
    fn script(&self) -> String {
        match self {
            // `\` is in the name of some units, and the shell's.
            Self::Unit(unit) => format!(
                "[ \"$(/usr/bin/systemctl show --property=MainPID --value '{unit}')\" != 0 ] || exit 0\n\t\t\
                 /usr/bin/systemctl kill --kill-whom=main --signal=SIGHUP '{unit}'"
            ),
            Self::Container(name) => format!(
                "[ \"$(/usr/bin/docker inspect --format '{{{{.State.Running}}}}' {name})\" = true ] || exit 0\n\t\t\
                 /usr/bin/docker kill --signal=SIGHUP {name}"
            ),
        }
    }
}

/// The rule. `su` is who owns the folder and its group, where they have names: whoever may rename in it.
pub(super) fn rule(path: &str, keep: TimeSpan, su: Option<(&str, &str)>, told: &Told) -> String {
    // A day more than asked for: logrotate counts whole days, and runs once in one.
    let days = keep.as_secs().div_ceil(86_400) + 1;
    let su = su.map(|(owner, group)| format!("\tsu {owner} {group}\n")).unwrap_or_default();
    format!(
        "# Written by holdfast from the profile's [logs] section. Do not edit: change the profile.\n\
         {path} {{\n\
         {su}\
         \tdaily\n\
         \trotate -1\n\
         \tmaxage {days}\n\
         \tdateext\n\
         \tdateformat -%Y%m%d\n\
         \tnoolddir\n\
         \tmissingok\n\
         \tnotifempty\n\
         \tnocreate\n\
         \tnocopytruncate\n\
         \tnocompress\n\
         \tnosharedscripts\n\
         \tpostrotate\n\
         \t\t{}\n\
         \tendscript\n\
         }}\n",
        told.script()
    )
}

/// The rule of a source, and what is there.
pub(super) fn own(source: &LogSource, path: &str, keep: TimeSpan, host: &Reader) -> Own {
    let mut own = at(source.name.as_str(), host);
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    let told = Told::of(source);
    match (host.files().access(folder), told) {
        (Ok(Some(access)), Some(told)) => {
            let (owner, group) = names(host, access.uid, access.gid);
            let su = owner.as_deref().zip(group.as_deref());
            // logrotate takes names only, and without them no folder in which others than its owner may write.
            let is_open = access.mode & 0o002 > 0 || (access.mode & 0o020 > 0 && access.gid != 0);
            if su.is_none() && is_open {
                own.found = Err(format!(
                    "{folder} belongs to {}:{}, which have no names here, and others than its owner may write in it: \
                     logrotate would not rotate there; run: chmod go-w {folder}",
                    access.uid, access.gid
                ));
            }
            own.wanted = Some(rule(path, keep, su, &told));
        }
        (Err(error), _) => own.found = Err(error.chain()),
        _ => own.not_yet = Some(format!("there is no {folder} yet")),
    }
    own
}

/// The rules of sources that the profile no longer has.
pub(super) fn left_over(host: &Reader, wanted: &BTreeSet<String>) -> Vec<Own> {
    let names = host.files().list(DIR).unwrap_or_default();
    let ours = names.iter().filter_map(|name| name.strip_prefix(PREFIX));
    ours.map(|name| at(name, host)).filter(|own| !wanted.contains(&own.path)).collect()
}

fn at(name: &str, host: &Reader) -> Own {
    let path = format!("{DIR}/{PREFIX}{name}");
    Own {
        subject: name.to_owned(),
        dir: DIR.to_owned(),
        dir_exists: host.files().exists(DIR),
        found: host.files().state(&path).map_err(|error| error.chain()),
        path,
        wanted: None,
        not_yet: None,
        read_by: None,
        is_read: None,
    }
}

/// The names of an account and a group, where the host has them: it has none for what a container owns.
fn names(host: &Reader, uid: u32, gid: u32) -> (Option<String>, Option<String>) {
    let accounts = host.accounts().unwrap_or_default();
    let owner = accounts.into_iter().find(|account| account.uid == uid).map(|account| account.name);
    let groups = host.files().text("/etc/group").ok().flatten().unwrap_or_default();
    let group = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == gid.to_string()).then(|| name.to_owned())
    });
    (owner, group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule() {
        let told = Told::Unit("bitcoind.service".to_owned());
        let text =
            rule("/srv/b/debug.log", TimeSpan::from_days(90), Some(("bitcoin", "nogroup")), &told);
        for line in ["/srv/b/debug.log {", "\tsu bitcoin nogroup", "\trotate -1", "\tmaxage 91"] {
            assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
        }
        assert!(
            text.contains("kill --kill-whom=main --signal=SIGHUP 'bitcoind.service'"),
            "{text}"
        );
        let told = Told::Container("node-1".to_owned());
        let text = rule("/b/debug.log", TimeSpan::from_secs(1), None, &told);
        assert!(text.contains("\tmaxage 2\n") && !text.contains("\tsu"), "{text}");
        assert!(text.contains("'{{.State.Running}}' node-1)"), "{text}");
    }
}
