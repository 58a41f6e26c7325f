//! A booted host, from its boot to its end.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::boot::{Starting, take_down, wait_for_pid1, wait_until_failed, wait_until_running};
use crate::files::Root;
use crate::peer::Wire;
use crate::snapshot::{self, Snapshot};
use crate::supervise::{self, Lifetime, RunDir, Supervisor};
use crate::{Image, Inside, Output, Peer, Run, Suite, image, layer, machine};

/// How long an orderly shutdown may take: systemd itself gives a unit 90 s.
const HALT_WITHIN: Duration = Duration::from_secs(100);

/// How a host differs from the usual one.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bare Debian, without holdfast.
    pub blank: bool,
    /// What it is made of.
    pub image: Image,
    /// The package to install instead of [`crate::deb`]'s.
    pub deb: Option<PathBuf>,
    /// The host's name; by default `holdfast-` and the release.
    pub hostname: Option<String>,
    /// Capabilities beyond nspawn's own and `CAP_LINUX_IMMUTABLE`, such as `all`. Those over the clock, the kernel's
    /// modules and the hardware are never given: they are this machine's.
    pub capabilities: Vec<String>,
    /// More words for systemd-nspawn, such as `--system-call-filter=add_key keyctl bpf`.
    pub nspawn: Vec<String>,
}

impl Options {
    pub(crate) fn hostname(&self, suite: Suite) -> String {
        self.hostname.clone().unwrap_or_else(|| format!("holdfast-{suite}"))
    }
}

/// A booted Debian host. Dropping it takes it down and removes all that there was of it.
#[derive(Debug)]
pub struct Host {
    suite: Suite,
    options: Options,
    inside: Mutex<Inside>,
    wires: Mutex<Vec<Wire>>,
    // The supervisor ends before its directory is removed: fields are dropped in this order.
    supervisor: Mutex<Supervisor>,
    run: RunDir,
}

impl Host {
    /// Boots a host with holdfast installed from its package, see [`crate::deb`].
    ///
    /// # Errors
    /// When this machine lacks something, the package does not install, or the host does not come up whole.
    pub fn boot(suite: Suite) -> Result<Host> {
        Self::with(suite, Options::default())
    }

    /// Boots a host with bare Debian.
    ///
    /// # Errors
    /// As [`Self::boot`].
    pub fn blank(suite: Suite) -> Result<Host> {
        Self::with(suite, Options { blank: true, ..Options::default() })
    }

    /// Boots a host with these options.
    ///
    /// # Errors
    /// As [`Self::boot`].
    pub fn with(suite: Suite, options: Options) -> Result<Host> {
        let run = Self::prepare(suite, &options, None)?;
        let supervisor = run.start(suite, &options, Lifetime::Owned)?;
        let mut starting = Starting { supervisor: Some(supervisor), run: Some(run) };
        let inside = starting.wait_for_pid1()?;
        wait_until_running(&inside, &starting.path())?;
        let (Some(supervisor), Some(run)) = (starting.supervisor.take(), starting.run.take())
        else {
            bail!("A booting host lost its supervisor");
        };
        Ok(Host {
            suite,
            options,
            inside: Mutex::new(inside),
            wires: Mutex::default(),
            supervisor: Mutex::new(supervisor),
            run,
        })
    }

    /// Boots a host that stays up after this process has ended, until [`crate::Named::stop`].
    ///
    /// # Errors
    /// As [`Self::boot`], and when there is a host of that name.
    pub fn leave_running(name: &str, suite: Suite, options: &Options) -> Result<()> {
        if !is_name(name, 40) {
            bail!("A host's name has letters, digits and dashes only, 40 at most: {name:?}");
        }
        let run = Self::prepare(suite, options, Some(name))?;
        let supervisor = run.start(suite, options, Lifetime::UntilStopped)?;
        let mut starting = Starting { supervisor: Some(supervisor), run: Some(run) };
        let up = starting
            .wait_for_pid1()
            .and_then(|inside| wait_until_running(&inside, &starting.path()));
        // From here on the supervisor alone holds the lock.
        starting.supervisor = None;
        starting.run = None;
        up.inspect_err(|_| {
            for host in supervise::named().unwrap_or_default() {
                if host.name == name {
                    let _ = host.stop(); // the first error is the one to tell
                }
            }
        })
    }

