//! What is known of what the outside can reach.

use std::collections::{BTreeMap, BTreeSet};

use super::{Apart, Engine, Owner, Publication, judge::needed};
use crate::{
    controls::firewall::model::Admitting, host::endpoints::Endpoint, profile::types::PortRange,
};

/// What is at the end of a way into the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A socket of the host's own network, and who serves there if that is known.
    Socket(Endpoint, Option<Owner>),
    /// A container's published port.
    Published(Publication),
}

/// Whether the desired table is the one that decides about packets now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Force {
    /// It is.
    Yes,
    /// There is none that keeps anybody out, and why.
    No(String),
    /// Another one is, or that cannot be seen: what it keeps out is not known.
    Unproven(String),
}

impl Force {
    /// Why it is not; `None` where it is.
    pub const fn why_not(&self) -> Option<&String> {
        match self {
            Self::Yes => None,
            Self::No(why) | Self::Unproven(why) => Some(why),
        }
    }
}

/// Whether the outside gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Only this host itself.
    Loopback,
    /// The firewall drops it: no entry lets anybody in.
    Denied,
    /// The firewall lets these in.
    Admitted(Vec<Admitting>),
    /// The firewall lets in what IP itself needs.
    Needed(&'static str),
    /// Nothing keeps anybody out, and why.
    Open(String),
    /// Whether anything does is not known, and why.
    Unproven(String),
}

impl Reach {
    /// As it is printed and filed.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Denied => "denied",
            Self::Admitted(_) => "admitted",
            Self::Needed(_) => "needed",
            Self::Open(_) => "open",
            Self::Unproven(_) => "unproven",
        }
    }
}

/// One way into the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// What is there.
    pub what: What,
    /// The name of the interface it is bound to, if it is.
    pub interface: Option<String>,
    /// Whether the outside gets there.
    pub reach: Reach,
    /// Whether the firewall judges this way at all when it is in force.
    pub filtered: bool,
    /// The entries of the profile that speak of it, whether or not they are in force.
    pub declared: Vec<Admitting>,
}

impl Exposed {
    /// Whether more can reach it than the profile declares.
    pub fn is_finding(&self) -> bool {
        matches!(self.reach, Reach::Open(_) | Reach::Unproven(_))
            && !self.is_harmless()
            && !self.declared.iter().any(|allow| allow.from.is_none())
    }

    /// What IP needs is offered by every host.
    fn is_harmless(&self) -> bool {
        match &self.what {
            What::Socket(endpoint, _) => needed(endpoint).is_some(),
            What::Published(_) => false,
        }
    }

    /// Protocol and port, as `tcp 22`.
    pub fn door(&self) -> String {
        match &self.what {
            What::Socket(endpoint, _) => format!("{} {}", endpoint.transport, endpoint.port),
            What::Published(each) if each.first == each.last => {
                format!("{} {}", each.transport, each.first)
            }
            What::Published(each) => format!("{} {}-{}", each.transport, each.first, each.last),
        }
    }

    /// Who serves there, for a person.
    pub fn who(&self) -> String {
        match &self.what {
            What::Socket(_, Some(owner)) => {
                let mut who = format!("{}[{}]", owner.process, owner.pid);
                if let Some(container) = &owner.container {
                    who.push_str(&format!(" container {container:.20}"));
                } else if let Some(unit) = &owner.unit {
                    who.push_str(&format!(" {unit}"));
                }
                who
            }
            What::Socket(endpoint, None) if endpoint.inode == 0 => "the kernel".to_owned(),
            What::Socket(_, None) => "unknown process".to_owned(),
            What::Published(each) => match each.engine {
                Engine::Nat => format!("nat rule to {}", each.container),
                engine => format!("{} container {}", engine.as_str(), each.container),
            },
        }
    }
}

/// A declared port at which nobody serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The entry's name.
    pub allow: String,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Its ports.
    pub ports: PortRange,
}

/// All that is known of what the outside can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Whether the firewall is in force.
    pub force: Force,
    /// Every way in, the worst first.
    pub ways: Vec<Exposed>,
    /// Containers with an address of their own outside.
    pub apart: Vec<Apart>,
    /// Declared ports at which nobody serves.
    pub idle: Vec<Idle>,
    /// What could not be asked, and why.
    pub unseen: Vec<String>,
}

impl Exposure {
    /// The ways in that more can reach than the profile declares.
    pub fn findings(&self) -> impl Iterator<Item = &Exposed> {
        self.ways.iter().filter(|way| way.is_finding())
    }

    /// Says who serves at the ways in that are findings.
    pub(in crate::controls::firewall) fn name_owners(
        &mut self,
        owners: impl FnOnce(&BTreeSet<u64>) -> BTreeMap<u64, Owner>,
    ) {
        let unnamed = self.findings().filter_map(|way| match &way.what {
            What::Socket(endpoint, None) if endpoint.inode != 0 => Some(endpoint.inode),
            _ => None,
        });
        let unnamed: BTreeSet<u64> = unnamed.collect();
        if unnamed.is_empty() {
            return;
        }
        let owners = owners(&unnamed);
        for way in &mut self.ways {
            if let What::Socket(endpoint, owner @ None) = &mut way.what {
                *owner = owners.get(&endpoint.inode).cloned();
            }
        }
    }

    /// Whether somebody has to do something. What could not be asked matters only where the firewall would not keep
    /// people out of it anyway.
    pub fn needs_attention(&self) -> bool {
        self.findings().next().is_some()
            || !self.apart.is_empty()
            || (self.force != Force::Yes && !self.unseen.is_empty())
    }
}
