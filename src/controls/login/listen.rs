//! Where sshd waits for connections once the profile is applied. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use crate::{
    controls::ssh::Effective,
    host::bus::UnitStatus,
    profile::{schema, types::Port},
};

/// The names sshd's unit goes by on Debian.
const SERVICE: [&str; 2] = ["ssh.service", "sshd.service"];

/// Where sshd waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listening {
    /// On these.
    At(Vec<Place>),
    /// Nowhere, though somebody seems to count on it.
    Nowhere(String),
    /// Nowhere, and nobody has asked for it: there is nothing to be shut out of.
    NoSshd(String),
    /// That cannot be told.
    Unknown(String),
}

/// One of its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its address; `None` for every address of both versions of IP.
    pub(super) ip: Option<IpAddr>,
    /// Its port.
    pub(super) port: Port,
}

impl Place {
    /// Whether somebody else on the network can come to it. An address of the host's own is taken to be reached.
    pub(super) fn is_for(self, from: IpAddr) -> bool {
        self.ip.is_none_or(|ip| !ip.is_loopback() && ip.is_ipv4() == from.is_ipv4())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port.get()).fmt(f),
            None => write!(f, "port {}", self.port),
        }
    }
}

/// What is known of sshd's units.
#[derive(Debug)]
pub(super) struct Units {
    /// ssh.service.
    pub(super) service: UnitStatus,
    /// ssh.socket.
    pub(super) socket: UnitStatus,
    /// The addresses of ssh.socket.
    pub(super) listens: Vec<String>,
}

/// Where sshd waits, from its units, the profile and its own word on its addresses.
pub(super) fn listening(
    units: &Units,
    services: Option<&schema::Services>,
    ports: Option<&[Port]>,
    effective: Result<&Effective, &String>,
) -> Listening {
    let names = |list: fn(&schema::Services) -> &Option<Vec<_>>, names: &[&str]| {
        let units = services.and_then(|services| list(services).as_ref()).into_iter().flatten();
        units
            .map(|unit: &crate::profile::types::UnitName| unit.as_str())
            .any(|unit| names.contains(&unit))
    };
    let ends = |unit: &[&str]| names(|s| &s.disabled, unit) || names(|s| &s.masked, unit);
    if units.socket.is_running() && !ends(&["ssh.socket"]) {
        let places: Vec<Place> =
            units.listens.iter().filter_map(|text| place(text, true)).collect();
        if places.is_empty() {
            return Listening::Unknown(
                "ssh.socket names no TCP address; see: systemctl cat ssh.socket".to_owned(),
            );
        }
        return Listening::At(places);
    }
    if ends(&SERVICE) {
        return Listening::Nowhere("the profile's [services] stops ssh.service".to_owned());
    }
    let service = &units.service;
    // Enabled and not begun since boot: the boot will come to it.
    let is_to_come =
        service.file == "enabled" && service.begun == 0 && service.active == "inactive";
    if !(service.is_running() || is_to_come || names(|s| &s.enabled, &SERVICE)) {
        let state = if service.exists() { service.active.as_str() } else { "not installed" };
        if service.file == "enabled" || service.active == "failed" {
            return Listening::Nowhere(format!(
                "ssh.service is {state}; see: systemctl status ssh"
            ));
        }
        return Listening::NoSshd(format!(
            "ssh.service is {state} and not enabled: nobody logs in over SSH"
        ));
    }
    let effective = match effective {
        Ok(effective) => effective,
        Err(why) => return Listening::Unknown(why.clone()),
    };
    let now = effective.values("listenaddress").iter().filter_map(|text| place(text, false));
    let now: Vec<Place> = now.collect();
    let Some(ports) = ports else {
        let is_known = !now.is_empty();
        let none = || Listening::Unknown("sshd does not say where it listens (sshd -T)".to_owned());
        return if is_known { Listening::At(now) } else { none() };
    };
    // `Port` moves every address that names no port of its own; one that does is no setting of the profile's.
    let ips: BTreeSet<Option<IpAddr>> = now.iter().map(|place| place.ip).collect();
    let ips = if ips.is_empty() { BTreeSet::from([None]) } else { ips };
    let on = |ip| ports.iter().map(move |port| Place { ip, port: *port });
    Listening::At(ips.into_iter().flat_map(on).collect())
}

