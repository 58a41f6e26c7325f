//! How a service is started: what of its command line and environment bears on where it listens.

use std::fmt;

use super::ports::{Fault, Ports};
use crate::profile::{schema::Service, types::Port};

/// A command line and the values of the one variable that matters. `Debug` shows neither: passwords stand in both.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Launch {
    /// The program and its arguments; empty when nothing is known of them.
    pub(super) command: Vec<String>,
    /// The variable's value; the last one counts.
    pub(super) variable: Option<String>,
    /// Where the container's files are on this host: the path inside, and the path outside.
    pub(super) mounts: Vec<(String, String)>,
    /// What the container publishes; `None` when it has the host's own network, or is none.
    pub(super) published: Option<Vec<Published>>,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("arguments", &self.command.len()).finish_non_exhaustive()
    }
}

/// A container's port at a port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    /// `tcp` or `udp`.
    pub(super) protocol: String,
    /// The container's port.
    pub(super) inside: u16,
    /// The host's port; `None` when the engine chooses one at each start.
    pub(super) outside: Option<Port>,
    /// Whether it is published on loopback only.
    pub(super) is_loopback: bool,
}

/// Programs that read a command line of their own out of an argument.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "env", "docker"];

impl Launch {
    /// Whether what stands in the command line is not the service's own.
    pub(super) fn is_indirect(&self) -> bool {
        let name = self.command.first().and_then(|path| path.rsplit('/').next());
        name.is_some_and(|name| SHELLS.contains(&name))
    }

    /// The configuration file that the command line names, as a path of this host.
    pub(super) fn config_file(&self, service: Service) -> Result<Option<String>, Fault> {
        if self.is_indirect() {
            return Ok(None);
        }
        let names: &[&str] = match service {
            Service::SbtcSigner => &["--config", "-c"],
            Service::StacksNode => &["--config"],
            Service::Bitcoind => &["-conf", "--conf"],
        };
        let mut found = None;
        let mut arguments = self.command.iter().skip(1).peekable();
        while let Some(argument) = arguments.next() {
            let named = names.iter().find_map(|name| argument.strip_prefix(name));
            match named.map(|rest| rest.strip_prefix('=').ok_or(rest)) {
                Some(Ok(path)) => found = Some(path.to_owned()),
                Some(Err("")) if service != Service::Bitcoind => {
                    found = arguments.peek().map(|path| (*path).clone());
                }
                _ => {}
            }
        }
        let Some(path) = found else { return Ok(None) };
        if !path.starts_with('/') || path.contains('$') {
            let why = "its command line names a configuration file in a way that depends on the start: \
                       say config_file";
            return Err(Fault::new(why));
        }
        self.outside(path).map(Some)
    }

    /// Where a file of the service is on this host.
    fn outside(&self, path: String) -> Result<String, Fault> {
        if self.mounts.is_empty() && self.published.is_none() {
            return Ok(path);
        }
        let below = |inside: &str| {
            path.strip_prefix(inside).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let fitting = self.mounts.iter().filter_map(|(inside, outside)| {
            below(inside.trim_end_matches('/'))
                .map(|rest| (inside.len(), format!("{outside}{rest}")))
        });
        fitting.max_by_key(|(len, _)| *len).map(|(_, path)| path).ok_or_else(|| {
            let why = "its configuration file is inside the container: mount it from the host, or say config_file";
            Fault::new(why)
        })
    }

    /// From the ports that the service listens on to those of the host that lead there.
    pub(super) fn as_published(&self, ports: Ports) -> Result<Ports, Fault> {
        let Some(published) = &self.published else { return Ok(ports) };
        let mut host = Ports::default();
        for (protocol, inside, outside) in
            [("tcp", &ports.tcp, &mut host.tcp), ("udp", &ports.udp, &mut host.udp)]
        {
            for port in inside {
                let fitting: Vec<_> = published
                    .iter()
                    .filter(|each| each.protocol == protocol && each.inside == port.get())
                    .collect();
                if fitting.is_empty() {
                    let why = format!(
                        "the service listens on {protocol} {port} of the container, which publishes it nowhere"
                    );
                    return Err(Fault::new(why));
                }
                for each in fitting.into_iter().filter(|each| !each.is_loopback) {
                    outside.insert(each.outside.ok_or_else(|| {
                        let why = format!(
                            "{protocol} {port} of the container is published at a port that is chosen anew at each start: name one"
                        );
                        Fault::new(why)
                    })?);
                }
            }
        }
        Ok(host)
    }
}
