//! `holdfast logs`

use std::path::Path;

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
};
use crate::{
    controls::logs,
    engine::{outcome::decide, store::STATE_DIR},
    host::clock,
    profile::{Trust, schema::Mode},
    report::{self, saved},
};

pub(super) async fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (reader, lock) = host::reader(context).await?;
    let loaded = host::load(context, &args.profile, Trust::Check)?;
    let section = loaded.profile.logs.as_ref();
    let table = logs::table(section, &reader);
    drop(lock);
    let applied = host::store().applied()?.map(|(_, applied)| applied);
    let (mode, today) = (section.map_or(Mode::Audit, |section| section.mode), clock::today());
    let results = table.judgements.iter();
    let results = results
        .map(|each| decide(each, "logs", mode, applied.as_ref(), &loaded.profile.waiver, today));
    let results: Vec<_> = results.collect();
    let state_dir = Path::new(STATE_DIR);
    if let Some((name, bytes)) = &table.note
        && state_dir.is_dir()
        && let Err(error) = saved::keep(state_dir, name, bytes)
    {
        context.out.warn(&format!("cannot keep {name} in {STATE_DIR}: {error}"));
    }
    match context.format {
        Format::Json => {
            let body = json!({
                "at": clock::now(),
                "profile": { "path": args.profile, "digest": loaded.digest },
                "sources": table.rows,
                "journals": table.journals,
                "summary": report::json::summary(&results),
                "results": results,
            });
            context.out.raw(&report::json::document("logs", body))?;
        }
        Format::Text => {
            for line in report::logs::lines(&table.rows) {
                context.out.line(line)?;
            }
            for line in report::text::lines(&results, false, &context.out) {
                context.out.line(line)?;
            }
        }
    }
    let needs_attention = results.iter().any(|result| result.outcome.needs_attention());
    Ok(if needs_attention { Exit::Findings } else { Exit::Ok })
}
