//! Whether sshd lets an account in that comes from an address. Pure.
//!
//! The order is sshd's own: who is named, root, the account's end, then the ways of authenticating.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use jiff::Timestamp;

use super::{
    keys::{Key, Useless},
    patterns,
};
use crate::{
    controls::ssh::{Effective, Setting},
    host::accounts::{Account, Password, Secret},
};

/// Seconds of a day, in which `/etc/shadow` counts.
const DAY: i64 = 86_400;

/// What sshd will do with one login: what it says it would, with the profile's settings in the place of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    all: BTreeMap<String, Vec<String>>,
}

impl Policy {
    /// `wanted` is empty where the profile does not put sshd right.
    pub(super) fn of(effective: &Effective, wanted: &[Setting]) -> Self {
        let keywords = [
            "allowusers",
            "denyusers",
            "allowgroups",
            "denygroups",
            "permitrootlogin",
            "pubkeyauthentication",
            "passwordauthentication",
            "kbdinteractiveauthentication",
            "permitemptypasswords",
            "usepam",
            "authenticationmethods",
            "authorizedkeysfile",
            "authorizedkeyscommand",
            "trustedusercakeys",
            "pubkeyacceptedalgorithms",
            "strictmodes",
        ];
        let value = |keyword: &str| match wanted.iter().find(|setting| setting.key() == keyword) {
            Some(setting) => setting.values().to_vec(),
            None => effective.values(keyword).to_vec(),
        };
        // Some come one on a line, some all on one, some with commas; none has a blank or a comma in it.
        let is_separator = |keyword: &str, c: char| match keyword {
            "pubkeyacceptedalgorithms" => c == ',' || c == ' ',
            _ => c == ' ',
        };
        let split = |keyword: &str| -> Vec<String> {
            let words = value(keyword).into_iter().flat_map(|text| {
                let words =
                    text.split(|c| is_separator(keyword, c)).filter(|word| !word.is_empty());
                words.map(str::to_owned).collect::<Vec<_>>()
            });
            words.collect()
        };
        Self {
            all: keywords.iter().map(|keyword| ((*keyword).to_owned(), split(keyword))).collect(),
        }
    }

    fn list(&self, keyword: &str) -> &[String] {
        self.all.get(keyword).map(Vec::as_slice).unwrap_or_default()
    }

    fn word(&self, keyword: &str) -> &str {
        self.list(keyword).first().map_or("", String::as_str)
    }

    fn is_on(&self, keyword: &str) -> bool {
        self.word(keyword) == "yes"
    }

    /// Where this account's keys are.
    pub(super) fn keys_files(&self, account: &Account) -> Vec<String> {
        let files = self.list("authorizedkeysfile").iter().filter(|file| *file != "none");
        files.map(|file| expand(file, account)).collect()
    }

    /// Whether files that others may write to are passed over.
    pub(super) fn is_strict(&self) -> bool {
        self.word("strictmodes") != "no"
    }

    /// The networks of which it says something, where what it says may change from one address to the next.
    pub(super) fn networks(&self) -> impl Iterator<Item = ipnet::IpNet> {
        let lists = self.list("allowusers").iter().chain(self.list("denyusers"));
        lists.filter_map(|entry| Some(entry.split_once('@')?.1)).flat_map(patterns::networks)
    }
}

/// `%h`, `%u`, `%U` and `%%`; what is relative is in the home directory.
fn expand(file: &str, account: &Account) -> String {
    let mut path = String::new();
    let mut chars = file.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('h')) => path.push_str(&account.home),
            ('%', Some('u')) => path.push_str(&account.name),
            ('%', Some('U')) => path.push_str(&account.uid.to_string()),
            ('%', Some(other)) => path.push(other),
            (c, _) => path.push(c),
        }
    }
    if path.starts_with('/') {
        path
    } else {
        format!("{}/{path}", account.home.trim_end_matches('/'))
    }
}

/// An account with a shell, and what it has to show.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The account.
    pub(super) account: Account,
    /// The names of its groups.
    pub(super) groups: Vec<String>,
    /// Its password, or why that is not known.
    pub(super) secret: Result<Secret, String>,
    /// What is in each file that may hold its keys.
    pub(super) files: BTreeMap<String, KeysFile>,
}

