//! What must hold of the room before a key is touched: measured, and judged here. What is otherwise than it should be ends
//! the ceremony, unless the plan or the people make an exception of it, which is recorded.

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    plan::{Custodian, Plan, Role, RoleName},
    signature::fingerprint,
};
use crate::{
    host::room::Room,
    profile::{
        schema::Person,
        types::{SshKey, Until, UserName},
    },
};

/// Something that is looked at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Every network link but loopback is down
    Network,
    /// Nobody is logged in over SSH
    SshSession,
    /// The kernel swaps onto nothing
    Swap,
    /// Dumps of processes are not handed to a program or kept
    CoreDumps,
    /// Nobody traces this process
    Traced,
    /// The memory of the process that holds the key is locked
    MemoryLocked,
    /// The kernel's random numbers are ready
    Entropy,
    /// The clock is not before what is known to have been
    Clock,
    /// The program is the one that the plan names
    Program,
    /// The operator and the witness are people of this host's profile, with these keys
    People,
    /// The custodians are people of this host's profile, with these recipients
    Recipients,
    /// Each custodian has opened a challenge of this plan, and signed that they did
    Proofs,
    /// People answer the questions, and no file does
    Answers,
    /// A rehearsal of this plan has passed on this machine, with this program
    Rehearsal,
    /// The medium keeps what is on it
    Lasting,
    /// The medium can be taken out
    Removable,
    /// The medium's file system is encrypted, where the plan asks for it
    Encrypted,
    /// The medium is the one that the plan names
    Serial,
}

impl Check {
    /// As it is written.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::SshSession => "ssh-session",
            Self::Swap => "swap",
            Self::CoreDumps => "core-dumps",
            Self::Traced => "traced",
            Self::MemoryLocked => "memory-locked",
            Self::Entropy => "entropy",
            Self::Clock => "clock",
            Self::Program => "program",
            Self::People => "people",
            Self::Recipients => "recipients",
            Self::Proofs => "proofs",
            Self::Answers => "answers",
            Self::Rehearsal => "rehearsal",
            Self::Lasting => "lasting",
            Self::Removable => "removable",
            Self::Encrypted => "encrypted",
            Self::Serial => "serial",
        }
    }

    /// Whether it is looked at of each medium, where another can be put in.
    pub const fn is_of_a_medium(self) -> bool {
        matches!(self, Self::Lasting | Self::Removable | Self::Encrypted | Self::Serial)
    }
}

/// What came of looking at something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// At what.
    pub check: Check,
    /// Whether it is as it should be. What cannot be known is not.
    pub good: bool,
    /// What was seen.
    pub seen: String,
}

impl Reading {
    /// A reading.
    pub fn new(check: Check, good: bool, seen: impl Into<String>) -> Self {
        Self { check, good, seen: seen.into() }
    }

    /// One that says whether a list that should be empty is.
    fn none(check: Check, list: Option<Vec<String>>, none: &str, some: &str) -> Self {
        match list {
            None => Self::new(check, false, "cannot be told"),
            Some(list) if list.is_empty() => Self::new(check, true, none),
            Some(list) => Self::new(check, false, format!("{some}: {}", list.join(", "))),
        }
    }
}

/// Judges the room by the plan.
pub fn judge(plan: &Plan, room: &Room) -> Vec<Reading> {
    let sessions = room.ssh_sessions.clone();
    let sessions = sessions.map(|pids| pids.iter().map(ToString::to_string).collect());
    vec![
        whole(room, "net").unwrap_or_else(|| {
            Reading::none(Check::Network, room.links_up.clone(), "every link is down", "up")
        }),
        whole(room, "pid").unwrap_or_else(|| {
            Reading::none(Check::SshSession, sessions, "nobody", "served by processes")
        }),
        Reading::none(Check::Swap, room.swaps.clone(), "none", "on"),
        core_dumps(room.core_pattern.as_deref()),
        match room.tracer {
            Some(0) => Reading::new(Check::Traced, true, "by nobody"),
            Some(pid) => Reading::new(Check::Traced, false, format!("by process {pid}")),
            None => Reading::new(Check::Traced, false, "cannot be told"),
        },
        match room.has_entropy {
            Some(true) => Reading::new(Check::Entropy, true, "ready"),
            Some(false) => Reading::new(Check::Entropy, false, "not ready"),
            None => Reading::new(Check::Entropy, false, "cannot be told"),
        },
        clock(plan, room),
        program(plan, room.program.as_deref()),
    ]
}

