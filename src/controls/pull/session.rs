//! When the account last logged in, by systemd-logind's word in the journal.
//!
//! The SFTP server is locked into a folder without a way to the journal, so what it served is not known here. That
//! somebody came is: logind notes each session under a field of its own with the account's name, which the journal finds
//! without reading other entries.

use jiff::Timestamp;

use super::desired::ACCOUNT;
use crate::{
    engine::check::Verdict,
    host::{Files, HostError, journal_files::Fault},
    profile::types::TimeSpan,
};

/// "A new session was created", sd-messages(3).
const BEGUN: &str = "MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66";

/// What journald itself notes of who wrote an entry: the rest anybody can write.
const LOGIND: &str = "_SYSTEMD_UNIT=systemd-logind.service";

/// A session is noted when it begins and when it ends; more entries than this have been forged.
const MOST_LOOKED_AT: u64 = 1000;

/// What the journal says of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sessions {
    /// When its last session began.
    pub(super) last: Option<Timestamp>,
    /// When the journal's oldest entry was written.
    pub(super) since: Option<Timestamp>,
}

/// Reads the journal.
pub(super) fn read(files: &Files) -> Result<Sessions, String> {
    let chain = |error: HostError| {
        let hint = if error.is_permission() { "; run holdfast as root" } else { "" };
        format!("{}{hint}", error.chain())
    };
    if !files.is_dir("/run/systemd/users") {
        let why = "systemd-logind, which notes who logs in, does not run; run: apt install libpam-systemd";
        return Err(why.to_owned());
    }
    let id = files.text("/etc/machine-id").map_err(chain)?.unwrap_or_default();
    let mut all = Sessions::default();
    for folder in ["/var/log/journal", "/run/log/journal"] {
        for found in files.journals(&format!("{folder}/{}", id.trim())).map_err(chain)? {
            if !found.name.starts_with("system") {
                continue;
            }
            match sessions(files, &found.path()) {
                Ok(of_file) => all = all.and(of_file),
                // What journald put aside is damaged, and was before.
                Err(_) if found.is_put_aside() => {}
                Err(fault) => return Err(format!("{}: {fault}", found.path())),
            }
        }
    }
    Ok(all)
}

fn sessions(files: &Files, path: &str) -> Result<Sessions, Fault> {
    // One that is gone was deleted by journald since the folder was listed.
    let Some(file) = files.open_journal(path)? else { return Ok(Sessions::default()) };
    let time = |micros: u64| Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok();
    let since = Some(file.header.head).filter(|head| *head > 0).and_then(time);
    let entries = file.with(&format!("USER_ID={ACCOUNT}"))?;
    for index in
        (0..entries.len()).rev().take(usize::try_from(MOST_LOOKED_AT).unwrap_or(usize::MAX))
    {
        let fields = file.fields(&entries, index)?;
        if [BEGUN, LOGIND].iter().all(|wanted| fields.iter().any(|field| field == wanted)) {
            return Ok(Sessions { last: time(file.time(&entries, index)?), since });
        }
    }
    Ok(Sessions { last: None, since })
}

impl Sessions {
    fn and(self, other: Self) -> Self {
        let since = [self.since, other.since].into_iter().flatten().min();
        Self { last: self.last.max(other.last), since }
    }
}

/// Whether the last login is recent enough.
pub(super) fn judge(found: &Result<Sessions, String>, within: TimeSpan, now: Timestamp) -> Verdict {
    let Sessions { last, since } = match found {
        Ok(sessions) => *sessions,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let ago = |then: Timestamp| {
        let seconds = now.as_second().saturating_sub(then.as_second());
        TimeSpan::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    match (last, since) {
        (Some(last), _) if last.as_second() > now.as_second() => {
            let why = format!("the last login, at {last}, is of the future: a clock was wrong");
            Verdict::Unknown { why }
        }
        (Some(last), _) if ago(last) <= within => {
            Verdict::Holds { observed: format!("the last login was {} ago", ago(last)) }
        }
        (Some(last), _) => Verdict::Differs {
            observed: format!("the last login was {} ago, at {last}", ago(last)),
        },
        (None, Some(since)) if ago(since) < within => Verdict::Accumulating {
            observed: format!("no login yet; the journal goes back {}", ago(since)),
        },
        (None, Some(since)) => {
            Verdict::Differs { observed: format!("no login; the journal goes back to {since}") }
        }
        (None, None) => Verdict::Unknown { why: "the journal is empty".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_nobody_came() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).ok();
        let now = at(0).unwrap();
        let judged = |last: Option<i64>, since: Option<i64>| {
            let sessions = Sessions { last: last.and_then(at), since: since.and_then(at) };
            match judge(&Ok(sessions), TimeSpan::from_secs(7200), now) {
                Verdict::Holds { observed } => format!("holds: {observed}"),
                Verdict::Differs { observed } => format!("differs: {observed}"),
                Verdict::Accumulating { observed } => format!("accumulating: {observed}"),
                other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
            }
        };
        let cases = [
            (Some(-60), Some(-9000), "holds: the last login was 1m ago"),
            (Some(-7200), Some(-9000), "holds: the last login was 2h ago"),
            (Some(-7201), Some(-9000), "differs: the last login was 2h"),
            (None, Some(-9000), "differs: no login; the journal goes back to 2027-01-15T05:30:00Z"),
            (None, Some(-600), "accumulating: no login yet; the journal goes back 10m"),
            (Some(10), Some(-9000), "Unknown"),
            (None, None, "Unknown"),
        ];
        for (last, since, says) in cases {
            let said = judged(last, since);
            assert!(said.starts_with(says), "{said} and not {says}");
        }
    }
}
