//! Reading a host's sshd: files, `sshd -T` for each login, systemd, and the port itself, all at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use futures_util::future::join_all;

use super::{
    effective::Effective,
    logins::{self, Login},
    observed::{Answers, Daemon, Heard, Observed, Wire},
    settings::{self, DROP_IN, DROP_IN_DIR},
    tree::{Tree, With},
    wire,
};
use crate::{
    controls::Sight,
    engine::change::{FileState, FileTime},
    host::{Files, HostError, Reader, clock, process},
    profile::{schema::Profile, types::Port},
};

/// More addresses than this are not knocked at for one port.
const MOST_ADDRESSES: usize = 6;

/// How sshd begins its complaint when it was never started since boot.
const NO_RUNTIME_DIR: &str = "Missing privilege separation directory";

/// Looks at everything this control judges.
pub(super) async fn observe(profile: &Profile, sight: &Sight<'_>) -> Observed {
    let host = sight.host;
    let files = host.files();
    let settings = profile.ssh.as_ref().map(settings::wanted).unwrap_or_default();
    let text = settings::drop_in(&settings);
    let tree = Tree::read(files);
    let future = Tree::read(&With { inner: files, dir: DROP_IN_DIR, path: DROP_IN, text: &text });
    let absent = process::find("sshd").err().map(|error| error.chain());
    let ports = ports(profile, &tree);
    let ((answers, more), (daemon, wires)) = tokio::join!(
        answers(profile, sight, &tree, ports.first().copied()),
        daemon_and_wires(host, &tree, &ports)
    );
    Observed {
        absent,
        drop_in: files.state(DROP_IN).map_err(|error| error.chain()),
        folder: files.state(DROP_IN_DIR).map_err(|error| error.chain()),
        names: files.list(DROP_IN_DIR).unwrap_or_default(),
        foreign: foreign(files, &tree),
        newest: newest(files, &tree),
        settings,
        tree,
        future,
        answers,
        more,
        daemon,
        now: clock::now().as_second(),
        wires,
    }
}

/// The ports to knock at: the profile's, else those of the files, else 22.
fn ports(profile: &Profile, tree: &Tree) -> Vec<u16> {
    if let Some(ports) = profile.ssh.as_ref().and_then(|ssh| ssh.ports.as_ref()) {
        return ports.iter().map(|port| port.get()).collect();
    }
    let listen = tree.setting("listenaddress").filter_map(|line| line.args.first());
    let mut ports: Vec<u16> = tree
        .setting("port")
        .filter_map(|line| line.args.first()?.parse().ok())
        .chain(listen.filter_map(|address| settings::listen_port(address)))
        .collect();
    if ports.is_empty() {
        ports.push(Port::SSH.get());
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What stands at each path beside our drop-in that sshd reads. What cannot be read is not set aside either.
fn foreign(files: &Files, tree: &Tree) -> BTreeMap<String, FileState> {
    let inside =
        |path: &str| path.strip_prefix(DROP_IN_DIR).is_some_and(|rest| rest.rfind('/') == Some(0));
    tree.files
        .iter()
        .filter(|(path, _)| inside(path) && path != DROP_IN)
        .filter_map(|(path, _)| Some((path.clone(), files.state(path).ok()?)))
        .collect()
}

/// The last change of anything sshd reads. Of a folder it is the content's time that counts, not the inode's: that one
/// also moves when a roll-back sets the folder's time back.
fn newest(files: &Files, tree: &Tree) -> Option<(String, FileTime)> {
    let of_files = tree
        .files
        .iter()
        .filter_map(|(path, _)| Some((path.clone(), files.changed_at(path).ok()??)));
    let of_dirs =
        tree.dirs.iter().filter_map(|dir| Some((dir.clone(), files.modified_at(dir).ok()??)));
    // Of equals the last is taken: a new file says more than the folder it came to.
    of_dirs.chain(of_files).max_by_key(|(_, time)| *time)
}

/// Asks sshd what it would do, once when nothing depends on the login, else for each.
async fn answers(
    profile: &Profile,
    sight: &Sight<'_>,
    tree: &Tree,
    port: Option<u16>,
) -> (Answers, usize) {
    let host = sight.host;
    if !host.is_root() {
        let why = "only root may ask sshd what it would do (sshd -T reads the host keys); run holdfast as root";
        return (Answers::Unknown(why.to_owned()), 0);
    }
    if tree.matches.is_empty() && tree.unreadable.is_empty() {
        return (sight.sshd().await.clone(), 0);
    }
    let accounts = match host.accounts() {
        Ok(accounts) => accounts,
        Err(error) => return (Answers::Unknown(error.chain()), 0),
    };
    let port = port.and_then(Port::new).unwrap_or(Port::SSH);
    let (logins, more) = logins::to_try(profile, &accounts, port);
    if logins.is_empty() {
        return (sight.sshd().await.clone(), 0);
    }
    let asked = logins.into_iter().map(|login| async {
        let answer = run(host, Some(&login)).await;
        (Some(login), answer)
    });
    (collect(join_all(asked).await), more)
}

/// One run of `sshd -T`, which makes all the tests of `sshd -t` first.
async fn run(host: &Reader, login: Option<&Login>) -> Result<process::Output, HostError> {
    match login {
        None => host.ask("sshd", &["-T"]).await,
        Some(login) => host.ask("sshd", &["-T", "-C", &login.connection()]).await,
    }
}

/// Asks sshd what it would do with this login, or with any.
pub(in crate::controls) async fn ask(host: &Reader, login: Option<&Login>) -> Answers {
    collect(vec![(login.cloned(), run(host, login).await)])
}

/// What sshd would do with the one login that it was [`ask`]ed about; or why that could not be asked.
pub(in crate::controls) fn effective(answers: Answers) -> Result<Effective, String> {
    match answers {
        Answers::Given(mut given) => {
            given.pop().map_or_else(|| Err(String::new()), |(_, answer)| answer)
        }
        Answers::Refused(words) => Err(format!("sshd refuses its configuration: {words}")),
        Answers::NoRuntimeDir => Err(
            "sshd was never started since boot, so it answers nothing; run: systemctl start ssh"
                .to_owned(),
        ),
        Answers::Unknown(why) => Err(why),
    }
}

/// Makes one thing of all answers: a refusal or a missing directory concerns all logins.
fn collect(asked: Vec<(Option<Login>, Result<process::Output, HostError>)>) -> Answers {
    let mut given = Vec::new();
    for (login, output) in asked {
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                given.push((login, Err(error.chain())));
                continue;
            }
        };
        if output.code == Some(0) {
            let text = String::from_utf8_lossy(&output.stdout);
            given.push((login, Ok(Effective::parse(&text))));
        } else if output.stderr.contains(NO_RUNTIME_DIR) {
            return Answers::NoRuntimeDir;
        } else if output.code.is_some() {
            let words: Vec<&str> = output.stderr.lines().map(str::trim).collect();
            return Answers::Refused(words.join("; "));
        } else {
            given.push((login, Err(output.failure().chain())));
        }
    }
    match given.as_slice() {
        [(_, Err(why))] => Answers::Unknown(why.clone()),
        _ => Answers::Given(given),
    }
}

