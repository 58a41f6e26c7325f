//! `holdfast backup status`

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{entries, jobs, shown};
use crate::{
    backup::{
        catalogue::Entry,
        manifest::{Kind, seconds},
        rows::{Rows, watch},
        run::Job,
        signing,
        standing::{Aged, Standing},
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    controls::backup::rows,
    engine::check::{Judgement, Verdict},
    host::{Reader, clock},
    profile::{Loaded, types::TimeSpan},
    report,
};

pub(super) fn status(
    context: &Context,
    loaded: &Loaded,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    let (mut exit, mut documents, now) = (Exit::Ok, Vec::new(), clock::now());
    let reader = Reader::live();
    for job in jobs(loaded, name)? {
        let (entries, key) = entries(context, job)?;
        let standing = Standing::of(&entries, now);
        let files = watch::entries(job.backup.store.as_str(), job.name, &key)?;
        let told = Told {
            rows_point: files.iter().rev().find_map(Entry::<Rows>::proven).map(|rows| rows.begun),
            lost: lost(&entries).chain(lost(&files)).collect(),
            key: signing::public(&key),
        };
        if !standing.is_good(job.backup) {
            exit = Exit::Findings;
        }
        let rows = rows(job.name, job.backup, &reader);
        if rows.iter().any(|judgement| matches!(said(judgement).1, Tone::Bad)) {
            exit = Exit::Findings;
        }
        match context.format {
            Format::Json => documents.push(standing_json(job, &standing, &rows, &told)),
            Format::Text => standing_text(context, job, &standing, &rows, &told)?,
        }
    }
    if context.format == Format::Json {
        let body = json!({ "backups": documents });
        context.out.raw(&report::json::document("backup status", body))?;
    }
    Ok(exit)
}

/// What is told beside how dumps stand.
struct Told {
    /// When the newest proven file of DKG rows was begun: each row and status that was there then comes back.
    rows_point: Option<Timestamp>,
    /// The backups that are lost, as a person has said.
    lost: Vec<String>,
    /// The host's public key.
    key: String,
}

fn lost<K: Kind>(entries: &[Entry<K>]) -> impl Iterator<Item = String> {
    entries.iter().filter(|entry| entry.is_lost()).map(|entry| entry.id.clone())
}

/// The outcome of a judgement on DKG rows, and what was seen.
fn said(judgement: &Judgement) -> (&'static str, Tone, &str) {
    match &judgement.verdict {
        Verdict::Holds { observed } => ("pass", Tone::Good, observed),
        Verdict::Differs { observed } => ("fail", Tone::Bad, observed),
        Verdict::Unknown { why } => ("cannot-check", Tone::Bad, why),
        Verdict::NotApplicable { why } => ("not-applicable", Tone::Faint, why),
        Verdict::Accumulating { observed } => ("accumulating", Tone::Faint, observed),
    }
}

fn standing_json(job: Job<'_>, standing: &Standing<'_>, rows: &[Judgement], told: &Told) -> Value {
    let rows = rows.iter().map(|judgement| {
        let (outcome, _, text) = said(judgement);
        json!({ "check": judgement.id(), "outcome": outcome, "text": text })
    });
    let id = |aged: Option<Aged<'_>>| aged.map(|aged| aged.manifest.id.clone());
    let age = |aged: Option<Aged<'_>>| aged.and_then(|aged| aged.age).map(TimeSpan::as_secs);
    let drill = standing.drilled.and_then(|aged| aged.manifest.proof.drill.as_ref());
    json!({
        "name": job.name,
        "good": standing.is_good(job.backup),
        "newest": standing.newest.map(|entry| &entry.id),
        "newest_proven": id(standing.proven),
        "newest_proven_seconds": age(standing.proven),
        "proven_within_seconds": job.backup.proven_within.as_secs(),
        "proof_milliseconds": standing.proven.map(|aged| aged.manifest.proof.milliseconds),
        "recovery_point": standing.proven.map(|aged| aged.manifest.begun),
        "newest_drilled": id(standing.drilled),
        "newest_drilled_seconds": age(standing.drilled),
        "drilled_within_seconds": job.backup.drilled_within.as_secs(),
        "recovery_milliseconds": drill.map(|drill| drill.restore_milliseconds),
        "rows": rows.collect::<Vec<_>>(),
        "rows_recovery_point": told.rows_point,
        "lost": told.lost,
        "chain": standing.proven.and_then(|aged| aged.manifest.of.chain.as_ref()),
        "host_key": told.key,
    })
}

fn standing_text(
    context: &Context,
    job: Job<'_>,
    standing: &Standing<'_>,
    rows: &[Judgement],
    told: &Told,
) -> Result<(), Failure> {
    let (out, name) = (&context.out, job.name);
    let line = |what: &str, aged: Option<Aged<'_>>, within: TimeSpan, none: &str| {
        let good = aged.is_some_and(|aged| aged.is_within(within));
        let told = aged.map_or_else(
            || none.to_owned(),
            |aged| format!("{}; at most {within} is allowed", aged.told()),
        );
        let tone = if good { Tone::Good } else { Tone::Bad };
        out.line(format!("{name}: newest {what}: {}", out.paint(tone, &told)))
    };
    let none = "none; no backup has ever been proven, or none that was is still whole";
    line("proven", standing.proven, job.backup.proven_within, none)?;
    let point = |what: &str, begun: Option<Timestamp>, back: &str, none: &str| {
        let words = begun.map_or_else(
            || out.paint(Tone::Bad, &format!("none: {none}")),
            |begun| format!("{begun}: {back}"),
        );
        out.line(format!("{name}: recovery point{what}: {words}"))
    };
    let begun = standing.proven.map(|aged| aged.manifest.begun);
    let none = "nothing of the database is known to come back";
    point("", begun, "what was committed until then comes back", none)?;
    let back = "each row and status that was there then comes back";
    let none = "no row of it is known to come back but from a dump";
    point(" of DKG rows", told.rows_point, back, none)?;
    if !told.lost.is_empty() {
        let (count, list) = (told.lost.len(), "holdfast backup list, holdfast backup rows");
        out.line(format!("{name}: {count} are lost, as a person has said; see: {list}"))?;
    }
    if let Some(newest) = standing.newest.filter(|entry| entry.proven().is_none()) {
        out.line(format!("{name}: newest: {}", shown::text_of(context, newest)))?;
    }
    let none = "none; run: holdfast backup run --drill";
    line("restored as a whole", standing.drilled, job.backup.drilled_within, none)?;
    if let Some(drill) = standing.drilled.and_then(|aged| aged.manifest.proof.drill.as_ref()) {
        let took = seconds(drill.restore_milliseconds);
        out.line(format!("{name}: recovery takes {took}, as measured by that"))?;
    }
    if let Some(word) = standing.proven.and_then(|aged| aged.manifest.of.chain.as_ref()) {
        let tone = if word.verdict == "equal" { Tone::Good } else { Tone::Bad };
        out.line(format!("{name}: on chain: {}", out.paint(tone, &word.text)))?;
    }
    for judgement in rows {
        let (_, tone, text) = said(judgement);
        let what = &judgement.expected;
        out.line(format!("{name}: {what}: {}", out.paint(tone, text)))?;
    }
    Ok(out.line(format!("{name}: signed with the host's key {}", told.key))?)
}
