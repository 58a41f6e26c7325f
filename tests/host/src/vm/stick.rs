//! USB sticks: put into a machine that is on, and pulled out of it while it writes. Told to qemu by its QMP (QEMU's
//! docs/interop/qmp-spec.rst): a line of JSON for each command, and one for each answer.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::Machine;

/// The line to qemu, in a machine's own directory.
pub(super) const MONITOR: &str = "monitor.sock";

/// How long qemu may take for a command, emulating on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);

/// The controller that sticks hang on, made at the first: a boot without it is faster.
const CONTROLLER: &str =
    r#"{"execute":"device_add","arguments":{"driver":"qemu-xhci","id":"usb"}}"#;

impl Machine {
    /// Makes an empty stick of so many MiB. It is nowhere until it is put in.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new_stick(&self, name: &str, mib: u64) -> Result<()> {
        let file = File::create_new(self.stick(name)).context("Cannot make a stick")?;
        file.set_len(mib << 20).context("Cannot make a stick")
    }

    /// Puts a stick in, whose serial number is its name. When this returns qemu has it; the machine finds it in its own time.
    ///
    /// # Errors
    /// When there is no such stick, or the machine is off.
    pub fn put_in(&mut self, name: &str) -> Result<()> {
        let mut monitor = Monitor::open(&self.run.path)?;
        if monitor.ask(CONTROLLER).is_err_and(|error| !error.to_string().contains("Duplicate")) {
            bail!("qemu has no USB");
        }
        let path = self.stick(name);
        monitor.ask(&format!(
            r#"{{"execute":"blockdev-add","arguments":{{"driver":"raw","node-name":"{name}","file":{{"driver":"file","filename":"{}"}}}}}}"#,
            path.display()
        ))?;
        monitor.ask(&format!(
            r#"{{"execute":"device_add","arguments":{{"driver":"usb-storage","bus":"usb.0","drive":"{name}","id":"{name}","serial":"{name}","removable":true}}}}"#
        ))
    }

    /// Pulls a stick out, whatever the machine does with it at that moment. What it had been told to write is on it.
    ///
    /// # Errors
    /// When it is not in.
    pub fn pull_out(&mut self, name: &str) -> Result<()> {
        let mut monitor = Monitor::open(&self.run.path)?;
        monitor.ask(&format!(r#"{{"execute":"device_del","arguments":{{"id":"{name}"}}}}"#))?;
        // It is gone when qemu lets the file go, which it does a moment later.
        let forget =
            format!(r#"{{"execute":"blockdev-del","arguments":{{"node-name":"{name}"}}}}"#);
        let deadline = std::time::Instant::now() + PATIENCE;
        while let Err(error) = monitor.ask(&forget) {
            if std::time::Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn stick(&self, name: &str) -> std::path::PathBuf {
        self.run.path.join(format!("{name}.stick"))
    }
}

struct Monitor {
    line: BufReader<UnixStream>,
}

impl Monitor {
    fn open(run: &Path) -> Result<Monitor> {
        let line = UnixStream::connect(run.join(MONITOR)).context("Cannot reach qemu")?;
        line.set_read_timeout(Some(PATIENCE)).context("Cannot set a limit")?;
        let mut monitor = Monitor { line: BufReader::new(line) };
        monitor.ask(r#"{"execute":"qmp_capabilities"}"#)?;
        Ok(monitor)
    }

    /// Has a command done. Events, and the greeting, are passed over.
    fn ask(&mut self, command: &str) -> Result<()> {
        writeln!(self.line.get_mut(), "{command}").context("qemu has gone")?;
        loop {
            let mut answer = String::new();
            if self.line.read_line(&mut answer).context("qemu does not answer")? == 0 {
                bail!("qemu has gone");
            }
            if answer.starts_with("{\"return\"") {
                return Ok(());
            }
            if answer.starts_with("{\"error\"") {
                bail!("qemu refuses {command}: {answer}");
            }
        }
    }
}
