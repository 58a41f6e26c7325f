//! What the journal saw of the log: again and again the newest digest is filed there, in another place, by another
//! program, and often (`ForwardToSyslog=`, journal-upload) on another host.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::record::{Digest, Head};
use crate::host::{HostError, Reader};

/// The message id of the events that anchor the log; [`ASK`] has it too.
pub const MESSAGE_ID: &str = "fcdc790e45794559a8d998db7572054f";

/// How the journal is asked for them. `_UID` is journald's own word: what others than root file counts for nothing.
pub const ASK: &[&str] = &[
    "-q",
    "--no-pager",
    "-o",
    "json",
    "--output-fields=HOLDFAST_SEQUENCE,HOLDFAST_DIGEST",
    "_UID=0",
    "MESSAGE_ID=fcdc790e45794559a8d998db7572054f",
];

/// What was filed a moment ago is in the journal as soon as journald comes to it: it is asked again after this, so often.
const ASK_AGAIN: (Duration, usize) = (Duration::from_millis(200), 10);

/// One such event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The record that was the newest.
    pub sequence: u64,
    /// The digest of its line.
    pub digest: Digest,
    /// When journald got it.
    pub at: Timestamp,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "HOLDFAST_SEQUENCE")]
    sequence: String,
    #[serde(rename = "HOLDFAST_DIGEST")]
    digest: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    micros: String,
}

/// The anchors in what journalctl prints, one JSON object a line. What is none is passed over: only root can have filed
/// it, and it takes nothing from those that are.
pub fn parse(text: &[u8]) -> Vec<Anchor> {
    let one = |line: &[u8]| {
        let event: Event = serde_json::from_slice(line).ok()?;
        Some(Anchor {
            sequence: event.sequence.parse().ok()?,
            digest: event.digest.parse().ok()?,
            at: crate::host::clock::whole(
                Timestamp::from_microsecond(event.micros.parse().ok()?).ok()?,
            ),
        })
    };
    text.split(|byte| *byte == b'\n').filter_map(one).collect()
}

/// Asks the journal for all of them. One for `newest`, which may have been filed just now, is waited for a little.
///
/// # Errors
/// When journalctl is missing or fails.
pub async fn read(reader: &Reader, newest: Option<Head>) -> Result<Vec<Anchor>, HostError> {
    let (pause, tries) = ASK_AGAIN;
    let is_newest = |one: &Anchor| {
        newest.is_none_or(|head| (head.sequence, head.digest) == (one.sequence, one.digest))
    };
    for _ in 1..tries {
        let anchors = ask(reader).await?;
        if newest.is_none() || anchors.iter().any(is_newest) {
            return Ok(anchors);
        }
        tokio::time::sleep(pause).await;
    }
    ask(reader).await
}

async fn ask(reader: &Reader) -> Result<Vec<Anchor>, HostError> {
    let output = reader.ask("journalctl", ASK).await?;
    // Some versions of journalctl call it a failure that there is nothing.
    if output.code == Some(1) && output.stdout.is_empty() && output.stderr.trim().is_empty() {
        return Ok(Vec::new());
    }
    Ok(parse(&output.success()?))
}
