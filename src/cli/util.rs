//! `holdfast util`: what packaging and documentation are made from.

use super::{
    Context,
    failure::{Exit, Failure},
    manual,
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
    /// Print a manual page, or the names of all
    Man {
        /// The page, as `holdfast-backup-run`
        name: Option<String>,
    },
    /// Print what a shell needs to complete holdfast's command lines
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

pub(super) fn run(context: &Context, args: &UtilArgs) -> Result<Exit, Failure> {
    match &args.command {
        UtilCommand::Reference => context.out.raw(&profile::reference_markdown())?,
        UtilCommand::Man { name: None } => {
            manual::names().iter().try_for_each(|name| context.out.line(name))?;
        }
        UtilCommand::Man { name: Some(name) } => {
            let page = manual::page(name);
            let page = page.ok_or_else(|| {
                Failure::new(Exit::Usage, format!("there is no manual page {name:?}"))
                    .hint("`holdfast util man` lists them")
            })?;
            context.out.raw(&page)?;
        }
        UtilCommand::Completion { shell } => context.out.raw(&manual::completion(*shell))?,
    }
    Ok(Exit::Ok)
}
