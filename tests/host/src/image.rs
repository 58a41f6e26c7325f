//! Bare Debian root file systems, made once by mmdebstrap: the usual one, and those that few tests ask for.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{Suite, cache, machine, majors};

/// What an image has beyond Debian's essential packages: what hosts run, and what tests look with. The two libraries are
/// what systemd-sysv recommends and every installed Debian has: logins become sessions, dynamic users have names.
const PACKAGES: &str = "systemd,systemd-sysv,libpam-systemd,libnss-systemd,dbus,nftables,iproute2,openssh-server,openssh-client,\
                        procps,kmod,ca-certificates,strace,attr,acl,e2fsprogs,iputils-ping,less";

/// Container engines as Debian ships them, with what each needs of what it only recommends, and a shell that needs no
/// library, to make images of without a registry.
const ENGINES: &str = "docker.io,iptables,podman,netavark,crun,busybox-static";

/// What writes journals with any timestamps, to make hosts of any age.
const JOURNALS: &str = "systemd-journal-remote";

/// A kernel for a virtual machine, and what makes the initramfs that finds its disk.
const KERNEL: &str = "linux-image-cloud-amd64,initramfs-tools,zstd,busybox-static,udev";

/// The same of computers that stand somewhere: the kernel for clouds knows no USB. With what makes file systems on media and
/// breaks them, and opens what is on them.
const COMPUTER: &str =
    "linux-image-amd64,initramfs-tools,zstd,busybox-static,udev,age,dosfstools,exfatprogs,dmsetup";

/// What rotates files on every Debian that an installer has made.
const ROTATION: &str = "logrotate";

/// PostgreSQL as Debian ships it, what people open a backup or a sheet of paper with when they have no holdfast, and what
/// tells one program another time.
const DATABASE: &str = "postgresql,age,zstd,zbar-tools,poppler-utils,libfaketime";

/// What a host is made of. Each is made when a test first asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Image {
    /// What every host has.
    #[default]
    Plain,
    /// With Docker and Podman, and rights for them that go far, though never to this machine itself.
    Containers,
    /// With a PostgreSQL server: 15 on Debian 12, 17 on Debian 13.
    Postgres,
    /// The same with PostgreSQL 14, 16 and 18 beside it.
    Majors,
    /// With systemd-journal-remote, which makes journals of any age.
    Journals,
    /// With a kernel of its own: for [`crate::Machine`].
    Machine,
    /// With the kernel of a computer that has USB: for [`crate::Machine`], too.
    Computer,
    /// With logrotate.
    Rotation,
}

impl Image {
    /// What it has beyond [`PACKAGES`].
    fn more(self, suite: Suite) -> String {
        match (self, suite) {
            (Image::Plain, _) => String::new(),
            // Debian 13 has packed Docker's client on its own.
            (Image::Containers, Suite::Trixie) => format!(",{ENGINES},docker-cli"),
            (Image::Containers, Suite::Bookworm) => format!(",{ENGINES}"),
            (Image::Postgres | Image::Majors, _) => format!(",{DATABASE}"),
            (Image::Journals, _) => format!(",{JOURNALS}"),
            (Image::Machine, _) => format!(",{KERNEL}"),
            (Image::Computer, _) => format!(",{COMPUTER}"),
            (Image::Rotation, _) => format!(",{ROTATION}"),
        }
    }

    /// Whether it has a database server.
    pub(crate) fn has_postgres(self) -> bool {
        matches!(self, Image::Postgres | Image::Majors)
    }
}

/// Raised whenever [`finish`] changes, so that older images are not taken for new ones.
const RECIPE: &str = "1";

/// The image of a release, made if it is not in the cache. The directory must not be written to.
///
/// # Errors
/// When this machine lacks something, or mmdebstrap fails; its log is in the error.
pub fn ensure(suite: Suite, image: Image) -> Result<PathBuf> {
    machine::check()?;
    let packages = format!("{PACKAGES}{}", image.more(suite));
    let more = if image == Image::Majors { format!("{:?}", majors::BUILDS) } else { String::new() };
    let key = hex(&Sha256::digest(format!("{suite}\n{packages}\n{RECIPE}{more}")));
    let images = cache::subdir("images")?;
    let image = cache::once(&images.join(format!("{suite}-{}", &key[..12])), |partial| {
        bootstrap(suite, &packages, partial)?;
        if image == Image::Majors {
            majors::install(partial)?;
        }
        finish(partial)
    })?;
    cache::prune(&images, KEEP_FOR)?;
    Ok(image)
}

/// How long an image that is no longer used is kept: other checkouts may have other package lists.
const KEEP_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Unpacks a release with these packages into an empty directory.
fn bootstrap(suite: Suite, packages: &str, target: &Path) -> Result<()> {
    let mirror = machine::mirror()?;
    let log_path = target.with_extension("log");
    let log = File::create(&log_path).context("Cannot make the log of mmdebstrap")?;
    // A mount namespace of its own: killed half-way, it leaves no mount of /proc in the cache.
    let mut command = machine::command("unshare");
    command
        .args(["--mount", "--kill-child", "--fork", "mmdebstrap", "--variant=minbase"])
        .arg(format!("--include={packages}"))
        .arg(suite.to_string())
        .args([target, Path::new(&mirror)])
        .stdout(Stdio::null())
        .stderr(log);
    for name in ["http_proxy", "https_proxy", "no_proxy"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let status = command.status().context("Cannot start mmdebstrap")?;
    if !status.success() {
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        bail!("mmdebstrap for {suite} ended with {status}:\n{log}");
    }
    Ok(())
}

/// Takes out what ties the image to this machine or to one boot.
fn finish(root: &Path) -> Result<()> {
    // mmdebstrap leaves this machine's own name and resolver in the image.
    for name in ["etc/hostname", "etc/resolv.conf"] {
        let path = root.join(name);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).with_context(|| format!("Cannot remove {name}"))?;
        }
    }
    let write = |name: &str, text: &str| {
        fs::write(root.join(name), text).with_context(|| format!("Cannot write {name}"))
    };
    // Empty, not absent: each boot makes its own, and systemd does not think of a first boot.
    write("etc/machine-id", "")?;
    write("etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")?;
    // The partial directory's mode came from our umask.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))
        .context("Cannot set the root's mode")
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
