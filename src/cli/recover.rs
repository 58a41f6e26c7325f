//! `holdfast expire` and `holdfast recover`: what the units run that take a change back with nobody there.
//!
//! After a reboot it is taken back in two parts: files before anything reads them, the rest when systemd answers.

use std::{path::Path, time::Duration};

use super::{
    Context,
    failure::{Exit, Failure},
    host,
};
use crate::{
    engine::{
        store::{Standing, StoreError},
        transaction::{FilesBack, recover_files},
    },
    host::{
        Reader, Writer,
        lock::{LOCK_PATH, Lock, LockError},
    },
    report::journal,
};

/// How often the end of the wait is looked for: it may be put off, and it may be reached by a confirmation.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct ExpireArgs {
    /// The transaction
    id: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct RecoverArgs {
    /// Only files, links and folders, of what an earlier boot left open; needs no D-Bus
    #[arg(long)]
    files: bool,
}

/// Waits until a transaction has ended or its time is over, and rolls it back then.
pub(super) async fn expire(context: &Context, args: &ExpireArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (store, reader) = (host::store(), Reader::live());
    loop {
        let record = match store.record(args.id) {
            Err(StoreError::NoSuch(_)) => return Ok(Exit::Ok),
            record => record?,
        };
        if record.end.is_some() {
            return Ok(Exit::Ok);
        }
        let wait = match record.provisional {
            Some(provisional) => match provisional.standing(&reader.moment()?) {
                Standing::Waiting(left) => Some(left.min(LOOK_EVERY)),
                Standing::Late | Standing::OtherBoot => None,
            },
            // Still being carried out, if somebody holds the lock; interrupted otherwise.
            None => None,
        };
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None if is_at_work(context)? => tokio::time::sleep(LOOK_EVERY / 5).await,
            None => {
                drop(host::writer(context).await?);
            }
        }
    }
}

/// Rolls back what was left open, but for what may still be confirmed.
pub(super) async fn recover(context: &Context, args: &RecoverArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    if args.files {
        return files(context).await;
    }
    while is_at_work(context)? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drop(host::writer(context).await?);
    Ok(Exit::Ok)
}

/// Puts files back and ends nothing: that is left to what runs when all of systemd is up.
async fn files(context: &Context) -> Result<Exit, Failure> {
    let lock = Lock::exclusive(Path::new(LOCK_PATH), &context.environment.command)?;
    let recovered = recover_files(&Writer::new(Reader::live(), lock), &host::store()).await?;
    recovered.iter().for_each(journal::files_back);
    let left: Vec<String> = recovered
        .iter()
        .filter(|back| !back.unrestored.is_empty())
        .map(|FilesBack { id, unrestored, .. }| {
            format!("transaction {id}: not put back: {}", unrestored.join("; "))
        })
        .collect();
    if left.is_empty() {
        return Ok(Exit::Ok);
    }
    Err(Failure::new(Exit::Failed, left.join("; "))
        .hint("holdfast-recover.service tries again in this boot"))
}

/// Whether another holdfast holds the lock.
fn is_at_work(context: &Context) -> Result<bool, Failure> {
    match Lock::exclusive(Path::new(LOCK_PATH), &context.environment.command) {
        Ok(lock) => drop(lock),
        Err(LockError::Held(_) | LockError::Read) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    Ok(false)
}
