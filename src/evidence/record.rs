//! A record of the evidence log, as it stands in a line.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The version of the records' format. Within it fields are added, never changed or taken away.
pub const FORMAT: u32 = 1;

/// Bytes of the longest line that is written. A reader takes sixteen times as much for a record ([`super::scan`]): one
/// that it would pass over would be written again and again.
const LONGEST: usize = 64 << 10;

/// How much is left of what makes a record longer: characters of a text, members of a list or of a table.
const SHORTENED: (usize, usize) = (256, 32);

/// The kinds of records.
pub mod kind {
    /// A transaction ended; the subject is its number.
    pub const TRANSACTION: &str = "transaction";
    /// A finding appeared; the subject is the check.
    pub const FINDING: &str = "finding";
    /// A finding is no more; the subject is the check.
    pub const FINDING_ENDED: &str = "finding-ended";
    /// What stands before this record was torn: a write was cut off.
    pub const MENDED: &str = "mended";
    /// A change holds and waits for a person's word, or was given more time; the subject is its transaction.
    pub const PENDING: &str = "pending";
    /// A person opened the host for a time; the subject is `firewall`.
    pub const OPENED: &str = "opened";
    /// A person closed it again; the subject is `firewall`.
    pub const CLOSED: &str = "closed";
    /// A backup was made, or failed; the subject is its name in the profile.
    pub const BACKUP: &str = "backup";
    /// The host's own key was made, with which it signs what it says of its backups; the subject is `host-key`.
    pub const HOST_KEY: &str = "host-key";
    /// Backups' files were deleted as the profile says; the subject is its name in the profile.
    pub const PRUNED: &str = "pruned";
    /// A person has said that a backup is lost; the subject is the backup's id.
    pub const FORGOTTEN: &str = "forgotten";
    /// A backup was restored and judged without a custodian's key; the subject is the backup's id.
    pub const PROOF: &str = "proof";
    /// The same with a custodian's key; the subject is the backup's id.
    pub const DRILL: &str = "drill";
    /// A backup was restored for use; the subject is the backup's id.
    pub const RESTORE: &str = "restore";
    /// A step of a ceremony, with the digest of its record so far, or what custodians did afterwards; the subject is the
    /// ceremony, the key or the custodian.
    pub const CEREMONY: &str = "ceremony";
}

/// A SHA-256; hexadecimal where it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What the first record has in place of the digest of the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of what was given to a hash.
    pub(super) fn finish(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 in 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NotADigest),
        };
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(NotADigest);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// See [`kind`].
    pub kind: &'static str,
    /// What it is about: a transaction's number, a check's id.
    pub subject: String,
    /// The rest, by its kind. No secret: the log is shown to others.
    pub payload: Value,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of the format.
    pub format: u32,
    /// From 1 up, without a gap.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// See [`kind`]; a reader passes over kinds that it does not know.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The rest, by its kind.
    pub payload: Value,
    /// The digest of the line before, without its end; [`Digest::NONE`] in the first.
    pub previous: Digest,
}

impl Record {
    /// The record after `head`.
    pub fn after(head: Option<Head>, at: Timestamp, entry: Entry) -> Self {
        let Entry { kind, subject, payload } = entry;
        Self {
            format: FORMAT,
            sequence: head.map_or(1, |head| head.sequence.saturating_add(1)),
            at,
            kind: kind.to_owned(),
            subject,
            payload,
            previous: head.map_or(Digest::NONE, |head| head.digest),
        }
    }

    /// Its line, without the end. Of what would make it too long the beginning is left, and how much there was.
    pub fn line(&self) -> Vec<u8> {
        // Only maps with keys that are not strings cannot be written, and there are none.
        let line = |record: &Self| serde_json::to_vec(record).unwrap_or_default();
        let whole = line(self);
        if whole.len() <= LONGEST {
            return whole;
        }
        let mut shorter = self.clone();
        shorten_text(&mut shorter.subject);
        shorten(&mut shorter.payload);
        let shortened = line(&shorter);
        if shortened.len() <= LONGEST {
            return shortened;
        }
        // Many short ones: what the kinds that are read again are told by is short and stands at the top.
        let is_short = |value: &Value| !value.is_array() && !value.is_object();
        if let Value::Object(payload) = &mut shorter.payload {
            payload.retain(|_, value| is_short(value));
        } else {
            shorter.payload = json!({});
        }
        shorter.payload["left_out"] = json!(whole.len());
        line(&shorter)
    }
}

/// Shortens what is long in a value, and says so there.
fn shorten(value: &mut Value) {
    let (_, members) = SHORTENED;
    match value {
        Value::String(text) => shorten_text(text),
        Value::Array(list) => {
            let more = list.len().saturating_sub(members);
            list.truncate(members);
            list.iter_mut().for_each(shorten);
            if more > 0 {
                list.push(json!(format!("… {more} more")));
            }
        }
        Value::Object(table) => {
            let names: Vec<String> = table.keys().skip(members).cloned().collect();
            for name in &names {
                table.remove(name);
            }
            table.values_mut().for_each(shorten);
            if !names.is_empty() {
                table.insert("left_out".to_owned(), json!(format!("{} more", names.len())));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shorten_text(text: &mut String) {
    let (characters, _) = SHORTENED;
    if let Some((at, _)) = text.char_indices().nth(characters) {
        let more = text.len() - at;
        text.truncate(at);
        text.push_str(&format!("… {more} bytes more"));
    }
}

/// The newest record of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub sequence: u64,
    /// The digest of its line.
    pub digest: Digest,
}
