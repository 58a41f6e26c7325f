//! `holdfast backup prove`

use serde_json::json;

use super::{
    fetched::Fetched,
    find_in,
    run::{inquiry, line},
};
use crate::{
    backup::{
        joint,
        judge::{Before, judge},
        manifest::{Check, Drill, Outcome, failed},
        prove::{Depth, Sealed, restore_with},
        restore::{borrowed, identities},
        run::{drill_depth, patience},
        stream,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
    },
    evidence::record::kind,
    host::{HostError, Reader, error::chain, scratch::Claim},
    profile::Loaded,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup [default: the newest]
    id: Option<String>,

    /// A file of identities that open it; without one, only its bytes are compared with the manifest's digest
    #[arg(long, value_name = "FILE")]
    identity: Option<String>,

    /// Restore all of it onto a disk of this host, time that, and check every page and index
    #[arg(long, requires = "identity")]
    drill: bool,

    #[command(flatten)]
    fetched: Fetched,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let id = args.id.as_deref();
    let (backup, shelf, entry, manifest) = find_in(context, loaded, id, &args.fetched)?;
    let file = &manifest.archive.file;
    let mut checks: Vec<Check> = entry.faults.iter().map(|fault| fail("shelf", fault)).collect();
    let digest =
        stream::digest(shelf.read(file)?).map_err(HostError::file("read", file.as_str()))?;
    checks.push(if digest == (manifest.archive.sha256.clone(), manifest.archive.bytes) {
        let text = format!("{} bytes with the digest that the host signed", digest.1);
        Check { name: "file".into(), outcome: Outcome::Pass, text }
    } else {
        fail("file", &"its bytes are not those that the host signed")
    });
    let (mut was_restored, mut was_drilled) = (true, false);
    if let Some(path) = &args.identity {
        let reader = Reader::live();
        let identities = identities(&reader, path)?;
        let identities = borrowed(&identities);
        let sealed = Sealed {
            shelf: &shelf,
            file,
            identities: &identities,
            client_major: manifest.client_major,
            limit: backup.time_limit.as_duration(),
            depth: if args.drill { drill_depth(&manifest, backup) } else { Depth::Quick },
        };
        let claim = Claim::take(patience(backup))?;
        match restore_with(&claim, &reader, &sealed) {
            Ok(restored) => {
                let (source, begun) = (&manifest.of.source, manifest.begun);
                let judged = judge(&restored.found, source, Before::default(), backup, begun);
                checks.extend(joint::prove(judged, &restored.found.dkg, backup));
                if let Some(inquiry) = inquiry(&reader, backup, &manifest.name) {
                    checks = inquiry.whose(checks, &restored.found, backup);
                    checks.push(inquiry.compare(&restored.found, reader.files()).1);
                }
                // A check of its pages that was stopped is none.
                was_drilled = restored.drill.is_some();
                was_restored = was_drilled || !args.drill;
                checks.extend(restored.drill.iter().map(Drill::check));
                checks.extend(restored.unchecked);
            }
            Err(error) => {
                was_restored = false;
                let outcome = error.outcome();
                checks.push(Check { name: "restore".into(), outcome, text: chain(&error) });
            }
        }
    }
    let failed = failed(&checks);
    // What this host could not restore is not proven, and nothing is said against it.
    let good = failed.is_empty() && was_restored;
    if args.identity.is_some() {
        let payload = json!({ "good": good, "failed": failed, "whole": was_drilled });
        record_act(context, kind::DRILL, &manifest.id, payload);
    }
    match context.format {
        Format::Json => {
            let body = json!({ "id": manifest.id, "good": good, "checks": checks });
            context.out.raw(&report::json::document("backup prove", body))?;
        }
        Format::Text => {
            context.out.line(&manifest.id)?;
            for check in &checks {
                context.out.line(line(context, check))?;
            }
        }
    }
    Ok(if good { Exit::Ok } else { Exit::Findings })
}

fn fail(name: &str, text: &impl ToString) -> Check {
    Check { name: name.to_owned(), outcome: Outcome::Fail, text: text.to_string() }
}
