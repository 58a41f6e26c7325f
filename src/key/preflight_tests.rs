use std::path::Path;

use super::*;
use crate::key::plan::{self, tests::plan as text};

fn plan(more: &str) -> Plan {
    plan::read(Path::new("plan.toml"), format!("{}{more}", text()).as_bytes()).unwrap().value
}

fn good() -> Room {
    Room {
        apart: Some(vec![]),
        links_up: Some(vec![]),
        ssh_sessions: Some(vec![]),
        swaps: Some(vec![]),
        core_pattern: Some("core".into()),
        tracer: Some(0),
        has_entropy: Some(true),
        now: Some("2026-11-21T10:00:00Z".parse().unwrap()),
        program_written: Some("2026-11-01T10:00:00Z".parse().unwrap()),
        program: Some("ab".repeat(32)),
        machine: Some("m".into()),
    }
}

fn bad(plan: &Plan, room: &Room) -> Vec<String> {
    let readings = judge(plan, room);
    open(plan, &readings).map(|each| format!("{}: {}", each.check.id(), each.seen)).collect()
}

#[test]
fn a_quiet_room_is_good() {
    assert_eq!(bad(&plan(""), &good()), [""; 0]);
}

#[test]
fn whatever_is_not_as_it_should_be_is_named() {
    let cases: Vec<(Room, &str)> = vec![
        (
            Room { links_up: Some(vec!["eth0".into(), "wg0".into()]), ..good() },
            "network: up: eth0, wg0",
        ),
        (Room { ssh_sessions: Some(vec![812]), ..good() }, "ssh-session: served by processes: 812"),
        (Room { swaps: Some(vec!["/dev/sda2".into()]), ..good() }, "swap: on: /dev/sda2"),
        (
            Room { core_pattern: Some("|/usr/lib/systemd/systemd-coredump".into()), ..good() },
            "core-dumps: handed to a program: |/usr/lib/systemd/systemd-coredump",
        ),
        (
            Room { apart: Some(vec!["net".into()]), ..good() },
            "network: looked for in a namespace (net) that is not the machine's",
        ),
        (
            Room { apart: Some(vec!["pid".into()]), ..good() },
            "ssh-session: looked for in a namespace (pid) that is not the machine's",
        ),
        (Room { tracer: Some(7), ..good() }, "traced: by process 7"),
        (Room { has_entropy: Some(false), ..good() }, "entropy: not ready"),
        (
            Room { now: Some("2026-11-19T23:59:59Z".parse().unwrap()), ..good() },
            "clock: 2026-11-19T23:59:59Z, before the plan was written",
        ),
        (
            Room { program_written: Some("2026-11-22T00:00:00Z".parse().unwrap()), ..good() },
            "clock: 2026-11-21T10:00:00Z, before this program was put onto the disk (2026-11-22T00:00:00Z)",
        ),
    ];
    for (room, expected) in cases {
        assert_eq!(bad(&plan(""), &room), [expected]);
    }
}

#[test]
fn what_cannot_be_told_is_never_good() {
    let readings = judge(&plan(""), &Room::default());
    let bad: Vec<_> = readings.iter().filter(|each| !each.good).map(|each| each.check).collect();
    let all: Vec<_> = readings.iter().map(|each| each.check).collect();
    assert_eq!(bad, all);
}

#[test]
fn an_exception_of_the_plan_is_for_its_check_only() {
    let plan = plan("[[exception]]\ncheck = \"network\"\nreason = \"a rented machine\"\n");
    let room = Room {
        links_up: Some(vec!["eth0".into()]),
        swaps: Some(vec!["/dev/sda2".into()]),
        ..good()
    };
    assert_eq!(bad(&plan, &room), ["swap: on: /dev/sda2"]);
    assert_eq!(excepted(&plan, Check::Network), Some("a rented machine"));
}

#[test]
fn another_program_than_the_plans_is_named() {
    let text = text().replacen("name =", &format!("program = \"{}\"\nname =", "AB".repeat(32)), 1);
    let plan = plan::read(Path::new("plan.toml"), text.as_bytes()).unwrap().value;
    assert_eq!(bad(&plan, &good()), [""; 0]);
    let room = Room { program: Some("cd".repeat(32)), ..good() };
    assert_eq!(bad(&plan, &room), [format!("program: {}", "cd".repeat(32))]);
}

#[test]
fn ids_are_as_serde_writes_them() {
    for check in
        [Check::Network, Check::SshSession, Check::CoreDumps, Check::MemoryLocked, Check::Rehearsal]
    {
        assert_eq!(serde_json::to_value(check).unwrap(), check.id());
    }
}

fn person(name: &str, key: Option<&SshKey>) -> Person {
    Person {
        name: name.parse().unwrap(),
        ssh_keys: key.map(|key| vec![key.clone()]),
        age_recipient: None,
        time_zone: None,
        until: None,
    }
}

