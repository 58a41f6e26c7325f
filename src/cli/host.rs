//! What commands that look at or change a host have in common: the profile, the lock, the repair of what was
//! interrupted.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Context, Format,
    failure::{Exit, Failure},
};
use crate::{
    controls,
    engine::{
        check::CheckRef,
        store::{Kind, ProfileRef, Provisional, STATE_DIR, Store},
        transaction::{Request, RolledBack, recover},
    },
    evidence::{EvidenceError, Log},
    host::{
        Reader, Writer, clock,
        error::chain,
        lock::{LOCK_PATH, Lock},
    },
    profile::{self, Loaded, Options, RealSources, Trust, schema::Login, types::TimeSpan},
    report::journal,
};

/// How profiles are read by whoever runs this command.
pub(super) fn options(trust: Trust) -> Options {
    let options = Options::new(nix::unistd::geteuid().as_raw(), clock::today());
    Options { trust, ..options }
}

/// Reads a profile and prints what there is to say about it.
pub(super) fn load(context: &Context, path: &Path, trust: Trust) -> Result<Loaded, Failure> {
    let color = context.out.has_color_on_stderr();
    match profile::load(path, &RealSources, &options(trust)) {
        Ok(loaded) => {
            if context.format == Format::Text && !loaded.diagnostics.is_empty() {
                context.out.say(loaded.render_warnings(color).trim_end());
            }
            warn_of_idle_waivers(context, &loaded);
            Ok(loaded)
        }
        Err(failed) => {
            // Errors are said even when quiet.
            context.out.always(failed.render(color).trim_end());
            Err(Failure::said(Exit::Data))
        }
    }
}

/// The loader does not know the checks, so a waiver for one that does not exist shows only here.
fn warn_of_idle_waivers(context: &Context, loaded: &Loaded) {
    for waiver in &loaded.profile.waiver {
        let check = waiver.check.to_string();
        if controls::check_meta(CheckRef::parse(&check).base).is_none() {
            let text = format!("the waiver for {check} waives nothing: there is no such check");
            context.out.warn(&text);
        }
    }
}

/// Ends the command when it is not run by root.
pub(super) fn require_root(context: &Context) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let hint = format!("run: sudo {}", context.environment.command);
    Err(Failure::new(Exit::NotPermitted, "only root can look at all of a host").hint(hint))
}

/// The store of this host.
pub(super) fn store() -> Store {
    Store::below(STATE_DIR)
}

/// A reader, after whatever was interrupted has been repaired. The lock keeps others from changing the host meanwhile.
/// What could not be repaired yet does not keep anybody from looking.
pub(super) async fn reader(context: &Context) -> Result<(Reader, Lock), Failure> {
    repair(context).await?;
    let lock = Lock::shared(Path::new(LOCK_PATH))?;
    Ok((Reader::live(), lock))
}

/// The one writer, after whatever was interrupted has been repaired.
pub(super) async fn writer(context: &Context) -> Result<Writer, Failure> {
    outlive_the_terminal()?;
    let lock = Lock::exclusive(Path::new(LOCK_PATH), &context.environment.command)?;
    let writer = Writer::new(Reader::live(), lock);
    let recovered = recover(&writer, &store()).await?;
    report(context, &recovered);
    record(context);
    match recovered.iter().find(|rolled_back| rolled_back.open) {
        // Upon half of a change there is nothing to be built.
        Some(open) => Err(Failure::new(
            Exit::Failed,
            format!("transaction {} has to be rolled back first, and could not be yet", open.id),
        )
        .hint("it is tried again by whatever holdfast command comes next")),
        None => Ok(writer),
    }
}

/// Keeps this process from being ended by a closed session, Ctrl-C or a polite stop: a transaction takes moments, and
/// one that is left halfway stays so until somebody runs holdfast again. SIGKILL is what the repair is for.
fn outlive_the_terminal() -> Result<(), Failure> {
    for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()] {
        // Once listened for, a signal's default action is gone for good, whether anybody reads it or not.
        drop(signal(kind).map_err(|e| Failure::new(Exit::Failed, format!("cannot start: {e}")))?);
    }
    Ok(())
}

/// Rolls back what an interrupted holdfast left open, and what nobody confirmed in time. Takes the lock only if there is
/// something to do.
async fn repair(context: &Context) -> Result<(), Failure> {
    let (store, reader) = (store(), Reader::live());
    let waiting = store.pending(&reader)?.map(|(record, _)| record.begin.id);
    if store.unfinished()?.into_iter().all(|id| Some(id) == waiting) {
        return Ok(());
    }
    outlive_the_terminal()?;
    let lock = Lock::exclusive(Path::new(LOCK_PATH), &context.environment.command)?;
    let writer = Writer::new(reader, lock);
    report(context, &recover(&writer, &store).await?);
    record(context);
    drop(writer);
    Ok(())
}

/// Who runs this, for what is recorded: who became root for it.
pub(super) fn by(context: &Context) -> String {
    context.environment.sudo_user.clone().unwrap_or_else(|| "root".to_owned())
}

