//! `[firewall]`: entries that let nothing in, that say a thing twice, or that shut everybody out.

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Allow, Firewall, Mode, Profile};
use crate::profile::types::{Cidr, Port, PortRange};

pub(super) fn validate(firewall: &Firewall, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let list = at.key("allow");
    for (index, allow) in firewall.allow.iter().enumerate() {
        entry(allow, list.item(index), found);
        for (other_index, other) in firewall.allow[..index].iter().enumerate() {
            overlap(other, list.item(other_index), allow, list.item(index), found);
        }
    }
}

fn entry(allow: &Allow, at: At<'_>, found: &mut Vec<Diagnostic>) {
    from_config(allow, at, found);
    if allow.from_config.is_none() && allow.tcp().is_empty() && allow.udp().is_empty() {
        found.push(
            Diagnostic::error(at.key("name").span, format!("`{}` allows no port", allow.name))
                .help("give it `tcp` or `udp`, or drop it (`remove = true` if it is inherited)"),
        );
    }
    ports(allow.tcp(), at.key("tcp"), found);
    ports(allow.udp(), at.key("udp"), found);
    networks(allow.from.as_deref().unwrap_or_default(), at.key("from"), found);
}

/// Ports come from one place, and where they come from is said only of ports that do.
fn from_config(allow: &Allow, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let places = [
        ("config_file", allow.config_file.is_some()),
        ("env_file", allow.env_file.is_some()),
        ("unit", allow.unit.is_some()),
        ("container", allow.container.is_some()),
    ];
    let Some(service) = allow.from_config else {
        for (key, _) in places.into_iter().filter(|(_, is_there)| *is_there) {
            let message = format!("`{key}` means nothing without `from_config`");
            found.push(
                Diagnostic::error(at.key_span(key), message)
                    .help("say which service it belongs to, as in from_config = \"sbtc-signer\""),
            );
        }
        return;
    };
    for (key, ports) in [("tcp", allow.tcp()), ("udp", allow.udp())] {
        if !ports.is_empty() {
            let message = format!(
                "`{}` takes its ports from {}'s configuration and from `{key}`",
                allow.name,
                service.as_str()
            );
            found.push(
                Diagnostic::error(at.key(key).span, message)
                    .and(at.key("from_config").span, "the other place")
                    .help(format!("leave one out; an inherited one is taken back by {key} = []")),
            );
        }
    }
    if let (Some(_), Some(container)) = (&allow.unit, &allow.container) {
        let message =
            format!("the service runs in a unit or in container `{container}`, not in both");
        found.push(
            Diagnostic::error(at.key("container").span, message)
                .and(at.key("unit").span, "named here")
                .help("a unit that starts the container is left out: the container knows the rest"),
        );
    }
}

fn ports(ranges: &[PortRange], at: At<'_>, found: &mut Vec<Diagnostic>) {
    for (index, range) in ranges.iter().enumerate() {
        if let Some(first) = ranges[..index].iter().position(|other| other.overlaps(*range)) {
            let message = format!("`{range}` and `{}` in one list overlap", ranges[first]);
            found.push(
                Diagnostic::error(at.item(index).span, message)
                    .and(at.item(first).span, "first here")
                    .help("name each port once"),
            );
        }
    }
}

fn networks(networks: &[Cidr], at: At<'_>, found: &mut Vec<Diagnostic>) {
    for (index, network) in networks.iter().enumerate() {
        if let Some(first) = networks[..index].iter().position(|other| other.overlaps(*network)) {
            let message = format!("`{network}` and `{}` in one list overlap", networks[first]);
            found.push(
                Diagnostic::error(at.item(index).span, message)
                    .and(at.item(first).span, "first here")
                    .help("name the wider one only"),
            );
        }
    }
}

fn overlap(
    first: &Allow,
    first_at: At<'_>,
    second: &Allow,
    second_at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    if !first.shares_source_with(second) {
        return;
    }
    for (protocol, mine, others) in
        [("tcp", second.tcp(), first.tcp()), ("udp", second.udp(), first.udp())]
    {
        for (index, range) in mine.iter().enumerate() {
            let Some(other) = others.iter().position(|other| other.overlaps(*range)) else {
                continue;
            };
            let message = format!(
                "`{}` and `{}` both allow {protocol} {}",
                first.name,
                second.name,
                common(*range, others[other])
            );
            found.push(
                Diagnostic::warning(second_at.key(protocol).item(index).span, message)
                    .and(first_at.key(protocol).item(other).span, "allowed here already")
                    .help("removing one of them does not close the port to the sources they share"),
            );
        }
    }
}

fn common(a: PortRange, b: PortRange) -> String {
    PortRange::new(a.first().max(b.first()), a.last().min(b.last()))
        .map_or_else(|| a.to_string(), |range| range.to_string())
}

/// Warns of a firewall that lets nobody reach sshd.
pub(super) fn reachable(profile: &Profile, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let Some(firewall) = profile.firewall.as_ref().filter(|each| each.mode == Mode::Enforce) else {
        return;
    };
    let configured = profile.ssh.as_ref().and_then(|ssh| ssh.ports.clone());
    let ports = configured.unwrap_or_else(|| vec![Port::SSH]);
    if firewall.allowing(&ports).next().is_some() {
        return;
    }
    let list: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let message = format!(
        "nobody will be able to log in over the network: no entry of `firewall.allow` lets anybody reach tcp {}",
        list.join(" or ")
    );
    let help = format!("[[firewall.allow]] with name = \"ssh\" and tcp = [{}]", list.join(", "));
    found.push(Diagnostic::warning(at.key_span("firewall"), message).help(help));
}
