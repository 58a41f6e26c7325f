//! Asks a Stacks node for the aggregate key on chain: first who it is and whether it is up to date, then for the key.

use jiff::Timestamp;
use serde_json::json;

use super::{
    clarity::{self, AnswerFault, OnChain},
    compare::{self, KeyRow, Verdict},
    node::{Doubt, Network, Node},
    word::{Answer, Word},
};
use crate::{
    backup::{
        dkg::Row,
        joint::own::own,
        judge::Found,
        manifest::{Check, Outcome},
    },
    engine::check,
    host::{
        Files, clock,
        error::chain,
        http::{self, Client, HttpError},
    },
    profile::{
        schema::{Backup, Chain},
        types::{NodeUrl, StacksAddress},
    },
};

/// The contract, its function and its variable (stacks-sbtc/sbtc, contracts/contracts/sbtc-registry.clar).
const CONTRACT: &str = "sbtc-registry";
const FUNCTION: &str = "get-current-aggregate-pubkey";
const VARIABLE: &str = "current-aggregate-pubkey";

/// HTTP's word for an answer.
const OK: u16 = 200;

/// HTTP's word for what is not there, as in nodes that are too old for it.
const ABSENT: u16 = 404;

/// How much of an error's body is quoted, in characters.
const QUOTED: usize = 120;

/// Why a node says nothing about the key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum LookFault {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{url} answered with status {status}: {words}")]
    Status { url: String, status: u16, words: String },
    #[error("{url}")]
    Answer { url: String, source: AnswerFault },
    #[error(
        "{url} gives no contract {contract}: {words}; is this its deployer, and the node of that network?"
    )]
    NoContract { url: String, contract: String, words: String },
}

/// What is to be asked, and of whom.
#[derive(Debug, Clone)]
pub struct Inquiry {
    section: Chain,
    deployer: Result<StacksAddress, String>,
    before: Option<Answer>,
    /// The public half of the key that the signer is configured with.
    own: Result<Option<String>, String>,
}

impl Inquiry {
    /// One by the profile's section, with the deployer or why nobody can tell it. `before` is the last answer, by which a
    /// node that stands still is known.
    pub fn new(
        section: &Chain,
        deployer: Result<StacksAddress, String>,
        before: Option<Answer>,
    ) -> Self {
        Self { section: section.clone(), deployer, before, own: Ok(None) }
    }

    /// The same with the public half of the key that the signer is configured with, in hexadecimal; or why it cannot be told.
    #[must_use]
    pub fn with_own(self, own: Result<Option<String>, String>) -> Self {
        Self { own, ..self }
    }

    /// The checks of a proof with whose each row is, by that key, where nothing else tells.
    pub fn whose(&self, checks: Vec<Check>, found: &Found, rules: &Backup) -> Vec<Check> {
        own(checks, &found.dkg, rules, &self.own)
    }

    /// Asks the operator's own node, and then the others of the profile, until one can be believed; the answer of the first
    /// that cannot be is given when none can.
    ///
    /// # Errors
    /// In words, when there is no answer at all.
    pub fn ask(&self, files: &Files, seen: Option<u64>) -> Result<Answer, String> {
        let deployer = self
            .deployer
            .as_ref()
            .map_err(|why| format!("it is not known whose contract is to be asked: {why}"))?;
        let (mut doubtful, mut faults) = (None, Vec::new());
        for node in std::iter::once(&self.section.node).chain(&self.section.others) {
            match self.ask_one(node, deployer, files) {
                Ok(answer) => {
                    if answer.doubt(clock::now(), seen).is_none() {
                        return Ok(answer);
                    }
                    doubtful = doubtful.or(Some(answer));
                }
                Err(fault) => faults.push(chain(&fault)),
            }
        }
        doubtful.ok_or_else(|| faults.join("; "))
    }

    /// Compares what was found in a backup with the chain: what is kept of it, and the check that came of it.
    pub fn compare(&self, found: &Found, files: &Files) -> (Word, Check) {
        let rows: Vec<_> = found.dkg.iter().filter_map(Row::key_row).collect();
        let seen = found.newest_block.as_ref().and_then(|block| u64::try_from(block.height).ok());
        let (word, verdict) = word(&rows, self.ask(files, seen), seen);
        let judged = verdict.map_or(check::Verdict::Unknown { why: String::new() }, |v| v.judged());
        let outcome = match judged {
            check::Verdict::Holds { .. } => Outcome::Pass,
            check::Verdict::Differs { .. } => Outcome::Fail,
            _ => Outcome::CannotCheck,
        };
        let check = Check { name: "chain".to_owned(), outcome, text: word.text.clone() };
        (word, check)
    }

