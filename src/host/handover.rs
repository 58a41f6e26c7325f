//! A secret that leaves cold storage: into a file that its owner alone may read, or into a credential of systemd.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::{
        fd::AsRawFd as _,
        unix::fs::{OpenOptionsExt as _, fchown},
    },
    path::Path,
    time::Duration,
};

use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag},
    libc,
    unistd::linkat,
};

use super::{HostError, stage::Launch};

/// Where systemd has what encrypts credentials (systemd-creds(1)).
const CREDS: &str = "/usr/bin/systemd-creds";

/// A TPM takes seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Writes a secret into a new file with mode 0400. It has no name before all of it is on the disk: whatever ends this in
/// between leaves nothing.
///
/// # Errors
/// When there is one already, or it cannot be written: then there is none. Where the file system knows no file without a name
/// (vfat, NFS), it is refused.
pub fn file(path: &str, secret: &[u8], owner: Option<(u32, u32)>) -> Result<(), HostError> {
    let folder = match Path::new(path).parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) => Path::new("."),
        None => return Err(HostError::Refused(format!("{path} is no file"))),
    };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o400).custom_flags(OFlag::O_TMPFILE.bits());
    let mut file = options.open(folder).map_err(|error| match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::EISDIR) => HostError::Refused(format!(
            "the file system of {} has no files without a name, so half of a key could stay there: name a file on another, \
             such as /dev/shm",
            folder.display()
        )),
        _ => HostError::file("make", path)(error),
    })?;
    let mut write = || -> std::io::Result<()> {
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.write_all(secret)?;
        file.sync_all()?;
        // As open(2) has it for O_TMPFILE: this name follows to the file itself.
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)?;
        Ok(())
    };
    write().map_err(HostError::file("write", path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| {
        // It could be gone after a power cut, and is said not to be there.
        #[expect(clippy::disallowed_methods, reason = "src/host is where files are removed")]
        let _removed = fs::remove_file(path);
        HostError::file("sync", path)(error)
    })
}

/// Has systemd encrypt a secret as a credential of this name, into a new file.
///
/// # Errors
/// When there is one already, or systemd cannot.
pub fn credential(
    path: &str,
    name: &str,
    with_key: &str,
    pcrs: Option<&str>,
    secret: &[u8],
) -> Result<(), HostError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(HostError::Refused(format!("{path} exists already")));
    }
    let mut args = vec!["encrypt".to_owned(), format!("--name={name}")];
    args.push(format!("--with-key={with_key}"));
    args.extend(pcrs.map(|pcrs| format!("--tpm2-pcrs={pcrs}")));
    args.extend(["-".to_owned(), path.to_owned()]);
    let program = Path::new(CREDS);
    let launch =
        Launch { program, args, env: Vec::new(), identity: None, isolated: false, limit: LIMIT };
    launch.ask(secret).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key").display().to_string();
        file(&path, b"secret", None).unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.len()), (0o400, 6));
        assert!(file(&path, b"other", None).is_err());
        let text = super::super::Files::below("/").text(&path).unwrap();
        assert_eq!(text.as_deref(), Some("secret"));
        assert!(credential(&path, "key", "host", None, b"x").is_err());
    }
}
