//! One booted host's directory and the shell that supervises it (`supervise.sh`).
//!
//! A host's directory `run/ID` holds:
//!
//! | name | what |
//! |---|---|
//! | `lock` | locked while anything of the host lives; a sweep removes directories whose lock is free |
//! | `lower` | the overlay's lower layers, as overlayfs wants them |
//! | `upper`, `work`, `merged` | the overlay; `merged` is mounted in the supervisor's mount namespace only |
//! | `nspawn.pid`, `ended` | systemd-nspawn's pid; its exit status once it has ended |
//! | `cgroup` | the container's cgroup directory, written once PID 1 was seen |
//! | `console.log` | what systemd-nspawn and the supervisor said |
//! | `storage` | of hosts with containers: what the engines store, outside the overlay, which overlayfs does not nest in |
//! | `lifeline` | of named hosts: the FIFO whose word ends them |
//! | `keep` | present while the supervisor must leave the directory to its owner |

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::inside::MACHINE_WIDE;
use crate::{Image, Inside, Options, Suite, cache, machine};

/// Where container engines store images and layers; each is a directory of `storage`.
const STORAGE: [(&str, &str); 2] =
    [("docker", "/var/lib/docker"), ("podman", "/var/lib/containers")];

/// How long a supervisor may take to end a host: five seconds of patience inside it, then its own cleaning, of a
/// thousand files where a test made so many, on a machine that has much else to do.
const END_WITHIN: Duration = Duration::from_secs(120);

/// A host's directory, prepared and locked by this process.
#[derive(Debug)]
pub(crate) struct RunDir {
    pub(crate) path: PathBuf,
    /// Held until the host is gone, also between two boots when no supervisor holds it.
    lock: File,
}

/// A running supervisor, and with it one booted (or booting) host.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    lifeline: Option<ChildStdin>,
}

/// Who ends a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// This process: at its end, however it ends, the host goes.
    Owned,
    /// A later `test-host stop`.
    UntilStopped,
}

impl RunDir {
    /// Makes the directory of a new host over `layers`, the topmost first.
    pub(crate) fn create(name: Option<&str>, layers: &[PathBuf]) -> Result<RunDir> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let id = name.map_or_else(
            || {
                let count = COUNTER.fetch_add(1, Ordering::Relaxed);
                format!("t-{}-{count}", std::process::id())
            },
            |name| format!("n-{name}"),
        );
        let runs = cache::subdir("run")?;
        // Named so that a sweep does not see it before it is locked.
        let new = runs.join(format!(".new-{}-{id}", std::process::id()));
        let storage = STORAGE.map(|(part, _)| format!("storage/{part}"));
        let parts = ["upper/etc", "work", "merged"];
        for part in parts.into_iter().chain(storage.iter().map(String::as_str)) {
            fs::create_dir_all(new.join(part)).context("Cannot make a host's directory")?;
        }
        let lock = cache::lock_file(&new.join("lock"))?;
        lock.lock().context("Cannot lock a new host's directory")?;
        let lower: Vec<_> = layers.iter().map(|layer| layer.to_string_lossy()).collect();
        fs::write(new.join("lower"), lower.join(":")).context("Cannot write a host's layers")?;
        let path = runs.join(id);
        if let Err(error) = fs::rename(&new, &path) {
            cache::remove_tree(&new)?;
            if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) {
                bail!("There is already a host of that name");
            }
            return Err(error).context("Cannot name a host's directory");
        }
        Ok(RunDir { path, lock })
    }

    /// The host's id, unique on this machine: the name of its directory and of its container.
    pub(crate) fn id(&self) -> String {
        id(&self.path)
    }

    /// Starts a supervisor, which mounts and boots; whether the boot succeeds shows later.
    pub(crate) fn start(
        &self,
        suite: Suite,
        options: &Options,
        life: Lifetime,
    ) -> Result<Supervisor> {
        for old in ["nspawn.pid", "ended", "stopping", "cgroup", "keep"] {
            remove_if_there(&self.path.join(old))?;
        }
        let lower = fs::read_to_string(self.path.join("lower")).context("Cannot read layers")?;
        let mut command = machine::command("unshare");
        command
            .args(["--mount", "sh", "-c", include_str!("supervise.sh"), "sh"])
            .arg(&self.path)
            .args([lower, cgroups(&self.id()).join(" ")])
            .args(nspawn(&self.path, &self.id(), suite, options))
            // Keep Ctrl-C and the terminal's hang-up for the test: the lifeline tells the supervisor.
            .process_group(0)
            .stdout(self.lock.try_clone().context("Cannot share a host's lock")?)
            .stderr(Stdio::null());
        // Its cgroups are Debian's own; the hybrid tree of the machine would not do for systemd 257.
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        match life {
            Lifetime::Owned => command.stdin(Stdio::piped()),
            Lifetime::UntilStopped => command.stdin(fifo(&self.path.join("lifeline"))?),
        };
        let mut child = command.spawn().context("Cannot start a host's supervisor")?;
        Ok(Supervisor { lifeline: child.stdin.take(), child })
    }

    /// Removes the directory, once the supervisor is gone.
    pub(crate) fn remove(&self) -> Result<()> {
        cache::remove_tree(&self.path)
    }
}

