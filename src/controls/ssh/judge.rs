//! From what was seen to verdicts. Pure.

use sha2::{Digest as _, Sha256};

use super::{
    checks::{CONFIG, EFFECTIVE, RUNNING, VALID, WIRE},
    judge_daemon,
    observed::{Answers, Observed},
    settings::{self, DROP_IN, Seen, Setting},
    tree::Line,
};
use crate::{
    controls::pull,
    engine::{
        change::FileState,
        check::{Judgement, Verdict},
    },
};

/// Lines and logins named in one finding; the rest are counted.
const MOST_NAMED: usize = 3;

/// One judgement for each check the profile asks for.
pub(super) fn judge(seen: &Observed) -> Vec<Judgement> {
    let mut all = Vec::new();
    if !seen.settings.is_empty() {
        let expected = format!(
            "{DROP_IN} (root, 0644) with the profile's {} settings, digest {}, read by sshd",
            seen.settings.len(),
            digest(&settings::drop_in(&seen.settings))
        );
        all.push(Judgement::new(CONFIG, expected, config(seen)));
    }
    all.push(Judgement::new(VALID, "sshd accepts the configuration on the disk", valid(seen)));
    for setting in &seen.settings {
        let expected = format!("{} {}", setting.key(), setting.value());
        all.push(
            Judgement::new(EFFECTIVE, expected, effective(seen, setting)).about(setting.key()),
        );
    }
    let expected = "the running sshd has read the configuration that is on the disk";
    all.push(Judgement::new(RUNNING, expected, judge_daemon::running(seen)));
    for wire in &seen.wires {
        let expected = judge_daemon::expected_on(wire.port, &seen.settings);
        let verdict = judge_daemon::wire(seen, wire);
        all.push(Judgement::new(WIRE, expected, verdict).about(wire.port.to_string()));
    }
    if let Some(why) = &seen.absent {
        for judgement in &mut all {
            judgement.verdict = Verdict::Unknown { why: why.clone() };
        }
    }
    all
}

/// A short name for a text, so that an expectation changes when the text does.
pub(super) fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the drop-in is what holdfast would write, leaving aside when it was written.
pub(super) fn is_ours(state: &FileState, settings: &[Setting]) -> bool {
    difference(state, settings).is_none()
}

/// How what is at the drop-in's path differs from what is wanted there.
fn difference(state: &FileState, settings: &[Setting]) -> Option<String> {
    let FileState::File { content, mode, uid, gid, xattrs, .. } = state else {
        return Some(match state {
            FileState::Absent => format!("{DROP_IN} is missing"),
            FileState::Symlink { target, .. } => format!("{DROP_IN} is a link to {target}"),
            _ => format!("{DROP_IN} is a directory, which sshd passes over; move it away"),
        });
    };
    let wanted = settings::drop_in(settings);
    if content.as_bytes() != wanted.as_bytes() {
        let text = String::from_utf8_lossy(content.as_bytes());
        let (mut found, mut ours) = (text.lines(), wanted.lines());
        let mut number = 1;
        loop {
            return Some(match (found.next(), ours.next()) {
                (Some(a), Some(b)) if a == b => {
                    number += 1;
                    continue;
                }
                (Some(a), Some(b)) => format!("{DROP_IN}:{number} is `{a}` and not `{b}`"),
                (Some(a), None) => format!("{DROP_IN}:{number} is one too many: `{a}`"),
                (None, Some(b)) => format!("{DROP_IN} ends before `{b}`"),
                (None, None) => format!("{DROP_IN} has other line ends"),
            });
        }
    }
    if (*mode, *uid, *gid) != (0o644, 0, 0) {
        return Some(format!("{DROP_IN} has mode {mode:04o} and owner {uid}:{gid}"));
    }
    let acl = xattrs.contains_key("system.posix_acl_access");
    acl.then(|| format!("{DROP_IN} has an access control list"))
}

