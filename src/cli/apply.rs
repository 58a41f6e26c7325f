//! `holdfast apply` and `holdfast correct`: the same way through the engine, one for a person who asks for the
//! profile, one for nobody watching.

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    engine::{
        apply::{self, Applying},
        change::Step,
        outcome::{CheckResult, Outcome},
        session::{Scope, describe},
        store::Kind,
    },
    profile::Trust,
    report::{self, journal},
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Apply,
    Correct,
}

pub(super) async fn run(context: &Context, args: &ProfileArg, verb: Verb) -> Result<Exit, Failure> {
    host::require_root(context)?;
    // First of all: what was interrupted is repaired whatever has become of the profile.
    let writer = host::writer(context).await?;
    let loaded = host::load(context, &args.profile, Trust::Enforced)?;
    let store = host::store();
    let (kind, scope, message_id, word) = match verb {
        Verb::Apply => (Kind::Apply, Scope::Everything, journal::APPLIED, "apply"),
        Verb::Correct => (Kind::Correct, Scope::Drift, journal::CORRECTED, "correct"),
    };
    if verb == Verb::Correct && store.applied()?.is_none_or(|(_, applied)| applied.is_empty()) {
        context.out.say("Nothing was applied to this host yet, so nothing can have drifted.");
    }
    let request = host::request(context, kind, Some((&args.profile, &loaded)));
    let progress = |index: usize, total: usize, step: &Step| {
        context.out.progress(index, total, &describe(&step.change));
    };
    let applying = apply::apply(&writer, &store, &loaded.profile, request, scope, progress).await?;
    context.out.progress_ends();
    drop(writer);

    let (results, outcome, id, changes) = match &applying {
        Applying::Unchanged { results } => (results, "unchanged", None, Vec::new()),
        Applying::Committed { id, changes, results } => {
            let changes: Vec<String> = changes.iter().map(|step| describe(&step.change)).collect();
            journal::committed(message_id, *id, &changes);
            (results, "committed", Some(*id), changes)
        }
        Applying::RolledBack { rolled_back, broken } => {
            journal::findings(broken);
            journal::rolled_back(journal::ROLLED_BACK, rolled_back);
            let outcome = if rolled_back.unrestored.is_empty() {
                "rolled back, verified"
            } else {
                "rolled back, not all restored"
            };
            (broken, outcome, Some(rolled_back.id), Vec::new())
        }
    };
    let findings = results.iter().any(|result| result.outcome.needs_attention());
    match context.format {
        Format::Json => {
            let (why, unrestored) = match &applying {
                Applying::RolledBack { rolled_back, .. } => {
                    (Some(&rolled_back.why), rolled_back.unrestored.clone())
                }
                _ => (None, Vec::new()),
            };
            let body = json!({
                "profile": { "path": args.profile, "digest": loaded.digest },
                "outcome": outcome,
                "transaction": id,
                "changes": changes,
                "why": why,
                "unrestored": unrestored,
                "summary": report::json::summary(results),
                "results": results,
            });
            context.out.raw(&report::json::document(word, body))?;
        }
        Format::Text => print(context, &applying, results, verb)?,
    }
    Ok(match applying {
        Applying::RolledBack { .. } => Exit::Failed,
        _ if findings => Exit::Findings,
        _ => Exit::Ok,
    })
}

fn print(
    context: &Context,
    applying: &Applying,
    results: &[CheckResult],
    verb: Verb,
) -> Result<(), Failure> {
    let out = &context.out;
    for line in report::text::lines(results, false, out) {
        out.line(line)?;
    }
    match applying {
        Applying::Unchanged { results } if verb == Verb::Correct => {
            let failing = results.iter().filter(|result| result.outcome == Outcome::Fail).count();
            out.say("No drift to correct; nothing was changed.");
            if failing > 0 {
                out.say("What fails was never applied, and is left to a person: holdfast apply");
            }
        }
        Applying::Unchanged { .. } => out.say("No changes; nothing was touched."),
        Applying::Committed { id, changes, results } => {
            let done = match changes.len() {
                0 => "recorded what holds; no changes".to_owned(),
                1 => "1 change, verified".to_owned(),
                n => format!("{n} changes, verified"),
            };
            out.line(out.paint(Tone::Good, &format!("Transaction {id}: {done}.")))?;
            out.say(report::text::summary(results));
            if !changes.is_empty() {
                out.say(format!("To return to the state before: holdfast rollback {id}"));
            }
        }
        Applying::RolledBack { rolled_back, .. } => out.error(&host::told(rolled_back), &[]),
    }
    Ok(())
}
