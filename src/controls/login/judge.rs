//! From the ways in to verdicts, and to whether an apply may begin. Pure.

use ipnet::IpNet;

use super::{
    checks::{LASTING, PATH},
    listen::Listening,
    observed::{Met, Observed, Part, Session},
};
use crate::{
    controls::Obstacle,
    engine::check::{Judgement, Verdict},
};

/// The parts of a source that one finding names; the rest are counted.
const MOST_NAMED: usize = 3;

/// The subject where no source is declared.
const ANYBODY: &str = "anybody";

/// One judgement for each declared source, and one more for the session that is typing where it has no way in: a check
/// that comes and goes with who types must never be recorded as held.
pub(super) fn judge(seen: &Observed) -> Vec<Judgement> {
    let mut all = Vec::new();
    for source in seen.declared.iter().flatten() {
        let way = seen.way_in(*source);
        let expected = format!("a new SSH connection from {source} gets in");
        let judgement = Judgement::new(PATH, expected, verdict(seen, *source, &way));
        all.push(judgement.about(source.to_string()));
        if let Some(verdict) = lasting(seen, *source, &way) {
            let expected = format!("the way in from {source} stays for a week at least");
            all.push(Judgement::new(LASTING, expected, verdict).about(source.to_string()));
        }
    }
    if seen.declared.is_none() {
        let expected = "somebody whom the firewall lets in can open an SSH session";
        all.push(Judgement::new(PATH, expected, anybody(seen)).about(ANYBODY));
    }
    if let Some((source, way)) = session(seen)
        && !is_declared(seen, source)
        && !has_way_in(&way)
    {
        let address = source.addr();
        let expected = format!("a new SSH connection from {address}, where you come from, gets in");
        let judgement = Judgement::new(PATH, expected, verdict(seen, source, &way));
        all.push(judgement.about(address.to_string()));
    }
    all
}

/// Why an apply must not begin: nobody who should would get in after it.
pub(super) fn obstacles(seen: &Observed) -> Vec<Obstacle> {
    let found = shut_out(seen);
    let Some(found) = found.filter(|_| !matches!(seen.session, Session::Console(_))) else {
        return Vec::new();
    };
    let why = format!("after it no new SSH connection would get in: {}", found.join("; "));
    vec![Obstacle { check: PATH.id.to_owned(), why, overridable: true, guards: &[] }]
}

/// What a person is to know before an apply that may begin.
pub(super) fn warnings(seen: &Observed) -> Vec<String> {
    if matches!(seen.listening, Listening::NoSshd(_)) {
        return Vec::new();
    }
    let shut_out = shut_out(seen);
    if let (Session::Console(tty), Some(found)) = (&seen.session, &shut_out) {
        return vec![format!(
            "after it no new SSH connection gets in ({}); the console {tty}, at which you are, remains",
            found.join("; ")
        )];
    }
    if shut_out.is_some() {
        // Only with --despite does it come to this.
        return Vec::new();
    }
    let mut all = Vec::new();
    if let Some((source, way)) = session(seen)
        && !has_way_in(&way)
    {
        all.push(format!(
            "after it a new SSH connection from {}, where you come from, does not get in: {}; others do",
            source.addr(),
            faults(&way)
        ));
    }
    for source in seen.declared.iter().flatten() {
        let way = seen.way_in(*source);
        if let Some(text) = missing(*source, &way) {
            all.push(format!("after it not everybody gets in: {text}"));
        }
    }
    all
}

/// What is missing everywhere; `None` where some source is left, or there was none to lose.
fn shut_out(seen: &Observed) -> Option<Vec<String>> {
    if matches!(seen.listening, Listening::NoSshd(_)) {
        return None;
    }
    let mut sources: Vec<IpNet> = seen.declared.clone().unwrap_or_default();
    if let Some((source, _)) = session(seen)
        && !is_declared(seen, source)
    {
        sources.push(source);
    }
    if sources.is_empty() && seen.declared.is_none() {
        return match anybody(seen) {
            Verdict::Differs { observed } => Some(vec![observed]),
            Verdict::Unknown { why } => Some(vec![why]),
            _ => None,
        };
    }
    let ways: Vec<(IpNet, Vec<Part>)> =
        sources.into_iter().map(|source| (source, seen.way_in(source))).collect();
    if ways.iter().any(|(_, way)| has_way_in(way)) {
        return None;
    }
    let mut found: Vec<String> =
        ways.iter().map(|(source, way)| format!("{}: {}", name(*source), faults(way))).collect();
    if found.is_empty() {
        found.push("login.from is empty, so nobody is expected to".to_owned());
    }
    Some(found)
}