impl Candidate {
    /// Whether it has a key or a password at all.
    pub(super) fn has_something(&self) -> bool {
        let has_password =
            self.secret.as_ref().is_ok_and(|secret| secret.password != Password::Locked);
        has_password
            || self
                .files
                .values()
                .any(|file| matches!(file, KeysFile::Keys(keys) if !keys.is_empty()))
    }
}

/// A file of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeysFile {
    /// There is none.
    Absent,
    /// sshd does not read it, and why.
    Ignored(String),
    /// It could not be looked at.
    Unknown(String),
    /// What it holds.
    Keys(Vec<Key>),
}

/// What comes of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It gets in, and how.
    In(String),
    /// It does not.
    Out(Refusal),
    /// That cannot be told.
    Unknown(String),
}

/// Why a login is refused, and how far it got.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    /// sshd's lists do not name it.
    NotNamed(String),
    /// It is root, or has ended.
    NotThis(String),
    /// No way of authenticating is left to it.
    NoMethod(String),
    /// It has nothing to show.
    NoKey(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotNamed(why) | Self::NotThis(why) | Self::NoMethod(why) | Self::NoKey(why)) =
            self;
        f.write_str(why)
    }
}

/// What comes of this account's login from that address.
pub(super) fn judge(policy: &Policy, who: &Candidate, from: IpAddr, now: Timestamp) -> Outcome {
    match named(policy, who, from).and_then(|()| allowed(policy, who, now)) {
        Err(refusal) => Outcome::Out(refusal),
        Ok(()) => authenticated(policy, who, from, now),
    }
}

/// `allowed_user`.
fn named(policy: &Policy, who: &Candidate, from: IpAddr) -> Result<(), Refusal> {
    let user = &who.account.name;
    let no = |why: String| Err(Refusal::NotNamed(why));
    let fits = |pattern: &&String| patterns::matches_login(pattern, user, from);
    let in_group =
        |pattern: &&String| who.groups.iter().any(|group| patterns::matches(pattern, group));
    if let Some(pattern) = policy.list("denyusers").iter().find(fits) {
        return no(format!("{user}: shut out by DenyUsers {pattern}"));
    }
    let allowed = policy.list("allowusers");
    if !allowed.is_empty() && allowed.iter().find(fits).is_none() {
        return no(format!("{user}: not in AllowUsers ({})", allowed.join(" ")));
    }
    if let Some(pattern) = policy.list("denygroups").iter().find(in_group) {
        return no(format!("{user}: shut out by DenyGroups {pattern}"));
    }
    let allowed = policy.list("allowgroups");
    if !allowed.is_empty() && allowed.iter().find(in_group).is_none() {
        return no(format!("{user}: in none of AllowGroups ({})", allowed.join(" ")));
    }
    Ok(())
}

fn allowed(policy: &Policy, who: &Candidate, now: Timestamp) -> Result<(), Refusal> {
    let user = &who.account.name;
    if who.account.uid == 0 && policy.word("permitrootlogin") == "no" {
        return Err(Refusal::NotThis(format!("{user}: PermitRootLogin is no")));
    }
    if who.account.uid == 0 && policy.word("permitrootlogin") == "forced-commands-only" {
        return Err(Refusal::NotThis(format!("{user}: PermitRootLogin is forced-commands-only")));
    }
    let ends = who.secret.as_ref().ok().and_then(|secret| secret.ends);
    if let Some(day) = ends.filter(|day| day * DAY <= now.as_second()) {
        return Err(Refusal::NotThis(format!(
            "{user}: the account ended {day} days after 1970-01-01"
        )));
    }
    Ok(())
}

