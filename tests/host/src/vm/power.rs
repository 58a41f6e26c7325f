//! A machine that is on: qemu, what it costs, and the line to the agent in it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::{SysconfVar, sysconf};

use super::stick::MONITOR;
use crate::Peer;

/// The serial console's line, in a machine's own directory.
pub(super) const CONSOLE: &str = "console.sock";

/// What the agent says.
#[derive(Debug)]
pub(super) enum Word {
    /// It is there, in the boot of this id.
    Ready(String),
    /// A script has ended, with this wait status and these outputs.
    Done(i32, String, String),
}

/// A running qemu.
#[derive(Debug)]
pub(super) struct Power {
    pub(super) child: Child,
    pub(super) agent: ChildStdin,
    pub(super) words: Receiver<Word>,
}

impl Drop for Power {
    fn drop(&mut self) {
        // As if the plug were pulled; already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time of a process of ours: fields 14 and 15 of `/proc/PID/stat`, counted after the name (`proc_pid_stat(5)`).
pub(super) fn processor_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_millis(ticks * 1000 / u64::try_from(per_second).ok()?))
}

/// Starts qemu in the network of a peer.
pub(super) fn start(run: &Path, peer: &Peer) -> Result<Power> {
    let file = |name: &str| run.join(name).display().to_string();
    let accel = std::env::var("HOLDFAST_TEST_ACCEL").unwrap_or_else(|_| "tcg".into());
    let words = [
        // One plain processor, with a source of random numbers as every real one has, and without cmpxchg16b: qemu 7.2,
        // when it emulates it, now and then leaves wrong flags, over which a kernel falls that allocates memory with it.
        &format!("setpriv --pdeathsig KILL qemu-system-x86_64 -accel {accel} -cpu qemu64,cx16=off,rdrand=on -m 768"),
        "-nodefaults -no-user-config -display none",
        &format!("-kernel {} -initrd {}", file("kernel"), file("initrd")),
        // A killed qemu loses nothing that it has told the machine is written: it is in this machine's page cache.
        &format!("-drive file={},if=virtio,format=raw,cache=unsafe", file("disk")),
        "-netdev tap,id=cable,ifname=eth0,script=no,downscript=no -device virtio-net-pci,netdev=cable,romfile=",
        "-device virtio-rng-pci -serial chardev:console",
        &format!(
            "-chardev socket,id=console,server=on,wait=off,path={},logfile={}",
            file(CONSOLE),
            file("console.log")
        ),
        &format!("-qmp unix:{},server=on,wait=off", file(MONITOR)),
        "-device virtio-serial-pci -chardev stdio,id=agent,signal=off",
        "-device virtserialport,chardev=agent,name=holdfast.agent",
    ]
    .join(" ");
    // The cache's path has no blank, which `cache` sees to; the kernel's command line has some.
    let words = words.split(' ').chain(["-append", "console=ttyS0 quiet mitigations=off"]);
    let mut command = peer.command(words)?.command;
    let errors = fs::File::create(run.join("qemu.log")).context("Cannot make a log")?;
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    let mut child = command.spawn().context("Cannot start qemu")?;
    let (agent, answers) = (child.stdin.take(), child.stdout.take());
    let (sender, words) = channel();
    let answers = answers.context("No pipe")?;
    // It ends with qemu, which closes the pipe.
    std::thread::spawn(move || listen(answers, &sender));
    Ok(Power { child, agent: agent.context("No pipe")?, words })
}

/// Reads what the agent says until there is no more.
fn listen(answers: ChildStdout, words: &Sender<Word>) -> Option<()> {
    let mut answers = BufReader::new(answers);
    loop {
        let mut line = Vec::new();
        if answers.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line);
        let mut parts = line.split_whitespace();
        let word = match parts.next() {
            Some("#READY") => Word::Ready(parts.next()?.into()),
            Some("#DONE") => {
                let status = parts.next()?.parse().ok()?;
                let mut text = || -> Option<String> {
                    let mut bytes = vec![0; parts.next()?.parse().ok()?];
                    answers.read_exact(&mut bytes).ok()?;
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                };
                Word::Done(status, text()?, text()?)
            }
            // What a killed agent had not finished.
            _ => continue,
        };
        words.send(word).ok()?;
    }
}
