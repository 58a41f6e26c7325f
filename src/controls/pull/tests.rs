//! Desired text, verdicts and steps, over plain data.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    desired::{self, DROP_IN, Desired},
    judge::judge,
    observed::{Account, Folder, Observed},
    plan::plan,
};
use crate::{
    controls::{
        Wanted,
        firewall::{Facts, model::Model},
        ssh::Effective,
    },
    engine::{
        change::{AccountState, Change, FileState, Gate, RunVerb},
        check::Verdict,
    },
    profile::{schema::Profile, types::Port},
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqGyH1sMbwqQzbmqVAkvXzBqhEqJHkz4Y8Wf0Yb0cYE";

fn profile(store: &str, pull: &str) -> Profile {
    let text = format!(
        "[backup.signer-db]\ndatabase = \"signer\"\nto = []\nstore = \"{store}\"\n\
         [pull]\nkeys = [\"{KEY} puller\"]\n{pull}\n"
    );
    toml::from_str(&text).unwrap()
}

fn desired(store: &str, pull: &str) -> Desired {
    Desired::of(&profile(store, pull)).unwrap()
}

fn directory(mode: u32) -> FileState {
    FileState::Directory { mode, uid: 0, gid: 0, xattrs: BTreeMap::new() }
}

fn folder(path: &str, mode: Option<u32>) -> Folder {
    let found = mode.unwrap_or(0o755);
    Folder { path: path.to_owned(), state: Ok(directory(found)), access: Some((0, found)), mode }
}

/// What `sshd -T` prints where everything is as it should be.
fn answer(wanted: &Desired) -> String {
    let lines = wanted.effective.iter().map(|(keyword, value)| format!("{keyword} {value}\n"));
    lines.collect::<String>() + "usepam yes\nallowusers root\nallowusers holdfast-pull\n"
}

/// A host on which all is well.
pub(super) fn well() -> Observed {
    let wanted = desired("/srv/kept", "");
    Observed {
        absent: None,
        account: Ok(Some(Account {
            uid: 998,
            shell: "/usr/sbin/nologin".to_owned(),
            can_log_in: false,
            has_password: Ok(false),
            groups: vec!["holdfast-pull".to_owned()],
            same_uid: Vec::new(),
        })),
        way: vec![
            folder("/", None),
            folder("/srv", None),
            folder("/srv/kept", Some(0o700)),
            folder("/srv/kept/finished", Some(0o755)),
        ],
        strange: Ok(Vec::new()),
        drop_in: Ok(FileState::config(&*wanted.drop_in)),
        has_dir: true,
        is_included: true,
        keys: Ok(FileState::config(&*wanted.keys)),
        answers: vec![("192.0.2.1".to_owned(), Ok(Effective::parse(&answer(&wanted))))],
        firewall: Ok(Model::of(None, &Facts::default(), jiff::Timestamp::UNIX_EPOCH)),
        ports: vec![Port::SSH],
        from: None,
        sessions: None,
        has_no_runtime_dir: false,
        wanted: Some(wanted),
    }
}

fn verdict(seen: &Observed, check: &str) -> Verdict {
    judge(seen).into_iter().find(|judgement| judgement.meta.id == check).unwrap().verdict
}

fn differs(seen: &Observed, check: &str) -> String {
    match verdict(seen, check) {
        Verdict::Differs { observed } => observed,
        other => panic!("{check}: {other:?}"),
    }
}

fn steps(seen: &Observed, wanted: &[&str]) -> Vec<Change> {
    let wanted: BTreeSet<String> = wanted.iter().map(|id| (*id).to_owned()).collect();
    plan(seen, Wanted(&wanted)).into_iter().map(|step| step.change).collect()
}

const ALL: [&str; 5] = ["pull.account", "pull.store", "pull.config", "pull.keys", "pull.effective"];

#[test]
fn what_sshd_is_told() {
    let wanted = desired("/srv/kept", "from = [\"203.0.113.0/24\", \"2001:db8::7\"]");
    let lines: Vec<&str> = wanted.drop_in.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[..2], ["Match User holdfast-pull", "    ChrootDirectory /srv/kept/finished"]);
    assert!(lines[2].starts_with("    ForceCommand internal-sftp -R -p open,close,read,"));
    assert!(lines[1..].iter().all(|line| line.starts_with("    ")), "all of it is in the Match");
    let keys: Vec<&str> = wanted.keys.lines().skip(1).collect();
    assert_eq!(keys, [format!("restrict,from=\"203.0.113.0/24,2001:db8::7/128\" {KEY}")]);
    // No request that writes.
    let requests = lines[2].rsplit(' ').next().unwrap();
    for request in ["write", "remove", "rename", "setstat", "mkdir", "symlink", "link", "copy"] {
        assert!(!requests.contains(request), "{request}");
    }
}

#[test]
fn a_folder_of_any_name_is_one_word_of_sshds() {
    let wanted = desired("/srv/50% kept", "");
    assert!(wanted.drop_in.contains("    ChrootDirectory \"/srv/50%% kept/finished\"\n"));
    assert_eq!(wanted.effective[0].1, "/srv/50%% kept/finished");
    assert_eq!(wanted.root(), "/srv/50% kept/finished");
}

#[test]
fn all_is_well() {
    for judgement in judge(&well()) {
        assert!(matches!(judgement.verdict, Verdict::Holds { .. }), "{judgement:?}");
    }
    assert_eq!(steps(&well(), &ALL), []);
}

#[test]
fn without_a_backup_there_is_nothing_to_serve() {
    let text = format!("[pull]\nkeys = [\"{KEY}\"]\n");
    assert_eq!(Desired::of(&toml::from_str(&text).unwrap()), None);
    let seen = Observed { wanted: None, ..well() };
    assert!(judge(&seen).iter().all(|j| matches!(j.verdict, Verdict::NotApplicable { .. })));
    assert_eq!(steps(&seen, &ALL), []);
}