    /// Makes a host's directory with its name in it.
    fn prepare(suite: Suite, options: &Options, name: Option<&str>) -> Result<RunDir> {
        machine::check()?;
        supervise::sweep()?;
        let mut layers = Vec::new();
        if !options.blank {
            let deb = options.deb.clone().map_or_else(layer::deb, Ok)?;
            layers.push(layer::ensure(suite, options.image, &deb)?);
        }
        layers.push(image::ensure(suite, options.image)?);
        let run = RunDir::create(name, &layers)?;
        let (etc, hostname) = (run.path.join("upper/etc"), options.hostname(suite));
        let hosts = format!(
            "127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        );
        for (file, text) in [("hostname", format!("{hostname}\n")), ("hosts", hosts)] {
            fs::write(etc.join(file), text).context("Cannot write a host's name")?;
            fs::set_permissions(etc.join(file), fs::Permissions::from_mode(0o644))?;
        }
        for dir in [etc.as_path(), &run.path.join("upper")] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
        }
        Ok(run)
    }

    /// The release it runs.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The package that [`Self::boot`] installs.
    ///
    /// # Errors
    /// See [`crate::deb`].
    pub fn deb() -> Result<PathBuf> {
        layer::deb()
    }

    /// Its present boot.
    pub fn inside(&self) -> Inside {
        held(&self.inside).clone()
    }

    /// Its PID 1, in this machine's numbering; another one after a reboot.
    pub fn pid(&self) -> u32 {
        self.inside().pid()
    }

    /// Its root as this machine sees it, see [`Inside::root`]; another path after a reboot.
    pub fn root(&self) -> PathBuf {
        self.inside().root()
    }

