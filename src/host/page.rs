//! A buffer for a secret, of pages of its own: locked, left out of dumps, not there in a fork, and wiped when dropped.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    num::NonZeroUsize,
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    },
    ptr::NonNull,
    slice,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap_anonymous, munmap},
};
use zeroize::Zeroize as _;

use super::HostError;

/// How long a pipe may have nothing in it: people type a passphrase at its other end.
const WRITER_MILLIS: u16 = 60_000;

/// The buffer.
#[derive(Debug)]
pub struct Page {
    start: NonNull<libc::c_void>,
    length: NonZeroUsize,
}

impl Page {
    /// A buffer of so many bytes, all zero.
    ///
    /// # Errors
    /// When the kernel gives none, or does not lock it where memory is locked at all.
    #[expect(unsafe_code, reason = "memory of one's own has no safe wrapper")]
    pub fn new(length: usize) -> Result<Self, HostError> {
        let failed = |action| {
            move |error: nix::Error| HostError::file(action, "memory for a secret")(error.into())
        };
        let length = NonZeroUsize::new(length).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
        let page = Self { start: start.map_err(failed("get"))?, length };
        // SAFETY: the whole mapping, which is ours until `page` is dropped. Whether it could be locked is judged with
        // the rest of the process's memory, by what the kernel says of it.
        unsafe {
            let _locked = mlock(page.start, length.get());
            madvise(page.start, length.get(), MmapAdvise::MADV_DONTDUMP)
                .map_err(failed("keep out of dumps"))?;
            madvise(page.start, length.get(), MmapAdvise::MADV_WIPEONFORK)
                .map_err(failed("keep out of forks"))?;
        }
        Ok(page)
    }

    #[expect(unsafe_code, reason = "memory of one's own has no safe wrapper")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped, initialised by the kernel, and borrowed as `self` is.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.length.get()) }
    }

    #[expect(unsafe_code, reason = "memory of one's own has no safe wrapper")]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has it while `self` is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.length.get()) }
    }

    /// What was put into it.
    pub fn filled(&self, length: usize) -> &[u8] {
        &self.bytes()[..length.min(self.length.get())]
    }

    /// Reads all there is, and says how much that was.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit.
    pub fn fill(&mut self, from: &mut impl Read) -> Result<usize, HostError> {
        let limit = self.length.get();
        let mut length = 0;
        loop {
            match from.read(&mut self.bytes_mut()[length..]) {
                Ok(0) if length < limit => return Ok(length),
                // Full: whether that was all is not known.
                Ok(0) => {
                    return Err(HostError::TooLarge { path: "it".into(), limit: limit as u64 });
                }
                Ok(count) => length += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(HostError::file("read", "it")(error)),
            }
        }
    }

    /// Reads a regular file.
    ///
    /// # Errors
    /// When there is none, or it does not fit.
    pub fn read_file(&mut self, path: &str) -> Result<&[u8], HostError> {
        let mut options = OpenOptions::new();
        // Without O_NONBLOCK, a FIFO in its place would hold us for ever.
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = options.open(path).map_err(HostError::file("open", path))?;
        let meta = file.metadata().map_err(HostError::file("look at", path))?;
        if !meta.is_file() {
            return Err(HostError::Refused(format!("{path} is not a file")));
        }
        self.taken(file, path)
    }

    /// Reads a regular file, or a pipe to its end: one that nobody writes into within a minute is none.
    ///
    /// # Errors
    /// When there is neither, or it does not fit.
    pub fn read_stream(&mut self, path: &str) -> Result<&[u8], HostError> {
        let mut options = OpenOptions::new();
        // So that the end that writes may come later, or have gone already.
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = options.open(path).map_err(HostError::file("open", path))?;
        let meta = file.metadata().map_err(HostError::file("look at", path))?;
        if meta.file_type().is_fifo() {
            let failed = |error: nix::Error| HostError::file("read", path)(error.into());
            let mut asked = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
            if poll(&mut asked, PollTimeout::from(WRITER_MILLIS)).map_err(failed)? == 0 {
                return Err(HostError::Refused(format!("{path} is a pipe that nobody writes to")));
            }
            fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).map_err(failed)?;
        } else if !meta.is_file() {
            return Err(HostError::Refused(format!("{path} is neither a file nor a pipe")));
        }
        self.taken(file, path)
    }

    /// All of what was opened by this path; errors name it.
    fn taken(&mut self, mut file: File, path: &str) -> Result<&[u8], HostError> {
        let length = self.fill(&mut file).map_err(|error| match error {
            HostError::TooLarge { limit, .. } => {
                HostError::TooLarge { path: path.to_owned(), limit }
            }
            HostError::File { source, .. } => HostError::file("read", path)(source),
            other => other,
        })?;
        Ok(self.filled(length))
    }

    /// Puts bytes into it as hexadecimal digits, and says how many those are.
    pub fn put_hex(&mut self, bytes: &[u8]) -> usize {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut length = 0;
        for (place, digit) in self.bytes_mut().iter_mut().zip(digits) {
            *place = DIGITS[usize::from(digit)];
            length += 1;
        }
        length
    }
}

impl Drop for Page {
    #[expect(unsafe_code, reason = "memory of one's own has no safe wrapper")]
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the whole mapping, which nobody borrows any more. What cannot be unmapped is wiped at least.
        let _unmapped = unsafe { munmap(self.start, self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_it_is_there_and_what_does_not_fit_is_refused() {
        let mut page = Page::new(8).unwrap();
        assert_eq!(page.fill(&mut &b"1234567"[..]).unwrap(), 7);
        assert_eq!(page.filled(7), b"1234567");
        assert!(matches!(
            page.fill(&mut &b"12345678"[..]),
            Err(HostError::TooLarge { limit: 8, .. })
        ));
        assert_eq!(page.put_hex(&[0xab, 0x01]), 4);
        assert_eq!(page.filled(4), b"ab01");
        assert_eq!(page.put_hex(&[0xff; 9]), 8);
    }

    #[test]
    fn only_files_are_read() {
        let mut page = Page::new(1 << 16).unwrap();
        assert!(page.read_file("/etc/passwd").unwrap().starts_with(b"root:"));
        assert!(matches!(page.read_file("/dev/zero"), Err(HostError::Refused(_))));
        assert!(matches!(page.read_file("/nonexistent"), Err(HostError::File { .. })));
    }

    /// The kernel's own word on the mapping: proc(5), `VmFlags`.
    #[test]
    fn the_kernel_locks_it_and_keeps_it_out_of_dumps_and_forks() {
        let page = Page::new(1 << 16).unwrap();
        let start = format!("{:x}-", page.start.as_ptr().addr());
        let maps = crate::host::Files::below("/").text("/proc/self/smaps").unwrap().unwrap();
        let mine = maps.split_once(&start).unwrap().1;
        let flags = mine.lines().find(|line| line.starts_with("VmFlags:")).unwrap();
        for flag in [" dd", " wf"] {
            assert!(flags.contains(flag), "{flags}");
        }
        // Where the limit of locked memory is not lower than this.
        assert!(flags.contains(" lo"), "{flags}");
    }
}