/// Why a look at the room sees less than the machine: then what it did not see is not known to be away.
fn whole(room: &Room, namespace: &str) -> Option<Reading> {
    let check = if namespace == "net" { Check::Network } else { Check::SshSession };
    match &room.apart {
        None => Some(Reading::new(check, false, "cannot be told")),
        Some(apart) if apart.iter().any(|kind| kind == namespace) => {
            let seen = format!("looked for in a namespace ({namespace}) that is not the machine's");
            Some(Reading::new(check, false, seen))
        }
        Some(_) => None,
    }
}

/// The process that holds the key writes none in any case: this is about what else on the machine could.
fn core_dumps(pattern: Option<&str>) -> Reading {
    match pattern {
        None => Reading::new(Check::CoreDumps, false, "cannot be told"),
        Some(pattern) if pattern.starts_with('|') => {
            Reading::new(Check::CoreDumps, false, format!("handed to a program: {pattern}"))
        }
        Some(pattern) => Reading::new(
            Check::CoreDumps,
            true,
            format!("to files called {pattern}, none of the process that holds the key"),
        ),
    }
}

/// A clock cannot be known to be right where there is no network; that it is wrong can.
fn clock(plan: &Plan, room: &Room) -> Reading {
    let Some(now) = room.now else {
        return Reading::new(Check::Clock, false, "cannot be told");
    };
    let day = |date: jiff::civil::Date| {
        date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |day| day.timestamp())
    };
    if now < day(plan.written.date()) {
        let seen = format!("{now}, before the plan was written");
        return Reading::new(Check::Clock, false, seen);
    }
    match room.program_written {
        Some(written) if now < written => {
            let seen = format!("{now}, before this program was put onto the disk ({written})");
            Reading::new(Check::Clock, false, seen)
        }
        _ => Reading::new(Check::Clock, true, format!("{now}, not before anything that is known")),
    }
}

fn program(plan: &Plan, found: Option<&str>) -> Reading {
    let expected = plan.program.as_ref().map(|text| text.as_str().to_ascii_lowercase());
    match (expected, found) {
        (_, None) => Reading::new(Check::Program, false, "cannot be told"),
        (None, Some(found)) => Reading::new(Check::Program, true, found),
        (Some(expected), Some(found)) => Reading::new(Check::Program, expected == found, found),
    }
}

/// The people whom this host's profile knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// They.
    pub people: Vec<Person>,
    /// SHA-256 of the resolved profile, in hexadecimal.
    pub digest: String,
    /// When they act: whoever has left by then does not.
    pub at: Timestamp,
}

const NOBODY: &str = "this host has no profile that names people";

/// Whether those who act are people whom this host's profile knows, with the keys that it knows: by the plan alone, whoever
/// wrote it could have named themselves.
pub fn people(plan: &Plan, known: Option<&Known>) -> Reading {
    let Some(known) = known else {
        return Reading::new(Check::People, false, NOBODY);
    };
    let unknown =
        RoleName::ALL.iter().find_map(|role| stranger(&known.people, plan.role(*role), known.at));
    if let Some(seen) = unknown {
        return Reading::new(Check::People, false, seen);
    }
    let seen = format!("both are in the host's profile ({}), with these keys", known.digest);
    Reading::new(Check::People, true, seen)
}

