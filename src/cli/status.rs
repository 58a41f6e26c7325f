//! `holdfast status`

use std::path::Path;

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    engine::store::{Ending, STATE_DIR},
    host::{Reader, bus::UnitStatus, clock},
    profile::{self, RealSources, Trust},
    report::{self, saved},
};

/// The timers that keep a host as it is.
const TIMERS: [&str; 2] = ["holdfast-verify.timer", "holdfast-correct.timer"];

pub(super) async fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let records = host::store().records()?;
    let current = records.iter().rev().find(|record| {
        record.end.as_ref().is_some_and(|end| matches!(end.ending, Ending::Committed { .. }))
    });
    let open: Vec<u64> = host::store().unfinished()?;
    let report = saved::load(Path::new(STATE_DIR));
    let options = host::options(Trust::Check);
    let profile = profile::load(&args.profile, &RealSources, &options).ok();
    let applied_digest = current.and_then(|record| record.begin.profile.as_ref());
    let is_applied = match (&profile, applied_digest) {
        (Some(loaded), Some(applied)) => Some(loaded.digest == applied.digest),
        _ => None,
    };
    let reader = Reader::live();
    let mut timers: Vec<(&str, Option<UnitStatus>)> = Vec::new();
    for name in TIMERS {
        let status = match reader.systemd().await {
            Ok(systemd) => systemd.unit(name).await.ok(),
            Err(_) => None,
        };
        timers.push((name, status));
    }
    let today = clock::today();
    let waivers =
        profile.as_ref().map(|loaded| loaded.profile.waiver.as_slice()).unwrap_or_default();

    if context.format == Format::Json {
        let timers: serde_json::Map<_, _> = timers
            .iter()
            .map(|(name, status)| {
                (
                    String::from(*name),
                    json!(status.as_ref().map(|s| json!({ "file": s.file, "active": s.active }))),
                )
            })
            .collect();
        let body = json!({
            "generation": current.map(|record| record.begin.id),
            "applied": current.map(|record| record.begin.started),
            "by": current.map(|record| &record.begin.by),
            "profile": { "path": args.profile, "valid": profile.is_some(), "applied": is_applied },
            "interrupted": open,
            "report": report,
            "timers": timers,
            "waivers": waivers,
        });
        context.out.raw(&report::json::document("status", body))?;
        return Ok(Exit::Ok);
    }

    let out = &context.out;
    match current {
        Some(record) => out.line(format!(
            "generation  {} of {}, by {} (`{}`)",
            record.begin.id, record.begin.started, record.begin.by, record.begin.command
        ))?,
        None => out.line("generation  none: nothing was applied to this host yet")?,
    }
    let path = args.profile.display();
    let words = match (&profile, is_applied) {
        (None, _) => {
            out.paint(Tone::Bad, &format!("missing or not valid; run: holdfast check {path}"))
        }
        (Some(_), Some(true)) => "as applied".to_owned(),
        (Some(_), Some(false)) => {
            out.paint(Tone::Warn, "changed since it was applied; run: holdfast plan")
        }
        (Some(_), None) => "not applied".to_owned(),
    };
    out.line(format!("profile     {path}: {words}"))?;
    if let Some(about) = profile.as_ref().and_then(|loaded| loaded.profile.about.as_ref()) {
        let title = about.title.as_ref().map(ToString::to_string);
        let source = about.source.as_ref().map(ToString::to_string);
        let parts: Vec<String> = [title, source].into_iter().flatten().collect();
        out.line(format!("about       {}", parts.join(", ")))?;
    }
    match &report {
        Some(saved) => {
            let counts: Vec<String> = saved
                .summary
                .iter()
                .filter(|(word, _)| *word != "total")
                .map(|(word, count)| format!("{count} {word}"))
                .collect();
            out.line(format!("verified    {}: {}", saved.at, counts.join(", ")))?;
            for (check, finding) in &saved.findings {
                let text = format!("  {} {check} since {}", finding.outcome.word(), finding.since);
                out.line(out.paint(Tone::Bad, &text))?;
            }
        }
        None => out.line("verified    never; run: holdfast verify")?,
    }
    for (name, status) in &timers {
        let text = match status {
            Some(status) if status.exists() && status.is_running() => "running".to_owned(),
            Some(status) if status.exists() => {
                out.paint(Tone::Warn, &format!("not running; run: systemctl enable --now {name}"))
            }
            Some(_) => "not installed".to_owned(),
            None => "unknown: systemd did not answer".to_owned(),
        };
        out.line(format!("timer       {name}: {text}"))?;
    }
    for waiver in waivers {
        let over = if waiver.is_expired(today) {
            out.paint(Tone::Warn, " (over: counts as nothing)")
        } else {
            String::new()
        };
        out.line(format!(
            "waiver      {} until {} by {}: {}{over}",
            waiver.check, waiver.until, waiver.approved_by, waiver.reason
        ))?;
    }
    for id in &open {
        out.line(out.paint(
            Tone::Bad,
            &format!("interrupted transaction {id}; it is repaired by: holdfast verify"),
        ))?;
    }
    Ok(Exit::Ok)
}
