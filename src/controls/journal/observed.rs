//! What is read from a host for `journal`: files, two heads of journal files, and systemd over its bus.

use crate::{
    controls::dropin::{self, ConfFile, Foreign},
    engine::change::FileState,
    host::{
        HostError, Reader,
        bus::UnitStatus,
        clock,
        journal_files::{Header, State},
    },
};

/// Where holdfast's drop-in is.
pub(super) const DIR: &str = "/etc/systemd/journald.conf.d";
/// Its name: later than what packages and people choose.
pub(super) const NAME: &str = "zz-holdfast.conf";
/// Both.
pub(super) const DROP_IN: &str = "/etc/systemd/journald.conf.d/zz-holdfast.conf";

/// The unit that is journald.
pub(super) const JOURNALD: &str = "systemd-journald.service";
/// The unit that has journald write to the disk once `/var` is there.
pub(super) const FLUSH: &str = "systemd-journal-flush.service";

const DROP_IN_DIRS: &[&str] = &[
    DIR,
    "/run/systemd/journald.conf.d",
    "/usr/local/lib/systemd/journald.conf.d",
    "/usr/lib/systemd/journald.conf.d",
];

/// How often the heads of the journal's files are read until they are of one moment.
const LOOKS: usize = 3;

/// The main file. Debian 12's systemd reads the first of these only, later ones the first that is there.
const MAIN_FILES: &[&str] = &[
    "/etc/systemd/journald.conf",
    "/run/systemd/journald.conf",
    "/usr/local/lib/systemd/journald.conf",
    "/usr/lib/systemd/journald.conf",
];

/// journald makes this file once it has been asked to write to the disk.
pub(super) const FLUSHED: &str = "/run/systemd/journal/flushed";

/// What a host has. Each part may be missing on its own; the reason says what to do.
#[derive(Debug)]
pub(super) struct Observed {
    /// What is where the drop-in belongs.
    pub(super) drop_in: Result<FileState, String>,
    /// Whether the folder for it is there.
    pub(super) dir_exists: bool,
    /// The main file and the drop-ins, in the order in which journald reads them.
    pub(super) files: Result<Vec<ConfFile>, String>,
    /// Drop-ins in `/etc` that come after holdfast's.
    pub(super) later: Vec<Foreign>,
    /// The configuration file or folder that changed last, and when, in microseconds since the epoch.
    pub(super) newest: Result<Option<(String, u64)>, String>,
    /// When that was looked at, likewise.
    pub(super) now: u64,
    /// journald itself.
    pub(super) journald: Result<UnitStatus, String>,
    /// Where journald writes.
    pub(super) written: Result<Written, String>,
    /// Set where journald has a journal in memory, or was never asked to write to the disk.
    pub(super) unflushed: Option<Unflushed>,
}

/// What has to be known to have journald write out what it has in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unflushed {
    /// The unit that asks it to.
    pub(super) unit: UnitStatus,
    /// Whether journald believes that it has: it then starts on the disk, and leaves alone what is in memory.
    pub(super) is_marked: bool,
}

/// The journal files that journald has open, or had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The one on disk.
    pub(super) disk_path: String,
    /// What it is.
    pub(super) disk: OnDisk,
    /// The one in memory.
    pub(super) memory_path: String,
    /// Its head, where there is such a file.
    pub(super) memory: Option<Head>,
}

/// What the head of a journal file says of who writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// journald will not write to it any more.
    pub(super) archived: bool,
    /// How many entries are in it.
    pub(super) entries: u64,
    /// When the newest one was written, in microseconds since the epoch; 0 when there is none.
    pub(super) tail: u64,
}

impl From<Header> for Head {
    fn from(header: Header) -> Self {
        let archived = header.state == State::Archived;
        Self { archived, entries: header.entries, tail: header.tail }
    }
}

/// What is where journald writes its journal on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// Nothing.
    Missing,
    /// Something that is no journal file.
    Other,
    /// A journal file with this head.
    Journal(Head),
}

