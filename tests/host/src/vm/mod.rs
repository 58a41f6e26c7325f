//! Virtual machines, for what a container cannot show: a kernel of its own, its parameters and its log, a boot from the
//! first packet on, and power that goes away.
//!
//! Debian's own kernel in qemu. It is emulated, as KVM is not to be had on most machines that test, and where it is, a
//! KVM within a virtual machine may end a guest rather than refuse it; `HOLDFAST_TEST_ACCEL=kvm` asks for it all the same.
//! A machine has one cable, to a peer whose network namespace qemu runs in: nothing of it reaches this machine's network.
//! Scripts run in it by an agent on a virtio-serial port ([`disk`] puts it there), whose other end is qemu's own standard
//! input and output.

mod console;
mod disk;
mod power;
mod stick;

use std::fs;
use std::io::Write as _;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub use console::Console;

use self::power::{CONSOLE, Power, Word, processor_time, start};
use crate::peer::Wire;
use crate::supervise::{self, RunDir};
use crate::{Image, Output, Peer, Suite, layer, machine};

/// How long a boot may take: emulated, on a machine that is busy with other tests.
const BOOT_WITHIN: Duration = Duration::from_secs(900);

/// How long a script may take.
const DEFAULT_LIMIT: Duration = Duration::from_secs(600);

/// A booted Debian in a virtual machine, with holdfast installed. Dropping it ends it and removes all that there was of it.
#[derive(Debug)]
pub struct Machine {
    suite: Suite,
    wire: Wire,
    power: Option<Power>,
    /// Of the times that it was on before.
    worked: Duration,
    boot_id: String,
    run: RunDir,
}

impl Machine {
    /// Boots a machine with holdfast installed from its package, see [`crate::deb`].
    ///
    /// # Errors
    /// When this machine lacks something, the package does not install, or the machine does not come up whole.
    pub fn boot(suite: Suite) -> Result<Machine> {
        Machine::with(suite, Image::Machine)
    }