impl Supervisor {
    /// Ends the host and waits until its supervisor has cleaned up.
    pub(crate) fn stop(&mut self) -> Result<()> {
        drop(self.lifeline.take());
        let start = Instant::now();
        while start.elapsed() < END_WITHIN {
            if self.child.try_wait().context("Cannot wait for a supervisor")?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().context("Cannot kill a supervisor")?;
        self.child.wait().context("Cannot wait for a supervisor")?;
        bail!("A host's supervisor did not end and was killed; the next sweep cleans up")
    }

    /// Whether the supervisor has ended by itself, which it does when it cannot mount.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

/// The systemd-nspawn command for a host.
fn nspawn(run: &Path, id: &str, suite: Suite, options: &Options) -> Vec<String> {
    let mut words: Vec<String> = ["systemd-nspawn", "--quiet", "--boot", "--register=no"]
        .iter()
        .map(ToString::to_string)
        .collect();
    if !machine::has_systemd() {
        // There is no systemd to ask for a scope; we have put the process into cgroups of its own.
        words.push("--keep-unit".into());
    }
    // The container's settings come from here only, and nothing of this machine goes into it.
    for word in [
        "--private-network",
        "--console=pipe",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ] {
        words.push(word.into());
    }
    words.push(format!("--directory={}/merged", run.display()));
    words.push(format!("--machine=holdfast-{id}"));
    words.push(format!("--hostname={}", options.hostname(suite)));
    // For chattr +i, which nspawn's default set leaves out.
    let mut capabilities = vec!["CAP_LINUX_IMMUTABLE".to_owned()];
    if options.image.has_postgres() {
        // To lock memory, as root may on a host of its own.
        capabilities.push("CAP_IPC_LOCK".to_owned());
    }
    capabilities.extend(options.capabilities.iter().cloned());
    words.push(format!("--capability={}", capabilities.join(",")));
    if options.image == Image::Containers {
        // runc keeps keys apart, and devices from a container by a BPF program on its cgroup.
        words.push("--system-call-filter=add_key keyctl bpf".into());
        for (part, place) in STORAGE {
            words.push(format!("--bind={}/storage/{part}:{place}", run.display()));
        }
    }
    words.extend(options.nspawn.iter().cloned());
    // Last, and stronger than any --capability.
    let machine_wide = MACHINE_WIDE.map(|(_, name)| name).join(",");
    words.push(format!("--drop-capability={machine_wide}"));
    words
}

/// The cgroups to make for a host: none where systemd makes a scope.
fn cgroups(id: &str) -> Vec<String> {
    if machine::has_systemd() {
        return Vec::new();
    }
    let root = Path::new("/sys/fs/cgroup");
    // Pure cgroup 2, or the hybrid layout with its tree beside systemd's own.
    let bases =
        if root.join("cgroup.procs").exists() { vec![""] } else { vec!["unified", "systemd"] };
    bases
        .into_iter()
        .map(|base| root.join(base))
        .filter(|base| base.join("cgroup.procs").exists())
        .map(|base| format!("{}/holdfast-{id}", base.display()))
        .collect()
}

/// The machine-wide id of a host's directory.
fn id(run: &Path) -> String {
    run.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes a FIFO and opens it so that its reader never sees an end by itself.
fn fifo(path: &Path) -> Result<File> {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).context("Cannot make a lifeline")?;
    File::options().read(true).write(true).open(path).context("Cannot open a lifeline")
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("Cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A host that `test-host boot` left running.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name it was given.
    pub name: String,
    pub(crate) path: PathBuf,
}

/// The named hosts, in order of their names.
///
/// # Errors
/// When the cache cannot be read.
pub fn named() -> Result<Vec<Named>> {
    let runs = cache::subdir("run")?;
    let entries = fs::read_dir(runs).context("Cannot list the hosts")?.filter_map(Result::ok);
    let mut hosts: Vec<Named> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().strip_prefix("n-")?.to_owned();
            Some(Named { name, path: entry.path() })
        })
        .collect();
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(hosts)
}

impl Named {
    /// Its present boot.
    ///
    /// # Errors
    /// When it is not up.
    pub fn inside(&self) -> Result<Inside> {
        Inside::find(&self.path)?.with_context(|| format!("The host {} is down", self.name))
    }

