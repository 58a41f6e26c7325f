//! Which changes wait for a person's word, and what becomes of it.

use std::{collections::BTreeSet, time::Duration};

use super::{
    change::{Change, Step},
    outcome::Outcome,
    record::{Begin, Confirmation, End, Ending, Provisional, Record},
    session,
    store::{Store, StoreError},
    witness::{self, Login, Refusal, Way},
};
use crate::{
    controls,
    host::{HostError, Reader, Writer, clock},
    profile::schema::Profile,
};

/// Whether any of these steps can cut off a login, as the controls say for whose checks it is made. Of one that is for
/// no check (it undoes something) nobody can say that it cannot.
pub fn can_cut_off_login(steps: &[Step]) -> bool {
    let can = |step: &Step| {
        let is_for = |name: &str| step.because.iter().any(|id| id.split('.').next() == Some(name));
        let mut concerned = controls::ALL.iter().filter(|control| is_for(control.name()));
        step.because.is_empty() || concerned.any(|control| control.can_cut_off_login(&step.change))
    };
    steps.iter().any(can)
}

/// Why a word was not taken.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant wraps the error it prints")]
pub enum ConfirmError {
    #[error("{0}")]
    Refused(Refusal),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a transaction last that waits for a person's word, if whoever started this process has come in since, by what
/// it has changed and nothing else. `profile`: the one it was for, where that can still be read.
///
/// # Errors
/// [`ConfirmError`]; the transaction goes on waiting then.
pub async fn confirm(
    writer: &Writer,
    store: &Store,
    record: &Record,
    provisional: &Provisional,
    profile: Option<&Profile>,
) -> Result<Confirmation, ConfirmError> {
    let reader = writer.reader();
    let (chain, own) = (reader.ancestry()?, reader.own_addresses()?);
    let settled = provisional.settled();
    let witness = witness::judge(&chain, settled, &own).map_err(ConfirmError::Refused)?;
    if let Way::Ssh { from, .. } = witness.way {
        if let Some(bridge) = reader.inner_bridge_to(from)? {
            return Err(ConfirmError::Refused(Refusal::Guest { from, bridge }));
        }
        let_in_by_it(reader, &record.begin, provisional, profile).await?;
    }
    let accounts = reader.accounts()?;
    let account = accounts.iter().find(|account| account.uid == witness.uid);
    let by = account.map_or_else(|| format!("uid {}", witness.uid), |found| found.name.clone());
    let (at, up) = (clock::now(), reader.moment()?.up);
    let (login, seconds_after) = match witness.way {
        Way::Ssh { from, connected } => {
            let ago = jiff::SignedDuration::try_from(up.saturating_sub(connected));
            let connected_at = at.saturating_sub(ago.unwrap_or_default()).unwrap_or(at);
            let connected_at = clock::whole(connected_at);
            let after = Duration::as_secs(&connected.saturating_sub(settled));
            (Login::Ssh { from, connected: connected_at }, Some(after))
        }
        Way::Console { tty } => (Login::Console { tty }, None),
    };
    let confirmation = Confirmation { by, at, login, seconds_after };
    let ending = Ending::Committed {
        applied: provisional.applied.clone(),
        confirmed: Some(confirmation.clone()),
    };
    store.end(record.begin.id, &End::new(at, ending))?;
    // A timer that cannot be stopped finds the transaction ended.
    drop(writer.disarm(record.begin.id).await);
    Ok(confirmation)
}

/// Sees that a new login was let in by what was changed. While the host is open to everybody, or when somebody has
/// replaced the rules since, it was not, and would not be again after the next correction.
async fn let_in_by_it(
    reader: &Reader,
    begin: &Begin,
    provisional: &Provisional,
    profile: Option<&Profile>,
) -> Result<(), ConfirmError> {
    let has_table = begin.steps.iter().any(|step| matches!(step.change, Change::Table { .. }));
    match reader.break_glass().await {
        Ok(Some(elements)) if !elements.is_empty() => {
            return Err(ConfirmError::Refused(Refusal::Open));
        }
        // A host without nft, or whose kernel has no part for it, has nothing to open.
        Err(error) if has_table => return Err(error.into()),
        _ => {}
    }
    let Some(profile) = profile else { return Ok(()) };
    let concerned: BTreeSet<&String> = begin
        .steps
        .iter()
        .filter(|step| can_cut_off_login(std::slice::from_ref(step)))
        .flat_map(|step| &step.because)
        .collect();
    let looks = session::look(profile, reader).await;
    let applied = Some(&provisional.applied);
    let results = session::judge(&looks, applied, &profile.waiver, clock::today());
    // A changed expectation is none of its business: an edited profile waits for its own apply.
    let is_gone = |outcome| matches!(outcome, Outcome::Drift | Outcome::CannotCheck);
    let gone = results.iter().filter(|result| {
        is_gone(result.outcome)
            && concerned.contains(&result.check)
            && provisional.applied.contains_key(&result.check)
    });
    let what: Vec<String> =
        gone.map(|result| format!("{}: {}", result.check, result.observed)).collect();
    if what.is_empty() {
        return Ok(());
    }
    Err(ConfirmError::Refused(Refusal::Changed { what }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::change::{FileState, RunVerb, TableState, UnitVerb};

    fn step(change: Change, because: &[&str]) -> Vec<Step> {
        vec![Step { change, because: because.iter().map(ToString::to_string).collect() }]
    }

    #[test]
    fn what_can_cut_off_a_login() {
        let put = || Change::Put { path: "/etc/x".into(), to: FileState::config("") };
        let copy = || Change::Put {
            path: "/var/lib/holdfast/firewall.json".into(),
            to: FileState::config(""),
        };
        let run = |verb| Change::Run { unit: "ssh.service".into(), verb };
        let file = |verb| Change::UnitFile { unit: "ssh.service".into(), verb };
        let set = |key: &str| Change::Sysctl { key: key.into(), value: "1".into() };
        let all = [
            (true, put(), "ssh.config"),
            (true, run(RunVerb::Reload), "ssh.running"),
            (true, Change::Table { to: TableState::Absent }, "firewall.ruleset"),
            (true, copy(), "firewall.boot"),
            (false, file(UnitVerb::Enable), "firewall.boot"),
            (true, set("net.ipv4.ip_forward"), "sysctl.live/net.ipv4.ip_forward"),
            (false, set("kernel.sysrq"), "sysctl.live/kernel.sysrq"),
            (false, put(), "sysctl.boot/net.ipv4.ip_forward"),
            (true, run(RunVerb::Stop), "services.masked/ssh.service"),
            (true, run(RunVerb::Restart), "services.enabled/ssh.service"),
            (true, file(UnitVerb::Mask), "services.masked/ssh.service"),
            (true, file(UnitVerb::Disable), "services.disabled/ssh.service"),
            (false, file(UnitVerb::Enable), "services.enabled/ssh.service"),
            (false, run(RunVerb::Start), "services.enabled/ssh.service"),
            (false, put(), "journal.config"),
            (false, run(RunVerb::Restart), "journal.running"),
        ];
        for (can, change, because) in all {
            assert_eq!(
                can_cut_off_login(&step(change.clone(), &[because])),
                can,
                "{because} {change:?}"
            );
        }
        assert!(can_cut_off_login(&step(put(), &[])));
        assert!(can_cut_off_login(&step(put(), &["journal.config", "ssh.config"])));
        assert!(!can_cut_off_login(&[]));
    }
}
