//! `holdfast key prove` and `holdfast key status`

use std::path::PathBuf;

use serde_json::json;

use super::{carry::text, people};
use crate::{
    cli::{
        Context, Format, PROFILE,
        failure::{Exit, Failure},
        host::{self, record_act},
    },
    evidence::record::kind,
    host::{binder::Shelf, clock},
    key::ceremony::{Export, RECEIPT_NAMESPACE, challenge, receive, standing},
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct ProveArgs {
    /// The ceremony
    name: String,

    /// The custodian
    custodian: String,

    /// What was in the challenge, as they bring it back [default: make a challenge]
    #[arg(long, value_name = "FILE", requires = "signature")]
    receipt: Option<PathBuf>,

    /// Their signature of it
    #[arg(long, value_name = "FILE", requires = "receipt")]
    signature: Option<PathBuf>,
}

pub(super) fn prove(context: &Context, args: &ProveArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (name, who, shelf) = (&args.name, &args.custodian, Shelf::of_host());
    let (Some(receipt), Some(signature)) = (&args.receipt, &args.signature) else {
        context.out.raw(&challenge(shelf, name, who)?)?;
        context.out.say(format!(
            "{who} opens it with `age -d -i identity.txt CHALLENGE >receipt.txt`, signs that with \
             `ssh-keygen -Y sign -n {RECEIPT_NAMESPACE} -f KEY receipt.txt`, and sends both back"
        ));
        return Ok(Exit::Ok);
    };
    let (receipt, signature) = (text(receipt)?, text(signature)?);
    let people = people(context)?;
    let proof = receive(shelf, name, who, receipt.as_bytes(), signature.as_bytes(), &people)?;
    let payload = json!({ "act": "proof", "ceremony": name, "proof": proof });
    record_act(context, kind::CEREMONY, who, payload);
    let how = if proof.signed.touched { ", hardware key touched" } else { "" };
    context.out.line(format!("{who} opened the challenge of {}{how}", proof.challenged))?;
    Ok(Exit::Ok)
}

pub(super) fn status(context: &Context) -> Result<Exit, Failure> {
    host::require_root(context)?;
    // What there is of exports is told whatever the profile is like.
    let people = people(context).ok();
    if people.is_none() {
        context.out.warn(&format!("{PROFILE} cannot be read: no retirement is believed"));
    }
    let all = standing(&Shelf::of_host(), clock::today(), people.as_deref())?;
    let is_in_use =
        |it: &Export| it.fault.is_none() && it.retired.is_none() && it.given_up.is_none();
    let is_exported = all.iter().any(is_in_use);
    let good = people.is_some() && is_exported && all.iter().all(Export::is_good);
    match context.format {
        Format::Json => {
            let body = json!({ "good": good, "exports": all });
            context.out.raw(&report::json::document("key status", body))?;
        }
        Format::Text => {
            for export in &all {
                for line in told(export) {
                    context.out.line(line)?;
                }
            }
            if !is_exported {
                context.out.line("no key is in cold storage by an export of this machine")?;
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Findings })
}

fn told(export: &Export) -> Vec<String> {
    if let Some(fault) = &export.fault {
        return vec![format!("{}  {fault}", export.name)];
    }
    if let Some(retired) = &export.retired {
        return vec![format!("{}  retired {}: {}", export.name, retired.at, retired.why)];
    }
    let unretired = export.unretired.iter();
    let unretired = unretired.map(|why| format!("  its retirement does NOT count: {why}"));
    if let Some(given_up) = &export.given_up {
        let told =
            format!("{}  {given_up}: destroy them, and then holdfast key retire", export.name);
        return std::iter::once(told).chain(unretired).collect();
    }
    let drilled = export.drilled.map_or("never".to_owned(), |at| at.to_string());
    let overdue = if export.overdue { ", OVERDUE" } else { "" };
    let signed = if export.signed { "signed by both" } else { "NOT signed by both" };
    let mut lines = vec![format!(
        "{}  {signed}, last good drill {drilled}, next by {}{overdue}",
        export.name, export.due
    )];
    lines.extend(unretired);
    lines.extend(export.unfinished.iter().map(|what| format!("  {what}")));
    lines.extend(export.exceptions.iter().map(|what| format!("  exception {what}")));
    let unopened = export.unopened.iter();
    lines.extend(unopened.map(|name| format!("  {name} NEVER opened a challenge or a copy")));
    for copy in &export.copies {
        let opened = copy.opened.map_or("never read again".to_owned(), |at| format!("good {at}"));
        let failed = copy.failed.as_ref().map_or(String::new(), |why| format!(", FAILED {why}"));
        lines.push(format!("  {}  {opened}{failed}", copy.told()));
    }
    let altered = export.altered.iter();
    lines.extend(altered.map(|it| format!("  medium {} is ALTERED {}", it.medium, it.altered)));
    let is_told = export.copies.iter().any(|copy| copy.failed.is_some());
    lines.extend(
        export
            .failed
            .iter()
            .filter(|_| !is_told)
            .map(|why| format!("  the last drill FAILED: {why}")),
    );
    for (name, proved) in &export.custodians {
        let proved = proved.map_or("never proved".to_owned(), |at| format!("proved {at}"));
        lines.push(format!("  {name}  {proved}"));
    }
    lines
}
