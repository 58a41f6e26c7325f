//! The harness against real hosts: what it boots, what it reports, and that it leaves nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bans steer holdfast to its own doors to the machine; a test harness has none"
)]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use holdfast_test_host::{Host, Options, Suite, Tcp, Udp, changes};

#[test]
fn boots_every_release_at_once() -> Result<()> {
    let each = Suite::chosen()?.into_iter().map(|suite| thread::spawn(move || whole(suite)));
    let each: Vec<_> = each.collect();
    each.into_iter().try_for_each(|test| test.join().expect("the thread panicked"))
}

/// All that a host must be, on one boot.
fn whole(suite: Suite) -> Result<()> {
    let host = Host::blank(suite)?;
    let release = host.run(["cat", "/etc/os-release"])?.ok()?;
    ensure!(release.stdout.contains(&format!("VERSION_CODENAME={suite}")), "{release}");
    assert_eq!(host.run(["systemctl", "is-system-running"])?.text(), "running");
    assert_eq!(host.run(["hostname"])?.text(), format!("holdfast-{suite}"));
    assert_eq!(host.run(["sh", "-c", "exit 7"])?.status, Some(7));
    assert_eq!(host.run(["sh", "-c", "kill -9 $$"])?.signal, Some(9));
    assert_eq!(host.run_env(&[("A", "b c")], ["sh", "-c", "echo $A"])?.text(), "b c");
    assert_eq!(host.command(["cat"])?.stdin("in").run()?.stdout, "in");
    let env = host.run(["env"])?.ok()?;
    assert_eq!(env.stdout.lines().filter(|line| !line.starts_with("PWD=")).count(), 3, "{env}");
    let late = host.command(["sh", "-c", "sleep 77 & sleep 77"])?.limit(Duration::from_millis(300));
    assert!(late.run().is_err());
    assert_eq!(host.run(["pgrep", "-x", "sleep"])?.status, Some(1), "killed with its children");

    files(&host)?;
    powers(&host)?;
    network(&host)
}

fn files(host: &Host) -> Result<()> {
    host.push("/srv/new/file", "text", 0o640)?;
    assert_eq!(host.run(["stat", "-c%a %U %s", "/srv/new/file"])?.text(), "640 root 4");
    assert_eq!(host.read("/srv/new/file")?, b"text");
    // An absolute link must lead to the host's file, not to ours.
    host.sh("ln -s /etc/hostname /srv/new/link; mkfifo /srv/new/fifo; setfattr -n user.a -v b /srv/new/file")?.ok()?;
    assert_eq!(host.read("/srv/new/link")?, format!("holdfast-{}\n", host.suite()).as_bytes());
    assert_eq!(fs::read(host.root().join("srv/new/file"))?, b"text");
    let before = host.snapshot(&["/srv", "/etc/ssh", "/nowhere"])?;
    ensure!(before.contains_key(Path::new("/etc/ssh/sshd_config")));
    ensure!(!before.contains_key(Path::new("/nowhere")));
    assert_eq!(changes(&before, &host.snapshot(&["/srv", "/etc/ssh"])?), [""; 0]);
    host.sh("touch /srv/new/file; setfattr -x user.a /srv/new/file; chmod u+s /srv/new/fifo")?
        .ok()?;
    let found = changes(&before, &host.snapshot(&["/srv", "/etc/ssh"])?);
    ensure!(found.len() == 2 && found[0].starts_with("/srv/new/fifo: mode"), "{found:?}");
    ensure!(found[1].contains("mtime") && found[1].contains("xattrs"), "{found:?}");
    Ok(())
}

/// What holdfast and its tests need a host to be able to do, and what no host may do to this machine.
fn powers(host: &Host) -> Result<()> {
    host.run(["unshare", "-n", "nft", "add table inet scratch"])?.ok()?;
    host.run(["strace", "-f", "-o", "/dev/null", "true"])?.ok()?;
    host.sh("echo 1 >/proc/sys/net/ipv4/conf/all/log_martians")?.ok()?;
    host.sh("touch /srv/fixed; chattr +i /srv/fixed; ! rm -f /srv/fixed; chattr -i /srv/fixed")?
        .ok()?;
    let unit = [
        "systemd-run",
        "--pipe",
        "--wait",
        "-q",
        "-pDynamicUser=yes",
        "-pPrivateNetwork=yes",
        "id",
        "-un",
    ];
    ensure!(host.run(unit)?.ok()?.text().starts_with("run-"));
    ensure!(host.run(["journalctl", "-b", "--no-pager", "-n1"])?.ok()?.stdout.len() > 10);
    powerless(host)
}