    /// The same of another image that has a kernel.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn with(suite: Suite, image: Image) -> Result<Machine> {
        machine::check_for_vms()?;
        supervise::sweep()?;
        let start = disk::ensure(suite, image, &layer::deb()?)?;
        let run = RunDir::create(None, &[])?;
        for part in ["disk", "kernel", "initrd"] {
            let mut copy = machine::command("cp");
            copy.args(["--sparse=always", "--reflink=auto"]).arg(start.join(part)).arg(&run.path);
            machine::finish(&mut copy).context("Cannot copy a machine's disk")?;
        }
        let wire = Wire::new("outside", 1)?;
        wire.plug_tap()?;
        let mut machine = Machine {
            suite,
            wire,
            power: None,
            worked: Duration::ZERO,
            boot_id: String::new(),
            run,
        };
        machine.power_on()?;
        Ok(machine)
    }

    /// The release it runs.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The host at the other end of its cable.
    pub fn peer(&self) -> Peer {
        self.wire.peer()
    }

    /// Switches it on and waits until it is up whole.
    ///
    /// # Errors
    /// When it does not come up, with the end of its console.
    pub fn power_on(&mut self) -> Result<()> {
        self.power_on_without_waiting()?;
        self.wait_until_up()
    }

    /// Switches it on, and leaves the boot to be watched: [`Self::wait_until_up`].
    ///
    /// # Errors
    /// When qemu does not start.
    pub fn power_on_without_waiting(&mut self) -> Result<()> {
        self.power = Some(start(&self.run.path, &self.peer())?);
        self.wire.reconnect()
    }

    /// Waits for a boot other than the last, and until all of it is up.
    ///
    /// # Errors
    /// When it does not come up within 15 min, or a unit has failed.
    pub fn wait_until_up(&mut self) -> Result<()> {
        let deadline = Instant::now() + BOOT_WITHIN;
        loop {
            match self.hear(deadline)? {
                Word::Ready(id) if id != self.boot_id => {
                    self.boot_id = id;
                    break;
                }
                // The last words of the boot before.
                Word::Ready(_) | Word::Done(..) => {}
            }
        }
        let state = self.run("systemctl is-system-running --wait || true", BOOT_WITHIN)?;
        if state.text() == "running" {
            // networkd is up long before what it configures.
            let online = "until ip -4 route show default | grep -q . && ip -6 route show default | grep -q .; do sleep 0.2; done";
            return self.run(online, BOOT_WITHIN).map(drop);
        }
        let failed = self.sh(
            "systemctl list-units --failed --plain --no-legend; journalctl -b -p warning --no-pager -n 30",
        )?;
        bail!("The machine is {:?} after its boot: {failed}\n{}", state.text(), self.console())
    }

    /// Pulls the plug: what the machine had not yet written to its disk is lost.
    ///
    /// # Errors
    /// When it is not on.
    pub fn cut_power(&mut self) -> Result<()> {
        self.worked = self.processor_time();
        self.power.take().map(drop).context("The machine is off")
    }

    /// What emulating it has cost so far, on however many processors: unlike hours on the wall, this hardly grows when
    /// this machine is busy with other things.
    pub fn processor_time(&self) -> Duration {
        let now = self.power.as_ref().and_then(|power| processor_time(power.child.id()));
        self.worked + now.unwrap_or_default()
    }

    /// Sits down at its serial console.
    ///
    /// # Errors
    /// When the machine is off, or somebody sits there.
    pub fn sit_at_console(&self) -> Result<Console> {
        Console::open(&self.run.path.join(CONSOLE))
    }

    /// Reboots in good order, and waits until all is up again.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn reboot(&mut self) -> Result<()> {
        self.say("systemctl --no-block reboot")?;
        self.wait_until_up()
    }

    /// Runs a script by `sh -eu` to its end, 10 min at most.
    ///
    /// # Errors
    /// When the machine is off, or the script does not end. A failing exit status is none: see [`Output::ok`].
    pub fn sh(&mut self, script: &str) -> Result<Output> {
        self.run(script, DEFAULT_LIMIT)
    }

    /// What the machine has said on its serial console since it was last switched on.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.run.path.join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes a file, owned by root with this mode.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, path: &str, text: &str, mode: u32) -> Result<()> {
        let script = format!(
            "umask 077; mkdir -p \"$(dirname {path})\"; cat >{path} <<'END-OF-FILE'\n{text}\nEND-OF-FILE\nchmod {mode:o} {path}"
        );
        self.sh(&script)?.ok().map(drop)
    }

    fn run(&mut self, script: &str, limit: Duration) -> Result<Output> {
        self.say(script)?;
        match self.hear(Instant::now() + limit)? {
            Word::Done(status, stdout, stderr) => {
                let signal = Some(status & 0x7f).filter(|signal| *signal != 0);
                let status = signal.is_none().then_some(status >> 8);
                Ok(Output { command: script.into(), status, signal, stdout, stderr })
            }
            Word::Ready(id) => {
                self.boot_id = id;
                bail!("The machine rebooted during `{script}`")
            }
        }
    }

    fn say(&mut self, script: &str) -> Result<()> {
        let power = self.power.as_mut().context("The machine is off")?;
        write!(power.agent, "{}\n{script}", script.len()).context("The machine has gone")
    }

    fn hear(&self, deadline: Instant) -> Result<Word> {
        let power = self.power.as_ref().context("The machine is off")?;
        let left = deadline.saturating_duration_since(Instant::now());
        power.words.recv_timeout(left).map_err(|error| {
            let what = match error {
                RecvTimeoutError::Timeout => "does not answer",
                RecvTimeoutError::Disconnected => "has gone",
            };
            let errors = fs::read_to_string(self.run.path.join("qemu.log")).unwrap_or_default();
            let console = self.console();
            let lines: Vec<&str> = errors.lines().chain(console.lines()).collect();
            let end = lines[lines.len().saturating_sub(30)..].join("\n");
            anyhow::anyhow!("The machine {what}; the end of its console:\n{end}")
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.power.take());
        if let Err(error) = self.run.remove() {
            eprintln!("Removing a test machine: {error:#}");
        }
    }
}
