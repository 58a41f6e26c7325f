//! What keeps a program and all that it starts together, and away from the rest of the host: namespaces of its own
//! (`namespaces(7)`) for processes, mounts and what processes share of memory.
//!
//! A dump's code runs as the account of the server that it is restored into, and may start programs that leave their
//! session. The server is the first process of a namespace: as it ends, the kernel ends all others in it, and waiting for
//! it waits for them (`pid_namespaces(7)`). It sees no other process, so that one of the same number of account, which a
//! container's server may well have, is out of its reach; and no socket of a live server.

use std::{
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    process::{Child, Command},
};

use nix::{
    fcntl::{OFlag, open},
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::stat::Mode,
};

use super::{HostError, scratch};

/// Where nothing of the host is seen, and nothing can be written: other processes, and where all may leave something.
const HIDDEN: [&CStr; 4] = [c"/proc", c"/tmp", c"/var/tmp", c"/dev/shm"];

/// Where the sockets of services are; of it only the folder of the proof is left.
const RUN: &CStr = c"/run";

/// Starts a program as the first process of a namespace. What this thread starts later is in its own again.
pub(super) fn spawn(command: &mut Command) -> Result<Child, HostError> {
    let failed = |source| HostError::Namespace { source };
    let own = File::open("/proc/self/ns/pid")
        .map_err(HostError::file("open", "this process's namespace"))?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(failed)?;
    let child = command.spawn();
    let back = setns(&own, CloneFlags::CLONE_NEWPID);
    let start = |source| HostError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    };
    let mut child = child.map_err(start)?;
    if let Err(source) = back {
        // Nobody would be told of its end, nor could anything else be started.
        drop((child.kill(), child.wait()));
        return Err(failed(source));
    }
    Ok(child)
}

/// What the new process does: mounts are its own from here on, and of the host's folders that hold more than files only
/// that of the proof is there. Only system calls, and nothing is allocated: it is called between fork and exec.
pub(super) fn enclose() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC)?;
    let none: Option<&CStr> = None;
    // What is mounted here is not to appear elsewhere.
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let proof = open(scratch::FOLDER_C, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?;
    let mut path = [0; 32];
    let proof_path = path_of(proof.as_raw_fd(), &mut path);
    cover(RUN)?;
    nix::unistd::mkdir(scratch::FOLDER_C, Mode::S_IRWXU)?;
    mount(Some(proof_path), scratch::FOLDER_C, none, MsFlags::MS_BIND, none)?;
    drop(proof);
    for folder in HIDDEN {
        match cover(folder) {
            // Not every host has all of them.
            Err(nix::Error::ENOENT) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Puts an empty folder of root's over another.
fn cover(folder: &CStr) -> nix::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(c"tmpfs"), folder, Some(c"tmpfs"), flags, Some(c"mode=755,size=64k"))
}

/// `/proc/self/fd/NUMBER`, without allocating.
fn path_of(fd: RawFd, into: &mut [u8; 32]) -> &CStr {
    const FOLDER: &[u8] = b"/proc/self/fd/";
    let mut at = into.len() - 1;
    let mut rest = fd.unsigned_abs();
    loop {
        at -= 1;
        into[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let from = at - FOLDER.len();
    into[from..at].copy_from_slice(FOLDER);
    // The last byte is 0 and no other is.
    CStr::from_bytes_until_nul(&into[from..]).unwrap_or(c"")
}

/// By which a child knows whether this process lives: the first process of a namespace cannot ask who its parent is.
#[expect(unsafe_code, reason = "no wrapper exists for pidfd_open")]
pub(super) fn lifeline() -> io::Result<OwnedFd> {
    // SAFETY: two numbers are passed; what comes back is a new descriptor that nobody else has.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0);
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Whether the process of a [`lifeline`] still lives.
#[expect(unsafe_code, reason = "one system call, without allocating")]
pub(super) fn lives(lifeline: RawFd) -> bool {
    let mut poll = libc::pollfd { fd: lifeline, events: libc::POLLIN, revents: 0 };
    // SAFETY: one record, which lives as long as the call.
    let ended = unsafe { libc::poll(&raw mut poll, 1, 0) };
    ended == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_has_a_path() {
        for fd in [0, 7, 10, 1_048_576, RawFd::MAX] {
            let mut path = [0; 32];
            assert_eq!(path_of(fd, &mut path).to_str().unwrap(), format!("/proc/self/fd/{fd}"));
        }
    }

    #[test]
    fn this_process_lives() {
        assert!(lives(lifeline().unwrap().as_raw_fd()));
    }
}
