//! What is known of a backup, as the host signs it: of a database ([`Database`]), or of its DKG rows alone
//! ([`Rows`](super::rows::Rows)). Each manifest has a number, and names the one before it by its digest, so that one that is
//! missing, altered or put in another's place shows.

use std::{collections::BTreeMap, fmt::Debug, marker::PhantomData};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    chain::Word,
    rows::print::Print,
    statement::{self, Link, Statement},
};

/// What a backup is of. Its manifests differ by what they say of that, its files by their names; all else is one.
pub trait Kind: Debug + Clone + PartialEq + Eq + Serialize + DeserializeOwned {
    /// As what a manifest is signed.
    const SIGNED_AS: &'static str;
    /// As what the statement is signed that its file was deleted.
    const DELETED_AS: &'static str;
    /// What the names of its files end in.
    const ENDS: Ends;
    /// What an id has after the backup's name, as `strftime` writes it.
    const TIME: &'static str;
    /// The same in shape: of one time.
    const SHAPE: &'static str;
    /// Whether its files are so small that each is read whenever the folder is.
    const IS_SMALL: bool;
    /// Whether a manifest stays when its file is deleted.
    const STAYS: bool;

    /// What is in it, in words that end in a comma; empty: what anybody knows.
    fn told(&self) -> String;
}

/// What the names of a backup's files end in.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// That of the file itself.
    pub archive: &'static str,
    /// That of its manifest.
    pub manifest: &'static str,
    /// That of the statement that it was deleted.
    pub tombstone: &'static str,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "K: Kind")]
pub struct Manifest<K: Kind = Database> {
    /// [`FORMAT`](statement::FORMAT) of the holdfast that wrote it.
    pub format: u32,
    /// What it is called: the backup's name in the profile, and when it was begun.
    pub id: String,
    /// Its place among those of its name and kind, from 1 on. Their order is by this and not by any time: a clock can be
    /// ahead, and be set back.
    pub number: u64,
    /// The backup's name in the profile.
    pub name: String,
    /// The database.
    pub database: String,
    /// When the dump was begun: what is newer is not in it.
    pub begun: Timestamp,
    /// When the file was finished.
    pub made: Timestamp,
    /// The file.
    pub archive: Archive,
    /// Who can open it, by name.
    pub recipients: BTreeMap<String, String>,
    /// The recipient that proved it, whose identity was never outside of memory and is gone.
    pub drill: String,
    /// The server's version, as `server_version_num` has it.
    pub server_version: u32,
    /// The major version of the programs that read the database.
    pub client_major: u32,
    /// What it is of.
    #[serde(flatten)]
    pub of: K,
    /// Older files that were read again when this one was made, each with whether its bytes were those that were signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub read_again: BTreeMap<String, bool>,
    /// What became of the proof.
    pub proof: Proof,
    /// The manifest before this one; none: this is the first.
    pub previous: Option<Link>,
}

/// All of a database, as `pg_dump` gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// What the database said of itself, in the transaction that was dumped.
    pub source: Source,
    /// How many rows each table has in the file.
    pub rows: BTreeMap<String, u64>,
    /// The newest Bitcoin block in it.
    pub newest_block: Option<Block>,
    /// The DKG rows in it.
    #[serde(default)]
    pub dkg: Vec<Print>,
    /// What came of comparing their keys with the chain; none: the profile names no chain.
    #[serde(default)]
    pub chain: Option<Word>,
}

impl Kind for Database {
    const SIGNED_AS: &'static str = "holdfast-dump@v1";
    const DELETED_AS: &'static str = "holdfast-dump-deleted@v1";
    /// PostgreSQL's custom format, compressed, encrypted.
    const ENDS: Ends =
        Ends { archive: ".pgdump.zst.age", manifest: ".manifest.json", tombstone: ".deleted.json" };
    const TIME: &'static str = "-%Y%m%dT%H%M%SZ";
    const SHAPE: &'static str = "-20260102T030405Z";
    const IS_SMALL: bool = false;
    const STAYS: bool = true;

    fn told(&self) -> String {
        String::new()
    }
}

/// The file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name, in the manifest's folder.
    pub file: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// The bytes of the dump in it.
    pub plain: u64,
}

