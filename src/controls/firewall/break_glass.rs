//! Opening the host for a bounded time: a set that is empty, and a first rule that lets in what is in it.
//!
//! `holdfast firewall open` puts every transport protocol into the set, with a timeout: the kernel takes them out
//! again by itself, whatever becomes of holdfast. A protocol rather than an address, because one element then stands
//! for both versions of IP and both nft versions list it alike. Loading the table anew empties the set: nothing that
//! apply, correct or a roll-back does can make an opening last longer.

use std::borrow::Cow;

use jiff::Timestamp;
use nftables::{
    expr::{Expression, Meta, MetaKey, NamedExpression},
    schema::{NfListObject, Set, SetFlag, SetType, SetTypeValue},
    stmt::Statement,
    types::NfFamily,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    checks::BREAK_GLASS,
    judge::printable,
    terms::{accept, count, is, rule},
};
use crate::{
    engine::check::{Judgement, Verdict},
    host::{
        Reader,
        break_glass::listed,
        clock,
        nft::{BREAK_GLASS as SET, Element, TABLE},
    },
};

/// Who opened the host, and until when; gone at reboot, as the opening is.
pub const RECORD: &str = "/run/holdfast/break-glass.json";

/// ICMP, TCP, UDP, ICMP of IPv6, SCTP: what services speak.
pub const PROTOCOLS: [u32; 5] = [1, 6, 17, 58, 132];

/// An hour, in seconds: long enough to mend a firewall, short enough not to be forgotten overnight.
pub const LONGEST: u64 = 3600;

/// What nft and the kernel round, in seconds.
const SLACK: u64 = 2;

/// The comment of the rule that lets in what the set has.
const COMMENT: &str = "break-glass: opened by a person, for a time";

/// What a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Who.
    pub by: String,
    /// Why, if they said so.
    pub reason: Option<String>,
    /// When.
    pub opened: Timestamp,
    /// When it ends, for people.
    pub until: Timestamp,
    /// How long it was to last, in seconds.
    pub seconds: u64,
    /// When it ends, in seconds since boot: a clock that is set does not move it.
    pub ends: u64,
}

impl Opening {
    /// The comment of its elements, by which they are told from anybody else's.
    pub fn comment(&self) -> String {
        let by: String =
            self.by.chars().filter(|c| c.is_ascii_graphic() && *c != '"').take(32).collect();
        format!("holdfast: {by} until {}", self.until)
    }

    /// In words: `until 2026-… by alice`, and why.
    pub fn told(&self) -> String {
        let why = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("until {} by {}{why}", self.until, self.by)
    }
}

/// The set, empty.
pub(super) fn set() -> NfListObject<'static> {
    NfListObject::Set(Box::new(Set {
        family: NfFamily::INet,
        table: TABLE[1].into(),
        name: SET.into(),
        set_type: SetTypeValue::Single(SetType::InetProto),
        flags: Some([SetFlag::Timeout].into_iter().collect()),
        ..Set::default()
    }))
}

/// The rule of a chain that lets in what is in the set.
pub(super) fn let_in(chain: &'static str) -> NfListObject<'static> {
    let protocol = Expression::Named(NamedExpression::Meta(Meta { key: MetaKey::L4proto }));
    let in_set: Statement<'static> =
        is(protocol, Expression::String(Cow::Owned(format!("@{SET}"))));
    rule(chain, COMMENT, vec![in_set, count(), accept()])
}

/// What is in the set, beside what a person put there.
#[derive(Debug)]
pub(super) struct Glass {
    /// The elements; `None` where there is no such set. Or why they cannot be seen.
    pub(super) elements: Result<Option<Vec<Element>>, String>,
    /// The record, if there is one that can be read.
    pub(super) opening: Option<Opening>,
    /// Seconds since boot, when that was.
    pub(super) now: u64,
}

/// What that comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody opened the host, or it has closed again.
    Shut,
    /// A person opened it.
    Open(Opening),
    /// Something is let in that holdfast did not let in.
    Foreign(String),
}

impl Glass {
    /// `listing` is that of the live table with the elements of its sets, where there is one.
    pub(super) async fn of(listing: Option<&Value>, host: &Reader) -> Self {
        let elements = match listing {
            Some(listing) => listed(listing),
            None => host.break_glass().await,
        };
        let elements = elements.map_err(|error| error.chain());
        Self { elements, opening: opening(host), now: clock::since_boot() }
    }

    pub(super) fn judge(&self) -> Judgement {
        let shut = "nobody has opened the host";
        let (expected, verdict) = match &self.elements {
            Err(why) => (shut.to_owned(), Verdict::Unknown { why: why.clone() }),
            Ok(elements) => {
                match state(
                    elements.as_deref().unwrap_or_default(),
                    self.opening.as_ref(),
                    self.now,
                ) {
                    State::Shut => {
                        (shut.to_owned(), Verdict::Holds { observed: "it is not open".to_owned() })
                    }
                    // What a person did on purpose is another expectation, and so no drift: a timer must not undo it.
                    // An apply does.
                    State::Open(opening) => (
                        format!("{shut}; this opening ends by itself"),
                        Verdict::Differs {
                            observed: format!("open to everybody {}", opening.told()),
                        },
                    ),
                    State::Foreign(what) => (shut.to_owned(), Verdict::Differs { observed: what }),
                }
            }
        };
        Judgement::new(BREAK_GLASS, expected, verdict)
    }
}

/// What a person is recorded to have done. A record that cannot be read is none: what is in the set is then nobody's.
pub fn opening(host: &Reader) -> Option<Opening> {
    serde_json::from_str(&host.files().text(RECORD).ok()??).ok()
}

/// Tells an opening by holdfast from anything else in the set.
pub fn state(elements: &[Element], opening: Option<&Opening>, now: u64) -> State {
    if elements.is_empty() {
        return State::Shut;
    }
    let is_ours = |element: &&Element| {
        opening.is_some_and(|opening| {
            let left = opening.ends.saturating_sub(now) + SLACK;
            PROTOCOLS.contains(&element.protocol)
                && element.comment.as_deref() == Some(opening.comment().as_str())
                && element.timeout == Some(opening.seconds)
                && element.expires.is_some_and(|expires| expires <= left)
        })
    };
    match elements.iter().find(|element| !is_ours(element)) {
        None => opening.cloned().map_or(State::Shut, State::Open),
        Some(Element { protocol, timeout, comment, .. }) => {
            let time = timeout.map_or("for ever".to_owned(), |seconds| format!("for {seconds} s"));
            let comment = comment.as_ref().map(|c| format!(" (\"{}\")", printable(c)));
            State::Foreign(format!(
                "IP protocol {protocol} is let in {time}, and not by holdfast{}",
                comment.unwrap_or_default()
            ))
        }
    }
}
