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
        session::{self, Scope, describe},
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
}

/// Runs `apply`.
pub(super) async fn apply(context: &Context, args: &ApplyArgs) -> Result<Exit, Failure> {
    run(context, &args.profile, Verb::Apply, &args.despite).await
}

/// Runs `correct`.
pub(super) async fn correct(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    run(context, args, Verb::Correct, &[]).await
}

async fn run(
    context: &Context,
    args: &ProfileArg,
    verb: Verb,
    despite: &[String],
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
    request.despite = despite.to_vec();
    let progress = |index: usize, total: usize, step: &Step| {
        context.out.progress(index, total, &describe(&step.change));
    };
    let profile = &loaded.profile;
    let done = match verb {
        Verb::Apply => {
            // Before anything is changed: afterwards it could be too late to read it.
            for warning in session::warnings(profile, writer.reader()).await {
                context.out.warn(&warning);
            }
            let scope = Scope::Everything;
            vec![apply::apply(&writer, &store, profile, request, scope, progress).await]
        }
        Verb::Correct => apply::correct(&writer, &store, profile, request, progress).await?,
    };
    context.out.progress_ends();
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
            Applying::Unchanged { .. } => {}
            Applying::Committed { id, changes, .. } => {
                let changes: Vec<String> = described(changes);
                journal::committed(message_id, *id, &changes);
            }
            Applying::RolledBack { rolled_back, broken } => {
                journal::findings(broken);
                journal::rolled_back(journal::ROLLED_BACK, rolled_back);
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

fn described(changes: &[Step]) -> Vec<String> {
    changes.iter().map(|step| describe(&step.change)).collect()
}

/// What several transactions came to: the worst of them, and everything that was changed.
#[derive(Debug)]
struct Summed {
    outcome: &'static str,
    id: Option<u64>,
    changes: Vec<String>,
    why: Option<String>,
    unrestored: Vec<String>,
    results: Vec<CheckResult>,
}

impl Summed {
    fn of(ended: &[Applying]) -> Self {
        let (outcome, why, unrestored) = ("unchanged", None, Vec::new());
        let (changes, results) = (Vec::new(), Vec::new());
        let mut summed = Self { outcome, id: None, changes, why, unrestored, results };
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
                Applying::RolledBack { rolled_back, broken } => {
                    if summed.why.is_none() {
                        summed.results.clear();
                    }
                    summed.id = Some(rolled_back.id);
                    summed.unrestored.extend(rolled_back.unrestored.clone());
                    summed.results.extend(broken.iter().cloned());
                    let before = summed.why.take().map(|why| format!("{why}; "));
                    summed.why = Some(before.unwrap_or_default() + &rolled_back.why);
                    summed.outcome = if summed.unrestored.is_empty() {
                        "rolled back, verified"
                    } else {
                        "rolled back, not all restored"
                    };
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
        Applying::Unchanged { results } | Applying::Committed { results, .. } if is_last => results,
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
