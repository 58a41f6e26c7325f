//! A container engine in a booted host, with an image that needs no registry, and what a signer's host runs in containers.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use holdfast_test_host::Peer;

use crate::support::*;

/// A container whose port 80 speaks HTTP; what it says.
const GREETING: &str = "from a container";

/// A container whose UDP port 53 echoes. Perl is the host's own, as is all of its file system, read-only.
const ECHO: &str = r"use Socket;
socket(S, PF_INET6, SOCK_DGRAM, 0) or die;
bind(S, pack_sockaddr_in6(53, Socket::IN6ADDR_ANY)) or die $!;
while (defined(my $from = recv(S, my $text, 2000, 0))) { send(S, $text, 0, $from) }
";

/// Asks ADDRESS (v4 or v6), UDP port 7, and prints the answer: from a container outwards.
const ASK: &str = r#"use Socket qw(:DEFAULT getaddrinfo);
my ($error, $to) = getaddrinfo($ARGV[0], 7, { socktype => SOCK_DGRAM, flags => 4 });
socket(S, $to->{family}, SOCK_DGRAM, 0) or die;
connect(S, $to->{addr}) or die $!;
$SIG{ALRM} = sub { exit 3 };
alarm 30;
send(S, "asked", 0) or die $!;
recv(S, my $text, 2000, 0);
print $text;
"#;

/// How long a container may take to answer after its start.
pub(super) const UP_WITHIN: Duration = Duration::from_secs(120);

/// The containers, each with its published ports and what it runs.
const CONTAINERS: [(&str, &[&str], &str); 5] = [
    ("signer", &["4122:80"], HTTPD),
    ("database", &["5432:80"], HTTPD),
    ("metrics", &["127.0.0.1:9184:80"], HTTPD),
    ("unpublished", &[], HTTPD),
    ("datagrams", &["20444:53/udp", "5353:53/udp"], "/bin/chroot /host perl /root/echo.pl"),
];

const HTTPD: &str = "/bin/httpd -f -p 80 -h /www";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// As Debian ships it: a process on the host (docker-proxy) serves what the kernel does not translate.
    Docker,
    /// IPv6 in the containers, and the kernel alone translates.
    DockerWithoutProxy,
    Podman,
}