fn config(seen: &Observed) -> Verdict {
    let state = match &seen.drop_in {
        Ok(state) => state,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let is_read = seen.future.includes(DROP_IN);
    if let (false, Some(why)) = (is_read, seen.tree.unreadable.first()) {
        return Verdict::Unknown { why: why.clone() };
    }
    let mut faults: Vec<String> = difference(state, &seen.settings).into_iter().collect();
    if !is_read {
        faults.push(
            "/etc/ssh/sshd_config does not include it; put `Include /etc/ssh/sshd_config.d/*.conf` in its first line"
                .to_owned(),
        );
    }
    if faults.is_empty() {
        return Verdict::Holds { observed: "as written, and read by sshd".to_owned() };
    }
    Verdict::Differs { observed: faults.join("; ") }
}

/// What is said where sshd gave no answer.
pub(super) fn no_runtime_dir() -> String {
    "sshd answers only once /run/sshd exists, which starting it makes; run: systemctl start ssh"
        .to_owned()
}

fn valid(seen: &Observed) -> Verdict {
    match &seen.answers {
        Answers::Refused(words) => Verdict::Differs { observed: format!("sshd refuses: {words}") },
        Answers::NoRuntimeDir => Verdict::Unknown { why: no_runtime_dir() },
        Answers::Unknown(why) => Verdict::Unknown { why: why.clone() },
        Answers::Given(given) => match given.iter().find_map(|(_, answer)| answer.as_ref().err()) {
            Some(why) if given.iter().all(|(_, answer)| answer.is_err()) => {
                Verdict::Unknown { why: why.clone() }
            }
            _ => Verdict::Holds { observed: "accepted (sshd -T)".to_owned() },
        },
    }
}

fn effective(seen: &Observed, setting: &Setting) -> Verdict {
    let given = match &seen.answers {
        Answers::Given(given) => given,
        Answers::Refused(_) => {
            let why = "sshd refuses the configuration on the disk; see ssh.valid";
            return Verdict::Unknown { why: why.to_owned() };
        }
        Answers::NoRuntimeDir => return Verdict::Unknown { why: no_runtime_dir() },
        Answers::Unknown(why) => return Verdict::Unknown { why: why.clone() },
    };
    let mut others: Vec<(String, Vec<String>)> = Vec::new();
    let mut unknown = None;
    for (login, answer) in given {
        let compared = answer.as_ref().map(|effective| setting.compare(effective));
        match compared {
            Ok(Seen::Same) => {}
            Ok(Seen::Missing) => {
                unknown = Some(format!("this sshd does not know {}", setting.key()));
            }
            Err(why) => unknown = Some(why.clone()),
            Ok(Seen::Other(value)) => {
                let who = login.as_ref().map(ToString::to_string);
                match others.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, logins)) => logins.extend(who),
                    None => others.push((value, who.into_iter().collect())),
                }
            }
        }
    }
    if !others.is_empty() {
        let values = others.iter().map(|(value, logins)| match logins.as_slice() {
            [] => value.clone(),
            logins => format!("{value} for {}", some(logins)),
        });
        let values = values.collect::<Vec<_>>().join("; ");
        return Verdict::Differs { observed: format!("{values} ({})", blame(seen, setting)) };
    }
    if let Some(why) = unknown {
        return Verdict::Unknown { why };
    }
    let mut observed = setting.value();
    if let (logins @ 1.., true) = (given.len(), given.iter().all(|(login, _)| login.is_some())) {
        observed.push_str(&format!(" for all {logins} logins tried"));
        if seen.more > 0 {
            let more = seen.more;
            observed.push_str(&format!(
                "; {more} more were not, name those that matter in ssh.admitted"
            ));
        }
    }
    Verdict::Holds { observed }
}

/// Which line is at fault.
fn blame(seen: &Observed, setting: &Setting) -> String {
    let lines: Vec<String> = seen.tree.culprits(setting).iter().map(|line| line.place()).collect();
    match lines.is_empty() {
        false => format!("set in {}", some(&lines)),
        // Names and ports that should be there and are not have no line that is wrong.
        true if setting.accumulates() => {
            "no line of a file is wrong; something is missing".to_owned()
        }
        true => "sshd's default, set in no file".to_owned(),
    }
}

/// The first few, and how many more.
pub(super) fn some(all: &[String]) -> String {
    let named = all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

impl super::tree::Tree {
    /// The lines that keep a setting from being what is wanted.
    pub(super) fn culprits(&self, setting: &Setting) -> Vec<&Line> {
        let key = setting.key();
        let concerns = |line: &&Line| {
            line.keyword == key || (key == "port" && line.keyword == "listenaddress")
        };
        let is_wrong = |line: &&Line| {
            let is_about_pull = line.scope.as_deref().is_some_and(pull::is_about_account);
            !is_about_pull && !setting.agrees(&line.keyword, &line.args)
        };
        let lines: Vec<&Line> = self.lines.iter().filter(concerns).collect();
        let (global, scoped): (Vec<&Line>, Vec<&Line>) =
            lines.into_iter().partition(|line| line.scope.is_none());
        // Of several global lines sshd keeps the first, unless they add up.
        let kept = if setting.accumulates() { global.len() } else { 1 };
        global.into_iter().take(kept).chain(scoped).filter(is_wrong).collect()
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
