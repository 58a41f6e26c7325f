//! `holdfast rollback`

use std::path::Path;

use serde_json::json;

use super::{
    Context, Format, PROFILE,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    engine::{
        apply::{RollingBack, roll_back_to},
        change::Step,
        session::describe,
        store::Kind,
        transaction::RolledBack,
    },
    profile::{self, RealSources, Trust},
    report::{self, journal},
};

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The transaction before which the host is to be again; see `holdfast history`
    id: u64,

    #[command(flatten)]
    confirm: host::ConfirmArgs,
}

/// What there is to tell.
#[derive(Default)]
struct Told {
    exit: Exit,
    outcome: &'static str,
    id: u64,
    changes: Vec<String>,
    why: Option<String>,
    unrestored: Vec<String>,
    set_aside: Vec<String>,
    pending: Option<serde_json::Value>,
}

impl Told {
    fn take(&mut self, rolled_back: RolledBack) {
        self.outcome = rolled_back.outcome();
        self.id = rolled_back.id;
        self.why = Some(rolled_back.why);
        self.unrestored = rolled_back.unrestored;
        self.set_aside = rolled_back.set_aside;
    }
}

pub(super) async fn run(context: &Context, args: &RollbackArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let writer = host::writer(context).await?;
    let mut request = host::request(context, Kind::Rollback { of: args.id }, None);
    // A profile that cannot be read must not keep anybody from going back.
    let profile =
        profile::load(Path::new(PROFILE), &RealSources, &host::options(Trust::Check)).ok();
    let login = profile.as_ref().and_then(|loaded| loaded.profile.login.as_ref());
    request.confirm_within = args.confirm.within(login)?;
    let progress = |index: usize, total: usize, step: &Step| {
        context.out.progress(index, total, &describe(&step.change));
    };
    let rolling = roll_back_to(&writer, &host::store(), args.id, request, progress).await?;
    context.out.progress_ends();
    host::record(context);
    drop(writer);
    let described = |steps: &[Step]| -> Vec<String> {
        steps.iter().map(|step| describe(&step.change)).collect()
    };
    let mut told = Told::default();
    match rolling {
        RollingBack::Done { id, steps } => {
            told =
                Told { id, changes: described(&steps), outcome: "rolled back, verified", ..told };
            journal::committed(journal::RETURNED, id, &told.changes);
        }
        RollingBack::Pending { id, steps, provisional } => {
            told = Told { id, changes: described(&steps), outcome: "pending", ..told };
            journal::pending(id, &provisional.until.to_string(), &told.changes);
            host::warn_of_pending(context, id, &provisional);
            told.pending = Some(host::pending_json(id, &provisional));
        }
        RollingBack::Withdrawn(rolled_back) => {
            journal::rolled_back(&rolled_back);
            if !rolled_back.unrestored.is_empty() {
                context.out.error(&host::told(&rolled_back), &[]);
                told.exit = Exit::Failed;
            }
            told.take(rolled_back);
        }
        RollingBack::Failed(failed) => {
            journal::rolled_back(&failed);
            let text = host::told(&failed);
            context.out.error(&format!("the host stays as it is: {text}"), &[]);
            told.take(failed);
            told.outcome = "failed";
            told.exit = Exit::Failed;
        }
    }
    let Told { exit, outcome, id, changes, why, unrestored, set_aside, pending } = told;
    match context.format {
        Format::Json => {
            let body = json!({
                "outcome": outcome,
                "of": args.id,
                "transaction": id,
                "changes": changes,
                "why": why,
                "unrestored": unrestored,
                "set_aside": set_aside,
                "pending": pending,
            });
            context.out.raw(&report::json::document("rollback", body))?;
        }
        Format::Text if exit == Exit::Ok => {
            let text = format!("Transaction {id}: as before transaction {}: {outcome}.", args.id);
            context.out.line(context.out.paint(Tone::Good, &text))?;
        }
        Format::Text => {}
    }
    Ok(exit)
}