    fn ask_one(
        &self,
        node: &NodeUrl,
        deployer: &StacksAddress,
        files: &Files,
    ) -> Result<Answer, LookFault> {
        let section = &self.section;
        let authorities = node.is_tls().then_some(section.ca_file.as_str());
        let client = Client::new(files, authorities, section.time_limit.as_duration())?;
        let said = identity(&client, node)?;
        // One of another network has another contract of that name, or none.
        let on_chain = if said.network_id == Network::of(deployer).id() {
            key(&client, node, deployer)?
        } else {
            OnChain::NotBootstrapped
        };
        let who = (node.to_string(), deployer.to_string());
        Ok(Answer::new(clock::now(), who, said, on_chain, self.before.as_ref()))
    }
}

/// Who the node is, and where on the chain.
fn identity(client: &Client, node: &NodeUrl) -> Result<Node, LookFault> {
    let url = node.at("/v2/info");
    let info = client.get(&url)?;
    if info.status != OK {
        return Err(refused(url, &info));
    }
    let health = client.get(&node.at("/v3/health"))?;
    let is_alone = ![OK, ABSENT].contains(&health.status);
    let health = (health.status == OK).then_some(health.body);
    let said = Node::from_answers(&info.body, health.as_deref())
        .map_err(|source| LookFault::Answer { url, source })?;
    Ok(Node { alone: is_alone, ..said })
}

/// The key. The variable is asked for only where the call is not served: it is what the function reads.
fn key(client: &Client, node: &NodeUrl, deployer: &StacksAddress) -> Result<OnChain, LookFault> {
    let call = format!("/v2/contracts/call-read/{deployer}/{CONTRACT}/{FUNCTION}?tip=latest");
    let url = node.at(&call);
    let question = json!({ "sender": deployer.as_str(), "arguments": [] }).to_string();
    let called = client.post(&url, &question)?;
    if called.status == OK {
        let value = clarity::call_read(&called.body);
        return value.map_err(|source| LookFault::Answer { url, source });
    }
    let path = format!("/v2/data_var/{deployer}/{CONTRACT}/{VARIABLE}?proof=0&tip=latest");
    let url = node.at(&path);
    let read = client.get(&url)?;
    match read.status {
        OK => clarity::data_var(&read.body).map_err(|source| LookFault::Answer { url, source }),
        ABSENT => Err(LookFault::NoContract {
            url: node.to_string(),
            contract: format!("{deployer}.{CONTRACT}"),
            words: words(&read),
        }),
        _ => Err(refused(url, &read)),
    }
}

fn refused(url: String, answer: &http::Answer) -> LookFault {
    LookFault::Status { url, status: answer.status, words: words(answer) }
}

/// A server's words, fit for one line of a terminal.
fn words(answer: &http::Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let shown = text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c });
    let shown: String = shown.collect();
    if shown.trim().is_empty() { "it says nothing".to_owned() } else { shown.trim().to_owned() }
}

impl Answer {
    /// Why it does not count at this time, for a signer whose newest Bitcoin block is `seen`.
    pub fn doubt(&self, now: Timestamp, seen: Option<u64>) -> Option<Doubt> {
        let network = self.network().unwrap_or(Network::Mainnet);
        let still = now.as_second().saturating_sub(self.block_since.as_second());
        self.said.doubt(network, seen, still)
    }
}

/// The word on a backup with these rows, whose newest Bitcoin block is `seen`.
pub fn word(
    rows: &[KeyRow],
    answer: Result<Answer, String>,
    seen: Option<u64>,
) -> (Word, Option<Verdict>) {
    let unknown = |text: String, answer| (Word { verdict: "unknown".into(), text, answer }, None);
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return unknown(why, None),
    };
    let Some(on_chain) = answer.on_chain() else {
        return unknown("the key that was kept of the last answer is none".into(), None);
    };
    let doubt = answer.doubt(answer.at, seen);
    let verdict = compare::compare(rows, on_chain, doubt);
    let text = format!("{verdict} ({})", answer.node);
    let word = Word { verdict: verdict.name().into(), text, answer: Some(answer) };
    (word, Some(verdict))
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
