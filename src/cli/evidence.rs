//! `holdfast evidence`

use std::path::Path;

use serde_json::{Value, json};

use super::{
    Context, Format,
    failure::{Exit, Failure},
    host,
    out::{Tone, harmless},
};
use crate::{
    engine::store::STATE_DIR,
    evidence::{
        Log, Record, Scan, anchor, check, entries,
        judge::{self, Problem},
        record::kind,
    },
    host::{
        Reader,
        lock::{LOCK_PATH, Lock},
    },
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct EvidenceArgs {
    #[command(subcommand)]
    command: EvidenceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum EvidenceCommand {
    /// Look whether a record was removed, altered, moved or cut off, here and against the journal
    Verify,
    /// List the newest records
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 30)]
    last: usize,
}

/// Runs one of them.
pub(super) async fn run(context: &Context, args: &EvidenceArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    match &args.command {
        EvidenceCommand::Verify => verify(context).await,
        EvidenceCommand::List(args) => list(context, args),
    }
}

async fn verify(context: &Context) -> Result<Exit, Failure> {
    // A transaction that is just being recorded is not one that was left out.
    let lock = Lock::shared(Path::new(LOCK_PATH))?;
    let scan = Log::below(STATE_DIR).scan()?;
    let kept = entries::kept(&host::store())?;
    drop(lock);
    let head = scan.as_ref().and_then(|scan| scan.head);
    let anchors = anchor::read(&Reader::live(), head).await.map_err(|error| error.chain());
    let problems = judge::all(scan.as_ref(), &anchors, &kept);
    let records = scan.as_ref().map_or(0, Scan::count);
    let newest = anchors.as_ref().ok().and_then(|all| all.iter().max_by_key(|one| one.sequence));
    match context.format {
        Format::Json => {
            let body = json!({
                "records": records,
                "newest": head,
                "anchors": anchors.as_ref().ok().map(Vec::len),
                "anchored": newest.map(|one| json!({ "sequence": one.sequence, "digest": one.digest, "at": one.at })),
                "findings": problems.iter().map(to_json).collect::<Vec<_>>(),
            });
            context.out.raw(&report::json::document("evidence verify", body))?;
        }
        Format::Text => {
            for problem in &problems {
                let (tone, word) = if problem.is_unknown() {
                    (Tone::Warn, "cannot-check")
                } else {
                    (Tone::Bad, "fail")
                };
                let word = context.out.paint(tone, &format!("{word:<14}"));
                context.out.line(format!("{word} {}", harmless(&problem.to_string())))?;
            }
            if problems.is_empty() {
                let text = match newest {
                    None => "Nothing was recorded on this host yet.".to_owned(),
                    Some(one) => format!(
                        "{}; the journal saw record {} at {}.",
                        check::counted(records),
                        one.sequence,
                        one.at
                    ),
                };
                context.out.line(context.out.paint(Tone::Good, &text))?;
            }
        }
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Findings })
}

fn to_json(problem: &Problem) -> Value {
    let mut value = json!(problem);
    value["outcome"] = json!(if problem.is_unknown() { "cannot-check" } else { "fail" });
    value["text"] = json!(problem.to_string());
    value
}

fn list(context: &Context, args: &ListArgs) -> Result<Exit, Failure> {
    let newest = Log::below(STATE_DIR).newest(args.last)?;
    match context.format {
        Format::Json => {
            let body = json!({ "records": newest });
            context.out.raw(&report::json::document("evidence list", body))?;
        }
        Format::Text => {
            for record in &newest {
                context.out.line(harmless(&line(record)))?;
            }
            if newest.is_empty() {
                context.out.say("Nothing was recorded on this host yet.");
            }
        }
    }
    Ok(Exit::Ok)
}

/// A record on one line.
fn line(record: &Record) -> String {
    let Record { sequence, at, kind, subject, payload, .. } = record;
    let text = |name: &str| payload[name].as_str().unwrap_or_default();
    let rest = match kind.as_str() {
        kind::TRANSACTION => {
            let why = match text("why") {
                "" => String::new(),
                why => format!(": {why}"),
            };
            format!("`{}` by {}: {}{why}", text("command"), text("by"), text("outcome"))
        }
        kind::FINDING => format!(
            "{}: expected {}; observed {}",
            text("outcome"),
            text("expected"),
            text("observed")
        ),
        kind::PENDING => {
            format!("`{}` by {}: waits until {}", text("command"), text("by"), text("until"))
        }
        kind::OPENED => {
            format!("by {} until {}: {}", text("by"), text("until"), text("reason"))
        }
        kind::FORGOTTEN => format!("by {}: {}", text("by"), text("reason")),
        kind::CLOSED => format!("by {}; it was {}", text("by"), text("was")),
        kind::FINDING_ENDED => format!("was {}", text("was")),
        kind::MENDED => format!("{} bytes of a write that was cut off", payload["bytes"]),
        _ => payload.to_string(),
    };
    // One line, whatever a command line or an error had in it.
    let rest = rest.replace(['\n', '\t'], " ");
    format!("{sequence:>5}  {at}  {kind:<13} {subject} {rest}")
}
