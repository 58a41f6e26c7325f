//! Counts the rows in a dump's data as `pg_restore --data-only --file=-` writes it, as it comes by.
//!
//! PostgreSQL's COPY text: a line that says the table, a line for each row, and `\.`. A row never has a line
//! break in it: those are written as `\n` (PostgreSQL's documentation of COPY, "Text Format"). A name may have one: what
//! is quoted goes on until the quote ends.

use std::collections::BTreeMap;

/// The longest line outside of rows that is looked at; the list of a table's columns is shorter.
const LONGEST_HEAD: usize = 1 << 20;

/// How the line before rows begins, and where the name in it ends.
const BEGIN: &str = "COPY ";

/// How it ends.
const FROM: &str = " FROM stdin;";

/// Counts rows by table.
#[derive(Debug, Default)]
pub struct Counter {
    rows: BTreeMap<String, u64>,
    /// The table whose rows are coming by.
    table: Option<String>,
    /// What has come of the line so far, as much as matters: of a row the first bytes only.
    line: Vec<u8>,
    /// How long it is in truth.
    length: usize,
    /// Of a statement that goes on after a line break, how much has been looked at.
    looked_at: usize,
    /// The quote that is open there.
    within: Option<u8>,
}

/// Why the data are no whole data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyFault {
    /// The end came amid rows.
    #[error("the rows of {0} have no end")]
    NoEnd(String),
}

impl Counter {
    /// Takes the next bytes, wherever they were cut.
    pub fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.more(&rest[..end]);
            self.line_ends();
            rest = &rest[end + 1..];
        }
        self.more(rest);
    }

    fn more(&mut self, bytes: &[u8]) {
        // `\.` is all that is asked of a row, and whether it is longer than that.
        let kept = if self.table.is_some() { 3 } else { LONGEST_HEAD };
        let room = kept.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.length += bytes.len();
    }

    fn line_ends(&mut self) {
        match &self.table {
            Some(_) if self.length == 2 && self.line == b"\\." => self.table = None,
            Some(table) => {
                if let Some(count) = self.rows.get_mut(table) {
                    *count += 1;
                }
            }
            None => {
                if self.goes_on() {
                    return;
                }
                let head = std::str::from_utf8(&self.line).ok();
                if let Some(table) = head.and_then(table_of) {
                    self.rows.entry(table.clone()).or_default();
                    self.table = Some(table);
                }
            }
        }
        self.line.clear();
        (self.length, self.looked_at, self.within) = (0, 0, None);
    }

    /// Whether a line outside of rows ends within a quoted name or text: then the line break is part of that, and what looks
    /// like a statement after it is, too. A comment has no quotes: `pg_dump` writes each on one line.
    fn goes_on(&mut self) -> bool {
        if self.line.starts_with(b"--") || self.line.len() >= LONGEST_HEAD {
            return false;
        }
        for byte in &self.line[self.looked_at..] {
            match self.within {
                None if matches!(byte, b'"' | b'\'') => self.within = Some(*byte),
                // One that is doubled ends it, and begins it again.
                Some(quote) if quote == *byte => self.within = None,
                _ => {}
            }
        }
        if self.within.is_some() {
            self.line.push(b'\n');
            self.looked_at = self.line.len();
        }
        self.within.is_some()
    }

    /// The rows of each table that has data in the dump, empty ones too.
    ///
    /// # Errors
    /// When the end has come amid rows.
    pub fn finish(self) -> Result<BTreeMap<String, u64>, CopyFault> {
        match self.table {
            Some(table) => Err(CopyFault::NoEnd(table)),
            None => Ok(self.rows),
        }
    }
}

/// The table of `COPY schema.table (columns) FROM stdin;`.
fn table_of(line: &str) -> Option<String> {
    let inner = line.strip_prefix(BEGIN)?.strip_suffix(FROM)?;
    let (mut quoted, mut end) = (false, inner.len());
    for (at, c) in inner.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    Some(inner[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATA: &str = "\
--
-- PostgreSQL database dump
--
SET client_encoding = 'UTF8';
COPY public.__sbtc_migrations (key) FROM stdin;
0001__create_schema.sql
\\\\.
\\.x
COPY nothing (key) FROM stdin;
\\.

COPY sbtc_signer.\"odd \"\" name\" (a, \"b c\") FROM stdin;
\\.
SELECT pg_catalog.setval('x', 1, false);
-- Data for Name: it's one; Type: TABLE DATA
COPY public.\"two
lines\" (key) FROM stdin;
\"
COPY public.none (key) FROM stdin;
\\.
SELECT pg_catalog.setval('public.\"a
COPY public.none (key) FROM stdin;
\"', 1, false);
COPY sbtc_signer.empty  FROM stdin;
\t

\\.
";

    fn expected() -> BTreeMap<String, u64> {
        let counts = [
            ("public.\"two\nlines\"", 2),
            ("public.__sbtc_migrations", 4),
            ("sbtc_signer.\"odd \"\" name\"", 0),
            ("sbtc_signer.empty", 2),
        ];
        counts.map(|(table, rows)| (table.to_owned(), rows)).into()
    }

    #[test]
    fn rows_are_counted_and_what_looks_like_an_end_is_none() {
        let mut counter = Counter::default();
        counter.take(DATA.as_bytes());
        assert_eq!(counter.finish(), Ok(expected()));
    }

    #[test]
    fn an_end_amid_rows_is_found() {
        let mut counter = Counter::default();
        counter.take(b"COPY s.t (a) FROM stdin;\n1\n\\.");
        assert_eq!(counter.finish(), Err(CopyFault::NoEnd("s.t".into())));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_it_is_cut(mut cuts in prop::collection::vec(0..DATA.len(), 0..40)) {
            cuts.sort_unstable();
            let (mut counter, mut from) = (Counter::default(), 0);
            for cut in cuts {
                counter.take(&DATA.as_bytes()[from..cut]);
                from = cut;
            }
            counter.take(&DATA.as_bytes()[from..]);
            prop_assert_eq!(counter.finish(), Ok(expected()));
        }
    }
}
