//! What commands that look at or change a host have in common: the profile, the lock, the repair of what was
//! interrupted.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use super::{
    Context, Format,
    failure::{Exit, Failure},
};
use crate::{
    controls,
    engine::{
        check::CheckRef,
        store::{Kind, ProfileRef, STATE_DIR, Store},
        transaction::{Request, RolledBack, recover},
    },
    host::{
        Reader, Writer, clock,
        lock::{LOCK_PATH, Lock},
    },
    profile::{self, Loaded, Options, RealSources, Trust},
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
    Ok(writer)
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

/// Rolls back what an interrupted holdfast left open. Takes the lock only if there is something to do.
async fn repair(context: &Context) -> Result<(), Failure> {
    if !store().unfinished()?.is_empty() {
        drop(writer(context).await?);
    }
    Ok(())
}

fn report(context: &Context, recovered: &[RolledBack]) {
    for rolled_back in recovered {
        journal::rolled_back(journal::RECOVERED, rolled_back);
        context.out.warn(&told(rolled_back));
    }
}

/// A roll-back in one line.
pub(super) fn told(rolled_back: &RolledBack) -> String {
    let RolledBack { id, why, unrestored } = rolled_back;
    if unrestored.is_empty() {
        format!("transaction {id}: {why}; rolled back, verified")
    } else {
        format!(
            "transaction {id}: {why}; rolled back, but these could not be restored: {}",
            unrestored.join("; ")
        )
    }
}

/// A request for a transaction by whoever runs this command.
pub(super) fn request(context: &Context, kind: Kind, profile: Option<(&Path, &Loaded)>) -> Request {
    let profile = profile.map(|(path, loaded)| ProfileRef {
        path: path.display().to_string(),
        digest: loaded.digest.clone(),
    });
    let by = context.environment.sudo_user.clone().unwrap_or_else(|| "root".to_owned());
    Request { kind, command: context.environment.command.clone(), by, profile, despite: Vec::new() }
}
