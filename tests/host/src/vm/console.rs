//! A person at a machine's serial console: what is typed, and what is seen.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a look at the screen ends, to see whether it is time to give up.
const LOOK: Duration = Duration::from_millis(200);

/// The serial console, for as long as this lives; one at a time. What the machine said before is not seen.
#[derive(Debug)]
pub struct Console {
    line: UnixStream,
    seen: String,
}

impl Console {
    /// Takes the console's line.
    pub(super) fn open(socket: &Path) -> Result<Console> {
        let line = UnixStream::connect(socket).context("Cannot take the console's line")?;
        line.set_read_timeout(Some(LOOK)).context("Cannot set a limit")?;
        Ok(Console { line, seen: String::new() })
    }

    /// Types these words and the Enter key.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn enter(&mut self, words: &str) -> Result<()> {
        write!(self.line, "{words}\r").context("The console has gone")
    }

    /// Waits until one of these is seen, and returns which, with all that was seen up to it.
    ///
    /// # Errors
    /// When none is in time, with what was seen instead, or the machine goes off.
    pub fn await_any(&mut self, wanted: &[&str], limit: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + limit;
        let mut bytes = [0; 4096];
        loop {
            let found = wanted
                .iter()
                .enumerate()
                .filter_map(|(index, words)| Some((self.seen.find(words)? + words.len(), index)));
            if let Some((end, index)) = found.min() {
                let rest = self.seen.split_off(end);
                return Ok((index, std::mem::replace(&mut self.seen, rest)));
            }
            if Instant::now() > deadline {
                bail!("The console shows none of {wanted:?}, but:\n{}", self.seen);
            }
            match self.line.read(&mut bytes) {
                Ok(0) => bail!("The console has gone; it showed:\n{}", self.seen),
                Ok(size) => self.seen.push_str(&String::from_utf8_lossy(&bytes[..size])),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error).context("Cannot read the console"),
            }
        }
    }

    /// Waits until these words are seen, and returns all that was seen up to them.
    ///
    /// # Errors
    /// As [`Self::await_any`].
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> Result<String> {
        self.await_any(&[words], limit).map(|(_, seen)| seen)
    }
}