/// Reads off that the host cannot reach this machine. Nothing is tried: a try that succeeds has done the damage.
fn powerless(host: &Host) -> Result<()> {
    let status = |pid: &str| -> Result<Vec<u64>> {
        let status = host.run(["cat", &format!("/proc/{pid}/status")])?.ok()?.stdout;
        let sets = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|set| {
            let line = status.lines().find_map(|line| line.strip_prefix(set)).expect("it is there");
            u64::from_str_radix(line.trim(), 16).expect("hexadecimal")
        });
        Ok(sets.into())
    };
    let (entered, init) = (status("self")?, status("1")?);
    let bounding = init[3];
    // CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME
    assert_eq!(bounding & (1 << 16 | 1 << 17 | 1 << 25), 0, "{bounding:x}");
    assert_eq!((entered[0], entered[4]), (0, 0), "neither inherited nor ambient");
    assert_eq!(entered[3], bounding, "entered with what the container has");
    ensure!(entered[1] & !bounding == 0 && entered[2] & !bounding == 0, "{entered:x?}");
    for dir in ["/proc/sys", "/proc/sys/vm", "/sys"] {
        ensure!(host.run(["test", "-w", dir])?.status == Some(1), "{dir} is not read-only");
    }
    Ok(())
}

fn network(host: &Host) -> Result<()> {
    let client = host.peer("client")?;
    let attacker = host.peer("attacker")?;
    assert_eq!(client.tcp_open(22)?, Tcp::Open);
    assert_eq!(client.tcp_open_v6(22)?, Tcp::Open);
    assert_eq!(attacker.tcp_open(23)?, Tcp::Refused);
    assert_eq!(attacker.tcp_open_v6(23)?, Tcp::Refused);
    ensure!(client.ssh_banner(22)?.is_some_and(|banner| banner.starts_with("SSH-2.0-OpenSSH")));
    client.run(["ping", "-c1", "-W1", &client.host_v4().to_string()]).map(drop)?;
    host.run(["ping", "-c1", "-W1", &attacker.v6().to_string()])?.ok()?;

    let socket = host.within(|| UdpSocket::bind("0.0.0.0:4000"))??;
    thread::spawn(move || -> std::io::Result<()> {
        let (_, from) = socket.recv_from(&mut [0; 9])?;
        socket.send_to(b"pong", from).map(drop)
    });
    assert_eq!(client.udp(4000, b"ping")?, Udp::Answered(b"pong".into()));
    assert_eq!(client.udp(4001, b"ping")?, Udp::Refused);
    let listener = host.within(|| TcpListener::bind("0.0.0.0:4002"))??;
    assert_eq!(client.tcp_open(4002)?, Tcp::Open);

    host.sh("nft add table inet t; nft 'add chain inet t in { type filter hook input priority 0; policy drop; }'")?.ok()?;
    assert_eq!(client.tcp_open(4002)?, Tcp::Filtered);
    assert_eq!(client.udp(4001, b"ping")?, Udp::Silent);
    host.run(["nft", "delete table inet t"])?.ok()?;
    drop(listener);

    let addresses = || host.run(["ip", "-br", "addr", "show", "up"]);
    let before = addresses()?.ok()?.stdout;
    host.cut_off()?;
    assert_eq!(client.tcp_open(22)?, Tcp::Filtered);
    assert_eq!(client.ssh_banner(22)?, None);
    host.reconnect()?;
    assert_eq!(client.tcp_open(22)?, Tcp::Open);
    assert_eq!(attacker.tcp_open_v6(22)?, Tcp::Open);
    assert_eq!(addresses()?.ok()?.stdout.lines().count(), before.lines().count());
    Ok(())
}

#[test]
fn reboots_with_what_it_has_written() -> Result<()> {
    let host = Host::blank(Suite::Trixie)?;
    let client = host.peer("client")?;
    let identity = host.read("/etc/machine-id")?;
    let boots = || -> Result<usize> {
        Ok(host.run(["journalctl", "--list-boots", "-q"])?.ok()?.stdout.lines().count())
    };
    host.sh("echo kept >/srv/kept; echo lost >/run/lost")?.ok()?;
    host.reboot()?;
    assert_eq!(host.read("/srv/kept")?, b"kept\n");
    assert_eq!(host.read("/etc/machine-id")?, identity);
    ensure!(host.read("/run/lost").is_err());
    assert_eq!(client.tcp_open(22)?, Tcp::Open);
    host.crash()?;
    assert_eq!(host.read("/srv/kept")?, b"kept\n");
    host.run(["systemctl", "reboot"])?;
    host.await_reboot()?;
    assert_eq!(client.tcp_open(22)?, Tcp::Open);
    assert_eq!(boots()?, 4);
    Ok(())
}

