//! Making and removing system accounts, by the programs that Debian does it with: they keep `/etc/passwd`, `shadow`,
//! `group` and `gshadow` in step, under the lock that all such programs take.

use std::time::{Duration, Instant};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{HostError, Reader, process};
use crate::engine::change::AccountState;

/// How long processes that were killed may take to be gone: one in a system call ends when that does.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Brings an account to a state. Doing it again changes nothing more.
///
/// # Errors
/// When one of the programs is missing or refuses, or when what the account runs does not end.
pub(super) async fn put_account(
    reader: &Reader,
    name: &str,
    to: &AccountState,
) -> Result<(), HostError> {
    match to {
        AccountState::System { about } => {
            // sysusers.d(5). An account that is there already is left as it is.
            let line = format!("u {name} - \"{about}\" / /usr/sbin/nologin\n");
            process::run("systemd-sysusers", &["-"], Some(line.as_bytes()))
                .await?
                .success()
                .map(drop)
        }
        AccountState::Absent => {
            if let Some(account) =
                reader.accounts()?.into_iter().find(|account| account.name == name)
            {
                // userdel refuses otherwise; and who is gone must not read on.
                end_all_of(reader, account.uid).await?;
                process::run("userdel", &[name], None).await?.success()?;
            }
            // It takes the group along, unless login.defs says otherwise.
            if reader.has_account(name)? {
                process::run("groupdel", &[name], None).await?.success()?;
            }
            Ok(())
        }
    }
}

/// Kills every process of a user and waits until none is left.
async fn end_all_of(reader: &Reader, uid: u32) -> Result<(), HostError> {
    if uid == 0 {
        return Err(HostError::Refused("what root runs is not ended".to_owned()));
    }
    let begun = Instant::now();
    loop {
        let left = processes_of(reader, uid)?;
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => {
                    return Err(HostError::file("end", format!("process {pid}"))(error.into()));
                }
            }
        }
        if begun.elapsed() > ENDS_WITHIN {
            return Err(HostError::Refused(format!("what user {uid} runs does not end")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The processes of which this is the real or the effective user; those that have ended and are not yet waited for left
/// out.
fn processes_of(reader: &Reader, uid: u32) -> Result<Vec<i32>, HostError> {
    let mut found = Vec::new();
    for pid in reader.files().list("/proc")?.iter().filter_map(|name| name.parse::<i32>().ok()) {
        // One that ended meanwhile is none.
        let Ok(Some(status)) = reader.files().text(&format!("/proc/{pid}/status")) else {
            continue;
        };
        let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        let is_dead = field("State:").is_some_and(|state| state.trim().starts_with('Z'));
        let mut uids = field("Uid:").unwrap_or_default().split_whitespace().take(2);
        if !is_dead && uids.any(|one| one.parse() == Ok(uid)) {
            found.push(pid);
        }
    }
    Ok(found)
}
