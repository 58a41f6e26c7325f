//! `holdfast explain`

use serde_json::json;

use super::{
    Context, Format,
    failure::{Exit, Failure},
    out::Tone,
};
use crate::{
    controls,
    engine::check::{CheckMeta, CheckRef},
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// The check, as reports name it; without it, every check is listed
    check: Option<String>,
}

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<Exit, Failure> {
    let Some(check) = &args.check else { return list(context) };
    let CheckRef { base, subject } = CheckRef::parse(check);
    let Some(meta) = controls::check_meta(base) else { return Err(unknown(base)) };
    if context.format == Format::Json {
        let mut body = to_json(meta);
        body["subject"] = json!(subject);
        context.out.raw(&report::json::document("explain", body))?;
        return Ok(Exit::Ok);
    }
    let out = &context.out;
    let word = |value| serde_json::to_value(value).unwrap_or_default();
    out.line(format!("{}: {}", out.paint(Tone::Strong, check), meta.title))?;
    out.line(format!("severity   {}", word(json!(meta.severity)).as_str().unwrap_or_default()))?;
    out.line(format!("evidence   {}", word(json!(meta.evidence)).as_str().unwrap_or_default()))?;
    out.line(format!("practice   {}", meta.practices.join(", ")))?;
    out.line(format!("why        {}", meta.why))?;
    out.line(format!("source     {}", meta.source))?;
    out.line(format!("to mend    {}", meta.fix))?;
    Ok(Exit::Ok)
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let checks = controls::checks();
    if context.format == Format::Json {
        let list: Vec<_> = checks.map(to_json).collect();
        context.out.raw(&report::json::document("explain", json!({ "checks": list })))?;
        return Ok(Exit::Ok);
    }
    for meta in checks {
        context.out.line(format!("{:<22} {}", meta.id, meta.title))?;
    }
    Ok(Exit::Ok)
}

fn to_json(meta: &CheckMeta) -> serde_json::Value {
    json!({
        "check": meta.id,
        "title": meta.title,
        "severity": meta.severity,
        "evidence": meta.evidence,
        "practices": meta.practices,
        "why": meta.why,
        "source": meta.source,
        "fix": meta.fix,
    })
}

fn unknown(base: &str) -> Failure {
    let ids = controls::checks().map(|meta| meta.id);
    let nearest =
        ids.max_by(|a, b| strsim::jaro_winkler(a, base).total_cmp(&strsim::jaro_winkler(b, base)));
    let failure = Failure::new(Exit::Usage, format!("there is no check \"{base}\""));
    match nearest {
        Some(nearest) => {
            failure.hint(format!("did you mean {nearest}? `holdfast explain` lists all"))
        }
        None => failure,
    }
}
