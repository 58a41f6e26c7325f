//! Other hosts on the host's network: clients and attackers, each in a network namespace of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};

use crate::{Inside, Output, Run, machine};

/// How long a probe waits for an answer. The cable is a pair of queues in one kernel; an answer takes microseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long for one that a program gives, and not the kernel: it has to get a processor first.
const PROGRAM_WITHIN: Duration = Duration::from_secs(4);

/// How long the kernel may take to see that a cable is plugged in.
const PLUGGED_WITHIN: Duration = Duration::from_secs(120);

/// What a connection attempt met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// It was accepted.
    Open,
    /// It was refused: nothing listens, or a firewall rejects.
    Refused,
    /// Nobody answered within a second, or the network said that there is no way.
    Filtered,
}

/// What a datagram met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Udp {
    /// This came back.
    Answered(Vec<u8>),
    /// Word came back that nothing listens.
    Refused,
    /// Nothing came back within a second: a listener that does not talk, or a filter.
    Silent,
}

/// Another host, one cable away. Addresses: the host has .1 and ::1, the peer .2 and ::2.
#[derive(Clone, Debug)]
pub struct Peer {
    name: String,
    number: u8,
    keeper: Arc<Keeper>,
}

/// The process whose network namespace is the peer's. It ends with this process, however that ends, and the namespace
/// and the cable with it.
#[derive(Debug)]
struct Keeper(Mutex<Child>, u32);

impl Drop for Keeper {
    fn drop(&mut self) {
        let child = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Already gone is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The host's side of a peer: what a reboot has to plug in again.
#[derive(Debug)]
pub(crate) struct Wire(Peer);

impl Wire {
    /// Starts a peer, not yet connected.
    pub(crate) fn new(name: &str, number: u8) -> Result<Wire> {
        // A /sys of its own, as it shows the network devices of whoever mounted it.
        let script = "mount -t sysfs sysfs /sys && ip link set lo up && echo up && read -r _";
        let mut child = machine::command("unshare")
            .args(["--net", "--mount", "sh", "-c", script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("Cannot start a peer")?;
        let (stdout, id) = (child.stdout.take(), child.id());
        let keeper = Arc::new(Keeper(Mutex::new(child), id));
        let mut word = [0; 3];
        stdout.context("No pipe")?.read_exact(&mut word).context("A peer did not start")?;
        Ok(Wire(Peer { name: name.into(), number, keeper }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn peer(&self) -> Peer {
        self.0.clone()
    }

    /// Connects the peer to this boot of its host.
    pub(crate) fn plug(&self, inside: &Inside) -> Result<()> {
        inside.check()?;
        let (peer, pid) = (&self.0, inside.pid());
        // Made in the peer's namespace and born into the host's: this machine's own never has it.
        peer.ip(&format!("link add eth0 type veth peer name {} netns {pid}\n", peer.name))?;
        let (v4, v6, name) = (peer.host_v4(), peer.host_v6(), &peer.name);
        // No duplicate address detection: it would make the addresses useless for their first second.
        let commands = format!(
            "addr add {v4}/24 dev {name}\naddr add {v6}/64 dev {name} nodad\nlink set {name} up\n"
        );
        ip(pid, &commands)?;
        self.reconnect()?;
        wait_for_carrier(pid, name)
    }

    /// Gives the peer the end of a cable whose other end a virtual machine takes that runs in the peer's network.
    pub(crate) fn plug_tap(&self) -> Result<()> {
        self.0.ip("tuntap add dev eth0 mode tap\n")?;
        self.address()
    }

    /// Takes the peer's end down, so that the host's own settings stay as they are.
    pub(crate) fn cut(&self) -> Result<()> {
        self.0.ip("link set eth0 down\n")
    }

    /// Takes the peer's end up, with the addresses and routes that going down has cost it.
    pub(crate) fn reconnect(&self) -> Result<()> {
        self.address()?;
        wait_for_carrier(self.0.keeper.1, "eth0")
    }

    fn address(&self) -> Result<()> {
        let peer = &self.0;
        let (v4, v6) = (peer.host_v4(), peer.host_v6());
        peer.ip(&format!(
            "addr replace {}/24 dev eth0\nlink set eth0 up\naddr replace {}/64 dev eth0 nodad\n\
             route replace default via {v4}\nroute replace default via {v6}\n",
            peer.v4(),
            peer.v6(),
        ))
    }
}

impl Peer {
    /// The peer's name, which is that of the cable's end in the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer's IPv4 address, in a /24 of its own.
    pub fn v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 2)
    }

    /// The peer's IPv6 address, in a /64 of its own.
    pub fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x99, self.number.into(), 0, 0, 0, 0, 2)
    }

    /// The host's IPv4 address on this cable.
    pub fn host_v4(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, 1)
    }

    /// The host's IPv6 address on this cable.
    pub fn host_v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x99, self.number.into(), 0, 0, 0, 0, 1)
    }

    /// A program of this machine to run with the peer's network. Its files are this machine's!
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Run> {
        check(self.keeper.1)?;
        let words: Vec<S> = words.into_iter().collect();
        let line = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>();
        let mut command = machine::command("nsenter");
        command.args(["--target", &self.keeper.1.to_string(), "--net", "--mount", "--"]);
        command.args(&words);
        Ok(Run::new(format!("[{}] {}", self.name, line.join(" ")), command))
    }

    /// Runs a program of this machine with the peer's network to its end, 120 s at most.
    ///
    /// # Errors
    /// See [`Run::run`].
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Output> {
        self.command(words)?.run()
    }

