//! Programs that are stages of a pipe: what one writes another reads, as it comes, and nothing of it is kept.
//!
//! They are started with a clean environment, by absolute path, may be another account's, and may be without any network. They
//! die with this process, however it ends. Started from the main thread only: what ends them is that thread's end.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sched::{CloneFlags, unshare},
    sys::{prctl, signal::Signal},
    unistd::{Gid, Pid, Uid, getpid, getppid, setgid, setgroups, setuid},
};

use super::{HostError, enclosure, process::Output, scratch};

/// How much of a program's complaints is kept: its first words say what it is about.
const STDERR_KEPT: u64 = 64 << 10;

/// An answer to a question is no listing of a database.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How much a stage's pipe holds, in bytes: what Linux lets anybody have (pipe-max-size in `proc_sys_fs(5)`). PostgreSQL's
/// programs write and read 4 KiB at a time, and each of those wakes who waits at the other end of a pipe that is full or
/// empty: of the 64 KiB that a pipe has by itself, that costs more than all the rest of a proof.
const PIPE: i32 = 1 << 20;

/// How often a program that has closed its output is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// As whom a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
}

impl Identity {
    /// As holdfast itself.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// How a program is started.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// Its path.
    pub program: &'a Path,
    /// Its arguments. Nothing secret: every process of the host can read them.
    pub args: Vec<String>,
    /// Its environment, beside `PATH` and `LC_ALL`.
    pub env: Vec<(&'static str, String)>,
    /// As whom; `None`: as this process.
    pub identity: Option<Identity>,
    /// Whether it is left without any network.
    pub isolated: bool,
    /// After how long it is stopped.
    pub limit: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub struct Stage {
    child: Arc<Mutex<Child>>,
    command: String,
    limit: Duration,
    /// What it reads.
    pub stdin: Option<ChildStdin>,
    /// What it writes.
    pub stdout: Option<ChildStdout>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    watch: Option<mpsc::Sender<()>>,
    expired: Arc<AtomicBool>,
    starved: Arc<AtomicBool>,
}

/// How much a program must leave free on a disk: it is stopped when there is less.
#[derive(Debug, Clone)]
pub struct Floor {
    /// A folder on it.
    pub folder: String,
    /// So many bytes.
    pub bytes: u64,
}

/// How often it is looked how much is free: what is written meanwhile is a part of what must stay free.
const LOOK: Duration = Duration::from_millis(250);

impl Launch<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<Stage, HostError> {
        self.start_with(None)
    }

    /// The same with a file that it finds open, under the number that it has here: see [`super::secret::lend`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(&self, lent: Option<&File>) -> Result<Stage, HostError> {
        self.begin(lent, None)
    }

    /// Starts it as the first process of a namespace of its own: see [`super::enclosure`]. Nothing that it starts outlives
    /// it, whatever it does, and who waits for its end waits for theirs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_alone(&self, floor: &Floor) -> Result<Stage, HostError> {
        self.begin(None, Some(floor))
    }

    fn begin(&self, lent: Option<&File>, alone: Option<&Floor>) -> Result<Stage, HostError> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let command = std::iter::once(name.as_str()).chain(self.args.iter().map(String::as_str));
        let command = command.collect::<Vec<_>>().join(" ");
        let lent = lent.map(AsRawFd::as_raw_fd);
        let start =
            |source| HostError::Start { program: self.program.display().to_string(), source };
        let mut child = if alone.is_some() {
            let lifeline = enclosure::lifeline().map_err(start)?;
            enclosure::spawn(&mut self.command(lent, Some(lifeline.as_raw_fd())))?
        } else {
            self.command(lent, None).spawn().map_err(start)?
        };
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        widen(stdin.as_ref());
        widen(stdout.as_ref());
        let stderr = child.stderr.take().map(|pipe| {
            thread::spawn(move || {
                let (mut kept, mut pipe) = (Vec::new(), pipe);
                // A pipe that breaks ends it; what comes after the first words is read and dropped.
                drop(pipe.by_ref().take(STDERR_KEPT).read_to_end(&mut kept));
                drop(std::io::copy(&mut pipe, &mut std::io::sink()));
                kept
            })
        });
        let child = Arc::new(Mutex::new(child));
        let expired = Arc::new(AtomicBool::new(false));
        let starved = Arc::new(AtomicBool::new(false));
        let (watch, done) = mpsc::channel();
        let (watched, limit, floor) = (Arc::clone(&child), self.limit, alone.cloned());
        let (late, short) = (Arc::clone(&expired), Arc::clone(&starved));
        thread::spawn(move || {
            let begun = Instant::now();
            loop {
                let left = limit.saturating_sub(begun.elapsed());
                let wait = if floor.is_some() { left.min(LOOK) } else { left };
                if done.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
                let is_short = floor.as_ref().is_some_and(Floor::is_broken);
                if is_short || begun.elapsed() >= limit {
                    (if is_short { short } else { late }).store(true, Ordering::SeqCst);
                    // It may have ended at this very moment: then there is nothing to stop.
                    drop(lock(&watched).kill());
                    return;
                }
            }
        });
        let watch = Some(watch);
        Ok(Stage { child, command, limit, stdin, stdout, stderr, watch, expired, starved })
    }

    #[expect(unsafe_code, reason = "no safe way to leave the network and the account behind")]
    fn command(&self, lent: Option<RawFd>, lifeline: Option<RawFd>) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the other permitted place")]
        let mut command = Command::new(self.program);
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (*name, value.as_str())))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (identity, isolated, parent) = (self.identity, self.isolated, getpid());
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || Ok(become_stage(identity, isolated, parent, lent, lifeline)?));
        }
        command
    }

    /// Runs it to its end, and gives what it printed.
    ///
    /// # Errors
    /// When it cannot be started, fails, runs over its time or prints too much.
    pub fn ask(&self, input: &[u8]) -> Result<Vec<u8>, HostError> {
        self.ask_with(input, None)
    }

    /// The same with a file that it finds open.
    ///
    /// # Errors
    /// As [`Launch::ask`].
    pub fn ask_with(&self, input: &[u8], lent: Option<&File>) -> Result<Vec<u8>, HostError> {
        let mut stage = self.start_with(lent)?;
        if let Some(mut pipe) = stage.stdin.take() {
            // A program that ends without reading all of it says why on stderr.
            drop(pipe.write_all(input));
        }
        stage.answer()
    }
}