/// A package whose installation shows: a file, a unit that is enabled and started, and a script that was run.
fn package(dir: &Path) -> Result<PathBuf> {
    let write = |name: &str, text: &str, mode: u32| -> Result<()> {
        let path = dir.join("tree").join(name);
        fs::create_dir_all(path.parent().expect("it has one"))?;
        fs::write(&path, text)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    };
    let control = "Package: holdfast\nVersion: 0.0.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n\
                   Depends: systemd, nftables\nDescription: stands in for holdfast\n";
    let unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n";
    let postinst = "#!/bin/sh\nset -e\ndate >/var/lib/holdfast-was-installed\nsystemctl enable --now holdfast.service\n";
    write("DEBIAN/control", control, 0o644)?;
    write("DEBIAN/postinst", postinst, 0o755)?;
    write("usr/lib/systemd/system/holdfast.service", unit, 0o644)?;
    let deb = dir.join("holdfast_0.0.0_all.deb");
    let built = Command::new("dpkg-deb").arg("-b").arg(dir.join("tree")).arg(&deb).output()?;
    ensure!(built.status.success(), "{built:?}");
    Ok(deb)
}

#[test]
fn installs_the_package_once() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("holdfast-test-deb-{}", std::process::id()));
    let deb = package(&dir);
    let options = Options { deb: deb.as_ref().ok().cloned(), ..Options::default() };
    let boot = || Host::with(Suite::Trixie, options.clone());
    let (first, second) = deb.and_then(|_| Ok((boot()?, boot()?)))?;
    fs::remove_dir_all(&dir)?;
    let look = |host: &Host| -> Result<Vec<u8>> {
        assert_eq!(host.run(["dpkg-query", "-Wf${db:Status-Abbrev}", "holdfast"])?.text(), "ii");
        assert_eq!(host.run(["systemctl", "is-active", "holdfast"])?.text(), "active");
        assert_eq!(host.run(["journalctl", "--list-boots", "-q"])?.stdout.lines().count(), 1);
        ensure!(host.run(["hostname"])?.text() == "holdfast-trixie");
        host.read("/var/lib/holdfast-was-installed")
    };
    assert_eq!(look(&first)?, look(&second)?, "one installation");
    assert_ne!(first.read("/etc/machine-id")?, second.read("/etc/machine-id")?);
    Ok(())
}

/// What the machine shows of a host's id, anywhere.
fn traces(id: &str, pid: u32) -> Vec<String> {
    let mut found = Vec::new();
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    found.extend(mounts.lines().filter(|line| line.contains(id)).map(str::to_owned));
    let find = |dir: &str| {
        let out = Command::new("find").args([dir, "-name", &format!("*{id}")]).output();
        String::from_utf8_lossy(&out.expect("find runs").stdout).into_owned()
    };
    for dir in ["/sys/fs/cgroup", "/run/systemd", "/run/netns"] {
        found.extend(find(dir).lines().map(str::to_owned));
    }
    let ours = |name: &str| fs::read(format!("/proc/{name}/cmdline")).unwrap_or_default();
    for process in fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok) {
        let name = process.file_name().to_string_lossy().into_owned();
        let line = String::from_utf8_lossy(&ours(&name)).replace('\0', " ");
        if name != "self" && line.contains(&format!("holdfast-{id}")) {
            found.push(line);
        }
    }
    if Path::new(&format!("/proc/{pid}")).exists() {
        found.push(format!("process {pid}"));
    }
    found
}

/// The id of a host: the last part of its cgroup's name, as the container sees none of it.
fn id_of(pid: u32) -> String {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the host is up");
    let (_, rest) = cgroups.split_once("holdfast-").expect("it is in a cgroup of its own");
    rest.split(['/', '\n', '.']).next().expect("there is a first part").to_owned()
}

#[test]
fn leaves_nothing_even_on_a_panic() -> Result<()> {
    let interfaces = || fs::read_to_string("/proc/net/dev").map(|dev| dev.lines().count());
    let before = interfaces()?;
    let host = Host::blank(Suite::Bookworm)?;
    let (pid, id) = (host.pid(), id_of(host.pid()));
    let upper = host.run(["findmnt", "-no", "OPTIONS", "/"])?.ok()?.stdout;
    let upper = upper.split("upperdir=").nth(1).and_then(|rest| rest.split(',').next());
    let run = Path::new(upper.expect("an overlay")).parent().expect("a parent").to_owned();
    ensure!(run.exists());
    let _client = host.peer("client")?;
    let panicked = thread::spawn(move || -> () {
        let _host = host;
        panic!("on purpose");
    });
    ensure!(panicked.join().is_err());
    assert_eq!(traces(&id, pid), [""; 0]);
    ensure!(!run.exists());
    assert_eq!(interfaces()?, before);
    Ok(())
}

