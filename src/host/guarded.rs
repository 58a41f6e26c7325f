//! Whether somebody else could put something else in the place of what was looked at, between the look and the use: as
//! sshd's `StrictModes` asks of the files of a login.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use super::{HostError, shell::word};

/// Who writes it, besides its owner: group and others.
const OTHERS: u32 = 0o022;

/// In a folder with this bit, names are their owners' alone.
const STICKY: u32 = 0o1000;

/// A folder by the path that no link leads elsewhere from, when it, what is in it and every folder above it belong to root or
/// to who asks, and nobody else may write there. What is as it must be stays so, but for those two.
///
/// # Errors
/// [`HostError::Refused`] with what is not so; or when it cannot be looked at.
pub fn folder(folder: &str) -> Result<PathBuf, HostError> {
    let path = fs::canonicalize(folder).map_err(HostError::file("open", folder))?;
    for above in path.ancestors() {
        let meta = look(above)?;
        if above == path && !meta.is_dir() {
            return Err(HostError::Refused(format!("{folder} is not a folder")));
        }
        let allowed = if above == path { 0 } else { meta.mode() & STICKY };
        guarded(above, &meta, allowed != 0, folder)?;
    }
    let shown = path.display().to_string();
    for entry in fs::read_dir(&path).map_err(HostError::file("list", &*shown))? {
        let file = entry.map_err(HostError::file("list", &*shown))?.path();
        let meta = look(&file)?;
        // A link has no mode of its own, and none is followed there.
        if !meta.is_symlink() {
            guarded(&file, &meta, false, folder)?;
        }
    }
    Ok(path)
}

fn look(path: &Path) -> Result<Metadata, HostError> {
    fs::symlink_metadata(path).map_err(HostError::file("look at", path.display().to_string()))
}

fn guarded(path: &Path, meta: &Metadata, is_sticky: bool, asked: &str) -> Result<(), HostError> {
    let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
    let why = if owner != 0 && owner != geteuid().as_raw() {
        format!("belongs to the account with the number {owner}")
    } else if mode & OTHERS != 0 && !is_sticky {
        format!("may be written to by others (mode {mode:o})")
    } else {
        return Ok(());
    };
    Err(HostError::Refused(format!(
        "{} {why}, who could replace what is checked before it is used; copy it as root to where nobody else writes: {}",
        path.display(),
        copy(asked)
    )))
}

/// Where one is told to copy to.
const COPY: &str = "/root/fetched";

/// The line that copies a folder to where there is none yet: into another one it would be nested, or mixed with what is there.
fn copy(asked: &str) -> String {
    let names = (2..).map(|number: u64| format!("{COPY}-{number}"));
    let is_free = |path: &String| fs::symlink_metadata(path).is_err();
    let to = std::iter::once(COPY.to_owned()).chain(names).find(is_free).unwrap_or_default();
    format!("cp -rT --no-preserve=all -- {} {to}", word(asked))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    fn what_others_may_write_is_refused_by_name() {
        // In /tmp, which everybody may write to, and which is sticky.
        let temporary = tempfile::tempdir().unwrap();
        let above = temporary.path().canonicalize().unwrap();
        let (inner, link) = (above.join("inner"), above.join("link"));
        let file = inner.join("file");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("/tmp", inner.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let ask = |path: &Path| folder(path.to_str().unwrap());
        for (path, bad) in [(&above, 0o777), (&above, 0o770), (&inner, 0o1777), (&file, 0o664)] {
            let good = if path == &file { 0o644 } else { 0o755 };
            mode(path, good);
            assert_eq!(ask(&link).unwrap(), inner, "by what it is, and not by a link");
            mode(path, bad);
            let said = ask(&inner).unwrap_err().to_string();
            let part =
                format!("refused: {} may be written to by others (mode {bad:o})", path.display());
            assert!(said.starts_with(&part), "{said}");
            mode(path, good);
        }
        mode(&above, 0o1777);
        ask(&inner).unwrap();
        assert!(ask(&file).unwrap_err().to_string().contains("is not a folder"));
        assert!(ask(&above.join("none")).unwrap_err().to_string().contains("cannot open"));
    }
}
