//! The handle that can look at everything and change nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{net::UdpSocket, sync::OnceCell, time::timeout};

use super::{
    HostError,
    accounts::{self, Account, Secret, parse_passwd},
    ancestry::{self, Ancestor},
    break_glass,
    bus::Systemd,
    clock::{self, Moment},
    docker::{self, Question},
    endpoints::{self, Endpoint},
    files::Files,
    nft::{self, Listing, OwnTable},
    open_files::{self, FileWriter},
    process::{self, Output},
    routes,
    sockets::{self, Listener},
};
use crate::engine::document::{self, Bulk};

/// The commands a reader may run: a program and the arguments it must be given first. All of them only print.
const READ_ONLY: &[(&str, &[&str])] = &[
    ("sshd", &["-T"]),
    ("sshd", &["-t"]),
    ("nft", &["-n", "-t", "list", "ruleset"]),
    ("podman", &["ps", "--format", "json"]),
    ("podman", &["inspect", "--type", "container", "--format", "{{json .HostConfig.LogConfig}}"]),
    ("nft", &nft::DECLARED),
    ("nft", &["-a", "-s", "-n", "list", "chain"]),
    ("journalctl", crate::evidence::anchor::ASK),
];

/// A random number that the kernel draws at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Loopback takes microseconds; a packet that has not arrived by then was dropped.
const LOOP_LIMIT: Duration = Duration::from_millis(50);

/// Looks at a host. Given to everything that observes; has no way to change anything.
#[derive(Debug)]
pub struct Reader {
    files: Files,
    systemd: OnceCell<Systemd>,
    /// The last commands that nft and this kernel were shown, and what they made of them.
    canonical: Mutex<Option<(String, Value)>>,
}

impl Reader {
    /// The live host.
    pub fn live() -> Self {
        Self::below("/")
    }

    /// A host whose files are below `root`; programs, bus and kernel are still the live ones.
    pub fn below(root: impl Into<std::path::PathBuf>) -> Self {
        Self { files: Files::below(root), systemd: OnceCell::new(), canonical: Mutex::new(None) }
    }

