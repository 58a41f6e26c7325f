//! The door into a booted host: its PID 1, the proof that it is not this machine, and programs started in it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::{Run, machine};

/// Where cgroup 2 is mounted, on its own or beside cgroup 1.
const CGROUP2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A cgroup of the container for what the harness starts, so that systemd sees it in no unit and in none of its own.
const CGROUP: &str = "from-outside";

/// Capabilities that no namespace contains: the clock, the kernel's modules and the hardware are this machine's. No host
/// ever has them, whatever it asks for.
pub(crate) const MACHINE_WIDE: [(u32, &str); 3] =
    [(16, "CAP_SYS_MODULE"), (17, "CAP_SYS_RAWIO"), (25, "CAP_SYS_TIME")];

/// One boot of one host, by its PID 1 as this machine numbers it. Valid until the host reboots.
#[derive(Clone, Debug)]
pub struct Inside {
    pid: u32,
    id: String,
    /// The container's topmost cgroup.
    cgroup: PathBuf,
    /// Capabilities that the container's PID 1 can never have, as setpriv wants them.
    dropped: String,
}

impl Inside {
    /// Finds PID 1 of the host in `run`; `None` while there is none yet.
    pub(crate) fn find(run: &Path) -> Result<Option<Inside>> {
        let id = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(nspawn) = fs::read_to_string(run.join("nspawn.pid")) else { return Ok(None) };
        let nspawn = nspawn.trim();
        // The pid may be that of the shell about to become systemd-nspawn, or long given to another process.
        let line = fs::read(format!("/proc/{nspawn}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next().unwrap_or_default();
        let machine = format!("--machine=holdfast-{id}");
        if !program.ends_with(b"systemd-nspawn") || !words.any(|word| word == machine.as_bytes()) {
            return Ok(None);
        }
        let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"));
        for pid in children.unwrap_or_default().split_whitespace() {
            let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
            let field = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
            };
            let mut pids = field("NSpid:").split_whitespace();
            if field("Name:") == "systemd" && pids.next_back() == Some("1") && pids.count() > 0 {
                return Self::of(pid.parse()?, id, field("CapBnd:")).map(Some);
            }
        }
        Ok(None)
    }

    fn of(pid: u32, id: String, bounding: &str) -> Result<Inside> {
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).context("PID 1 is gone")?;
        let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.context("This machine has no cgroup 2")?.trim_end_matches("/init.scope");
        let mount = CGROUP2.iter().map(Path::new).find(|dir| dir.join("cgroup.procs").exists());
        let cgroup = mount.context("This machine has no cgroup 2")?.join(path);
        if !path.contains(&id) {
            bail!("PID 1 of {id} is in a cgroup of something else: {path}");
        }
        let bounding = u64::from_str_radix(bounding, 16).context("Cannot read CapBnd")?;
        if let Some((_, name)) = MACHINE_WIDE.iter().find(|(n, _)| bounding & (1 << n) != 0) {
            bail!("Refused: the host {id} has {name}, which reaches this machine itself");
        }
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").context("Capabilities")?;
        let last: u32 = last.trim().parse()?;
        let dropped: Vec<String> = (0..=last)
            .filter(|number| bounding & (1 << number) == 0)
            .map(|number| format!("-cap_{number}"))
            .collect();
        Ok(Inside { pid, id, cgroup, dropped: dropped.join(",") })
    }

    /// The host's PID 1, in this machine's numbering.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The host's file systems as its PID 1 sees them, `/proc` and `/run` included.
    ///
    /// Absolute symbolic links in it lead to *this* machine's files: see [`crate::Host::read`].
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.pid).into()
    }

    /// The container's topmost cgroup directory.
    pub(crate) fn cgroup(&self) -> &Path {
        &self.cgroup
    }

    /// Makes sure that the process is still there and shares neither root nor namespaces with this one.
    ///
    /// # Errors
    /// Otherwise. Nothing may be done to a host without this.
    pub fn check(&self) -> Result<()> {
        for namespace in ["mnt", "pid", "net", "uts", "ipc"] {
            let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}"));
            let theirs = of(&self.pid.to_string())
                .with_context(|| format!("The host {} is no longer running", self.id))?;
            if theirs == of("self").context("Cannot read our own namespaces")? {
                bail!("Refused: process {} shares our {namespace} namespace", self.pid);
            }
        }
        let (theirs, ours) = (fs::metadata(self.root())?, fs::metadata("/")?);
        if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
            bail!("Refused: the root of process {} is our own", self.pid);
        }
        Ok(())
    }

    /// A command that runs inside, as root with what capabilities the container has and a clean environment.
    ///
    /// # Errors
    /// When [`Self::check`] fails.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Command> {
        self.check()?;
        let group = self.new_group()?;
        // It is entered before the namespaces are: from inside it could not be named.
        let enter = "echo $$ >\"$1/cgroup.procs\" || exit 125; shift; exec \"$@\"";
        let mut command = machine::command("/bin/sh");
        command.args(["-c", enter, "sh"]).arg(&group);
        // nsenter alone would bring in what the container must not have, such as the right to set the clock. The
        // bounding set is not enough: root regains on exec what is in the inheritable set, which some machines
        // (containers, above all) fill.
        command.args(["/usr/bin/setpriv", "--inh-caps=-all", "--ambient-caps=-all"]);
        command.arg(format!("--bounding-set={}", self.dropped));
        command.args(["/usr/bin/nsenter", "--target", &self.pid.to_string()]);
        command.args(["--all", "--root", "--wd", "--"]).args(words);
        Ok(command)
    }

    /// Like [`Self::command`], as a [`Run`] with a time limit.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Run> {
        let words: Vec<S> = words.into_iter().collect();
        let line = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>();
        let command = self.command(&words)?;
        let group = command.get_args().nth(3).map(PathBuf::from);
        let mut run = Run::new(line.join(" "), command);
        // By cgroup, as a program's children may have left its process group. When all has ended it has gone already.
        run.kill = group.map(|group| -> Box<dyn Fn() + Send> {
            Box::new(move || drop(fs::write(group.join("cgroup.kill"), "1")))
        });
        Ok(run)
    }

    /// Makes a cgroup for one command, and removes those of commands that have ended.
    fn new_group(&self) -> Result<PathBuf> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let parent = self.cgroup.join(CGROUP);
        let (pid, count) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let group = parent.join(format!("run-{pid}-{count}"));
        fs::create_dir_all(&group).with_context(|| format!("Cannot make {}", group.display()))?;
        if count % 16 == 15 {
            for old in fs::read_dir(&parent)?.filter_map(Result::ok) {
                // Only what this process made can be known not to be waiting for its command.
                let name = old.file_name().to_string_lossy().into_owned();
                let number = name.strip_prefix(&format!("run-{pid}-")).map(str::parse::<u32>);
                if matches!(number, Some(Ok(number)) if number + 16 < count) {
                    let _ = fs::remove_dir(old.path()); // fails while something runs in it
                }
            }
        }
        Ok(group)
    }
}
