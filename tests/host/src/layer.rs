//! The overlay layer that holds an installed holdfast, made once per package and image.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{Host, Image, Options, Suite, cache, image};

/// How long a layer that is no longer used is kept: other checkouts build other packages.
const KEEP_FOR: Duration = Duration::from_secs(6 * 3600);

/// The package under test: `HOLDFAST_DEB`, else the newest `target/package/holdfast_*.deb` of the workspace.
///
/// # Errors
/// When there is none; the error says how to get one.
pub fn deb() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HOLDFAST_DEB") {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("No package at {}", path.display()));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let packages = target.join("package");
    newest(&packages).with_context(|| {
        format!(
            "No holdfast_*.deb in {}: build the package first, or set HOLDFAST_DEB",
            packages.display()
        )
    })
}

/// The most recently written `holdfast_*.deb` of a directory.
fn newest(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let packages = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("holdfast_") && name.ends_with(".deb")
    });
    let written = |path: &PathBuf| -> SystemTime {
        path.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    packages.map(|entry| entry.path()).max_by_key(written)
}

/// The layer over `suite`'s image with `deb` installed, made if needed; layers long out of use are removed.
pub(crate) fn ensure(suite: Suite, on: Image, deb: &Path) -> Result<PathBuf> {
    let base = image::ensure(suite, on)?;
    let bytes = fs::read(deb).with_context(|| format!("Cannot read {}", deb.display()))?;
    let digest = image::hex(&Sha256::digest(&bytes));
    let image = base.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let layers = cache::subdir("layers")?;
    let path = layers.join(format!("{image}-{}", &digest[..16]));
    let layer = cache::once(&path, |partial| install(suite, on, &bytes, partial))?;
    cache::prune(&layers, KEEP_FOR)?;
    Ok(layer)
}

/// Installs a package in a booted bare host and keeps what that wrote.
fn install(suite: Suite, on: Image, deb: &[u8], layer: &Path) -> Result<()> {
    let host = Host::with(suite, Options { blank: true, image: on, ..Options::default() })?;
    host.push("/root/holdfast.deb", deb, 0o644)?;
    // By dpkg in a host without network: what the package needs beyond the image must be declared in the image.
    host.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", "/root/holdfast.deb"])?
        .ok()
        .context("The package does not install; is each dependency in the image's package list?")?;
    // Hosts made of this layer must not share an identity or a past.
    host.sh(
        "rm -f /root/holdfast.deb /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
             sync",
    )?
    .ok()?;
    let upper = host.into_upper(layer)?;
    fs::write(upper.join("etc/machine-id"), "").context("Cannot empty the machine id")?;
    for past in ["etc/hostname", "var/log/journal", "var/lib/systemd/timers"] {
        forget(&upper, past)?;
    }
    Ok(())
}

/// Removes a path from an overlay layer, so that the layer below shows again.
fn forget(upper: &Path, name: &str) -> Result<()> {
    let path = upper.join(name);
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => cache::remove_tree(&path),
        Ok(_) => fs::remove_file(&path).with_context(|| format!("Cannot remove {name}")),
        Err(_) => Ok(()),
    }
}
