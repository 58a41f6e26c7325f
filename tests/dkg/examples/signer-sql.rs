//! Prints the SQL of a signer's database: `signer-sql STACKS_BLOCKS`, for measuring by hand and in `tests/bench-backup.sh`.

use std::io::{self, Write as _};

use holdfast_test_dkg::{Database, Group};

fn main() -> io::Result<()> {
    let blocks = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(500);
    let group = Group::new("bench", 15, 11);
    let rows = [1, 2].map(|number| group.round(number).row(0)).into();
    let database =
        Database { rows, bitcoin_blocks: 50, stacks_blocks: blocks, ..Database::default() };
    io::stdout().write_all(database.sql().as_bytes())
}
