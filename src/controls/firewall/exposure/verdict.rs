//! What the check says of what can be reached.

use super::{Exposure, Force};
use crate::{
    controls::firewall::{
        checks::EXPOSURE,
        judge::{printable, some_of},
    },
    engine::check::{Judgement, Verdict},
};

/// What is said of what can be reached: what the table keeps out, and apart from it what no table of ours can.
pub(in crate::controls::firewall) fn exposed(found: &Result<Exposure, String>) -> Vec<Judgement> {
    let expected = "nothing can be reached that is not declared";
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            return vec![Judgement::new(EXPOSURE, expected, Verdict::Unknown { why: why.clone() })];
        }
    };
    let of = |filtered: bool| -> Vec<String> {
        let ways = found.findings().filter(|way| way.filtered == filtered);
        ways.map(|way| format!("{} ({})", way.door(), way.who())).collect()
    };
    let open = of(true);
    let verdict = match &found.force {
        _ if open.is_empty() => {
            let observed = format!("{} ways in, none that is not declared", found.ways.len());
            Verdict::Holds { observed }
        }
        Force::Unproven(_) => {
            let why =
                format!("another table is in force; not known to be closed: {}", some_of(&open));
            Verdict::Unknown { why: printable(&why) }
        }
        _ => Verdict::Differs { observed: format!("can be reached: {}", some_of(&open)) },
    };
    let mut judgements = vec![Judgement::new(EXPOSURE, expected, verdict)];
    let mut unfiltered = of(false);
    unfiltered.extend(
        found.apart.iter().map(|each| {
            format!("container {} at {} ({})", each.container, each.address, each.driver)
        }),
    );
    if !unfiltered.is_empty() {
        // Not our difference: no step of ours ends it, and it must not keep the rest from being applied.
        let why = format!("no rule of this host stands before: {}", some_of(&unfiltered));
        let verdict = Verdict::Unknown { why: printable(&why) };
        let expected = "a rule of this host stands before everything that is served";
        judgements.push(Judgement::new(EXPOSURE, expected, verdict).about("unfiltered"));
    }
    judgements
}
