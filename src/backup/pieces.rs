//! Bytes on their way from one thread to the next, in pieces of which a few wait at most: who is slower sets the pace.
//!
//! An end is said: who gives and goes without saying so has failed, and who takes is not told that it was all. Pieces go
//! back to who gives, and are used again; they are wiped by what wipes all memory that is freed.

use std::{
    io::{self, Read, Write},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
};

/// As much as is handed over at once, in bytes: large beside what handing over takes.
const PIECE: usize = 128 << 10;

/// How many pieces wait at most: enough for who takes to go on while who gives is on no processor.
const WAITING: usize = 4;

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    length: usize,
}

impl Piece {
    fn new() -> Self {
        Self { bytes: vec![0; PIECE], length: 0 }
    }
}

/// Who gives bytes.
#[derive(Debug)]
pub(super) struct Giver {
    to: SyncSender<Option<Piece>>,
    used: Receiver<Piece>,
    piece: Piece,
}

/// Who takes them.
#[derive(Debug)]
pub(super) struct Taker {
    from: Receiver<Option<Piece>>,
    used: Sender<Piece>,
}

/// How it ended for who takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was all.
    All,
    /// Who gives has gone before; why is for that one to say.
    Gone,
}

/// A way from one thread to another.
pub(super) fn way() -> (Giver, Taker) {
    let ((to, from), (back, used)) = (sync_channel(WAITING), channel());
    (Giver { to, used, piece: Piece::new() }, Taker { from, used: back })
}

impl Giver {
    /// Reads once, and gives what was read. 0 is the end of what is read.
    ///
    /// # Errors
    /// When it cannot be read, or nobody takes it any more.
    pub(super) fn fill(&mut self, from: &mut impl Read) -> io::Result<usize> {
        let count = from.read(&mut self.piece.bytes[self.piece.length..])?;
        self.grown(count)?;
        Ok(count)
    }

    /// Says that this was all.
    ///
    /// # Errors
    /// When nobody takes it any more.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.give(None)
    }

    fn grown(&mut self, count: usize) -> io::Result<()> {
        self.piece.length += count;
        if self.piece.length == PIECE { self.flush() } else { Ok(()) }
    }

    fn give(&self, piece: Option<Piece>) -> io::Result<()> {
        self.to.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Giver {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = &mut self.piece.bytes[self.piece.length..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.grown(count)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.length == 0 {
            return Ok(());
        }
        let next = self.used.try_recv().unwrap_or_else(|_| Piece::new());
        let piece = std::mem::replace(&mut self.piece, next);
        self.give(Some(piece))
    }
}

impl Taker {
    /// Takes all that is given, until `to` refuses.
    ///
    /// # Errors
    /// With which `to` refuses.
    pub(super) fn each(self, mut to: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<End> {
        for piece in &self.from {
            let Some(mut piece) = piece else { return Ok(End::All) };
            to(&piece.bytes[..piece.length])?;
            piece.length = 0;
            // Who gives may have given its last, and gone.
            drop(self.used.send(piece));
        }
        Ok(End::Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn bytes_arrive_as_they_were_given_and_their_end_with_them() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (mut giver, taker) = way();
        let (given, mut read) = (bytes.clone(), &bytes[..]);
        let taking = thread::spawn(move || {
            let mut all = Vec::new();
            let end = taker.each(|piece| {
                all.extend_from_slice(piece);
                Ok(())
            });
            (end.unwrap(), all)
        });
        for part in given.chunks(70_000) {
            giver.write_all(part).unwrap();
        }
        while giver.fill(&mut read).unwrap() > 0 {}
        giver.finish().unwrap();
        let (end, all) = taking.join().unwrap();
        assert_eq!((end, all), (End::All, [&bytes[..], &bytes[..]].concat()));
    }

    #[test]
    fn who_goes_without_a_word_has_not_given_all() {
        let (mut giver, taker) = way();
        giver.write_all(b"rows").unwrap();
        giver.flush().unwrap();
        drop(giver);
        assert_eq!(taker.each(|_| Ok(())).unwrap(), End::Gone);
    }

    #[test]
    fn who_refuses_stops_who_gives() {
        let (mut giver, taker) = way();
        let taking = thread::spawn(move || taker.each(|_| Err(io::ErrorKind::StorageFull.into())));
        let given = (0..100).try_for_each(|_| giver.write_all(&vec![7; PIECE]));
        assert_eq!(given.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(taking.join().unwrap().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
