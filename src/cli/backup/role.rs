//! `holdfast backup role`

use serde_json::json;

use super::job;
use crate::{
    backup::{
        role::{faults, log_in, look, make, statements},
        server::ServerError,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    host::{Reader, error::chain},
    profile::Loaded,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup's name in the profile
    name: String,

    /// Make the role, or take from it what is too much
    #[arg(long, conflicts_with = "sql")]
    make: bool,

    /// Only print the SQL that makes it, for a server whose superuser is not on this host
    #[arg(long)]
    sql: bool,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let (name, backup) = (args.name.as_str(), job(loaded, &args.name)?.backup);
    let by_socket = backup.host.is_none() && !backup.credential;
    if args.sql {
        for statement in statements(&backup.role, None, by_socket) {
            context.out.line(format!("{statement};"))?;
        }
        return Ok(Exit::Ok);
    }
    if !by_socket {
        let text = format!("the superuser of {} is not on this host's socket", args.name);
        return Err(Failure::new(Exit::Usage, text)
            .hint("give what `holdfast backup role NAME --sql` prints to who administers it"));
    }
    let reader = Reader::live();
    let mut rights = look(&reader, name, backup)?;
    let todo = statements(&backup.role, rights.as_ref(), by_socket);
    let is_done = args.make && !todo.is_empty();
    if is_done {
        make(&reader, name, backup, &todo)?;
        rights = look(&reader, name, backup)?;
    }
    let mut faults = faults(rights.as_ref(), by_socket);
    if rights.is_some() {
        match log_in(&reader, name, backup) {
            Ok(()) => {}
            Err(error @ ServerError::NoAccount(_)) => faults.push(error.to_string()),
            Err(error) => {
                let way = if backup.container.is_some() { "trust" } else { "peer" };
                let why = chain(&error);
                faults.push(format!(
                    "its account cannot log in as it; pg_hba.conf should have `local all all {way}`: {why}"
                ));
            }
        }
    }
    let exit = if faults.is_empty() { Exit::Ok } else { Exit::Findings };
    let out = &context.out;
    if context.format == Format::Json {
        let done = if is_done { todo } else { Vec::new() };
        let body = json!({ "role": backup.role.as_str(), "faults": faults, "done": done });
        out.raw(&report::json::document("backup role", body))?;
        return Ok(exit);
    }
    if is_done {
        for statement in &todo {
            out.line(format!("done: {statement}"))?;
        }
    }
    for fault in &faults {
        out.line(format!("{}: {}", backup.role, out.paint(Tone::Bad, fault)))?;
    }
    if faults.is_empty() {
        out.line(
            out.paint(Tone::Good, &format!("{} can read all, and do nothing else.", backup.role)),
        )?;
        out.say("It reads every database of this server that it may connect to, and the verifiers of passwords.");
    } else if !args.make && !todo.is_empty() {
        out.say(format!("To put that right: holdfast backup role {} --make", args.name));
    }
    Ok(exit)
}
