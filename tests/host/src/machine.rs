//! What this machine must have, and how the harness runs its programs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// The search path for the machine's own programs and for those in a host.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Programs that a boot needs, each with the Debian package that has it.
const PROGRAMS: [(&str, &str); 11] = [
    ("systemd-nspawn", "systemd-container"),
    ("mmdebstrap", "mmdebstrap"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("dpkg-deb", "dpkg"),
    ("ssh", "openssh-client"),
    ("strace", "strace"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
];

/// Makes sure that this process is root and that the machine has every program a boot needs.
///
/// # Errors
/// One sentence that names what is missing and the `apt-get` line that installs it.
pub(crate) fn check() -> Result<()> {
    static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
    CHECKED
        .get_or_init(|| {
            if !nix::unistd::geteuid().is_root() {
                return Err("Test hosts need root: run the tests as root".into());
            }
            let missing = |program: &str| {
                !PATH.split(':').any(|dir| Path::new(dir).join(program).exists())
            };
            let mut packages: Vec<&str> = PROGRAMS
                .iter()
                .filter(|(program, _)| missing(program))
                .map(|(_, package)| *package)
                .collect();
            packages.dedup();
            if packages.is_empty() {
                return Ok(());
            }
            Err(format!(
                "Test hosts need programs that are not installed; run: apt-get install -y --no-install-recommends {}",
                packages.join(" ")
            ))
        })
        .clone()
        .map_err(anyhow::Error::msg)
}

/// Like [`check`], with what virtual machines need beyond it.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_for_vms() -> Result<()> {
    check()?;
    let has = |program: &str| PATH.split(':').any(|dir| Path::new(dir).join(program).exists());
    if has("qemu-system-x86_64") && has("mkfs.ext4") {
        return Ok(());
    }
    bail!(
        "Virtual machines need programs that are not installed; run: apt-get install -y --no-install-recommends qemu-system-x86 e2fsprogs"
    )
}

/// Whether systemd is PID 1 of this machine (the test that `sd_booted(3)` makes).
pub(crate) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A command of this machine with a clean environment and no input.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// Runs a command of this machine to its end and returns its standard output.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the error has its standard error.
pub(crate) fn capture(program: &str, args: &[&str]) -> Result<String> {
    finish(command(program).args(args))
}

/// Like [`capture`], for a command that is already put together.
pub(crate) fn finish(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("Cannot start {command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The repository that serves Debian's `main` to this machine, as apt itself understands its sources.
///
/// `HOLDFAST_TEST_MIRROR` overrides it.
///
/// # Errors
/// When apt knows no such repository.
pub(crate) fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("HOLDFAST_TEST_MIRROR") {
        return Ok(mirror);
    }
    // apt reads both forms of its sources for us; the origin is known once lists have been fetched.
    let format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)";
    let listing =
        capture("apt-get", &["indextargets", "--format", format, "Created-By: Packages"])?;
    best_mirror(&listing)
        .context("apt's sources name no Debian repository; set HOLDFAST_TEST_MIRROR to one")
}

/// Picks from lines of `uri|release|component|origin` the likeliest Debian archive.
fn best_mirror(listing: &str) -> Option<String> {
    let rank = |line: &str| -> Option<(u8, String)> {
        let mut fields = line.split('|');
        let (uri, release, component, origin) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        // Security and update suites have names with a dash; they lack most packages.
        if component != "main" || release.contains('-') || release.contains('/') {
            return None;
        }
        let uri = uri.trim_end_matches('/');
        let debian_path = uri.ends_with("/debian") || uri.starts_with("mirror");
        match (origin, debian_path) {
            ("Debian", _) => Some((0, uri.to_owned())),
            ("", true) => Some((1, uri.to_owned())),
            _ => None,
        }
    };
    listing.lines().filter_map(rank).min_by_key(|(rank, _)| *rank).map(|(_, uri)| uri)
}

#[cfg(test)]
mod tests {
    use super::best_mirror;

    #[test]
    fn takes_debian_main_and_nothing_else() {
        let third = "https://other.example/apt/|bookworm|main|Other";
        let updates = "http://a.example/debian/|bookworm-updates|main|Debian";
        let known = "http://a.example/deb/|bookworm|main|Debian";
        let unfetched = "http://b.example/debian/|trixie|main|";
        let pick = |lines: &[&str]| best_mirror(&lines.join("\n"));
        assert_eq!(pick(&[third, updates, known]).as_deref(), Some("http://a.example/deb"));
        assert_eq!(pick(&[unfetched, known]).as_deref(), Some("http://a.example/deb"));
        assert_eq!(pick(&[third, unfetched]).as_deref(), Some("http://b.example/debian"));
        assert_eq!(pick(&[third, updates]), None);
    }
}
