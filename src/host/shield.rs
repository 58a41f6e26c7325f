//! How this process is shielded from others, as the kernel says; and random bytes.

use std::{fs::File, io::Read as _};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sys::{
        prctl,
        resource::{Resource, getrlimit},
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Files, HostError};

/// How a process is shielded from others, as the kernel says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shield {
    /// How many KiB of its memory are locked; of those that it uses, all are.
    pub locked_kib: u64,
    /// Whether all that it will ever use is locked as it is used.
    pub is_locked: bool,
    /// Whether the kernel would write a dump of it, or let another process of its account read it.
    pub is_dumpable: bool,
    /// The largest dump, in bytes.
    pub core_limit: u64,
    /// Who traces it; 0 is nobody.
    pub tracer: u32,
    /// Whether it has a network.
    pub has_network: bool,
}

/// How this process is shielded. `is_locked` is what came of locking all of its memory.
pub fn shield(is_locked: bool) -> Shield {
    let files = Files::below("/");
    let read = |path| files.text(path).ok().flatten().unwrap_or_default();
    let status = read("/proc/self/status");
    Shield {
        locked_kib: status_number(&status, "VmLck:").unwrap_or_default(),
        is_locked,
        // What cannot be known counts as the worse.
        is_dumpable: prctl::get_dumpable().unwrap_or(true),
        core_limit: getrlimit(Resource::RLIMIT_CORE).map_or(u64::MAX, |(_, hard)| hard),
        tracer: status_number(&status, "TracerPid:")
            .and_then(|pid| u32::try_from(pid).ok())
            .unwrap_or(u32::MAX),
        has_network: getifaddrs().map_or(true, |mut all| all.any(|it| is_network(it.flags))),
    }
}

/// A line of `/proc/PID/status` (proc(5)) as a number.
pub(super) fn status_number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether a link is one over which something could go. A new network has links of tunnels (`tunl0`, `sit0`) where the kernel has
/// their modules; they are down.
fn is_network(flags: InterfaceFlags) -> bool {
    flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
}

/// 32 random bytes.
///
/// # Errors
/// When the kernel gives none.
pub fn random() -> Result<Zeroizing<[u8; 32]>, HostError> {
    let mut bytes = Zeroizing::new([0; 32]);
    let source = "/dev/urandom";
    let read = File::open(source).and_then(|mut file| file.read_exact(bytes.as_mut_slice()));
    read.map_err(HostError::file("read", source))?;
    Ok(bytes)
}

/// Has a panic say nothing: what it would print could quote what it was about.
pub fn be_silent_in_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_is_up_is_a_network_unless_it_is_loopback() {
        use InterfaceFlags as Flags;
        assert!(is_network(Flags::IFF_UP | Flags::IFF_RUNNING));
        assert!(is_network(Flags::IFF_UP), "a cable can be put in");
        assert!(!is_network(Flags::IFF_NOARP), "a tunnel's that is down");
        assert!(!is_network(Flags::IFF_UP | Flags::IFF_LOOPBACK));
        assert!(!is_network(Flags::empty()));
    }

    #[test]
    fn numbers_are_read_from_a_status() {
        let status = "Name:\tx\nTracerPid:\t0\nVmLck:\t      12 kB\n";
        assert_eq!(status_number(status, "VmLck:"), Some(12));
        assert_eq!(status_number(status, "TracerPid:"), Some(0));
        assert_eq!(status_number(status, "VmSwap:"), None);
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(*random().unwrap(), *random().unwrap());
    }
}
