//! Who has a file open for writing, and how: read from `/proc/PID/fd` and `/proc/PID/fdinfo`.

use std::{fs, os::unix::fs::MetadataExt as _};

use nix::libc::{O_ACCMODE, O_APPEND, O_RDONLY};

use super::{Files, HostError};

/// A process that has a file open for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWriter {
    /// Its number.
    pub pid: u32,
    /// The name of its program, of at most 15 characters.
    pub program: String,
    /// By which descriptor.
    pub descriptor: u32,
    /// Whether all that it writes goes to the end of the file, whoever else has changed it.
    pub appends: bool,
}

/// The processes that have this very file open for writing, in whatever mount namespace they are.
pub(super) fn writers_of(files: &Files, path: &str) -> Result<Vec<FileWriter>, HostError> {
    let mut found = Vec::new();
    for pid in files.list("/proc")?.iter().filter_map(|name| name.parse::<u32>().ok()) {
        match in_process(files, pid, path) {
            Ok(writers) => found.extend(writers),
            // It ended between two looks.
            Err(_) if !files.exists(&format!("/proc/{pid}/fd")) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The same of one process: once for each descriptor.
fn in_process(files: &Files, pid: u32, path: &str) -> Result<Vec<FileWriter>, HostError> {
    let Ok(wanted) = fs::metadata(files.locate(path)) else { return Ok(Vec::new()) };
    let name = path.rsplit('/').next();
    let dir = format!("/proc/{pid}/fd");
    let mut found = Vec::new();
    for number in files.list(&dir)? {
        let at = format!("{dir}/{number}");
        // By name first: a file system that hangs is not asked about the files of others.
        let target = files.link(&at)?;
        if target.as_deref().and_then(|target| target.rsplit('/').next()) != name {
            continue;
        }
        let is_it = fs::metadata(files.locate(&at))
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == (wanted.dev(), wanted.ino()));
        let info = files.text(&format!("/proc/{pid}/fdinfo/{number}"))?;
        let flags = info.as_deref().and_then(flags).filter(|_| is_it);
        let Some(flags) = flags.filter(|flags| flags & O_ACCMODE != O_RDONLY) else { continue };
        let program = files.text(&format!("/proc/{pid}/comm"))?.unwrap_or_default();
        let program = program.trim().to_owned();
        let descriptor = number.parse().unwrap_or_default();
        found.push(FileWriter { pid, program, descriptor, appends: flags & O_APPEND != 0 });
    }
    Ok(found)
}

/// The flags a descriptor was opened with: `flags: 0102001`, octal.
fn flags(info: &str) -> Option<i32> {
    let line = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    i32::from_str_radix(line.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn our_own_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("debug.log");
        let plain = fs::File::create(&path).unwrap();
        let name = path.to_str().unwrap();
        let ours = |path: &str| {
            let found = in_process(&Files::below("/"), std::process::id(), path).unwrap();
            found.into_iter().map(|writer| writer.appends).collect::<Vec<_>>()
        };
        assert_eq!(ours(name), [false]);
        drop(plain);
        assert_eq!(ours(name), [false; 0]);
        let mut appending = fs::OpenOptions::new().append(true).open(&path).unwrap();
        appending.write_all(b"x").unwrap();
        let _reading = fs::File::open(&path).unwrap();
        assert_eq!(ours(name), [true]);
        assert_eq!(ours("/nonexistent/debug.log"), [false; 0]);
    }
}
