//! What a `[firewall]` section lets in, worked out without a kernel: for the proof that administrators still get in, and
//! for saying by which rule a port is exposed.
//!
//! It says what the [desired table](super::document) does with the first packet of a new connection that comes in over the
//! network; whether that table is the live one is for the control's own checks. That it agrees with the kernel is tested
//! with real packets (`tests/firewall/namespaces.rs`).

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Facts, parts::take_out};
use crate::profile::{
    schema::{Allow, Firewall, Forward, Mode},
    types::{Cidr, Moment, Port, PortRange},
};

/// The allows named in one denial; the rest are counted.
const MOST_NAMED: usize = 3;

/// The most blocked networks that are cut out of one network that is judged.
const MOST_BLOCKED: usize = 64;

/// TCP or UDP; nothing else has ports that the section speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Which way a packet from the network takes through this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// To a process of the host itself.
    Input,
    /// To a container, by a port that is published for it; the port is the one the client named. The client comes by an
    /// interface that leads outside: what enters by others is not judged.
    Forward,
}

/// What a client knocks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// The protocol.
    pub protocol: Protocol,
    /// The port, as the client names it.
    pub port: Port,
    /// What is behind it.
    pub via: Via,
}

impl Door {
    /// A TCP port of the host itself.
    pub const fn tcp(port: Port) -> Self {
        Self { protocol: Protocol::Tcp, port, via: Via::Input }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.port)
    }
}

/// Why the section decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// There is no `[firewall]`.
    Absent,
    /// Its mode is `off`.
    Off,
    /// Its mode is `audit`: it is looked at and never loaded.
    Audit,
    /// It does not judge what is forwarded (`forward = "off"`).
    Forward,
    /// It is not known by which interfaces anything enters from outside, so all that is forwarded passes.
    NoOutside,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "the profile has no firewall",
            Self::Off => "firewall.mode is off",
            Self::Audit => "firewall.mode is audit, so its rules are not loaded",
            Self::Forward => "firewall.forward is off",
            Self::NoOutside => "it is not known which interfaces lead outside",
        })
    }
}

/// An entry that admits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitting {
    /// Its name.
    pub name: String,
    /// The networks it lets in. `None`: from anywhere.
    pub from: Option<Vec<IpNet>>,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

impl Admitting {
    /// Its sources as a person reads them.
    fn sources(&self) -> String {
        match &self.from {
            None => "anywhere".to_owned(),
            Some(nets) if nets.is_empty() => "nobody".to_owned(),
            Some(nets) => brief(nets.iter().map(ToString::to_string)),
        }
    }
}

/// Why a packet is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// No entry names this port.
    NoAllow {
        /// The port.
        door: Door,
        /// Entries that did and have ended.
        ended: Vec<Admitting>,
    },
    /// Nothing at all is forwarded.
    NothingForwarded,
    /// A block lists this source.
    Blocked {
        /// Its name.
        block: String,
    },
    /// Entries name it, but none of them this source.
    Source {
        /// The port.
        door: Door,
        /// Those entries.
        allows: Vec<Admitting>,
        /// Entries that named it and have ended.
        ended: Vec<Admitting>,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingForwarded => f.write_str("firewall.forward is deny"),
            Self::Blocked { block } => write!(f, "firewall.block {block} lists it"),
            Self::NoAllow { door, .. } => write!(f, "no entry of firewall.allow names {door}"),
            Self::Source { door, allows, .. } => {
                let each =
                    |allow: &Admitting| format!("{} allows {} only", allow.name, allow.sources());
                let allows = brief(allows.iter().map(each));
                write!(f, "no entry of firewall.allow lets it reach {door} ({allows})")
            }
        }?;
        let (Self::NoAllow { ended, .. } | Self::Source { ended, .. }) = self else {
            return Ok(());
        };
        if !ended.is_empty() {
            let each = |allow: &Admitting| {
                let until = allow.until.map_or_else(String::new, |until| until.to_string());
                format!("{} ended on {until}", allow.name)
            };
            write!(f, "; {}", brief(ended.iter().map(each)))?;
        }
        Ok(())
    }
}

/// What the first packet of a connection meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing that the section says.
    Open(Open),
    /// It is let in by this entry.
    Admitted(Admitting),
    /// It is dropped.
    Denied(Denial),
}

impl Fate {
    /// Whether it gets past the firewall.
    pub const fn gets_in(&self) -> bool {
        !matches!(self, Self::Denied(_))
    }
}

/// A part of a network and what all of it meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The part.
    pub from: IpNet,
    /// What it meets.
    pub fate: Fate,
}

/// A section as it stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    open: Option<Open>,
    forward: Forward,
    knows_outside: bool,
    entries: Vec<Entry>,
    /// The networks from which nothing is let in, with the name of their block.
    blocks: Vec<(String, Vec<IpNet>)>,
    ended: Vec<Entry>,
}

/// An allow that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    tcp: Vec<PortRange>,
    udp: Vec<PortRange>,
    allow: Admitting,
}

impl Entry {
    fn of(section: &Firewall, allow: &Allow) -> Self {
        let networks = section.networks(allow);
        let admitting = Admitting {
            name: allow.name.to_string(),
            from: networks.map(|networks| networks.into_iter().map(Cidr::net).collect()),
            until: allow.until.map(Moment::end),
        };
        Self { tcp: allow.tcp().to_vec(), udp: allow.udp().to_vec(), allow: admitting }
    }

