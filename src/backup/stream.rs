//! The two ways through a backup: dump → zstd → age → file, and back. Plain bytes are only ever in memory.
//!
//! Either way takes two threads, so that two processors have something to do. A fault of one ends the other.

use std::{
    fmt,
    io::{self, Read, Write},
    thread::{self, ScopedJoinHandle},
};

use age::{
    Decryptor, Encryptor,
    stream::{StreamReader, StreamWriter},
    x25519,
};
use sha2::{Digest as _, Sha256};

use super::{
    curve::hex,
    pieces::{self, End, Giver, Taker},
};
use crate::profile::types::AgeRecipient;

/// As much as is moved at once: what age encrypts at once.
const CHUNK: usize = 64 << 10;

/// zstd's own default: of all levels the one where more time no longer makes much less of a database.
const LEVEL: i32 = 3;

/// How much is written between two looks at how much room there is.
const ROOM_CHECKED_EVERY: u64 = 8 << 20;

/// Why a stream came to nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum StreamError {
    #[error("the recipients cannot share a file")]
    Recipients,
    #[error("cannot read the dump")]
    Dump(#[source] io::Error),
    #[error("cannot write the backup")]
    Write(#[source] io::Error),
    #[error("cannot read the backup")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Open(&'static str),
    #[error(
        "there is not enough room: {free} bytes are free where it goes, and {keep} must stay so"
    )]
    Room { free: u64, keep: u64 },
    #[error("the dump is empty")]
    Empty,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Bytes of the dump.
    pub plain: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Compresses and encrypts a dump to its end. `free` says how much room there is where it goes, of which `keep` must stay.
/// Compressing takes longer than all the rest, and has this thread for itself.
///
/// # Errors
/// [`StreamError`]; what was written by then is of no use.
pub fn pack(
    dump: impl Read,
    to: impl Write + Send,
    recipients: &[AgeRecipient],
    drill: &x25519::Recipient,
    keep: u64,
    free: impl Fn() -> Option<u64>,
) -> Result<Packed, StreamError> {
    let all = recipients.iter().map(AgeRecipient::as_age);
    let all = all.chain(std::iter::once(drill as &dyn age::Recipient));
    let encryptor = Encryptor::with_recipients(all).map_err(|_| StreamError::Recipients)?;
    let sealed = encryptor.wrap_output(Counted::new(to)).map_err(StreamError::Write)?;
    thread::scope(|scope| {
        let (giver, taker) = pieces::way();
        let sealing = scope.spawn(move || seal(sealed, taker));
        let compressed = compress(dump, giver, keep, free);
        // Its fault first: that nobody takes what is compressed is all that is known here.
        let sealed = ended(sealing).map_err(StreamError::Write)?;
        let plain = compressed?;
        let gone = || StreamError::Write(io::ErrorKind::BrokenPipe.into());
        let counted = sealed.ok_or_else(gone)?;
        Ok(Packed { plain, bytes: counted.bytes, sha256: hex(&counted.digest.finalize()) })
    })
}

/// Gives a dump on, compressed; and how long it was.
fn compress(
    mut dump: impl Read,
    to: Giver,
    keep: u64,
    free: impl Fn() -> Option<u64>,
) -> Result<u64, StreamError> {
    let mut packer = zstd::Encoder::new(to, LEVEL).map_err(StreamError::Write)?;
    packer.include_checksum(true).map_err(StreamError::Write)?;
    let mut chunk = zeroize::Zeroizing::new(vec![0; CHUNK]);
    let (mut plain, mut next_look) = (0, 0);
    loop {
        let count = match dump.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(StreamError::Dump(error)),
        };
        if plain >= next_look {
            // What is written until the next look must fit, too.
            let free = free().filter(|free| *free < keep.saturating_add(ROOM_CHECKED_EVERY));
            if let Some(free) = free {
                return Err(StreamError::Room { free, keep });
            }
            next_look = plain + ROOM_CHECKED_EVERY;
        }
        packer.write_all(&chunk[..count]).map_err(StreamError::Write)?;
        plain += count as u64;
    }
    if plain == 0 {
        return Err(StreamError::Empty);
    }
    packer.finish().and_then(Giver::finish).map_err(StreamError::Write)?;
    Ok(plain)
}

