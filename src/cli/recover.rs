//! `holdfast expire` and `holdfast recover`: what the units run that take a change back with nobody there.

use std::{path::Path, time::Duration};

use super::{
    Context,
    failure::{Exit, Failure},
    host,
};
use crate::{
    engine::store::{Standing, StoreError},
    host::{
        Reader,
        lock::{LOCK_PATH, Lock, LockError},
    },
};

/// How often the end of the wait is looked for: it may be put off, and it may be reached by a confirmation.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct ExpireArgs {
    /// The transaction
    id: u64,
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
pub(super) async fn recover(context: &Context) -> Result<Exit, Failure> {
    host::require_root(context)?;
    while is_at_work(context)? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    drop(host::writer(context).await?);
    Ok(Exit::Ok)
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
