//! What the process that has the keys is told, and what it says: verdicts and public halves, and nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    backup::dkg::Row,
    profile::{schema::Chain, types::StacksAddress},
};

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// To judge rows.
    Judge(Job),
    /// To look what the signer of this section is configured with.
    Configured(Box<Chain>),
}

/// Rows to judge.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Files that have a private key each.
    pub files: Vec<String>,
    /// Rows, with the encrypted shares.
    pub rows: Vec<Row>,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It has judged.
    Judged(Judged),
    /// It has looked.
    Configured(Box<Configured>),
    /// It has not read any key, because of this.
    Refused(String),
}

/// What a signer is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Who deployed its contract; or why that cannot be told. Nothing of a file is quoted.
    pub deployer: Result<StacksAddress, String>,
    /// The public half of its key, in hexadecimal; none where there is no configuration that has it. Or why that cannot be told.
    pub public: Result<Option<String>, String>,
}

/// Its word on files and rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// On each file, in the order of the job.
    pub keys: Vec<KeyWord>,
    /// On each row, in the order of the job.
    pub rows: Vec<RowWord>,
}

/// A file of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyWord {
    /// Its path.
    pub file: String,
    /// The public half of the key in it, in hexadecimal; or why there is none. Nothing of the file is quoted.
    pub public: Result<String, String>,
}

/// A row of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowWord {
    /// It opens under one of the keys, and its share fits its public shares; in words.
    Opens(String),
    /// It is of no use to the signer whose key this is; in words.
    Flawed(String),
    /// None of the keys is of its signer set.
    NoKey,
}
