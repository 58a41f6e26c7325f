//! Where a source's log is, and where this host's journals are.

use super::container::{self, Kept};
use crate::{host::Reader, profile::schema::LogSource};

/// Where journald keeps journals on disk, and in memory.
const ON_DISK: &str = "/var/log/journal";
pub(super) const IN_MEMORY: &str = "/run/log/journal";

/// Where a source's log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::controls::logs) enum Place {
    /// In the journal, under this `FIELD=value`.
    Journal(String),
    /// In this file, and those it is rotated to.
    File(String),
    /// Nowhere on this host that can be read: why.
    Nowhere(String),
    /// Where it is cannot be told: why.
    Unread(String),
}

/// Where a source's log is.
pub(super) fn place(host: &Reader, source: &LogSource) -> Place {
    if let Some(unit) = &source.unit {
        return Place::Journal(format!("_SYSTEMD_UNIT={unit}"));
    }
    if let Some(file) = &source.file {
        return Place::File(file.to_string());
    }
    let Some(container) = source.container.as_ref().map(ToString::to_string) else {
        return Place::Nowhere("the profile does not say where it is".to_owned());
    };
    match container::kept(host, &container) {
        Ok(Kept::Journal) => Place::Journal(format!("CONTAINER_NAME={container}")),
        Ok(Kept::File(path)) => Place::File(path),
        Ok(Kept::Elsewhere(driver)) if driver == "local" => Place::Nowhere(format!(
            "Docker keeps the output of {container} in a form of its own (driver local), which cannot be dated; use journald"
        )),
        Ok(Kept::Elsewhere(driver)) => Place::Nowhere(format!(
            "Docker keeps no output of {container} on this host (driver {driver}); use journald"
        )),
        Err(why) => Place::Unread(why),
    }
}

/// The folders in which this host's journals are, with their namespaces.
pub(super) fn dirs(host: &Reader) -> Result<Vec<(String, Option<String>)>, String> {
    let id = host.files().text("/etc/machine-id").map_err(|error| error.chain())?;
    let id = id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let Some(id) = id else {
        return Err("this host has no /etc/machine-id; run: systemd-machine-id-setup".to_owned());
    };
    let mut dirs = Vec::new();
    for base in [ON_DISK, IN_MEMORY] {
        for name in host.files().list(base).map_err(|error| error.chain())? {
            let Some(rest) = name.strip_prefix(id) else { continue };
            let namespace = rest.strip_prefix('.').map(str::to_owned);
            if rest.is_empty() || namespace.is_some() {
                dirs.push((format!("{base}/{name}"), namespace));
            }
        }
    }
    Ok(dirs)
}
