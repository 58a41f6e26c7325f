//! `holdfast locked-child`: the processes that hold keys. They talk on their standard streams, and say nothing else.

use crate::{
    backup::joint,
    cli::failure::{Exit, Failure},
    key,
    locked::Purpose,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What it is there for
    purpose: Purpose,
}

pub(super) async fn run(args: &Args) -> Result<Exit, Failure> {
    let (mut from, mut to) = (std::io::stdin().lock(), std::io::stdout().lock());
    let said = match args.purpose {
        Purpose::Ceremony => key::child::run(&mut from, &mut to),
        Purpose::Backup => joint::child::run(&mut from, &mut to).await,
    };
    // Nobody is there to whom a reason could be given.
    said.map_err(|_| Failure::said(Exit::Failed))?;
    Ok(Exit::Ok)
}
