//! `[backup.NAME]`: a signer's database, backed up and proven.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Chain;
use crate::profile::types::{
    ContainerName, DatabaseName, FilePath, SignerPublicKey, Size, TableName, Text, TimeSpan,
    UserName,
};

/// A signer's PostgreSQL database: how it is reached, who can open its backups, what each is held to,
/// and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// The database. All of it is backed up: a dump of one schema lacks the bookkeeping of migrations.
    pub database: DatabaseName,

    /// Who can open the backups, by their names in `people`, each with an `age_recipient`. The host cannot.
    #[schemars(length(min = 1))]
    pub to: Vec<UserName>,

    /// The role that reads the database, and the account whose processes do: over the socket PostgreSQL asks
    /// nobody else (peer authentication). It needs `pg_read_all_data`, which also reads the verifiers of
    /// passwords, and nothing more.
    #[serde(default = "Backup::default_role")]
    pub role: DatabaseName,

    /// The folder of the server's socket. Ignored with `host`.
    #[serde(default = "Backup::default_socket")]
    pub socket: FilePath,

    /// The server's address, for one that is reached by TCP: in a container that publishes its port, for one. Off this
    /// host it must prove by a certificate to be that server. Absent: it is reached by its socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Text>,

    /// The server's port; it is part of the socket's name, too.
    #[serde(default = "Backup::default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// A password file of libpq's (`host:port:database:role:password`), owned by the account `role` and with mode 0600,
    /// for a server that asks for a password. Absent: none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,

    /// Whether the server is the one that a credential of systemd's names: `holdfast-backup.NAME`, with
    /// `postgresql://role:password@host:port/database?sslmode=verify-full` in it. It comes before `host`, `port` and `socket`;
    /// its role and database, where it has them, must be those of the profile.
    #[serde(default)]
    pub credential: bool,

    /// The Docker or Podman container that has the server, for one that nothing else reaches: the clients of PostgreSQL
    /// in it are used, by the engine's `exec`. Absent: it is reached by socket or TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerName>,

    /// The folder of the backups: ciphertext and manifests, nothing else. It should not be on the database's
    /// own disk.
    #[serde(default = "Backup::default_store")]
    pub store: FilePath,

    /// What a backup must leave free on the file system of `store`. A full disk stops PostgreSQL.
    #[serde(default = "Backup::default_keep_free")]
    pub keep_free: Size,

    /// How long a backup waits for a lock that somebody else holds on a table.
    #[serde(default = "Backup::default_lock_timeout")]
    pub lock_timeout: TimeSpan,

    /// How long a dump may take, and then its proof.
    #[serde(default = "Backup::default_time_limit")]
    pub time_limit: TimeSpan,

    /// How old the newest proven backup may be.
    #[serde(default = "Backup::default_proven_within")]
    pub proven_within: TimeSpan,

    /// How old the newest backup may be of which all was restored and checked.
    #[serde(default = "Backup::default_drilled_within")]
    pub drilled_within: TimeSpan,

    /// How old the newest Bitcoin block in a backup may be when it is made. Absent: any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_block_within: Option<TimeSpan>,

    /// The public keys that this signer has and had: by them its rows are told from another signer's of
    /// another group. Absent: with `chain` and without `key_files`, the one that the signer is configured with, which the newest
    /// verified row must have; else whose rows they are is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_keys: Option<Vec<SignerPublicKey>>,

    /// Files of this host that have the signer's private key, of now and of earlier generations: its configuration, a file
    /// of the variables that it is started with, or one with nothing but the key. By them each row is proven to open, and its
    /// share to fit, in a process of its own that locks its memory and says verdicts only; without them another signer's
    /// row of the same group cannot be told. Absent: rows are proven by public data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_files: Option<Vec<FilePath>>,

    /// By how many percent of its rows a table may be smaller than in the backup before, each name in quotes
    /// because of its dot; by 100, it may be gone, too. No other table may be smaller at all, and
    /// `sbtc_signer.dkg_shares` never.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "holdfast-table-name"}))]
    pub may_shrink: BTreeMap<TableName, Percent>,

    /// Which backups `holdfast backup prune` keeps; every other is deleted.
    #[serde(default)]
    pub keep: Keep,

    /// The chain that the keys in a backup are compared with. Absent: they are compared with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,

    /// How long ago `holdfast backup watch` may have looked for new DKG rows last.
    #[serde(default = "Backup::default_watched_within")]
    pub watched_within: TimeSpan,
}

/// A part in a hundred.
pub type Percent = u8;

/// Which backups are kept: each rule keeps its own. The newest proven one, and the newest of which all was restored, are kept
/// whatever they say, and nothing is deleted while the newest is not proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// The newest, so many.
    #[serde(default = "Keep::default_last")]
    #[schemars(range(min = 1))]
    pub last: u32,

    /// The newest of a day (UTC), for so many days that have one.
    #[serde(default = "Keep::default_daily")]
    pub daily: u32,

    /// The newest of a week, for so many weeks that have one.
    #[serde(default = "Keep::default_weekly")]
    pub weekly: u32,

    /// The newest of a month, for so many months that have one.
    #[serde(default = "Keep::default_monthly")]
    pub monthly: u32,

    /// All that are younger than this. The only rule that wrong clocks cannot outwit.
    #[serde(default = "Keep::default_within")]
    pub within: TimeSpan,
}

impl Backup {
    fn default_role() -> DatabaseName {
        DatabaseName::known("holdfast-backup")
    }

    fn default_socket() -> FilePath {
        FilePath::known("/run/postgresql")
    }

    const fn default_port() -> u16 {
        5432
    }

    fn default_store() -> FilePath {
        FilePath::known("/var/backups/holdfast")
    }

    const fn default_keep_free() -> Size {
        Size::from_bytes(1 << 30)
    }

    const fn default_lock_timeout() -> TimeSpan {
        TimeSpan::from_secs(30)
    }

    const fn default_time_limit() -> TimeSpan {
        TimeSpan::from_secs(2 * 3600)
    }

    /// A day, and what a daily timer may be late by.
    const fn default_proven_within() -> TimeSpan {
        TimeSpan::from_secs(26 * 3600)
    }

    /// Some looks of its timer: one may fail while the server is started anew.
    const fn default_watched_within() -> TimeSpan {
        TimeSpan::from_secs(15 * 60)
    }

    /// A week, and what a weekly timer may be late by.
    const fn default_drilled_within() -> TimeSpan {
        TimeSpan::from_days(8)
    }
}

impl Keep {
    const fn default_last() -> u32 {
        3
    }

    const fn default_daily() -> u32 {
        7
    }

    const fn default_weekly() -> u32 {
        5
    }

    const fn default_monthly() -> u32 {
        12
    }

    const fn default_within() -> TimeSpan {
        TimeSpan::from_days(2)
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            last: Self::default_last(),
            daily: Self::default_daily(),
            weekly: Self::default_weekly(),
            monthly: Self::default_monthly(),
            within: Self::default_within(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_here_are_good_values() {
        for path in [Backup::default_socket(), Backup::default_store()] {
            assert_eq!(path.as_str().parse(), Ok(path));
        }
        let role = Backup::default_role();
        assert_eq!(role.as_str().parse(), Ok(role));
    }
}
