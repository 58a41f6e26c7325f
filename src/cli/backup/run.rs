//! `holdfast backup run`

use super::job;
use crate::{
    backup::{
        chain::{Inquiry, deployer::deployer},
        manifest::{Check, Manifest, Outcome},
        rows::note::Note,
        run::{Job, run as make},
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        out::Tone,
    },
    host::{Reader, watched},
    profile::{Loaded, schema::Chain},
    report,
};

pub(super) async fn run(context: &Context, loaded: &Loaded, name: &str) -> Result<Exit, Failure> {
    let (reader, job) = (Reader::live(), job(loaded, name)?);
    let chain = inquiry(&reader, job.backup.chain.as_ref(), name).await;
    let manifest = make(&reader, Job { chain: chain.as_ref(), ..job })?;
    match context.format {
        Format::Json => context.out.raw(&report::json::document("backup run", &manifest))?,
        Format::Text => text(context, &manifest)?,
    }
    Ok(if manifest.proof.proven { Exit::Ok } else { Exit::Findings })
}

/// How the chain is asked, with what the watch heard last: by that a node that stands still is known.
async fn inquiry(reader: &Reader, section: Option<&Chain>, name: &str) -> Option<Inquiry> {
    let section = section?;
    let note: Option<Note> = watched::note(reader.files(), &Note::name(name));
    let before = note.and_then(|note| note.chain).and_then(|asked| asked.answer);
    Some(Inquiry::new(section, deployer(section, reader).await, before))
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
    let took = format!("{}.{:03} s", proof.milliseconds / 1000, proof.milliseconds % 1000);
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
        Outcome::CannotCheck => (Tone::Bad, "cannot-check"),
    };
    let text = crate::cli::out::harmless(&check.text);
    format!("  {} {}: {text}", context.out.paint(tone, word), check.name)
}
