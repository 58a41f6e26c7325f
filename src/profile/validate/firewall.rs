//! `[firewall]`: entries that let nothing in, that say a thing twice, or that shut everybody out.

use jiff::Timestamp;

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Allow, Firewall, Mode, Profile};
use crate::profile::types::{Cidr, Port, PortRange, RuleName, Source};

pub(super) fn validate(
    firewall: &Firewall,
    at: At<'_>,
    now: Timestamp,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    let list = at.key("allow");
    for (index, allow) in firewall.allow.iter().enumerate() {
        entry(firewall, allow, list.item(index), complete, found);
        ended(allow, list.item(index), now, found);
        for (other_index, other) in firewall.allow[..index].iter().enumerate() {
            overlap(firewall, (other, list.item(other_index)), (allow, list.item(index)), found);
        }
    }
    let sets = at.key("set");
    for (index, set) in firewall.set.iter().enumerate() {
        networks(&set.elements, sets.item(index).key("elements"), found);
        let source = Source::Set(set.name.clone());
        let is_used = |allow: &Allow| allow.from.iter().flatten().any(|from| *from == source);
        if complete && !firewall.allow.iter().any(is_used) {
            let message = format!("no entry of `firewall.allow` is from `@{}`", set.name);
            found.push(
                Diagnostic::warning(sets.item(index).key("name").span, message).help(format!(
                    "write from = [\"@{}\"] where it is meant, or drop it",
                    set.name
                )),
            );
        }
    }
}

/// The blocks, and what leaves.
pub(super) fn others(firewall: &Firewall, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let list = at.key("block");
    for (index, block) in firewall.block.iter().enumerate() {
        let at = list.item(index);
        networks(block.networks.as_deref().unwrap_or_default(), at.key("networks"), found);
        if block.file.is_none() && block.networks.is_none() {
            found.push(
                Diagnostic::error(at.key("name").span, format!("`{}` blocks nobody", block.name))
                    .help("give it `file` or `networks`, or drop it (`remove = true` if it is inherited)"),
            );
        }
        for (place, network) in block.networks.iter().flatten().enumerate() {
            if network.net().prefix_len() == 0 {
                let at = at.key("networks").item(place);
                found.push(
                    Diagnostic::error(at.span, format!("`{network}` would block everybody"))
                        .help("what is not allowed is dropped anyway: see `firewall.allow`"),
                );
            }
        }
    }
    let Some(egress) = &firewall.egress else { return };
    let at_egress = at.key("egress");
    let list = at_egress.key("allow");
    for (index, allow) in egress.allow.iter().enumerate() {
        let at = list.item(index);
        ports(allow.tcp(), at.key("tcp"), found);
        ports(allow.udp(), at.key("udp"), found);
        networks(allow.to.as_deref().unwrap_or_default(), at.key("to"), found);
    }
    if !egress.lets_names_be_resolved() {
        let message = "no name can be resolved: nothing lets UDP port 53 out";
        found.push(Diagnostic::warning(at_egress.span, message).help(
            "[[firewall.egress.allow]] with name = \"dns\", udp = [53] and tcp = [53]; a resolver on this host needs none",
        ));
    }
}

fn entry(
    firewall: &Firewall,
    allow: &Allow,
    at: At<'_>,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    from_config(allow, at, found);
    if allow.from_config.is_none() && allow.tcp().is_empty() && allow.udp().is_empty() {
        found.push(
            Diagnostic::error(at.key("name").span, format!("`{}` allows no port", allow.name))
                .help("give it `tcp` or `udp`, or drop it (`remove = true` if it is inherited)"),
        );
    }
    ports(allow.tcp(), at.key("tcp"), found);
    ports(allow.udp(), at.key("udp"), found);
    let from = allow.from.as_deref().unwrap_or_default();
    let at = at.key("from");
    let named: Vec<(usize, Cidr)> = from
        .iter()
        .enumerate()
        .filter_map(|(index, source)| match source {
            Source::Network(network) => Some((index, *network)),
            Source::Set(_) => None,
        })
        .collect();
    distinct_networks(&named, at, found);
    for (index, source) in from.iter().enumerate() {
        let Source::Set(name) = source else { continue };
        if from[..index].contains(source) {
            found.push(
                Diagnostic::error(
                    at.item(index).span,
                    format!("`{source}` stands in this list twice"),
                )
                .help("leave one of them out"),
            );
        }
        match firewall.named_set(name) {
            None if complete => found.push(unknown_set(firewall, name, at.item(index))),
            None => {}
            Some(set) => {
                for (other, network) in &named {
                    let Some(same) = set.elements.iter().find(|each| each.overlaps(*network))
                    else {
                        continue;
                    };
                    let message = format!("`{network}` and `{same}` of `{source}` overlap");
                    found.push(
                        Diagnostic::warning(at.item(*other).span, message)
                            .help("name each network once, here or in the set"),
                    );
                }
            }
        }
    }
}

fn unknown_set(firewall: &Firewall, name: &RuleName, at: At<'_>) -> Diagnostic {
    let nearest = firewall
        .set
        .iter()
        .map(|set| (strsim::damerau_levenshtein(set.name.as_str(), name.as_str()), &set.name))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    let help = match nearest {
        Some((_, known)) => format!("did you mean `@{known}`?"),
        None => format!("[[firewall.set]] with name = \"{name}\" and elements = [...]"),
    };
    Diagnostic::error(at.span, format!("there is no set `{name}`")).help(help)
}

fn ended(allow: &Allow, at: At<'_>, now: Timestamp, found: &mut Vec<Diagnostic>) {
    if let Some(until) = allow.until.filter(|until| until.is_over(now)) {
        let message = format!("`{}` ended on {until}: it lets nobody in", allow.name);
        found.push(
            Diagnostic::warning(at.key("until").span, message)
                .help("drop it (`remove = true` if it is inherited), or set a later end"),
        );
    }
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
    distinct_networks(&networks.iter().copied().enumerate().collect::<Vec<_>>(), at, found);
}

/// The networks of a list, by their place in it.
fn distinct_networks(networks: &[(usize, Cidr)], at: At<'_>, found: &mut Vec<Diagnostic>) {
    for (place, (index, network)) in networks.iter().enumerate() {
        let earlier = networks[..place].iter().find(|(_, other)| other.overlaps(*network));
        if let Some((first, other)) = earlier {
            let message = format!("`{network}` and `{other}` in one list overlap");
            found.push(
                Diagnostic::error(at.item(*index).span, message)
                    .and(at.item(*first).span, "first here")
                    .help("name the wider one only"),
            );
        }
    }
}

fn overlap(
    firewall: &Firewall,
    (first, first_at): (&Allow, At<'_>),
    (second, second_at): (&Allow, At<'_>),
    found: &mut Vec<Diagnostic>,
) {
    // One of them ends, or counts: both are meant.
    let is_plain = |allow: &Allow| allow.until.is_none() && allow.rate.is_none();
    if !is_plain(first) || !is_plain(second) || !firewall.share_a_source(first, second) {
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
