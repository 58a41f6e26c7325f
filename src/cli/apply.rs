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
        apply::{self, Applying, Still},
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
enum Verb {
    Apply,
    Correct,
}

/// The arguments of `apply`.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    profile: ProfileArg,

    /// Go on in spite of what this check forbids; see `holdfast explain CHECK`
    #[arg(long, value_name = "CHECK")]
    despite: Vec<String>,

    #[command(flatten)]
    confirm: host::ConfirmArgs,
}

/// Runs `apply`.
pub(super) async fn apply(context: &Context, args: &ApplyArgs) -> Result<Exit, Failure> {
    run(context, &args.profile, Verb::Apply, Some(args)).await
}

/// Runs `correct`.
pub(super) async fn correct(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    run(context, args, Verb::Correct, None).await
}

async fn run(
    context: &Context,
    args: &ProfileArg,
    verb: Verb,
    asked: Option<&ApplyArgs>,
) -> Result<Exit, Failure> {
    host::require_root(context)?;
    // First of all: what was interrupted is repaired whatever has become of the profile.
    let writer = host::writer(context).await?;
    let loaded = host::load(context, &args.profile, Trust::Enforced)?;
    let store = host::store();
    let (kind, message_id, word) = match verb {
        Verb::Apply => (Kind::Apply, journal::APPLIED, "apply"),
        Verb::Correct => (Kind::Correct, journal::CORRECTED, "correct"),
    };
    if verb == Verb::Correct && store.applied()?.is_none_or(|(_, applied)| applied.is_empty()) {
        context.out.say("Nothing was applied to this host yet, so nothing can have drifted.");
    }
    let mut request = host::request(context, kind, Some((&args.profile, &loaded)));
    if let Some(asked) = asked {
        request.despite.clone_from(&asked.despite);
        request.confirm_within = asked.confirm.within(loaded.profile.login.as_ref())?;
    }
    let progress = |index: usize, total: usize, step: &Step| {
        context.out.progress(index, total, &describe(&step.change));
    };
    let profile = &loaded.profile;
    let done = match verb {
        Verb::Apply => {
            let (scope, warn) = (Scope::Everything, |text: &str| context.out.warn(text));
            vec![apply::apply(&writer, &store, profile, request, scope, warn, progress).await]
        }
        Verb::Correct => apply::correct(&writer, &store, profile, request, progress).await?,
    };
    context.out.progress_ends();
    host::record(context);
    drop(writer);

    // `apply` is one transaction; `correct` is one for each control that has drifted.
    let mut refused: Vec<Failure> = Vec::new();
    let mut ended: Vec<Applying> = Vec::new();
    for one in done {
        match one {
            Ok(applying) => ended.push(applying),
            Err(error) => refused.push(error.into()),
        }
    }
    let last_refused = refused.pop();
    for failure in &refused {
        context.out.error(&failure.message, &failure.hints);
    }
    for applying in &ended {
        match applying {
            Applying::Unchanged { .. } | Applying::Still { .. } => {}
            Applying::Pending { id, changes, provisional, .. } => {
                journal::pending(*id, &provisional.until.to_string(), &described(changes));
            }
            Applying::Committed { id, changes, .. } => {
                let changes: Vec<String> = described(changes);
                journal::committed(message_id, *id, &changes);
            }
            Applying::RolledBack { rolled_back, broken } => {
                journal::findings(broken);
                journal::rolled_back(rolled_back);
            }
        }
    }
    let summed = Summed::of(&ended);
    match context.format {
        // Nothing but a refusal has no document.
        Format::Json if ended.is_empty() => {}
        Format::Json => {
            let body = json!({
                "profile": { "path": args.profile, "digest": loaded.digest },
                "outcome": summed.outcome,
                "transaction": summed.id,
                "changes": summed.changes,
                "why": summed.why,
                "unrestored": summed.unrestored,
                "set_aside": summed.set_aside,
                "pending": summed.pending,
                "held_still": summed.held_still,
                "summary": report::json::summary(&summed.results),
                "results": summed.results,
            });
            context.out.raw(&report::json::document(word, body))?;
        }
        Format::Text => {
            for (index, applying) in ended.iter().enumerate() {
                print(context, applying, index + 1 == ended.len(), verb)?;
            }
        }
    }
    if let Some(failure) = last_refused {
        return Err(failure);
    }
    Ok(if summed.why.is_some() {
        Exit::Failed
    } else if summed.results.iter().any(|result| result.outcome.needs_attention()) {
        Exit::Findings
    } else {
        Exit::Ok
    })
}

fn counted(changes: usize) -> String {
    match changes {
        0 => "recorded what holds; no changes".to_owned(),
        1 => "1 change, verified".to_owned(),
        n => format!("{n} changes, verified"),
    }
}