fn known(people: &[Person]) -> Known {
    Known { people: people.to_vec(), digest: "ab12".into(), at: good().now.unwrap() }
}

#[test]
fn those_who_act_are_known_to_the_profile() {
    let plan = plan("");
    let (carol, dave) = (&plan.operator.ssh_key, &plan.witness.ssh_key);
    let both = [person("carol", Some(carol)), person("dave", Some(dave))];
    let good = people(&plan, Some(&known(&both)));
    assert!(good.good && good.seen.contains("ab12"), "{}", good.seen);
    let seen = |people: Option<&[Person]>| {
        let reading = super::people(&plan, people.map(known).as_ref());
        assert!(!reading.good);
        reading.seen
    };
    assert_eq!(seen(None), "this host has no profile that names people");
    assert_eq!(seen(Some(&both[..1])), "dave is not in the profile");
    let swapped = [person("carol", Some(dave)), person("dave", Some(dave))];
    assert_eq!(seen(Some(&swapped)), "the profile has another key of carol");
    let none = [person("carol", None), person("dave", Some(dave))];
    assert_eq!(seen(Some(&none)), "the profile has another key of carol");
    // Whoever has left signs nothing more.
    let until = |day: &str| {
        let left = Person { until: Some(day.parse().unwrap()), ..person("dave", Some(dave)) };
        [person("carol", Some(carol)), left]
    };
    assert!(people(&plan, Some(&known(&until("2026-11-21")))).good, "their last day");
    assert_eq!(seen(Some(&until("2026-11-20"))), "dave is in the profile until 2026-11-20 only");
}

#[test]
fn those_for_whom_keys_are_sealed_are_known_to_the_profile() {
    let plan = plan("");
    let of = |name: &str, recipient: Option<usize>| Person {
        age_recipient: recipient.map(|at| plan.custodians[at].recipient.clone()),
        ..person(name, None)
    };
    let seen = |people: &[Person]| {
        let reading = recipients(&plan, Some(&known(people)));
        (reading.good, reading.seen)
    };
    assert!(seen(&[of("alice", Some(0)), of("bob", Some(1))]).0);
    let (good, told) = seen(&[of("alice", Some(1)), of("bob", None)]);
    assert!(!good);
    assert_eq!(
        told,
        "the profile has another age_recipient of alice, the profile has no age_recipient of bob"
    );
    assert!(!seen(&[]).0);
    let left = Person { until: Some("2026-11-20".parse().unwrap()), ..of("bob", Some(1)) };
    let told = "bob is in the profile until 2026-11-20 only";
    assert_eq!(seen(&[of("alice", Some(0)), left]), (false, told.to_owned()));
    assert_eq!(recipients(&plan, None).seen, "this host has no profile that names people");
}

#[test]
fn those_who_have_left_sign_and_show_nothing_more() {
    let kept = plan(
        "[[exception]]\ncheck = \"people\"\nreason = \"a test\"\n[[exception]]\ncheck = \"recipients\"\nreason = \"a test\"",
    );
    let plan = plan("");
    let at = good().now.unwrap();
    let of = |name: &str, key: Option<&SshKey>, until: &str| Person {
        until: Some(until.parse().unwrap()),
        ..person(name, key)
    };
    let (today, gone) = ("2026-11-21", "2026-11-20");
    let dave = Some(&plan.witness.ssh_key);
    let signs = |plan: &Plan, people: &[Person]| {
        signs_no_more(plan, people, RoleName::Witness, at).unwrap_or_default()
    };
    let left = "dave is in the profile until 2026-11-20 only";
    assert_eq!(signs(&plan, &[of("dave", dave, today)]), "");
    assert_eq!(signs(&plan, &[]), "", "the profile names nobody");
    assert_eq!(signs(&plan, &[of("dave", dave, gone)]), left);
    assert_eq!(signs(&plan, &[of("erin", dave, today)]), "dave is not in the profile");
    assert_eq!(signs(&kept, &[of("erin", dave, today)]), "", "the plan lets it be");
    assert_eq!(signs(&kept, &[of("dave", None, gone)]), left);

    let shows = |plan: &Plan, people: &[Person]| {
        shows_no_more(plan, people, &plan.custodians[0], at).unwrap_or_default()
    };
    let left = "alice is in the profile until 2026-11-20 only";
    assert_eq!(shows(&plan, &[of("alice", None, today)]), "");
    assert_eq!(shows(&plan, &[]), "");
    assert_eq!(shows(&plan, &[of("alice", None, gone)]), left);
    assert_eq!(shows(&plan, &[of("bob", None, today)]), "alice is not in the profile");
    assert_eq!(shows(&kept, &[of("bob", None, today)]), "");
    assert_eq!(shows(&kept, &[of("alice", None, gone)]), left);
}
