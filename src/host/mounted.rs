//! What is mounted on a folder, and on what kind of device that is.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    Files, HostError,
    disks::{self, Devices},
};

/// What the kernel says of what is mounted on a folder. What cannot be known is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Mounted {
    /// Whether anything is mounted on the folder itself.
    pub is_mount: bool,
    /// The kind of its file system.
    pub file_system: String,
    /// Whether it can be written to.
    pub is_writable: bool,
    /// Whether it is on a disk that this host itself runs from.
    #[serde(default)]
    pub is_own: bool,
    /// Whether the device can be taken out, or hangs on USB.
    pub is_removable: Option<bool>,
    /// Whether what is written goes through dm-crypt.
    pub is_encrypted: Option<bool>,
    /// The serial number that the device tells.
    pub serial: Option<String>,
    /// The device's name in the kernel.
    pub device: Option<String>,
}

/// Looks what is mounted on a folder.
///
/// # Errors
/// When there is no such folder, or the kernel does not tell what is mounted.
pub fn look(folder: &str) -> Result<Mounted, HostError> {
    let meta = fs::metadata(folder).map_err(HostError::file("look at", folder))?;
    if !meta.is_dir() {
        return Err(HostError::Refused(format!("{folder} is not a folder")));
    }
    let files = Files::below("/");
    let list = files.text("/proc/self/mountinfo")?.unwrap_or_default();
    let Some(mount) = list.lines().rev().find_map(|line| Mount::parse(line, folder)) else {
        return Ok(Mounted::default());
    };
    let all = disks::read();
    let number = device(&mount, meta.dev(), &all, disks::at);
    let sysfs = |number| fs::canonicalize(Path::new("/sys/dev/block").join(number)).ok();
    let block = number.as_ref().and_then(sysfs);
    let root = fs::metadata("/").map_err(HostError::file("look at", "/"))?.dev();
    let root_mount = list.lines().rev().find_map(|line| Mount::parse(line, "/"));
    let root_number = root_mount.and_then(|mount| device(&mount, root, &all, disks::at));
    let both = root_number.zip(number.as_ref());
    let is_on_its_disk = both.is_some_and(|(root, medium)| disks::is_own(&all, &root, medium));
    let (is_removable, is_encrypted, serial) = block.as_deref().map_or((None, None, None), below);
    Ok(Mounted {
        is_mount: true,
        file_system: mount.file_system,
        is_writable: mount.is_writable,
        is_own: root == meta.dev() || is_on_its_disk,
        is_removable,
        is_encrypted,
        serial,
        device: block.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
    })
}

/// A line of mountinfo (proc(5)).
struct Mount {
    device: String,
    source: String,
    file_system: String,
    is_writable: bool,
}

impl Mount {
    fn parse(line: &str, folder: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let [_, _, device, _, place, options, ..] = left.as_slice() else { return None };
        if unescaped(place) != folder {
            return None;
        }
        let writable = |options: &str| options.split(',').any(|option| option == "rw");
        Some(Self {
            device: (*device).to_owned(),
            source: unescaped(right.get(1)?),
            file_system: (*right.first()?).to_owned(),
            is_writable: writable(options) && writable(right.get(2)?),
        })
    }
}

/// Spaces and their like stand as octal numbers.
fn unescaped(place: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(place.to_owned(), |text, (code, character)| text.replace(code, character))
}

/// The number of the device of a mount. Btrfs has numbers of its own in mountinfo and in the file's metadata, and names the
/// device that it was mounted from; overlays have none, and then nothing is known of what is below.
fn device(
    mount: &Mount,
    dev: u64,
    all: &Devices,
    at: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let numbers = [Some(mount.device.clone()), Some(disks::number(dev)), at(&mount.source)];
    numbers.into_iter().flatten().find(|number| all.contains_key(number))
}

