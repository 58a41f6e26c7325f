//! `[logs]`: retentions that cannot be meant, sources that are nowhere, and a `[journal]` section that deletes what
//! `[logs]` keeps.

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Journal, LogSource, Logs, Mode, Storage};
use crate::profile::types::{Size, TimeSpan};

pub(super) fn validate(logs: &Logs, at: At<'_>, complete: bool, found: &mut Vec<Diagnostic>) {
    span("keep", Some(logs.keep), at, found);
    span("max_gap", Some(logs.max_gap), at, found);
    if logs.budget.is_some_and(|budget| budget.bytes() == 0) {
        found.push(
            Diagnostic::error(at.key("budget").span, "a budget of 0 keeps nothing")
                .help("leave it out to have it worked out, or write the most the journal may take, as in \"40G\""),
        );
    }
    let list = at.key("source");
    for (index, source) in logs.source.iter().enumerate() {
        let at = list.item(index);
        span("keep", source.keep, at, found);
        span("max_gap", source.max_gap, at, found);
        whereabouts(source, at, complete, found);
        keys(source, at, found);
        let same = |other: &&LogSource| is_same_place(other, source);
        if let Some(first) = logs.source[..index].iter().position(|other| same(&other)) {
            let message =
                format!("`{}` is the source `{}` again", source.name, logs.source[first].name);
            found.push(
                Diagnostic::error(at.key("name").span, message)
                    .and(list.item(first).key("name").span, "first here")
                    .help("leave one of them out"),
            );
        }
    }
}

fn is_same_place(one: &LogSource, other: &LogSource) -> bool {
    (one.unit.is_some() && one.unit == other.unit)
        || (one.container.is_some() && one.container == other.container)
        || (one.file.is_some() && one.file == other.file)
}

fn span(key: &str, value: Option<TimeSpan>, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let Some(value) = value else { return };
    let longest = Logs::LONGEST_KEEP;
    let message = match value.as_secs() {
        0 => format!("`{key}` is no time at all"),
        _ if value > longest => format!("`{key}` is {value}, longer than the limit of {longest}"),
        _ => return,
    };
    let help =
        format!("from \"1s\" to \"{longest}\", ten years; the published practice is \"90d\"");
    let help =
        if key == "keep" { help } else { format!("from \"1s\" to \"{longest}\", ten years") };
    found.push(Diagnostic::error(at.key(key).span, message).help(help));
}

/// Exactly one place for each source.
fn whereabouts(source: &LogSource, at: At<'_>, complete: bool, found: &mut Vec<Diagnostic>) {
    let places = [
        ("unit", source.unit.is_some()),
        ("container", source.container.is_some()),
        ("file", source.file.is_some()),
    ];
    let mut given = places.iter().filter(|(_, is_there)| *is_there).map(|(key, _)| *key);
    let help = "give it one of `unit`, `container` and `file`; two places are two sources";
    match (given.next(), given.next()) {
        (None, _) if complete => {
            let message = format!("`{}` does not say where its log is", source.name);
            found.push(Diagnostic::error(at.key("name").span, message).help(help));
        }
        (Some(first), Some(second)) => {
            let message = format!("`{}` has both `{first}` and `{second}`", source.name);
            found.push(
                Diagnostic::error(at.key_span(second), message)
                    .and(at.key_span(first), "the other place")
                    .help(help),
            );
        }
        _ => {}
    }
}

