//! Carrying a plan out and standing by the result: after the last change the host is looked at again, and what does
//! not hold takes everything back.

use std::{collections::BTreeSet, time::Duration};

use super::{
    change::Step,
    outcome::{Applied, CheckResult},
    rollback::{self, Return},
    session::{self, Plan, Scope},
    store::{Store, StoreError},
    transaction::{BeginError, Request, RolledBack, Transaction, set_times},
};
use crate::{
    controls::Obstacle,
    host::{Writer, clock},
    profile::schema::Profile,
};

/// How long to wait before each further look after the changes. A reloaded daemon or a starting unit needs a moment;
/// 4 s in all is past what sshd, journald and a simple service take on a slow machine.
const LOOK_AGAIN_AFTER: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1200),
    Duration::from_secs(2),
];

/// How bringing a host to its profile went.
#[derive(Debug)]
pub enum Applying {
    /// The host was as it should be; nothing was touched.
    Unchanged {
        /// What was seen.
        results: Vec<CheckResult>,
    },
    /// The changes were made and hold.
    Committed {
        /// Number of the transaction.
        id: u64,
        /// The changes that were made; none when only what is held was recorded anew.
        changes: Vec<Step>,
        /// What was seen afterwards.
        results: Vec<CheckResult>,
    },
    /// It did not work, and everything was taken back.
    RolledBack {
        /// How that went.
        rolled_back: RolledBack,
        /// What did not hold after the changes; empty when a change itself failed.
        broken: Vec<CheckResult>,
    },
}

/// A failure that left the host as it was.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant wraps the error it prints")]
pub enum ApplyError {
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing was changed: {}", in_words(.0))]
    Refused(Vec<Obstacle>),
}

fn in_words(obstacles: &[Obstacle]) -> String {
    let one = |each: &Obstacle| format!("{}: {}", each.check, each.why);
    obstacles.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Brings the host to the profile, as far as `scope` goes.
///
/// # Errors
/// [`ApplyError`]: nothing was changed.
pub async fn apply(
    writer: &Writer,
    store: &Store,
    profile: &Profile,
    request: Request,
    scope: Scope,
    mut progress: impl FnMut(usize, usize, &Step),
) -> Result<Applying, ApplyError> {
    let applied = store.applied()?.map(|(_, applied)| applied);
    let looks = session::look(profile, writer.reader()).await;
    if scope == Scope::Everything {
        let obstacles = session::obstacles(&looks, &request.despite);
        if !obstacles.is_empty() {
            return Err(ApplyError::Refused(obstacles));
        }
    }
    let before = session::judge(&looks, applied.as_ref(), &profile.waiver, clock::today());
    let Plan { steps, wanted } = session::plan(&looks, &before, scope);
    if steps.is_empty() {
        let is_recorded = applied.as_ref() == Some(&session::held(&before));
        // Unattended, only what a person had applied counts; and what cannot be put right is not called applied.
        if scope != Scope::Everything || is_recorded || !wanted.is_empty() {
            return Ok(Applying::Unchanged { results: before });
        }
    }

    let total = steps.len();
    let mut transaction = Transaction::begin(writer, store, request, steps.clone()).await?;
    if let Err(why) = transaction.run(|index, step| progress(index, total, step)).await {
        let rolled_back = transaction.roll_back(why).await;
        return Ok(Applying::RolledBack { rolled_back, broken: Vec::new() });
    }

    // A person gets the whole profile or the host as it was. Unattended, what no step can put right is reported and
    // does not keep the rest from being put right.
    let claimed: BTreeSet<String> = match scope {
        Scope::Everything => wanted,
        Scope::Drift(_) => steps.iter().flat_map(|step| step.because.clone()).collect(),
    };
    let mut waits = LOOK_AGAIN_AFTER.iter();
    let (after, broken) = loop {
        let looks = session::look(profile, writer.reader()).await;
        let after = session::judge(&looks, applied.as_ref(), &profile.waiver, clock::today());
        let broken = session::broken(&before, &after, &claimed);
        match waits.next() {
            Some(wait) if !broken.is_empty() => tokio::time::sleep(*wait).await,
            _ => break (after, broken),
        }
    };
    if !broken.is_empty() {
        let names: Vec<&str> = broken.iter().map(|result| result.check.as_str()).collect();
        let why = format!("after the changes these did not hold: {}", names.join(", "));
        let rolled_back = transaction.roll_back(why).await;
        return Ok(Applying::RolledBack { rolled_back, broken });
    }
    let held = match (scope, applied) {
        (Scope::Drift(_), Some(applied)) => applied,
        _ => session::held(&after),
    };
    match transaction.commit(held).await {
        Ok(id) => Ok(Applying::Committed { id, changes: steps, results: after }),
        Err(rolled_back) => Ok(Applying::RolledBack { rolled_back, broken: Vec::new() }),
    }
}

/// Puts right what has drifted, each control in a transaction of its own: a service that will not start must not keep
/// the firewall from being put back.
///
/// # Errors
/// [`ApplyError`]: nothing was looked at. Within: that control was left as it was.
pub async fn correct(
    writer: &Writer,
    store: &Store,
    profile: &Profile,
    request: Request,
    mut progress: impl FnMut(usize, usize, &Step),
) -> Result<Vec<Result<Applying, ApplyError>>, ApplyError> {
    let applied = store.applied()?.map(|(_, applied)| applied);
    let looks = session::look(profile, writer.reader()).await;
    let results = session::judge(&looks, applied.as_ref(), &profile.waiver, clock::today());
    let controls = session::drifted(&results);
    if controls.is_empty() {
        return Ok(vec![Ok(Applying::Unchanged { results })]);
    }
    let mut done = Vec::new();
    for control in controls {
        let (request, scope) = (request.clone(), Scope::Drift(control));
        done.push(apply(writer, store, profile, request, scope, &mut progress).await);
    }
    Ok(done)
}

/// The outcome of [`roll_back_to`].
pub type RollingBack = Result<(u64, Vec<Step>), RolledBack>;

/// Returns the host to the state before transaction `of`, by a transaction of its own.
///
/// # Errors
/// [`ApplyError`]: nothing was changed.
pub async fn roll_back_to(
    writer: &Writer,
    store: &Store,
    of: u64,
    request: Request,
    progress: impl FnMut(usize, usize, &Step),
) -> Result<RollingBack, ApplyError> {
    let Return { steps, times, applied } = rollback::plan(&store.records()?, of)?;
    let total = steps.len();
    let mut progress = progress;
    let mut transaction = Transaction::begin(writer, store, request, steps.clone()).await?;
    if let Err(why) = transaction.run(|index, step| progress(index, total, step)).await {
        return Ok(Err(transaction.roll_back(why).await));
    }
    if let Err(error) = set_times(writer, &times) {
        return Ok(Err(transaction.roll_back(error.chain()).await));
    }
    let wrong = super::transaction::not_as_planned(writer, &steps).await;
    if !wrong.is_empty() {
        let why = format!("these could not be put back: {}", wrong.join(", "));
        return Ok(Err(transaction.roll_back(why).await));
    }
    Ok(transaction.commit(applied.unwrap_or_else(Applied::new)).await.map(|id| (id, steps)))
}
