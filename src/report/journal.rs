//! Events in the journal: one fixed `MESSAGE_ID` per kind, so that `journalctl MESSAGE_ID=…` finds every one of them.
//!
//! Events go to journald whenever it is there, whoever started holdfast. Talk (warnings, errors, progress) goes there
//! too when systemd has tied stderr to the journal, and to stderr otherwise.

use log::{Level, LevelFilter, Log, Metadata, Record};
use systemd_journal_logger::JournalLog;

use crate::{
    controls::firewall::break_glass::Opening,
    engine::{
        outcome::{CheckResult, Outcome},
        record::Cause,
        transaction::{FilesBack, RolledBack},
    },
    evidence::{Head, anchor},
};

/// The target of events, which sets them apart from what libraries log.
const EVENT: &str = "holdfast::event";

/// A check that held after the last apply does not now.
pub const DRIFT: &str = "2d6c8e9dff6542a2a8090d8846694e6d";
/// A check does not hold, and has not since the profile asked for it.
pub const FAIL: &str = "7b8f92bf9fec45468654f8a2899bbe7f";
/// A check could not be seen.
pub const CANNOT_CHECK: &str = "5e38e8bc7a0947f29ca2e65801bbe19d";
/// A transaction was committed by `apply`.
pub const APPLIED: &str = "43c0a3fd32f448b0a706dd5248b035ec";
/// A transaction was committed by `correct`.
pub const CORRECTED: &str = "cedbfaf2bb444f53b82e766d60f1cf07";
/// A transaction did not work and was rolled back.
pub const ROLLED_BACK: &str = "7a998603663042ca942f8db895cc3d6e";
/// A change holds, and is rolled back unless a person confirms it.
pub const PENDING: &str = "d20fbd6caf9b4833a6f2f388bbd5dc3f";
/// A person confirmed a change, from a login that proves that it lets people in.
pub const CONFIRMED: &str = "7809b703d6db4544b71f146007b0c962";
/// A change was rolled back because nobody confirmed it in time, or before a reboot.
pub const UNCONFIRMED: &str = "6fe47f112ab74b09ab7d283da047e601";
/// A person took a change back before it was confirmed.
pub const WITHDRAWN: &str = "4d13fb184c984747b303bc7bb69035f5";
/// A person returned the host to an earlier state.
pub const RETURNED: &str = "9d06190ae5a944a197e9f519954eb62e";
/// A transaction that had been interrupted was rolled back.
pub const RECOVERED: &str = "6fa6a343e92e4cd5b4c9b0d4902915ca";
/// The boot put the files back of a transaction that an earlier boot left open.
pub const FILES_BACK: &str = "c7d1486f079a4ee3939b1fd970bfaaf0";
/// A command could not do what it was asked to.
pub const FAILED: &str = "12e2589ccddd4b899140df5f2c29d8f0";
/// A whole `verify` ended.
pub const VERIFIED: &str = "720c6eb37e464df38af9fb531cb7c0e7";

/// The firewall was loaded at boot.
pub const FIREWALL_LOADED: &str = "6742dabb07fe40959663da70ec454ea6";
/// The firewall could not be loaded at boot; the host is closed but for SSH, or open. At priority `crit`.
pub const FAILED_CLOSED: &str = "0f9cc1aa7a1f4afe8279dab251167384";
/// A person opened the host for a time.
pub const OPENED: &str = "19cfd5f5af1042638ea962842ea2c97f";
/// A person closed it again.
pub const CLOSED: &str = "cefca2a1d6d443adb705434641664a1f";

/// Lets holdfast's own words through to journald: libraries' are not for the operator's journal.
struct OwnWords(JournalLog);

impl Log for OwnWords {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == EVENT
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {}
}