#[test]
fn an_account_that_could_do_more() {
    type Spoiled = fn(&mut Account);
    let with = |change: Spoiled| {
        let mut seen = well();
        if let Ok(Some(account)) = &mut seen.account {
            change(account);
        }
        seen
    };
    let cases: [(Spoiled, &str); 5] = [
        (|a| a.uid = 0, "its uid is root's"),
        (|a| (a.shell, a.can_log_in) = ("/bin/sh".to_owned(), true), "its shell is /bin/sh"),
        (|a| a.has_password = Ok(true), "a password fits"),
        (|a| a.groups.push("adm".to_owned()), "it is in other groups: adm"),
        (|a| a.same_uid.push("postgres".to_owned()), "its uid 998 is also that of postgres"),
    ];
    for (change, says) in cases {
        let seen = with(change);
        assert_eq!(differs(&seen, "pull.account"), says);
        assert_eq!(steps(&seen, &ALL), [], "nothing is done to an account that is there");
    }
    let unknown = with(|account| account.has_password = Err("not root".to_owned()));
    assert_eq!(verdict(&unknown, "pull.account"), Verdict::Unknown { why: "not root".to_owned() });
}

#[test]
fn a_fresh_host_is_brought_there_in_order() {
    let mut seen = well();
    seen.account = Ok(None);
    for folder in &mut seen.way[2..] {
        (folder.state, folder.access) = (Ok(FileState::Absent), None);
    }
    (seen.drop_in, seen.keys) = (Ok(FileState::Absent), Ok(FileState::Absent));
    seen.answers = vec![("192.0.2.1".to_owned(), Ok(Effective::parse("permittty yes\n")))];
    let wanted = seen.wanted.clone().unwrap();
    let put = |path: &str, to| Change::Put { path: path.to_owned(), to };
    let about = desired::ABOUT.to_owned();
    assert_eq!(
        steps(&seen, &ALL),
        [
            Change::Account {
                name: "holdfast-pull".to_owned(),
                to: AccountState::System { about }
            },
            put("/srv/kept", directory(0o700)),
            put("/srv/kept/finished", directory(0o755)),
            put(desired::KEYS, FileState::config(&*wanted.keys)),
            put(DROP_IN, FileState::config(&*wanted.drop_in)),
            Change::Require { gate: Gate::Sshd },
            Change::Run { unit: "ssh.service".to_owned(), verb: RunVerb::Reload },
        ]
    );
    assert!(
        steps(&seen, &["pull.keys"])
            .iter()
            .all(|change| { matches!(change, Change::Put { path, .. } if path == desired::KEYS) })
    );
}

#[test]
fn folders_that_sshd_would_not_lock_into() {
    let mut seen = well();
    seen.way[1].access = Some((0, 0o777));
    assert_eq!(
        differs(&seen, "pull.store"),
        "others may write to /srv (mode 0777), so sshd refuses the login"
    );
    assert_eq!(steps(&seen, &ALL), [], "another's folder is left alone");
    let mut seen = well();
    (seen.way[2].access, seen.way[2].state) = (Some((0, 0o755)), Ok(directory(0o755)));
    assert_eq!(differs(&seen, "pull.store"), "/srv/kept has mode 0755, expected 0700");
    let to = directory(0o700);
    assert_eq!(steps(&seen, &ALL), [Change::Put { path: "/srv/kept".to_owned(), to }]);
    let mut seen = well();
    seen.strange = Ok(vec!["/srv/kept/finished/x is no regular file".to_owned()]);
    assert_eq!(differs(&seen, "pull.store"), "/srv/kept/finished/x is no regular file");
}

#[test]
fn what_sshd_would_do_instead() {
    let said = |text: String| Observed {
        answers: vec![("192.0.2.1".to_owned(), Ok(Effective::parse(&text)))],
        ..well()
    };
    let good = answer(&desired("/srv/kept", ""));
    let cases = [
        (good.replace("permittty no", "permittty yes"), "permittty is yes, expected no"),
        (good.replace("disableforwarding yes\n", ""), "disableforwarding is nothing, expected yes"),
        (good.replace("allowusers holdfast-pull\n", ""), "allowusers does not name it"),
        (good.clone() + "allowgroups root adm\n", "allowgroups does not name it"),
        (good.clone() + "denyusers hold*@10.0.0.0/8\n", "denyusers hold*@10.0.0.0/8 keeps it out"),
        (good.clone() + "denygroups *\n", "denygroups * keeps it out"),
        (good.clone() + "forcecommand /bin/sh\n", "forcecommand is "),
        (good.replace("usepam yes", "usepam no"), "usepam is no, so sshd lets in no account"),
    ];
    for (text, says) in cases {
        let found = differs(&said(text), "pull.effective");
        assert!(found.starts_with(says), "{found}");
    }
    let none = good.replace("allowusers root\n", "").replace("allowusers holdfast-pull\n", "");
    assert!(matches!(verdict(&said(none), "pull.effective"), Verdict::Holds { .. }));
    let unknown = Observed {
        answers: vec![("192.0.2.1".to_owned(), Err("sshd refuses".to_owned()))],
        ..well()
    };
    assert!(matches!(verdict(&unknown, "pull.effective"), Verdict::Unknown { .. }));
}

#[test]
fn a_drop_in_that_nothing_includes_is_not_written() {
    let seen = Observed { is_included: false, drop_in: Ok(FileState::Absent), ..well() };
    assert!(differs(&seen, "pull.config").contains("does not include it"));
    assert_eq!(steps(&seen, &ALL), []);
}
