//! `holdfast key sign`

use std::path::PathBuf;

use super::{
    carry::{Said, script},
    people,
    terminal::Terminal,
};
use crate::{
    cli::{
        Context,
        failure::{Exit, Failure},
        host,
    },
    host::binder::Shelf,
    key::{ceremony::reopen, questions::Ask},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ceremony
    name: String,

    /// A file that answers every question
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let mut script = args.answers.as_deref().map(script).transpose()?;
    let mut terminal = Terminal::new(&context.out);
    let ask: &mut dyn Ask = match script.as_mut() {
        Some(script) => script,
        None => &mut terminal,
    };
    let people = people(context)?;
    let signed = reopen(Shelf::of_host(), &args.name, &people, ask, &mut Said(context))?;
    if signed.is_complete() {
        context.out.say(format!("{}: signed by both", args.name));
        return Ok(Exit::Ok);
    }
    let missing: Vec<_> = signed.missing.iter().map(|role| role.as_str()).collect();
    context.out.say(format!("{}: not yet signed by the {}", args.name, missing.join(" and the ")));
    Ok(Exit::Findings)
}