    /// Tries to connect to a port of the host over IPv4.
    ///
    /// # Errors
    /// When the peer is gone, or the attempt fails in an unknown way.
    pub fn tcp_open(&self, port: u16) -> Result<Tcp> {
        self.tcp((self.host_v4(), port).into())
    }

    /// Tries to connect to a port of the host over IPv6.
    ///
    /// # Errors
    /// As [`Self::tcp_open`].
    pub fn tcp_open_v6(&self, port: u16) -> Result<Tcp> {
        self.tcp((self.host_v6(), port).into())
    }

    /// Tries to connect to any address.
    ///
    /// # Errors
    /// As [`Self::tcp_open`].
    pub fn tcp(&self, to: SocketAddr) -> Result<Tcp> {
        match self.within(|| TcpStream::connect_timeout(&to, ANSWER_WITHIN))? {
            Ok(_) => Ok(Tcp::Open),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused => Ok(Tcp::Refused),
                ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::PermissionDenied => Ok(Tcp::Filtered),
                _ => Err(error).with_context(|| format!("Cannot probe {to}")),
            },
        }
    }

    /// Sends a datagram to a port of the host over IPv4 and waits for an answer.
    ///
    /// # Errors
    /// When the peer is gone, or the attempt fails in an unknown way.
    pub fn udp(&self, port: u16, datagram: &[u8]) -> Result<Udp> {
        self.udp_to((self.host_v4(), port).into(), datagram)
    }

    /// Sends a datagram to any address and waits for an answer.
    ///
    /// # Errors
    /// As [`Self::udp`].
    pub fn udp_to(&self, to: SocketAddr, datagram: &[u8]) -> Result<Udp> {
        let answer = self.within(|| -> std::io::Result<Vec<u8>> {
            let any: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_read_timeout(Some(PROGRAM_WITHIN))?;
            // Connected, so that the kernel tells of a refusal.
            socket.connect(to)?;
            socket.send(datagram)?;
            let mut buffer = vec![0; 65536];
            let size = socket.recv(&mut buffer)?;
            buffer.truncate(size);
            Ok(buffer)
        })?;
        match answer.map_err(|error| (error.kind(), error)) {
            Ok(bytes) => Ok(Udp::Answered(bytes)),
            Err((ErrorKind::ConnectionRefused, _)) => Ok(Udp::Refused),
            Err((
                ErrorKind::WouldBlock
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::PermissionDenied,
                _,
            )) => Ok(Udp::Silent),
            Err((_, error)) => Err(error).with_context(|| format!("Cannot probe {to}")),
        }
    }

    /// The first line that an SSH server on this port of the host says, if one is there and talks within four
    /// seconds.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn ssh_banner(&self, port: u16) -> Result<Option<String>> {
        let to = SocketAddr::from((self.host_v4(), port));
        let line = self.within(|| -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect_timeout(&to, ANSWER_WITHIN)?;
            stream.set_read_timeout(Some(PROGRAM_WITHIN))?;
            let (mut line, mut byte) = (Vec::new(), [0]);
            // RFC 4253 has it at 255 characters at most.
            while line.len() < 255 && stream.read(&mut byte)? == 1 && byte != *b"\n" {
                line.push(byte[0]);
            }
            Ok(line)
        })?;
        let line = line.ok().map(|line| String::from_utf8_lossy(&line).trim_end().to_owned());
        Ok(line.filter(|line| line.starts_with("SSH-")))
    }

    /// Runs something in a thread that is in the peer's network, such as a listener. Sockets made there stay there.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        check(self.keeper.1)?;
        within(self.keeper.1, act)
    }

    fn ip(&self, commands: &str) -> Result<()> {
        check(self.keeper.1)?;
        ip(self.keeper.1, commands)
    }
}

/// Runs commands of ip(8) in the network of a process, all in one go.
fn ip(pid: u32, commands: &str) -> Result<()> {
    let mut command = machine::command("nsenter");
    command.args(["--target", &pid.to_string(), "--net", "--", "ip", "-batch", "-"]);
    let line = format!("ip -batch: {}", commands.trim());
    Run::new(line, command).stdin(commands).run()?.ok().map(drop)
}

/// Waits until what is sent into an end of a cable is not dropped: the kernel sees the carrier some time after `up`, and
/// nobody would ask for an address again within [`ANSWER_WITHIN`].
fn wait_for_carrier(pid: u32, name: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let mut command = machine::command("nsenter");
        command.args(["--target", &pid.to_string(), "--net", "--", "ip", "link", "show", name]);
        let shown = Run::new(format!("ip link show {name}"), command).run()?.ok()?.stdout;
        if shown.contains(" state UP ") {
            return Ok(());
        }
        if start.elapsed() > PLUGGED_WITHIN {
            bail!("No carrier within {PLUGGED_WITHIN:?}: {shown}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Makes sure that a process has a network of its own.
fn check(pid: u32) -> Result<()> {
    let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
    if of(&pid.to_string()).context("The peer is gone")? == of("self")? {
        bail!("Refused: process {pid} shares our network");
    }
    Ok(())
}

/// Runs something in a new thread that is in the network of a process.
pub(crate) fn within<T: Send>(pid: u32, act: impl FnOnce() -> T + Send) -> Result<T> {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).context("The network is gone")?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> Result<T> {
            setns(namespace, CloneFlags::CLONE_NEWNET).context("Cannot enter a network")?;
            Ok(act())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
