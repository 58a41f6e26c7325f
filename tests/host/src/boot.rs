//! From a started supervisor to a host that is up, or to an error that says why it is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::Inside;
use crate::supervise::{RunDir, Supervisor};

/// How long a boot may take. Seconds on an idle machine; tests share theirs with builds.
const BOOT_WITHIN: Duration = Duration::from_secs(120);

/// A host that is not up yet: goes with all that there is of it when its boot fails.
pub(crate) struct Starting {
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) run: Option<RunDir>,
}

impl Starting {
    pub(crate) fn path(&self) -> PathBuf {
        self.run.as_ref().map(|run| run.path.clone()).unwrap_or_default()
    }

    pub(crate) fn wait_for_pid1(&mut self) -> Result<Inside> {
        let path = self.path();
        let supervisor = self.supervisor.as_mut().context("No supervisor")?;
        wait_for_pid1(supervisor, &path, None)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let (Some(supervisor), Some(run)) = (&mut self.supervisor, &self.run) {
            take_down(supervisor, run);
        }
    }
}

/// Ends a host and removes its directory.
pub(crate) fn take_down(supervisor: &mut Supervisor, run: &RunDir) {
    // A drop cannot fail, but nor may it be silent about what it leaves; the next sweep tries again.
    if let Err(error) = supervisor.stop().and_then(|()| run.remove()) {
        eprintln!("Taking down a test host: {error:#}");
    }
}

/// Waits for a PID 1 other than `not`.
pub(crate) fn wait_for_pid1(
    supervisor: &mut Supervisor,
    run: &Path,
    not: Option<u32>,
) -> Result<Inside> {
    let start = Instant::now();
    loop {
        if let Some(inside) = Inside::find(run)?.filter(|inside| Some(inside.pid()) != not) {
            fs::write(run.join("cgroup"), inside.cgroup().as_os_str().as_encoded_bytes())
                .context("Cannot note a host's cgroup")?;
            return Ok(inside);
        }
        let late = start.elapsed() > BOOT_WITHIN;
        if supervisor.has_ended() || (not.is_none() && run.join("ended").exists()) || late {
            bail!("The host did not boot:\n{}", console(run));
        }
        sleep(Duration::from_millis(10));
    }
}

/// Waits until systemd says that all of the host is up.
pub(crate) fn wait_until_running(inside: &Inside, run: &Path) -> Result<()> {
    let state = wait_until_settled(inside)?;
    if state == "running" {
        return Ok(());
    }
    let journal = inside.run(["journalctl", "-b", "-p", "warning", "-n", "30", "--no-pager"])?;
    bail!(
        "The host is {state:?} after its boot; failed units:\n{}\n--- its journal\n{}\n--- its console\n{}",
        failed_units(inside)?,
        journal.run()?.text(),
        console(run)
    )
}

/// Waits until systemd says that all of the host is up but this unit.
pub(crate) fn wait_until_failed(inside: &Inside, run: &Path, unit: &str) -> Result<()> {
    let state = wait_until_settled(inside)?;
    let failed = failed_units(inside)?;
    let is_that = |line: &str| line.split_whitespace().any(|word| word == unit);
    if state == "degraded" && failed.lines().count() == 1 && failed.lines().all(is_that) {
        return Ok(());
    }
    bail!(
        "The host is {state:?} after its boot, with these failed units, not {unit}:\n{failed}\n--- its console\n{}",
        console(run)
    )
}

fn wait_until_settled(inside: &Inside) -> Result<String> {
    let start = Instant::now();
    loop {
        let question = inside.run(["systemctl", "is-system-running", "--wait"])?;
        let state = question.limit(BOOT_WITHIN).run()?.text().to_owned();
        match state.as_str() {
            // Before there is a bus to wait on.
            "" | "offline" | "unknown" | "initializing" | "starting"
                if start.elapsed() < BOOT_WITHIN =>
            {
                sleep(Duration::from_millis(30));
            }
            _ => return Ok(state),
        }
    }
}

fn failed_units(inside: &Inside) -> Result<String> {
    let question = inside.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?;
    Ok(question.run()?.text().to_owned())
}

/// The end of what nspawn and the supervisor said.
fn console(run: &Path) -> String {
    let text = fs::read(run.join("console.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
