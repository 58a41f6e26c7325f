//! What is known of the ways in, as plain data, and what follows from it for one source. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    admit::{self, Candidate, Outcome, Policy, Refusal},
    listen::{Listening, Place},
};
use crate::controls::{
    firewall::{
        model::{Denial, Door, Fate, Model},
        parts::without,
    },
    ssh::{Effective, Login, Setting},
};

/// Parts of one source that are judged one by one; what is cut finer is judged by the first of them.
const MOST_PARTS: usize = 64;

/// Accounts that one refusal names; the rest are counted.
const MOST_NAMED: usize = 3;

/// Everything judged from.
#[derive(Debug)]
pub(super) struct Observed {
    /// Where administrators come from; `None`: not said.
    pub(super) declared: Option<Vec<IpNet>>,
    /// Who is typing.
    pub(super) session: Session,
    /// What the firewall will let in.
    pub(super) firewall: Result<Model, String>,
    /// The same a while on, when entries may have ended.
    pub(super) later: Result<Model, String>,
    /// Where sshd will listen.
    pub(super) listening: Listening,
    /// What the profile sets in sshd; nothing where it does not put sshd right.
    pub(super) wanted: Vec<Setting>,
    /// What sshd says it would do (`None`: for every login).
    pub(super) answers: Vec<(Option<Login>, Result<Effective, String>)>,
    /// The accounts with a shell.
    pub(super) accounts: Result<Vec<Candidate>, String>,
    /// Where what sshd does may change from one address to the next.
    pub(super) cuts: Vec<IpNet>,
    /// When this was seen.
    pub(super) now: Timestamp,
}

/// Who is typing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Session {
    /// Somebody who came over SSH from here.
    Ssh(IpAddr),
    /// Somebody at this terminal of the machine.
    Console(String),
    /// Nobody who could be shut out: a timer, or a shell that does not come from a login.
    Nobody,
}

/// What a part of a source meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Met {
    /// A session, by this.
    In(String),
    /// A refusal.
    Out(String),
    /// That cannot be told.
    Unknown(String),
}

/// A part of a source, and what it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The part.
    pub(super) from: IpNet,
    /// What it meets.
    pub(super) met: Met,
}

/// Cuts a network along others, so that each part lies in each of them whole or not at all.
pub(super) fn cut(whole: IpNet, along: &[IpNet]) -> Vec<IpNet> {
    let mut parts = vec![whole];
    for net in along {
        let Some(at) = parts.iter().position(|part| part != net && part.contains(net)) else {
            continue;
        };
        let part = parts.swap_remove(at);
        parts.push(*net);
        parts.extend(without(part, *net));
        if parts.len() > MOST_PARTS {
            break;
        }
    }
    parts
}

/// An address of a network that a client could have.
pub(super) fn sample(net: IpNet) -> IpAddr {
    net.hosts().next().unwrap_or_else(|| net.addr())
}

/// The parts of a source that the firewall lets come to sshd, with the ports at which it does: what sshd is asked about.
pub(super) fn let_through(
    source: IpNet,
    firewall: &Model,
    places: &[Place],
    cuts: &[IpNet],
) -> Vec<(IpNet, Vec<Place>)> {
    let here: Vec<Place> =
        places.iter().copied().filter(|place| place.is_for(source.addr())).collect();
    let mut along: Vec<IpNet> = cuts.to_vec();
    for place in &here {
        along.extend(firewall.pieces(source, Door::tcp(place.port)).iter().map(|piece| piece.from));
    }
    let parts = cut(source, &along).into_iter().map(|part| {
        let open = |place: &Place| firewall.meets(sample(part), Door::tcp(place.port)).gets_in();
        (part, here.iter().copied().filter(open).collect())
    });
    parts.collect()
}

/// Addresses nobody has (RFC 5737, RFC 3849): they stand for "anywhere".
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

impl Observed {
    /// Every source there is something to say about.
    pub(super) fn sources(&self) -> Vec<IpNet> {
        let mut all = self.declared.clone().unwrap_or_else(|| self.let_in());
        if let Session::Ssh(from) = self.session {
            all.push(from.into());
        }
        all
    }

    /// Where no source is declared: whoever the firewall lets come to sshd, and so many of those who might knock.
    pub(super) fn let_in(&self) -> Vec<IpNet> {
        let mut all: Vec<IpNet> = Vec::new();
        if let (Ok(firewall), Listening::At(places)) = (&self.firewall, &self.listening) {
            for place in places {
                let admitting = firewall.admitting(Door::tcp(place.port)).unwrap_or_default();
                all.extend(admitting.into_iter().filter_map(|allow| allow.from.clone()).flatten());
            }
        }
        all.truncate(MOST_PARTS);
        all.extend(ANYWHERE.map(IpNet::from));
        all
    }

