//! Which changes wait for a person's word, and what becomes of it.

use std::time::Duration;

use super::{
    change::Step,
    record::{Confirmation, End, Ending, Provisional, Record},
    store::{Store, StoreError},
    witness::{self, Login, Refusal, Way},
};
use crate::{
    controls,
    host::{HostError, Writer, clock},
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

/// Makes a transaction last that waits for a person's word, if whoever started this process has come in since.
///
/// # Errors
/// [`ConfirmError`]; the transaction goes on waiting then.
pub async fn confirm(
    writer: &Writer,
    store: &Store,
    record: &Record,
    provisional: &Provisional,
) -> Result<Confirmation, ConfirmError> {
    let reader = writer.reader();
    let (chain, own) = (reader.ancestry()?, reader.own_addresses()?);
    let settled = provisional.settled();
    let witness = witness::judge(&chain, settled, &own).map_err(ConfirmError::Refused)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::change::{Change, FileState, RunVerb, TableState, UnitVerb};

    fn step(change: Change, because: &[&str]) -> Vec<Step> {
        vec![Step { change, because: because.iter().map(ToString::to_string).collect() }]
    }

    #[test]
    fn what_can_cut_off_a_login() {
        let put = || Change::Put { path: "/etc/x".into(), to: FileState::config("") };
        let run = |verb| Change::Run { unit: "ssh.service".into(), verb };
        let file = |verb| Change::UnitFile { unit: "ssh.service".into(), verb };
        let set = |key: &str| Change::Sysctl { key: key.into(), value: "1".into() };
        let all = [
            (true, put(), "ssh.config"),
            (true, run(RunVerb::Reload), "ssh.running"),
            (true, Change::Table { to: TableState::Absent }, "firewall.ruleset"),
            (false, put(), "firewall.boot"),
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
