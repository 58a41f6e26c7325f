//! `holdfast backup watch`

use jiff::Timestamp;
use serde_json::json;

use super::{host_key, job, run::line};
use crate::{
    backup::{
        chain::{self, Inquiry},
        joint,
        rows::{
            note::{Asked, Note},
            watch::{Looked, WatchError, look, unsaved_words},
        },
        run::Job,
        signing,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::{Reader, clock, error::chain as words, watched},
    profile::Loaded,
    report,
};

pub(super) fn run(context: &Context, loaded: &Loaded, name: &str) -> Result<Exit, Failure> {
    let (reader, job) = (Reader::live(), job(loaded, name)?);
    let key = host_key(context, job)?;
    let note_name = Note::name(name);
    let before: Option<Note> = watched::note(reader.files(), &note_name);
    let looked = look(&reader, job);
    let failure = looked.as_ref().err().map(|error| words(error)).unwrap_or_default();
    said(context, &reader, name, &failure);
    let mut looked = looked?;
    let (asked, heightless) = before.map_or((None, None), |note| (note.chain, note.heightless));
    // Once: the next look comes within a minute.
    if let Some(why) =
        looked.note.heightless.as_ref().filter(|why| heightless.as_ref() != Some(*why))
    {
        context
            .out
            .warn(&format!("the newest Bitcoin block is not known, and the rows are saved: {why}"));
    }
    looked.note.chain = ask(&reader, job, &looked, asked);
    watched::keep(&note_name, &looked.note)?;
    if let Some(made) = &looked.made {
        let payload = json!({
            "id": made.id,
            "number": made.number,
            "manifest": made.digest(),
            "key": signing::public(&key),
            "archive": made.archive.sha256,
            "bytes": made.archive.bytes,
            "rows": made.of.rows.len(),
            "changes": made.of.changes,
            "proven": made.proof.proven,
        });
        record_act(context, kind::BACKUP, name, payload);
    }
    if !looked.gone.is_empty() {
        record_act(context, kind::PRUNED, name, json!({ "deleted": looked.gone }));
    }
    print(context, name, &looked)?;
    let is_bad = looked.made.as_ref().is_some_and(|made| !made.proof.proven)
        || !looked.note.unsaved.is_empty()
        || looked.changes.iter().any(|change| !change.is_usual());
    Ok(if is_bad { Exit::Findings } else { Exit::Ok })
}

/// Records why a look failed, once: the next comes within a minute.
fn said(context: &Context, reader: &Reader, name: &str, failure: &str) {
    let note = Note::failure(name);
    let before: String = watched::note(reader.files(), &note).unwrap_or_default();
    if before == failure {
        return;
    }
    if !failure.is_empty() {
        record_act(context, kind::BACKUP, name, json!({ "of": "dkg-rows", "failed": failure }));
    }
    if let Err(error) = watched::keep(&note, &failure) {
        context.out.warn(&words(&error));
    }
}

/// Asks for the key on chain when it is time, or when a row has changed.
fn ask(reader: &Reader, job: Job<'_>, looked: &Looked, before: Option<Asked>) -> Option<Asked> {
    let section = job.backup.chain.as_ref()?;
    let now = clock::now();
    let is_due = |last: Timestamp| {
        let age = now.as_second().saturating_sub(last.as_second());
        // A clock that was set back must not keep it from looking.
        u64::try_from(age).map_or(true, |age| age >= section.look_every.as_secs())
    };
    let has_news = looked.made.is_some();
    if let Some(before) = &before
        && !has_news
        && !is_due(before.at)
    {
        return Some(before.clone());
    }
    let last = before.and_then(|before| before.answer);
    let inquiry = Inquiry::new(section, joint::deployer(section), last.clone());
    Some(match inquiry.ask(reader.files(), looked.note.height) {
        Ok(answer) => Asked { at: now, answer: Some(answer), fault: None },
        Err(fault) => Asked { at: now, answer: last, fault: Some(fault) },
    })
}

fn print(context: &Context, name: &str, looked: &Looked) -> Result<(), Failure> {
    let Looked { note, changes, made, gone } = looked;
    let out = &context.out;
    if context.format == Format::Json {
        let body = json!({
            "name": name,
            "rows": note.rows,
            "changes": changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "made": made,
            "deleted": gone,
            "chain": note.chain,
        });
        return Ok(out.raw(&report::json::document("backup watch", body))?);
    }
    if !note.unsaved.is_empty() {
        out.line(format!("{name}: {}", out.paint(Tone::Bad, &unsaved_words(&note.unsaved))))?;
    }
    let Some(made) = made else {
        let rows = note.rows.len();
        out.say(format!("{name}: nothing new; its {rows} DKG rows are backed up"));
        return Ok(());
    };
    for change in changes {
        let tone = if change.is_usual() { Tone::Good } else { Tone::Bad };
        out.line(format!("{name}: {}", out.paint(tone, &change.to_string())))?;
    }
    let who: Vec<_> = made.recipients.keys().map(String::as_str).collect();
    let (bytes, who) = (made.archive.bytes, who.join(", "));
    out.line(format!("{}: {bytes} bytes, to be opened by {who}", made.id))?;
    for check in &made.proof.checks {
        out.line(line(context, check))?;
    }
    if let Some(chain::Answer { key, node, .. }) =
        note.chain.as_ref().and_then(|asked| asked.answer.as_ref())
    {
        let key = key.as_deref().unwrap_or("none yet");
        out.line(format!("{name}: the key on chain is {key}, says {node}"))?;
    }
    gone.iter().try_for_each(|id| out.line(format!("deleted {id}: all of it is in later ones")))?;
    Ok(())
}

impl From<WatchError> for Failure {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Host(error) => error.into(),
            WatchError::Server(error) => error.into(),
            WatchError::Run(error) => error.into(),
            other => Self::new(Exit::Failed, words(&other)),
        }
    }
}
