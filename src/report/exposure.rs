//! What of a host can be reached from outside, for people and for machines.

use serde_json::{Value, json};

use crate::{
    cli::out::{Out, Tone},
    controls::firewall::{
        exposure::{Exposed, Exposure, Force, Reach, What},
        model::Admitting,
    },
};

/// The document's body.
pub fn body(found: &Exposure) -> Value {
    let idle = found
        .idle
        .iter()
        .map(|each| json!({ "allow": each.allow, "protocol": each.protocol, "ports": each.ports }));
    json!({
        "in_force": found.force == Force::Yes,
        "why_not": found.force.why_not(),
        "ways": found.ways.iter().map(way).collect::<Vec<_>>(),
        "apart": found.apart,
        "idle": idle.collect::<Vec<_>>(),
        "unseen": found.unseen,
        "findings": found.findings().count() + found.apart.len(),
    })
}

fn way(way: &Exposed) -> Value {
    let allow = |allow: &Admitting| {
        let from = allow
            .from
            .as_ref()
            .map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>());
        json!({ "name": allow.name, "from": from, "until": allow.until })
    };
    let by: Vec<_> = match &way.reach {
        Reach::Admitted(allows) => allows.iter().map(allow).collect(),
        _ => Vec::new(),
    };
    let mut value = json!({
        "reach": way.reach.word(),
        "by": by,
        "declared": way.declared.iter().map(allow).collect::<Vec<_>>(),
        "filtered": way.filtered,
        "finding": way.is_finding(),
        "interface": way.interface,
        "why": match &way.reach {
            Reach::Open(why) | Reach::Unproven(why) => Some(why.as_str()),
            Reach::Needed(what) => Some(*what),
            _ => None,
        },
    });
    let what = match &way.what {
        What::Socket(endpoint, owner) => json!({
            "kind": "socket",
            "transport": endpoint.transport,
            "address": endpoint.address,
            "port": endpoint.port,
            "v6_only": endpoint.v6_only,
            "owner": owner,
        }),
        What::Published(each) => json!({
            "kind": "published",
            "transport": each.transport,
            "address": each.address,
            "port": each.first,
            "last_port": each.last,
            "engine": each.engine,
            "container": each.container,
            "inside": each.inside,
        }),
    };
    if let (Some(value), Value::Object(what)) = (value.as_object_mut(), what) {
        value.extend(what);
    }
    value
}

/// One line for each way in, the worst first.
pub fn lines(found: &Exposure, out: &Out) -> Vec<String> {
    let rows: Vec<[String; 3]> = found
        .ways
        .iter()
        .map(|way| [place(way), printable(&way.who()), verdict(way, found.force.why_not())])
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let (first, second) = (width(0).unwrap_or_default(), width(1).unwrap_or_default());
    let mut lines = Vec::new();
    for (way, [place, who, verdict]) in found.ways.iter().zip(&rows) {
        let tone = match (&way.reach, way.is_finding()) {
            (_, true) => Some(Tone::Bad),
            (Reach::Open(_) | Reach::Unproven(_), false) => Some(Tone::Warn),
            (Reach::Loopback | Reach::Denied, _) => Some(Tone::Faint),
            _ => None,
        };
        let line = format!("{place:first$}  {who:second$}  {verdict}");
        lines.push(tone.map_or_else(|| line.clone(), |tone| out.paint(tone, &line)));
    }
    for each in &found.apart {
        let text = format!(
            "{} container {} at {}: an address of its own ({}), which no rule of this host stands before",
            each.engine.as_str(),
            each.container,
            each.address,
            each.driver
        );
        lines.push(out.paint(Tone::Bad, &printable(&text)));
    }
    for each in &found.idle {
        lines.push(format!(
            "{} {}: {} lets it in, and nothing listens",
            each.protocol, each.ports, each.allow
        ));
    }
    lines
}

/// Where to knock: protocol, address and port.
fn place(way: &Exposed) -> String {
    let mut place = match &way.what {
        What::Socket(endpoint, _) => {
            let address = match endpoint.address {
                std::net::IpAddr::V6(address) => format!("[{address}]"),
                std::net::IpAddr::V4(address) => address.to_string(),
            };
            let only = if endpoint.v6_only == Some(true) && endpoint.address.is_unspecified() {
                " v6 only"
            } else {
                ""
            };
            format!("{:<4} {address}:{}{only}", endpoint.transport.to_string(), endpoint.port)
        }
        What::Published(each) => {
            let address = match each.address {
                Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
                Some(address) => address.to_string(),
                None => "*".to_owned(),
            };
            let last =
                if each.last == each.first { String::new() } else { format!("-{}", each.last) };
            format!("{:<4} {address}:{}{last}", each.transport.to_string(), each.first)
        }
    };
    if let Some(interface) = &way.interface {
        place.push_str(&format!(" on {}", printable(interface)));
    }
    place
}

/// What is said of a way in. Why the firewall as a whole is not in force is said once, and not on every line.
fn verdict(way: &Exposed, said: Option<&String>) -> String {
    let names = |allows: &[Admitting]| -> String {
        let each = |allow: &Admitting| format!("{} from {}", allow.name, sources(allow));
        allows.iter().map(each).collect::<Vec<_>>().join(", ")
    };
    match &way.reach {
        Reach::Loopback => "this host only".to_owned(),
        Reach::Denied => "denied: no rule lets anybody in".to_owned(),
        Reach::Admitted(allows) => format!("let in by {}", names(allows)),
        Reach::Needed(what) => format!("let in: {what}"),
        Reach::Open(why) if Some(why) == said => format!("OPEN, {}", declared(way, &names)),
        Reach::Open(why) => format!("OPEN, {}: {why}", declared(way, &names)),
        Reach::Unproven(_) => format!("not known to be closed, {}", declared(way, &names)),
    }
}

fn declared(way: &Exposed, names: &dyn Fn(&[Admitting]) -> String) -> String {
    match way.declared.as_slice() {
        _ if !way.is_finding() => "as declared".to_owned(),
        [] => "not declared".to_owned(),
        some => format!("declared only for {}", names(some)),
    }
}

fn sources(allow: &Admitting) -> String {
    let from = match &allow.from {
        None => "anywhere".to_owned(),
        Some(nets) => nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    allow.until.map_or_else(|| from.clone(), |until| format!("{from} until {until}"))
}

/// Names of processes, containers and interfaces are given by whoever made them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
