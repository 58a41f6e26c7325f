//! The joint proof on the host: that the signer's private key and a backup belong together.
//!
//! By public data one signer's row is like another's of the same group; only the key tells them apart. Where the profile names
//! files that have it (`key_files`), a process of its own works with it: this program started anew with a hidden subcommand, and
//! not the one that speaks to a server and a node. It locks its memory, leaves no dump, opens nothing once it has the
//! keys, says verdicts and ends.
//!
//! - [`talk`]: what it is told, and what it says
//! - [`child`]: what it does
//! - [`key_file`]: where in a file a key stands; pure
//! - [`checks`](mod@checks): what its word makes of the checks of a proof; pure

pub mod checks;
pub mod child;
mod key_file;
pub mod talk;

use std::{path::Path, time::Duration};

use self::talk::{Answer, Job, Judged};
use super::{dkg::Row, manifest::Check};
use crate::{
    host::stage::Launch,
    profile::{schema::Backup, types::FilePath},
};

/// The hidden subcommand that is the process.
pub const SUBCOMMAND: &str = "backup-child";

/// A row takes milliseconds; a slow machine with a hundred of them, some seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Adds to the checks of a proof what the keys say of its rows, where the profile allows it. Must be called from the main thread: see [`crate::host::stage`].
pub fn prove(checks: Vec<Check>, rows: &[Row], rules: &Backup) -> Vec<Check> {
    match rules.key_files.as_deref() {
        None | Some([]) => checks,
        Some(files) => checks::joint(checks, rows, rules, ask(files, rows)),
    }
}

/// Has the process judge the rows; or why it did not.
fn ask(files: &[FilePath], rows: &[Row]) -> Result<Judged, String> {
    let job = Job { files: files.iter().map(ToString::to_string).collect(), rows: rows.to_vec() };
    let job = serde_json::to_vec(&job).map_err(|error| error.to_string())?;
    let launch = Launch {
        // This very file, even when another has taken its name.
        program: Path::new("/proc/self/exe"),
        args: vec![SUBCOMMAND.to_owned()],
        env: Vec::new(),
        identity: None,
        // To leave the network takes CAP_SYS_ADMIN, which the watch has not: it opens no socket instead.
        isolated: false,
        limit: LIMIT,
    };
    let output = launch.ask(&job).map_err(|error| error.chain())?;
    match serde_json::from_slice(&output) {
        Ok(Answer::Judged(judged)) if judged.rows.len() == rows.len() => Ok(judged),
        Ok(Answer::Refused(why)) => Err(why),
        _ => Err("the process that has the keys gave no answer".to_owned()),
    }
}
