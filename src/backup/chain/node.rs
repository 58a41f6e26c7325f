//! Which Stacks node answered, and whether what it says is of today. A node that lags gives an old key, and means well.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clarity::{AnswerFault, quoted};
use crate::profile::types::StacksAddress;

/// How many Stacks blocks a node may be behind its best peer. Between two looks some blocks are always on their way;
/// with one every few seconds (SIP-021) these are minutes, and a rotation takes a Bitcoin block at least.
const BEHIND: u64 = 60;

/// How many Bitcoin blocks a node may be behind what the signer had seen: a reorganisation takes one or two back.
const BURN_BEHIND: u64 = 2;

/// For how long a node's newest Bitcoin block may have been the newest: with one in 10 minutes on average, once in 65
/// million blocks none comes for 3 hours.
const STILL: i64 = 3 * 3600;

/// Which network the signer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The network with value in it.
    Mainnet,
    /// The public test network, or one of one's own, which calls itself by the same number.
    Testnet,
}

impl Network {
    /// The one that a contract's deployer is on: a signer refuses a deployer of another network than its own.
    pub fn of(deployer: &StacksAddress) -> Self {
        if deployer.is_mainnet() { Self::Mainnet } else { Self::Testnet }
    }

    /// `network_id` in `/v2/info`: `CHAIN_ID_MAINNET` and `CHAIN_ID_TESTNET` (stacks-network/stacks-core,
    /// stacks-common).
    pub const fn id(self) -> u32 {
        match self {
            Self::Mainnet => 1,
            Self::Testnet => 0x8000_0000,
        }
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The number of its network.
    pub network_id: u32,
    /// Whether it is past its first download of blocks; `None`: it is too old to say.
    pub synced: Option<bool>,
    /// Its newest Stacks block.
    pub tip: u64,
    /// Its newest Bitcoin block.
    pub burn_height: u64,
    /// Which program it is, as it says.
    pub version: String,
    /// How many Stacks blocks it is behind its best peer; `None`: it is too old to say, or [`alone`](Self::alone).
    pub behind: Option<u64>,
    /// Whether it has no peer to compare itself with.
    #[serde(default)]
    pub alone: bool,
}

/// Why a node's word does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It is on another network.
    Network {
        /// By its number.
        found: u32,
        /// The signer's.
        expected: u32,
    },
    /// It says so itself.
    NotSynced,
    /// It has no peers: nobody tells it what is new.
    Alone,
    /// Its peers are ahead of it.
    Behind(u64),
    /// The signer has seen newer Bitcoin blocks than it has.
    BehindSigner {
        /// Its newest.
        found: u64,
        /// The signer's newest in the backup.
        seen: u64,
    },
    /// It has learned of no Bitcoin block for so many seconds.
    Still(i64),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { found, expected } => {
                write!(f, "it is on network {found}, and the signer on {expected}")
            }
            Self::NotSynced => f.write_str("it says that it is not fully synced"),
            Self::Alone => f.write_str(
                "it cannot say how far behind its peers it is: it has none that answers",
            ),
            Self::Behind(blocks) => write!(f, "it is {blocks} Stacks blocks behind its best peer"),
            Self::BehindSigner { found, seen } => write!(
                f,
                "its newest Bitcoin block is {found}, and the signer had seen block {seen}"
            ),
            Self::Still(seconds) => {
                write!(f, "it has learned of no Bitcoin block for {} minutes", seconds / 60)
            }
        }
    }
}

/// `GET /v2/info` (stackslib/src/net/api/getinfo.rs); what of it counts here.
#[derive(Deserialize)]
struct Info {
    network_id: u32,
    is_fully_synced: Option<bool>,
    stacks_tip_height: u64,
    burn_block_height: u64,
    server_version: String,
}

/// `GET /v3/health` (stackslib/src/net/api/gethealth.rs); what of it counts here.
#[derive(Deserialize)]
struct Health {
    difference_from_max_peer: u64,
}

