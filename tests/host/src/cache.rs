//! Where images, layers and running hosts are kept: outside the source tree.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::{machine, supervise};

/// The cache directory: `HOLDFAST_TEST_CACHE`, else `holdfast-test` in the user's cache.
///
/// # Errors
/// When it cannot be made, or when overlayfs could not take its path.
pub(crate) fn dir() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = var("HOLDFAST_TEST_CACHE")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("holdfast-test")))
        .or_else(|| Some(var("HOME")?.join(".cache/holdfast-test")))
        .context("Neither HOLDFAST_TEST_CACHE, XDG_CACHE_HOME nor HOME is set")?;
    fs::create_dir_all(&dir).with_context(|| format!("Cannot make {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("Cannot resolve {}", dir.display()))?;
    // Mount options separate by these, and the supervisor's words by blanks.
    if dir.to_string_lossy().contains([':', ',', '\\', ' ', '\n']) {
        bail!("The cache path must have no blank, colon, comma or backslash: {}", dir.display());
    }
    Ok(dir)
}

/// A subdirectory of the cache, made if needed.
pub(crate) fn subdir(name: &str) -> Result<PathBuf> {
    let path = dir()?.join(name);
    fs::create_dir_all(&path).with_context(|| format!("Cannot make {}", path.display()))?;
    Ok(path)
}

/// Opens a lock file, making it if needed. The lock itself is the caller's to take.
pub(crate) fn lock_file(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("Cannot open {}", path.display()))
}

/// Returns `path`, made by `make` in a temporary directory beside it if it does not exist yet.
///
/// A reader sees all of it or nothing, and of several processes one makes it while the others wait.
pub(crate) fn once(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let lock = lock_file(&path.with_extension("lock"))?;
    // The lock file's time says when the tree was last used; `prune` goes by it.
    lock.set_modified(SystemTime::now()).context("Cannot note the use of a cached tree")?;
    if path.exists() {
        return Ok(path.into());
    }
    lock.lock().with_context(|| format!("Cannot lock {}", path.display()))?;
    if path.exists() {
        return Ok(path.into());
    }
    let partial = path.with_extension("partial");
    remove_tree(&partial)?; // of a maker that was killed
    fs::create_dir(&partial).with_context(|| format!("Cannot make {}", partial.display()))?;
    let made = make(&partial).and_then(|()| {
        fs::rename(&partial, path).with_context(|| format!("Cannot publish {}", path.display()))
    });
    if let Err(error) = made {
        // The first error matters more than the failure to clean up after it.
        let _ = remove_tree(&partial);
        return Err(error);
    }
    Ok(path.into())
}

/// Removes the trees in `dir` that [`once`] last gave out longer than `age` ago and that no host stands on.
pub(crate) fn prune(dir: &Path, age: Duration) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("Cannot list {}", dir.display()))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "lock") {
            continue;
        }
        let used = path.with_extension("lock").metadata().and_then(|meta| meta.modified());
        // A time in the future counts as now.
        let unused = used.ok().map(|used| used.elapsed().unwrap_or_default());
        if unused.is_some_and(|unused| unused > age) && !supervise::uses(&path)? {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Removes a directory tree without leaving its file system; a missing one is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    if path.exists() {
        let mut rm = machine::command("rm");
        machine::finish(rm.args(["-rf", "--one-file-system", "--"]).arg(path))?;
    }
    Ok(())
}