    /// Its files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Its accounts, in the order of `/etc/passwd`.
    ///
    /// # Errors
    /// When `/etc/passwd` cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>, HostError> {
        Ok(parse_passwd(&self.files.text("/etc/passwd")?.unwrap_or_default()))
    }

    /// Whether there is an account of this name, or a group.
    ///
    /// # Errors
    /// When `/etc/passwd` or `/etc/group` cannot be read.
    pub fn has_account(&self, name: &str) -> Result<bool, HostError> {
        let has = |path| -> Result<bool, HostError> {
            let text = self.files.text(path)?.unwrap_or_default();
            Ok(text.lines().any(|line| line.split(':').next() == Some(name)))
        };
        Ok(has("/etc/passwd")? || has("/etc/group")?)
    }

    /// The names of an account's groups, as `/etc/group` has them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn groups_of(&self, account: &Account) -> Result<Vec<String>, HostError> {
        let text = self.files.text("/etc/group")?.unwrap_or_default();
        Ok(accounts::groups_of(account, &text))
    }

    /// By account, what kind of password there is and when the account ends; only root may know.
    ///
    /// # Errors
    /// When `/etc/shadow` cannot be read.
    pub fn secrets(&self) -> Result<BTreeMap<String, Secret>, HostError> {
        Ok(accounts::parse_shadow(&self.files.text("/etc/shadow")?.unwrap_or_default()))
    }

    /// The live value of a kernel parameter, lines joined by spaces as `sysctl` prints it; `None` when this kernel
    /// does not have it.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn sysctl(&self, key: &str) -> Result<Option<String>, HostError> {
        let value = self.files.text(&sysctl_path(key))?;
        Ok(value.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// Runs a program that only prints. See [`READ_ONLY`].
    ///
    /// # Errors
    /// When the command is not one of those, or as [`process::find`] and the runner say.
    pub async fn ask(&self, program: &str, args: &[&str]) -> Result<Output, HostError> {
        let allowed =
            READ_ONLY.iter().any(|(name, first)| *name == program && args.starts_with(first));
        if !allowed {
            return Err(HostError::Refused(format!("a reader does not run {program} {args:?}")));
        }
        process::run(program, args, None).await
    }

    /// systemd, over the system bus; connected at the first call.
    ///
    /// # Errors
    /// [`HostError::NoBus`].
    pub async fn systemd(&self) -> Result<&Systemd, HostError> {
        self.systemd.get_or_try_init(Systemd::connect).await
    }

    /// Whether this process may read everything: what only root may read cannot be checked otherwise.
    pub fn is_root(&self) -> bool {
        nix::unistd::geteuid().is_root()
    }

    /// The TCP sockets that wait for connections.
    ///
    /// # Errors
    /// When the kernel's list cannot be read.
    pub fn listeners(&self) -> Result<Vec<Listener>, HostError> {
        sockets::listeners(&self.files)
    }

    /// Every socket at which somebody may knock, of all transports.
    ///
    /// # Errors
    /// When one of the kernel's lists cannot be read.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, HostError> {
        endpoints::all(&self.files)
    }

    /// The sockets (their inodes) a process has open; of another user's process only root may know.
    ///
    /// # Errors
    /// When its descriptors cannot be listed.
    pub fn sockets_of(&self, pid: u32) -> Result<BTreeSet<u64>, HostError> {
        sockets::of_process(&self.files, pid)
    }

    /// The processes that have a file open for writing; of another user's processes only root may know.
    ///
    /// # Errors
    /// When a process that is there cannot be looked into.
    pub fn writers_of(&self, path: &str) -> Result<Vec<FileWriter>, HostError> {
        open_files::writers_of(&self.files, path)
    }

    /// This process and its ancestors, the nearest first, with the connections that sshds among them serve.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ancestry(&self) -> Result<Vec<Ancestor>, HostError> {
        ancestry::ancestry(&self.files)
    }

    /// The addresses of this host's own interfaces.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn own_addresses(&self) -> Result<BTreeSet<IpAddr>, HostError> {
        ancestry::own_addresses()
    }

    /// The names of the interfaces through which routes of any table lead to everybody, of IPv4 and IPv6, sorted. Of this
    /// thread's network.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn interfaces_to_everybody(&self) -> Result<Vec<String>, HostError> {
        routes::to_everybody()
    }

    /// The bridge through which an address is reached, if only containers and guests of this host are behind it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn inner_bridge_to(&self, address: IpAddr) -> Result<Option<String>, HostError> {
        routes::inner_bridge_to(address)
    }

    /// Now, on the clock of this boot, which nobody sets.
    ///
    /// # Errors
    /// When the kernel does not say which boot this is, or how long it has lasted.
    pub fn moment(&self) -> Result<Moment, HostError> {
        let boot = self.files.text(BOOT_ID)?.map(|text| text.trim().to_owned());
        let boot = boot.filter(|boot| !boot.is_empty());
        let boot = boot.ok_or_else(|| HostError::Refused(format!("{BOOT_ID} names no boot")))?;
        let up = clock::up()
            .map_err(|error| HostError::file("read", "the boot's clock")(error.into()))?;
        Ok(Moment { boot, up })
    }

    /// Connects to a TCP port of this host, says something, and listens until `enough` has been heard.
    ///
    /// # Errors
    /// [`HostError::Connect`] when nobody is there, or nothing at all is heard within 3 s.
    pub async fn converse(
        &self,
        to: SocketAddr,
        say: &[u8],
        enough: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, HostError> {
        sockets::converse(to, say, enough).await
    }

    /// holdfast's own nftables table as it is now.
    ///
    /// # Errors
    /// See [`nft::own_table`].
    pub async fn own_table(&self) -> Result<OwnTable, HostError> {
        nft::own_table().await
    }

    /// The same as nft's text, exact for before-images or in words for people.
    ///
    /// # Errors
    /// See [`nft::own_table_text`].
    pub async fn own_table_text(&self, listing: Listing) -> Result<Option<String>, HostError> {
        nft::own_table_text(listing).await
    }

    /// What a person let in for a time; `None` when there is no set for it.
    ///
    /// # Errors
    /// When nft is missing, not permitted, or lists something else.
    pub async fn break_glass(&self) -> Result<Option<Vec<nft::Element>>, HostError> {
        break_glass::elements().await
    }

    /// What nft's JSON listing of a desired table says once this kernel has loaded it. Its large sets are declared and
    /// stay empty: what nft makes of a network is known. The same commands are shown to nft once: neither it nor the
    /// kernel is another one while this reader lives, which is no longer than the command that it serves.
    ///
    /// # Errors
    /// See [`nft::canonical`].
    pub async fn canonical_table(&self, document: &Value) -> Result<Value, HostError> {
        let commands = document::at(document, clock::now(), Bulk::Empty);
        let known = || self.canonical.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, listing)) = known().as_ref().filter(|(shown, _)| *shown == commands) {
            return Ok(listing.clone());
        }
        let listing = nft::canonical(&commands).await?;
        *known() = Some((commands, listing.clone()));
        Ok(listing)
    }

    /// The same as nft's text.
    ///
    /// # Errors
    /// See [`nft::canonical`].
    pub async fn canonical_table_text(
        &self,
        document: &Value,
        listing: Listing,
    ) -> Result<String, HostError> {
        nft::canonical_text(&document::at(document, clock::now(), Bulk::Empty), listing).await
    }

    /// Sends one packet over loopback from a socket to itself, and says whether it arrived: nobody else sees it. What
    /// counts packets has then had one to count.
    pub async fn loop_a_packet(&self) -> bool {
        let there_and_back = async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            socket.connect(socket.local_addr()?).await?;
            socket.send(b"holdfast").await?;
            socket.recv(&mut [0; 16]).await
        };
        matches!(timeout(LOOP_LIMIT, there_and_back).await, Ok(Ok(_)))
    }

    /// Whether Docker's engine runs on this host.
    pub fn has_docker(&self) -> bool {
        docker::runs(&self.files)
    }

    /// Docker's answer; `None` when it knows of no such container.
    ///
    /// # Errors
    /// When it cannot be reached, does not answer within 2 s, or answers with what cannot be read.
    pub async fn docker(&self, question: Question<'_>) -> Result<Option<Value>, HostError> {
        docker::ask(&self.files, question).await
    }

    /// Whether this host is a container, and of what kind: systemd writes it down at boot.
    pub fn container(&self) -> Option<String> {
        let kind = self.files.text("/run/systemd/container").ok().flatten()?;
        let kind = kind.trim();
        (!kind.is_empty()).then(|| kind.to_owned())
    }
}

/// Where the kernel keeps a parameter. Dots separate, and a slash in a key stands for a dot in a name
/// (`net.ipv4.conf.eth0/1.rp_filter`), as in sysctl.d(5).
pub(super) fn sysctl_path(key: &str) -> String {
    let swapped: String = key
        .chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    format!("/proc/sys/{swapped}")
}