impl Observed {
    pub(super) async fn read(host: &Reader) -> Self {
        let files = files(host);
        let newest = match &files {
            Ok(files) => newest(host, files),
            Err(why) => Err(why.clone()),
        };
        let unit = |name: &'static str| async move { host.systemd().await?.unit(name).await };
        let journald = unit(JOURNALD).await.map_err(|error: HostError| error.chain());
        let written = written(host);
        let is_marked = host.files().exists(FLUSHED);
        let has_memory = written.as_ref().is_ok_and(|written| written.memory.is_some());
        let unflushed = if is_marked && !has_memory {
            None
        } else {
            unit(FLUSH).await.ok().map(|unit| Unflushed { unit, is_marked })
        };
        Self {
            drop_in: host.files().state(DROP_IN).map_err(|error| error.chain()),
            dir_exists: host.files().exists(DIR),
            files,
            // What cannot be read cannot be moved either, and is reported by the file itself.
            later: Foreign::after(host, DIR, NAME).unwrap_or_default(),
            newest,
            now: u64::try_from(clock::now().as_microsecond()).unwrap_or_default(),
            journald,
            written,
            unflushed,
        }
    }
}

/// The configuration of journald, in the order in which it counts.
pub(super) fn files(host: &Reader) -> Result<Vec<ConfFile>, String> {
    let release = host.files().text("/usr/lib/os-release").ok().flatten().unwrap_or_default();
    let is_bookworm = release.lines().any(|line| line == "VERSION_ID=\"12\"");
    let main_files = if is_bookworm { &MAIN_FILES[..1] } else { MAIN_FILES };
    let mut files = Vec::new();
    for path in main_files {
        let text = match host.files().text(path) {
            Ok(None) => continue,
            Ok(Some(text)) => Ok(text),
            Err(error) => Err(error.chain()),
        };
        files.push(ConfFile { path: (*path).to_owned(), text });
        break;
    }
    files.extend(dropin::conf_files(host, DROP_IN_DIRS).map_err(|error| error.chain())?);
    Ok(files)
}

/// The same of a namespace's journald, which reads files of its own only.
pub(super) fn files_of_namespace(host: &Reader, name: &str) -> Result<Vec<ConfFile>, String> {
    let dirs = ["/etc", "/run", "/usr/local/lib", "/usr/lib"];
    let mut files = Vec::new();
    for dir in dirs {
        let path = format!("{dir}/systemd/journald@{name}.conf");
        if let Some(text) = host.files().text(&path).map_err(|error| error.chain())? {
            files.push(ConfFile { path, text: Ok(text) });
            break;
        }
    }
    let dirs = dirs.map(|dir| format!("{dir}/systemd/journald@{name}.conf.d"));
    let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
    files.extend(dropin::conf_files(host, &dirs).map_err(|error| error.chain())?);
    Ok(files)
}

/// The youngest change: of a file, or of a folder, whose time tells that a file is gone.
fn newest(host: &Reader, files: &[ConfFile]) -> Result<Option<(String, u64)>, String> {
    let mut newest: Option<(String, u64)> = None;
    let changed =
        files.iter().map(|file| (file.path.as_str(), host.files().changed_at(&file.path)));
    let dirs = DROP_IN_DIRS.iter().map(|dir| (*dir, host.files().modified_at(dir)));
    for (path, time) in changed.chain(dirs) {
        let Some(time) = time.map_err(|error| error.chain())? else { continue };
        if newest.as_ref().is_none_or(|(_, newest)| time.as_micros() > *newest) {
            newest = Some((path.to_owned(), time.as_micros()));
        }
    }
    Ok(newest)
}

fn written(host: &Reader) -> Result<Written, String> {
    let id = host.files().text("/etc/machine-id").map_err(|error| error.chain())?;
    let id = id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let Some(id) = id else {
        return Err("this host has no /etc/machine-id; run: systemd-machine-id-setup".to_owned());
    };
    let disk_path = format!("/var/log/journal/{id}/system.journal");
    let memory_path = format!("/run/log/journal/{id}/system.journal");
    let head = |path: &str| {
        let head = host.files().journal_head(path).map_err(|error| {
            let hint = if error.is_permission() { "; run holdfast as root" } else { "" };
            format!("{}{hint}", error.chain())
        })?;
        Ok::<_, String>(match head {
            None => OnDisk::Missing,
            Some(Err(_)) => OnDisk::Other,
            Some(Ok(header)) => OnDisk::Journal(header.into()),
        })
    };
    let mut disk = head(&disk_path)?;
    let mut looks = 1;
    loop {
        let memory = match head(&memory_path)? {
            OnDisk::Journal(header) => Some(header),
            OnDisk::Missing | OnDisk::Other => None,
        };
        // Flushed between the two looks, entries would be in neither; on a busy host something is written at any time.
        let again = head(&disk_path)?;
        if again == disk || looks == LOOKS {
            return Ok(Written { disk_path, disk: again, memory_path, memory });
        }
        (disk, looks) = (again, looks + 1);
    }
}
