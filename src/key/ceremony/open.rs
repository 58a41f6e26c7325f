//! Afterwards: a key is opened from what was made of it, by custodians: as a drill, which shows it to nobody, or to bring it
//! back. Each drill is noted beside the transcript, copy by copy.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    CeremonyError, Going,
    beside::Beside,
    carried::Kept,
    given::{Found, Given, found, looked},
    quiet::{self, Accepted},
    records::{note, noted},
};
use crate::{
    backup::dkg::Row,
    host::{clock, error::chain},
    key::{
        child::{
            open::{Copies, Copy, Opened, Opener, Wanted},
            talk::{Put, RowSeen, What},
        },
        kit::SHARE,
        plan::{self, Custodian, KeyKind, Plan},
        questions::{Ask, Question},
        transcript::Kind,
    },
};

/// The drills' record in a ceremony's folder, a line for each.
const DRILLS: &str = "drills.jsonl";

/// That of the media that were looked at, by drills and as a key was brought back: in one record, for the order of both counts.
const LOOKS: &str = "looks.jsonl";

/// A drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drilled {
    /// When it was.
    pub at: Timestamp,
    /// Every envelope that was given, and what came of it.
    pub copies: Vec<Tried>,
    /// Every medium that was given, and what of it was otherwise than it was written. Older records do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// Whether each opened and was what was exported, and the key opened every row of a backup that it had to.
    pub good: bool,
    /// Why not, the first reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The backup whose rows it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// How many rows that backup has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// What of the room was otherwise than it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Accepted>,
    /// How long keys were in memory, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for_us: Option<u64>,
}

/// An envelope that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The key's name, or that it is a share.
    pub key: String,
    /// Whose.
    pub custodian: String,
    /// The medium that it is on, or that has what was printed.
    pub medium: String,
    /// Whether it came from paper.
    pub paper: bool,
    /// Why it is not good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Tried {
    /// Which one it is, in words.
    pub fn told(&self) -> String {
        let on = if self.paper { format!("paper of {}", self.medium) } else { self.medium.clone() };
        format!("{} on {on}, {}'s", self.key, self.custodian)
    }
}

/// A backup's rows of DKG shares.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its id.
    pub id: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// How a drill comes by a backup: what was encrypted to the custodians, the identity opens.
pub type Fetch<'a, E> = &'a dyn Fn(&dyn age::Identity) -> Result<Backup, E>;

/// Opens every copy that is given, without showing a key, and has the key open every row of a backup.
///
/// # Errors
/// When nothing could be tried, or the drill cannot be noted. That a copy is not good is none.
pub fn drill<E: From<CeremonyError>>(
    kept: &Kept,
    given: &Given,
    backup: Option<Fetch<'_, E>>,
    ask: &mut dyn Ask,
) -> Result<Drilled, E> {
    let mut exceptions = quiet::look(kept, ask)?;
    let keys = keys(kept, given)?;
    let found = found(kept, given);
    let opener = quiet::opener(kept, given, &mut exceptions, ask)?;
    let backup = backup.map(|fetch| fetch(&opener)).transpose()?;
    let (id, rows) = backup.map(|it| (it.id, it.rows)).unzip();
    let count = rows.as_ref().map(Vec::len);
    let mut drilled = Drilled {
        at: clock::now(),
        copies: Vec::new(),
        beside: looked(kept, given),
        good: false,
        why: None,
        backup: id,
        rows: count,
        exceptions,
        held_for_us: None,
    };
    match found.and_then(|found| tried(kept, &opener, &keys, found, rows)) {
        Ok((copies, opened)) => {
            drilled.held_for_us = Some(opened.held_for_us);
            let bad =
                copies.iter().find_map(|it| Some(format!("{}: {}", it.told(), it.why.as_ref()?)));
            let altered = || drilled.beside.iter().find_map(Beside::told);
            drilled.why = bad.or_else(|| judged(&opened.rows, count).err()).or_else(altered);
            drilled.copies = copies;
        }
        Err(error) => drilled.why = Some(chain(&error)),
    }
    opener.end().map_err(CeremonyError::from)?;
    drilled.good = drilled.why.is_none();
    if let Some(going) = &kept.here {
        note(going, DRILLS, &drilled)?;
    }
    note_looks(kept, &drilled.beside)?;
    Ok(drilled)
}

/// Whether a key did what it had to. A row whose round failed is of no use to anybody, and proves nothing either.
fn judged(seen: &[RowSeen], rows: Option<usize>) -> Result<(), String> {
    if rows == Some(0) {
        return Err("the backup has no row of DKG shares: that proves nothing".into());
    }
    if rows.is_some_and(|rows| rows != seen.len()) {
        return Err("no copy of the key opened, so that none could open the backup's rows".into());
    }
    let failed = crate::backup::chain::Status::Failed;
    let bad = |row: &&RowSeen| !row.opens && row.status != failed;
    if let Some(row) = seen.iter().find(bad) {
        return Err(format!("row {}: {}", row.row, row.text));
    }
    if rows.is_some() && !seen.iter().any(|row| row.opens) {
        return Err("every row of the backup is of a round that failed: that proves nothing".into());
    }
    Ok(())
}