/// What is below a device in sysfs: whether it can be taken out, whether it is encrypted, and its serial number.
fn below(device: &Path) -> (Option<bool>, Option<bool>, Option<String>) {
    let mut encrypted = false;
    let mut device = device.to_owned();
    // A mapped device stands on others; of several that it stands on, one is as good as another here.
    for _ in 0..8 {
        let read = |name: &str| small(&device.join(name));
        encrypted |= read("dm/uuid").is_some_and(|uuid| is_crypt(&uuid));
        let slaves = fs::read_dir(device.join("slaves")).ok();
        let Some(slave) = slaves.and_then(|mut slaves| slaves.next()?.ok()) else { break };
        let Ok(next) = fs::canonicalize(slave.path()) else { return (None, None, None) };
        device = next;
    }
    let disk =
        if device.join("partition").exists() { device.parent().map(Path::to_owned) } else { None };
    let disk = disk.unwrap_or(device);
    let is_hub = |folder: &Path| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("usb"))
    };
    let hangs_on_usb = disk.ancestors().any(is_hub);
    let removable = small(&disk.join("removable")).map(|flag| flag == "1" || hangs_on_usb);
    // That of a USB device stands some folders up; above it the hub has one of its own.
    let serial = ["serial", "device/serial"].iter().find_map(|name| small(&disk.join(name)));
    let mut above = disk.ancestors().take_while(|folder| hangs_on_usb && !is_hub(folder));
    let usb = || above.find_map(|folder| small(&folder.join("serial")));
    (removable, Some(encrypted), serial.or_else(usb))
}

/// Whether what a mapped device is called by cryptsetup is encryption: it makes devices that only compare, too.
fn is_crypt(uuid: &str) -> bool {
    let compares = ["CRYPT-VERITY-", "CRYPT-INTEGRITY-"];
    uuid.starts_with("CRYPT-") && !compares.iter().any(|kind| uuid.starts_with(kind))
}

/// A line of sysfs; `None` when there is none. What a device says is shown to people: it moves no cursor of theirs.
pub(super) fn small(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    let text = text.trim();
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read() {
        let line = "36 35 8:17 / /media/co\\040ld rw,noatime shared:1 - vfat /dev/sdb1 rw,errors=remount-ro";
        let mount = Mount::parse(line, "/media/co ld").unwrap();
        assert_eq!((mount.device.as_str(), mount.file_system.as_str()), ("8:17", "vfat"));
        assert_eq!(mount.source, "/dev/sdb1");
        assert!(mount.is_writable);
        assert!(Mount::parse(line, "/media").is_none());
        let read_only = line.replace("rw,errors", "ro,errors");
        assert!(!Mount::parse(&read_only, "/media/co ld").unwrap().is_writable);
    }

    /// Each subvolume has numbers of its own, which are no device's.
    #[test]
    fn a_subvolume_is_on_the_disk_that_it_was_mounted_from() {
        let all = disks::tests::described("8:0\n8:2 part 8:0\n8:16\n8:17 part 8:16");
        let at = |source: &str| match source {
            "/dev/sda2" => Some("8:2".to_owned()),
            "/dev/sdb1" => Some("8:17".to_owned()),
            _ => None,
        };
        let device = |line: &str, place: &str| {
            let mount = Mount::parse(line, place).unwrap();
            device(&mount, nix::sys::stat::makedev(0, 31), &all, at)
        };
        let root = device("30 1 0:26 /@ / rw - btrfs /dev/sda2 rw,subvol=/@", "/").unwrap();
        let cold = "/media/cold";
        let beside = device("40 30 0:26 /@cold /media/cold rw - btrfs /dev/sda2 rw", cold).unwrap();
        assert!(disks::is_own(&all, &root, &beside));
        let stick = device("40 30 0:40 / /media/cold rw - btrfs /dev/sdb1 rw", cold).unwrap();
        assert!(!disks::is_own(&all, &root, &stick));
        assert_eq!(device("40 30 0:40 / /media/cold rw - tmpfs medium rw", cold), None);
    }

    #[test]
    fn a_mapped_device_that_only_compares_is_not_encrypted() {
        assert!(is_crypt("CRYPT-LUKS2-0123-cold") && is_crypt("CRYPT-PLAIN-cold"));
        for uuid in ["CRYPT-VERITY-0123-root", "CRYPT-INTEGRITY-x", "LVM-0123"] {
            assert!(!is_crypt(uuid), "{uuid}");
        }
    }

    #[test]
    fn what_is_mounted_on_proc_is_no_medium() {
        let mounted = look("/proc").unwrap();
        assert!(mounted.is_mount);
        assert_eq!((mounted.file_system.as_str(), mounted.is_removable), ("proc", None));
        assert!(look("/nonexistent").is_err());
        assert!(!look("/proc/self").unwrap_or_default().is_mount);
    }
}