/// Ways of authenticating by name; each with how, or why not.
fn authenticated(policy: &Policy, who: &Candidate, from: IpAddr, now: Timestamp) -> Outcome {
    let user = &who.account.name;
    let key = by_key(policy, who, from, now);
    let password = by_password(policy, who);
    let methods = policy.list("authenticationmethods");
    let lists: Vec<Vec<&str>> = match methods {
        [] => vec![vec!["publickey"], vec!["password"]],
        [any] if any == "any" => vec![vec!["publickey"], vec!["password"]],
        lists => lists.iter().map(|list| list.split(',').collect()).collect(),
    };
    let one = |method: &&str| match method.split(':').next().unwrap_or(method) {
        "publickey" => key.clone(),
        "password" | "keyboard-interactive" => password.clone(),
        other => Outcome::Unknown(format!("{user}: holdfast cannot tell who gets in by {other}")),
    };
    // All of a list is needed: the worst of it counts. Of the lists the best does.
    let worst = |list: Vec<&str>| list.iter().map(one).max_by_key(rank);
    let mut all: Vec<Outcome> = lists.into_iter().filter_map(worst).collect();
    all.sort_by_key(rank);
    let mut refusals: Vec<Refusal> = Vec::new();
    for outcome in all {
        match outcome {
            Outcome::Out(refusal) => refusals.push(refusal),
            better => return better,
        }
    }
    refusals.sort();
    refusals.dedup();
    // The one that got furthest first: it says most.
    let words: Vec<String> = refusals.iter().rev().map(ToString::to_string).collect();
    let words = format!("{user}: {}", words.join(", "));
    Outcome::Out(match refusals.last() {
        Some(Refusal::NoKey(_)) => Refusal::NoKey(words),
        _ => Refusal::NoMethod(words),
    })
}

/// In is best.
const fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::In(_) => 0,
        Outcome::Unknown(_) => 1,
        Outcome::Out(_) => 2,
    }
}

fn by_key(policy: &Policy, who: &Candidate, from: IpAddr, now: Timestamp) -> Outcome {
    let user = &who.account.name;
    if !policy.is_on("pubkeyauthentication") {
        return Outcome::Out(Refusal::NoMethod("keys are off".to_owned()));
    }
    let files = policy.keys_files(&who.account);
    let mut why: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for path in &files {
        match who.files.get(path) {
            None | Some(KeysFile::Absent) => {}
            Some(KeysFile::Ignored(reason)) => why.push(reason.clone()),
            Some(KeysFile::Unknown(reason)) => unknown.push(reason.clone()),
            Some(KeysFile::Keys(keys)) => {
                for key in keys {
                    match key.admits(from, policy.list("pubkeyacceptedalgorithms"), now) {
                        Ok(()) => return Outcome::In(format!("{user} by a key in {path}")),
                        Err(Useless::Because(reason)) => why.push(format!("{path}: {reason}")),
                        Err(Useless::Certificates) => {
                            unknown.push(format!("{user}: who holds a certificate cannot be told"));
                        }
                    }
                }
            }
        }
    }
    for (keyword, what) in [
        ("authorizedkeyscommand", "what AuthorizedKeysCommand answers"),
        ("trustedusercakeys", "who holds a certificate of TrustedUserCAKeys"),
    ] {
        if !matches!(policy.word(keyword), "" | "none") {
            unknown.push(format!("{user}: holdfast cannot tell {what}"));
        }
    }
    if let Some(unknown) = unknown.into_iter().next() {
        return Outcome::Unknown(unknown);
    }
    why.dedup();
    Outcome::Out(Refusal::NoKey(match why.as_slice() {
        [] => format!("no authorized key ({})", files.join(", ")),
        why => format!("no usable key ({})", why.join("; ")),
    }))
}

/// By `password` or by `keyboard-interactive`, which asks PAM for the same password.
fn by_password(policy: &Policy, who: &Candidate) -> Outcome {
    let user = &who.account.name;
    let out = |why: &str| Outcome::Out(Refusal::NoMethod(why.to_owned()));
    let by_pam = policy.is_on("kbdinteractiveauthentication") && policy.is_on("usepam");
    if !policy.is_on("passwordauthentication") && !by_pam {
        return out("passwords are off");
    }
    if who.account.uid == 0 && policy.word("permitrootlogin") != "yes" {
        return out("PermitRootLogin takes no password from root");
    }
    match &who.secret {
        Err(why) => Outcome::Unknown(why.clone()),
        Ok(secret) => match secret.password {
            Password::Set => Outcome::In(format!("{user} by password")),
            Password::Empty if policy.is_on("permitemptypasswords") => {
                Outcome::In(format!("{user} by the empty password"))
            }
            _ => out("no password is set"),
        },
    }
}

#[cfg(test)]
#[path = "admit_tests.rs"]
mod tests;
