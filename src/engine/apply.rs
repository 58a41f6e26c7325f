//! Carrying a plan out and standing by the result: after the last change the host is looked at again, and what does
//! not hold takes everything back.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    change::{Change, RunVerb, Step},
    confirm::can_cut_off_login,
    outcome::{Applied, CheckResult},
    recovery::take_back,
    rollback::{self, Return},
    session::{self, Plan, Scope},
    store::{Cause, ProfileRef, Provisional, Record, Store, StoreError},
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
    /// The changes were made and hold, and are rolled back unless a person confirms them.
    Pending {
        /// Number of the transaction.
        id: u64,
        /// The changes that were made; none when only more time was given.
        changes: Vec<Step>,
        /// What was seen afterwards.
        results: Vec<CheckResult>,
        /// Until when it waits.
        provisional: Provisional,
    },
    /// Nothing is put right unattended now; nothing was touched.
    Still {
        /// Why not.
        why: Still,
        /// What was seen; nothing was looked at while a change waits to be confirmed.
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

/// Why nothing is put right unattended.
#[derive(Debug)]
pub enum Still {
    /// A change waits to be confirmed: what it has brought is not yet what the host is held to.
    Pending {
        /// Number of the transaction.
        id: u64,
        /// Until when it waits.
        provisional: Provisional,
    },
    /// A change was taken back with nobody there. Whoever made it has to see what it was before anything moves again.
    TakenBack {
        /// Number of the transaction.
        id: u64,
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
    #[error("transaction {id} waits to be confirmed until {until}, and only one change can")]
    Pending { id: u64, until: Timestamp },
}

fn in_words(obstacles: &[Obstacle]) -> String {
    let one = |each: &Obstacle| format!("{}: {}", each.check, each.why);
    obstacles.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Brings the host to the profile, as far as `scope` goes. `warn` is told what a person is to know before anything is
/// changed, `progress` each step before it is carried out.
///
/// # Errors
/// [`ApplyError`]: nothing was changed.
pub async fn apply(
    writer: &Writer,
    store: &Store,
    profile: &Profile,
    request: Request,
    scope: Scope,
    warn: impl Fn(&str),
    mut progress: impl FnMut(usize, usize, &Step),
) -> Result<Applying, ApplyError> {
    if let Some(pending) = store.pending(writer.reader())? {
        return give_more_time(writer, store, profile, &request, pending).await;
    }
    let applied = store.applied()?.map(|(_, applied)| applied);
    let looks = session::look(profile, writer.reader()).await;
    let obstacles = match scope {
        Scope::Everything => {
            // Before anything is changed: afterwards it could be too late to read it.
            for warning in session::warnings(&looks) {
                warn(&warning);
            }
            session::obstacles(&looks, &request.despite)
        }
        Scope::Drift(control) => session::guards(&looks, control),
    };
    if !obstacles.is_empty() {
        return Err(ApplyError::Refused(obstacles));
    }
    let before = session::judge(&looks, applied.as_ref(), &profile.waiver, clock::today());
    let Plan { steps, wanted } = session::plan(&looks, &before, scope);
    if steps.is_empty() {
        // A person who applies after a change was taken back has acted, and that is recorded.
        let is_recorded =
            applied.as_ref() == Some(&session::held(&before)) && store.held_still()?.is_none();
        // Unattended, only what a person had applied counts; and what cannot be put right is not called applied.
        if scope != Scope::Everything || is_recorded || !wanted.is_empty() {
            return Ok(Applying::Unchanged { results: before });
        }
    }

    let total = steps.len();
    // What drift is corrected to was confirmed when it was applied.
    let waits = scope == Scope::Everything && can_cut_off_login(&steps);
    let confirm_within = request.confirm_within.filter(|_| waits);
    let request = Request { confirm_within, ..request };
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
    let ended = match confirm_within {
        None => transaction.commit(held).await.map(|id| Applying::Committed {
            id,
            changes: steps,
            results: after,
        }),
        Some(within) => transaction.wait(held, within).await.map(|(id, provisional)| {
            Applying::Pending { id, changes: steps, results: after, provisional }
        }),
    };
    Ok(ended.unwrap_or_else(|rolled_back| Applying::RolledBack { rolled_back, broken: Vec::new() }))
}

/// What an apply does while a change waits to be confirmed: one of the same profile gives it more time.
async fn give_more_time(
    writer: &Writer,
    store: &Store,
    profile: &Profile,
    request: &Request,
    (record, provisional): (Record, Provisional),
) -> Result<Applying, ApplyError> {
    let id = record.begin.id;
    let digest = |profile: &Option<ProfileRef>| profile.as_ref().map(|found| found.digest.clone());
    let is_same = digest(&record.begin.profile).is_some()
        && digest(&record.begin.profile) == digest(&request.profile);
    let Some(within) = request.confirm_within.filter(|_| is_same) else {
        return Err(ApplyError::Pending { id, until: provisional.until });
    };
    let moment = writer.reader().moment().map_err(StoreError::from)?;
    // The timer that is armed already starts what waits for the new end.
    let provisional = provisional.extended(&moment, within, clock::now());
    store.wait(id, &provisional)?;
    let looks = session::look(profile, writer.reader()).await;
    let waivers = &profile.waiver;
    let results = session::judge(&looks, Some(&provisional.applied), waivers, clock::today());
    Ok(Applying::Pending { id, changes: Vec::new(), results, provisional })
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
    if let Some((record, provisional)) = store.pending(writer.reader())? {
        let why = Still::Pending { id: record.begin.id, provisional };
        return Ok(vec![Ok(Applying::Still { why, results: Vec::new() })]);
    }
    let applied = store.applied()?.map(|(_, applied)| applied);
    let looks = session::look(profile, writer.reader()).await;
    let results = session::judge(&looks, applied.as_ref(), &profile.waiver, clock::today());
    let controls = session::drifted(&results);
    if let Some(record) = store.held_still()? {
        let why = Still::TakenBack { id: record.begin.id };
        return Ok(vec![Ok(Applying::Still { why, results })]);
    }
    if controls.is_empty() {
        return Ok(vec![Ok(Applying::Unchanged { results })]);
    }
    let mut done = Vec::new();
    for control in controls {
        let (request, scope) = (request.clone(), Scope::Drift(control));
        done.push(apply(writer, store, profile, request, scope, |_| {}, &mut progress).await);
    }
    Ok(done)
}

/// How returning to an earlier state went.
#[derive(Debug)]
pub enum RollingBack {
    /// The host is as it was.
    Done {
        /// Number of the transaction that brought it there.
        id: u64,
        /// What that did.
        steps: Vec<Step>,
    },
    /// The host is as it was, and that is rolled back in turn unless a person confirms it.
    Pending {
        /// Number of the transaction that brought it there.
        id: u64,
        /// What that did.
        steps: Vec<Step>,
        /// Until when it waits.
        provisional: Provisional,
    },
    /// The transaction was waiting to be confirmed, and was taken back.
    Withdrawn(RolledBack),
    /// It did not work, and the host stays as it is.
    Failed(RolledBack),
}

/// Returns the host to the state before transaction `of`, by a transaction of its own; one that waits to be confirmed
/// is taken back and needs none.
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
    if let Some((Record { begin, begun, .. }, provisional)) = store.pending(writer.reader())? {
        if begin.id != of {
            return Err(ApplyError::Pending { id: begin.id, until: provisional.until });
        }
        let why = format!("taken back by {} before it was confirmed", request.by);
        let rolled_back = take_back(writer, store, &begin, begun, Cause::Withdrawn, why).await;
        return Ok(RollingBack::Withdrawn(rolled_back));
    }
    let Return { steps, undone, times, applied } = rollback::plan(&store.records()?, of)?;
    let total = steps.len();
    let mut progress = progress;
    // What was started and set up is stopped and taken away again.
    let takes_away = |step: &Step| {
        matches!(step.change, Change::UnitLinks { .. } | Change::Run { verb: RunVerb::Stop, .. })
    };
    let waits = can_cut_off_login(&undone) || steps.iter().any(takes_away);
    let confirm_within = request.confirm_within.filter(|_| waits);
    let request = Request { confirm_within, ..request };
    let mut transaction = Transaction::begin(writer, store, request, steps.clone()).await?;
    if let Err(why) = transaction.run(|index, step| progress(index, total, step)).await {
        return Ok(RollingBack::Failed(transaction.roll_back(why).await));
    }
    if let Err(error) = set_times(writer, &times) {
        return Ok(RollingBack::Failed(transaction.roll_back(error.chain()).await));
    }
    let wrong = super::transaction::not_as_planned(writer, &steps).await;
    if !wrong.is_empty() {
        let why = format!("these could not be put back: {}", wrong.join(", "));
        return Ok(RollingBack::Failed(transaction.roll_back(why).await));
    }
    let applied = applied.unwrap_or_else(Applied::new);
    let ended = match confirm_within {
        None => transaction.commit(applied).await.map(|id| RollingBack::Done { id, steps }),
        Some(within) => transaction
            .wait(applied, within)
            .await
            .map(|(id, provisional)| RollingBack::Pending { id, steps, provisional }),
    };
    Ok(ended.unwrap_or_else(RollingBack::Failed))
}
