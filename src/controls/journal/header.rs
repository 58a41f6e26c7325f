//! The head of a journal file, <https://systemd.io/JOURNAL_FILE_FORMAT/>: who wrote to it last, without a process.

/// How much of a file holds everything that is read here.
pub(super) const HEADER_BYTES: usize = 272;

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";
/// Offset of the state: 0 offline (all written out), 1 online (being written to), 2 archived.
const STATE: usize = 16;
const STATE_ARCHIVED: u8 = 2;
/// Offset of the number of entries.
const ENTRIES: usize = 152;
/// Offset of the newest entry's time.
const TAIL_REALTIME: usize = 192;

/// What the head of a journal file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// journald will not write to it any more.
    pub(super) archived: bool,
    /// How many entries are in it.
    pub(super) entries: u64,
    /// When the newest one was written, in microseconds since the epoch; 0 when there is none.
    pub(super) tail: u64,
}

impl Header {
    /// Reads the first [`HEADER_BYTES`] of a file; `None` when it is no journal file.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        if !bytes.starts_with(SIGNATURE) {
            return None;
        }
        Some(Self {
            archived: *bytes.get(STATE)? == STATE_ARCHIVED,
            entries: number(ENTRIES)?,
            tail: number(TAIL_REALTIME)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(state: u8, entries: u64, tail: u64) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..8].copy_from_slice(SIGNATURE);
        bytes[STATE] = state;
        bytes[ENTRIES..ENTRIES + 8].copy_from_slice(&entries.to_le_bytes());
        bytes[TAIL_REALTIME..TAIL_REALTIME + 8].copy_from_slice(&tail.to_le_bytes());
        bytes
    }

    #[test]
    fn a_header_says_who_wrote_last() {
        let found = Header::parse(&header(1, 7, 1_700_000_000_000_000)).unwrap();
        assert_eq!(found, Header { archived: false, entries: 7, tail: 1_700_000_000_000_000 });
        assert!(Header::parse(&header(2, 7, 1)).unwrap().archived);
    }

    #[test]
    fn what_is_no_journal_file_is_said_to_be_none() {
        assert_eq!(Header::parse(b""), None);
        assert_eq!(Header::parse(b"LPKSHHRH"), None);
        assert_eq!(Header::parse(&[0; 300]), None);
        assert_eq!(Header::parse(&header(1, 1, 1)[..199]), None);
    }
}
