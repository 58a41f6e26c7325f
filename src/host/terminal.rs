//! The terminal that this process belongs to, and what is at standard input in its place.

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Opens it for reading: people answer there where standard input is something else.
///
/// # Errors
/// When there is none.
pub fn controlling() -> io::Result<File> {
    // By this name it is whichever this process has (tty(4)).
    File::open("/dev/tty")
}

/// Waits until there is something in standard input, or it has ended. A terminal is not waited for: there nobody types before
/// they are asked.
///
/// # Errors
/// When the kernel does not tell.
pub fn await_input() -> io::Result<()> {
    let input = io::stdin();
    if input.is_terminal() {
        return Ok(());
    }
    let mut asked = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut asked, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Whether a path is a name of standard input (proc(5), `/proc/self/fd`): a process that opens it opens its own.
pub fn is_input(path: &str) -> bool {
    let names = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0"];
    // Compared by their parts: `/dev//stdin` is the same.
    names.iter().any(|name| Path::new(path) == Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_has_several_names() {
        for path in ["-", "/dev/stdin", "/dev//fd/0", "/proc/self/fd/0"] {
            assert!(is_input(path), "{path}");
        }
        for path in ["./-", "-.txt", "/dev/fd/63", "/dev/stdin.txt", "stdin", ""] {
            assert!(!is_input(path), "{path}");
        }
    }
}