/// Encrypts what is given, and writes it; nothing when not all was given, and then without the end that would make it whole.
fn seal<W: Write>(
    mut sealed: StreamWriter<Counted<W>>,
    from: Taker,
) -> io::Result<Option<Counted<W>>> {
    if from.each(|piece| sealed.write_all(piece))? == End::Gone {
        return Ok(None);
    }
    let mut counted = sealed.finish()?;
    counted.flush()?;
    Ok(Some(counted))
}

/// What a thread came to. One that panicked has this one do so, too.
pub(super) fn ended<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A file that one of the identities opens. Its key is known; of what is in it nothing has been read.
pub struct Opened<R>(StreamReader<R>);

/// Opens a file. This is where identities are asked, in the thread that has them.
///
/// # Errors
/// [`StreamError`] when it is none of age's, or for none of them.
pub fn open<R: Read>(file: R, identities: &[&dyn age::Identity]) -> Result<Opened<R>, StreamError> {
    let opened = Decryptor::new(file).map_err(|error| not_opened(&error))?;
    let sealed = opened.decrypt(identities.iter().copied());
    sealed.map(Opened).map_err(|error| not_opened(&error))
}

/// [`open`], and [`Opened::unpack`].
///
/// # Errors
/// As either.
pub fn unpack(
    file: impl Read + Send,
    identities: &[&dyn age::Identity],
    to: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, StreamError> {
    open(file, identities)?.unpack(to)
}

impl<R: Read + Send> Opened<R> {
    /// Decrypts and decompresses it to its end, and hands on what was in it. Nothing of that is to be trusted before this
    /// returns: only the end says that all was as it was written.
    ///
    /// # Errors
    /// [`StreamError`] when a byte of it is not as it was written, or some are missing. What `to` refuses is
    /// [`StreamError::Write`].
    pub fn unpack(self, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> Result<u64, StreamError> {
        thread::scope(|scope| {
            let (giver, taker) = pieces::way();
            let opening = scope.spawn(move || decompress(self.0, giver));
            let mut plain = 0;
            let taken = taker.each(|piece| {
                plain += piece.len() as u64;
                to(piece)
            });
            let opened = ended(opening);
            // That nobody takes what is opened is all that is known there.
            let end = taken.map_err(StreamError::Write)?;
            opened.map_err(StreamError::Read)?;
            match end {
                End::Gone => Err(StreamError::Read(io::ErrorKind::UnexpectedEof.into())),
                End::All if plain == 0 => Err(StreamError::Empty),
                End::All => Ok(plain),
            }
        })
    }
}

impl<R> fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// Gives what is compressed on as it was, to its end.
fn decompress(from: impl Read, mut to: Giver) -> io::Result<()> {
    let mut unpacker = zstd::Decoder::new(from)?;
    loop {
        match to.fill(&mut unpacker) {
            Ok(0) => return to.finish(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// In our own words: age looks its own up in files of translations, and panics where it finds none.
fn not_opened(error: &age::DecryptError) -> StreamError {
    use age::DecryptError as E;
    match error {
        E::NoMatchingKeys => StreamError::Open("it is not for this identity"),
        E::InvalidHeader => StreamError::Open("its header is not one of age's"),
        E::InvalidMac => StreamError::Open("its header was altered"),
        E::UnknownFormat => {
            StreamError::Open("it is of a version of age's format that is not known")
        }
        E::Io(source) => StreamError::Read(io::Error::new(source.kind(), source.to_string())),
        _ => StreamError::Open(
            "it cannot be decrypted: it was altered, or the identity is of another kind",
        ),
    }
}

/// SHA-256 of a file in hexadecimal, and how many bytes it has.
///
/// # Errors
/// When it cannot be read.
pub fn digest(file: impl Read) -> io::Result<(String, u64)> {
    let mut counted = Counted::new(io::sink());
    io::copy(&mut io::BufReader::with_capacity(CHUNK, file), &mut counted)?;
    Ok((hex(&counted.digest.finalize()), counted.bytes))
}

/// Counts and digests what goes through it.
struct Counted<W> {
    to: W,
    digest: Sha256,
    bytes: u64,
}

impl<W> Counted<W> {
    fn new(to: W) -> Self {
        Self { to, digest: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn dump(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at * at % 251).unwrap()).collect()
    }

    fn packed(dump: &[u8], key: &x25519::Identity) -> (Vec<u8>, Packed) {
        let mut file = Vec::new();
        let packed = pack(dump, &mut file, &[], &key.to_public(), 0, || None).unwrap();
        (file, packed)
    }

    fn unpacked(file: &[u8], key: &x25519::Identity) -> Result<Vec<u8>, StreamError> {
        let mut plain = Vec::new();
        unpack(file, &[key], |bytes| {
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(plain)
    }

    #[test]
    fn what_is_packed_comes_back_and_is_what_was_said_of_it() {
        let key = x25519::Identity::generate();
        let dump = dump(300_000);
        let (file, said) = packed(&dump, &key);
        assert_eq!((said.plain, said.bytes), (300_000, file.len() as u64));
        assert_eq!(digest(&file[..]).unwrap(), (said.sha256, said.bytes));
        assert_eq!(unpacked(&file, &key).unwrap(), dump);
    }

    #[test]
    fn every_recipient_opens_it_and_nobody_else_does() {
        let (custodian, drill) = (x25519::Identity::generate(), x25519::Identity::generate());
        let recipient: AgeRecipient = custodian.to_public().to_string().parse().unwrap();
        let mut file = Vec::new();
        pack(&b"rows"[..], &mut file, &[recipient], &drill.to_public(), 0, || None).unwrap();
        assert_eq!(unpacked(&file, &custodian).unwrap(), b"rows");
        assert_eq!(unpacked(&file, &drill).unwrap(), b"rows");
        let other = unpacked(&file, &x25519::Identity::generate());
        assert!(matches!(other, Err(StreamError::Open("it is not for this identity"))));
    }

    #[test]
    fn a_flipped_bit_or_a_cut_anywhere_is_found() {
        let key = x25519::Identity::generate();
        // Of bytes that do not compress, more than two of age's chunks.
        let noise: Vec<u8> = (0..5000u32).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
        let (file, _) = packed(&noise, &key);
        for at in (0..file.len()).step_by(997).chain(0..700).chain(file.len() - 50..file.len()) {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(unpacked(&altered, &key).is_err(), "bit {at} of {}", file.len());
            assert!(unpacked(&file[..at], &key).is_err(), "cut at {at} of {}", file.len());
        }
        assert!(unpacked(&[&file[..], b"x"].concat(), &key).is_err(), "one byte too many");
    }

    #[test]
    fn nothing_is_no_dump() {
        let key = x25519::Identity::generate();
        let nothing = pack(io::empty(), io::sink(), &[], &key.to_public(), 0, || None);
        assert!(matches!(nothing, Err(StreamError::Empty)));
    }

    #[test]
    fn it_stops_before_there_is_no_room_left() {
        let key = x25519::Identity::generate();
        let dump = vec![7; 40 << 20];
        let looks = Cell::new(0);
        // Somebody else fills the disk meanwhile.
        let free = || {
            looks.set(looks.get() + 1);
            Some(if looks.get() < 4 { 1 << 40 } else { 1 << 20 })
        };
        let result = pack(&dump[..], io::sink(), &[], &key.to_public(), 1 << 30, free);
        assert!(matches!(result, Err(StreamError::Room { free: 0x10_0000, keep: 0x4000_0000 })));
        assert_eq!(looks.get(), 4);
    }
}
