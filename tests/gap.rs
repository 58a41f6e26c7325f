//! No gap: while the table is replaced two hundred times, by every command that does so, and services and container
//! engines start again around it, no probe of an undeclared port is answered and no allowed connection breaks.
//!
//! The probes are bare SYN segments from a peer, one a millisecond and more, at a port that a process serves and one
//! that a container serves, over IPv4 and IPv6. Any answer counts, a refusal too. Two connections carry numbers there
//! and back all the while: one to a process, one through Docker's translation to a container.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use holdfast_test_host::{Peer, Scan, Tcp};

use crate::{containers::engine::import, support::*};

/// How many changes are made.
const CHANGES: u32 = 200;

/// Served by a process and by a container, and declared by neither profile.
const UNDECLARED: [u16; 2] = [8801, 5432];

/// The pause between two rounds of probes: one of each port and family.
const PROBE_EVERY: Duration = Duration::from_millis(1);

/// The pause between two numbers on a stream.
const NUMBER_EVERY: Duration = Duration::from_millis(1);

/// How long a stream may be silent before it counts as broken: the kernel sends a lost segment again well before.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a new allowed connection may take. A lost SYN is sent again after a second: longer means one was dropped.
const CONNECT_WITHIN: Duration = Duration::from_millis(900);

/// Two profiles that differ in what nobody here looks at.
const PROFILES: [&str; 2] = [
    "[firewall]\noutside = [\"outside0\"]\n[[firewall.allow]]\nname = \"kept\"\ntcp = [22, 4122, 8333]\n",
    "[firewall]\noutside = [\"outside0\"]\n[[firewall.allow]]\nname = \"kept\"\ntcp = [22, 4122, 8333]\n\
     [[firewall.allow]]\nname = \"more\"\ntcp = [20000]\nudp = [20444]\n",
];

/// What a probing peer has seen.
#[derive(Debug, Default)]
struct Probes {
    sent: u64,
    answers: Scan,
}

/// Probes the undeclared ports until it is told that it is over.
fn probe(peer: &Peer, is_over: &AtomicBool) -> Probes {
    let mut probes = Probes::default();
    let to = [IpAddr::from(peer.host_v4()), peer.host_v6().into()];
    let probers = to.map(|to| peer.prober(to).unwrap());
    // Other source ports each time, and not those of the peer's own connections: no state is in a probe's way.
    for source in (1024..32000).cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        for prober in &probers {
            for port in UNDECLARED {
                prober.knock(source, port).unwrap();
                probes.sent += 1;
            }
            prober.answers(&mut probes.answers).unwrap();
        }
        sleep(PROBE_EVERY);
    }
    probes
}

/// Sends numbers and expects each back, in order, until it is told that it is over. How many came back, and the longest
/// silence.
fn stream(peer: &Peer, port: u16, is_over: &AtomicBool) -> (u64, Duration) {
    let to = SocketAddr::from((peer.host_v4(), port));
    let connect = || TcpStream::connect_timeout(&to, Duration::from_secs(5)).unwrap();
    let mut stream = peer.within(connect).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut count, mut longest) = (0u64, Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let mut answer = [0; 8];
        stream.write_all(&count.to_be_bytes()).unwrap();
        let read = stream.read_exact(&mut answer);
        read.unwrap_or_else(|error| panic!("the stream to {port} broke at {count}: {error}"));
        assert_eq!(u64::from_be_bytes(answer), count, "the stream to {port}");
        longest = longest.max(asked.elapsed());
        count += 1;
        sleep(NUMBER_EVERY);
    }
    (count, longest)
}

/// Connects anew to an allowed port again and again. How often.
fn connect(peer: &Peer, port: u16, is_over: &AtomicBool) -> u64 {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        assert_eq!(peer.tcp_open(port).unwrap(), Tcp::Open, "connection {count} to {port}");
        let took = asked.elapsed();
        assert!(took < CONNECT_WITHIN, "connection {count} to {port} took {took:?}");
        count += 1;
        sleep(Duration::from_millis(20));
    }
    count
}

/// Says that it is over, also when the test panics: the threads would wait for ever.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends back what it receives, connection after connection, until it is told that it is over.
fn echo(listener: &TcpListener, is_over: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        while !is_over.load(Ordering::Relaxed) {
            let Ok((mut stream, _)) = listener.accept() else {
                sleep(Duration::from_millis(2));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            // It ends when its client does.
            scope.spawn(move || {
                let mut buffer = [0; 8];
                while stream.read_exact(&mut buffer).is_ok() && stream.write_all(&buffer).is_ok() {}
            });
        }
    });
}

