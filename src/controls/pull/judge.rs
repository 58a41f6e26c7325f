//! From what was seen to verdicts. Pure.

use super::{
    checks::{ACCOUNT, CONFIG, EFFECTIVE, KEYS, PATH, SESSION, STORE},
    desired::{self, DROP_IN, Desired},
    observed::{Account, Folder, Observed},
    path, session,
};
use crate::{
    controls::{dropin, login::matches, ssh::Effective},
    engine::{
        change::FileState,
        check::{Judgement, Verdict},
    },
};

/// Of what is wrong with many things, so many are named.
const MOST_NAMED: usize = 4;

/// One judgement for each check.
pub(super) fn judge(seen: &Observed) -> Vec<Judgement> {
    let Some(wanted) = &seen.wanted else {
        let why = "the profile has no backup that could be fetched";
        let not = |meta| {
            let verdict = Verdict::NotApplicable { why: why.to_owned() };
            Judgement::new(meta, "nothing is served", verdict)
        };
        return [ACCOUNT, STORE, CONFIG, KEYS, EFFECTIVE, PATH].map(not).into();
    };
    let s = if wanted.key_count == 1 { "" } else { "s" };
    let mut all = vec![
        Judgement::new(
            ACCOUNT,
            format!("{} with no shell, no password and its own group only", desired::ACCOUNT),
            account(&seen.account),
        ),
        Judgement::new(
            STORE,
            format!("{}, root's, with nothing but finished files", wanted.root()),
            store(seen),
        ),
        Judgement::new(
            CONFIG,
            dropin::expected(DROP_IN, Some(&wanted.drop_in)),
            config(seen, wanted),
        ),
        Judgement::new(
            KEYS,
            format!(
                "{} key{s} in {}",
                wanted.key_count,
                dropin::expected(desired::KEYS, Some(&wanted.keys))
            ),
            dropin::judge_file(desired::KEYS, &seen.keys, Some(&wanted.keys)),
        ),
        Judgement::new(
            EFFECTIVE,
            format!("{} reads {} by SFTP and does nothing else", desired::ACCOUNT, wanted.root()),
            effective(seen, wanted),
        ),
        Judgement::new(PATH, "those who fetch reach sshd past the firewall", path::judge(seen)),
    ];
    if let Some((within, found, now)) = &seen.sessions {
        let expected = format!("{} has logged in within {within}", desired::ACCOUNT);
        all.push(Judgement::new(SESSION, expected, session::judge(found, *within, *now)));
    }
    if let Some(why) = &seen.absent {
        for judgement in &mut all {
            judgement.verdict = Verdict::Unknown { why: why.clone() };
        }
    }
    all
}

fn verdict(faults: Vec<String>, observed: impl Into<String>) -> Verdict {
    if faults.is_empty() {
        return Verdict::Holds { observed: observed.into() };
    }
    let more = faults.len().saturating_sub(MOST_NAMED);
    let mut text = faults.into_iter().take(MOST_NAMED).collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    Verdict::Differs { observed: text }
}

fn account(found: &Result<Option<Account>, String>) -> Verdict {
    let account = match found {
        Err(why) => return Verdict::Unknown { why: why.clone() },
        Ok(None) => {
            return Verdict::Differs {
                observed: format!("there is no account {}", desired::ACCOUNT),
            };
        }
        Ok(Some(account)) => account,
    };
    let mut faults = Vec::new();
    if account.uid == 0 {
        faults.push("its uid is root's".to_owned());
    }
    if account.can_log_in {
        faults.push(format!("its shell is {}", account.shell));
    }
    if account.has_password == Ok(true) {
        faults.push("a password fits".to_owned());
    }
    let others: Vec<&str> = account
        .groups
        .iter()
        .map(String::as_str)
        .filter(|name| *name != desired::ACCOUNT)
        .collect();
    if !others.is_empty() {
        faults.push(format!("it is in other groups: {}", others.join(", ")));
    }
    if !account.same_uid.is_empty() {
        faults.push(format!(
            "its uid {} is also that of {}",
            account.uid,
            account.same_uid.join(", ")
        ));
    }
    match (&account.has_password, faults.is_empty()) {
        (Err(why), true) => Verdict::Unknown { why: why.clone() },
        _ => verdict(faults, format!("uid {}, {}, locked", account.uid, account.shell)),
    }
}