/// Keys that say nothing about a source of its kind.
fn keys(source: &LogSource, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let has_place = source.unit.is_some() || source.container.is_some() || source.file.is_some();
    let of_files = [
        ("reopened_by", source.reopened_by.is_some()),
        ("reopened_by_container", source.reopened_by_container.is_some()),
        ("bitcoin_conf", source.bitcoin_conf.is_some()),
    ];
    let misplaced = of_files.iter().filter(|(_, given)| *given && source.file.is_none());
    let misplaced = misplaced.map(|(key, _)| (*key, "file"));
    let namespace = source.namespace.is_some() && source.unit.is_none();
    for (key, kind) in misplaced.chain(namespace.then_some(("namespace", "unit"))) {
        if has_place {
            let message = format!("`{key}` means nothing without `{kind}`");
            found.push(
                Diagnostic::error(at.key_span(key), message)
                    .help(format!("leave it out, or say which `{kind}` it belongs to")),
            );
        }
    }
    if source.reopened_by.is_some() && source.reopened_by_container.is_some() {
        found.push(
            Diagnostic::error(
                at.key_span("reopened_by_container"),
                format!("`{}` is written by a unit or by a container, not by both", source.name),
            )
            .and(at.key_span("reopened_by"), "the other writer")
            .help("leave one of them out"),
        );
    }
    if let Some(file) = source.file.as_ref().filter(|_| source.is_rotated())
        && !file.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "/._+-@".contains(c))
    {
        let message = format!("logrotate would not take `{file}` for the name of one file");
        found.push(Diagnostic::error(at.key("file").span, message).help(
            "letters, digits and / . _ + - @ are safe in the path of a file that is rotated",
        ));
    }
}

/// What `[journal]` says itself, against what `[logs]` keeps.
pub(super) fn with_journal(
    logs: &Logs,
    journal: Option<&Journal>,
    at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(journal) = journal.filter(|_| logs.mode != Mode::Off) else { return };
    let (at, logs_at) = (at.key("journal"), at.key("logs"));
    let keep = logs.longest_in_journal();
    if matches!(journal.storage, Some(Storage::Volatile | Storage::None)) {
        found.push(
            Diagnostic::error(
                at.key("storage").span,
                format!("no log survives a reboot with this storage, and `logs` keeps {keep}"),
            )
            .and(logs_at.span, "kept here")
            .help("write \"persistent\""),
        );
    }
    ceiling(keep, journal, at, logs_at, found);
    capacity(logs, journal, at, logs_at, found);
}

/// journald deletes a file when its *first* entry is too old: the last one is then younger by the file's span.
fn ceiling(
    keep: TimeSpan,
    journal: &Journal,
    at: At<'_>,
    logs_at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(ceiling) = journal.max_retention.filter(|each| each.as_secs() > 0) else { return };
    // `0s` stands for no limit on a file's span.
    let age = journal.max_file_age.unwrap_or(Logs::file_age(keep));
    let needed = TimeSpan::from_secs(keep.as_secs().saturating_add(age.as_secs()));
    let message = if age.as_secs() == 0 {
        format!("with this, entries of any age may be deleted before {keep}")
    } else if ceiling < needed {
        let kept = TimeSpan::from_secs(ceiling.as_secs().saturating_sub(age.as_secs()));
        format!("with this, entries are deleted from an age of {kept} on, before {keep}")
    } else {
        return;
    };
    found.push(
        Diagnostic::error(at.key("max_retention").span, message)
            .label("a ceiling, not a promise")
            .and(logs_at.key("keep").span, "to be kept so long")
            .help(format!(
                "journald deletes whole files by the age of their first entry, and a file spans up to {age}: leave `max_retention` out, or make it at least \"{needed}\" and `max_file_age` short"
            )),
    );
}

/// The budget, against what `[journal]` lets the journal use.
fn capacity(
    logs: &Logs,
    journal: &Journal,
    at: At<'_>,
    logs_at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(budget) = logs.budget else { return };
    let mut fault = |key: &str, message: String, help: &str| {
        found.push(
            Diagnostic::error(at.key(key).span, message)
                .and(logs_at.key("budget").span, "the budget is here")
                .help(help),
        );
    };
    if let Some(max_use) = journal.max_use.filter(|max_use| *max_use < budget) {
        let message = format!("the journal may use {max_use}, less than the budget of {budget}");
        fault("max_use", message, "leave `max_use` out: it is worked out from the budget");
    }
    if let (Some(file_size), Some(files)) = (journal.max_file_size, journal.max_files) {
        let reached = Size::from_bytes(file_size.bytes().saturating_mul(u64::from(files)));
        if reached < budget {
            let message = format!(
                "the journal can never use its budget of {budget}: {files} files of {file_size} are {reached}"
            );
            fault("max_files", message, "leave both out: they are worked out from the budget");
        }
    }
}