/// Docker that leaves its containers running when it starts again: one that echoes, one that serves what is not
/// declared, and one that is started again and again.
fn containers(host: &Host) {
    let json = r#"{"live-restore": true, "userland-proxy": false}"#;
    host.push("/etc/docker/daemon.json", json, 0o644).unwrap();
    host.sh("systemctl restart docker.service").unwrap().ok().unwrap();
    import(host, "docker");
    let script = "run() { docker run --detach --restart=always \"$@\"; }
        run --name stream --publish 4122:80 box /bin/nc -ll -p 80 -e /bin/busybox cat
        run --name served --publish 5432:80 box /bin/httpd -f -p 80 -h /www
        run --name restarted --publish 9184:80 box /bin/httpd -f -p 80 -h /www";
    host.sh(script).unwrap().ok().unwrap();
}

/// Makes the changes, each of which must succeed; how many of each kind.
fn change(host: &Host) -> Vec<(&'static str, u32)> {
    let mut counts = [
        ("applies", 0),
        ("corrections", 0),
        ("roll-backs", 0),
        ("service restarts", 0),
        ("container restarts", 0),
        ("engine restarts", 0),
    ];
    let sh = |script: &str| {
        host.sh(script).unwrap().ok().unwrap();
    };
    let services = ["ssh.service", "systemd-journald.service", "systemd-logind.service"];
    let mut profiles = PROFILES.iter().cycle();
    for round in 0..CHANGES / 5 {
        let mut did = |kind: usize| counts[kind].1 += 1;
        // Another profile, and the one before it again.
        give(host, profiles.next().unwrap());
        let first = apply(host).transaction();
        did(0);
        if round % 2 == 0 {
            holdfast(host, &["rollback", &first.to_string()]).ok().unwrap();
            did(2);
            give(host, profiles.next().unwrap());
        } else {
            give(host, profiles.next().unwrap());
            apply(host);
            did(0);
        }
        // Tampering that opens neither of the probed ports; what it opens is put right.
        sh("nft insert rule inet holdfast input tcp dport 20001 accept");
        correct(host);
        did(1);
        sh(
            "nft add chain inet holdfast more '{ type filter hook forward priority -10; policy accept; }'",
        );
        correct(host);
        did(1);
        match round % 10 {
            3 => sh("docker restart --time 0 restarted"),
            // As often as this, systemd would not start it again otherwise.
            8 => sh("systemctl reset-failed docker.service; systemctl restart docker.service"),
            _ => sh(&format!("systemctl restart {}", services[round as usize % services.len()])),
        }
        did(match round % 10 {
            3 => 4,
            8 => 5,
            _ => 3,
        });
    }
    counts.into()
}

on_hosts! {
    Image::Containers;
    /// The whole of it; the figures are printed.
    fn nothing_answers_and_nothing_breaks(host: &Host) {
        let peer = host.peer("outside0").unwrap();
        let bind = |port: u16| host.within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
        let (echoing, _undeclared) = (bind(8333).unwrap(), bind(8801).unwrap());
        containers(host);
        for port in UNDECLARED {
            assert_eq!(peer.tcp_open(port).unwrap(), Tcp::Open, "before: {port} is there to be found");
        }
        give(host, PROFILES[1]);
        apply(host);

        let is_over = &AtomicBool::new(false);
        let start = Instant::now();
        std::thread::scope(|scope| {
            let ends = Ends(is_over);
            scope.spawn(|| echo(&echoing, is_over));
            let probing = scope.spawn(|| probe(&peer, is_over));
            let streams = [8333, 4122].map(|port| {
                let peer = &peer;
                scope.spawn(move || stream(peer, port, is_over))
            });
            let connecting = scope.spawn(|| connect(&peer, 8333, is_over));
            let changes = change(host);
            drop(ends);

            let probes = probing.join().unwrap();
            let streams = streams.map(|stream| stream.join().unwrap());
            let connections = connecting.join().unwrap();
            eprintln!(
                "{}: {changes:?} in {:.0} s; {} probes; streams (numbers, longest silence) {streams:?}; {connections} new connections",
                host.suite(), start.elapsed().as_secs_f32(), probes.sent,
            );
            let answered = probes.answers.open.union(&probes.answers.refused);
            let answered: Vec<_> = answered.filter(|port| UNDECLARED.contains(port)).collect();
            assert!(answered.is_empty(), "probes of {answered:?} were answered");
            assert!(probes.sent > 1000, "probed all the while");
        });
        // The probes could have been answered: without the table they are.
        host.sh("nft delete table inet holdfast").unwrap().ok().unwrap();
        for port in UNDECLARED {
            assert_eq!(peer.tcp_open(port).unwrap(), Tcp::Open, "afterwards: {port}");
        }
    }
}
