//! The first of two passes over a file that is proven: it is read to its last byte, which alone says that it is whole, while
//! PostgreSQL's own programs say what is in it. That takes no server, and one is being made meanwhile.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::Path,
    process::{ChildStdin, ChildStdout},
    thread,
};

use super::{
    copy::Counter,
    prove::{ProveError, Sealed, ended},
    server::Connection,
    stream::{self, Opened},
};
use crate::host::{HostError, stage::Stage};

/// What is in a file.
#[derive(Debug)]
pub(super) struct Contents {
    /// Its table of contents, as `pg_restore --list` has it.
    pub(super) list: String,
    /// How many rows each table has in it.
    pub(super) rows: BTreeMap<String, u64>,
}

/// The pass, begun.
#[derive(Debug)]
pub(super) struct Survey {
    file: Opened<std::fs::File>,
    listing: Stage,
    printing: Stage,
}

impl Survey {
    /// Begins it: opens the file, and starts the programs. Must be called from the main thread: see [`crate::host::stage`].
    ///
    /// # Errors
    /// When the file is for none of the identities, or a program cannot be started.
    pub(super) fn begin(
        connection: &Connection,
        bin: &Path,
        sealed: &Sealed<'_>,
    ) -> Result<Self, ProveError> {
        let file = sealed.shelf.read(sealed.file)?;
        let file = stream::open(file, sealed.identities).map_err(ProveError::Stream)?;
        let pg_restore = bin.join("pg_restore");
        let start = |args: &[&str]| connection.launch(&pg_restore, args, sealed.limit).start();
        let (listing, printing) = (start(&["--list"])?, start(&["--data-only", "--file=-"])?);
        Ok(Self { file, listing, printing })
    }

    /// Makes it. All data are printed; of them the rows are counted, and nothing else is kept.
    ///
    /// # Errors
    /// The file's own fault first: what the programs then say of it is of no interest.
    pub(super) fn finish(self) -> Result<Contents, ProveError> {
        let Self { file, mut listing, mut printing } = self;
        let listed = listing.stdout.take().map(|pipe| thread::spawn(move || text(pipe)));
        let counted = printing.stdout.take().map(|pipe| thread::spawn(move || count(pipe)));
        let mut sinks = [listing.stdin.take(), printing.stdin.take()];
        let read = file.unpack(|bytes| {
            for sink in &mut sinks {
                feed(sink, bytes);
            }
            Ok(())
        });
        drop(sinks);
        read.map_err(ProveError::Stream)?;
        let list = listed.and_then(|thread| thread.join().ok()).transpose();
        ended(listing.end())?;
        let counter = counted.and_then(|thread| thread.join().ok()).transpose();
        ended(printing.end())?;
        let list = list.map_err(HostError::file("read", "the list of the dump"))?;
        let counter = counter.map_err(HostError::file("read", "the data of the dump"))?;
        let rows = counter.unwrap_or_default().finish();
        let rows = rows.map_err(|fault| ProveError::Content(fault.to_string()))?;
        Ok(Contents { list: list.unwrap_or_default(), rows })
    }
}

/// Hands bytes on to a program, for as long as it takes any: one that has all it wants ends early, and how it ended is
/// asked afterwards.
pub(super) fn feed(sink: &mut Option<ChildStdin>, bytes: &[u8]) {
    if sink.as_mut().is_some_and(|pipe| pipe.write_all(bytes).is_err()) {
        *sink = None;
    }
}

fn text(mut pipe: ChildStdout) -> io::Result<String> {
    let mut text = String::new();
    pipe.read_to_string(&mut text).map(|_| text)
}

fn count(mut pipe: ChildStdout) -> io::Result<Counter> {
    let mut counter = Counter::default();
    let mut chunk = vec![0; 256 << 10];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(counter),
            Ok(bytes) => counter.take(&chunk[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
