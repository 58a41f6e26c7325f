//! Names of systemd's units.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// A systemd unit with its suffix: `ssh.service`, `getty@tty1.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

const SUFFIXES: &[&str] =
    &["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"];

/// systemd's `UNIT_NAME_MAX` less its terminating zero.
const LONGEST_UNIT: usize = 255;

impl UnitName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let error = Invalid::new(format!("{} is not the name of a systemd unit", shown(text)));
        let legal = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
        if text.len() > LONGEST_UNIT || !text.chars().all(legal) {
            return Err(error.help("only letters, digits and : _ . \\ @ - may be in one"));
        }
        match text.rsplit_once('.') {
            Some((stem, suffix)) if SUFFIXES.contains(&suffix) => {
                if stem.is_empty() || stem.starts_with('@') {
                    return Err(error.help(format!("there is nothing before `.{suffix}`")));
                }
                if stem.ends_with('@') {
                    return Err(error.help(format!(
                        "`{text}` is a template: name an instance, as in \"{stem}1.{suffix}\""
                    )));
                }
                Ok(Self(text.to_owned()))
            }
            _ if text.is_empty() => Err(error.help("write one, as in \"ssh.service\"")),
            _ => Err(error.help(format!("say what kind it is, as in \"{text}.service\""))),
        }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for UnitName {
    const FORMAT: &'static str = "holdfast-unit";
    const NOUN: &'static str = "a systemd unit";
    const DESCRIPTION: &'static str = "The name of a systemd unit with its suffix.";
    const EXAMPLES: &'static [&'static str] = &["ssh.service", "getty@tty1.service"];
    const PATTERN: Option<&'static str> = Some(
        "^[A-Za-z0-9:_.\\\\@-]+\\.(service|socket|timer|path|mount|automount|swap|target|slice)$",
    );
}
scalar!(UnitName);
