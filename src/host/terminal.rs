//! The terminal that this process belongs to.

use std::{fs::File, io};

/// Opens it for reading: people answer there where standard input is something else.
///
/// # Errors
/// When there is none.
pub fn controlling() -> io::Result<File> {
    // By this name it is whichever this process has (tty(4)).
    File::open("/dev/tty")
}