impl Engine {
    fn program(self) -> &'static str {
        if self == Engine::Podman { "podman" } else { "docker" }
    }

    /// Starts the engine as it is to be, makes the image and runs the containers.
    pub(super) fn start(self, host: &Host) {
        let sh = |script: &str| host.sh(script).unwrap().ok().unwrap();
        match self {
            Engine::Docker => {}
            Engine::DockerWithoutProxy => {
                // Debian 12's Docker takes IPv6 rules for an experiment.
                let json = r#"{"userland-proxy": false, "ipv6": true, "fixed-cidr-v6": "fd00:d0c::/64",
                               "ip6tables": true, "experimental": true}"#;
                host.push("/etc/docker/daemon.json", json, 0o644).unwrap();
                sh("systemctl restart docker.service");
            }
            Engine::Podman => {
                // crun would raise limits, and count processes, which not every machine that tests may do.
                let toml = "[containers]\npids_limit = 0\n[engine]\nruntime = \"runc\"\n";
                host.push("/etc/containers/containers.conf", toml, 0o644).unwrap();
                // What Docker leaves behind would drop Podman's packets: it expects to be alone.
                sh("systemctl stop docker.service docker.socket; nft flush ruleset");
                sh(
                    "podman network create --disable-dns --ipv6 --subnet 10.89.0.0/24 --subnet fd00:d0c::/64 both",
                );
            }
        }
        host.push("/root/echo.pl", ECHO, 0o644).unwrap();
        host.push("/root/ask.pl", ASK, 0o644).unwrap();
        let program = self.program();
        import(host, program);
        for (name, ports, command) in CONTAINERS {
            let mut words = vec![program, "run", "--detach", "--name", name, "--restart=always"];
            if self == Engine::Podman {
                words.extend(["--network", "both"]);
            }
            words.extend(["--volume", "/:/host:ro"]);
            for port in ports {
                words.extend(["--publish", port]);
            }
            words.push("box");
            words.extend(command.split(' '));
            host.run(words).unwrap().ok().unwrap();
        }
        self.wait(host);
    }

    /// Waits until every container answers, asked on the host itself by its own address.
    pub(super) fn wait(self, host: &Host) {
        let start = Instant::now();
        for name in ["signer", "database", "metrics", "unpublished"] {
            let address = self.address(host, name);
            let url = format!("http://{address}/");
            // Not wget's own time limit: with it, Debian 12's ends by a segmentation fault.
            let ask = ["timeout", "5", "busybox", "wget", "-qO-", &url];
            while host.run(ask).unwrap().text() != GREETING {
                assert!(start.elapsed() < UP_WITHIN, "{name} does not answer at {url}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// A container's own IPv4 address.
    pub(super) fn address(self, host: &Host, name: &str) -> Ipv4Addr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let words = [self.program(), "inspect", "--format", format, name];
        host.run(words).unwrap().ok().unwrap().text().parse().unwrap()
    }

    /// Runs a program in a container to its end.
    pub(super) fn exec(self, host: &Host, name: &str, words: &[&str]) -> Output {
        let words = [self.program(), "exec", name].into_iter().chain(words.iter().copied());
        host.run(words).unwrap()
    }

    /// Starts one container again: it gets new rules.
    pub(super) fn restart_container(self, host: &Host) {
        host.run([self.program(), "restart", "--time", "0", "signer"]).unwrap().ok().unwrap();
        self.wait(host);
    }

    /// Starts the engine again, or, as Podman has none that runs, all that it runs.
    pub(super) fn restart(self, host: &Host) {
        let script = match self {
            Engine::Podman => "podman network reload --all && podman restart --time 0 --all",
            _ => "systemctl restart docker.service",
        };
        host.sh(script).unwrap().ok().unwrap();
        self.wait(host);
    }
}

/// Makes the image `box` without a registry: a busybox that needs no library, and a page to serve.
pub(crate) fn import(host: &Host, program: &str) {
    host.push("/root/image/www/index.html", GREETING, 0o644).unwrap();
    let script = format!(
        "mkdir -p /root/image/bin /root/image/host
         cp /bin/busybox /root/image/bin/
         for name in sh httpd chroot nc timeout wget; do ln -s busybox /root/image/bin/$name; done
         tar -C /root/image -c . | {program} import - box"
    );
    host.sh(&script).unwrap().ok().unwrap();
}

/// What HTTP says at an address, asked by a peer.
pub(super) fn greeting(peer: &Peer, to: SocketAddr) -> String {
    let answer = peer.within(|| -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(20))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        std::io::read_to_string(stream)
    });
    let answer = answer.unwrap().unwrap_or_else(|error| panic!("{to}: {error}"));
    answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

/// A peer that answers whoever asks, until it is dropped: HTTP on TCP port 7, an echo on UDP port 7.
pub(super) struct Answering {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    pub(super) fn start(peer: &Peer) -> Answering {
        let any = Ipv6Addr::UNSPECIFIED;
        let listen = || (TcpListener::bind((any, 7)).unwrap(), UdpSocket::bind((any, 7)).unwrap());
        let (tcp, udp) = peer.within(listen).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2000];
            while !ends.load(Ordering::Relaxed) {
                if let Ok((mut stream, _)) = tcp.accept() {
                    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\noutside").unwrap();
                }
                if let Ok((size, from)) = udp.recv_from(&mut buffer) {
                    udp.send_to(&buffer[..size], from).unwrap();
                }
            }
        });
        Answering { is_over, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // A panic of the thread shows in what then did not answer.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Processes of the host that echo datagrams, until they are dropped.
pub(super) struct Echoing {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echoing {
    pub(super) fn start(host: &Host, ports: &[u16]) -> Echoing {
        let bind = |port: &u16| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, *port)).unwrap();
        let sockets: Vec<_> = host.within(|| ports.iter().map(bind).collect()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let echo = |socket: UdpSocket| {
            let ends = Arc::clone(&is_over);
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2000];
                while !ends.load(Ordering::Relaxed) {
                    if let Ok((size, from)) = socket.recv_from(&mut buffer) {
                        socket.send_to(&buffer[..size], from).unwrap();
                    }
                }
            })
        };
        let threads = sockets.into_iter().map(echo).collect();
        Echoing { is_over, threads }
    }
}

impl Drop for Echoing {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // As with `Answering`: a panic of a thread shows in what then did not answer.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Asserts that a container gets out to a peer and that answers come back, over TCP and UDP.
pub(super) fn gets_out(engine: Engine, host: &Host, to: IpAddr) {
    let url = match to {
        IpAddr::V4(to) => format!("http://{to}:7/"),
        IpAddr::V6(to) => format!("http://[{to}]:7/"),
    };
    let out = engine.exec(host, "unpublished", &["/bin/timeout", "30", "/bin/wget", "-qO-", &url]);
    assert_eq!(out.text(), "outside", "{out}");
    let ask = ["/bin/chroot", "/host", "perl", "/root/ask.pl", &to.to_string()];
    let out = engine.exec(host, "unpublished", &ask);
    assert_eq!(out.text(), "asked", "{out}");
}
