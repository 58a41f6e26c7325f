//! Kernel parameters.

use std::fmt;
use std::str::FromStr;

use super::format::{Accepts, Invalid, Scalar, scalar, shown};

/// A kernel parameter, by its parts: `net.ipv4.tcp_syncookies`.
///
/// As sysctl(8) reads it, the first separator decides: after a dot, dots separate and a slash is a
/// dot in a name; after a slash it is the other way round. Both ways of writing one parameter are
/// the same key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlKey(Vec<String>);

impl SysctlKey {
    /// Its place below `/proc/sys`: `net/ipv4/tcp_syncookies`. It never leaves that folder.
    pub fn path(&self) -> String {
        self.0.join("/")
    }

    /// Its parts.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for SysctlKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let error = || Invalid::new(format!("{} is not a kernel parameter", shown(text)));
        let slashed = match text.find(['.', '/']) {
            Some(at) => text.as_bytes().get(at) == Some(&b'/'),
            None => {
                return Err(error().help("write it whole, as in \"net.ipv4.tcp_syncookies\""));
            }
        };
        let separator = if slashed { '/' } else { '.' };
        let legal = |c: char| c.is_ascii_alphanumeric() || "_-.:@+".contains(c);
        let parts: Vec<String> = text
            .split(separator)
            .map(|part| if slashed { part.to_owned() } else { part.replace('/', ".") })
            .collect();
        if parts.iter().any(|part| part.is_empty() || part.chars().all(|c| c == '.')) {
            return Err(error().help("each part between the dots must be a name"));
        }
        if text.len() > 255 || !parts.iter().all(|part| part.chars().all(legal)) {
            return Err(error().help("only letters, digits and _ - . : @ + may be in one"));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for SysctlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<String> = self.0.iter().map(|part| part.replace('.', "/")).collect();
        // A dot inside the first part could not be told from a separator.
        if self.0.first().is_some_and(|first| first.contains('.')) {
            return f.write_str(&self.path());
        }
        f.write_str(&text.join("."))
    }
}

impl Scalar for SysctlKey {
    const FORMAT: &'static str = "holdfast-sysctl-key";
    const NOUN: &'static str = "a kernel parameter";
    const DESCRIPTION: &'static str =
        "A kernel parameter as sysctl(8) names it, in quotes because of its dots.";
    const EXAMPLES: &'static [&'static str] =
        &["net.ipv4.tcp_syncookies", "net.ipv4.conf.eth0/100.rp_filter"];
}
scalar!(SysctlKey);

/// The value of a kernel parameter: what the kernel shows, with single spaces between fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SysctlValue(String);

impl SysctlValue {
    /// The value as it is written to the kernel.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SysctlValue {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Invalid::new("the value of a kernel parameter is one line"));
        }
        let value = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if value.len() > 1024 {
            return Err(Invalid::new("the value of a kernel parameter is at most 1024 bytes"));
        }
        Ok(Self(value))
    }
}

impl fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for SysctlValue {
    const FORMAT: &'static str = "holdfast-sysctl-value";
    const NOUN: &'static str = "an integer or a text";
    const DESCRIPTION: &'static str =
        "The value of a kernel parameter: an integer, or a text where it has several fields.";
    const EXAMPLES: &'static [&'static str] = &["1", "32768 60999"];
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
scalar!(SysctlValue);
