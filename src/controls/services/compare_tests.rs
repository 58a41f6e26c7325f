//! Judging and planning without a host.

use std::collections::BTreeSet;

use super::*;
use crate::engine::check::Verdict;

fn unit(name: &str, file: &str, active: &str) -> UnitStatus {
    let load = if file.starts_with("masked") { "masked" } else { "loaded" };
    UnitStatus {
        load: load.into(),
        file: file.into(),
        active: active.into(),
        ..UnitStatus::none(name)
    }
}

fn asked(wish: Wish, unit: UnitStatus) -> Asked {
    Asked {
        wish,
        name: unit.id.clone(),
        status: Ok(unit),
        triggers: Vec::new(),
        together: BTreeSet::new(),
        own_file: None,
        in_container: false,
    }
}

fn plan(asked: Vec<Asked>) -> Vec<String> {
    let compared = Compared { asked };
    let failing = compared.judge().into_iter();
    let failing = failing.filter(|judged| matches!(judged.verdict, Verdict::Differs { .. }));
    let wanted: BTreeSet<String> = failing.map(|judged| judged.id()).collect();
    let steps = compared.plan(&Wanted(&wanted));
    steps.iter().map(|step| crate::engine::session::describe(&step.change)).collect()
}

fn pulled(mut unit: UnitStatus, by: &str) -> UnitStatus {
    unit.wanted_by.push(by.into());
    unit
}

fn triggered(mut unit: UnitStatus, by: &str) -> UnitStatus {
    unit.triggered_by.push(by.into());
    unit
}