/// Has everything that was found opened.
fn tried(
    kept: &Kept,
    opener: &Opener,
    keys: &[&plan::Key],
    found: Vec<Found>,
    rows: Option<Vec<Row>>,
) -> Result<(Vec<Tried>, Opened), CeremonyError> {
    let (mut asked, sent) = asked(kept, keys, &found)?;
    if let Some(rows) = rows {
        let signers: Vec<usize> =
            (0..keys.len()).filter(|at| keys[*at].kind == KeyKind::SbtcSigner).collect();
        let [only] = signers.as_slice() else {
            return Err(CeremonyError::No(
                "say with --key which sbtc-signer's key must open the backup's rows".into(),
            ));
        };
        asked.rows = Some((*only, rows));
    }
    let opened = opener.judge(asked)?;
    let mut results = opened.copies.iter();
    let mut copies = Vec::new();
    for (it, sent) in found.into_iter().zip(sent) {
        let why = match it.armored {
            Ok(_) if sent => results.next().and_then(|result| result.as_ref().err().cloned()),
            // Of a key that is not meant.
            Ok(_) => continue,
            Err(why) => Some(why),
        };
        let Found { name, custodian, medium, is_paper, .. } = it;
        copies.push(Tried { key: name, custodian, medium, paper: is_paper, why });
    }
    Ok((copies, opened))
}

fn is_asked(keys: &[&plan::Key], found: &Found) -> bool {
    found.name == SHARE || keys.iter().any(|key| key.name.as_str() == found.name)
}

/// What the child is asked: every envelope that is as it was written; and of each that was found whether it is among them.
fn asked(
    kept: &Kept,
    keys: &[&plan::Key],
    found: &[Found],
) -> Result<(Copies, Vec<bool>), CeremonyError> {
    let transcript = &kept.transcript;
    let wanted = keys.iter().map(|key| {
        let sealed = transcript.sealed().iter().find(|it| it.name == key.name.as_str());
        let sealed = sealed.ok_or_else(|| {
            CeremonyError::No(format!("the record does not say which key {} is", key.name))
        })?;
        let (kind, network) = (key.kind, key.network);
        let (public, raw) = (sealed.facts.public.clone(), sealed.facts.raw);
        Ok::<_, CeremonyError>(Wanted { kind, network, public, raw })
    });
    let wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>()?;
    let shares = transcript.split().map(|split| split.shares.as_slice()).unwrap_or_default();
    let copy = |it: &Found| {
        let armored = it.armored.as_ref().ok()?.clone();
        if it.name == SHARE {
            let at = shares.iter().position(|share| share.custodian == it.custodian)?;
            let sha256 = Some(shares.get(at)?.sha256.clone());
            return Some(Copy { what: What::Share(at), armored, sha256 });
        }
        let at = keys.iter().position(|key| key.name.as_str() == it.name)?;
        Some(Copy { what: What::Key(at), armored, sha256: None })
    };
    if !found.iter().any(|it| it.name != SHARE && is_asked(keys, it)) {
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let text = format!("there is no envelope of {} among what is given", names.join(" or "));
        return Err(CeremonyError::No(text));
    }
    let copies: Vec<Option<Copy>> = found.iter().map(copy).collect();
    let sent = copies.iter().map(Option::is_some).collect();
    let (copies, split) = (copies.into_iter().flatten().collect(), transcript.split().is_some());
    Ok((Copies { keys: wanted, copies, split, rows: None, put: None }, sent))
}

/// Media that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looked {
    /// When.
    pub at: Timestamp,
    /// Each, and what of it is otherwise than it was written.
    pub media: Vec<Beside>,
}

/// A key that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copies that it came from.
    pub from: Vec<String>,
    /// Every medium that was given, and what of it was otherwise than it was written. Nothing is refused for that: on such a
    /// day a key must come back.
    pub beside: Vec<Beside>,
    /// What of the room was otherwise than it should be.
    pub exceptions: Vec<Accepted>,
}

