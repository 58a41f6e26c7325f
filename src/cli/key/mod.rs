//! `holdfast key`: the ceremony that brings keys into cold storage.

mod carry;
mod challenge;
mod inspect;
mod open;
mod plan;
mod prove;
mod retire;
mod rows;
mod sign;
mod terminal;

use std::path::{Path, PathBuf};

use super::{
    Context, PROFILE,
    failure::{Exit, Failure},
    host,
};
use crate::{
    host::{Files, error::chain},
    key::{
        ceremony::{CeremonyError, Named, named},
        child::ChildError,
        transcript::Kind,
    },
    profile::{Trust, schema::Person},
};

#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Check a plan, and show its digest and who has signed it
    Plan(PlanArg),
    /// Before an export, have a custodian of a plan show that they can open what will be sealed to them
    Challenge(challenge::Args),
    /// Go through the whole ceremony with a key that is thrown away
    Rehearse(carry::Args),
    /// Bring the keys of a plan onto its media, each proven to open
    Export(carry::Args),
    /// Take the signatures of a ceremony's transcript that are still missing
    Sign(sign::Args),
    /// List the ceremonies, or show one: its record, its signatures, and whether a medium is as it was written
    Inspect(inspect::Args),
    /// Have a custodian prove that they can open their copies: make a challenge, or take a signed receipt
    Prove(prove::ProveArgs),
    /// Open a key from a medium or from paper without showing it, and say whether it is the one that was exported
    Drill(open::DrillArgs),
    /// Bring a key back, into a file or a credential of systemd
    Restore(open::RestoreArgs),
    /// Have an export count no more: make the statement, or take it with both signatures
    Retire(retire::Args),
    /// Show when keys were last drilled, when they must be again, and which custodian proved when
    Status,
}

/// Which plan.
#[derive(Debug, clap::Args)]
struct PlanArg {
    /// The plan
    plan: PathBuf,
}

/// Runs one of them.
pub(super) fn run(context: &Context, args: &KeyArgs) -> Result<Exit, Failure> {
    match &args.command {
        KeyCommand::Plan(args) => plan::run(context, args),
        KeyCommand::Challenge(args) => challenge::run(context, args),
        KeyCommand::Rehearse(args) => carry::run(context, args, Kind::Rehearsal),
        KeyCommand::Export(args) => carry::run(context, args, Kind::Export),
        KeyCommand::Sign(args) => sign::run(context, args),
        KeyCommand::Inspect(args) => inspect::run(context, args),
        KeyCommand::Prove(args) => prove::prove(context, args),
        KeyCommand::Drill(args) => open::drill_key(context, args),
        KeyCommand::Restore(args) => open::restore_key(context, args),
        KeyCommand::Retire(args) => retire::run(context, args),
        KeyCommand::Status => prove::status(context),
    }
}

/// The people of the host's profile, and of no other: nobody where there is none.
fn people(context: &Context) -> Result<Vec<Person>, Failure> {
    if Files::below("/").head(PROFILE, 1)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(host::load(context, Path::new(PROFILE), Trust::Enforced)?.profile.people)
}

/// Reads a plan, and prints what there is to say about it.
fn read(context: &Context, path: &Path) -> Result<Named, Failure> {
    let color = context.out.has_color_on_stderr();
    match named(path) {
        Ok(named) => {
            if !named.warnings().is_empty() {
                context.out.say(named.document.render_warnings(color).trim_end());
            }
            Ok(named)
        }
        Err(CeremonyError::Plan(faulty)) => {
            context.out.always(faulty.render(color).trim_end());
            Err(Failure::said(Exit::Data))
        }
        Err(other) => Err(other.into()),
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let message = chain(&error);
        match error {
            CeremonyError::Host(error) | CeremonyError::Child(ChildError::Host(error)) => {
                error.into()
            }
            CeremonyError::Unsigned { command, .. } => {
                Self::new(Exit::Data, message).hint(format!("they sign it with: {command}"))
            }
            CeremonyError::NotRehearsed(_) => Self::new(Exit::Failed, message)
                .hint("holdfast key rehearse PLAN, with this very plan"),
            CeremonyError::Room(_) | CeremonyError::NotTheMedium(..) => {
                Self::new(Exit::Failed, message).hint(
                    "mend that, or have an exception in the plan, or made by both when asked (of `people` the plan only)",
                )
            }
            CeremonyError::NoPlan { .. }
            | CeremonyError::LargePlan { .. }
            | CeremonyError::Plan(_)
            | CeremonyError::BadSignature { .. }
            | CeremonyError::Expired(_)
            | CeremonyError::Broken { .. } => Self::new(Exit::Data, message),
            CeremonyError::NoSuch(_) => {
                Self::new(Exit::Usage, message).hint("holdfast key inspect")
            }
            CeremonyError::Unanswered(_)
            | CeremonyError::No(_)
            | CeremonyError::Child(_)
            | CeremonyError::Medium { .. } => Self::new(Exit::Failed, message),
        }
    }
}
