//! `holdfast backup run`

use ed25519_dalek::SigningKey;
use serde_json::json;

use super::{host_key, job};
use crate::{
    backup::{
        chain::Inquiry,
        joint,
        judge::{DKG_ADVICE, may_lose_rows},
        manifest::{Check, Manifest, Outcome, seconds},
        rows::note::Note,
        run::{Job, run as make},
        server::{install_client, takes},
        signing,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::{Reader, error::chain, watched},
    profile::{Loaded, schema::Backup},
    report,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Its name in the profile
    name: String,

    /// Restore all of it onto a disk of this host, time that, and check every page and index
    #[arg(long)]
    drill: bool,

    /// Let this table be smaller than in the last proven backup, or gone, this once: named as the failed check names it, with
    /// its schema (can be repeated). The evidence log has that it was said. DKG rows are never let go
    #[arg(long, value_name = "TABLE")]
    accept_shrunken: Vec<String>,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let (reader, job) = (Reader::live(), job(loaded, &args.name)?);
    let accept_shrunken = acceptable(&args.accept_shrunken)?;
    let key = host_key(context, job)?;
    let inquiry = inquiry(&reader, job.backup, &args.name);
    let job = Job { chain: inquiry.as_ref(), accept_shrunken, ..job };
    let made = make(&reader, job, args.drill);
    let manifest = match made {
        Ok(manifest) => manifest,
        Err(error) => {
            record_act(context, kind::BACKUP, &args.name, json!({ "failed": chain(&error) }));
            return Err(error.into());
        }
    };
    record(context, &manifest, &key, accept_shrunken);
    match context.format {
        Format::Json => context.out.raw(&report::json::document("backup run", &manifest))?,
        Format::Text => text(context, &manifest)?,
    }
    let (server, client) = (manifest.server_version / 10_000, manifest.client_major);
    if !takes(server, client) {
        context.out.warn(&format!(
            "it was dumped by PostgreSQL {client}'s programs and comes back only into a server of that version or newer, not \
             into this one of {server}: {}",
            install_client(server)
        ));
    }
    // A drill that came to nothing is one that is owed, whatever else the proof says.
    let is_drilled = !args.drill || manifest.proof.drill.is_some();
    // An older file that has rotten is `backup.shelf`'s finding, and nothing against this one: prune, which comes after it, is
    // what lets it go.
    let is_good = manifest.proof.proven && is_drilled;
    Ok(if is_good { Exit::Ok } else { Exit::Findings })
}

/// The tables that are let go, before anything is dumped for them.
fn acceptable(tables: &[String]) -> Result<&[String], Failure> {
    for table in tables {
        if !may_lose_rows(table) {
            return Err(Failure::new(Exit::Usage, DKG_ADVICE));
        }
        if !table.contains('.') {
            let text = format!("{table} is not a table with its schema");
            return Err(Failure::new(Exit::Usage, text)
                .hint("name it as the failed check does: sbtc_signer.p2p_peers"));
        }
    }
    Ok(tables)
}

/// How the chain is asked, with what the watch heard last: by that a node that stands still is known.
pub(super) fn inquiry(reader: &Reader, backup: &Backup, name: &str) -> Option<Inquiry> {
    let section = backup.chain.as_ref()?;
    let note: Option<Note> = watched::note(reader.files(), &Note::name(name));
    let before = note.and_then(|note| note.chain).and_then(|asked| asked.answer);
    let known = joint::known(backup, section);
    Some(Inquiry::new(section, known.deployer, before).with_own(known.public))
}

/// In the evidence log, where the newest manifest is named, too, which no later one names yet.
fn record(context: &Context, manifest: &Manifest, key: &SigningKey, accepted: &[String]) {
    let backup = json!({
        "id": manifest.id,
        "number": manifest.number,
        "manifest": manifest.digest(),
        "key": signing::public(key),
        "archive": manifest.archive.sha256,
        "bytes": manifest.archive.bytes,
    });
    record_act(context, kind::BACKUP, &manifest.name, backup);
    let drill = manifest.proof.drill.as_ref();
    let proof = json!({
        "proven": manifest.proof.proven,
        "failed": manifest.failed(),
        "accept_shrunken": !accepted.is_empty(),
        "accepted": accepted,
        "milliseconds": manifest.proof.milliseconds,
        "read_again": manifest.read_again,
        "recovery_milliseconds": drill.map(|drill| drill.restore_milliseconds),
    });
    record_act(context, kind::PROOF, &manifest.id, proof);
}

fn text(context: &Context, manifest: &Manifest) -> Result<(), Failure> {
    let Manifest { id, archive, recipients, proof, read_again, .. } = manifest;
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
    out.line(out.paint(tone, &verdict))?;
    for (id, _) in read_again.iter().filter(|(_, is_good)| !**is_good) {
        let words = format!("{id} was read again: its bytes are not those that were signed");
        out.line(out.paint(Tone::Bad, &words))?;
    }
    Ok(())
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
