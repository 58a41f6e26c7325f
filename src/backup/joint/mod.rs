//! The joint proof on the host: that the signer's private key and a backup belong together.
//!
//! By public data one signer's row is like another's of the same group; only the key tells them apart. Where the profile names
//! files that have it (`key_files`), a process of its own works with it ([`crate::locked`]), and not the one that speaks to a
//! server and a node. It locks its memory, leaves no dump, opens nothing once it has the keys, says verdicts and ends. What the
//! signer is configured with is asked of one, too: its key stands beside it.
//!
//! - [`talk`]: what it is told, and what it says
//! - [`child`]: what it does
//! - [`key_file`]: where in a file a key stands; pure
//! - [`configured`]: what the signer's own configuration says
//! - [`own`](mod@own): what the public half of the key in it makes of those checks; pure
//! - [`checks`](mod@checks): what its word makes of the checks of a proof; pure

pub mod checks;
pub mod child;
mod configured;
mod key_file;
pub mod own;
pub mod talk;

use std::time::Duration;

use self::talk::{Answer, Configured, Job, Judged, Order};
use super::{dkg::Row, manifest::Check};
use crate::{
    locked::Purpose,
    profile::{
        schema::{Backup, Chain},
        types::{FilePath, StacksAddress},
    },
};

/// A row takes milliseconds; a slow machine with a hundred of them, some seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Adds to the checks of a proof what the keys say of its rows, where the profile allows it. Must be called from the main thread: see [`crate::host::stage`].
pub fn prove(checks: Vec<Check>, rows: &[Row], rules: &Backup) -> Vec<Check> {
    match rules.key_files.as_deref() {
        None | Some([]) => checks,
        Some(files) => checks::joint(checks, rows, rules, judged(files, rows)),
    }
}

/// Who deployed the contract: the profile's word, or the signer's own configuration. Must be called from the main thread.
///
/// # Errors
/// Why that cannot be told, and what to do.
pub fn deployer(chain: &Chain) -> Result<StacksAddress, String> {
    match &chain.deployer {
        Some(deployer) => Ok(deployer.clone()),
        None => configured(chain)?.deployer,
    }
}

/// What a backup's proof takes of the signer's own configuration, which is not asked where the profile says all of it. Must be
/// called from the main thread.
pub fn known(rules: &Backup, chain: &Chain) -> Configured {
    let mut known = Configured { deployer: Err(String::new()), public: Ok(None) };
    if chain.deployer.is_none() || own::tells(rules) {
        let failed = |why: String| Configured { deployer: Err(why.clone()), public: Err(why) };
        known = configured(chain).unwrap_or_else(failed);
    }
    if let Some(deployer) = &chain.deployer {
        known.deployer = Ok(deployer.clone());
    }
    known
}

/// What the signer's own configuration says. Must be called from the main thread.
///
/// # Errors
/// Why nobody could look.
fn configured(chain: &Chain) -> Result<Configured, String> {
    match ask(&Order::Configured(Box::new(chain.clone())))? {
        Answer::Configured(configured) => Ok(*configured),
        other => Err(no_answer(other)),
    }
}

/// Has the process judge the rows; or why it did not.
fn judged(files: &[FilePath], rows: &[Row]) -> Result<Judged, String> {
    let job = Job { files: files.iter().map(ToString::to_string).collect(), rows: rows.to_vec() };
    match ask(&Order::Judge(job))? {
        Answer::Judged(judged) if judged.rows.len() == rows.len() => Ok(judged),
        other => Err(no_answer(other)),
    }
}

/// What is said when it gave no answer.
const SILENT: &str = "the process that has the keys gave no answer";

fn no_answer(answer: Answer) -> String {
    if let Answer::Refused(why) = answer { why } else { SILENT.to_owned() }
}

fn ask(order: &Order) -> Result<Answer, String> {
    let order = serde_json::to_vec(order).map_err(|error| error.to_string())?;
    // To leave the network takes CAP_SYS_ADMIN, which the watch has not: once it has the keys it opens no socket instead.
    let launch = Purpose::Backup.launch(false, LIMIT);
    let output = launch.ask(&order).map_err(|error| error.chain())?;
    serde_json::from_slice(&output).map_err(|_| SILENT.to_owned())
}