    fn names(&self, door: Door) -> bool {
        let ports = match door.protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        };
        ports.iter().any(|range| range.contains(door.port))
    }
}

impl Model {
    /// What this section (`None`: absent) lets in at `now`.
    pub fn of(section: Option<&Firewall>, facts: &Facts, now: Timestamp) -> Self {
        let knows_outside = !facts.outside.is_empty();
        let Some(section) = section.map(|section| facts.services.fill(section)) else {
            let (open, forward) = (Some(Open::Absent), Forward::Off);
            let (entries, ended, blocks) = (Vec::new(), Vec::new(), Vec::new());
            return Self { open, forward, knows_outside, entries, ended, blocks };
        };
        let open = match section.mode {
            Mode::Enforce => None,
            Mode::Audit => Some(Open::Audit),
            Mode::Off => Some(Open::Off),
        };
        // Those that count their sources are asked last.
        let (plain, counted): (Vec<_>, Vec<_>) =
            section.allow.iter().partition(|allow| allow.rate.is_none());
        let has_ended = |allow: &&Allow| allow.until.is_some_and(|until| until.is_over(now));
        let (ended, entries): (Vec<_>, Vec<_>) =
            plain.into_iter().chain(counted).partition(has_ended);
        let of = |allows: Vec<&Allow>| {
            allows.into_iter().map(|allow| Entry::of(&section, allow)).collect::<Vec<_>>()
        };
        let (entries, ended) = (of(entries), of(ended));
        let blocks = facts.blocks.iter().map(|(name, nets)| (name.clone(), nets.clone())).collect();
        Self { open, forward: section.forward, knows_outside, entries, ended, blocks }
    }

    /// What all meet alike, whatever the port and the source.
    fn all_alike(&self, via: Via) -> Option<Fate> {
        let of_forward = || match self.forward {
            Forward::Off => Some(Fate::Open(Open::Forward)),
            Forward::Deny => Some(Fate::Denied(Denial::NothingForwarded)),
            Forward::Containers if self.knows_outside => None,
            Forward::Containers => Some(Fate::Open(Open::NoOutside)),
        };
        match (self.open, via) {
            (Some(open), _) => Some(Fate::Open(open)),
            (None, Via::Input) => None,
            (None, Via::Forward) => of_forward(),
        }
    }

    /// What a client at this address meets.
    pub fn meets(&self, from: std::net::IpAddr, door: Door) -> Fate {
        let pieces = self.pieces(from.into(), door);
        // One address cannot be cut in two.
        let fate = pieces.into_iter().next().map(|piece| piece.fate);
        fate.unwrap_or_else(|| Fate::Denied(self.denial(door)))
    }

    /// A network cut into parts that each meet one thing, in no order that matters; together they are the network.
    pub fn pieces(&self, from: IpNet, door: Door) -> Vec<Piece> {
        if let Some(fate) = self.all_alike(door.via) {
            return vec![Piece { from, fate }];
        }
        let mut pieces = Vec::new();
        let mut rest = vec![from];
        for (block, nets) in &self.blocks {
            let near = |net: &&IpNet| net.contains(&from) || from.contains(*net);
            let near: Vec<IpNet> =
                nets.iter().filter(near).copied().take(MOST_BLOCKED + 1).collect();
            // So wide a network is not an administrator's: it stands for "anywhere", and is judged without its holes.
            if near.len() > MOST_BLOCKED {
                continue;
            }
            let fate = Fate::Denied(Denial::Blocked { block: block.clone() });
            let blocked = take_out(&mut rest, &near).into_iter();
            pieces.extend(blocked.map(|from| Piece { from, fate: fate.clone() }));
        }
        for entry in self.entries.iter().filter(|entry| entry.names(door)) {
            let admit = |net| Piece { from: net, fate: Fate::Admitted(entry.allow.clone()) };
            match &entry.allow.from {
                None => pieces.extend(rest.drain(..).map(admit)),
                Some(nets) => pieces.extend(take_out(&mut rest, nets).into_iter().map(admit)),
            }
        }
        let why = self.denial(door);
        pieces.extend(rest.into_iter().map(|from| Piece { from, fate: Fate::Denied(why.clone()) }));
        pieces
    }

    /// The entries that let somebody reach this door, in the order of the profile; an error where the section does not
    /// decide it.
    pub fn admitting(&self, door: Door) -> Result<Vec<&Admitting>, Open> {
        match self.all_alike(door.via) {
            None => {}
            Some(Fate::Open(open)) => return Err(open),
            Some(_) => return Ok(Vec::new()),
        }
        let naming =
            self.entries.iter().filter(|entry| entry.names(door)).map(|entry| &entry.allow);
        Ok(naming.filter(|allow| allow.from.as_ref().is_none_or(|nets| !nets.is_empty())).collect())
    }

    /// Why nobody else gets in.
    fn denial(&self, door: Door) -> Denial {
        let naming = |entries: &[Entry]| -> Vec<Admitting> {
            let naming = entries.iter().filter(|entry| entry.names(door));
            naming.map(|entry| entry.allow.clone()).collect()
        };
        let (allows, ended) = (naming(&self.entries), naming(&self.ended));
        if allows.is_empty() {
            Denial::NoAllow { door, ended }
        } else {
            Denial::Source { door, allows, ended }
        }
    }
}

/// The first few, and how many more there are.
fn brief(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let mut text = all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = all.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
#[path = "tests/model.rs"]
mod tests;
