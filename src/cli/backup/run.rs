//! `holdfast backup run`

use serde_json::json;

use super::job;
use crate::{
    backup::{
        manifest::{Check, Manifest, Outcome, seconds},
        run::run as make,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::{Reader, error::chain},
    profile::Loaded,
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name in the profile
    name: String,

    /// Restore all of it onto a disk of this host, time that, and check every page and index
    #[arg(long)]
    drill: bool,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let made = make(&Reader::live(), job(loaded, &args.name)?, args.drill);
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            record_act(context, kind::BACKUP, &args.name, json!({ "failed": chain(&error) }));
            return Err(error.into());
        }
    };
    record(context, &manifest);
    match context.format {
        Format::Json => context.out.raw(&report::json::document("backup run", &manifest))?,
        Format::Text => text(context, &manifest)?,
    }
    Ok(if manifest.proof.proven { Exit::Ok } else { Exit::Findings })
}

/// In the evidence log, where the newest manifest is named, too, which no later one names yet.
fn record(context: &Context, manifest: &Manifest) {
    let backup = json!({
        "id": manifest.id,
        "manifest": manifest.digest(),
        "archive": manifest.archive.sha256,
        "bytes": manifest.archive.bytes,
    });
    record_act(context, kind::BACKUP, &manifest.name, backup);
    let drill = manifest.proof.drill.as_ref();
    let proof = json!({
        "proven": manifest.proof.proven,
        "failed": manifest.failed(),
        "milliseconds": manifest.proof.milliseconds,
        "recovery_milliseconds": drill.map(|drill| drill.restore_milliseconds),
    });
    record_act(context, kind::PROOF, &manifest.id, proof);
}

fn text(context: &Context, manifest: &Manifest) -> Result<(), Failure> {
    let Manifest { id, archive, recipients, proof, .. } = manifest;
    let who: Vec<_> = recipients.keys().map(String::as_str).collect();
    let out = &context.out;
    out.line(format!(
        "{id}: {} bytes in {}, to be opened by {}",
        archive.bytes,
        archive.file,
        who.join(", ")
    ))?;
    for check in &proof.checks {
        out.line(line(context, check))?;
    }
    let took = seconds(proof.milliseconds);
    let (tone, verdict) = if proof.proven {
        (Tone::Good, format!("Proven in {took}: it was opened, restored and judged."))
    } else {
        (Tone::Bad, "Not proven. The file is kept, and so is every older one.".to_owned())
    };
    Ok(out.line(out.paint(tone, &verdict))?)
}

/// A check on one line.
pub(super) fn line(context: &Context, check: &Check) -> String {
    let (tone, word) = match check.outcome {
        Outcome::Pass => (Tone::Good, "pass"),
        Outcome::Fail => (Tone::Bad, "fail"),
        Outcome::NotApplicable => (Tone::Faint, "not-applicable"),
    };
    let text = crate::cli::out::harmless(&check.text);
    format!("  {} {}: {text}", context.out.paint(tone, word), check.name)
}
