//! Running a program to its end within a time limit, and what it left.

use std::fmt;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a program may run unless [`Run::limit`] says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(120);

/// How long to read on after a program's end: what it left in the background may keep its output open for ever. On a
/// machine with more to do than it can, 300 ms have cut off what a program had written.
const DRAIN: Duration = Duration::from_secs(2);

/// What a program left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// The exit status, unless a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// The output itself if the program exited with 0.
    ///
    /// # Errors
    /// Otherwise, with the command line, the status and both streams.
    pub fn ok(self) -> Result<Output> {
        if self.status == Some(0) {
            return Ok(self);
        }
        bail!("{self}")
    }

    /// Standard output without white space at its ends.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ", self.command)?;
        match (self.status, self.signal) {
            (Some(status), _) => write!(f, "exited with {status}")?,
            (None, Some(signal)) => write!(f, "was ended by signal {signal}")?,
            (None, None) => write!(f, "did not end in time")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// A program about to be run in a host or a peer: [`crate::Host::command`], [`crate::Peer::command`].
pub struct Run {
    pub(crate) line: String,
    pub(crate) command: Command,
    pub(crate) kill: Option<Box<dyn Fn() + Send>>,
    input: Vec<u8>,
    limit: Duration,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("line", &self.line).field("limit", &self.limit).finish()
    }
}

impl Run {
    pub(crate) fn new(line: String, command: Command) -> Run {
        Run { line, command, kill: None, input: Vec::new(), limit: DEFAULT_LIMIT }
    }

    /// Sets a variable in the program's otherwise clean environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Run {
        self.command.env(name, value);
        self
    }

    /// Gives the program standard input; without this it is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.input = bytes.into();
        self
    }

    /// Sets the time limit, 120 s by default.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Run {
        self.limit = limit;
        self
    }

    /// Starts the program and leaves it running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut self) -> Result<Running> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            self.command.spawn().with_context(|| format!("Cannot start `{}`", self.line))?;
        let (stdin, input) = (child.stdin.take(), std::mem::take(&mut self.input));
        // Its own thread: a program may write much before it reads. Closing the pipe ends its input.
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        Ok(Running {
            stdout: Stream::read(child.stdout.take()),
            stderr: Stream::read(child.stderr.take()),
            child,
            line: self.line,
            kill: self.kill,
            start: Instant::now(),
            limit: self.limit,
        })
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// When it cannot be started, or has not ended within its time limit (it is killed then, and the error has its
    /// output). A failing exit status is not an error here: see [`Output::ok`].
    pub fn run(self) -> Result<Output> {
        self.start()?.wait()
    }
}

/// A program that was started and not yet waited for.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    line: String,
    kill: Option<Box<dyn Fn() + Send>>,
    start: Instant,
    limit: Duration,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Running {
    /// What the program has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Kills the program and all that it started.
    pub fn kill(&mut self) {
        if let Some(kill) = &self.kill {
            kill();
        }
        // It may have ended meanwhile, which is what was wanted.
        let _ = self.child.kill();
    }

    /// Waits for the end of the program, or of its time limit.
    ///
    /// # Errors
    /// When it has not ended within its time limit, counted from its start.
    pub fn wait(mut self) -> Result<Output> {
        let status = loop {
            if let Some(status) = self.child.try_wait().context("Cannot wait for a program")? {
                break Some(status);
            }
            if self.start.elapsed() > self.limit {
                self.kill();
                // Reaps it.
                self.child.wait().context("Cannot wait for a program")?;
                break None;
            }
            // Short at first, as most programs are.
            let pause = self.start.elapsed() / 20;
            thread::sleep(pause.clamp(Duration::from_millis(1), Duration::from_millis(50)));
        };
        let deadline = Instant::now() + DRAIN;
        let output = Output {
            command: self.line,
            status: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stdout: self.stdout.finish(deadline),
            stderr: self.stderr.finish(deadline),
        };
        if status.is_none() {
            bail!("After {} s: {output}", self.limit.as_secs_f32());
        }
        Ok(output)
    }
}

/// One output stream, read by a thread of its own.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(source: Option<impl Read + Send + 'static>) -> Stream {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let (Some(mut source), mut buffer) = (source, [0; 8192]) else { return };
            while let Ok(count @ 1..) = source.read(&mut buffer) {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.extend_from_slice(&buffer[..count]);
            }
        });
        Stream { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All of the stream, or what there is at the deadline.
    fn finish(self, deadline: Instant) -> String {
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        self.text()
    }
}