    /// The entries by which alone this part is let in and that `later` does not have any more, in words.
    pub(super) fn ending(&self, part: IpNet, places: &[Place], later: &Model) -> Vec<String> {
        let (Ok(now), from) = (&self.firewall, sample(part)) else { return Vec::new() };
        let doors =
            places.iter().filter(|place| place.is_for(from)).map(|place| Door::tcp(place.port));
        let doors: Vec<Door> = doors.collect();
        if doors.iter().any(|door| later.meets(from, *door).gets_in()) {
            return Vec::new();
        }
        let words = doors.iter().filter_map(|door| match now.meets(from, *door) {
            Fate::Admitted(by) => {
                let until = by.until.map_or_else(String::new, |until| format!(" on {until}"));
                Some(format!("{}, which alone lets it in, ends{until}", by.name))
            }
            _ => None,
        });
        words.collect()
    }

    /// What each part of a source meets.
    pub(super) fn way_in(&self, source: IpNet) -> Vec<Part> {
        let all = |met: Met| vec![Part { from: source, met }];
        let firewall = match &self.firewall {
            Ok(firewall) => firewall,
            Err(why) => return all(Met::Unknown(why.clone())),
        };
        let places = match &self.listening {
            Listening::At(places) => places,
            Listening::Nowhere(why) | Listening::NoSshd(why) => return all(Met::Out(why.clone())),
            Listening::Unknown(why) => return all(Met::Unknown(why.clone())),
        };
        if !places.iter().any(|place| place.is_for(source.addr())) {
            let version = if source.addr().is_ipv4() { "IPv4" } else { "IPv6" };
            let where_: Vec<String> = places.iter().map(ToString::to_string).collect();
            let why = format!(
                "sshd listens on {} only, which nobody reaches over {version}",
                where_.join(" and ")
            );
            return all(Met::Out(why));
        }
        let parts =
            let_through(source, firewall, places, &self.cuts).into_iter().map(|(from, open)| {
                let met = match open.first() {
                    None => Met::Out(refused_by(firewall, places, sample(from))),
                    Some(_) => self.admitted(firewall, sample(from), &open),
                };
                Part { from, met }
            });
        parts.collect()
    }

    /// What sshd does with a client that has come to it.
    fn admitted(&self, firewall: &Model, from: IpAddr, open: &[Place]) -> Met {
        let accounts = match &self.accounts {
            Ok(accounts) => accounts,
            Err(why) => return Met::Unknown(why.clone()),
        };
        let mut unknown: Option<String> = None;
        let mut refusals: Vec<Refusal> = Vec::new();
        for place in open {
            for account in accounts {
                let outcome = match self.policy(&account.account.name, from, place.port.get()) {
                    Ok(policy) => admit::judge(&policy, account, from, self.now),
                    Err(why) => Outcome::Unknown(why),
                };
                match outcome {
                    Outcome::In(how) => {
                        let port = place.port;
                        let by = match firewall.meets(from, Door::tcp(port)) {
                            Fate::Admitted(by) => format!(" ({})", by.name),
                            _ => String::new(),
                        };
                        return Met::In(format!("tcp {port}{by}, {how}"));
                    }
                    Outcome::Out(refusal) => refusals.push(refusal),
                    Outcome::Unknown(why) => unknown = unknown.or(Some(why)),
                }
            }
        }
        if let Some(why) = unknown {
            return Met::Unknown(why);
        }
        // Who got furthest says most of what is missing.
        refusals.sort_by(|a, b| b.cmp(a));
        refusals.dedup();
        let mut words: Vec<String> =
            refusals.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        if let Some(more) = refusals.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            words.push(format!("and {more} more"));
        }
        match words.as_slice() {
            [] => Met::Out("no account has a shell to log in to".to_owned()),
            _ => Met::Out(format!("sshd lets nobody in: {}", words.join("; "))),
        }
    }

    /// What sshd will do with this login.
    fn policy(&self, user: &str, from: IpAddr, port: u16) -> Result<Policy, String> {
        let is_it = |login: &Option<Login>| match login {
            None => true,
            Some(login) => login.user == user && login.from == from && login.port == port,
        };
        match self.answers.iter().find(|(login, _)| is_it(login)) {
            Some((_, answer)) => {
                answer.as_ref().map(|found| Policy::of(found, &self.wanted)).map_err(Clone::clone)
            }
            None => Err(format!("there are too many logins to ask sshd about {user} from {from}")),
        }
    }
}

/// Why none of these ports is open to this address.
fn refused_by(firewall: &Model, places: &[Place], from: IpAddr) -> String {
    let mut why: Vec<String> = Vec::new();
    for place in places.iter().filter(|place| place.is_for(from)) {
        if let Fate::Denied(denial) = firewall.meets(from, Door::tcp(place.port)) {
            let mut text = denial.to_string();
            if matches!(denial, Denial::NoAllow { .. }) {
                text.push_str(", where sshd listens");
            }
            if !why.contains(&text) {
                why.push(text);
            }
        }
    }
    why.join("; ")
}