/// The session that is typing, where it came over SSH, and its way in.
fn session(seen: &Observed) -> Option<(IpNet, Vec<Part>)> {
    let Session::Ssh(from) = &seen.session else { return None };
    let source = IpNet::from(*from);
    Some((source, seen.way_in(source)))
}

fn is_declared(seen: &Observed, source: IpNet) -> bool {
    seen.declared.iter().flatten().any(|declared| declared.contains(&source))
}

fn has_way_in(way: &[Part]) -> bool {
    way.iter().any(|part| matches!(part.met, Met::In(_)))
}

fn verdict(seen: &Observed, source: IpNet, way: &[Part]) -> Verdict {
    if let Listening::NoSshd(why) = &seen.listening {
        return Verdict::NotApplicable { why: why.clone() };
    }
    if let Some(observed) = missing(source, way) {
        return Verdict::Differs { observed };
    }
    for part in way {
        if let Met::Unknown(why) = &part.met {
            return Verdict::Unknown { why: format!("{}: {why}", name(part.from)) };
        }
    }
    let how = way.iter().find_map(|part| match &part.met {
        Met::In(how) => Some(how.clone()),
        _ => None,
    });
    Verdict::Holds { observed: how.unwrap_or_default() }
}

/// Of a source that is not let in as a whole, which part is not, and why.
fn missing(source: IpNet, way: &[Part]) -> Option<String> {
    let out: Vec<&Part> = way.iter().filter(|part| matches!(part.met, Met::Out(_))).collect();
    if out.is_empty() {
        return None;
    }
    if out.len() == way.len() {
        return Some(format!("{}: {}", name(source), faults(way)));
    }
    let parts: Vec<IpNet> = IpNet::aggregate(&out.iter().map(|part| part.from).collect());
    let named: Vec<String> = parts.iter().take(MOST_NAMED).map(|part| name(*part)).collect();
    let mut named = named.join(", ");
    if let Some(more) = parts.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
        named.push_str(&format!(" and {more} more"));
    }
    Some(format!("of {source} only a part gets in; not {named}: {}", faults(way)))
}

/// What is at fault, each thing once.
fn faults(way: &[Part]) -> String {
    let mut found: Vec<&str> = Vec::new();
    for part in way {
        let (Met::Out(why) | Met::Unknown(why)) = &part.met else { continue };
        if !found.contains(&why.as_str()) {
            found.push(why);
        }
    }
    let more = found.len().saturating_sub(MOST_NAMED);
    found.truncate(MOST_NAMED);
    let mut text = found.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more reasons"));
    }
    text
}

/// An address alone is not called a network.
fn name(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// Whether anybody at all gets in, where no source is declared.
fn anybody(seen: &Observed) -> Verdict {
    if let Listening::NoSshd(why) = &seen.listening {
        return Verdict::NotApplicable { why: why.clone() };
    }
    let mut unknown = None;
    let mut found: Vec<String> = Vec::new();
    for source in seen.let_in() {
        for part in seen.way_in(source) {
            match part.met {
                Met::In(how) => {
                    return Verdict::Holds { observed: format!("from {}: {how}", name(part.from)) };
                }
                Met::Unknown(why) => unknown = unknown.or(Some(why)),
                Met::Out(why) if !found.contains(&why) => found.push(why),
                Met::Out(_) => {}
            }
        }
    }
    if let Some(why) = unknown {
        return Verdict::Unknown { why };
    }
    found.truncate(MOST_NAMED);
    Verdict::Differs { observed: found.join("; ") }
}

/// Whether a way in that is there now is shut within a week; `None` where there is none, or the firewall decides nothing.
fn lasting(seen: &Observed, source: IpNet, way: &[Part]) -> Option<Verdict> {
    if !has_way_in(way) {
        return None;
    }
    let later = seen.later.as_ref().ok()?;
    let Listening::At(places) = &seen.listening else { return None };
    let mut ends: Vec<String> = Vec::new();
    for part in way.iter().filter(|part| matches!(part.met, Met::In(_))) {
        ends.extend(seen.ending(part.from, places, later));
    }
    ends.sort();
    ends.dedup();
    Some(if ends.is_empty() {
        Verdict::Holds { observed: "nothing that lets it in ends within a week".to_owned() }
    } else {
        ends.truncate(MOST_NAMED);
        Verdict::Differs { observed: format!("{}: {}", name(source), ends.join("; ")) }
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
