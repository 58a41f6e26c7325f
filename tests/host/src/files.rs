//! Files of a host, reached from outside without ever following a link out of its root.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use crate::Inside;

/// A host's root directory, opened.
#[derive(Debug)]
pub(crate) struct Root {
    dir: File,
}

impl Root {
    /// Opens the root of a host.
    pub(crate) fn open(inside: &Inside) -> Result<Root> {
        inside.check()?;
        let dir = File::open(inside.root()).context("Cannot open a host's root")?;
        Ok(Root { dir })
    }

    /// Opens a path as the host itself would resolve it: its absolute links stay within its root.
    pub(crate) fn at(&self, path: &Path, flags: OFlag, mode: u32) -> nix::Result<File> {
        let mut how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        if flags.contains(OFlag::O_CREAT) {
            how = how.mode(Mode::from_bits_truncate(mode));
        }
        openat2(&self.dir, path, how).map(File::from)
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut file = self.at(path, OFlag::O_RDONLY, 0).with_context(|| cannot("read", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| cannot("read", path))?;
        Ok(bytes)
    }

    /// Writes a file owned by root with exactly this mode; missing directories are made with mode 0755.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let parent = path.parent().filter(|_| path.is_absolute());
        let Some(parent) = parent else { bail!("Not an absolute path: {}", path.display()) };
        self.make_dirs(parent)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let mut file = self.at(path, flags, mode & 0o777).with_context(|| cannot("write", path))?;
        file.write_all(bytes).with_context(|| cannot("write", path))?;
        // Creation went through our umask, and an older file kept its mode.
        file.set_permissions(fs::Permissions::from_mode(mode))
            .with_context(|| cannot("set the mode of", path))
    }

    fn make_dirs(&self, path: &Path) -> Result<()> {
        let mut so_far = PathBuf::new();
        for part in path {
            let parent = so_far.clone();
            so_far.push(part);
            if self.at(&so_far, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).is_ok() {
                continue;
            }
            let parent = self
                .at(&parent, OFlag::O_PATH | OFlag::O_DIRECTORY, 0)
                .with_context(|| cannot("make", &so_far))?;
            nix::sys::stat::mkdirat(&parent, part, Mode::from_bits_truncate(0o755))
                .with_context(|| cannot("make", &so_far))?;
        }
        Ok(())
    }
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("Cannot {verb} {} in the host", path.display())
}
