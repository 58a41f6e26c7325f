//! `holdfast verify`

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    Context, Format, PROFILE,
    failure::{Exit, Failure},
    host,
};
use crate::{
    engine::{
        check::Judgement,
        outcome::{CheckResult, decide},
        session,
        store::STATE_DIR,
    },
    evidence::{Log, Scan, check, entries},
    host::{
        Reader, clock,
        lock::{LOCK_PATH, Lock},
    },
    profile::{Loaded, Trust, schema::Mode},
    report::{self, journal, saved},
};

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The profile
    #[arg(default_value = PROFILE)]
    profile: PathBuf,

    /// Show the checks that pass, and those that do not apply, too
    #[arg(long, short)]
    all: bool,

    /// Only look: leave an interrupted transaction to the next command that may change the host
    #[arg(long)]
    no_repair: bool,
}

/// Records what has ended, and how what is found differs from what the log has. Returns what there is to say of the log.
fn record(
    context: &Context,
    loaded: &Loaded,
    is_own: bool,
    results: &[CheckResult],
) -> CheckResult {
    let (today, store) = (clock::today(), host::store());
    let decided = |judgement: &Judgement| {
        decide(judgement, "evidence", Mode::Audit, None, &loaded.profile.waiver, today)
    };
    let seen = RefCell::new(decided(&check::judge(&Scan::default())));
    // Before anything was applied there is no state folder, and a look does not make one.
    if !Path::new(STATE_DIR).is_dir() {
        return seen.into_inner();
    }
    let written = Log::below(STATE_DIR).record(clock::now(), |scan| {
        // As it is before this is added: what was cut off is not to be hidden by what comes after it.
        let log = decided(&check::judge(scan));
        let mut entries = entries::transactions(&store, scan)?;
        // What is found against another profile is no finding of this host's.
        if is_own {
            let all = [results, std::slice::from_ref(&log)].concat();
            entries.extend(entries::findings(&all, &loaded.digest, scan));
        }
        seen.replace(log);
        Ok(entries)
    });
    match written {
        Ok(_) => seen.into_inner(),
        Err(error) => {
            host::warn_of_log(context, &error);
            decided(&check::failed(&error))
        }
    }
}

pub(super) async fn run(context: &Context, args: &VerifyArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    // First of all: what was interrupted is repaired whatever has become of the profile.
    let (reader, lock) = if args.no_repair {
        (Reader::live(), Lock::shared(Path::new(LOCK_PATH))?)
    } else {
        host::reader(context).await?
    };
    let loaded = host::load(context, &args.profile, Trust::Check)?;
    let store = host::store();
    let pending = store.pending(&reader)?;
    let mut unfinished = store.unfinished()?;
    // What waits for a person's word was not interrupted.
    unfinished.retain(|id| pending.as_ref().is_none_or(|(record, _)| record.begin.id != *id));
    let applied = store.applied()?.map(|(_, applied)| applied);
    let looks = session::look(&loaded.profile, &reader).await;
    let now = clock::now();
    let waivers = &loaded.profile.waiver;
    let mut results = session::judge(&looks, applied.as_ref(), waivers, clock::today());
    let state_dir = Path::new(STATE_DIR);
    let earlier = saved::load(state_dir);
    let is_own = args.profile == Path::new(PROFILE);
    results.push(record(context, &loaded, is_own, &results));
    drop(lock);

    let saved = saved::date(&mut results, earlier.as_ref(), now);
    // Before anything was applied there is no state folder, and a look does not make one.
    if state_dir.is_dir()
        && let Err(error) = saved::store(state_dir, &saved)
    {
        context.out.warn(&format!("cannot keep this report in {STATE_DIR}: {error}"));
    }
    for (name, bytes) in looks.iter().filter_map(|look| look.comparison.note()) {
        if state_dir.is_dir()
            && let Err(error) = saved::keep(state_dir, name, &bytes)
        {
            context.out.warn(&format!("cannot keep {name} in {STATE_DIR}: {error}"));
        }
    }
    let has_findings =
        !unfinished.is_empty() || results.iter().any(|result| result.outcome.needs_attention());
    let summary = report::text::summary(&results);
    journal::findings(&results);
    journal::verified(&summary, if has_findings { "findings" } else { "pass" });

    match context.format {
        Format::Json => {
            let body = json!({
                "at": now,
                "profile": { "path": args.profile, "digest": loaded.digest },
                "interrupted": unfinished,
                "pending": pending.as_ref().map(|(record, found)| host::pending_json(record.begin.id, found)),
                "summary": report::json::summary(&results),
                "results": results,
            });
            context.out.raw(&report::json::document("verify", body))?;
        }
        Format::Text => {
            for line in report::text::lines(&results, args.all, &context.out) {
                context.out.line(line)?;
            }
            context.out.say(summary);
        }
    }
    if let Some((record, provisional)) = &pending {
        host::warn_of_pending(context, record.begin.id, provisional);
    }
    for id in &unfinished {
        context.out.warn(&format!(
            "transaction {id} was interrupted and is not repaired yet; run: holdfast correct"
        ));
    }
    Ok(if has_findings { Exit::Findings } else { Exit::Ok })
}
