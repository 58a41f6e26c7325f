//! The head of a journal file: what it says of itself, without a look at what is in it. Pure.

use super::Fault;

/// How much of a file holds everything that is read here: the header of systemd 254. Older ones are shorter, and what
/// they lack is not read.
pub const HEADER_BYTES: usize = 272;

/// The header of systemd 187, shorter than which none has been written for years.
const LEAST_HEADER_BYTES: u64 = 208;

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";

/// Incompatible flags, <https://systemd.io/JOURNAL_FILE_FORMAT/>: what a reader that does not know them must not read.
const COMPRESSED_XZ: u32 = 1;
const COMPRESSED_LZ4: u32 = 2;
const KEYED_HASH: u32 = 4;
const COMPRESSED_ZSTD: u32 = 8;
const COMPACT: u32 = 16;
const KNOWN: u32 = COMPRESSED_XZ | COMPRESSED_LZ4 | KEYED_HASH | COMPRESSED_ZSTD | COMPACT;

/// What is being done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All is written out, and nobody has it open for writing.
    Offline,
    /// Somebody writes to it, or was killed while writing.
    Online,
    /// Nothing will be written to it any more.
    Archived,
}

/// What the head of a journal file says. Times are in microseconds since the epoch, offsets and sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is being done with it.
    pub state: State,
    incompatible: u32,
    /// Random, the file's own: the key of its hashes.
    pub(super) file_id: [u8; 16],
    /// Whose entries it has.
    pub machine_id: [u8; 16],
    /// By whom its entries are numbered: files with the same one share one sequence.
    pub seqnum_id: [u8; 16],
    own_size: u64,
    arena_size: u64,
    pub(super) data_hash_table: u64,
    pub(super) data_hash_table_size: u64,
    tail_object: u64,
    /// How many entries are in it.
    pub entries: u64,
    /// The number of the first; they are counted from 1, and through all files.
    pub head_seqnum: u64,
    /// The number of the last.
    pub tail_seqnum: u64,
    pub(super) entry_array: u64,
    /// When the first was written; 0 when there is none.
    pub head: u64,
    /// When the last was written; 0 when there is none.
    pub tail: u64,
}

impl Header {
    /// Reads the first [`HEADER_BYTES`] of a file that is `size` bytes long.
    ///
    /// # Errors
    /// [`Fault::NotAJournal`], [`Fault::Cut`], [`Fault::Damaged`] or [`Fault::Unknown`].
    pub fn parse(bytes: &[u8], size: u64) -> Result<Self, Fault> {
        if !bytes.starts_with(SIGNATURE) {
            return Err(Fault::NotAJournal);
        }
        let header = Self::fields(bytes).ok_or(Fault::Cut)?;
        if header.incompatible & !KNOWN != 0 {
            return Err(Fault::Unknown("it was written by a systemd newer than holdfast knows"));
        }
        let end = header.own_size.checked_add(header.arena_size);
        let end = end.ok_or(Fault::Damaged("its size is impossible"))?;
        if header.own_size < LEAST_HEADER_BYTES || !header.own_size.is_multiple_of(8) {
            return Err(Fault::Damaged("its header has an impossible size"));
        }
        if end > size {
            return Err(Fault::Cut);
        }
        let tables = header.data_hash_table.checked_add(header.data_hash_table_size);
        let is_within = |offset: u64| offset == 0 || (header.own_size..end).contains(&offset);
        if !is_within(header.tail_object)
            || !is_within(header.entry_array)
            || !is_within(header.data_hash_table)
            || tables.is_none_or(|table_end| table_end > end)
        {
            return Err(Fault::Damaged("its header leads outside of it"));
        }
        let mut header = header;
        if (header.entries == 0) != (header.head == 0)
            || (header.entries == 0) != (header.tail == 0)
        {
            if header.state != State::Online {
                return Err(Fault::Damaged("its header counts entries and has no times for them"));
            }
            // Its first entry is being written.
            (header.entries, header.head, header.tail) = (0, 0, 0);
        }
        Ok(header)
    }

    /// The fields as they stand; `None` where the bytes end too early.
    fn fields(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            incompatible: u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?),
            state: match bytes.get(16)? {
                0 => State::Offline,
                1 => State::Online,
                _ => State::Archived,
            },
            file_id: id(bytes, 24)?,
            machine_id: id(bytes, 40)?,
            seqnum_id: id(bytes, 72)?,
            own_size: number(bytes, 88)?,
            arena_size: number(bytes, 96)?,
            data_hash_table: number(bytes, 104)?,
            data_hash_table_size: number(bytes, 112)?,
            tail_object: number(bytes, 136)?,
            entries: number(bytes, 152)?,
            head_seqnum: number(bytes, 168)?,
            tail_seqnum: number(bytes, 160)?,
            entry_array: number(bytes, 176)?,
            head: number(bytes, 184)?,
            tail: number(bytes, 192)?,
        })
    }

    /// Where its objects end.
    pub(super) fn end(&self) -> u64 {
        self.own_size.saturating_add(self.arena_size)
    }

    /// How many bytes of it are written: up to the last object's beginning. The one being written to has room beyond.
    pub fn written(&self) -> u64 {
        self.tail_object.max(self.own_size)
    }

    /// Whether offsets in it take four bytes.
    pub(super) fn is_compact(&self) -> bool {
        self.incompatible & COMPACT != 0
    }

    /// Whether its hashes are keyed, as they have been since systemd 246.
    pub(super) fn is_keyed(&self) -> bool {
        self.incompatible & KEYED_HASH != 0
    }
}

/// The number at this offset.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let end = at.checked_add(8)?;
    Some(u64::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
}

fn id(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..at.checked_add(16)?)?.try_into().ok()
}
