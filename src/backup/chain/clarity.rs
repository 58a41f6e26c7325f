//! What a Stacks node answers when it is asked for the aggregate key on chain, decoded strictly.
//!
//! The contract gives a bare buffer (stacks-sbtc/sbtc, contracts/contracts/sbtc-registry.clar,
//! `get-current-aggregate-pubkey`), serialised as stacks-network/stacks-core has it
//! (clarity-types/src/types/serialization.rs): a type byte, for a buffer 2, its length as u32 big-endian, its bytes. Nothing
//! but a whole point of the curve is taken for a key: a prefix cut off by hand compares the wrong digits.

use serde::Deserialize;

use crate::backup::curve::{PointFault, PublicKey, unhex};

/// The type byte of a buffer.
const BUFFER: u8 = 2;

/// How many characters of what a node says are quoted.
const QUOTED: usize = 200;

/// What the chain says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChain {
    /// The contract was deployed and no key was set yet: the one byte 0 that it begins with.
    NotBootstrapped,
    /// The current aggregate key.
    Key(PublicKey),
}

/// Why a value is not what the contract returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// No hexadecimal digits, or an odd number of them.
    #[error("it is not hexadecimal")]
    NotHex,
    /// It ends before its type or its length does.
    #[error("it ends after {0} bytes")]
    Truncated(usize),
    /// `none`, or `(some …)`.
    #[error(
        "it is an optional, where the contract returns a bare buffer: this is another contract"
    )]
    Optional,
    /// `(ok …)`, or `(err …)`.
    #[error("it is a response, where the contract returns a bare buffer: this is another contract")]
    Response,
    /// Any other type.
    #[error("it is of type {0:#04x}, where the contract returns a buffer")]
    Type(u8),
    /// It says another length than it has.
    #[error("it says that it has {said} bytes, and {found} follow")]
    Length {
        /// As its four bytes say.
        said: u32,
        /// How many there are.
        found: usize,
    },
    /// A buffer that is neither a key nor the single 0.
    #[error("its buffer is no compressed public key")]
    NoKey(#[source] PointFault),
}

/// Why a node's answer says nothing about the key.
#[derive(Debug, thiserror::Error)]
pub enum AnswerFault {
    /// Not the document that it should be.
    #[error("the answer is not what a Stacks node gives to this question")]
    NotJson(#[source] serde_json::Error),
    /// `okay` is false, whatever the HTTP status was.
    #[error("the node could not make the call: {0}")]
    Refused(String),
    /// `okay` is true, and there is no result.
    #[error("the node says that the call went well, and gives no result")]
    NoResult,
    /// The value in it.
    #[error("the value of the aggregate key cannot be used")]
    Value(#[from] ValueFault),
}

/// Decodes a serialised value, with `0x` in front or without.
///
/// # Errors
/// When it is anything but a key, or the byte that stands for none.
pub fn value(hex: &str) -> Result<OnChain, ValueFault> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let bytes = unhex(digits).ok_or(ValueFault::NotHex)?;
    let Some((kind, rest)) = bytes.split_first() else { return Err(ValueFault::Truncated(0)) };
    match *kind {
        BUFFER => {}
        7 | 8 => return Err(ValueFault::Response),
        9 | 10 => return Err(ValueFault::Optional),
        other => return Err(ValueFault::Type(other)),
    }
    let Some((length, content)) = rest.split_first_chunk::<4>() else {
        return Err(ValueFault::Truncated(bytes.len()));
    };
    let said = u32::from_be_bytes(*length);
    if usize::try_from(said) != Ok(content.len()) {
        return Err(ValueFault::Length { said, found: content.len() });
    }
    match content {
        [0] => Ok(OnChain::NotBootstrapped),
        key => PublicKey::from_bytes(key).map(OnChain::Key).map_err(ValueFault::NoKey),
    }
}

/// `POST /v2/contracts/call-read/…` (stackslib/src/net/api/callreadonly.rs).
#[derive(Deserialize)]
struct CallRead {
    okay: bool,
    result: Option<String>,
    cause: Option<String>,
}

/// Decodes the body of an answer to `/v2/contracts/call-read/…`.
///
/// # Errors
/// When the node could not make the call, which it says with status 200 too, or the value is no key.
pub fn call_read(body: &[u8]) -> Result<OnChain, AnswerFault> {
    let answer: CallRead = serde_json::from_slice(body).map_err(AnswerFault::NotJson)?;
    if !answer.okay {
        return Err(AnswerFault::Refused(quoted(&answer.cause.unwrap_or_default())));
    }
    Ok(value(&answer.result.ok_or(AnswerFault::NoResult)?)?)
}

/// `GET /v2/data_var/…` (stackslib/src/net/api/getdatavar.rs).
#[derive(Deserialize)]
struct DataVar {
    data: String,
}

/// Decodes the body of an answer to `/v2/data_var/…`.
///
/// # Errors
/// When it is not such an answer, or the value is no key.
pub fn data_var(body: &[u8]) -> Result<OnChain, AnswerFault> {
    let answer: DataVar = serde_json::from_slice(body).map_err(AnswerFault::NotJson)?;
    Ok(value(&answer.data)?)
}

/// What a node says, fit for one line of a terminal.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() {
        return "it gives no cause".to_owned();
    }
    text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "clarity_tests.rs"]
mod tests;
