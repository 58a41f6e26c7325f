//! The processes that hold a key, and nothing else does: this program started anew with a hidden subcommand.
//!
//! Not a fork: a new address space has no copy of what this process ever had, and the very file that runs here is what
//! runs there, even when the package is replaced meanwhile. There are two: a ceremony's ([`crate::key::child`]) and a
//! backup's ([`crate::backup::joint`]). Each locks its memory before it is told anything, forbids dumps and tracers, and says
//! nothing but what everybody may know.

use std::{path::Path, time::Duration};

use clap::ValueEnum;

use crate::host::stage::Launch;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "locked-child";

/// What such a process is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// A ceremony: seals keys, and opens them.
    Ceremony,
    /// A backup: says whether keys open its rows, and what a signer is configured with.
    Backup,
}

impl Purpose {
    /// How it is started: `isolated` without any network; after `limit` it is stopped.
    pub fn launch(self, isolated: bool, limit: Duration) -> Launch<'static> {
        let word = match self {
            Self::Ceremony => "ceremony",
            Self::Backup => "backup",
        };
        Launch {
            // This very file, even when another has taken its name.
            program: Path::new("/proc/self/exe"),
            args: vec![SUBCOMMAND.to_owned(), word.to_owned()],
            env: Vec::new(),
            identity: None,
            isolated,
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_started_by_the_word_that_it_is_known_by() {
        for purpose in Purpose::value_variants() {
            let launch = purpose.launch(true, Duration::ZERO);
            assert_eq!(Purpose::from_str(&launch.args[1], false), Ok(*purpose));
        }
    }
}
