//! Ids of checks, as waivers name them.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// The id of a check, or of one thing a check looks at:
/// `ssh.effective`, `ssh.effective/passwordauthentication`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(String);

impl CheckId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names `id` or the whole that `id` is a part of.
    pub fn covers(&self, id: &str) -> bool {
        id.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for CheckId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (check, part) = text.split_once('/').map_or((text, None), |(c, p)| (c, Some(p)));
        let word = |word: &str| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
        };
        let part_good = part.is_none_or(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"\"'#\\`".contains(c))
        });
        if check.contains('.') && check.split('.').all(word) && part_good && text.len() <= 255 {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not the id of a check", shown(text)))
            .help("write it as `holdfast verify` shows it, as in \"ssh.effective\" or \"ssh.effective/passwordauthentication\""))
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for CheckId {
    const FORMAT: &'static str = "holdfast-check";
    const NOUN: &'static str = "the id of a check";
    const DESCRIPTION: &'static str = "The id of a check as `holdfast verify` shows it; with `/` and a name, only that part of it.";
    const EXAMPLES: &'static [&'static str] =
        &["ssh.effective", "ssh.effective/passwordauthentication"];
    const PATTERN: Option<&'static str> = Some("^[a-z0-9_-]+(\\.[a-z0-9_-]+)+(/.+)?$");
}
scalar!(CheckId);
