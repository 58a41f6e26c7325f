//! Plain words: sentences for people, and the short names of rules.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, scalar, shown};

/// One line of words that is not empty. It ends up in reports and journals, so nothing in it may
/// break a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

/// A sentence or two; a page belongs in a file of its own.
const LONGEST_TEXT: usize = 1000;

impl Text {
    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Invalid::new("this text is empty").help("write a sentence"));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::new("this text has a line break or another control character")
                .help("write it on one line"));
        }
        if text.chars().count() > LONGEST_TEXT {
            return Err(Invalid::new(format!(
                "this text is longer than {LONGEST_TEXT} characters"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Text {
    const FORMAT: &'static str = "holdfast-text";
    const NOUN: &'static str = "a text";
    const DESCRIPTION: &'static str = "One line of words, not empty.";
    const EXAMPLES: &'static [&'static str] = &["The machine is replaced in March"];
}
scalar!(Text);

/// The name of a rule: short, and safe inside a ruleset's comment and a check's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleName(String);

/// nft's comments hold 128 bytes; ours carry a prefix.
const LONGEST_RULE_NAME: usize = 64;

impl RuleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = !text.is_empty()
            && text.len() <= LONGEST_RULE_NAME
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(format!("{} is not the name of a rule", shown(text)))
            .help("up to 64 of a-z, 0-9 and -"))
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for RuleName {
    const FORMAT: &'static str = "holdfast-rule-name";
    const NOUN: &'static str = "the name of a rule";
    const DESCRIPTION: &'static str = "A short name: up to 64 of `a-z`, `0-9` and `-`.";
    const EXAMPLES: &'static [&'static str] = &["signer-p2p"];
    const PATTERN: Option<&'static str> = Some("^[a-z0-9-]{1,64}$");
}
scalar!(RuleName);
