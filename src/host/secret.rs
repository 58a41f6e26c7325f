//! What keeps secrets in this process's memory, and makes its reading and writing wait for others'; the host's own key; and
//! systemd's credentials.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    },
    path::Path,
    time::Duration,
};

use nix::{
    fcntl::OFlag,
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MlockAllFlags, mlockall},
        prctl,
        resource::{RLIM_INFINITY, Resource, setrlimit},
    },
};
use zeroize::Zeroizing;

use super::{
    HostError,
    stage::{Identity, Launch},
};

/// The seed of the key with which this host signs.
pub const HOST_KEY: &str = "/var/lib/holdfast/host-key";

/// Keeps all of this process's memory out of swap, out of core dumps, and from other processes of its account. Pages are
/// locked as they are first used, so that the stacks of threads take no more than they need.
///
/// # Errors
/// When the kernel does not lock memory for it.
pub fn keep_in_memory() -> Result<(), HostError> {
    let refused =
        |error: nix::Error| HostError::file("lock", "this process's memory")(error.into());
    prctl::set_dumpable(false).map_err(refused)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused)?;
    // Root's limit does not count where it has CAP_IPC_LOCK. Where it can neither be raised nor ignored, this process is
    // larger than it, and is told so below rather than in the middle of something.
    let _raised = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    let all = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault;
    mlockall(all).map_err(refused)
}

/// Makes this process, and what it starts from here on, read and write only when nobody else wants to.
#[expect(unsafe_code, reason = "no wrapper exists for ioprio_set")]
pub fn idle_io() -> Result<(), HostError> {
    // linux/ioprio.h: IOPRIO_WHO_PROCESS, and class IOPRIO_CLASS_IDLE above its 13 bits of data.
    const WHO_PROCESS: libc::c_int = 1;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: three numbers, of which 0 means this process; no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, IDLE) };
    if result == 0 {
        return Ok(());
    }
    Err(HostError::file("lower the priority of", "reading and writing")(io::Error::last_os_error()))
}

/// The seed of the host's own key, made at first use.
///
/// # Errors
/// When it cannot be read or made, or others may read it.
pub fn host_key() -> Result<Zeroizing<[u8; 32]>, HostError> {
    match read_key() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(),
        other => other,
    }
    .map_err(HostError::file("use the host's key", HOST_KEY))
}

/// The same, if it was made: for looking.
///
/// # Errors
/// When it is there and cannot be read, or others may read it.
pub fn known_host_key() -> Result<Option<Zeroizing<[u8; 32]>>, HostError> {
    match read_key() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(HostError::file("use the host's key", HOST_KEY)),
    }
}

fn read_key() -> io::Result<Zeroizing<[u8; 32]>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut file = options.open(HOST_KEY)?;
    let meta = file.metadata()?;
    if meta.uid() != 0 || meta.mode() & 0o077 != 0 || meta.len() != 32 {
        return Err(io::Error::other("it is not 32 bytes that only root may read"));
    }
    let mut seed = Zeroizing::new([0; 32]);
    file.read_exact(seed.as_mut_slice())?;
    Ok(seed)
}

/// Written beside its place and linked there: whoever makes it first wins, and it is never seen half.
fn make_key() -> io::Result<Zeroizing<[u8; 32]>> {
    let folder = Path::new(HOST_KEY).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut seed = Zeroizing::new([0; 32]);
    File::open("/dev/urandom")?.read_exact(seed.as_mut_slice())?;
    let new = folder.join(format!(".host-key.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&new)?;
    file.write_all(seed.as_slice())?;
    file.sync_all()?;
    let linked = fs::hard_link(&new, HOST_KEY);
    #[expect(clippy::disallowed_methods, reason = "src/host is where files are removed")]
    fs::remove_file(&new)?;
    File::open(folder)?.sync_all()?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => read_key(),
    }
}

/// A text as a file in memory that an account can read and nobody else: for a program that is started with it open (see
/// [`Launch::start_with`]). On no disk, in no argument and no variable.
///
/// # Errors
/// When it cannot be made.
pub fn lend(text: &str, to: Identity) -> Result<File, HostError> {
    let make = || {
        let mut file = File::from(memfd_create("holdfast", MFdFlags::MFD_CLOEXEC)?);
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        fchown(&file, Some(to.uid), Some(to.gid))?;
        Ok(file)
    };
    make().map_err(HostError::file("make", "a file in memory"))
}

/// Where the program finds it.
pub fn path_of(lent: &File) -> String {
    format!("/proc/self/fd/{}", lent.as_raw_fd())
}

/// Where systemd's credentials are that are not encrypted, and where those that are.
const CREDENTIALS: [&str; 2] = ["/etc/credstore", "/etc/credstore.encrypted"];

/// A credential is a line.
const CREDENTIAL_LIMIT: u64 = 64 << 10;

/// How long systemd may take to open one: a TPM is slow.
const DECRYPT_LIMIT: Duration = Duration::from_secs(60);

/// A credential of systemd's, as a unit is given it, or, outside of a unit, as it is kept (systemd.exec(5), "Credentials").
/// `None`: there is none of this name.
///
/// # Errors
/// When it cannot be read, or others may read it, or it was not encrypted for this host.
pub fn credential(name: &str) -> Result<Option<Zeroizing<String>>, HostError> {
    let given =
        std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(name));
    if let Some(path) = given.filter(|path| path.exists()) {
        return own_text(&path).map(Some);
    }
    let [plain, encrypted] = CREDENTIALS.map(|folder| Path::new(folder).join(name));
    if plain.exists() {
        return own_text(&plain).map(Some);
    }
    if !encrypted.exists() {
        return Ok(None);
    }
    let launch = Launch {
        program: Path::new("/usr/bin/systemd-creds"),
        args: vec![
            "decrypt".to_owned(),
            format!("--name={name}"),
            encrypted.display().to_string(),
            "-".to_owned(),
        ],
        env: Vec::new(),
        identity: None,
        isolated: false,
        limit: DECRYPT_LIMIT,
    };
    let text = String::from_utf8(launch.ask(&[])?).map_err(io::Error::other);
    let shown = encrypted.display().to_string();
    Ok(Some(Zeroizing::new(text.map_err(HostError::file("read", shown))?)))
}

/// A small text that is root's, and that nobody else can read.
fn own_text(path: &Path) -> Result<Zeroizing<String>, HostError> {
    let read = || {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path)?;
        let meta = file.metadata()?;
        if meta.uid() != 0 || meta.mode() & 0o077 != 0 {
            return Err(io::Error::other(
                "it is not root's, or others can read it; run: chmod 600",
            ));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(CREDENTIAL_LIMIT).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(HostError::file("read", path.display().to_string()))
}