    /// A program to run in the host: as root, by name or absolute path, with a clean environment.
    ///
    /// # Errors
    /// When the host is no longer there, or is no host.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Run> {
        self.inside().run(words)
    }

    /// Runs a program in the host to its end, 120 s at most.
    ///
    /// # Errors
    /// See [`Run::run`]. A failing exit status is none: see [`Output::ok`].
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Output> {
        self.command(words)?.run()
    }

    /// Runs a program with these variables in its otherwise clean environment.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_env<S: AsRef<OsStr>>(
        &self,
        variables: &[(&str, &str)],
        words: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        let run = self.command(words)?;
        variables.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
    }

    /// Runs a script by `sh -eu`, which ends at its first failing command.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn sh(&self, script: &str) -> Result<Output> {
        self.run(["sh", "-euc", script])
    }

    /// Writes a file in the host, owned by root with this mode; missing directories are made.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        Root::open(&self.inside())?.write(path.as_ref(), bytes.as_ref(), mode)
    }

    /// The bytes of a file in the host, links resolved as the host does.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        Root::open(&self.inside())?.read(path.as_ref())
    }

    /// The exact state of these paths and of all below them.
    ///
    /// # Errors
    /// When something there cannot be read. A path that does not exist is only absent from the result.
    pub fn snapshot(&self, paths: &[&str]) -> Result<Snapshot> {
        snapshot::take(&Root::open(&self.inside())?, paths)
    }

    /// Connects another host to this one by a cable of its own. The cable's end here has the peer's name.
    ///
    /// # Errors
    /// When the name is no interface name (15 letters, digits, dashes), or is taken.
    pub fn peer(&self, name: &str) -> Result<Peer> {
        if !is_name(name, 15) {
            bail!("A peer's name has letters, digits and dashes only, 15 at most: {name:?}");
        }
        let mut wires = held(&self.wires);
        if wires.iter().any(|wire| wire.name() == name) {
            bail!("There is already a peer {name}");
        }
        let number = u8::try_from(wires.len() + 1).context("Too many peers")?;
        let wire = Wire::new(name, number)?;
        wire.plug(&self.inside())?;
        let peer = wire.peer();
        wires.push(wire);
        Ok(peer)
    }

    /// Pulls every cable: the host loses its carriers, the peers can no longer reach it.
    ///
    /// # Errors
    /// When a cable cannot be pulled.
    pub fn cut_off(&self) -> Result<()> {
        held(&self.wires).iter().try_for_each(Wire::cut)
    }

    /// Puts every cable back.
    ///
    /// # Errors
    /// When a cable cannot be put back.
    pub fn reconnect(&self) -> Result<()> {
        held(&self.wires).iter().try_for_each(Wire::reconnect)
    }

    /// Runs something in a thread that is in the host's network, such as a listener. Sockets made there stay there.
    ///
    /// # Errors
    /// When the host is no longer there.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = self.inside();
        inside.check()?;
        crate::peer::within(inside.pid(), act)
    }

    /// Shuts the host down as a reboot would, and boots what it has written.
    ///
    /// # Errors
    /// When it does not shut down in 100 s, or does not come up again whole.
    pub fn reboot(&self) -> Result<()> {
        self.halt()?;
        self.start_again()
    }

    /// As [`Self::reboot`], where this one unit fails to start, and no other.
    ///
    /// # Errors
    /// As [`Self::reboot`], and when the unit does not fail.
    pub fn reboot_failing(&self, unit: &str) -> Result<()> {
        self.halt()?;
        *held(&self.supervisor) = self.run.start(self.suite, &self.options, Lifetime::Owned)?;
        self.plug_in_again(None)?;
        wait_until_failed(&self.inside(), &self.run.path, unit)
    }

    /// Kills every process of the host at once, and boots what it had written. Not a power cut: the kernel, and with it
    /// what was not yet on disk, is this machine's.
    ///
    /// # Errors
    /// When it does not come up again whole.
    pub fn crash(&self) -> Result<()> {
        self.keep()?;
        let inside = self.inside();
        inside.check()?;
        fs::write(inside.cgroup().join("cgroup.kill"), "1").context("Cannot kill the host")?;
        self.wait_until_ended()?;
        self.start_again()
    }

    /// Waits until the host, told to reboot from inside, is up again.
    ///
    /// # Errors
    /// When it has not rebooted, or does not come up again whole, within 120 s each.
    pub fn await_reboot(&self) -> Result<()> {
        let before = self.pid();
        self.up_again(Some(before))
    }

    /// Ends an orderly shutdown of the host with its directory kept.
    fn halt(&self) -> Result<()> {
        self.keep()?;
        let pid = fs::read_to_string(self.run.path.join("nspawn.pid"))?;
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse()?);
        self.inside().check()?; // and with it that this pid is still systemd-nspawn's
        nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).context("Cannot halt the host")?;
        self.wait_until_ended()
    }

    fn keep(&self) -> Result<()> {
        fs::write(self.run.path.join("keep"), "").context("Cannot keep a host's directory")
    }

    fn wait_until_ended(&self) -> Result<()> {
        let start = Instant::now();
        while !self.run.path.join("ended").exists() {
            if start.elapsed() > HALT_WITHIN {
                bail!("The host did not shut down within {} s", HALT_WITHIN.as_secs());
            }
            sleep(Duration::from_millis(10));
        }
        held(&self.supervisor).stop()
    }

    fn start_again(&self) -> Result<()> {
        *held(&self.supervisor) = self.run.start(self.suite, &self.options, Lifetime::Owned)?;
        self.up_again(None)
    }

    fn up_again(&self, not: Option<u32>) -> Result<()> {
        self.plug_in_again(not)?;
        wait_until_running(&self.inside(), &self.run.path)
    }

    fn plug_in_again(&self, not: Option<u32>) -> Result<()> {
        let inside = wait_for_pid1(&mut held(&self.supervisor), &self.run.path, not)?;
        *held(&self.inside) = inside.clone();
        // Before it is up, so that tests see how it is reachable while it boots.
        held(&self.wires).iter().try_for_each(|wire| wire.plug(&inside))
    }

    /// Shuts the host down and moves all that it has written to `target`, which must be an empty directory.
    pub(crate) fn into_upper(self, target: &Path) -> Result<PathBuf> {
        self.halt()?;
        fs::rename(self.run.path.join("upper"), target).context("Cannot move a layer")?;
        Ok(target.into())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing to keep now, even if a reboot failed half-way.
        let _ = fs::remove_file(self.run.path.join("keep"));
        take_down(&mut held(&self.supervisor), &self.run);
    }
}

fn is_name(name: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=longest).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-')
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panicked elsewhere must still be able to take its host down.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