impl Node {
    /// Reads the bodies of the answers to `/v2/info` and `/v3/health`. The second is absent in older nodes, `None` then, and
    /// an error in one without peers, which is [`alone`](Self::alone).
    ///
    /// # Errors
    /// When either is not what a node says.
    pub fn from_answers(info: &[u8], health: Option<&[u8]>) -> Result<Self, AnswerFault> {
        let info: Info = serde_json::from_slice(info).map_err(AnswerFault::NotJson)?;
        let health: Option<Health> =
            health.map(serde_json::from_slice).transpose().map_err(AnswerFault::NotJson)?;
        Ok(Self {
            network_id: info.network_id,
            synced: info.is_fully_synced,
            tip: info.stacks_tip_height,
            burn_height: info.burn_block_height,
            version: quoted(&info.server_version),
            behind: health.map(|health| health.difference_from_max_peer),
            alone: false,
        })
    }

    /// Why its word does not count for a signer of this network, whose newest Bitcoin block is `seen`. `still` is for how
    /// many seconds it has been seen with one and the same newest block.
    pub fn doubt(&self, network: Network, seen: Option<u64>, still: i64) -> Option<Doubt> {
        if self.network_id != network.id() {
            return Some(Doubt::Network { found: self.network_id, expected: network.id() });
        }
        if self.synced == Some(false) {
            return Some(Doubt::NotSynced);
        }
        if self.alone {
            return Some(Doubt::Alone);
        }
        if let Some(blocks) = self.behind.filter(|blocks| *blocks > BEHIND) {
            return Some(Doubt::Behind(blocks));
        }
        if let Some(seen) = seen.filter(|seen| self.burn_height.saturating_add(BURN_BEHIND) < *seen)
        {
            return Some(Doubt::BehindSigner { found: self.burn_height, seen });
        }
        (still > STILL).then_some(Doubt::Still(still))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = r#"{"peer_version":402653194,"burn_block_height":900000,"network_id":1,
        "server_version":"stacks-node 4.0.2","stacks_tip_height":3500000,"is_fully_synced":true}"#;

    fn node(health: Option<&str>) -> Node {
        Node::from_answers(INFO.as_bytes(), health.map(str::as_bytes)).unwrap()
    }

    #[test]
    fn a_node_at_the_tip_is_believed() {
        let node =
            node(Some(r#"{"difference_from_max_peer":60,"node_stacks_tip_height":3500000}"#));
        assert_eq!(node.doubt(Network::Mainnet, Some(900_002), STILL), None);
        assert_eq!(node.version, "stacks-node 4.0.2");
    }

    fn good_still() -> String {
        node(None).doubt(Network::Mainnet, Some(900_002), STILL + 60).unwrap().to_string()
    }

    #[test]
    fn a_node_that_does_not_say_whether_it_is_synced_is_an_old_one() {
        let old = INFO.replace(r#","is_fully_synced":true"#, "");
        let node = Node::from_answers(old.as_bytes(), None).unwrap();
        assert_eq!((node.synced, node.doubt(Network::Mainnet, None, 0)), (None, None));
    }

    #[test]
    fn each_doubt_has_its_words() {
        let told = |node: &Node, network, seen| node.doubt(network, seen, 0).unwrap().to_string();
        let good = node(None);
        assert_eq!(
            told(&good, Network::Testnet, None),
            "it is on network 1, and the signer on 2147483648"
        );
        assert_eq!(
            told(&good, Network::Mainnet, Some(900_003)),
            "its newest Bitcoin block is 900000, and the signer had seen block 900003"
        );
        let unsynced = Node { synced: Some(false), ..good };
        assert_eq!(told(&unsynced, Network::Mainnet, None), "it says that it is not fully synced");
        let still = good_still();
        assert_eq!(still, "it has learned of no Bitcoin block for 181 minutes");
        let alone = Node { alone: true, ..node(None) };
        assert!(told(&alone, Network::Mainnet, None).contains("it has none that answers"));
        let behind = node(Some(r#"{"difference_from_max_peer":61}"#));
        assert_eq!(
            told(&behind, Network::Mainnet, None),
            "it is 61 Stacks blocks behind its best peer"
        );
    }

    #[test]
    fn what_no_node_says_is_refused() {
        for info in ["", "{}", "[]", r#"{"network_id":-1}"#, &INFO.replace("true", "\"true\"")] {
            assert!(Node::from_answers(info.as_bytes(), None).is_err(), "{info}");
        }
        assert!(Node::from_answers(INFO.as_bytes(), Some(b"no peers")).is_err());
    }
}