/// Brings a key back. What was seen of its media is noted beside the transcript when that can be, and otherwise why it cannot is
/// told beside.
///
/// # Errors
/// When it does not open, it cannot be put there, or somebody says no.
pub fn bring_back(
    kept: &Kept,
    given: &Given,
    put: Put,
    ask: &mut dyn Ask,
) -> Result<(Restored, Result<(), CeremonyError>), CeremonyError> {
    let begun = kept.transcript.begun();
    if let Some(begun) = begun.filter(|begun| begun.kind == Kind::Rehearsal) {
        let text = format!("{} was a rehearsal: its key is nobody's", begun.ceremony);
        return Err(CeremonyError::No(text));
    }
    let keys = keys(kept, given)?;
    let [key] = keys.as_slice() else {
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        return Err(CeremonyError::No(format!("say which key with --key: {}", names.join(", "))));
    };
    let mut accepted = quiet::look(kept, ask)?;
    kept.known(key, ask)?;
    let found = found(kept, given)?;
    let (mut asked, sent) = asked(kept, &keys, &found)?;
    if key.kind == KeyKind::SbtcSigner {
        let question = Question::confirm(
            "restore",
            "two signers must never run with one key, not even for a moment. Is every other signer with this key stopped, and will none be started again?",
            "the key is written for a signer to use",
        );
        if !matches!(ask.ask(&question)?.as_str(), "yes" | "y") {
            return Err(CeremonyError::No(
                "nothing was restored: stop the other signer first".into(),
            ));
        }
    }
    asked.put = Some((0, put));
    let opener = quiet::opener(kept, given, &mut accepted, ask)?;
    let opened = opener.judge(asked)?;
    opener.end()?;
    let sent = found.iter().zip(sent).filter_map(|(it, sent)| sent.then_some(it));
    let all: Vec<(&Found, &Result<(), String>)> = sent.zip(&opened.copies).collect();
    if all.iter().any(|(it, result)| it.name != SHARE && result.is_ok()) {
        let good = all.iter().filter(|(_, result)| result.is_ok());
        let from = good.map(|(found, _)| found.told()).collect();
        let beside = looked(kept, given);
        let noted = note_looks(kept, &beside);
        return Ok((Restored { from, beside, exceptions: accepted }, noted));
    }
    let unread = found.iter().find_map(|it| it.armored.as_ref().err().cloned());
    let closed =
        all.iter().filter(|(it, _)| it.name != SHARE).find_map(|(_, it)| it.as_ref().err());
    let why = closed.cloned().or(unread).unwrap_or_else(|| "nothing opens".to_owned());
    Err(CeremonyError::No(why))
}

/// The drills of a ceremony, the oldest first.
///
/// # Errors
/// When they cannot be read.
pub(super) fn drills(going: &Going) -> Result<Vec<Drilled>, CeremonyError> {
    noted(going, DRILLS)
}

fn note_looks(kept: &Kept, media: &[Beside]) -> Result<(), CeremonyError> {
    match &kept.here {
        Some(going) if !media.is_empty() => {
            note(going, LOOKS, &Looked { at: clock::now(), media: media.to_vec() })
        }
        _ => Ok(()),
    }
}

/// The looks at a ceremony's media, the oldest first.
///
/// # Errors
/// When they cannot be read.
pub(super) fn looks(going: &Going) -> Result<Vec<Looked>, CeremonyError> {
    noted(going, LOOKS)
}

/// The keys that are meant: one that is named, or all. What a public half was given for must have it.
fn keys<'a>(kept: &'a Kept, given: &Given) -> Result<Vec<&'a plan::Key>, CeremonyError> {
    let all = &kept.plan.keys;
    let meant = |key: &&plan::Key| given.key.as_ref().is_none_or(|name| key.name.as_str() == name);
    let keys: Vec<&plan::Key> = all.iter().filter(meant).collect();
    if let (Some(name), true) = (&given.key, keys.is_empty()) {
        let names = all.iter().map(|key| key.name.to_string()).collect::<Vec<_>>().join(", ");
        return Err(CeremonyError::No(format!("it has no key {name}, but {names}")));
    }
    if let Some(expected) = &given.public {
        let expected = expected.strip_prefix("0x").unwrap_or(expected).to_ascii_lowercase();
        let sealed = kept.transcript.sealed();
        let [key] = keys.as_slice() else {
            return Err(CeremonyError::No("say with --key whose public half that is".into()));
        };
        let found = sealed.iter().find(|it| it.name == key.name.as_str());
        let found = found.and_then(|it| it.facts.public.as_deref()).unwrap_or("none");
        if found != expected {
            return Err(CeremonyError::No(format!(
                "the public half of {} is {found} in this record, and {expected} is expected",
                key.name
            )));
        }
    }
    Ok(keys)
}

/// A custodian of a plan.
pub(super) fn custodian<'a>(plan: &'a Plan, name: &str) -> Result<&'a Custodian, CeremonyError> {
    let found = plan.custodians.iter().find(|each| each.name.as_str() == name);
    found.ok_or_else(|| CeremonyError::No(format!("{name} is no custodian of this ceremony")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::chain::Status;

    #[test]
    fn a_backup_of_which_the_key_opens_nothing_proves_nothing() {
        let row = |status, opens| RowSeen { row: "1".into(), status, opens, text: String::new() };
        assert!(judged(&[], None).is_ok());
        assert!(judged(&[], Some(0)).is_err());
        assert!(judged(&[], Some(1)).is_err());
        assert!(
            judged(&[row(Status::Verified, true), row(Status::Failed, false)], Some(2)).is_ok()
        );
        assert!(
            judged(&[row(Status::Verified, true), row(Status::Verified, false)], Some(2)).is_err()
        );
        assert!(judged(&[row(Status::Failed, false)], Some(1)).is_err());
    }
}
