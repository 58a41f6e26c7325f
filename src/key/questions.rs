//! What people are asked: only what cannot be measured. Each question says what an answer means; a script answers by the
//! questions' ids, and one that it does not answer ends the ceremony.

use std::collections::{BTreeMap, BTreeSet};

use super::transcript::digest;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id, by which a script answers it.
    pub id: String,
    /// What is asked, and of whom.
    pub text: String,
    /// What comes of the answers.
    pub consequence: String,
    /// What an empty answer means; `None`: there must be one.
    pub default: Option<String>,
}

impl Question {
    /// A question that is answered with `yes` or `no`, and `no` when nothing is said.
    pub fn confirm(
        id: impl Into<String>,
        text: impl Into<String>,
        consequence: impl Into<String>,
    ) -> Self {
        let (id, text, consequence) = (id.into(), text.into(), consequence.into());
        Self { id, text, consequence, default: Some("no".into()) }
    }

    /// A question that is answered with words.
    pub fn words(
        id: impl Into<String>,
        text: impl Into<String>,
        consequence: impl Into<String>,
        default: Option<&str>,
    ) -> Self {
        let (id, text, consequence) = (id.into(), text.into(), consequence.into());
        Self { id, text, consequence, default: default.map(str::to_owned) }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Unanswered {
    #[error("the file of answers has none to `{0}`")]
    NotInScript(String),
    #[error("nobody answers any more")]
    Nobody,
    #[error("cannot ask")]
    Io(#[source] std::io::Error),
    #[error(
        "what is said to `{0}` looks like a key, an identity or a share: it is not taken, and stands in no record"
    )]
    Secret(String),
}

/// Who it is that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer<'a> {
    /// People, at a terminal.
    People,
    /// A file of this digest (SHA-256, in hexadecimal).
    File(&'a str),
    /// Whatever writes into a pipe.
    Pipe,
}

/// What an answer may be that is no answer to anything that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// A key in hexadecimal; or a digest, which nothing tells from one.
    Digits,
    /// An identity of age, a share, a private key: it says so itself. More lines of it may follow.
    Marked,
}

/// Whether an answer holds a secret. Answers are recorded, and one line too many of what is piped in would stand in the
/// record for ever.
pub fn looks_secret(answer: &str) -> Option<Secret> {
    let upper = answer.to_ascii_uppercase();
    let marks = ["AGE-SECRET-KEY-", "PRIVATE KEY", "HOLDFAST-SHARE-"];
    if marks.iter().any(|mark| upper.contains(mark)) {
        return Some(Secret::Marked);
    }
    // A private key of secp256k1, with or without the byte that says that its public half is compressed.
    let is_key =
        |word: &str| matches!(word.len(), 64 | 66) && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut words = answer.split(|c: char| !c.is_ascii_alphanumeric());
    let has_key = words.any(|word| is_key(word.strip_prefix("0x").unwrap_or(word)));
    has_key.then_some(Secret::Digits)
}

/// Whoever answers.
pub trait Ask {
    /// The answer to a question, without space around it; the default where that is empty.
    ///
    /// # Errors
    /// When there is none.
    fn ask(&mut self, question: &Question) -> Result<String, Unanswered>;

    /// Shows something that people have to see before they answer the next question. Nobody reads what a script is shown.
    fn show(&mut self, _text: &str) {}

    /// Whether somebody whose answer is not good may answer again; they are told why it is not. A script says what it says.
    fn again(&mut self, _why: &str) -> bool {
        false
    }

    /// Who it is.
    fn answerer(&self) -> Answerer<'_>;
}

/// A file of answers: a TOML table from questions' ids to texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    answers: BTreeMap<String, String>,
    digest: String,
    asked: BTreeSet<String>,
}

/// Why a file is none of answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {why}")]
pub struct NoScript {
    line: usize,
    column: usize,
    why: String,
}

