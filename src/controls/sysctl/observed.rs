//! What is read from a host for `sysctl`: `/proc/sys`, the files for the next boot, and who needs forwarding.

use std::collections::BTreeMap;

use super::{
    containers,
    desired::Setting,
    interfaces::{self, ForAll},
};
use crate::{
    controls::dropin::{self, ConfFile, Foreign},
    engine::change::FileState,
    host::Reader,
};

/// Where holdfast's file is.
pub(super) const DIR: &str = "/etc/sysctl.d";
/// Its name: later than `99-sysctl.conf`.
pub(super) const NAME: &str = "zz-holdfast.conf";
/// Both.
pub(super) const DROP_IN: &str = "/etc/sysctl.d/zz-holdfast.conf";

const DIRS: &[&str] = &[DIR, "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

/// Where a mask of the unit that sets parameters at boot would be.
const MASKS: &[&str] =
    &["/etc/systemd/system/systemd-sysctl.service", "/run/systemd/system/systemd-sysctl.service"];

/// What a host has. Each part may be missing on its own; the reason says what to do.
#[derive(Debug)]
pub(super) struct Observed {
    /// What is where the file belongs.
    pub(super) drop_in: Result<FileState, String>,
    /// Whether the folder for it is there.
    pub(super) dir_exists: bool,
    /// All files for the next boot, in the order in which they are read.
    pub(super) files: Result<Vec<ConfFile>, String>,
    /// Files in `/etc` that come after holdfast's.
    pub(super) later: Vec<Foreign>,
    /// What masks systemd-sysctl, if anything does.
    pub(super) masked: Option<String>,
    /// Live values, by path; `None`: this kernel does not have it.
    pub(super) live: BTreeMap<String, Result<Option<String>, String>>,
    /// The kind of container this host is.
    pub(super) container: Option<String>,
    /// The paths that are the machine's and not this container's; empty where this host is no container.
    pub(super) shared: Vec<String>,
    /// What gives a container engine away on this host, where that matters.
    pub(super) engine: Option<String>,
    /// What `all` is about: by its path, the interfaces and their own values.
    pub(super) interfaces: BTreeMap<String, Vec<Interface>>,
}

/// One interface's own share of a setting for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    /// Its name.
    pub(super) name: String,
    /// The path of its own value.
    pub(super) path: String,
    /// Its own value.
    pub(super) own: i64,
    /// Whether it forwards packets.
    pub(super) forwards: bool,
}

impl Observed {
    pub(super) async fn read(host: &Reader, settings: &[Setting]) -> Self {
        let names = host.files().list("/sys/class/net").unwrap_or_default();
        let breaks = settings.iter().any(|setting| containers::broken_by(setting).is_some());
        let engine = if breaks { containers::engine(host, &names).await } else { None };
        let live = settings.iter().map(|setting| {
            let value = host.files().text(&live_path(&setting.path)).map_err(|error| {
                let hint = if error.is_permission() { "; run holdfast as root" } else { "" };
                format!("{}{hint}", error.chain())
            });
            (setting.path.clone(), value.map(|text| text.map(|text| fields(&text))))
        });
        let container = host.container();
        let shared = settings
            .iter()
            .filter(|_| container.is_some())
            .filter(|setting| !is_namespaced(&setting.path))
            .map(|setting| setting.path.clone());
        let interfaces = settings.iter().filter_map(|setting| {
            let all = interfaces::for_all(setting)?;
            Some((setting.path.clone(), shares(host, &names, &all)))
        });
        Self {
            drop_in: host.files().state(DROP_IN).map_err(|error| error.chain()),
            dir_exists: host.files().exists(DIR),
            files: dropin::conf_files(host, DIRS).map_err(|error| error.chain()),
            // What cannot be read cannot be moved either, and is reported by the file itself.
            later: Foreign::after(host, DIR, NAME).unwrap_or_default(),
            masked: MASKS.iter().find(|path| is_mask(host, path)).map(|path| (*path).to_owned()),
            live: live.collect(),
            shared: shared.collect(),
            container,
            engine,
            interfaces: interfaces.collect(),
        }
    }
}

/// Whether a container has a parameter of its own: those of its network, IPC, UTS and user namespaces. All others are
/// the machine's. A container that may write them (they are usually read-only there, though not in every unit's mount
/// namespace) would change the machine.
fn is_namespaced(path: &str) -> bool {
    const OWN: [&str; 7] = [
        "net/",
        "user/",
        "fs/mqueue/",
        "kernel/msg",
        "kernel/shm",
        "kernel/sem",
        "kernel/domainname",
    ];
    OWN.iter().any(|own| path.starts_with(own)) || path == "kernel/hostname"
}

fn live_path(path: &str) -> String {
    format!("/proc/sys/{path}")
}

fn fields(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_mask(host: &Reader, path: &str) -> bool {
    match host.files().state(path) {
        Ok(FileState::Symlink { target, .. }) => target == "/dev/null",
        Ok(FileState::File { content, .. }) => content.as_bytes().is_empty(),
        _ => false,
    }
}

/// The interfaces' own values; one that goes away in the meantime is left out.
fn shares(host: &Reader, names: &[String], all: &ForAll) -> Vec<Interface> {
    let number = |path: &str| -> Option<i64> {
        host.files().text(&live_path(path)).ok().flatten()?.trim().parse().ok()
    };
    let ours = names.iter().filter(|name| !interfaces::is_left_alone(name));
    ours.filter_map(|name| {
        let path = all.path(name);
        let own = number(&path)?;
        let forwards = number(&all.forwarding(name)) == Some(1);
        Some(Interface { name: name.clone(), path, own, forwards })
    })
    .collect()
}
