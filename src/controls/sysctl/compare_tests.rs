//! Judging and planning without a host.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    controls::{dropin::ConfFile, dropin::Foreign, sysctl::desired::settings},
    host::Reader,
    profile::schema,
};

const REDIRECTS: &str = "net.ipv4.conf.all.accept_redirects";

fn profile(values: &[(&str, &str)]) -> Vec<Setting> {
    let values = values.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
    settings(&schema::Sysctl { values: values.collect(), ..schema::Sysctl::default() })
}

fn file(path: &str, text: &str) -> ConfFile {
    ConfFile { path: path.into(), text: Ok(text.into()) }
}

/// A host on which everything is as the profile says.
fn applied(values: &[(&str, &str)]) -> Compared {
    let settings = profile(values);
    let ours = render(&settings).unwrap();
    let live = settings.iter().map(|s| (s.path.clone(), Ok(Some(s.value.clone()))));
    let observed = Observed {
        drop_in: Ok(FileState::config(ours.clone())),
        dir_exists: true,
        files: Ok(vec![file("/etc/sysctl.d/99-sysctl.conf", ""), file(DROP_IN, &ours)]),
        later: Vec::new(),
        masked: None,
        live: live.collect(),
        container: None,
        shared: Vec::new(),
        engine: None,
        interfaces: BTreeMap::new(),
    };
    Compared { settings, observed }
}

fn eth0(own: i64) -> Interface {
    let path = "net/ipv4/conf/eth0/accept_redirects".to_owned();
    Interface { name: "eth0".into(), path, own, forwards: false }
}

fn verdict(compared: &Compared, id: &str) -> Verdict {
    let found = compared.judge().into_iter().find(|judgement| judgement.id() == id);
    found.unwrap_or_else(|| panic!("no {id}")).verdict
}

fn differs(observed: &str) -> Verdict {
    Verdict::Differs { observed: observed.into() }
}

fn failing(compared: &Compared) -> Vec<String> {
    let judged = compared.judge().into_iter();
    judged
        .filter(|judgement| matches!(judgement.verdict, Verdict::Differs { .. }))
        .map(|judgement| judgement.id())
        .collect()
}

fn plan(compared: &Compared) -> Vec<Step> {
    let wanted: BTreeSet<String> = failing(compared).into_iter().collect();
    compared.plan(&Wanted(&wanted))
}

fn done(steps: &[Step]) -> Vec<String> {
    steps.iter().map(|step| crate::engine::session::describe(&step.change)).collect()
}

#[test]
fn an_applied_host_passes_and_has_no_plan() {
    let mut compared = applied(&[("kernel.dmesg_restrict", "1"), (REDIRECTS, "0")]);
    compared.observed.interfaces.insert("net/ipv4/conf/all/accept_redirects".into(), vec![eth0(0)]);
    assert_eq!(failing(&compared), Vec::<String>::new());
    assert!(plan(&compared).is_empty());
    let ids: Vec<String> = compared.judge().iter().map(Judgement::id).collect();
    assert_eq!(
        ids,
        [
            "sysctl.config",
            "sysctl.boot/net.ipv4.conf.all.accept_redirects",
            "sysctl.boot/kernel.dmesg_restrict",
            "sysctl.live/net.ipv4.conf.all.accept_redirects",
            "sysctl.live/kernel.dmesg_restrict",
            "sysctl.interfaces/net.ipv4.conf.all.accept_redirects",
        ]
    );
}

#[test]
fn the_file_has_patterns_first_and_what_cannot_be_taken_back_last() {
    let settings = profile(&[
        ("kernel.unprivileged_bpf_disabled", "1"),
        ("kernel.dmesg_restrict", "1"),
        ("net.ipv4.conf.default.accept_redirects", "0"),
        (REDIRECTS, "0"),
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.eth0/1.accept_redirects", "1"),
    ]);
    let text = render(&settings).unwrap();
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "net.ipv4.conf.*.accept_redirects = 0",
            "net.ipv4.ip_forward = 0",
            "net.ipv4.conf.all.accept_redirects = 0",
            "net.ipv4.conf.default.accept_redirects = 0",
            "net.ipv4.conf.eth0/1.accept_redirects = 1",
            "kernel.dmesg_restrict = 1",
            "kernel.unprivileged_bpf_disabled = 1",
        ]
    );
    let boot = Boot::new([(DROP_IN, text.as_str())]);
    for setting in &settings {
        assert_eq!(boot.decides(&setting.path).unwrap().value.as_ref(), Some(&setting.value));
    }
}

#[test]
fn a_live_value_is_put_back_and_nothing_else() {
    let mut compared = applied(&[("kernel.dmesg_restrict", "1"), ("vm.swappiness", "10")]);
    compared.observed.live.insert("vm/swappiness".into(), Ok(Some("60".into())));
    assert_eq!(failing(&compared), ["sysctl.live/vm.swappiness"]);
    assert_eq!(done(&plan(&compared)), ["set vm.swappiness = 10"]);
}

#[test]
fn values_of_several_fields_are_compared_as_such() {
    for (one, other, same) in [
        ("32768 60999", "32768\t60999", true),
        ("032", "32", true),
        ("1", "1 1", false),
        ("core", "|/bin/x %p", false),
        ("0", "", false),
    ] {
        assert_eq!(is_same(one, other), same, "{one} {other}");
    }
}