/// What a database said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The migrations it has had; none: it has no bookkeeping of them.
    pub migrations: Option<Vec<String>>,
    /// Its DKG rows; none: it has no table of them.
    pub dkg_rows: Option<u64>,
    /// The bytes of all its files, which is what restoring all of it takes.
    #[serde(default)]
    pub bytes: u64,
}

/// A Bitcoin block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: i64,
    /// When the signer learned of it.
    pub seen: Timestamp,
}

/// The restored file, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whether nothing was found against it.
    pub proven: bool,
    /// When it was judged.
    pub at: Timestamp,
    /// How long opening, restoring and judging it took, in milliseconds.
    pub milliseconds: u64,
    /// The major version of the server that it was restored into; none: it got into none.
    pub server_major: Option<u32>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What came of restoring all of it; none: only what it is judged by was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

impl Proof {
    /// Before it was begun.
    pub fn none(at: Timestamp) -> Self {
        let checks = Vec::new();
        Self { proven: false, at, milliseconds: 0, server_major: None, checks, drill: None }
    }
}

/// All of a backup, restored and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// How long opening and restoring all of it took, in milliseconds: the recovery time, measured.
    pub restore_milliseconds: u64,
    /// How long `pg_amcheck` took, in milliseconds.
    pub check_milliseconds: u64,
    /// What it found; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl Drill {
    /// What it says of the backup.
    pub fn check(&self) -> Check {
        let (restored, checked) =
            (seconds(self.restore_milliseconds), seconds(self.check_milliseconds));
        let whole = format!(
            "all of it was restored in {restored}, and every page and index checked in {checked}"
        );
        let damaged = |damage| format!("what was restored is damaged: {damage}");
        let (outcome, text) = self
            .damage
            .as_ref()
            .map_or((Outcome::Pass, whole), |damage| (Outcome::Fail, damaged(damage)));
        Check { name: "drill".into(), outcome, text }
    }
}

/// Milliseconds as people read them.
pub fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub text: String,
}

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Not as it should be: the backup is not proven.
    Fail,
    /// The profile does not ask.
    NotApplicable,
    /// It could not be seen. Never a pass; and nothing against the file itself.
    CannotCheck,
}

/// That a backup's file was deleted, by the rules of its profile, or is lost, as a person has said. Where its manifest is gone,
/// too, this stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "K: Kind")]
pub struct Tombstone<K: Kind = Database> {
    /// The backup.
    pub deleted: Link,
    /// Its number.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What a person has said of it; none: the rules let it go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Loss>,
    #[serde(skip)]
    kind: PhantomData<K>,
}

/// That a backup which was made is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Who said so.
    pub by: String,
    /// In their words.
    pub reason: String,
}

impl<K: Kind> Tombstone<K> {
    /// That this one was deleted then.
    pub const fn new(deleted: Link, number: u64, at: Timestamp) -> Self {
        Self { deleted, number, at, lost: None, kind: PhantomData }
    }

    /// That this one is lost, as was said then.
    pub const fn lost(deleted: Link, number: u64, at: Timestamp, loss: Loss) -> Self {
        Self { deleted, number, at, lost: Some(loss), kind: PhantomData }
    }
}

impl<K: Kind> Statement for Manifest<K> {
    const CONTEXT: &'static str = K::SIGNED_AS;
}

impl<K: Kind> Statement for Tombstone<K> {
    const CONTEXT: &'static str = K::DELETED_AS;
}

impl<K: Kind> Manifest<K> {
    /// The digest by which the next one names it.
    pub fn digest(&self) -> String {
        statement::digest(self)
    }

    /// How the next one names it, when its signed line has this digest.
    pub fn link(&self, sha256: &str) -> Link {
        Link { id: self.id.clone(), sha256: sha256.to_owned() }
    }

    /// The names of the checks that failed.
    pub fn failed(&self) -> Vec<&str> {
        failed(&self.proof.checks)
    }
}

/// The names of the checks that failed.
pub fn failed(checks: &[Check]) -> Vec<&str> {
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Fail);
    failed.map(|check| check.name.as_str()).collect()
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
pub(crate) mod tests;
