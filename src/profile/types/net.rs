//! Ports and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::format::{Accepts, Invalid, Scalar, scalar, shown};

/// A TCP or UDP port, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u16);

impl Port {
    /// Where sshd listens when nothing else is said.
    pub const SSH: Self = Self(22);

    /// That port, unless it is 0.
    pub const fn new(number: u16) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl FromStr for Port {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Invalid::new(format!("{} is not a port", shown(text)))
                .help("write a number from 1 to 65535"));
        }
        text.parse().ok().and_then(Self::new).ok_or_else(|| {
            Invalid::new(format!("there is no port {text}", text = shown(text)))
                .help("ports go from 1 to 65535")
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scalar for Port {
    const FORMAT: &'static str = "holdfast-port";
    const NOUN: &'static str = "a port";
    const DESCRIPTION: &'static str = "A port number from 1 to 65535.";
    const EXAMPLES: &'static [&'static str] = &["22"];
    const ACCEPTS: Accepts = Accepts::Integer(1, 65_535);
}
scalar!(Port);

/// One port or an unbroken run of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// The range from `first` to `last`, unless it runs backwards.
    pub fn new(first: Port, last: Port) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub const fn first(self) -> Port {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> Port {
        self.last
    }

    /// Whether `port` lies in it.
    pub fn contains(self, port: Port) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether the two have a port in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<Port> for PortRange {
    fn from(port: Port) -> Self {
        Self { first: port, last: port }
    }
}

impl FromStr for PortRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some((first, last)) = text.split_once('-') else {
            return text.parse().map(Port::into).map_err(|error: Invalid| {
                if text.bytes().all(|b| b.is_ascii_digit()) {
                    error
                } else {
                    error
                        .help("write a port, as in 22, or a range in quotes, as in \"20000-20010\"")
                }
            });
        };
        let (first, last): (Port, Port) = (first.trim().parse()?, last.trim().parse()?);
        Self::new(first, last).ok_or_else(|| {
            Invalid::new(format!("the port range {} runs backwards", shown(text)))
                .help(format!("write \"{last}-{first}\""))
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            self.first.fmt(f)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl Scalar for PortRange {
    const FORMAT: &'static str = "holdfast-port-range";
    const NOUN: &'static str = "a port or a range of ports";
    const DESCRIPTION: &'static str =
        "A port number from 1 to 65535, or a range in quotes, both ends included.";
    const EXAMPLES: &'static [&'static str] = &["22", "20000-20010"];
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
    const PATTERN: Option<&'static str> = Some("^[0-9]+( *- *[0-9]+)?$");
}
scalar!(PortRange);

/// A network, or a single address as a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The network.
    pub const fn net(self) -> IpNet {
        self.0
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }

    /// An address in it that a client could have.
    pub fn sample(self) -> IpAddr {
        self.0.hosts().next().unwrap_or_else(|| self.0.addr())
    }
}

impl FromStr for Cidr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            let error = Invalid::new(format!("{} is not a network", shown(text)));
            let address = text.split('/').next().unwrap_or(text);
            if address.parse::<IpAddr>().is_ok() {
                let most = if address.parse::<Ipv4Addr>().is_ok() { 32 } else { 128 };
                error.help(format!("the prefix length goes from 0 to {most}"))
            } else {
                error.help("write an address and a prefix length, as in \"203.0.113.0/24\" or \"2001:db8::/32\"")
            }
        };
        let net: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text.parse().map_err(|_| bad())?,
        };
        if let IpNet::V6(v6) = net
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err(Invalid::new(format!(
                "{} is an IPv4 address in IPv6 clothes",
                shown(text)
            ))
            .help("no packet carries such a source: write the IPv4 network itself"));
        }
        if net.trunc() != net {
            return Err(Invalid::new(format!(
                "{} has bits set to the right of its prefix",
                shown(text)
            ))
            .help(format!(
                "write \"{}\" for the network, or \"{}\" for the one address",
                net.trunc(),
                net.addr()
            )));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Scalar for Cidr {
    const FORMAT: &'static str = "holdfast-cidr";
    const NOUN: &'static str = "a network";
    const DESCRIPTION: &'static str =
        "An IPv4 or IPv6 network in CIDR notation; an address alone is a network of one.";
    const EXAMPLES: &'static [&'static str] = &["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"];
}
scalar!(Cidr);
