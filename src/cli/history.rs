//! `holdfast history`

use serde_json::json;

use super::{
    Context, Format, confirm,
    failure::{Exit, Failure},
    host,
};
use crate::{
    engine::{
        session::describe,
        store::{Ending, Kind, Record},
    },
    report,
};

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let records = host::store().records()?;
    match context.format {
        Format::Json => {
            let list: Vec<_> = records.iter().map(to_json).collect();
            context.out.raw(&report::json::document("history", json!({ "transactions": list })))?;
        }
        Format::Text => {
            for record in &records {
                let begin = &record.begin;
                context.out.line(format!(
                    "{:>4}  {}  {:<14} {:<10} {:>3} {:<8} {}",
                    begin.id,
                    begin.started,
                    kind(begin.kind),
                    begin.by,
                    begin.steps.len(),
                    if begin.steps.len() == 1 { "change" } else { "changes" },
                    ending(record),
                ))?;
            }
            if records.is_empty() {
                context.out.say("Nothing was applied to this host yet.");
            }
        }
    }
    Ok(Exit::Ok)
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Apply => "apply".to_owned(),
        Kind::Correct => "correct".to_owned(),
        Kind::Rollback { of } => format!("rollback {of}"),
    }
}

fn ending(record: &Record) -> String {
    match (record.end.as_ref().map(|end| &end.ending), &record.provisional) {
        (None, Some(provisional)) => format!("not confirmed; until {}", provisional.until),
        (None, None) => "under way, or interrupted".to_owned(),
        (Some(Ending::Committed { confirmed: Some(confirmation), .. }), _) => {
            format!("committed, {}", confirm::words(confirmation))
        }
        (Some(Ending::Committed { .. }), _) => "committed".to_owned(),
        (Some(Ending::RolledBack { why, unrestored, .. }), _) if unrestored.is_empty() => {
            format!("rolled back, verified: {why}")
        }
        (Some(Ending::RolledBack { why, unrestored, .. }), _) => {
            format!("rolled back, not restored: {}: {why}", unrestored.join("; "))
        }
    }
}

fn to_json(record: &Record) -> serde_json::Value {
    let begin = &record.begin;
    let changes: Vec<String> = begin.steps.iter().map(|step| describe(&step.change)).collect();
    json!({
        "id": begin.id,
        "kind": begin.kind,
        "command": begin.command,
        "by": begin.by,
        "started": begin.started,
        "finished": record.end.as_ref().map(|end| end.finished),
        "profile": begin.profile,
        "changes": changes,
        "confirm_until": record.provisional.as_ref().map(|provisional| provisional.until),
        "ending": record.end.as_ref().map(|end| &end.ending),
    })
}
