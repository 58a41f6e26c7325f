//! The ports that a service says it is reached at, and the section that has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use crate::{
    controls::firewall::{checks::FROM_CONFIG, judge::printable},
    engine::check::{Judgement, Verdict},
    profile::{
        schema::Firewall,
        types::{Port, PortRange},
    },
};

/// The ports at which other hosts are meant to reach a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP.
    pub tcp: BTreeSet<Port>,
    /// UDP.
    pub udp: BTreeSet<Port>,
}

impl Ports {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tcp = self.tcp.iter().map(|port| format!("tcp {port}"));
        let all: Vec<_> = tcp.chain(self.udp.iter().map(|port| format!("udp {port}"))).collect();
        f.write_str(if all.is_empty() { "no port".to_owned() } else { all.join(", ") }.as_str())
    }
}

/// Whether only this host itself can reach a server bound to the address.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What a service's configuration cannot be read for. Quotes nothing of it: secrets stand on the next line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line, from 1 on.
    pub(super) line: Option<usize>,
    /// What is wrong, and what to do.
    pub(super) why: String,
}

impl Fault {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { line: None, why: why.into() }
    }

    pub(super) fn at(line: usize, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Every allow that takes its ports from a configuration, by name, with what was found there or why nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found(pub BTreeMap<String, Result<Ports, String>>);

impl Found {
    /// What is said of each.
    pub(in crate::controls::firewall) fn judge(&self) -> Vec<Judgement> {
        let one = |(name, found): (&String, &Result<Ports, String>)| {
            let (expected, verdict) = match found {
                Ok(ports) => (ports.to_string(), Verdict::Holds { observed: ports.to_string() }),
                // Unknown, not different: no step of ours can put it right, and it must not keep the rest of the
                // firewall from being applied.
                Err(why) => {
                    let why = printable(&format!("nothing is opened: {why}"));
                    ("the ports are known".to_owned(), Verdict::Unknown { why })
                }
            };
            Judgement::new(FROM_CONFIG, expected, verdict).about(name)
        };
        self.0.iter().map(one).collect()
    }

    /// The section with those ports in it. An allow whose ports could not be found has none, so it lets nothing in.
    #[must_use]
    pub fn fill(&self, section: &Firewall) -> Firewall {
        let mut filled = section.clone();
        for allow in &mut filled.allow {
            if allow.from_config.is_none() {
                continue;
            }
            let ports = self.0.get(allow.name.as_str()).and_then(|found| found.as_ref().ok());
            let ranges =
                |ports: &BTreeSet<Port>| ports.iter().copied().map(PortRange::from).collect();
            allow.tcp = Some(ports.map_or_else(Vec::new, |ports| ranges(&ports.tcp)));
            allow.udp = Some(ports.map_or_else(Vec::new, |ports| ranges(&ports.udp)));
        }
        filled
    }
}
