//! `holdfast util`: what packaging and documentation are made from.

use super::{
    Context,
    failure::{Exit, Failure},
};
use crate::profile;

#[derive(Debug, clap::Args)]
pub(super) struct UtilArgs {
    #[command(subcommand)]
    command: UtilCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UtilCommand {
    /// Print the reference of profiles as Markdown
    Reference,
}

pub(super) fn run(context: &Context, args: &UtilArgs) -> Result<Exit, Failure> {
    match args.command {
        UtilCommand::Reference => context.out.raw(&profile::reference_markdown())?,
    }
    Ok(Exit::Ok)
}