/// Connects to journald. Without one (a build machine, a bare chroot) events go nowhere; reports lose nothing.
pub fn start() {
    let Ok(journal) = JournalLog::new() else { return };
    let journal = journal.with_syslog_identifier("holdfast".to_owned());
    if log::set_boxed_logger(Box::new(OwnWords(journal))).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Whether systemd has tied stderr to the journal, so that talk belongs there, with its priority.
pub fn takes_talk() -> bool {
    systemd_journal_logger::connected_to_journal() && log::max_level() != LevelFilter::Off
}

/// Files a line of talk.
pub fn talk(level: Level, text: &str) {
    log::log!(target: EVENT, level, "{text}");
}

/// Files that a command could not do what it was asked to.
pub fn failed(text: &str) {
    log::error!(target: EVENT, MESSAGE_ID = FAILED, HOLDFAST_OUTCOME = "failed"; "{text}");
}

/// Files every finding of a report.
pub fn findings(results: &[CheckResult]) {
    for result in results {
        let (id, level) = match result.outcome {
            Outcome::Drift => (DRIFT, Level::Error),
            Outcome::Fail => (FAIL, Level::Warn),
            Outcome::CannotCheck => (CANNOT_CHECK, Level::Warn),
            _ => continue,
        };
        log::log!(
            target: EVENT, level,
            MESSAGE_ID = id,
            HOLDFAST_CHECK = result.check.as_str(),
            HOLDFAST_OUTCOME = result.outcome.word(),
            HOLDFAST_EXPECTED = result.expected.as_str(),
            HOLDFAST_OBSERVED = result.observed.as_str();
            "{} {}: expected {}; observed {}",
            result.outcome.word(), result.check, result.expected, result.observed
        );
    }
}

/// Anchors the evidence log: files its newest record's number and digest, so that a log that was cut off or replaced as
/// a whole shows.
pub fn anchored(head: Head) {
    let Head { sequence, digest } = head;
    log::info!(
        target: EVENT,
        MESSAGE_ID = anchor::MESSAGE_ID,
        HOLDFAST_OUTCOME = "recorded",
        HOLDFAST_SEQUENCE = sequence,
        HOLDFAST_DIGEST = digest.to_string().as_str();
        "evidence record {sequence}: {digest}"
    );
}

/// Files that a whole verification ended.
pub fn verified(summary: &str, outcome: &str) {
    log::info!(target: EVENT, MESSAGE_ID = VERIFIED, HOLDFAST_OUTCOME = outcome; "verified: {summary}");
}

/// Files what was loaded at boot.
pub fn firewall_loaded(text: &str) {
    log::info!(target: EVENT, MESSAGE_ID = FIREWALL_LOADED, HOLDFAST_OUTCOME = "loaded"; "{text}");
}

/// Files, as loudly as can be, that it could not be loaded.
pub fn failed_closed(outcome: &str, text: &str) {
    crate::host::journald::critical(FAILED_CLOSED, outcome, text);
}

/// Files who opened the host, and for how long.
pub fn opened(opening: &Opening) {
    log::warn!(
        target: EVENT,
        MESSAGE_ID = OPENED,
        HOLDFAST_OUTCOME = "open",
        HOLDFAST_BY = opening.by.as_str(),
        HOLDFAST_UNTIL = opening.until.to_string().as_str();
        "the host is open to everybody {}", opening.told()
    );
}

/// Files who closed it again.
pub fn closed(by: &str, was: &str) {
    log::warn!(
        target: EVENT,
        MESSAGE_ID = CLOSED,
        HOLDFAST_OUTCOME = "closed",
        HOLDFAST_BY = by;
        "the host is closed again by {by}; it was {was}"
    );
}

/// Files that a change waits to be confirmed.
pub fn pending(transaction: u64, until: &str, changes: &[String]) {
    log::warn!(
        target: EVENT,
        MESSAGE_ID = PENDING,
        HOLDFAST_OUTCOME = "pending",
        HOLDFAST_TRANSACTION = transaction;
        "transaction {transaction} is rolled back at {until} unless it is confirmed: {}", changes.join("; ")
    );
}

/// Files that a change was confirmed.
pub fn confirmed(transaction: u64, words: &str) {
    log::info!(
        target: EVENT,
        MESSAGE_ID = CONFIRMED,
        HOLDFAST_OUTCOME = "confirmed",
        HOLDFAST_TRANSACTION = transaction;
        "transaction {transaction} was {words}"
    );
}

/// Files that a transaction was committed. `id` is [`APPLIED`], [`CORRECTED`] or [`RETURNED`].
pub fn committed(id: &str, transaction: u64, changes: &[String]) {
    log::info!(
        target: EVENT,
        MESSAGE_ID = id,
        HOLDFAST_OUTCOME = "committed",
        HOLDFAST_TRANSACTION = transaction;
        "transaction {transaction}: {}", changes.join("; ")
    );
}

/// Files that the boot put files back.
pub fn files_back(back: &FilesBack) {
    let FilesBack { id: transaction, unrestored, set_aside } = back;
    let (level, outcome) = if unrestored.is_empty() {
        (Level::Warn, "restored")
    } else {
        (Level::Error, "not restored")
    };
    let mut rest = String::new();
    if !unrestored.is_empty() {
        rest.push_str(&format!("; not restored: {}", unrestored.join("; ")));
    }
    if !set_aside.is_empty() {
        rest.push_str(&format!("; set aside: {}", set_aside.join(", ")));
    }
    log::log!(
        target: EVENT, level,
        MESSAGE_ID = FILES_BACK,
        HOLDFAST_OUTCOME = outcome,
        HOLDFAST_TRANSACTION = *transaction;
        "transaction {transaction} was open when the host went down: its files are as before it, and the rest follows{rest}"
    );
}

/// Files that a transaction was rolled back, under the id of what it was rolled back for.
pub fn rolled_back(rolled_back: &RolledBack) {
    let RolledBack { id: transaction, why, cause, unrestored, set_aside, open } = rolled_back;
    let id = match cause {
        Cause::Failed => ROLLED_BACK,
        Cause::Interrupted => RECOVERED,
        Cause::Unconfirmed | Cause::Rebooted => UNCONFIRMED,
        Cause::Withdrawn => WITHDRAWN,
    };
    let outcome = rolled_back.outcome();
    let mut rest = String::new();
    if !unrestored.is_empty() {
        rest.push_str(&format!("; not restored: {}", unrestored.join("; ")));
    }
    if !set_aside.is_empty() {
        rest.push_str(&format!("; set aside: {}", set_aside.join(", ")));
    }
    if *open {
        rest.push_str("; it is tried again");
    }
    log::error!(
        target: EVENT,
        MESSAGE_ID = id,
        HOLDFAST_OUTCOME = outcome,
        HOLDFAST_TRANSACTION = *transaction;
        "transaction {transaction} {outcome}: {why}{rest}"
    );
}
