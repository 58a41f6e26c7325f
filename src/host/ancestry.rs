//! Who started this process: its ancestors up to PID 1, their terminals, and the connection that an sshd among them
//! serves. All of it is the kernel's word; the environment, which anybody can set and everybody inherits, is not asked.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{Files, HostError};

/// More ancestors than any login has; a chain that is longer is no login's.
const LONGEST: usize = 64;

/// The programs of which an OpenSSH server consists: one up to 9.7, further ones from 9.8 on.
const SSHD: [&str; 3] =
    ["/usr/sbin/sshd", "/usr/lib/openssh/sshd-session", "/usr/lib/openssh/sshd-auth"];

/// A process, as far as it matters to whoever descends from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// Its number.
    pub pid: u32,
    /// When it was started, since boot; in steps of the kernel's clock tick, rounded down.
    pub started: Duration,
    /// Device number of its controlling terminal; 0: none.
    pub tty: u32,
    /// The account it belongs to.
    pub uid: u32,
    /// What it is to sshd; `None`: no part of it.
    pub sshd: Option<Sshd>,
}

/// What a process of sshd does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sshd {
    /// Waits for connections.
    Listener,
    /// Serves a connection from this address.
    Serves(IpAddr),
    /// Serves none that can be seen.
    Other,
}

/// This process and its ancestors, the nearest first.
pub(super) fn ancestry(files: &Files) -> Result<Vec<Ancestor>, HostError> {
    let ticks = ticks_per_second()?;
    // Read for an sshd only: the kernel goes through every connection there could be.
    let mut sockets = None;
    let mut chain = Vec::new();
    let mut pid = std::process::id();
    while pid > 1 && chain.len() < LONGEST {
        let path = format!("/proc/{pid}/stat");
        let text = files.text(&path)?.unwrap_or_default();
        let wrong = || HostError::Refused(format!("{path} does not say what a process is"));
        let stat = Stat::parse(&text).ok_or_else(wrong)?;
        let status = files.text(&format!("/proc/{pid}/status"))?.unwrap_or_default();
        let uid = real_uid(&status).ok_or_else(wrong)?;
        let program = files.link(&format!("/proc/{pid}/exe"))?.unwrap_or_default();
        let mut sshd = None;
        if is_sshd(&program) {
            let all = match sockets.take() {
                Some(all) => all,
                None => tcp_sockets(files)?,
            };
            sshd = Some(look_at_sshd(files, pid, &all)?);
            sockets = Some(all);
        }
        let started = Duration::from_millis(stat.started.saturating_mul(1000) / ticks);
        chain.push(Ancestor { pid, started, tty: stat.tty, uid, sshd });
        pid = stat.parent;
    }
    Ok(chain)
}

/// The TCP sockets that listen or are connected.
fn tcp_sockets(files: &Files) -> Result<Vec<Socket>, HostError> {
    let mut sockets = Vec::new();
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(parse_sockets(&files.text(path)?.unwrap_or_default()));
    }
    Ok(sockets)
}

/// The addresses of this host's own interfaces.
pub(super) fn own_addresses() -> Result<BTreeSet<IpAddr>, HostError> {
    let all = nix::ifaddrs::getifaddrs()
        .map_err(|error| HostError::file("list", "the interfaces' addresses")(error.into()))?;
    let addresses = all.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|found| found.ip().to_canonical()))
    });
    Ok(addresses.collect())
}

fn ticks_per_second() -> Result<u64, HostError> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    let ticks = ticks.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0);
    ticks.ok_or_else(|| HostError::Refused("the kernel does not say how long a tick is".into()))
}

/// Whether a program is sshd's. One that was replaced by an upgrade while it runs still is.
fn is_sshd(program: &str) -> bool {
    let program = program.strip_suffix(" (deleted)").unwrap_or(program);
    SSHD.contains(&program.strip_suffix(".dpkg-tmp").unwrap_or(program))
}

