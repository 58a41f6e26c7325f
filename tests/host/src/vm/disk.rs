//! The disk that virtual machines start from: an image with its own kernel and holdfast installed, as one ext4 file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::image::hex;
use crate::{Image, Suite, cache, image, layer, machine};

/// How long a disk that is no longer used is kept: each package under test makes one.
const KEEP_FOR: Duration = Duration::from_secs(2 * 3600);

/// The disk's size; the file is sparse.
const SIZE: &str = "3G";

/// The program that runs what tests ask for.
const AGENT: &str = include_str!("agent.pl");

/// What the initrd does: it finds the disk and goes on there.
const INIT: &str = include_str!("init.sh");

/// What the image lacks of a machine: a name, an address on its cable, and the agent.
const FILES: [(&str, &str); 5] = [
    ("etc/hostname", "holdfast-vm\n"),
    (
        "etc/hosts",
        "127.0.0.1\tlocalhost\n127.0.1.1\tholdfast-vm\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    ),
    ("etc/fstab", "/dev/vda / ext4 defaults 0 0\n"),
    (
        "etc/systemd/network/10-cable.network",
        "[Match]\nName=e*\n[Network]\nAddress=10.99.1.1/24\nAddress=fd00:99:1::1/64\nGateway=10.99.1.2\n\
         Gateway=fd00:99:1::2\nIPv6AcceptRA=no\nIPv6DuplicateAddressDetection=0\n",
    ),
    (
        "etc/systemd/system/test-agent.service",
        "[Service]\nExecStart=/usr/bin/perl /usr/local/lib/test-agent.pl\nRestart=on-failure\nKillMode=process\n\
         Environment=HOME=/root LANG=C.UTF-8\n",
    ),
];

/// Units that a machine starts beyond what its image does.
const STARTED: [(&str, &str); 2] = [
    ("test-agent.service", "/etc/systemd/system/test-agent.service"),
    ("systemd-networkd.service", "/usr/lib/systemd/system/systemd-networkd.service"),
];

/// What a machine does without: it takes an emulated processor a good part of each boot and of each reload of units, and
/// nothing that is tested meets it. A user's own systemd, which every login would start, is the dearest of the units.
const MASKED: [(&str, &[&str]); 2] = [("system", &UNITS), ("system-generators", &GENERATORS)];
const UNITS: [&str; 20] = [
    "user@0.service",
    "e2scrub_reap.service",
    "getty@tty1.service",
    "ldconfig.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-sysusers.service",
    "systemd-update-done.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
];
const GENERATORS: [&str; 12] = [
    "systemd-bless-boot-generator",
    "systemd-cryptsetup-generator",
    "systemd-factory-reset-generator",
    "systemd-gpt-auto-generator",
    "systemd-hibernate-resume-generator",
    "systemd-integritysetup-generator",
    "systemd-rc-local-generator",
    "systemd-run-generator",
    "systemd-ssh-generator",
    "systemd-system-update-generator",
    "systemd-tpm2-generator",
    "systemd-veritysetup-generator",
];

/// What the kernel cannot do without to find its disk, with what that needs in turn.
const START: &str = "virtio_pci virtio_blk ext4";

/// Makes `disk`, `kernel` and `initrd` in a directory ($2) of an overlay's layers ($1). The initrd is our own, of a few
/// modules ($4) and one script ($5): Debian's own takes longer, emulated, than all the rest of the boot.
const DISK: &str = r#"
    mount -t overlay overlay -o ro,lowerdir="$1" "$2/merged"
    mkfs.ext4 -q -d "$2/merged" "$2/disk" "$3"
    cp -L "$2"/merged/boot/vmlinuz-* "$2/kernel"
    cd "$2"
    release=$(ls merged/lib/modules)
    mkdir -p start/bin start/modules start/proc start/sys start/dev start/root
    cp merged/bin/busybox start/bin/
    printf '%s' "$5" >start/init
    chmod 755 start/init
    number=10
    for module in $4; do
        for file in $(chroot merged modprobe -S "$release" --show-depends "$module" | sed -n 's/^insmod //p'); do
            case $file in
            *.xz) merged/bin/busybox unxz -c <"merged$file" >"start/modules/$number" ;;
            *) cp "merged$file" "start/modules/$number" ;;
            esac
            number=$((number + 1))
        done
    done
    mount --bind start merged/mnt
    chroot merged sh -c 'cd /mnt && find . | cpio --quiet -o -H newc' >initrd
    umount merged/mnt
    rm -r start
"#;

/// A directory with `disk`, `kernel` and `initrd`, made if it is not in the cache. Nothing in it may be written to.
pub(super) fn ensure(suite: Suite, image: Image, deb: &Path) -> Result<PathBuf> {
    let layers = [layer::ensure(suite, image, deb)?, image::ensure(suite, image)?];
    let layer = layers[0].file_name().unwrap_or_default().to_string_lossy().into_owned();
    let recipe = hex(&Sha256::digest(format!(
        "{AGENT}{FILES:?}{STARTED:?}{MASKED:?}{SIZE}{DISK}{START}{INIT}"
    )));
    let disks = cache::subdir("disks")?;
    let path = disks.join(format!("{layer}-{}", &recipe[..8]));
    let disk = cache::once(&path, |partial| make(&layers, partial))?;
    cache::prune(&disks, KEEP_FOR)?;
    Ok(disk)
}

fn make(layers: &[PathBuf; 2], target: &Path) -> Result<()> {
    let (top, merged) = (target.join("top"), target.join("merged"));
    let write = |name: &str, text: &str| -> Result<()> {
        let path = top.join(name);
        fs::create_dir_all(path.parent().context("A file without a directory")?)?;
        fs::write(&path, text).with_context(|| format!("Cannot write {name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).context("Cannot set a mode")
    };
    for (name, text) in FILES {
        write(name, text)?;
    }
    write("usr/local/lib/test-agent.pl", AGENT)?;
    let wants = top.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    for (unit, file) in STARTED {
        symlink(file, wants.join(unit)).context("Cannot enable a unit")?;
    }
    for (dir, names) in MASKED {
        let dir = top.join("etc/systemd").join(dir);
        fs::create_dir_all(&dir)?;
        for name in names {
            symlink("/dev/null", dir.join(name)).context("Cannot mask a unit")?;
        }
    }
    // Directories of a lower layer show with the topmost layer's modes, which came from our umask.
    let mut chmod = machine::command("find");
    machine::finish(chmod.arg(&top).args(["-type", "d", "-exec", "chmod", "755", "{}", "+"]))?;
    fs::create_dir(&merged)?;

    let lower = [&top, &layers[0], &layers[1]].map(|path| path.to_string_lossy().into_owned());
    // A mount namespace ends with the script, and its mounts with it. -d copies owners, modes and extended attributes.
    let mut command = machine::command("unshare");
    command.args(["--mount", "sh", "-euc", DISK, "sh", &lower.join(":")]).args([target]).arg(SIZE);
    command.args([START, INIT]);
    machine::finish(&mut command).context("Cannot make a machine's disk")?;
    cache::remove_tree(&top)?;
    cache::remove_tree(&merged)
}