/// Why somebody was not one of the profile's people at a moment, with the key that they sign with; `None`: they were.
pub fn stranger(people: &[Person], role: &Role, at: Timestamp) -> Option<String> {
    let Role { name, ssh_key } = role;
    let Some(person) = people.iter().find(|person| person.name == *name) else {
        return Some(format!("{name} is not in the profile"));
    };
    if !has(person, ssh_key) {
        return Some(format!("the profile has another key of {name}"));
    }
    person.is_here(at).err().map(|until| left(person, until))
}

/// Why an operator or a witness signs nothing more at a moment; `None`: they do. Where the profile names nobody it says nothing,
/// and where the plan makes an exception of them only that they have left.
pub fn signs_no_more(
    plan: &Plan,
    people: &[Person],
    role: RoleName,
    at: Timestamp,
) -> Option<String> {
    let role = plan.role(role);
    if people.is_empty() || excepted(plan, Check::People).is_some() {
        return gone(people, &role.name, at);
    }
    stranger(people, role, at)
}

/// The same of what a custodian shows that they can open.
pub fn shows_no_more(
    plan: &Plan,
    people: &[Person],
    custodian: &Custodian,
    at: Timestamp,
) -> Option<String> {
    let name = &custodian.name;
    let is_asked = !people.is_empty() && excepted(plan, Check::Recipients).is_none();
    if is_asked && !people.iter().any(|person| person.name == *name) {
        return Some(format!("{name} is not in the profile"));
    }
    gone(people, name, at)
}

/// Why somebody of that name has left.
fn gone(people: &[Person], name: &UserName, at: Timestamp) -> Option<String> {
    let person = people.iter().find(|person| person.name == *name)?;
    person.is_here(at).err().map(|until| left(person, until))
}

/// Whose a key was at a moment, of the profile's people.
///
/// # Errors
/// Why it was nobody's.
pub fn whose<'a>(people: &'a [Person], key: &SshKey, at: Timestamp) -> Result<&'a Person, String> {
    let Some(person) = people.iter().find(|person| has(person, key)) else {
        return Err(format!("{} is nobody's key in the profile", fingerprint(key)));
    };
    person.is_here(at).map_err(|until| left(person, until))?;
    Ok(person)
}

fn has(person: &Person, key: &SshKey) -> bool {
    person.ssh_keys.iter().flatten().any(|known| known.is_same(key))
}

fn left(person: &Person, until: Until) -> String {
    format!("{} is in the profile until {until} only", person.name)
}

/// Whether those for whom keys are sealed are people whom this host's profile knows, with the recipients that it knows:
/// whoever wrote the plan could have put in a recipient of their own.
pub fn recipients(plan: &Plan, known: Option<&Known>) -> Reading {
    let Some(known) = known else {
        return Reading::new(Check::Recipients, false, NOBODY);
    };
    let mut wrong = Vec::new();
    for custodian in &plan.custodians {
        let name = &custodian.name;
        let person = known.people.iter().find(|person| person.name == *name);
        if let Some((person, Err(until))) = person.map(|it| (it, it.is_here(known.at))) {
            wrong.push(left(person, until));
            continue;
        }
        match person.and_then(|person| person.age_recipient.as_ref()) {
            None => wrong.push(format!("the profile has no age_recipient of {name}")),
            Some(found) if *found != custodian.recipient => {
                wrong.push(format!("the profile has another age_recipient of {name}"));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() {
        return Reading::new(Check::Recipients, true, "each custodian's is the profile's");
    }
    Reading::new(Check::Recipients, false, wrong.join(", "))
}

/// The readings that are not as they should be, and for which the plan makes no exception.
pub fn open<'a>(plan: &'a Plan, readings: &'a [Reading]) -> impl Iterator<Item = &'a Reading> {
    readings.iter().filter(|reading| !reading.good && excepted(plan, reading.check).is_none())
}

/// Why the plan lets a check be otherwise than it should be.
pub fn excepted(plan: &Plan, check: Check) -> Option<&str> {
    let found = plan.exceptions.iter().find(|exception| exception.check == check)?;
    Some(found.reason.as_str())
}

#[cfg(test)]
#[path = "preflight_tests.rs"]
mod tests;
