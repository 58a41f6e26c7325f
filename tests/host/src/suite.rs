//! The Debian releases that hosts are made of.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// A Debian release that holdfast supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// Debian 12, systemd 252.
    Bookworm,
    /// Debian 13, systemd 257.
    Trixie,
}

impl Suite {
    /// Every supported release.
    pub const ALL: [Suite; 2] = [Suite::Bookworm, Suite::Trixie];

    /// The releases to test on: all, or those that `HOLDFAST_TEST_SUITES` names (by comma or space).
    ///
    /// # Errors
    /// When the variable names an unknown release, or none at all.
    pub fn chosen() -> Result<Vec<Suite>> {
        let Ok(names) = std::env::var("HOLDFAST_TEST_SUITES") else { return Ok(Self::ALL.into()) };
        let words = names.split([',', ' ']).filter(|word| !word.is_empty());
        let suites: Vec<Suite> =
            words.map(str::parse).collect::<Result<_>>().context("In HOLDFAST_TEST_SUITES")?;
        if suites.is_empty() {
            // A test that loops over nothing passes without having looked.
            bail!("HOLDFAST_TEST_SUITES names no release");
        }
        Ok(suites)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
        })
    }
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.iter().find(|suite| suite.to_string() == name) {
            Some(suite) => Ok(*suite),
            None => bail!("Unknown release {name:?}; known: bookworm, trixie"),
        }
    }
}
