//! What the machine says of the room in which a ceremony is held: who else could hear, and what could keep a copy.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use jiff::Timestamp;
use nix::libc;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Files, HostError, clock, shield::status_number};

/// What was read. What could not be read is `None`, and never counts as good.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Room {
    /// The namespaces of this process that are not the machine's own, by the kernel's names of them: what it sees there is not
    /// the machine's.
    pub apart: Option<Vec<String>>,
    /// The network links that are up, loopback aside.
    pub links_up: Option<Vec<String>>,
    /// The processes of sshd that serve somebody.
    pub ssh_sessions: Option<Vec<u32>>,
    /// What the kernel swaps onto.
    pub swaps: Option<Vec<String>>,
    /// Where the kernel sends dumps of processes.
    pub core_pattern: Option<String>,
    /// Who traces this process; 0 is nobody.
    pub tracer: Option<u32>,
    /// Whether the kernel's random numbers are ready.
    pub has_entropy: Option<bool>,
    /// What time it is.
    pub now: Option<Timestamp>,
    /// When this program was put onto the disk.
    pub program_written: Option<Timestamp>,
    /// SHA-256 of this program, in hexadecimal.
    pub program: Option<String>,
    /// Which machine this is: systemd's number for it.
    pub machine: Option<String>,
}

/// Reads all of it.
pub fn look() -> Room {
    look_at(true)
}

fn look_at(is_first: bool) -> Room {
    let files = Files::below("/");
    let text = |path| files.text(path).ok().flatten();
    let own = fs::metadata("/proc/self/exe").and_then(|meta| meta.modified());
    Room {
        apart: apart(&files).ok(),
        links_up: links_up().ok(),
        ssh_sessions: ssh_sessions(&files).ok(),
        swaps: text("/proc/swaps").map(|list| swaps(&list)),
        core_pattern: text("/proc/sys/kernel/core_pattern").map(|text| text.trim().to_owned()),
        tracer: text("/proc/self/status")
            .and_then(|status| status_number(&status, "TracerPid:"))
            .and_then(|pid| u32::try_from(pid).ok()),
        has_entropy: has_entropy(),
        now: Some(clock::now()),
        program_written: own.ok().and_then(|time| Timestamp::try_from(time).ok()).map(clock::whole),
        program: if is_first { program().ok() } else { None },
        machine: machine(),
    }
}

/// Which machine this is: systemd's number for it (machine-id(5)).
pub fn machine() -> Option<String> {
    let text = Files::below("/").text("/etc/machine-id").ok().flatten()?;
    Some(text.trim().to_owned())
}

/// Reads it again. What cannot have changed since is taken over: the program that runs, and the machine.
pub fn again(before: &Room) -> Room {
    let Room { program_written, program, machine, .. } = before.clone();
    Room { program_written, program, machine, ..look_at(false) }
}

/// Which of the namespaces that hide links and processes are not those that the machine was started in (namespaces(7)).
fn apart(files: &Files) -> Result<Vec<String>, HostError> {
    let mut apart = Vec::new();
    let net = |process: &str| {
        let path = format!("/proc/{process}/ns/net");
        fs::read_link(&path).map_err(HostError::file("read", &path))
    };
    if net("self")? != net("1")? {
        apart.push("net".to_owned());
    }
    // Each namespace has a first process of its own; systemd alone puts itself into this group (systemd.special(7)).
    let first = files.text("/proc/1/cgroup")?.unwrap_or_default();
    if !first.lines().any(|line| line.ends_with("/init.scope")) {
        apart.push("pid".to_owned());
    }
    Ok(apart)
}

/// Links other than loopback that the administrator has set up: whether a cable is in is not asked, because it can be put
/// in.
fn links_up() -> io::Result<Vec<String>> {
    let mut up = Vec::new();
    for entry in fs::read_dir("/sys/class/net")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // bonding_masters is a file, and no link.
        if !entry.path().is_dir() {
            continue;
        }
        let flags = flags(&entry.path())?;
        if flags & i64::from(libc::IFF_UP) != 0 && flags & i64::from(libc::IFF_LOOPBACK) == 0 {
            up.push(name);
        }
    }
    up.sort();
    Ok(up)
}

fn flags(link: &Path) -> io::Result<i64> {
    let mut text = String::new();
    fs::File::open(link.join("flags"))?.take(64).read_to_string(&mut text)?;
    let digits = text.trim().trim_start_matches("0x");
    i64::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Every line but the head names one.
fn swaps(list: &str) -> Vec<String> {
    let names = list.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

/// sshd gives each connection a process that says in its command line whom it serves (`sshd: root@pts/0`,
/// `sshd-session: …` since OpenSSH 9.8); the one that listens says so, too.
fn ssh_sessions(files: &Files) -> Result<Vec<u32>, HostError> {
    let folder = fs::read_dir("/proc").map_err(HostError::file("list", "/proc"))?;
    let mut sessions = Vec::new();
    for entry in folder.filter_map(Result::ok) {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended in between.
        let Ok(Some(command)) = files.text(&format!("/proc/{pid}/cmdline")) else { continue };
        if is_session(&command) {
            sessions.push(pid);
        }
    }
    sessions.sort_unstable();
    Ok(sessions)
}

fn is_session(command: &str) -> bool {
    let title = command.strip_prefix("sshd: ").or_else(|| command.strip_prefix("sshd-session: "));
    title.is_some_and(|title| !title.contains("[listener]"))
}

/// Whether the kernel gives random bytes without waiting (getrandom(2)).
#[expect(unsafe_code, reason = "no wrapper exists in what is used here")]
fn has_entropy() -> Option<bool> {
    let mut bytes = [0_u8; 16];
    // SAFETY: the pointer and the length are of one array.
    let count =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if usize::try_from(count) == Ok(bytes.len()) {
        return Some(true);
    }
    (io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock).then_some(false)
}

/// SHA-256 of the program that runs, which need not be the one that has its name by now.
fn program() -> io::Result<String> {
    let mut file = fs::File::open("/proc/self/exe")?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => digest.update(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_told_from_listeners_and_from_others() {
        for title in [
            "sshd: root@pts/0",
            "sshd: root [priv]",
            "sshd-session: alice [priv]",
            "sshd: alice@notty",
        ] {
            assert!(is_session(title), "{title}");
        }
        for title in [
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
            "/usr/sbin/sshd\0-D\0",
            "bash\0-c\0sshd: root",
            "",
        ] {
            assert!(!is_session(title), "{title}");
        }
    }

    #[test]
    fn swaps_are_listed() {
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(swaps(head), [""; 0]);
        let one =
            format!("{head}/dev/zram0                              partition\t1048572\t0\t-2\n");
        assert_eq!(swaps(&one), ["/dev/zram0"]);
    }

    #[test]
    fn this_machine_says_something_of_everything() {
        let room = look();
        assert_eq!(room.has_entropy, Some(true));
        assert_eq!(room.program.as_ref().map(String::len), Some(64));
        assert!(room.links_up.is_some() && room.swaps.is_some() && room.ssh_sessions.is_some());
        assert!(room.tracer.is_some() && room.core_pattern.is_some());
        assert!(room.program_written <= room.now);
    }
}
