//! Results as text: one line per finding, and one line that sums up.

use std::collections::BTreeMap;

use crate::{
    cli::out::{Out, Tone},
    engine::outcome::{CheckResult, Outcome},
};

/// One result on one line: outcome, severity, id, what is expected, what was observed.
pub fn line(result: &CheckResult, out: &Out) -> String {
    let tone = match result.outcome {
        Outcome::Drift | Outcome::Fail => Tone::Bad,
        Outcome::CannotCheck | Outcome::Waived | Outcome::Accumulating => Tone::Warn,
        Outcome::NotApplicable => Tone::Faint,
        Outcome::Pass => Tone::Good,
    };
    let severity = serde_json::to_value(result.severity).unwrap_or_default();
    let severity = severity.as_str().unwrap_or_default();
    // Padded before painting, because escapes have no width.
    let mut line = format!(
        "{} {severity:<8} {}: ",
        out.paint(tone, &format!("{:<14}", result.outcome.word())),
        out.paint(Tone::Strong, &result.check),
    );
    line.push_str(&match result.outcome {
        Outcome::Pass => result.observed.clone(),
        Outcome::NotApplicable | Outcome::CannotCheck => {
            format!("expected {}; {}", result.expected, result.observed)
        }
        _ => format!("expected {}; observed {}", result.expected, result.observed),
    });
    if let Some(since) = result.since {
        line.push_str(&format!(" (since {since})"));
    }
    if let Some(waiver) = &result.waiver {
        line.push_str(&format!(
            " [waived until {} by {}: {}]",
            waiver.until, waiver.approved_by, waiver.reason
        ));
    }
    line
}

/// The lines a person is shown: every finding, and what is waived; all of them when asked.
pub fn lines(results: &[CheckResult], all: bool, out: &Out) -> Vec<String> {
    let mut shown: Vec<&CheckResult> = results
        .iter()
        .filter(|result| {
            all || result.waiver.is_some()
                || !matches!(result.outcome, Outcome::Pass | Outcome::NotApplicable)
        })
        .collect();
    // The worst first; within that, the order of the controls.
    shown.sort_by_key(|result| (result.outcome, std::cmp::Reverse(result.severity)));
    shown.into_iter().map(|result| line(result, out)).collect()
}

/// How many checks there are, and how many came to what.
pub fn summary(results: &[CheckResult]) -> String {
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    for result in results {
        *counts.entry(result.outcome).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
    format!("{} checks: {}", results.len(), parts.join(", "))
}
