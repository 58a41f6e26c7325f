//! A journal file's lists of entries: all of them, and those with one value of one field.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    hash::Hasher as _,
};

use siphasher::sip::SipHasher24;

use super::{Fault, HEADER_BYTES, Header, Source, State, header::number};

/// Types of objects, <https://systemd.io/JOURNAL_FILE_FORMAT/>.
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;

/// Flags of a compressed object.
const COMPRESSED: u8 = 7;

/// The head that every object has: type, flags and size.
const OBJECT_HEAD: usize = 16;
/// The fixed part of an entry, its time within, and an array's.
const ENTRY_HEAD: usize = 64;
const ENTRY_TIME: usize = 24;
const ARRAY_HEAD: usize = 24;
/// The fixed part of data; a compact file has 8 bytes more: the place of the last array of its entries, and how many of
/// them are in that.
const DATA_HEAD: usize = 64;
const DATA_HEAD_COMPACT: usize = 72;

/// The longest value that is compared or read, in bytes: from 512 on journald compresses.
const VALUE_LIMIT: usize = 512;

/// How many fields of an entry are looked at: journald itself takes 1024.
const FIELD_LIMIT: u64 = 1024;

/// How many values are looked at in one place of the hash table: journald begins a new file long before there are so many.
const CHAIN_LIMIT: usize = 10_000;

/// How many arrays a list of entries is gone through: journald makes each twice as large as the one before, so that a file of
/// 4 GB has some thirty.
const ARRAY_LIMIT: usize = 1000;

/// How much is read at a time of a file that nobody writes to, in bytes, and how many such parts are held.
const PAGE: u64 = 4096;
const PAGES: usize = 64;

const MISPLACED: Fault = Fault::Damaged("something else is where it says that an entry is");

/// A journal file whose header was found sound.
#[derive(Debug)]
pub struct JournalFile<S> {
    source: S,
    /// Parts of it that have been read, [`PAGE`] bytes each, by number: what is asked next is often beside what was asked
    /// before.
    pages: RefCell<BTreeMap<u64, Vec<u8>>>,
    /// What its head says.
    pub header: Header,
}

/// The head of an object.
struct Object {
    kind: u8,
    flags: u8,
    size: u64,
}

/// Entries in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// The place of the first, where that is kept apart.
    first: Option<u64>,
    /// Where it is written where the last is, in files that say so: else all arrays must be gone through.
    last: Option<u64>,
    /// The first of the arrays with the rest; 0 when there is none.
    array: u64,
    /// The arrays: the place of the offsets, and how many of them count. Gone through when it is first asked for.
    arrays: OnceCell<Vec<(u64, u64)>>,
    /// How many there are in all.
    len: u64,
}

impl Entries {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<S: Source> JournalFile<S> {
    /// Reads the head of a file that is `size` bytes long.
    ///
    /// # Errors
    /// Each [`Fault`] that a head can show.
    pub fn open(source: S, size: u64) -> Result<Self, Fault> {
        let mut head = [0; HEADER_BYTES];
        let read = source.read_at(&mut head, 0).map_err(|error| Fault::Io(error.to_string()))?;
        let header = Header::parse(&head[..read], size)?;
        Ok(Self { source, pages: RefCell::default(), header })
    }

    /// What it is read from.
    #[cfg(test)]
    pub(super) fn source(&self) -> &S {
        &self.source
    }

    /// All entries.
    pub fn all(&self) -> Entries {
        let (array, len) = (self.header.entry_array, self.header.entries);
        Entries { array, len, ..Entries::default() }
    }

    /// The entries in which a field has a value, given as `FIELD=value`.
    ///
    /// # Errors
    /// When the file is damaged, cannot be read, or is hashed as before systemd 246.
    pub fn with(&self, field_and_value: &str) -> Result<Entries, Fault> {
        if !self.header.is_keyed() {
            return Err(Fault::Unknown("it was written by a systemd of before 246"));
        }
        let (value, buckets) = (field_and_value.as_bytes(), self.header.data_hash_table_size / 16);
        if buckets == 0 || value.len() > VALUE_LIMIT {
            return Ok(Entries::default());
        }
        let mut hasher = SipHasher24::new_with_key(&self.header.file_id);
        hasher.write(value);
        let hash = hasher.finish();
        let bucket = self.header.data_hash_table.saturating_add(hash % buckets * 16);
        let mut at = self.number_at(bucket)?;
        let head_size = self.data_head();
        for _ in 0..CHAIN_LIMIT {
            if at == 0 {
                return Ok(Entries::default());
            }
            let object = self.object(at, DATA)?;
            let mut data = [0; DATA_HEAD_COMPACT + VALUE_LIMIT];
            let wanted = usize::try_from(object.size).unwrap_or(usize::MAX).min(data.len());
            let data = self.fill(at, &mut data[..wanted])?;
            let field = |offset| number(data, offset).ok_or(Fault::Damaged("a value has no head"));
            let is_it = field(16)? == hash
                && object.flags & COMPRESSED == 0
                && object.size == (head_size + value.len()) as u64
                && data.get(head_size..) == Some(value);
            if is_it {
                let first = Some(field(40)?).filter(|first| *first != 0);
                let (array, len) = (field(48)?, field(56)?);
                let last = self.last_item(data);
                return Ok(Entries { first, last, array, len, ..Entries::default() });
            }
            let next = field(24)?;
            if next != 0 && next <= at {
                return Err(Fault::Damaged("a chain of values leads backward"));
            }
            at = next;
        }
        Err(Fault::Damaged("a chain of values is too long"))
    }

