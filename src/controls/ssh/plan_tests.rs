//! Plans for hosts in memory.

use std::collections::BTreeSet;

use super::*;
use crate::{
    controls::ssh::{effective::Effective, judge::judge, testing::*},
    engine::check::{Judgement, Verdict},
};

const NO_PASSWORDS: &str = "password_authentication = false\nx11_forwarding = false\n";

const CLEAN: &str = "port 22\npasswordauthentication no\nx11forwarding no\n";

const OPEN: &str = "port 22\npasswordauthentication yes\nx11forwarding no\n";

/// The plan for everything that differs, one line a step, and each step's reasons.
fn planned(seen: &Observed) -> (Vec<String>, Vec<Vec<String>>) {
    let differs = |verdict: &Verdict| matches!(verdict, Verdict::Differs { .. });
    let judgements = judge(seen);
    let ids = judgements.iter().filter(|j| differs(&j.verdict)).map(Judgement::id);
    planned_for(seen, &ids.collect())
}

fn planned_for(seen: &Observed, ids: &BTreeSet<String>) -> (Vec<String>, Vec<Vec<String>>) {
    let steps = plan(seen, Wanted(ids));
    for id in steps.iter().flat_map(|step| &step.because) {
        assert!(ids.contains(id), "{id} was not asked for");
    }
    let word = |step: &Step| match &step.change {
        Change::Put { path, to: FileState::Absent } => format!("remove {path}"),
        Change::Put { path, .. } => format!("put {path}"),
        Change::Require { .. } => "sshd -t".to_owned(),
        Change::Run { unit, verb } => format!("{verb:?} {unit}"),
        other => panic!("{other:?}"),
    };
    (steps.iter().map(word).collect(), steps.into_iter().map(|step| step.because).collect())
}

const WRITE: [&str; 3] =
    ["put /etc/ssh/sshd_config.d/00-holdfast.conf", "sshd -t", "Reload ssh.service"];

#[test]
fn a_fresh_host() {
    let fresh = Fake::new([("/etc/ssh/sshd_config", DEBIAN)]);
    let mut seen = host(NO_PASSWORDS, &fresh, OPEN);
    let (steps, because) = planned(&seen);
    assert_eq!(steps, WRITE);
    assert_eq!(because[0], ["ssh.config", "ssh.effective/passwordauthentication"]);

    seen.folder = Ok(FileState::Absent);
    assert_eq!(planned(&seen).0[0], "put /etc/ssh/sshd_config.d");
    seen.folder = Ok(FileState::directory());
    seen.daemon.as_mut().unwrap().service.active = "inactive".to_owned();
    seen.answers = Answers::NoRuntimeDir;
    let steps = planned(&seen).0;
    assert_eq!(steps, ["put /etc/ssh/sshd_config.d/00-holdfast.conf", "put /run/sshd", "sshd -t"]);
}

#[test]
fn an_applied_host() {
    let fresh = Fake::new([("/etc/ssh/sshd_config", DEBIAN)]);
    let seen = applied(NO_PASSWORDS, fresh, CLEAN);
    assert!(planned(&seen).0.is_empty());
    let all: BTreeSet<String> = judge(&seen).iter().map(Judgement::id).collect();
    let (steps, _) = planned_for(&seen, &all);
    assert_eq!(steps, ["sshd -t", "Reload ssh.service"], "only what was asked for by name");
}

#[test]
fn what_overrides_is_set_aside_and_nothing_is_lost() {
    let name = "/etc/ssh/sshd_config.d/00-aaa.conf";
    let files = with_drop_in("00-aaa.conf", "PasswordAuthentication yes\n");
    let mut seen = applied(NO_PASSWORDS, files, OPEN);
    let expected = [
        &format!("put {name}.set-aside-by-holdfast"),
        &format!("remove {name}"),
        "sshd -t",
        "Reload ssh.service",
    ];
    assert_eq!(planned(&seen).0, expected);
    let ids = BTreeSet::from(["ssh.effective/passwordauthentication".to_owned()]);
    let steps = plan(&seen, Wanted(&ids));
    let Change::Put { to, .. } = &steps[0].change else { panic!() };
    assert_eq!(to, &seen.foreign[name], "with all it is");

    seen.names.push("00-aaa.conf.set-aside-by-holdfast".to_owned());
    assert_eq!(planned(&seen).0[0], format!("put {name}.set-aside-by-holdfast.2"));
}

