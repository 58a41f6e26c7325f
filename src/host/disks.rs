//! On which disks a device stands, by what the kernel says of block devices: through partitions, mapped devices and RAID.
//! What is written onto a disk that the host itself runs from is not carried away, whichever partition it is on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use nix::sys::stat::{major, minor};

use super::mounted::small;

/// A block device, as sysfs describes it. Devices are called by their numbers, as `MAJ:MIN`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Device {
    /// Of a partition: its disk.
    part_of: Option<String>,
    /// What a mapped device or a RAID stands on.
    stands_on: Vec<String>,
    /// Of a file that is used as a disk: what the file is on.
    file_on: Option<String>,
}

/// All of them.
pub(super) type Devices = BTreeMap<String, Device>;

/// Whether a medium is on a disk that the host runs from. A file of that disk, used as one, is a disk of its own as a medium:
/// it can be taken out no more than that disk, which is another question and may be accepted. As what the host runs from,
/// it is on both.
pub(super) fn is_own(all: &Devices, root: &str, medium: &str) -> bool {
    let own = disks(all, root, true);
    disks(all, medium, false).iter().any(|disk| own.contains(disk))
}

/// The devices that stand on no other, below one.
fn disks(all: &Devices, device: &str, through_files: bool) -> BTreeSet<String> {
    let (mut seen, mut disks) = (BTreeSet::new(), BTreeSet::new());
    let mut left = vec![device];
    while let Some(number) = left.pop() {
        let Some(device) = all.get(number).filter(|_| seen.insert(number)) else { continue };
        let before = left.len();
        left.extend(device.part_of.iter().chain(&device.stands_on).map(String::as_str));
        if left.len() == before {
            disks.insert(number.to_owned());
        }
        left.extend(device.file_on.iter().filter(|_| through_files).map(String::as_str));
    }
    disks
}

/// What sysfs says of all devices. What cannot be read is not there.
pub(super) fn read() -> Devices {
    let Ok(entries) = fs::read_dir("/sys/dev/block") else { return Devices::new() };
    let device = |entry: fs::DirEntry| {
        let folder = fs::canonicalize(entry.path()).ok()?;
        Some((entry.file_name().into_string().ok()?, one(&folder)))
    };
    entries.filter_map(|entry| device(entry.ok()?)).collect()
}

fn one(folder: &Path) -> Device {
    let disk = folder.parent().filter(|_| folder.join("partition").exists());
    let slaves = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
    let file = small(&folder.join("loop/backing_file"));
    Device {
        part_of: disk.and_then(|disk| small(&disk.join("dev"))),
        stands_on: slaves.filter_map(|slave| small(&slave.path().join("dev"))).collect(),
        file_on: file.and_then(|file| Some(number(fs::metadata(file).ok()?.dev()))),
    }
}

/// A device's number, as sysfs has it.
pub(super) fn number(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

/// The number of the device at a path, where that is one.
pub(super) fn at(path: &str) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    meta.file_type().is_block_device().then(|| number(meta.rdev()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Lines of `NUMBER`, `NUMBER part DISK`, `NUMBER on NUMBER NUMBER`, `NUMBER file NUMBER`.
    pub(in crate::host) fn described(lines: &str) -> Devices {
        let line = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let number = words.next().unwrap();
            let (what, mut others) = (words.next().unwrap_or_default(), words);
            let device = match what.as_str() {
                "part" => Device { part_of: others.next(), ..Device::default() },
                "on" => Device { stands_on: others.collect(), ..Device::default() },
                "file" => Device { file_on: others.next(), ..Device::default() },
                _ => Device::default(),
            };
            (number, device)
        };
        lines.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
    }

    /// Two disks of the machine and a stick. `/` is on RAID, encrypted, in a volume; another volume is beside it.
    const MACHINE: &str = "
        8:0
        8:1 part 8:0
        8:2 part 8:0
        8:16
        8:17 part 8:16
        8:32
        8:33 part 8:32
        9:0 on 8:2 8:17
        253:0 on 9:0
        253:1 on 253:0
        253:2 on 253:0
        253:3 on 8:33
        7:0 file 253:1
        7:1 file 8:33
        259:0 part 7:0
    ";

    #[test]
    fn whatever_stands_on_the_hosts_own_disks_is_its_own() {
        let all = described(MACHINE);
        for (device, what) in [
            ("253:1", "the very volume"),
            ("253:2", "the volume beside it"),
            ("8:1", "another partition"),
            ("8:16", "the other disk of the RAID"),
            ("9:0", "the RAID itself"),
        ] {
            assert!(is_own(&all, "253:1", device), "{what}");
        }
        for (device, what) in [
            ("8:33", "a stick"),
            ("253:3", "an encrypted stick"),
            ("7:1", "a file on a stick"),
            ("7:0", "a file of the disk, which the plan may accept"),
            ("259:0", "a partition of one"),
            ("0:40", "what is no device"),
        ] {
            assert!(!is_own(&all, "253:1", device), "{what}");
        }
    }

    #[test]
    fn a_host_that_runs_from_a_file_is_on_that_and_on_what_has_the_file() {
        let all = described(
            "8:0\n8:1 part 8:0\n8:2 part 8:0\n7:0 file 8:1\n259:0 part 7:0\n259:1 part 7:0\n7:1 file 259:0\n8:16",
        );
        for own in ["259:1", "7:0", "8:2"] {
            assert!(is_own(&all, "259:0", own), "{own}");
        }
        assert!(!is_own(&all, "259:0", "7:1") && !is_own(&all, "259:0", "8:16"));
    }

    #[test]
    fn what_goes_round_comes_to_an_end() {
        let all = described("1:0 on 1:1\n1:1 on 1:0\n2:0 file 2:0");
        assert!(!is_own(&all, "1:0", "1:1"));
        assert!(is_own(&all, "2:0", "2:0"));
        assert!(!is_own(&Devices::new(), "8:1", "8:1"), "of which nothing is known");
    }

    #[test]
    fn sysfs_of_this_machine_is_read() {
        let all = read();
        let numbers = fs::read_dir("/sys/dev/block").map_or(0, Iterator::count);
        assert_eq!(all.len(), numbers);
        let disks: Vec<&String> =
            all.values().filter_map(|device| device.part_of.as_ref()).collect();
        assert!(disks.iter().all(|disk| all.contains_key(*disk)), "{disks:?}");
    }
}
