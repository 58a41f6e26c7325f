//! `[backup.NAME.chain]`: who tells what is on the Stacks chain.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::types::{ContainerName, FilePath, NodeUrl, StacksAddress, TimeSpan, UnitName};

/// The Stacks chain, which has the aggregate key that a backup must have: which node is asked, and for whose contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// The operator's own Stacks node.
    #[serde(default = "Chain::default_node")]
    pub node: NodeUrl,

    /// Other nodes, asked one after the other when the own one does not answer, or lags. Whoever runs one can say what
    /// they like: a wrong key makes backups fail, and a right one tells no secret.
    #[serde(default)]
    pub others: Vec<NodeUrl>,

    /// Who deployed the contract `sbtc-registry`. Absent: the signer's own configuration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployer: Option<StacksAddress>,

    /// The signer's configuration file, for `signer.deployer` and the public half of `signer.private_key`. It is read by a
    /// process of its own that locks its memory, and says these two only; so is what wins over it.
    #[serde(default = "Chain::default_config_file")]
    pub config_file: FilePath,

    /// The unit that runs the signer: its environment wins over the file. Absent: `sbtc-signer.service`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,

    /// The Docker container that runs the signer, instead of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,

    /// A file of variables that the signer is started with; it wins over the unit and the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<FilePath>,

    /// The certificates of the authorities that a node's own is held to, PEM.
    #[serde(default = "Chain::default_ca_file")]
    pub ca_file: FilePath,

    /// How long each answer of a node may take.
    #[serde(default = "Chain::default_time_limit")]
    pub time_limit: TimeSpan,

    /// How often the watch for DKG rows asks for the key on chain.
    #[serde(default = "Chain::default_look_every")]
    pub look_every: TimeSpan,
}

impl Chain {
    /// The RPC's own port, as nodes have it unless told otherwise (stacks-core, stackslib/src/config).
    fn default_node() -> NodeUrl {
        NodeUrl::known("http://127.0.0.1:20443/")
    }

    /// Where [`from_config`](crate::controls::firewall) looks for it, too.
    fn default_config_file() -> FilePath {
        FilePath::known("/etc/sbtc-signer/signer-config.toml")
    }

    /// Debian's (package ca-certificates).
    fn default_ca_file() -> FilePath {
        FilePath::known("/etc/ssl/certs/ca-certificates.crt")
    }

    const fn default_time_limit() -> TimeSpan {
        TimeSpan::from_secs(10)
    }

    /// A Bitcoin block's time: no key changes in less.
    const fn default_look_every() -> TimeSpan {
        TimeSpan::from_secs(600)
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            node: Self::default_node(),
            others: Vec::new(),
            deployer: None,
            config_file: Self::default_config_file(),
            unit: None,
            container: None,
            env_file: None,
            ca_file: Self::default_ca_file(),
            time_limit: Self::default_time_limit(),
            look_every: Self::default_look_every(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_here_are_good_values() {
        for path in [Chain::default_config_file(), Chain::default_ca_file()] {
            assert_eq!(path.as_str().parse(), Ok(path));
        }
        assert_eq!(Chain::default_node().to_string().parse(), Ok(Chain::default_node()));
    }
}