fn described(changes: &[Step]) -> Vec<String> {
    changes.iter().map(|step| describe(&step.change)).collect()
}

/// What several transactions came to: the worst of them, and everything that was changed.
#[derive(Debug, Default)]
struct Summed {
    outcome: &'static str,
    id: Option<u64>,
    changes: Vec<String>,
    why: Option<String>,
    unrestored: Vec<String>,
    set_aside: Vec<String>,
    /// The change that waits to be confirmed.
    pending: Option<serde_json::Value>,
    /// The transaction for whose sake nothing is put right unattended.
    held_still: Option<u64>,
    results: Vec<CheckResult>,
}

impl Summed {
    fn of(ended: &[Applying]) -> Self {
        let mut summed = Self { outcome: "unchanged", ..Self::default() };
        for applying in ended {
            match applying {
                Applying::Committed { id, changes, results } => {
                    summed.changes.extend(described(changes));
                    if summed.why.is_none() {
                        summed.outcome = "committed";
                        summed.id = Some(*id);
                        summed.results.clone_from(results);
                    }
                }
                Applying::Unchanged { results } => {
                    if summed.why.is_none() {
                        summed.results.clone_from(results);
                    }
                }
                Applying::Pending { id, changes, results, provisional } => {
                    summed.outcome = "pending";
                    summed.id = Some(*id);
                    summed.changes.extend(described(changes));
                    summed.results.clone_from(results);
                    summed.pending = Some(host::pending_json(*id, provisional));
                }
                Applying::Still { why, results } => {
                    summed.results.clone_from(results);
                    match why {
                        Still::Pending { id, provisional } => {
                            summed.pending = Some(host::pending_json(*id, provisional));
                        }
                        Still::TakenBack { id } => summed.held_still = Some(*id),
                    }
                }
                Applying::RolledBack { rolled_back, broken } => {
                    if summed.why.is_none() {
                        summed.results.clear();
                    }
                    summed.id = Some(rolled_back.id);
                    summed.unrestored.extend(rolled_back.unrestored.clone());
                    summed.set_aside.extend(rolled_back.set_aside.clone());
                    summed.results.extend(broken.iter().cloned());
                    let before = summed.why.take().map(|why| format!("{why}; "));
                    // Of several, the one that is worst to have.
                    if before.is_none() || !rolled_back.unrestored.is_empty() {
                        summed.outcome = rolled_back.outcome();
                    }
                    summed.why = Some(before.unwrap_or_default() + &rolled_back.why);
                }
            }
        }
        summed
    }
}

fn print(context: &Context, applying: &Applying, is_last: bool, verb: Verb) -> Result<(), Failure> {
    let out = &context.out;
    let results = match applying {
        Applying::RolledBack { broken, .. } => broken.as_slice(),
        // Of several looks at everything the last one tells it all.
        Applying::Unchanged { results }
        | Applying::Committed { results, .. }
        | Applying::Pending { results, .. }
        | Applying::Still { results, .. }
            if is_last =>
        {
            results
        }
        _ => &[],
    };
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
            let done = counted(changes.len());
            out.line(out.paint(Tone::Good, &format!("Transaction {id}: {done}.")))?;
            out.say(report::text::summary(results));
            if !changes.is_empty() {
                out.say(format!("To return to the state before: holdfast rollback {id}"));
            }
        }
        Applying::Pending { id, changes, results, provisional } => {
            let until = provisional.until;
            let text = if changes.is_empty() {
                format!("Transaction {id}: given more time, not confirmed yet.")
            } else {
                format!("Transaction {id}: {}, not confirmed yet.", counted(changes.len()))
            };
            out.line(out.paint(Tone::Warn, &text))?;
            out.line(format!(
                "At {until} everything is put back as it was, unless it is confirmed from a NEW login (this one proves nothing):"
            ))?;
            out.line(out.paint(Tone::Strong, &format!("    holdfast confirm {id}")))?;
            out.say(report::text::summary(results));
            out.say(format!("To put everything back now: holdfast rollback {id}"));
        }
        Applying::Still { why: Still::Pending { id, provisional }, .. } => {
            host::warn_of_pending(context, *id, provisional);
            out.say("Until then nothing is corrected; nothing was changed.");
        }
        Applying::Still { why: Still::TakenBack { id }, .. } => out.warn(&format!(
            "transaction {id} was rolled back with nobody there, and nothing is corrected until a person acts: holdfast plan, then holdfast apply or holdfast rollback"
        )),
        Applying::RolledBack { rolled_back, .. } => out.error(&host::told(rolled_back), &[]),
    }
    Ok(())
}