#[test]
fn the_line_that_decides_at_boot_is_named() {
    let mut compared = applied(&[("kernel.dmesg_restrict", "1")]);
    let later = file("/run/sysctl.d/zzz.conf", "# x\nkernel/dmesg_restrict=0\n");
    compared.observed.files.as_mut().unwrap().push(later);
    let id = "sysctl.boot/kernel.dmesg_restrict";
    assert_eq!(verdict(&compared, id), differs("0 (/run/sysctl.d/zzz.conf:2)"));
    // not in /etc: left to a person
    assert!(plan(&compared).is_empty());
    compared.observed.masked = Some("/etc/systemd/system/systemd-sysctl.service".into());
    let Verdict::Differs { observed } = verdict(&compared, id) else { panic!() };
    assert!(observed.contains("masked by /etc/systemd/system/systemd-sysctl.service"));
}

#[test]
fn a_later_file_in_etc_is_set_aside_only_when_it_contradicts() {
    for (text, moves) in [
        ("kernel.dmesg_restrict = 0\n", true),
        ("-kernel.dmesg_restrict\n", true),
        ("kernel.dmesg_restrict = 1\n", false),
        ("kernel.* = 0\n", false),
        ("vm.swappiness = 0\n", false),
    ] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("etc/sysctl.d");
        std::fs::create_dir_all(&dir).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a fixture")]
        std::fs::write(dir.join("zzz.conf"), text).unwrap();
        let mut compared = applied(&[("kernel.dmesg_restrict", "1")]);
        compared.observed.later =
            Foreign::after(&Reader::below(root.path()), DIR, "zz-holdfast.conf").unwrap();
        let later = file("/etc/sysctl.d/zzz.conf", text);
        compared.observed.files.as_mut().unwrap().push(later);
        let expected: &[&str] = if moves {
            &["write /etc/sysctl.d/zzz.conf.set-aside-by-holdfast", "remove /etc/sysctl.d/zzz.conf"]
        } else {
            &[]
        };
        assert_eq!(done(&plan(&compared)), expected, "{text}");
    }
}

#[test]
fn what_containers_need_is_neither_checked_nor_written() {
    let values = [("net.ipv4.ip_forward", "0"), ("kernel.dmesg_restrict", "1")];
    let mut compared = applied(&values);
    compared.observed.live.insert("net/ipv4/ip_forward".into(), Ok(Some("1".into())));
    assert_eq!(failing(&compared), ["sysctl.live/net.ipv4.ip_forward"]);
    compared.observed.engine = Some("docker.service".into());
    let why = "containers on this host need forwarding (docker.service)".to_owned();
    for id in ["sysctl.live/net.ipv4.ip_forward", "sysctl.boot/net.ipv4.ip_forward"] {
        assert_eq!(verdict(&compared, id), Verdict::NotApplicable { why: why.clone() });
    }
    // The file of the time before the engine came would stop its containers at the next boot.
    assert_eq!(failing(&compared), ["sysctl.config"]);
    let steps = plan(&compared);
    assert_eq!(done(&steps), ["write /etc/sysctl.d/zz-holdfast.conf"]);
    let Change::Put { to, .. } = &steps[0].change else { panic!() };
    assert!(!to.text().unwrap().contains("ip_forward"));
}

#[test]
fn what_a_container_shares_with_its_machine_is_not_its_to_set() {
    let mut compared = applied(&[("kernel.dmesg_restrict", "1"), ("kernel.kptr_restrict", "1")]);
    compared.observed.container = Some("systemd-nspawn".into());
    compared.observed.shared = vec!["kernel/dmesg_restrict".into(), "kernel/kptr_restrict".into()];
    compared.observed.live.insert("kernel/dmesg_restrict".into(), Ok(Some("0".into())));
    let Verdict::NotApplicable { why } = verdict(&compared, "sysctl.live/kernel.dmesg_restrict")
    else {
        panic!()
    };
    assert!(why.contains("which alone may set /proc/sys/kernel/dmesg_restrict"), "{why}");
    assert_eq!(
        verdict(&compared, "sysctl.live/kernel.kptr_restrict"),
        Verdict::Holds { observed: "1".into() }
    );
    assert!(plan(&compared).is_empty());
}

#[test]
fn a_key_this_kernel_does_not_have_is_not_applicable() {
    let mut compared = applied(&[("kernel.nonsense", "1")]);
    compared.observed.live.insert("kernel/nonsense".into(), Ok(None));
    let why = "this kernel does not have it".to_owned();
    assert_eq!(verdict(&compared, "sysctl.live/kernel.nonsense"), Verdict::NotApplicable { why });
}

#[test]
fn an_interface_that_all_does_not_reach_is_found_and_set() {
    let mut compared = applied(&[(REDIRECTS, "0")]);
    let path = "net/ipv4/conf/all/accept_redirects".to_owned();
    compared.observed.interfaces.insert(path, vec![eth0(1)]);
    let id = format!("sysctl.interfaces/{REDIRECTS}");
    assert_eq!(verdict(&compared, &id), differs("1 on eth0 (all=0, eth0=1)"));
    assert_eq!(done(&plan(&compared)), ["set net.ipv4.conf.eth0.accept_redirects = 0"]);
    // One that the profile sets by name is its own check's business.
    compared.settings.extend(profile(&[("net.ipv4.conf.eth0.accept_redirects", "1")]));
    assert!(!failing(&compared).contains(&id));
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_planned_for() {
    let mut compared = applied(&[("kernel.dmesg_restrict", "1")]);
    compared.observed.drop_in = Err("cannot open it".into());
    compared.observed.files.as_mut().unwrap()[0].text = Err("cannot open it".into());
    compared.observed.live.insert("kernel/dmesg_restrict".into(), Err("cannot open it".into()));
    let unknown = compared.judge();
    assert!(unknown.iter().all(|j| matches!(j.verdict, Verdict::Unknown { .. })), "{unknown:?}");
    assert!(plan(&compared).is_empty());
}