/// What the new process does before it becomes the program.
#[expect(unsafe_code, reason = "a file is known by its number on this side of fork")]
fn become_stage(
    identity: Option<Identity>,
    isolated: bool,
    parent: Pid,
    lent: Option<RawFd>,
    lifeline: Option<RawFd>,
) -> nix::Result<()> {
    if let Some(lent) = lent {
        // SAFETY: the parent holds the file open until the program has been started.
        let lent = unsafe { BorrowedFd::borrow_raw(lent) };
        fcntl(lent, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    if isolated {
        unshare(CloneFlags::CLONE_NEWNET)?;
    }
    if lifeline.is_some() {
        enclosure::enclose()?;
    }
    if let Some(Identity { uid, gid }) = identity {
        let gid = Gid::from_raw(gid);
        setgroups(&[gid])?;
        setgid(gid)?;
        setuid(Uid::from_raw(uid))?;
    }
    // No program of a stage becomes more than it is.
    prctl::set_no_new_privs()?;
    // After the account has changed, which would forget it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Killed in between, nobody would be told.
    let lives = lifeline.map_or_else(|| getppid() == parent, enclosure::lives);
    if lives { Ok(()) } else { Err(nix::Error::ESRCH) }
}

/// Has a pipe hold [`PIPE`]. One for which the kernel has no more works as well, if slower.
fn widen(pipe: Option<&impl AsFd>) {
    let _ = pipe.map(|pipe| fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE)));
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor {
    /// Whether there is less. A file system that does not tell is none that is full.
    fn is_broken(&self) -> bool {
        scratch::free(&self.folder).is_some_and(|free| free < self.bytes)
    }
}

impl Stage {
    /// Whether it was stopped because its [`Floor`] was reached.
    pub fn was_starved(&self) -> bool {
        self.starved.load(Ordering::SeqCst)
    }

    /// All that it writes from here on.
    fn rest(&mut self) -> Result<Vec<u8>, HostError> {
        let mut bytes = Vec::new();
        if let Some(pipe) = self.stdout.take() {
            // A pipe that breaks ends the output; the exit status tells the rest.
            drop(pipe.take(OUTPUT_LIMIT as u64 + 1).read_to_end(&mut bytes));
        }
        if bytes.len() > OUTPUT_LIMIT {
            let command = self.command.clone();
            return Err(HostError::TooMuchOutput { command, limit: OUTPUT_LIMIT });
        }
        Ok(bytes)
    }

    /// Gives it nothing more to read, waits for its end, which must be a good one, and gives what it printed by then.
    ///
    /// # Errors
    /// As [`Stage::end`], and when it prints too much.
    pub fn answer(mut self) -> Result<Vec<u8>, HostError> {
        drop(self.stdin.take());
        let output = self.rest()?;
        self.end()?;
        Ok(output)
    }

    /// Waits for its end, which must be a good one. Its pipes are closed first.
    ///
    /// # Errors
    /// With its own words when it failed, and when it ran over its time.
    pub fn end(mut self) -> Result<(), HostError> {
        drop((self.stdin.take(), self.stdout.take()));
        let status = self.wait()?;
        let expired = self.expired.load(Ordering::SeqCst);
        drop(self.watch.take());
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let command = self.command.clone();
        if expired {
            return Err(HostError::Timeout { command, limit: self.limit });
        }
        if status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Err(Output { code: status.code(), stdout: Vec::new(), stderr, command }.failure())
    }

    fn wait(&self) -> Result<ExitStatus, HostError> {
        loop {
            // Held only to ask: the one who stops it must get at it too.
            let ended = lock(&self.child).try_wait();
            let program = || self.command.clone();
            match ended.map_err(|source| HostError::Start { program: program(), source })? {
                Some(status) => return Ok(status),
                None => thread::sleep(POLL),
            }
        }
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Asks it to end with a signal, and stops it if it has not within a time.
    pub fn stop(mut self, signal: Signal, within: Duration) {
        drop((self.stdin.take(), self.stdout.take()));
        let deadline = Instant::now() + within;
        // A statement of its own: the lock is held to its end, and the question below takes it again.
        let id = i32::try_from(lock(&self.child).id());
        let id = id.ok().filter(|_| self.runs());
        // Not yet waited for, so the number is still its own. What cannot be asked is stopped below.
        let _asked = id.map(|id| nix::sys::signal::kill(Pid::from_raw(id), signal));
        while self.runs() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

/// A stage that nobody waited for is stopped: what it would do is no longer wanted.
impl Drop for Stage {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        if matches!(child.try_wait(), Ok(None)) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
