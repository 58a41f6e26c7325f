//! A signer's database as SQL: the tables that a backup is judged by, and what is in them.

use crate::round::Row;

/// The signer's migrations, by the names that it keeps of them in `public.__sbtc_migrations`. There is no second one.
pub const MIGRATIONS: [&str; 21] = [
    "0001__create_schema.sql",
    "0003__create_tables.sql",
    "0004__create_functions.sql",
    "0005__create_sighashes_and_withdrawal_outputs_tables.sql",
    "0006__fix_stacks_event_block_hashes.sql",
    "0007__create_bitcoin_blockchain_from.sql",
    "0008__create_indices_bitcoin_tx_tables.sql",
    "0009__drop_sweep_tables.sql",
    "0010__add_bitcoin_tx_related_indices.sql",
    "0011__add_aggregate_key_sighashes_table.sql",
    "0012__dkg_verification_extensions.sql",
    "0013__consolidate_withdrawal_tables.sql",
    "0014__add_bitcoin_tx_outputs_.sql",
    "0015__drop_transactions_tx_column.sql",
    "0016__modify_rotate_keys_transactions_table.sql",
    "0017__remove_stacks_transactions_table.sql",
    "0018__store_reclaim_script_hash.sql",
    "0019__p2p_peers.sql",
    "0020__drop_reclaim_script_column.sql",
    "0021__alter_max_fee_column.sql",
    "0022__add_is_canonical_to_bitcoin_blocks.sql",
];

/// The tables, with the columns that a signer's have.
const TABLES: &str = "\
CREATE SCHEMA sbtc_signer;
CREATE TYPE sbtc_signer.dkg_shares_status AS ENUM ('unverified', 'verified', 'failed');
CREATE TABLE sbtc_signer.dkg_shares (
    aggregate_key bytea PRIMARY KEY,
    tweaked_aggregate_key bytea NOT NULL,
    encrypted_private_shares bytea NOT NULL,
    public_shares bytea NOT NULL,
    script_pubkey bytea NOT NULL,
    signer_set_public_keys bytea[] NOT NULL,
    signature_share_threshold integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    dkg_shares_status sbtc_signer.dkg_shares_status NOT NULL,
    started_at_bitcoin_block_hash bytea NOT NULL,
    started_at_bitcoin_block_height bigint NOT NULL
);
CREATE TABLE sbtc_signer.bitcoin_blocks (
    block_hash bytea PRIMARY KEY,
    block_height bigint NOT NULL,
    parent_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    is_canonical boolean
);
CREATE TABLE sbtc_signer.stacks_blocks (
    block_hash bytea PRIMARY KEY,
    block_height bigint NOT NULL,
    parent_hash bytea NOT NULL,
    bitcoin_anchor bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE sbtc_signer.p2p_peers (
    public_key bytea PRIMARY KEY,
    peer_id text NOT NULL UNIQUE,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_dialed_at timestamptz NOT NULL DEFAULT now()
);
";

/// What is in a database.
#[derive(Debug, Clone, Default)]
pub struct Database {
    /// The DKG rows. None: a signer that never took part in a round.
    pub rows: Vec<Row>,
    /// How many Bitcoin blocks, of which the newest has the height `900_000 + bitcoin_blocks`.
    pub bitcoin_blocks: u32,
    /// How many Stacks blocks: what makes a signer's database large. Three and a half million make 1.1 GB.
    pub stacks_blocks: u32,
    /// Whether the bookkeeping of migrations is left out, as a dump of one schema does.
    pub without_migrations: bool,
}

impl Database {
    /// Everything, for an empty database: `psql -1 -v ON_ERROR_STOP=1`. It asks for no right that the owner has not.
    pub fn sql(&self) -> String {
        let mut sql = TABLES.to_owned();
        if !self.without_migrations {
            sql.push_str("CREATE TABLE public.__sbtc_migrations (key text PRIMARY KEY);\n");
            let names = MIGRATIONS.map(|name| format!("('{name}')")).join(", ");
            sql.push_str(&format!("INSERT INTO public.__sbtc_migrations VALUES {names};\n"));
        }
        sql.push_str(&blocks("bitcoin_blocks", "", self.bitcoin_blocks, "now(), true"));
        sql.push_str(&blocks(
            "stacks_blocks",
            "sha256(int4send(n)), ",
            self.stacks_blocks,
            "now()",
        ));
        for row in &self.rows {
            sql.push_str(&row.insert());
        }
        sql
    }
}

/// Blocks of hashes that compress no better than real ones.
fn blocks(table: &str, anchor: &str, count: u32, rest: &str) -> String {
    format!(
        "INSERT INTO sbtc_signer.{table} SELECT sha256(convert_to('{table}' || n, 'UTF8')), 900000 + n, \
         sha256(convert_to('{table}' || n - 1, 'UTF8')), {anchor}{rest} FROM generate_series(1, {count}) AS n;\n"
    )
}

impl Row {
    /// The statement that inserts it.
    pub fn insert(&self) -> String {
        let keys: Vec<_> = self.signer_set_public_keys.iter().map(|key| bytea(key)).collect();
        format!(
            "INSERT INTO sbtc_signer.dkg_shares VALUES ({}, {}, {}, {}, {}, ARRAY[{}]::bytea[], {}, '{}', '{}', {}, {});\n",
            bytea(&self.aggregate_key),
            bytea(&self.tweaked_aggregate_key),
            bytea(&self.encrypted_private_shares),
            bytea(&self.public_shares),
            bytea(&self.script_pubkey),
            keys.join(", "),
            self.signature_share_threshold,
            self.created_at,
            self.status.word(),
            bytea(&self.started_at_bitcoin_block_hash),
            self.started_at_bitcoin_block_height,
        )
    }

    /// The row as holdfast's question for it is answered: a JSON object on one line.
    pub fn json(&self) -> String {
        let hex = |bytes: &[u8]| format!("\"{}\"", hex(bytes));
        let keys: Vec<_> = self.signer_set_public_keys.iter().map(|key| hex(key)).collect();
        let columns = [
            ("aggregate_key", hex(&self.aggregate_key)),
            ("tweaked_aggregate_key", hex(&self.tweaked_aggregate_key)),
            ("encrypted_private_shares", hex(&self.encrypted_private_shares)),
            ("public_shares", hex(&self.public_shares)),
            ("script_pubkey", hex(&self.script_pubkey)),
            ("signer_set_public_keys", format!("[{}]", keys.join(", "))),
            ("signature_share_threshold", self.signature_share_threshold.to_string()),
            ("created_at", format!("\"{}\"", self.created_at)),
            ("dkg_shares_status", format!("\"{}\"", self.status.word())),
            ("started_at_bitcoin_block_hash", hex(&self.started_at_bitcoin_block_hash)),
            ("started_at_bitcoin_block_height", self.started_at_bitcoin_block_height.to_string()),
        ];
        let columns = columns.map(|(name, value)| format!("\"{name}\" : {value}"));
        format!("{{{}}}", columns.join(", "))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `decode`, because a literal depends on `standard_conforming_strings`.
fn bytea(bytes: &[u8]) -> String {
    format!("decode('{}', 'hex')", hex(bytes))
}
