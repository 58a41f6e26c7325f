//! The limits of a journal namespace: journald's own defaults, unless its own drop-in says otherwise.

use std::collections::BTreeSet;

use super::{own::Own, sizing};
use crate::{
    controls::journal::drop_in,
    host::{HostError, Reader},
    profile::{schema::Logs, types::TimeSpan},
};

/// Where the configuration of namespaces is, journald.conf(5).
const DIR: &str = "/etc/systemd";

/// It sorts after what others are likely to name theirs.
const FILE: &str = "zz-holdfast.conf";

/// A namespace's drop-in, and what is there.
pub(super) async fn own(
    name: &str,
    keep: TimeSpan,
    logs: &Logs,
    size: Option<u64>,
    host: &Reader,
) -> Own {
    let journal = sizing::namespace_for(keep, logs, size);
    Own { wanted: drop_in(&journal), ..at(name, host).await }
}

/// The drop-ins of namespaces in which no source is any more.
pub(super) async fn left_over(host: &Reader, wanted: &BTreeSet<String>) -> Vec<Own> {
    let mut found = Vec::new();
    for folder in host.files().list(DIR).unwrap_or_default() {
        let name = folder.strip_prefix("journald@").and_then(|rest| rest.strip_suffix(".conf.d"));
        let path = format!("{DIR}/{folder}/{FILE}");
        if let Some(name) = name.filter(|_| !wanted.contains(&path))
            && host.files().exists(&path)
        {
            found.push(at(name, host).await);
        }
    }
    found
}

async fn at(name: &str, host: &Reader) -> Own {
    let dir = format!("{DIR}/journald@{name}.conf.d");
    let path = format!("{dir}/{FILE}");
    let unit = format!("systemd-journald@{name}.service");
    Own {
        subject: format!("journald@{name}"),
        dir_exists: host.files().exists(&dir),
        found: host.files().state(&path).map_err(|error| error.chain()),
        is_read: is_read(host, &unit, &path).await.map_err(|error| error.chain()).transpose(),
        dir,
        path,
        wanted: None,
        not_yet: None,
        read_by: Some(unit),
    }
}

/// Whether the namespace's journald was started after the file last changed; `None` where it does not run.
async fn is_read(host: &Reader, unit: &str, path: &str) -> Result<Option<bool>, HostError> {
    let status = host.systemd().await?.unit(unit).await?;
    let changed = host.files().changed_at(path)?;
    Ok(changed.filter(|_| status.is_running()).map(|changed| changed.as_micros() <= status.begun))
}
