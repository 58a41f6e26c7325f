//! Notes of what was seen last, in `/run`: holdfast's own, and gone with the boot. One that is damaged, or that anybody but root
//! could have written, counts as none.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Files, HostError};

/// Where they are.
const FOLDER: &str = "/run/holdfast/watched";

/// Permission bits of those who are not the owner.
const OTHERS: u32 = 0o077;

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}.json")
}

/// The note of this name; `None` when there is none that counts.
pub fn note<T: DeserializeOwned>(files: &Files, name: &str) -> Option<T> {
    let path = path(name);
    let is_roots =
        |meta: &fs::Metadata| meta.is_file() && meta.uid() == 0 && meta.mode() & OTHERS == 0;
    fs::symlink_metadata(files.locate(&path)).ok().filter(is_roots)?;
    serde_json::from_str(&files.text(&path).ok()??).ok()
}

/// Puts a note in the place of the one before it, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn keep<T: Serialize>(name: &str, note: &T) -> Result<(), HostError> {
    let (path, new) = (path(name), format!("{FOLDER}/.{name}.{}", std::process::id()));
    let write = || {
        DirBuilder::new().recursive(true).mode(0o700).create(FOLDER)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(note)?)?;
        #[expect(clippy::disallowed_methods, reason = "src/host is where files are written")]
        fs::rename(&new, &path)
    };
    write().map_err(HostError::file("write", &*path))
}
