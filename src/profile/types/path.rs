//! Paths of files on the host.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// The path of a file on the host: absolute, and one that says where it leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// The kernel's `PATH_MAX` less its terminating zero.
const LONGEST_PATH: usize = 4095;

impl FilePath {
    /// A path that is written in the source, where a test reads it.
    pub(in crate::profile) fn known(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FilePath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let error = Invalid::new(format!("{} is not the path of a file", shown(text)));
        if !text.starts_with('/') {
            return Err(
                error.help("write it from the root on, as in \"/etc/bitcoin/bitcoin.conf\"")
            );
        }
        if text.split('/').any(|part| part == ".." || part == ".") {
            return Err(error.help("write it without `.` and `..`"));
        }
        if text.ends_with('/') {
            return Err(error.help("name a file, not a directory"));
        }
        if text.len() > LONGEST_PATH || text.chars().any(char::is_control) {
            return Err(error.help("no path is that long or has control characters in it"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for FilePath {
    const FORMAT: &'static str = "holdfast-file-path";
    const NOUN: &'static str = "the path of a file";
    const DESCRIPTION: &'static str = "An absolute path of a file on the host.";
    const EXAMPLES: &'static [&'static str] = &["/etc/bitcoin/bitcoin.conf"];
    const PATTERN: Option<&'static str> = Some("^/");
}
scalar!(FilePath);

/// The name of a container, as Docker and Podman have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// Longer than any that an engine's own tools make.
const LONGEST_CONTAINER: usize = 255;

impl ContainerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Docker's own rule; it also keeps a name from being more than one part of a URL.
        let good = text.len() <= LONGEST_CONTAINER
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not the name of a container", shown(text)))
            .help("letters, digits and _ . -, as `docker ps` lists it"))
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for ContainerName {
    const FORMAT: &'static str = "holdfast-container-name";
    const NOUN: &'static str = "the name of a container";
    const DESCRIPTION: &'static str = "The name of a container, as its engine lists it.";
    const EXAMPLES: &'static [&'static str] = &["sbtc-signer"];
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9][A-Za-z0-9_.-]*$");
}
scalar!(ContainerName);
