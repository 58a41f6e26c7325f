//! Whether whoever fetches gets past the firewall of the profile to a port of sshd's. Pure.

use ipnet::IpNet;

use super::observed::Observed;
use crate::{
    controls::firewall::model::{Door, Fate, Model},
    engine::check::Verdict,
    profile::types::Port,
};

/// Of the sources that do not get in, so many are named.
const MOST_NAMED: usize = 3;

/// What keeps any of them out. Where no source is named, anybody's way in will do.
pub(super) fn judge(seen: &Observed) -> Verdict {
    let model = match &seen.firewall {
        Ok(model) => model,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let Some(first) = seen.ports.first() else {
        return Verdict::Unknown { why: "it is not known on which ports sshd listens".to_owned() };
    };
    let admitting = match model.admitting(Door::tcp(*first)) {
        Err(open) => return Verdict::Holds { observed: open.to_string() },
        Ok(admitting) => admitting,
    };
    let mut faults: Vec<String> = match &seen.from {
        Some(nets) => nets.iter().filter_map(|net| fault(model, *net, &seen.ports)).collect(),
        None if admitting.is_empty() && !is_any_open(model, &seen.ports) => {
            vec![format!("no entry of firewall.allow names {}", Door::tcp(*first))]
        }
        None => Vec::new(),
    };
    if faults.is_empty() {
        return Verdict::Holds { observed: "the firewall lets it in".to_owned() };
    }
    let more = faults.len().saturating_sub(MOST_NAMED);
    faults.truncate(MOST_NAMED);
    let mut observed = faults.join("; ");
    if more > 0 {
        observed.push_str(&format!("; and {more} more"));
    }
    Verdict::Differs { observed }
}

fn is_any_open(model: &Model, ports: &[Port]) -> bool {
    ports.iter().any(|port| model.admitting(Door::tcp(*port)).is_ok_and(|all| !all.is_empty()))
}

/// Why a part of this network reaches none of the ports; one that all of it reaches is enough.
fn fault(model: &Model, from: IpNet, ports: &[Port]) -> Option<String> {
    let mut why = None;
    for port in ports {
        let pieces = model.pieces(from, Door::tcp(*port));
        let denied = pieces.into_iter().find_map(|piece| match piece.fate {
            Fate::Denied(denial) => Some(format!("{}: {denial}", piece.from)),
            Fate::Admitted(_) | Fate::Open(_) => None,
        });
        why = why.or(Some(denied?));
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controls::{firewall::Facts, pull::tests::well},
        profile::schema::Firewall,
    };
    use jiff::Timestamp;

    fn judged(section: &str, from: &[&str], ports: &[u16]) -> String {
        let section: Firewall = toml::from_str(section).unwrap();
        let model = Model::of(Some(&section), &Facts::default(), Timestamp::UNIX_EPOCH);
        let from = from.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
        let seen = Observed {
            firewall: Ok(model),
            ports: ports.iter().map(|port| port.to_string().parse().unwrap()).collect(),
            from: Some(from).filter(|from| !from.is_empty()),
            ..well()
        };
        match judge(&seen) {
            Verdict::Holds { observed } => format!("holds: {observed}"),
            Verdict::Differs { observed } => observed,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn who_fetches_gets_past_the_firewall() {
        let office = "[[allow]]\nname = \"ssh\"\ntcp = [22]\nfrom = [\"10.0.0.0/8\"]\n";
        let web = "[[allow]]\nname = \"web\"\ntcp = [443]\n";
        let far = "203.0.113.9/32";
        let keeps_out = "203.0.113.9/32: no entry of firewall.allow lets it reach tcp 22 (ssh allows 10.0.0.0/8 only)";
        let cases: [(&str, &[&str], &[u16], &str); 8] = [
            ("mode = \"off\"\n", &[far], &[22], "holds: firewall.mode is off"),
            (office, &["10.1.2.3/32"], &[22], "holds: the firewall lets it in"),
            (office, &["10.1.2.3/32", far], &[22], keeps_out),
            (office, &[far], &[22, 2222], keeps_out),
            (web, &[far], &[22, 443], "holds: the firewall lets it in"),
            (web, &[], &[22], "no entry of firewall.allow names tcp 22"),
            (web, &[], &[22, 443], "holds: the firewall lets it in"),
            (office, &["0.0.0.0/0"], &[22], "0.0.0.0/"),
        ];
        for (section, from, ports, says) in cases {
            let said = judged(section, from, ports);
            let is_said = said == says || (says.ends_with('/') && said.contains("lets it reach"));
            assert!(is_said, "{section} {from:?} {ports:?}: {said}");
        }
        assert!(judged(office, &[far], &[]).starts_with("Unknown"));
    }
}
