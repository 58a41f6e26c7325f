//! External programs: by absolute path, with a clean environment, a time limit, a bounded output and arguments as a list.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::HostError;

/// Where Debian's packages put programs. `PATH` is never asked: root's may hold anything.
const PROGRAM_DIRS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The package that brings each program holdfast runs, for the error that says what to install.
const PACKAGES: [(&str, &str); 5] = [
    ("nft", "nftables"),
    ("sshd", "openssh-server"),
    ("journalctl", "systemd"),
    ("systemctl", "systemd"),
    ("podman", "podman"),
];

/// No program holdfast runs needs longer; sshd and nft take milliseconds.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A listing of 100,000 set elements in JSON is about 8 MB.
const OUTPUT_LIMIT: usize = 64 << 20;

/// How much of a program's complaint goes into an error message.
const STDERR_SHOWN: usize = 1024;

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// Exit code, or `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, as text.
    pub stderr: String,
    /// The command as a person would type it.
    pub command: String,
}

impl Output {
    /// The standard output of a program that must succeed.
    ///
    /// # Errors
    /// [`HostError::Failed`] with the program's own words when it exited with anything but 0.
    pub fn success(self) -> Result<Vec<u8>, HostError> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        Err(self.failure())
    }

    /// The error that says how this program failed.
    pub fn failure(&self) -> HostError {
        let status = match self.code {
            Some(code) => format!("exit code {code}"),
            None => "a signal".to_owned(),
        };
        let stderr = self.stderr.trim();
        let end = stderr.char_indices().map(|(at, _)| at).find(|at| *at >= STDERR_SHOWN);
        HostError::Failed {
            command: self.command.clone(),
            status,
            stderr: stderr[..end.unwrap_or(stderr.len())].replace('\n', " | "),
        }
    }
}

/// Finds a program where Debian installs it.
///
/// # Errors
/// [`HostError::NoProgram`], naming the package that has it.
pub fn find(program: &str) -> Result<PathBuf, HostError> {
    PROGRAM_DIRS
        .iter()
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| HostError::NoProgram {
            program: program.to_owned(),
            package: PACKAGES.iter().find(|(name, _)| *name == program).map_or("it", |(_, p)| p),
        })
}

/// Runs a program to its end.
///
/// # Errors
/// When it is not installed, cannot be started, runs over the time limit or prints too much. A non-zero exit is not an
/// error here: see [`Output::success`].
pub(super) async fn run<S: AsRef<OsStr> + AsRef<str>>(
    program: &str,
    args: &[S],
    stdin: Option<&[u8]>,
) -> Result<Output, HostError> {
    let path = find(program)?;
    let command = args.iter().fold(program.to_owned(), |mut line, arg| {
        line.push(' ');
        line.push_str(AsRef::<str>::as_ref(arg));
        line
    });
    #[expect(clippy::disallowed_methods, reason = "the one permitted place")]
    let mut child = tokio::process::Command::new(&path)
        .args(args.iter().map(AsRef::<OsStr>::as_ref))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| HostError::Start { program: program.to_owned(), source })?;

    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        let (input, stdout, stderr) = pipes;
        let feed = async {
            if let (Some(mut pipe), Some(bytes)) = (input, stdin) {
                // A program that exits without reading all of it says why on stderr.
                drop(pipe.write_all(bytes).await);
            }
        };
        let ((), stdout, stderr) = tokio::join!(feed, drain(stdout), drain(stderr));
        (stdout, stderr, child.wait().await)
    };
    let (stdout, stderr, status) = timeout(TIME_LIMIT, talk)
        .await
        .map_err(|_| HostError::Timeout { command: command.clone(), limit: TIME_LIMIT })?;
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(HostError::TooMuchOutput { command, limit: OUTPUT_LIMIT });
    };
    let status =
        status.map_err(|source| HostError::Start { program: program.to_owned(), source })?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Output { code: status.code(), stdout, stderr, command })
}

/// Reads a pipe to its end; `None` when it holds more than the limit.
async fn drain(pipe: Option<impl AsyncRead + Unpin>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A pipe that breaks ends the output; the exit status tells the rest.
        drop(pipe.take(OUTPUT_LIMIT as u64 + 1).read_to_end(&mut bytes).await);
    }
    (bytes.len() <= OUTPUT_LIMIT).then_some(bytes)
}