    /// Ends the host and waits until nothing of it is left.
    ///
    /// # Errors
    /// When it is still there after two minutes.
    pub fn stop(&self) -> Result<()> {
        say_stop(&self.path)?;
        let start = Instant::now();
        while self.path.exists() {
            if start.elapsed() > END_WITHIN {
                bail!("{} is still there after {} s", self.name, END_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
            sweep()?;
        }
        Ok(())
    }
}

/// Ends a named host by its lifeline; nothing if it has none.
fn say_stop(run: &Path) -> Result<()> {
    // Opened for reading too, so that it does not wait for a reader that has gone.
    match File::options().read(true).write(true).open(run.join("lifeline")) {
        Ok(mut lifeline) => lifeline.write_all(b"stop\n").context("Cannot reach the supervisor"),
        Err(_) => Ok(()),
    }
}

/// Removes what hosts have left whose test and supervisor are both gone. Every boot does this first.
///
/// # Errors
/// When the cache cannot be read.
pub fn sweep() -> Result<()> {
    let runs = cache::subdir("run")?;
    for entry in fs::read_dir(runs).context("Cannot list the hosts")?.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let maker = name.to_str().and_then(|name| name.strip_prefix(".new-")?.split('-').next());
        if maker.is_some_and(|pid| Path::new("/proc").join(pid).exists()) {
            continue; // not locked yet
        }
        // Without a lock file it is being removed already, or its remover was killed.
        let lock = File::open(path.join("lock")).ok();
        if lock.as_ref().is_some_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        kill_cgroup(&path);
        // Of a named host whose supervisor was killed, the shell that reads the lifeline is left.
        let _ = say_stop(&path);
        // Several processes may sweep at once; what one fails to remove, another does.
        let _ = cache::remove_tree(&path);
    }
    Ok(())
}

/// Kills what is left in a dead host's cgroup, best effort: usually nothing is.
fn kill_cgroup(run: &Path) {
    let mut dirs: Vec<PathBuf> = cgroups(&id(run)).into_iter().map(PathBuf::from).collect();
    if let Ok(recorded) = fs::read_to_string(run.join("cgroup")) {
        // Only ever a cgroup that bears this host's id.
        if recorded.contains(&id(run)) {
            dirs.push(recorded.into());
        }
    }
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        let _ = fs::write(dir.join("cgroup.kill"), "1");
        let mut find = machine::command("find");
        find.arg(dir).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
        let _ = machine::finish(&mut find);
    }
}

/// Whether a host that is still there was booted over this layer.
pub(crate) fn uses(layer: &Path) -> Result<bool> {
    let runs = cache::subdir("run")?;
    let layer = layer.to_string_lossy();
    Ok(fs::read_dir(runs)
        .context("Cannot list the hosts")?
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_to_string(entry.path().join("lower")).ok())
        .any(|lower| lower.split(':').any(|path| path == layer)))
}