/// How much of a reason is kept: a line.
const REASON: usize = 200;

/// A reason as it is kept.
pub(super) fn one_line(reason: &str) -> String {
    let plain = |each: char| if each.is_control() { ' ' } else { each };
    reason.trim().chars().map(plain).take(REASON).collect()
}

/// Records what is no transaction: a person's act. What was done is done: if it cannot be recorded, that is said.
pub(super) fn record_act(context: &Context, kind: &'static str, subject: &str, payload: Value) {
    if let Err(error) = Log::below(STATE_DIR).append(kind, subject, payload) {
        let why = chain(&error);
        context.out.warn(&format!("not recorded in the evidence log: {why}; the journal has it"));
    }
}

/// Records every transaction that has ended, and forgets the oldest of those. For whoever holds the lock, at the end of
/// what may have ended one. What was committed stays so: a log that cannot be written is said, and is a finding.
pub(super) fn record(context: &Context) {
    let store = store();
    match Log::below(STATE_DIR).catch_up(&store, clock::now()) {
        Ok(_) => {
            if let Err(error) = store.prune() {
                context.out.warn(&chain(&error));
            }
        }
        Err(error) => warn_of_log(context, &error),
    }
}

/// Says that something could not be recorded.
pub(super) fn warn_of_log(context: &Context, error: &EvidenceError) {
    context.out.warn(&format!(
        "not recorded in the evidence log yet: {}; the next holdfast command tries again",
        chain(error)
    ));
}

fn report(context: &Context, recovered: &[RolledBack]) {
    for rolled_back in recovered {
        journal::rolled_back(rolled_back);
        context.out.warn(&told(rolled_back));
    }
}

/// A roll-back in one line.
pub(super) fn told(rolled_back: &RolledBack) -> String {
    let RolledBack { id, why, unrestored, set_aside, open, .. } = rolled_back;
    let unrestored = unrestored.join("; ");
    let mut told = format!("transaction {id}: {why}; ");
    told.push_str(&match (open, unrestored.as_str()) {
        (true, _) => format!(
            "these could not be restored yet: {unrestored}; it is tried again by whatever holdfast command comes next"
        ),
        (false, "") => "rolled back, verified".to_owned(),
        (false, _) => format!("rolled back, but these could not be restored: {unrestored}"),
    });
    if !set_aside.is_empty() {
        let files = set_aside.join(", ");
        told.push_str(&format!("; somebody's edits were set aside, look at: {files}"));
    }
    told
}

/// Tells a person of a change that waits.
pub(super) fn warn_of_pending(context: &Context, id: u64, provisional: &Provisional) {
    let until = provisional.until;
    context.out.warn(&format!(
        "transaction {id} is not confirmed, and is rolled back at {until}; from a new login, run: holdfast confirm {id}"
    ));
}

/// How somebody is told of a change that waits, as JSON.
pub(super) fn pending_json(id: u64, provisional: &Provisional) -> Value {
    json!({
        "transaction": id,
        "until": provisional.until,
        "within": TimeSpan::from_secs(provisional.within).to_string(),
        "confirm": format!("holdfast confirm {id}"),
    })
}

/// How long changes wait to be confirmed: what the command line says, or else the profile.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ConfirmArgs {
    /// Roll changes that can cut off a login back unless `holdfast confirm` is said within this time [default: the
    /// profile's, or 10m]
    #[arg(long, value_name = "TIME")]
    confirm_within: Option<TimeSpan>,

    /// Let them last at once, whether or not anybody can still log in
    #[arg(long)]
    no_confirm: bool,
}

impl ConfirmArgs {
    /// The time to wait; `None`: none. `profile` is what the profile says.
    pub(super) fn within(self, profile: Option<&Login>) -> Result<Option<Duration>, Failure> {
        let said = self.confirm_within;
        if self.no_confirm && said.is_some_and(|said| said.as_secs() > 0) {
            let text = "--no-confirm waits for nothing, and --confirm-within says how long to wait";
            return Err(Failure::new(Exit::Usage, text).hint("leave one of them out"));
        }
        if self.no_confirm {
            return Ok(None);
        }
        let login = profile.cloned().unwrap_or_default();
        let within = said.unwrap_or(login.confirm_within).as_duration();
        if within.is_zero() {
            let text = "a change that can cut off a login would last at once, with nobody having come in since";
            return Err(Failure::new(Exit::Usage, text)
                .hint("give it time (--confirm-within 10m), or say --no-confirm"));
        }
        Ok(Some(within))
    }
}

/// A request for a transaction by whoever runs this command.
pub(super) fn request(context: &Context, kind: Kind, profile: Option<(&Path, &Loaded)>) -> Request {
    let profile = profile.map(|(path, loaded)| ProfileRef {
        path: path.display().to_string(),
        digest: loaded.digest.clone(),
    });
    let by = context.environment.sudo_user.clone().unwrap_or_else(|| "root".to_owned());
    let command = context.environment.command.clone();
    Request { kind, command, by, profile, despite: Vec::new(), confirm_within: None }
}