/// The running sshd, then what answers on its ports: a connection must not start what does not run.
async fn daemon_and_wires(
    host: &Reader,
    tree: &Tree,
    ports: &[u16],
) -> (Result<Daemon, String>, Vec<Wire>) {
    let daemon = daemon(host).await.map_err(|error| error.chain());
    let would_start = daemon.as_ref().is_ok_and(|d| d.has_socket && !d.is_running());
    let listeners = host.listeners().unwrap_or_default();
    let wires = join_all(ports.iter().map(|port| async {
        let heard = if would_start { Heard::NotAsked } else { knock(host, tree, *port).await };
        let here = listeners.iter().filter(|listener| listener.port == *port);
        Wire { port: *port, heard, listeners: here.map(|listener| listener.inode).collect() }
    }));
    (daemon, wires.await)
}

async fn daemon(host: &Reader) -> Result<Daemon, HostError> {
    let systemd = host.systemd().await?;
    let (service, socket, processes) = tokio::try_join!(
        systemd.unit("ssh.service"),
        systemd.unit("ssh.socket"),
        systemd.service("ssh.service")
    )?;
    let pid = processes.main_pid;
    let title = pid.and_then(|pid| host.files().text(&format!("/proc/{pid}/cmdline")).ok()?);
    let mut sockets: Option<BTreeSet<u64>> = pid.and_then(|pid| host.sockets_of(pid).ok());
    if socket.is_running()
        && let (Some(sockets), Ok(of_systemd)) = (sockets.as_mut(), host.sockets_of(1))
    {
        sockets.extend(of_systemd);
    }
    let title = title.map(|title| title.replace('\0', " ").trim().to_owned());
    Ok(Daemon { service, has_socket: socket.is_running(), processes, title, sockets })
}

/// Speaks to the port, over loopback first, then over the addresses the files name.
async fn knock(host: &Reader, tree: &Tree, port: u16) -> Heard {
    let mut heard = Heard::Nobody;
    for to in addresses(tree).into_iter().map(|ip| SocketAddr::new(ip, port)) {
        match host.converse(to, wire::IDENTIFICATION, wire::is_enough).await {
            Ok(bytes) if wire::parse(&bytes).is_ok() => return Heard::Bytes(to, bytes),
            Ok(bytes) => heard = Heard::Bytes(to, bytes),
            Err(error) if error.is_refused() => {}
            Err(error) if matches!(heard, Heard::Nobody) => heard = Heard::Failed(error.chain()),
            Err(_) => {}
        }
    }
    heard
}

fn addresses(tree: &Tree) -> Vec<IpAddr> {
    let mut all = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for line in tree.setting("listenaddress") {
        let Some(address) = line.args.first() else { continue };
        let parsed = address
            .parse()
            .ok()
            .or_else(|| address.parse::<SocketAddr>().map(|socket| socket.ip()).ok());
        all.extend(parsed.filter(|ip: &IpAddr| !ip.is_unspecified() && !all.contains(ip)));
    }
    all.truncate(MOST_ADDRESSES);
    all
}