/// What a process of sshd does, by its first TCP socket: that is the one it was started for. Those of forwarded ports
/// come later.
fn look_at_sshd(files: &Files, pid: u32, sockets: &[Socket]) -> Result<Sshd, HostError> {
    let dir = format!("/proc/{pid}/fd");
    let mut numbers: Vec<u32> =
        files.list(&dir)?.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    for number in numbers {
        let link = files.link(&format!("{dir}/{number}"))?.unwrap_or_default();
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        let inode = inode.and_then(|inode| inode.parse::<u64>().ok());
        if let Some(socket) = sockets.iter().find(|socket| Some(socket.inode) == inode) {
            return Ok(match socket.state {
                State::Listens => Sshd::Listener,
                State::Connected => Sshd::Serves(socket.remote),
            });
        }
    }
    Ok(Sshd::Other)
}

/// What matters of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    tty: u32,
    started: u64,
}

impl Stat {
    /// The name, in brackets, may itself hold brackets and spaces: what follows the last one counts.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
        // Field 3, the state, is the first of these; proc_pid_stat(5) numbers them.
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            parent: field(4)?.parse().ok()?,
            tty: field(7)?.parse::<i32>().ok()?.cast_unsigned(),
            started: field(22)?.parse().ok()?,
        })
    }
}

fn real_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Listens,
    Connected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    remote: IpAddr,
    state: State,
    inode: u64,
}

/// Reads the text of `/proc/net/tcp` or `tcp6`; state `01` is ESTABLISHED and `0A` LISTEN.
fn parse_sockets(text: &str) -> Vec<Socket> {
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let state = match *fields.get(3)? {
            "01" => State::Connected,
            "0A" => State::Listens,
            _ => return None,
        };
        let remote = parse_address(fields.get(2)?.split_once(':')?.0)?;
        Some(Socket { remote, state, inode: fields.get(9)?.parse().ok()? })
    };
    text.lines().filter_map(socket).collect()
}

/// An address as the kernel prints it: 32-bit words in this machine's byte order, in hex. IPv4 within IPv6 is IPv4.
fn parse_address(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_hides_nothing() {
        let text =
            "812 (a) S 1 (x) S 7 812 812 34816 812 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9046 1000 2\n";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 7, tty: 34816, started: 9046 }));
        assert_eq!(Stat::parse("812 (a) S 1"), None);
        assert_eq!(real_uid("Name:\tx\nUid:\t1000\t0\t0\t0\n"), Some(1000));
    }

    #[test]
    fn sockets_of_both_families() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n   \
            1: 0101630A:0016 0201630A:A31C 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n   \
            2: 0101630A:0016 0201630A:A31D 06 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n   \
            3: 0000000000000000FFFF00000101630A:0016 0000000000000000FFFF00000201630A:A31C 01 00000000:00000000 00:00000000 00000000     0        0 14 1 0\nodd\n";
        let found = parse_sockets(text);
        let peer: IpAddr = "10.99.1.2".parse().unwrap();
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        assert_eq!(
            found,
            [
                Socket { remote: nobody, state: State::Listens, inode: 11 },
                Socket { remote: peer, state: State::Connected, inode: 12 },
                Socket { remote: peer, state: State::Connected, inode: 14 },
            ]
        );
    }

    #[test]
    fn programs_of_sshd() {
        assert!(is_sshd("/usr/sbin/sshd"));
        assert!(is_sshd("/usr/lib/openssh/sshd-session (deleted)"));
        assert!(!is_sshd("/home/mallory/usr/sbin/sshd"));
        assert!(!is_sshd("/usr/bin/ssh"));
    }

    #[test]
    fn our_own_ancestors() {
        let chain = ancestry(&Files::below("/")).unwrap();
        assert_eq!(chain[0].pid, std::process::id());
        assert!(chain.len() > 1);
        assert!(chain[0].started >= chain[1].started);
        assert!(chain[0].started <= super::super::clock::up().unwrap());
        assert!(own_addresses().unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