/// What was wished for, the state, the fault that is reported (if any) and what is done about it.
type Case = (Wish, UnitStatus, Option<&'static str>, &'static [&'static str]);

#[test]
fn every_state_has_a_verdict_and_a_plan() {
    use Wish::{Disabled, Enabled, Masked};
    let a = |file, active| unit("a.service", file, active);
    let cases: &[Case] = &[
        (Enabled, a("enabled", "active"), None, &[]),
        (Enabled, a("enabled", "reloading"), None, &[]),
        (Enabled, a("enabled", "inactive"), Some("enabled, inactive"), &["start a.service"]),
        (Enabled, a("enabled", "failed"), Some("enabled, failed"), &["start a.service"]),
        (
            Enabled,
            a("disabled", "inactive"),
            Some("disabled, inactive"),
            &["enable a.service", "start a.service"],
        ),
        (Enabled, a("disabled", "active"), Some("disabled, active"), &["enable a.service"]),
        (
            Enabled,
            a("enabled-runtime", "active"),
            Some("enabled-runtime, active (only until the next boot)"),
            &["enable a.service"],
        ),
        (
            Enabled,
            a("masked", "inactive"),
            Some("masked, inactive"),
            &["unmask a.service", "enable a.service", "start a.service"],
        ),
        (
            Enabled,
            a("static", "active"),
            Some("static, active (it cannot be enabled, and no other unit starts it)"),
            &[],
        ),
        (Enabled, pulled(a("static", "active"), "sysinit.target"), None, &[]),
        (
            Enabled,
            pulled(a("generated", "inactive"), "multi-user.target"),
            Some("generated, inactive"),
            &["start a.service"],
        ),
        (Enabled, UnitStatus::none("a.service"), Some("not installed"), &[]),
        (Disabled, a("disabled", "inactive"), None, &[]),
        (Disabled, a("disabled", "failed"), None, &[]),
        (Disabled, a("masked", "inactive"), None, &[]),
        (Disabled, a("static", "inactive"), None, &[]),
        (Disabled, triggered(a("static", "inactive"), "a.timer"), None, &[]),
        (
            Disabled,
            triggered(a("static", "active"), "a.socket"),
            Some("static, active"),
            &["stop a.service"],
        ),
        (
            Disabled,
            a("enabled", "active"),
            Some("enabled, active"),
            &["disable a.service", "stop a.service"],
        ),
        (Disabled, a("enabled", "inactive"), Some("enabled, inactive"), &["disable a.service"]),
        (Disabled, a("disabled", "activating"), Some("disabled, activating"), &["stop a.service"]),
        (
            Disabled,
            pulled(a("static", "active"), "b.service"),
            Some("static, active (started by b.service; mask it)"),
            &[],
        ),
        (Masked, a("masked", "inactive"), None, &[]),
        (Masked, a("masked", "active"), Some("masked, active"), &["stop a.service"]),
        (
            Masked,
            a("masked-runtime", "inactive"),
            Some("masked-runtime, inactive (only until the next boot)"),
            &["mask a.service"],
        ),
        (
            Masked,
            a("enabled", "active"),
            Some("enabled, active"),
            &["mask a.service", "stop a.service"],
        ),
        (Masked, a("static", "inactive"), Some("static, inactive"), &["mask a.service"]),
    ];
    for (wish, unit, fault, done) in cases {
        let verdict = judge(&asked(*wish, unit.clone()));
        match (&verdict, fault) {
            (Verdict::Holds { .. }, None) => {}
            (Verdict::Differs { observed }, Some(fault)) => assert_eq!(observed, fault),
            _ => panic!("{wish:?} {unit:?}: {verdict:?}"),
        }
        assert_eq!(plan(vec![asked(*wish, unit.clone())]), *done, "{wish:?} {unit:?}");
    }
}

#[test]
fn a_unit_that_is_not_installed_cannot_be_disabled_or_masked() {
    for wish in [Wish::Disabled, Wish::Masked] {
        let verdict = judge(&asked(wish, UnitStatus::none("x.service")));
        assert_eq!(verdict, Verdict::NotApplicable { why: "not installed".into() });
    }
}

#[test]
fn sockets_stop_before_their_services_and_masks_come_before_stops() {
    let order = plan(vec![
        asked(Wish::Masked, unit("a.service", "enabled", "active")),
        asked(Wish::Masked, unit("a.socket", "enabled", "active")),
        asked(Wish::Disabled, unit("b.service", "enabled", "active")),
        asked(Wish::Enabled, unit("c.service", "masked", "inactive")),
        asked(Wish::Enabled, unit("c.timer", "disabled", "inactive")),
    ]);
    assert_eq!(
        order,
        [
            "unmask c.service",
            "mask a.service",
            "mask a.socket",
            "disable b.service",
            "enable c.service",
            "enable c.timer",
            "stop a.socket",
            "stop a.service",
            "stop b.service",
            "start c.timer",
            "start c.service",
        ]
    );
}

#[test]
fn a_disabled_service_that_its_socket_can_start_says_so() {
    let mut found = asked(Wish::Disabled, unit("a.service", "disabled", "inactive"));
    found.triggers.push(unit("a.socket", "enabled", "active"));
    let observed = "disabled, inactive (a.socket can still start it)".to_owned();
    assert_eq!(judge(&found), Verdict::Holds { observed });
}

#[test]
fn a_unit_file_in_the_way_of_a_mask_is_reported_and_left() {
    let mut found = asked(Wish::Masked, unit("a.service", "enabled", "active"));
    found.own_file = Some("/etc/systemd/system/a.service".into());
    let Verdict::Differs { observed } = judge(&found) else { panic!() };
    assert_eq!(
        observed,
        "enabled, active (/etc/systemd/system/a.service is in the way of a mask; move it away)"
    );
    assert_eq!(plan(vec![found]), Vec::<String>::new());
}

#[test]
fn another_name_of_a_unit_is_followed_but_not_masked() {
    let alias = |wish| Asked {
        name: "sshd.service".into(),
        ..asked(wish, unit("ssh.service", "disabled", "active"))
    };
    assert_eq!(plan(vec![alias(Wish::Enabled)]), ["enable ssh.service"]);
    let Verdict::Differs { observed } = judge(&alias(Wish::Masked)) else { panic!() };
    assert_eq!(observed, "another name of ssh.service: disabled, active (list that one)");
    assert_eq!(plan(vec![alias(Wish::Masked)]), Vec::<String>::new());
}

#[test]
fn a_condition_that_is_not_met_is_a_fault_but_for_that_of_containers() {
    let skipped = |unmet: &str| {
        let mut found = asked(Wish::Enabled, unit("a.service", "enabled", "inactive"));
        found.in_container = true;
        if let Ok(status) = &mut found.status {
            status.unmet.push(unmet.into());
        }
        judge(&found)
    };
    let virtual_only = skipped("ConditionVirtualization=!container");
    assert!(matches!(virtual_only, Verdict::NotApplicable { .. }), "{virtual_only:?}");
    let observed = "enabled, inactive (not met: ConditionPathExists=/x)".to_owned();
    assert_eq!(skipped("ConditionPathExists=/x"), Verdict::Differs { observed });
}

#[test]
fn without_a_bus_nothing_is_known() {
    let mut found = asked(Wish::Enabled, unit("a.service", "enabled", "active"));
    found.status = Err("cannot reach systemd over D-Bus".into());
    assert!(matches!(judge(&found), Verdict::Unknown { .. }));
    assert_eq!(plan(vec![found]), Vec::<String>::new());
}

#[test]
fn what_also_takes_along_is_put_right_again() {
    let with = |wish, name: &str, file, also: &str| Asked {
        together: [name, also].map(str::to_owned).into(),
        ..asked(wish, unit(name, file, "active"))
    };
    // disabling the service disables its socket, which is to stay
    let steps = plan(vec![
        with(Wish::Disabled, "a.service", "enabled", "a.socket"),
        asked(Wish::Enabled, unit("a.socket", "enabled", "active")),
    ]);
    assert_eq!(steps, ["disable a.service", "enable a.socket", "stop a.service"]);
    // enabling the service enables its socket, which is not to be
    let steps = plan(vec![
        with(Wish::Enabled, "b.service", "disabled", "b.socket"),
        asked(Wish::Disabled, unit("b.socket", "disabled", "inactive")),
    ]);
    assert_eq!(steps, ["enable b.service", "disable b.socket"]);
}