impl Script {
    /// Reads one: `"medium.usb-1" = "yes"` and so on.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, NoScript> {
        let fault = |span: Option<std::ops::Range<usize>>, why: String| {
            let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or_default();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            NoScript { line: before.matches('\n').count() + 1, column, why }
        };
        let table: BTreeMap<String, toml::Spanned<toml::Value>> = toml::from_str(text)
            .map_err(|error| fault(error.span(), format!("bad TOML: {}", error.message())))?;
        let mut answers = BTreeMap::new();
        for (id, value) in table {
            let span = value.span();
            let Some(answer) = value.get_ref().as_str() else {
                let why =
                    format!("the answer to `{id}` is no text; write it in quotes, and the id too");
                return Err(fault(Some(span), why));
            };
            answers.insert(id, answer.trim().to_owned());
        }
        Ok(Self { answers, digest: digest(text.as_bytes()), asked: BTreeSet::new() })
    }

    /// The answers to questions that were not asked.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.answers.keys().map(String::as_str).filter(|id| !self.asked.contains(*id))
    }
}

impl Ask for Script {
    fn ask(&mut self, question: &Question) -> Result<String, Unanswered> {
        self.asked.insert(question.id.clone());
        if self.answers.get(&question.id).is_some_and(|it| looks_secret(it).is_some()) {
            return Err(Unanswered::Secret(question.id.clone()));
        }
        match (self.answers.get(&question.id), &question.default) {
            (Some(answer), Some(default)) if answer.is_empty() => Ok(default.clone()),
            (Some(answer), _) if !answer.is_empty() => Ok(answer.clone()),
            // What may be left empty may be left out.
            (None, Some(default)) if default.is_empty() => Ok(String::new()),
            _ => Err(Unanswered::NotInScript(question.id.clone())),
        }
    }

    fn answerer(&self) -> Answerer<'_> {
        Answerer::File(&self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_answers_by_id_and_says_what_it_was_not_asked() {
        let mut script =
            Script::parse("operator = \"carol\"\n\"medium.usb-1\" = \" yes \"\nwitness = \"\"")
                .unwrap();
        let question = |id: &str| Question::confirm(id, "?", "");
        assert_eq!(script.ask(&question("medium.usb-1")).unwrap(), "yes");
        assert_eq!(script.ask(&question("witness")).unwrap(), "no");
        let none = script.ask(&question("clock")).unwrap_err().to_string();
        assert_eq!(none, "the file of answers has none to `clock`");
        let must = Question::words("witness", "?", "", None);
        assert!(script.ask(&must).is_err(), "an empty answer is none where there must be one");
        let may = Question::words("exception.swap", "?", "", Some(""));
        assert_eq!(script.ask(&may).unwrap(), "", "what may be left empty may be left out");
        assert_eq!(script.unused().collect::<Vec<_>>(), ["operator"]);
    }

    #[test]
    fn what_looks_like_a_secret_is_no_answer() {
        let key = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
        for secret in [key, &format!("it is {key}01."), &format!("0x{}", key.to_uppercase())] {
            assert_eq!(looks_secret(secret), Some(Secret::Digits), "{secret}");
        }
        for secret in
            ["age-secret-key-1QQQ", "holdfast-share-v1 2 of 3", &format!("PRIVATE KEY {key}")]
        {
            assert_eq!(looks_secret(secret), Some(Secret::Marked), "{secret}");
        }
        for answer in ["carol", "a rented machine has no cable", "/root/operator.sig", &key[1..]] {
            assert_eq!(looks_secret(answer), None, "{answer}");
        }
        let mut script = Script::parse(&format!("\"exception.swap\" = \"{key}\"")).unwrap();
        let asked = script.ask(&Question::words("exception.swap", "?", "", Some("")));
        let told = asked.unwrap_err().to_string();
        assert!(told.contains("exception.swap") && !told.contains(key), "{told}");
    }

    #[test]
    fn what_is_no_script_is_refused_with_its_place() {
        let told = |text| Script::parse(text).unwrap_err().to_string();
        assert!(
            told("a = \"b\"\nclock = true").starts_with("2:9: the answer to `clock` is no text")
        );
        assert!(told("medium.usb = \"yes\"").starts_with("1:1: the answer to `medium` is no text"));
        assert!(told("a = \n").starts_with("1:"));
    }
}