#[test]
fn what_does_not_override_stays() {
    let late = with_drop_in("50-cloud-init.conf", "PasswordAuthentication yes\n");
    assert_eq!(planned(&host(NO_PASSWORDS, &late, OPEN)).0, WRITE);
    let agrees =
        with_drop_in("00-aaa.conf", "PasswordAuthentication no\nMatch User x\nX11Forwarding no\n");
    assert_eq!(planned(&host(NO_PASSWORDS, &agrees, OPEN)).0, WRITE);
    let other = with_drop_in("00-aaa.conf", "Match User x\nChrootDirectory /srv\n");
    assert_eq!(planned(&host(NO_PASSWORDS, &other, OPEN)).0, WRITE);
}

#[test]
fn a_match_and_a_further_port_are_set_aside() {
    let files = with_drop_in("90.conf", "Match User bob\nPasswordAuthentication yes\n");
    let mut seen = applied(NO_PASSWORDS, files, CLEAN);
    seen.answers = Answers::Given(vec![(Some(login("bob")), Ok(Effective::parse(OPEN)))]);
    let name = "/etc/ssh/sshd_config.d/90.conf";
    assert_eq!(
        planned(&seen).0[..2],
        [format!("put {name}.set-aside-by-holdfast"), format!("remove {name}")]
    );

    let files = with_drop_in("90.conf", "Port 2200\n");
    let seen = applied("ports = [22]", files, "port 22\nport 2200\n");
    assert_eq!(planned(&seen).0[1], format!("remove {name}"));
}

#[test]
fn what_is_out_of_reach_is_left_to_a_person() {
    let main = format!("PasswordAuthentication yes\n{DEBIAN}");
    let seen = applied(NO_PASSWORDS, Fake::new([("/etc/ssh/sshd_config", &main)]), OPEN);
    assert!(planned(&seen).0.is_empty(), "sshd_config is not edited");

    let wide = DEBIAN.replace("*.conf", "*");
    let files = Fake::new([
        ("/etc/ssh/sshd_config", wide.as_str()),
        ("/etc/ssh/sshd_config.d/00-aaa.conf", "PasswordAuthentication yes\n"),
    ]);
    let seen = applied(NO_PASSWORDS, files, OPEN);
    assert!(planned(&seen).0.is_empty(), "under any name it would still be read");

    let files = Fake::new([("/etc/ssh/sshd_config", "UsePAM yes\n")]);
    let seen = host(NO_PASSWORDS, &files, OPEN);
    assert!(planned(&seen).0.is_empty(), "nothing would read it");
}

#[test]
fn a_stale_sshd_is_reloaded_but_never_into_a_refused_configuration() {
    let fresh = Fake::new([("/etc/ssh/sshd_config", DEBIAN)]);
    let mut seen = applied(NO_PASSWORDS, fresh, CLEAN);
    seen.newest = Some(("/etc/ssh/sshd_config".to_owned(), at(NOW)));
    assert_eq!(
        planned(&seen),
        (
            vec!["sshd -t".to_owned(), "Reload ssh.service".to_owned()],
            vec![vec!["ssh.running".to_owned()]; 2],
        )
    );
    seen.daemon.as_mut().unwrap().title = Some("sshd -D -o Port=1".to_owned());
    assert!(planned(&seen).0.is_empty(), "a reload keeps the options");
    seen.daemon = Ok(daemon());
    seen.answers = Answers::Refused("bad".to_owned());
    assert!(planned(&seen).0.is_empty());

    seen.drop_in = Ok(FileState::config("Bogus\n"));
    assert_eq!(planned(&seen).0, WRITE, "our own fault is put right, and then tested");
}
