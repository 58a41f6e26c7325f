//! How records are written and read: durably, and whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::host::HostError;

/// A failure to keep or read records.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum StoreError {
    #[error("cannot {action} {path}")]
    Io { action: &'static str, path: String, source: io::Error },
    #[error("{path} is damaged; move its folder away to go on without it")]
    Damaged { path: String, source: serde_json::Error },
    #[error("{path} was written by a newer holdfast (format {format}); install that version")]
    Newer { path: String, format: u32 },
    #[error("there is no transaction {0}; see: holdfast history")]
    NoSuch(u64),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Writes a record in a folder, whole or not at all; when this returns it survives a power cut.
pub(super) fn write_record(
    dir: &Path,
    name: &str,
    record: &impl Serialize,
) -> Result<(), StoreError> {
    let staged = dir.join(format!(".{name}"));
    write_durably(&staged, &json(record))?;
    rename(&staged, &dir.join(name))?;
    sync_dir(dir)
}

/// How records are written.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are not strings cannot be written, and there are none.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// Reads a record; `None`: it is not there.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| StoreError::Damaged { path: path.display().to_string(), source })
}

/// Reads a file; `None`: it is not there.
#[expect(clippy::disallowed_methods, reason = "records are holdfast's own files, not the host's")]
pub(super) fn bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// Writes a file that only root may read, and syncs it.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        // Before-images may hold what only root may read.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(io_error("write", path))
}

/// Gives a file or folder its name.
#[expect(clippy::disallowed_methods, reason = "records are holdfast's own files, not the host's")]
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(io_error("rename", from))
}

/// Makes a folder that only root may look into, and those above it.
pub(super) fn make_dir(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(io_error("make", path))
}

/// Syncs the names in a folder.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path))
}

/// The failure of doing that to a path.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::Io { action, path, source }
}