/// Set for the process that the next test starts: the same test, in the part of the one that is killed.
const TO_BE_KILLED: &str = "HOLDFAST_TEST_TO_BE_KILLED";

fn wait_to_be_killed() -> Result<()> {
    let host = Host::blank(Suite::Trixie)?;
    let _client = host.peer("client")?;
    println!("pid={}", host.pid());
    sleep(Duration::from_secs(60));
    Ok(())
}

#[test]
fn a_killed_test_takes_its_hosts_with_it() -> Result<()> {
    use std::io::{BufRead as _, BufReader};
    if std::env::var_os(TO_BE_KILLED).is_some() {
        return wait_to_be_killed();
    }
    let mut test = Command::new(std::env::current_exe()?)
        .args(["--exact", "a_killed_test_takes_its_hosts_with_it", "--nocapture"])
        .env(TO_BE_KILLED, "yes")
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(test.stdout.take().expect("piped")).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("pid=")?.1.parse()));
    let pid: u32 = pid.expect("it says its host's pid")?;
    let id = id_of(pid);
    ensure!(!traces(&id, pid).is_empty());
    test.kill()?;
    test.wait()?;
    let start = Instant::now();
    while !traces(&id, pid).is_empty() {
        ensure!(start.elapsed() < Duration::from_secs(10), "{:?}", traces(&id, pid));
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A caller that passes capabilities on, as containers' processes do, must not pass them into the host.
fn passes_nothing_on(name: &str) -> Result<()> {
    let own = fs::read_to_string("/proc/self/status")?;
    let own = own.lines().find_map(|line| line.strip_prefix("CapPrm:")).expect("it is there");
    if u64::from_str_radix(own.trim(), 16)? & (1 << 25) == 0 {
        return Ok(()); // nothing to pass on: this machine is itself kept from its clock
    }
    let generous = Command::new("setpriv")
        .args([
            "--inh-caps=+sys_time,+sys_module",
            env!("CARGO_BIN_EXE_test-host"),
            "run",
            name,
            "--",
        ])
        .args(["grep", "-E", "Cap(Inh|Eff|Bnd)", "/proc/self/status"])
        .output()?;
    let sets = String::from_utf8_lossy(&generous.stdout).into_owned();
    let sets: Vec<&str> = sets.split_whitespace().collect();
    ensure!(sets.len() == 6 && sets[1].trim_matches('0').is_empty(), "{sets:?}");
    assert_eq!(sets[3], sets[5], "effective is what the container is bound to");
    Ok(())
}

/// Takes a named host down even if the test that booted it fails: nothing else would.
struct StopAtEnd(String);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        let hosts = holdfast_test_host::named().expect("the hosts can be listed");
        if let Some(host) = hosts.iter().find(|host| host.name == self.0) {
            host.stop().expect("the host stops");
        }
    }
}

#[test]
fn boots_for_people_and_takes_options() -> Result<()> {
    let tool = |words: &[&str]| Command::new(env!("CARGO_BIN_EXE_test-host")).args(words).output();
    let name = format!("own-{}", std::process::id());
    let _stop = StopAtEnd(name.clone());
    let booted = tool(&["boot", &name, "--blank"])?;
    ensure!(booted.status.success(), "{booted:?}");
    let ran = tool(&["run", &name, "--", "sh", "-c", "echo $HOME; exit 3"])?;
    assert_eq!((ran.stdout.as_slice(), ran.status.code()), (b"/root\n".as_slice(), Some(3)));
    ensure!(!tool(&["boot", &name, "--blank"])?.status.success(), "the name is taken");
    let listed = tool(&["list"])?.stdout;
    ensure!(String::from_utf8_lossy(&listed).contains(&format!("{name}\tup")));
    passes_nothing_on(&name)?;
    ensure!(tool(&["stop", &name])?.status.success());
    ensure!(!String::from_utf8_lossy(&tool(&["list"])?.stdout).contains(&name));
    assert_eq!(tool(&["run", &name, "--", "true"])?.status.code(), Some(1));

    // Even with all there is to ask for.
    let options = Options {
        blank: true,
        hostname: Some("signer".into()),
        capabilities: vec!["all".into()],
        ..Options::default()
    };
    let host = Host::with(Suite::Bookworm, options)?;
    assert_eq!(host.run(["hostname"])?.text(), "signer");
    powerless(&host)?;
    Ok(())
}