    /// When an entry was written, by its place in the list, in microseconds since the epoch.
    ///
    /// # Errors
    /// When there is no such place, or the file is damaged or cannot be read.
    pub fn time(&self, entries: &Entries, index: u64) -> Result<u64, Fault> {
        let at = self.place(entries, index)?;
        let mut head = [0; ENTRY_TIME + 8];
        let head = self.fill(at, &mut head)?;
        match number(head, ENTRY_TIME) {
            Some(time) if head[0] == ENTRY && at.is_multiple_of(8) => Ok(time),
            _ => Err(MISPLACED),
        }
    }

    /// The fields of an entry, as `FIELD=value`, without those that are long or no text.
    ///
    /// # Errors
    /// As [`Self::time`].
    pub fn fields(&self, entries: &Entries, index: u64) -> Result<Vec<String>, Fault> {
        let at = self.place(entries, index)?;
        let entry = self.object(at, ENTRY)?;
        let each: u64 = if self.header.is_compact() { 4 } else { 16 };
        let count = entry.size.saturating_sub(ENTRY_HEAD as u64) / each;
        let head_size = self.data_head();
        let mut fields = Vec::new();
        for index in 0..count.min(FIELD_LIMIT) {
            let item = at.saturating_add(ENTRY_HEAD as u64).saturating_add(index * each);
            let data_at = self.offset_at(item)?;
            let data = self.object(data_at, DATA)?;
            let size = usize::try_from(data.size).unwrap_or(usize::MAX);
            if data.flags & COMPRESSED != 0 || size > head_size + VALUE_LIMIT {
                continue;
            }
            let mut bytes = [0; DATA_HEAD_COMPACT + VALUE_LIMIT];
            let bytes = self.fill(data_at, &mut bytes[..size])?;
            let text = bytes.get(head_size..).and_then(|bytes| std::str::from_utf8(bytes).ok());
            fields.extend(text.map(str::to_owned));
        }
        Ok(fields)
    }

    /// What an entry takes of the file, in bytes: itself, and its share of each value that it has in common with others.
    /// Over all entries this adds up to all entries and values.
    ///
    /// # Errors
    /// As [`Self::time`].
    pub fn weight(&self, entries: &Entries, index: u64) -> Result<u64, Fault> {
        let at = self.place(entries, index)?;
        let entry = self.object(at, ENTRY)?;
        let each: u64 = if self.header.is_compact() { 4 } else { 16 };
        let count = entry.size.saturating_sub(ENTRY_HEAD as u64) / each;
        let mut weight = entry.size;
        for index in 0..count.min(FIELD_LIMIT) {
            let item = at.saturating_add(ENTRY_HEAD as u64).saturating_add(index * each);
            let data_at = self.offset_at(item)?;
            let mut head = [0; DATA_HEAD];
            let head = self.fill(data_at, &mut head)?;
            if head[0] != DATA || !data_at.is_multiple_of(8) {
                return Err(MISPLACED);
            }
            let number = |offset| number(head, offset).unwrap_or(1);
            weight = weight.saturating_add(number(8) / number(56).max(1));
        }
        Ok(weight)
    }

    /// Where it is written where the last entry of a value is. Only compact files say so.
    fn last_item(&self, data: &[u8]) -> Option<u64> {
        if !self.header.is_compact() {
            return None;
        }
        let half = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
        let (array, count) = (u64::from(half(DATA_HEAD)?), u64::from(half(DATA_HEAD + 4)?));
        let object = self.object(array, ENTRY_ARRAY).ok()?;
        let room = object.size.saturating_sub(ARRAY_HEAD as u64) / 4;
        (1..=room).contains(&count).then(|| array + ARRAY_HEAD as u64 + (count - 1) * 4)
    }