/// `[::]:22`, `0.0.0.0:22`, `10.0.0.1:22 rdomain blue`. systemd's `[::]` takes IPv4 too, sshd's does not.
fn place(text: &str, of_systemd: bool) -> Option<Place> {
    let address: SocketAddr = text.split(' ').next()?.parse().ok()?;
    let port = Port::new(address.port())?;
    let is_any = of_systemd && address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    Some(Place { ip: (!is_any).then(|| address.ip()), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: &str, file: &str, begun: u64) -> UnitStatus {
        UnitStatus {
            load: "loaded".into(),
            active: active.into(),
            file: file.into(),
            begun,
            ..UnitStatus::default()
        }
    }

    fn said(units: &Units, services: &str, ports: Option<&[u16]>, addresses: &str) -> String {
        let services: schema::Services = toml::from_str(services).unwrap();
        let ports: Option<Vec<Port>> =
            ports.map(|all| all.iter().map(|port| Port::new(*port).unwrap()).collect());
        let effective = Effective::parse(addresses);
        match listening(units, Some(&services), ports.as_deref(), Ok(&effective)) {
            Listening::At(places) => {
                places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            Listening::Nowhere(why) => format!("nowhere: {why}"),
            Listening::NoSshd(why) => format!("no sshd: {why}"),
            Listening::Unknown(why) => format!("unknown: {why}"),
        }
    }

    const BOTH: &str = "listenaddress [::]:22\nlistenaddress 0.0.0.0:22\n";

    #[test]
    fn where_it_listens() {
        let idle = || unit("inactive", "disabled", 0);
        let units = |service, socket: UnitStatus| {
            let listens =
                if socket.is_running() { vec!["[::]:2200".to_owned()] } else { Vec::new() };
            Units { service, socket, listens }
        };
        let runs = || units(unit("active", "enabled", 5), idle());
        let local = "listenaddress 127.0.0.1:22\n";
        let cases = [
            (runs(), "", None, BOTH, "[::]:22 0.0.0.0:22"),
            (runs(), "", Some(&[2222][..]), BOTH, "0.0.0.0:2222 [::]:2222"),
            (runs(), "", Some(&[22, 2222][..]), local, "127.0.0.1:22 127.0.0.1:2222"),
            (runs(), "", Some(&[2222][..]), "", "port 2222"),
            (runs(), "", None, "", "unknown: sshd does not say where it listens (sshd -T)"),
            (
                runs(),
                "disabled = [\"ssh.service\"]",
                None,
                BOTH,
                "nowhere: the profile's [services] stops ssh.service",
            ),
            (
                runs(),
                "masked = [\"sshd.service\"]",
                None,
                BOTH,
                "nowhere: the profile's [services] stops ssh.service",
            ),
            (units(idle(), unit("active", "enabled", 5)), "", Some(&[22][..]), BOTH, "port 2200"),
            (
                units(idle(), idle()),
                "",
                None,
                BOTH,
                "no sshd: ssh.service is inactive and not enabled: nobody logs in over SSH",
            ),
            (
                units(idle(), idle()),
                "enabled = [\"ssh.service\"]",
                None,
                BOTH,
                "[::]:22 0.0.0.0:22",
            ),
            (units(unit("inactive", "enabled", 0), idle()), "", None, BOTH, "[::]:22 0.0.0.0:22"),
            (
                units(unit("inactive", "enabled", 7), idle()),
                "",
                None,
                BOTH,
                "nowhere: ssh.service is inactive; see: systemctl status ssh",
            ),
            (
                units(unit("failed", "disabled", 7), idle()),
                "",
                None,
                BOTH,
                "nowhere: ssh.service is failed; see: systemctl status ssh",
            ),
        ];
        for (units, services, ports, addresses, expected) in cases {
            assert_eq!(said(&units, services, ports, addresses), expected);
        }
    }

    #[test]
    fn who_can_come_to_it() {
        let place = |text: &str| place(text, false).unwrap();
        let (v4, v6): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        for (text, is_for) in [
            ("0.0.0.0:22", [true, false]),
            ("[::]:22", [false, true]),
            ("10.0.0.1:22", [true, false]),
            ("127.0.0.1:22", [false, false]),
            ("[::1]:22", [false, false]),
        ] {
            assert_eq!([place(text).is_for(v4), place(text).is_for(v6)], is_for, "{text}");
        }
    }
}
