//! What is in a file of rows before it is compressed and encrypted: a line that explains the rest, and a line for each row.
//! Whoever has it needs `age`, `zstd`, `psql` and no holdfast.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::dkg::{Row, RowFault};

/// What such a text calls itself.
const FORMAT: &str = "holdfast-dkg-rows@1";

/// The columns, in the order of the table.
pub const COLUMNS: &str = "aggregate_key, tweaked_aggregate_key, encrypted_private_shares, public_shares, \
script_pubkey, signer_set_public_keys, signature_share_threshold, created_at, dkg_shares_status, \
started_at_bitcoin_block_hash, started_at_bitcoin_block_height";

/// From a table `kept` with one column `row` of jsonb, as the lines are, to the values of [`COLUMNS`].
pub const VALUES: &str = "SELECT decode(row->>'aggregate_key', 'hex'), \
decode(row->>'tweaked_aggregate_key', 'hex'), decode(row->>'encrypted_private_shares', 'hex'), \
decode(row->>'public_shares', 'hex'), decode(row->>'script_pubkey', 'hex'), \
ARRAY(SELECT decode(key, 'hex') FROM jsonb_array_elements_text(row->'signer_set_public_keys') \
WITH ORDINALITY AS signer (key, place) ORDER BY place), \
(row->>'signature_share_threshold')::int4, (row->>'created_at')::timestamptz, \
(row->>'dkg_shares_status')::sbtc_signer.dkg_shares_status, \
decode(row->>'started_at_bitcoin_block_hash', 'hex'), \
(row->>'started_at_bitcoin_block_height')::int8 FROM kept";

/// How rows get into a migrated database by hand.
fn by_hand() -> [String; 3] {
    [
        "CREATE TEMP TABLE kept (row jsonb)".to_owned(),
        "\\copy kept FROM PROGRAM 'age -d -i IDENTITY FILE | zstd -d | tail -n +2'".to_owned(),
        format!("INSERT INTO sbtc_signer.dkg_shares ({COLUMNS}) {VALUES}"),
    ]
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// What the text is.
    pub format: String,
    /// The backup's name in the profile.
    pub name: String,
    /// The database that the rows are of.
    pub database: String,
    /// When they were read.
    pub taken: Timestamp,
    /// How many there are.
    pub rows: usize,
    /// Statements for psql that put them into a migrated database.
    pub by_hand: [String; 3],
}

/// Why a text is none.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum TextFault {
    #[error("its first line is not that of a backup of DKG rows")]
    Head(#[source] serde_json::Error),
    #[error("it is of another form than {FORMAT}")]
    Format,
    #[error("it says that it has {said} rows, and has {found}")]
    Count { said: usize, found: usize },
    #[error("its last line has no end")]
    Cut,
    #[error("it is not UTF-8")]
    NotText,
    #[error(transparent)]
    Row(#[from] RowFault),
}

/// Writes it.
pub fn write(name: &str, database: &str, taken: Timestamp, rows: &[Row]) -> Vec<u8> {
    let head = Head {
        format: FORMAT.to_owned(),
        name: name.to_owned(),
        database: database.to_owned(),
        taken,
        rows: rows.len(),
        by_hand: by_hand(),
    };
    // Of our own types there is none that JSON cannot say.
    let line = |text: Result<String, _>| text.unwrap_or_default() + "\n";
    let mut text = line(serde_json::to_string(&head));
    for row in rows {
        text.push_str(&line(serde_json::to_string(row)));
    }
    text.into_bytes()
}

/// Reads it.
///
/// # Errors
/// [`TextFault`].
pub fn read(bytes: &[u8]) -> Result<(Head, Vec<Row>), TextFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| TextFault::NotText)?;
    let (head, rest) = text.split_once('\n').ok_or(TextFault::Cut)?;
    let head: Head = serde_json::from_str(head).map_err(TextFault::Head)?;
    if head.format != FORMAT {
        return Err(TextFault::Format);
    }
    if !rest.is_empty() && !rest.ends_with('\n') {
        return Err(TextFault::Cut);
    }
    let rows = Row::from_lines(rest)?;
    if rows.len() != head.rows {
        return Err(TextFault::Count { said: head.rows, found: rows.len() });
    }
    Ok((head, rows))
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let group = Group::new("text", 3, 2);
        let lines: Vec<_> = (1..3).map(|n| group.round(n).row(0).json()).collect();
        let rows = Row::from_lines(&lines.join("\n")).unwrap();
        let bytes = write("signer-db", "signer", Timestamp::UNIX_EPOCH, &rows);
        let (head, again) = read(&bytes).unwrap();
        assert_eq!((head.database.as_str(), again), ("signer", rows));
        let text = String::from_utf8(bytes).unwrap();
        let without_last = text.trim_end().rsplit_once('\n').unwrap().0.to_owned() + "\n";
        assert!(matches!(
            read(without_last.as_bytes()),
            Err(TextFault::Count { said: 2, found: 1 })
        ));
        assert!(matches!(read(&text.as_bytes()[..text.len() - 1]), Err(TextFault::Cut)));
        assert!(matches!(
            read(text.replace("rows@1", "rows@2").as_bytes()),
            Err(TextFault::Format)
        ));
        assert!(matches!(read(b"{}\n"), Err(TextFault::Head(_))));
        assert!(matches!(read(b""), Err(TextFault::Cut)));
        assert!(matches!(read(b"\xff\n"), Err(TextFault::NotText)));
        for at in 0..text.len() {
            assert!(read(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }
}
