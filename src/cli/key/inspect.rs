//! `holdfast key inspect`

use std::path::PathBuf;

use serde_json::json;

use super::carry::text;
use crate::{
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host,
    },
    host::binder::Shelf,
    key::ceremony::{HeldTo, Paper, list, show},
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ceremony [default: list all]
    name: Option<String>,

    /// Where one of its media is mounted: it is held to the record
    #[arg(long, value_name = "DIR", requires = "name")]
    medium: Option<String>,

    /// What was scanned or typed from one of its sheets: the same
    #[arg(long, value_name = "FILE", requires = "name")]
    paper: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let shelf = Shelf::of_host();
    match &args.name {
        None => all(context, &shelf),
        Some(name) => one(context, &shelf, name, args),
    }
}

fn all(context: &Context, shelf: &Shelf) -> Result<Exit, Failure> {
    let all = list(shelf)?;
    let good = all.iter().all(|each| each.fault.is_none());
    match context.format {
        Format::Json => {
            let each = |it: &crate::key::ceremony::Standing| {
                json!({
                    "name": it.name, "kind": it.kind, "done": it.done, "given_up": it.is_given_up, "signed": it.is_signed, "fault": it.fault,
                })
            };
            let ceremonies: Vec<_> = all.iter().map(each).collect();
            let body = json!({ "good": good, "ceremonies": ceremonies });
            context.out.raw(&report::json::document("key inspect", body))?;
        }
        Format::Text => {
            for it in &all {
                let state = match (&it.fault, it.done, it.is_signed) {
                    (Some(fault), ..) => fault.clone(),
                    (None, None, _) if it.is_given_up => "interrupted, and given up".to_owned(),
                    (None, None, _) => "interrupted: the same command goes on with it".to_owned(),
                    (None, Some(at), true) => format!("done {at}, signed by both"),
                    (None, Some(at), false) => format!("done {at}, not signed by both"),
                };
                context.out.line(format!("{}  {state}", it.name))?;
            }
            if all.is_empty() {
                context.out.say("no ceremony has been held on this machine");
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Findings })
}

fn one(context: &Context, shelf: &Shelf, name: &str, args: &Args) -> Result<Exit, Failure> {
    let paper = args.paper.as_deref().map(text).transpose()?;
    let held = HeldTo { mount: args.medium.as_deref(), paper: paper.as_deref() };
    let shown = show(shelf, name, held)?;
    let good = shown.is_complete && shown.faults.is_empty();
    match context.format {
        Format::Json => {
            let body = json!({
                "good": good, "name": name, "complete": shown.is_complete,
                "medium": shown.medium, "paper": shown.paper, "faults": shown.faults,
            });
            context.out.raw(&report::json::document("key inspect", body))?;
        }
        Format::Text => {
            context.out.raw(&shown.page)?;
            if let Some(medium) = &shown.medium {
                context.out.line(format!("the medium is {medium}, as it was written"))?;
            }
            if let Some(Paper { medium, custodian, key }) = &shown.paper {
                let line =
                    format!("the paper is {key} of {medium} for {custodian}, as it was written");
                context.out.line(line)?;
            }
            for fault in &shown.faults {
                context.out.line(format!("this is not as it was written: {fault}"))?;
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Findings })
}
