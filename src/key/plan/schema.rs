//! What a plan says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    key::{paper::Paper, preflight::Check},
    profile::types::{AgeRecipient, FilePath, RuleName, SshKey, Text, Until, UserName},
};

/// A ceremony: which keys, for whom, by whom, onto what, and until when that may be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The plan's name: part of the names of folders and files that come of it.
    pub name: RuleName,

    /// The day on which it was written. A clock that says an earlier one is wrong.
    pub written: Until,

    /// The last day on which it may be carried out.
    pub valid_until: Until,

    /// The day by which somebody opens the copies again.
    pub next_drill: Until,

    /// The digest (SHA-256, 64 hexadecimal digits) of the program that carries it out. Absent: any; the digest is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Text>,

    /// The keys that are exported.
    #[serde(rename = "key")]
    #[schemars(length(min = 1))]
    pub keys: Vec<Key>,

    /// Who keeps copies. Each gets an envelope of every key that only they can open.
    #[serde(rename = "custodian")]
    #[schemars(length(min = 1))]
    pub custodians: Vec<Custodian>,

    /// Who types.
    pub operator: Role,

    /// Who watches, and is somebody else.
    pub witness: Role,

    /// How many custodians it takes to open the keys. Absent: each opens their own copies alone. Otherwise the keys are
    /// encrypted to a key that unlocks them, and that one is split among all custodians.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 7))]
    pub threshold: Option<u8>,

    /// The paper for which sheets are made, one for each envelope, and put beside it onto the medium. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,

    /// The backup of the host's profile (`[backup.NAME]`) whose newest proven DKG rows are put beside the envelopes: as
    /// they are, encrypted to its custodians, who must be those of the plan. `holdfast backup watch` must have seen within its
    /// `watched_within` that they are all. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RuleName>,

    /// What the envelopes are written onto.
    #[serde(rename = "medium")]
    #[schemars(length(min = 1))]
    pub media: Vec<Medium>,

    /// What may be otherwise than it should be, and why. Each is repeated in the transcript.
    #[serde(default, rename = "exception", skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
}

/// A key that is exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name: envelopes are called by it.
    pub name: RuleName,

    /// What kind of key it is.
    pub kind: KeyKind,

    /// Where it is read from.
    pub from: Origin,

    /// Its public half, with which what was read is compared: for an `sbtc-signer` 66 hexadecimal digits, for `ed25519` 64.
    /// Absent: what was read is shown, and people compare it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Text>,

    /// For an `sbtc-signer`: the network whose kind of address is shown.
    #[serde(default)]
    pub network: Network,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// The private key of an sBTC signer: 64 hexadecimal digits, or 66 of which the last two are 01
    SbtcSigner,
    /// A seed of Ed25519: 32 bytes, or 64 hexadecimal digits. holdfast's own host key is one
    Ed25519,
    /// Any other secret text of up to 4096 bytes, kept as it is: the verification key of a sealed journal, for one
    Text,
}

/// Which network a signer belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Bitcoin and Stacks themselves
    #[default]
    Mainnet,
    /// A network for tests
    Testnet,
}

/// Where a key is read from: exactly one of `toml`, `env`, `file` and `command`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// A TOML file. `key` says what in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<FilePath>,

    /// The key in the TOML file, its tables before it: `signer.private_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,

    /// A file of variables, as for `EnvironmentFile=` or `env_file`. `variable` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<FilePath>,

    /// The variable in the file of variables: `SIGNER_SIGNER__PRIVATE_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<Text>,

    /// A file that holds the key and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,

    /// A command that prints the key and nothing else: its program with the whole path, then its arguments. No shell reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<Text>>,
}

/// [`Origin`], as what it can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// A key of a TOML file: its path, then the keys that lead to it.
    Toml(String, Vec<String>),
    /// A variable of a file.
    Variable(String, String),
    /// A file.
    File(String),
    /// What a command prints.
    Command(Vec<String>),
}

impl Origin {
    /// What it says; `None` when it says nothing, or more than one thing. A plan that was read always says one.
    pub fn from(&self) -> Option<From> {
        let Self { toml, key, env, variable, file, command } = self.clone();
        let path = |path: &FilePath| path.as_str().to_owned();
        match (toml, key, env, variable, file, command) {
            (Some(toml), Some(key), None, None, None, None) => {
                let keys: Vec<String> = key.as_str().split('.').map(str::to_owned).collect();
                let named = keys.iter().all(|key| !key.is_empty());
                named.then(|| From::Toml(path(&toml), keys))
            }
            (None, None, Some(env), Some(variable), None, None) => {
                Some(From::Variable(path(&env), variable.as_str().to_owned()))
            }
            (None, None, None, None, Some(file), None) => Some(From::File(path(&file))),
            (None, None, None, None, None, Some(command)) => {
                let absolute = command.first()?.as_str().starts_with('/');
                let words = command.iter().map(|word| word.as_str().to_owned()).collect();
                absolute.then_some(From::Command(words))
            }
            _ => None,
        }
    }
}

/// Somebody who keeps copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Custodian {
    /// Their name.
    pub name: UserName,

    /// To whom their envelopes are encrypted: what `age-keygen -y` prints.
    pub recipient: AgeRecipient,

    /// The public key with which they sign that they could open a challenge. Absent: they cannot be asked for proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SshKey>,
}

/// Somebody with a part in the ceremony, who signs the plan before it and the transcript after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Their name.
    pub name: UserName,

    /// The public key they sign with. One that is held in hardware (`sk-…`) must have been touched for each signature.
    pub ssh_key: SshKey,
}

/// Which part somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleName {
    /// Types.
    Operator,
    /// Watches.
    Witness,
}

impl RoleName {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Operator, Self::Witness];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Witness => "witness",
        }
    }
}

impl Plan {
    /// Who has a part.
    pub const fn role(&self, name: RoleName) -> &Role {
        match name {
            RoleName::Operator => &self.operator,
            RoleName::Witness => &self.witness,
        }
    }
}

/// What a custodian's envelopes are written onto: a USB stick, for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Medium {
    /// Its name.
    pub name: RuleName,

    /// Whose envelopes it carries.
    pub custodian: UserName,

    /// The folder on which it is mounted. Several may be used in turn at one place.
    pub path: FilePath,

    /// The serial number that the device itself tells. Absent: any; what it tells is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Text>,

    /// The number of the bag into which it is sealed.
    pub bag: Text,

    /// Whether its file system must be encrypted by itself. The envelopes are in any case.
    #[serde(default)]
    pub encrypted: bool,
}

/// What may be otherwise than it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Which reading of the room.
    pub check: Check,

    /// Why that is accepted.
    pub reason: Text,
}