    /// Where an entry is.
    fn place(&self, entries: &Entries, index: u64) -> Result<u64, Fault> {
        if let Some(last) = entries.last.filter(|_| index.checked_add(1) == Some(entries.len)) {
            return self.offset_at(last);
        }
        let mut index = index;
        if let Some(first) = entries.first {
            if index == 0 {
                return Ok(first);
            }
            index -= 1;
        }
        let arrays = if let Some(arrays) = entries.arrays.get() {
            arrays
        } else {
            let arrays = self.arrays(entries)?;
            entries.arrays.get_or_init(|| arrays)
        };
        for (items, count) in arrays {
            if index < *count {
                let each: u64 = if self.header.is_compact() { 4 } else { 8 };
                return self.offset_at(items.saturating_add(index * each));
            }
            index -= count;
        }
        Err(Fault::Damaged("an entry is missing"))
    }

    /// Follows the chain of arrays until all entries are found.
    fn arrays(&self, entries: &Entries) -> Result<Vec<(u64, u64)>, Fault> {
        let each: u64 = if self.header.is_compact() { 4 } else { 8 };
        let mut arrays = Vec::new();
        let mut rest = entries.len.saturating_sub(u64::from(entries.first.is_some()));
        let mut at = entries.array;
        while rest > 0 {
            if at == 0 {
                return Err(Fault::Damaged("it counts more entries than it has"));
            }
            let object = self.object(at, ENTRY_ARRAY)?;
            let room = object.size.saturating_sub(ARRAY_HEAD as u64) / each;
            if room == 0 {
                return Err(Fault::Damaged("a list of entries has no room"));
            }
            if arrays.len() == ARRAY_LIMIT {
                return Err(Fault::Damaged("a list of entries is in too many parts"));
            }
            let count = room.min(rest);
            arrays.push((at.saturating_add(ARRAY_HEAD as u64), count));
            rest -= count;
            let next = self.number_at(at.saturating_add(OBJECT_HEAD as u64))?;
            // Forward only, and so at last beyond the end: nothing leads in a circle.
            if next != 0 && next <= at {
                return Err(Fault::Damaged("a list of entries leads backward"));
            }
            at = next;
        }
        Ok(arrays)
    }

    fn data_head(&self) -> usize {
        if self.header.is_compact() { DATA_HEAD_COMPACT } else { DATA_HEAD }
    }

    /// The object at this place, which must be of this kind.
    fn object(&self, at: u64, kind: u8) -> Result<Object, Fault> {
        if at == 0 || !at.is_multiple_of(8) {
            return Err(Fault::Damaged("it leads to where nothing can be"));
        }
        let mut head = [0; OBJECT_HEAD];
        let head = self.fill(at, &mut head)?;
        let object = Object { kind: head[0], flags: head[1], size: number(head, 8).unwrap_or(0) };
        let least = match kind {
            ENTRY => ENTRY_HEAD,
            ENTRY_ARRAY => ARRAY_HEAD,
            _ => self.data_head(),
        };
        // A file that is being written to has grown since its head was read.
        let end = if self.header.state == State::Online { u64::MAX } else { self.header.end() };
        let is_within = at.checked_add(object.size).is_some_and(|object_end| object_end <= end);
        if object.kind != kind || object.size < least as u64 || !is_within {
            return Err(MISPLACED);
        }
        Ok(object)
    }

    /// The place that is written at this one.
    fn offset_at(&self, at: u64) -> Result<u64, Fault> {
        if !self.header.is_compact() {
            return self.number_at(at);
        }
        let mut bytes = [0; 4];
        self.fill(at, &mut bytes)?;
        Ok(u64::from(u32::from_le_bytes(bytes)))
    }

    fn number_at(&self, at: u64) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        self.fill(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads all that was asked for, or fails.
    fn fill<'a>(&self, at: u64, buffer: &'a mut [u8]) -> Result<&'a [u8], Fault> {
        // Of a file that is being written to, what was read before may be older than what leads there.
        if self.header.state == State::Online {
            let read = self.read(at, buffer)?;
            return if read < buffer.len() { Err(Fault::Cut) } else { Ok(buffer) };
        }
        let mut pages = self.pages.borrow_mut();
        let mut done = 0;
        while done < buffer.len() {
            let at = at.checked_add(done as u64).ok_or(Fault::Cut)?;
            let (number, from) = (at / PAGE, usize::try_from(at % PAGE).unwrap_or_default());
            if !pages.contains_key(&number) {
                let mut page = vec![0; usize::try_from(PAGE).unwrap_or_default()];
                let read = self.read(number * PAGE, &mut page)?;
                page.truncate(read);
                if pages.len() >= PAGES {
                    pages.clear();
                }
                pages.insert(number, page);
            }
            let page = pages.get(&number).and_then(|page| page.get(from..)).unwrap_or_default();
            let count = page.len().min(buffer.len() - done);
            if count == 0 {
                return Err(Fault::Cut);
            }
            buffer[done..done + count].copy_from_slice(&page[..count]);
            done += count;
        }
        Ok(buffer)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<usize, Fault> {
        self.source.read_at(buffer, at).map_err(|error| Fault::Io(error.to_string()))
    }
}
