//! Going back further than the last transaction: the plan that returns a host to the state before a given one.

use std::collections::BTreeMap;

use super::{
    change::{FileTime, Step},
    image::{parent_times, undo},
    outcome::Applied,
    store::{Before, Ending, Record, StoreError},
};

/// What brings back the state before a transaction.
#[derive(Debug, Default)]
pub struct Return {
    /// The steps.
    pub steps: Vec<Step>,
    /// The steps of the transactions that this takes back.
    pub undone: Vec<Step>,
    /// The times to give back to directories after the last step.
    pub times: BTreeMap<String, FileTime>,
    /// What held then; `None`: nothing had been applied yet.
    pub applied: Option<Applied>,
}

/// The way back to the state before transaction `of`.
///
/// Everything that `of` and the committed transactions after it touched goes back to how the earliest of them found it.
///
/// # Errors
/// [`StoreError::NoSuch`] when there is no committed transaction of this number.
pub fn plan(records: &[Record], of: u64) -> Result<Return, StoreError> {
    let is_committed = |record: &&Record| {
        record.end.as_ref().is_some_and(|end| matches!(end.ending, Ending::Committed { .. }))
    };
    let committed: Vec<&Record> = records.iter().filter(is_committed).collect();
    if !committed.iter().any(|record| record.begin.id == of) {
        return Err(StoreError::NoSuch(of));
    }
    let undone: Vec<&Record> = committed.iter().filter(|r| r.begin.id >= of).copied().collect();
    let steps: Vec<Step> = undone.iter().flat_map(|record| record.begin.steps.clone()).collect();
    let mut before: Vec<Before> = Vec::new();
    for found in undone.iter().flat_map(|record| &record.begin.before) {
        if before.iter().all(|earlier| earlier.resource != found.resource) {
            before.push(found.clone());
        }
    }
    let mut undo = undo(&steps, &before, steps.len());
    drop_repeated(&mut undo);
    let applied = committed.iter().rev().find(|record| record.begin.id < of);
    let applied = applied.and_then(|record| match &record.end.as_ref()?.ending {
        Ending::Committed { applied, .. } => Some(applied.clone()),
        Ending::RolledBack { .. } => None,
    });
    Ok(Return { steps: undo, undone: steps, times: parent_times(&before), applied })
}

/// Several transactions may each have told a program to read its files; once is enough.
fn drop_repeated(steps: &mut Vec<Step>) {
    let mut kept: Vec<Step> = Vec::new();
    for step in steps.drain(..) {
        if !kept.contains(&step) {
            kept.push(step);
        }
    }
    *steps = kept;
}
