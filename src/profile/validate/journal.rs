//! `[journal]`: settings under which logs are lost though they look as if they were kept.

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Journal, Logs, Mode, Storage};
use crate::profile::types::{Size, TimeSpan};

/// What the published practice asks for.
const KEPT: TimeSpan = TimeSpan::from_days(90);

/// journald's own `MaxFileSec=`.
const DEFAULT_FILE_AGE: TimeSpan = TimeSpan::from_days(30);

/// Where `[logs]` asks for a retention, that is what these are judged by: see `logs::with_journal`.
pub(super) fn validate(
    journal: &Journal,
    logs: Option<&Logs>,
    at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    capacity(journal, at, found);
    if logs.is_some_and(|logs| logs.mode != Mode::Off) {
        return;
    }
    retention(journal, at, found);
    if matches!(journal.storage, Some(Storage::Volatile | Storage::None)) {
        found.push(
            Diagnostic::warning(
                at.key("storage").span,
                "no log survives a reboot with this storage",
            )
            .help("write \"persistent\""),
        );
    }
}

/// journald deletes a file when its *first* entry is too old, so the last entry of it goes up to
/// `max_file_age` too early.
fn retention(journal: &Journal, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let Some(retention) = journal.max_retention.filter(|each| each.as_secs() > 0) else {
        return;
    };
    let age = journal.max_file_age.unwrap_or(DEFAULT_FILE_AGE);
    let kept = TimeSpan::from_secs(retention.as_secs().saturating_sub(age.as_secs()));
    if kept >= KEPT {
        return;
    }
    let least = TimeSpan::from_secs(KEPT.as_secs() + age.as_secs());
    let message = format!("with this, logs are deleted from an age of {kept} on, before {KEPT}");
    found.push(
        Diagnostic::warning(at.key("max_retention").span, message)
            .label("a ceiling, not a promise")
            .help(format!(
                "journald deletes whole files by the age of their first entry, and a file spans up to {age}: leave `max_retention` out, or make it at least \"{least}\""
            )),
    );
}

/// `max_files` caps `max_use` without a word.
fn capacity(journal: &Journal, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let (Some(max_use), Some(file_size), Some(files)) =
        (journal.max_use, journal.max_file_size, journal.max_files)
    else {
        return;
    };
    let reached = Size::from_bytes(file_size.bytes().saturating_mul(u64::from(files)));
    if reached < max_use {
        let message = format!(
            "the journal can never use {max_use}: {files} files of {file_size} are {reached}"
        );
        found.push(
            Diagnostic::warning(at.key("max_use").span, message)
                .and(at.key("max_files").span, "what caps it")
                .help("raise `max_files` or `max_file_size`"),
        );
    }
}
