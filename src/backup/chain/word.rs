//! What is kept of a look at the chain: in manifests, and until the next look.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    clarity::OnChain,
    node::{Network, Node},
};
use crate::backup::curve::{PublicKey, unhex};

/// A node's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// When it was given.
    pub at: Timestamp,
    /// By whom: the node's address.
    pub node: String,
    /// Whose contract was asked.
    pub deployer: String,
    /// What the node said of itself.
    pub said: Node,
    /// Since when it has had its newest Bitcoin block, as far as anybody has looked.
    pub block_since: Timestamp,
    /// The aggregate key, in hexadecimal; none: the contract has none yet.
    pub key: Option<String>,
}

/// What came of the comparison, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// `equal`, `rotation-pending`, …; `unknown` where no node could be asked.
    pub verdict: String,
    /// In words.
    pub text: String,
    /// What it is founded on.
    pub answer: Option<Answer>,
}

impl Answer {
    /// One that was just given. `before` is the last one of the same node, if there was one.
    pub fn new(
        at: Timestamp,
        (node, deployer): (String, String),
        said: Node,
        on_chain: OnChain,
        before: Option<&Self>,
    ) -> Self {
        let same = before.filter(|before| {
            before.node == node && before.said.burn_height == said.burn_height && before.at <= at
        });
        let key = match on_chain {
            OnChain::NotBootstrapped => None,
            OnChain::Key(key) => Some(key.to_string()),
        };
        let block_since = same.map_or(at, |before| before.block_since);
        Self { at, node, deployer, said, block_since, key }
    }

    /// What it says of the chain; `None` when somebody has written nonsense into it.
    pub fn on_chain(&self) -> Option<OnChain> {
        let Some(key) = &self.key else { return Some(OnChain::NotBootstrapped) };
        let key = unhex(key).and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
        key.map(OnChain::Key)
    }

    /// Which network the contract's deployer is on.
    pub fn network(&self) -> Option<Network> {
        let address: crate::profile::types::StacksAddress = self.deployer.parse().ok()?;
        Some(Network::of(&address))
    }
}