/// What is not as it is to be about a folder.
pub(super) fn fault(folder: &Folder) -> Option<String> {
    let path = &folder.path;
    let Some((uid, mode)) = folder.access else { return Some(format!("{path} is not there")) };
    if uid != 0 {
        return Some(format!("{path} belongs to user {uid}, so sshd refuses the login"));
    }
    match (folder.mode, &folder.state) {
        (Some(_), Ok(FileState::Symlink { target, .. })) => {
            Some(format!("{path} is a link to {target}"))
        }
        (Some(_), Ok(FileState::File { .. })) => Some(format!("{path} is a file")),
        (Some(_), Ok(FileState::Directory { xattrs, .. }))
            if xattrs.keys().any(|name| name.starts_with("system.posix_acl")) =>
        {
            Some(format!("{path} has an access control list"))
        }
        (Some(wanted), _) if mode != wanted => {
            Some(format!("{path} has mode {mode:04o}, expected {wanted:04o}"))
        }
        (None, _) if mode & 0o022 != 0 => {
            Some(format!("others may write to {path} (mode {mode:04o}), so sshd refuses the login"))
        }
        _ => None,
    }
}

fn store(seen: &Observed) -> Verdict {
    let mut faults: Vec<String> = seen.way.iter().filter_map(fault).collect();
    match &seen.strange {
        Ok(strange) => faults.extend(strange.iter().cloned()),
        Err(why) if faults.is_empty() => return Verdict::Unknown { why: why.clone() },
        Err(_) => {}
    }
    if let (true, Some(why)) =
        (faults.is_empty(), seen.way.iter().find_map(|folder| folder.state.as_ref().err()))
    {
        return Verdict::Unknown { why: why.clone() };
    }
    verdict(faults, "only root can write to it, and nothing else is in it")
}

fn config(seen: &Observed, wanted: &Desired) -> Verdict {
    let file = dropin::judge_file(DROP_IN, &seen.drop_in, Some(&wanted.drop_in));
    if seen.is_included || matches!(file, Verdict::Unknown { .. }) {
        return file;
    }
    let observed = "/etc/ssh/sshd_config does not include it; put `Include \
                    /etc/ssh/sshd_config.d/*.conf` in its first line";
    Verdict::Differs { observed: observed.to_owned() }
}

fn effective(seen: &Observed, wanted: &Desired) -> Verdict {
    let (mut faults, mut unknown) = (Vec::new(), None);
    for (from, answer) in &seen.answers {
        match answer {
            Err(why) => unknown = unknown.or(Some(why.clone())),
            Ok(effective) => {
                for fault in not_as_wanted(effective, wanted) {
                    let text = match seen.answers.len() {
                        1 => fault,
                        _ => format!("from {from}: {fault}"),
                    };
                    if !faults.contains(&text) {
                        faults.push(text);
                    }
                }
            }
        }
    }
    match unknown {
        Some(why) if faults.is_empty() => Verdict::Unknown { why },
        _ => verdict(faults, format!("all {} settings, by sshd -T", wanted.effective.len())),
    }
}

/// The keywords that sshd would use another value of, and the lists that keep the account out.
fn not_as_wanted(effective: &Effective, wanted: &Desired) -> Vec<String> {
    let mut faults = Vec::new();
    for (keyword, value) in &wanted.effective {
        let said = effective.values(keyword);
        let is_same = said.len() == 1 && said[0].eq_ignore_ascii_case(value);
        if !is_same {
            let said = if said.is_empty() { "nothing".to_owned() } else { said.join(" ") };
            faults.push(format!("{keyword} is {said}, expected {value}"));
        }
    }
    // Its password is locked, and by itself sshd takes that for the whole account; PAM does not. It is one for everybody.
    if effective.values("usepam") == ["no"] {
        faults.push("usepam is no, so sshd lets in no account whose password is locked".to_owned());
    }
    // Printed one on a line, or all on one.
    let names = |keyword: &str| -> Vec<&str> {
        effective
            .values(keyword)
            .iter()
            .flat_map(|line| line.split(' '))
            .filter(|name| !name.is_empty())
            .collect()
    };
    let fits =
        |pattern: &&&str| matches(pattern.split('@').next().unwrap_or(pattern), desired::ACCOUNT);
    for keyword in ["allowusers", "allowgroups"] {
        let list = names(keyword);
        if !list.is_empty() && !list.contains(&desired::ACCOUNT) {
            faults.push(format!("{keyword} does not name it"));
        }
    }
    for keyword in ["denyusers", "denygroups"] {
        if let Some(pattern) = names(keyword).iter().find(fits) {
            faults.push(format!("{keyword} {pattern} keeps it out"));
        }
    }
    faults
}
