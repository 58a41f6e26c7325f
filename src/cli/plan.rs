//! `holdfast plan`

use serde_json::json;
use similar::TextDiff;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
    out::{Tone, harmless},
};
use crate::{
    controls::Obstacle,
    engine::{
        change::{Change, FileState, Step},
        session::{self, Plan, Scope, describe},
    },
    host::{Reader, clock},
    profile::Trust,
    report,
};

pub(super) async fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    host::require_root(context)?;
    // First of all: what was interrupted is repaired whatever has become of the profile.
    let (reader, _lock) = host::reader(context).await?;
    let loaded = host::load(context, &args.profile, Trust::Check)?;
    let applied = host::store().applied()?.map(|(_, applied)| applied);
    let looks = session::look_with_previews(&loaded.profile, &reader).await;
    let waivers = &loaded.profile.waiver;
    let results = session::judge(&looks, applied.as_ref(), waivers, clock::today());
    let Plan { steps, wanted } = session::plan(&looks, &results, Scope::Everything);
    let mut diffs = Vec::new();
    for step in &steps {
        diffs.push(diff(step, &reader)?);
    }
    let obstacles = session::obstacles(&looks, &[]);
    let warnings: Vec<String> = looks.iter().flat_map(|look| look.comparison.warnings()).collect();
    let is_planned = |change: &Change| steps.iter().any(|step| step.change == *change);
    let previews: Vec<_> = looks
        .iter()
        .flat_map(|look| look.comparison.previews())
        .filter(|preview| is_planned(&preview.change))
        .map(|preview| (preview.change, unified(&preview.title, &preview.before, &preview.after)))
        .collect();
    let diff_of = |index: usize| {
        let preview = previews.iter().find(|(change, _)| *change == steps[index].change);
        preview.map_or_else(|| diffs[index].clone(), |(_, diff)| Some(diff.clone()))
    };

    match context.format {
        Format::Json => {
            let list: Vec<_> = steps
                .iter()
                .enumerate()
                .map(|(index, step)| {
                    json!({
                        "summary": describe(&step.change),
                        "change": step.change,
                        "because": step.because,
                        "diff": diff_of(index),
                    })
                })
                .collect();
            let body = json!({
                "profile": { "path": args.profile, "digest": loaded.digest },
                "wanted": wanted,
                "steps": list,
                "obstacles": obstacles
                    .iter()
                    .map(|each| json!({
                        "check": each.check,
                        "why": each.why,
                        "overridable": each.overridable,
                    }))
                    .collect::<Vec<_>>(),
                "warnings": warnings,
            });
            context.out.raw(&report::json::document("plan", body))?;
        }
        Format::Text => {
            for (index, step) in steps.iter().enumerate() {
                let because =
                    context.out.paint(Tone::Faint, &format!("for {}", brief(&step.because)));
                let summary = context.out.paint(Tone::Strong, &describe(&step.change));
                context.out.line(format!("{summary}  {because}"))?;
                if let Some(diff) = diff_of(index) {
                    context.out.raw(&paint(context, &harmless(&diff)))?;
                }
            }
            let served: std::collections::BTreeSet<&String> =
                steps.iter().flat_map(|step| &step.because).collect();
            for check in wanted.iter().filter(|check| !served.contains(check)) {
                context.out.warn(&format!(
                    "{check} does not hold and no step here is for it; if none of them mends it, apply rolls back"
                ));
            }
            for warning in &warnings {
                context.out.warn(warning);
            }
            for Obstacle { check, why, .. } in &obstacles {
                context.out.error(
                    &format!("apply would be refused: {check}: {why}"),
                    &[format!("holdfast explain {check}")],
                );
            }
            context.out.say(match steps.len() {
                0 => "No changes.".to_owned(),
                1 => "1 change. Nothing was changed yet; run: holdfast apply".to_owned(),
                n => format!("{n} changes. Nothing was changed yet; run: holdfast apply"),
            });
        }
    }
    Ok(if steps.is_empty() && wanted.is_empty() && obstacles.is_empty() {
        Exit::Ok
    } else {
        Exit::Findings
    })
}

/// The first few of a list of checks.
fn brief(checks: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = checks.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if checks.len() > SHOWN {
        text.push_str(&format!(" and {} more", checks.len() - SHOWN));
    }
    text
}

/// What a step does to a file, as a unified diff; `None` for everything else.
fn diff(step: &Step, reader: &Reader) -> Result<Option<String>, Failure> {
    let Change::Put { path, to } = &step.change else { return Ok(None) };
    let before = reader.files().state(path)?;
    let text = |state: &FileState| match state {
        FileState::Absent | FileState::Directory { .. } => Some(String::new()),
        FileState::File { .. } => state.text().map(str::to_owned),
        FileState::Symlink { target, .. } => Some(format!("link to {target}\n")),
    };
    let diff = match (text(&before), text(to)) {
        (Some(before), Some(after)) => unified(path, &before, &after),
        _ => format!("{path} is not text\n"),
    };
    Ok(Some(diff))
}

fn unified(title: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .header(&format!("{title} (now)"), &format!("{title} (planned)"))
        .to_string()
}

fn paint(context: &Context, diff: &str) -> String {
    if !context.out.has_color() {
        return diff.to_owned();
    }
    let mut painted = String::new();
    for line in diff.lines() {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Some(Tone::Good),
            Some(b'-') => Some(Tone::Bad),
            Some(b'@') => Some(Tone::Faint),
            _ => None,
        };
        painted
            .push_str(&tone.map_or_else(|| line.to_owned(), |tone| context.out.paint(tone, line)));
        painted.push('\n');
    }
    painted
}
