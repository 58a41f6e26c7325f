//! `from_config`: the ports are those of a service's own configuration; a missing one opens nothing, a changed one is
//! followed by a person only.

use std::{net::Ipv6Addr, net::TcpListener, net::UdpSocket};

use holdfast_test_host::{Peer, Tcp, Udp};

use crate::support::*;

/// A key that is nowhere else; it must never come out of holdfast.
const SECRET: &str = "41634762d89dfa09133a4a8e9c1378d0161d29cd0a9433b51f1e3d32947a73dc";

const RULES: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
from_config = "sbtc-signer"
"#;

const ALL: &str = r#"
[[firewall.allow]]
name = "ssh"
tcp = [22]
[[firewall.allow]]
name = "signer-p2p"
from_config = "sbtc-signer"
config_file = "/srv/signer/signer-config.toml"
env_file = "/srv/signer/.env"
[[firewall.allow]]
name = "stacks-p2p"
from_config = "stacks-node"
[[firewall.allow]]
name = "bitcoin-p2p"
from_config = "bitcoind"
"#;

const RULESET: &str = "firewall.ruleset";
const SIGNER: &str = "firewall.from-config/signer-p2p";

fn signer(listen_on: &str) -> String {
    format!(
        "[signer]\nprivate_key = \"{SECRET}\"\ndb_endpoint = \"postgresql://signer:{SECRET}@db/signer\"\n\
         [signer.p2p]\nlisten_on = [{listen_on}]\n"
    )
}

/// Listens at every port that any of these tests speaks of, TCP and UDP, and answers datagrams.
struct Listeners(Vec<TcpListener>, Vec<u16>);

const PORTS: [u16; 8] = [4122, 4123, 4200, 4300, 5432, 8333, 9000, 20444];

impl Listeners {
    fn on(host: &Host) -> Self {
        let any = Ipv6Addr::UNSPECIFIED;
        let tcp = host.within(|| {
            PORTS.iter().map(|port| TcpListener::bind((any, *port)).unwrap()).collect::<Vec<_>>()
        });
        let udp = host.within(|| {
            PORTS.iter().map(|port| UdpSocket::bind((any, *port)).unwrap()).collect::<Vec<_>>()
        });
        for socket in udp.unwrap() {
            // Ends with the test's process.
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((size, from)) = socket.recv_from(&mut buffer) {
                    drop(socket.send_to(&buffer[..size], from));
                }
            });
        }
        Self(tcp.unwrap(), PORTS.to_vec())
    }

    /// The ports that a peer reaches, as `tcp 4122`.
    fn reached_by(&self, peer: &Peer) -> Vec<String> {
        assert_eq!(self.0.len(), self.1.len());
        std::thread::scope(|scope| {
            let probes: Vec<_> = self
                .1
                .iter()
                .map(|port| {
                    scope.spawn(move || {
                        let tcp = peer.tcp_open(*port).unwrap() == Tcp::Open;
                        let udp = matches!(peer.udp(*port, b"?").unwrap(), Udp::Answered(_));
                        let open = [(tcp, format!("tcp {port}")), (udp, format!("udp {port}"))];
                        open.into_iter()
                            .filter(|(open, _)| *open)
                            .map(|(_, name)| name)
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            probes.into_iter().flat_map(|probe| probe.join().unwrap()).collect()
        })
    }
}

/// All that holdfast says and keeps is without the secret.
fn tells_no_secret(host: &Host) {
    for command in ["verify", "plan", "exposure"] {
        for format in ["text", "json"] {
            let output = holdfast(host, &[command, "--format", format]);
            assert!(
                !format!("{}{}", output.stdout, output.stderr).contains(&SECRET[..16]),
                "{command}"
            );
        }
    }
    let kept = host.sh(&format!("grep -rl {} /var/lib/holdfast /run/holdfast 2>/dev/null || true; journalctl | grep -c {} || true", &SECRET[..16], &SECRET[..16]));
    assert_eq!(kept.unwrap().ok().unwrap().stdout.trim(), "0");
}

on_hosts! {
    /// Missing: nothing is opened, it is said, and the rest of the firewall stands. There: exactly its ports. Changed: a
    /// finding, which correct leaves and apply follows.
    fn the_signers_own_configuration_decides(host: &Host) {
        let (peer, listeners) = (host.peer("one").unwrap(), Listeners::on(host));
        give(host, RULES);
        let first = report(host, "apply");
        assert_eq!(first.exit, 2, "applied, and something is not known: {:#}", first.json);
        assert_eq!(first.json["outcome"], "committed");
        assert_eq!(listeners.reached_by(&peer), Vec::<String>::new(), "nothing but ssh");
        assert_eq!(peer.tcp_open(22).unwrap(), Tcp::Open);
        let missing = verify(host);
        assert_eq!(missing.outcome(SIGNER), "cannot-check");
        assert!(missing.observed(SIGNER).contains("/etc/sbtc-signer/signer-config.toml is not there"));
        assert_eq!(missing.with("fail"), Vec::<&str>::new());

        let path = "/etc/sbtc-signer/signer-config.toml";
        host.push(path, signer(r#""tcp://0.0.0.0:4122", "quic-v1://0.0.0.0:4123", "tcp://127.0.0.1:4300""#), 0o600).unwrap();
        report(host, "correct");
        assert_eq!(listeners.reached_by(&peer), Vec::<String>::new(), "correct opens nothing new");
        apply(host);
        assert_passes(&verify(host));
        assert_eq!(listeners.reached_by(&peer), ["tcp 4122", "udp 4123"]);

        host.push(path, signer(r#""tcp://0.0.0.0:4200""#), 0o600).unwrap();
        let changed = verify(host);
        assert_eq!(changed.outcome(RULESET), "fail", "a new expectation, not a drift");
        assert_eq!(changed.outcome(SIGNER), "pass");
        assert_eq!(changed.with("drift"), Vec::<&str>::new());
        assert!(changed.observed(RULESET).contains("4200") || changed.observed(RULESET).contains("4122"), "{}", changed.observed(RULESET));
        report(host, "correct");
        assert_eq!(listeners.reached_by(&peer), ["tcp 4122", "udp 4123"], "correct does not follow it");
        // Not even when there is something else of the firewall to put right; and that is put right.
        host.sh("nft 'add table inet holdfast { flags dormant; }'").unwrap().ok().unwrap();
        report(host, "correct");
assert_eq!(listeners.reached_by(&peer), ["tcp 4122", "udp 4123"], "what was confirmed is back");
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["tcp 4200"]);

        for (text, wanted) in [
            (format!("[signer]\nprivate_key = {SECRET}\n"), "line 2: this is not TOML"),
            (signer(r#""tcp://0.0.0.0""#), "entry 1 of listen_on names no port"),
            (signer(""), "there is no port to open"),
            ("[signer]\n".to_owned(), "signer.p2p.listen_on is not set"),
        ] {
            host.push(path, text, 0o600).unwrap();
            let broken = verify(host);
            assert_eq!(broken.outcome(SIGNER), "cannot-check", "{wanted}");
            assert!(broken.observed(SIGNER).contains(wanted), "{}", broken.observed(SIGNER));
            tells_no_secret(host);
        }
        host.sh(&format!("rm {path}")).unwrap().ok().unwrap();
        assert_eq!(report(host, "apply").exit, 2);
        assert_eq!(listeners.reached_by(&peer), Vec::<String>::new(), "a configuration that is gone closes its ports");
        assert_eq!(peer.tcp_open(22).unwrap(), Tcp::Open);
    }
}

on_hosts! {
    /// The environment wins over the file: from a unit, from its environment file, from a file the profile names.
    fn the_environment_wins(host: &Host) {
        let (peer, listeners) = (host.peer("one").unwrap(), Listeners::on(host));
        host.push("/etc/sbtc-signer/signer-config.toml", signer(r#""tcp://0.0.0.0:4122""#), 0o600).unwrap();
        let unit = |lines: &str| {
            let text = format!("[Service]\nExecStart=/bin/sleep infinity\n{lines}");
            host.push("/etc/systemd/system/sbtc-signer.service", text, 0o644).unwrap();
            host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        };
        let variable = "SIGNER_SIGNER__P2P__LISTEN_ON";
        give(host, RULES);
        unit(&format!("Environment=SIGNER_SIGNER__PRIVATE_KEY={SECRET} {variable}=tcp://0.0.0.0:4200,quic-v1://[::]:4200\n"));
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["tcp 4200", "udp 4200"]);
        tells_no_secret(host);
        host.push("/etc/default/signer", format!("SIGNER_SIGNER__PRIVATE_KEY={SECRET}\n{variable}=\"quic-v1://0.0.0.0:4300\"\n"), 0o600).unwrap();
        unit(&format!("Environment={variable}=tcp://0.0.0.0:4200\nEnvironmentFile=/etc/default/signer\n"));
        assert_eq!(verify(host).outcome(RULESET), "fail");
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["udp 4300"]);
        tells_no_secret(host);
        // A unit that is started with another file.
        host.push("/srv/s.toml", signer(r#""tcp://0.0.0.0:4123""#), 0o600).unwrap();
        host.push("/etc/systemd/system/sbtc-signer.service", "[Service]\nExecStart=/bin/sleep infinity --config /srv/s.toml\n", 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["tcp 4123"]);
    }
}

on_hosts! {
    /// Signer, Stacks node and Bitcoin Core side by side, with the signer configured as Docker Compose does.
    fn three_services_side_by_side(host: &Host) {
        let (peer, listeners) = (host.peer("one").unwrap(), Listeners::on(host));
        host.push("/srv/signer/signer-config.toml", signer(r#""tcp://0.0.0.0:4122""#), 0o600).unwrap();
        host.push("/srv/signer/.env", format!("POSTGRES_PASSWORD={SECRET}\nSIGNER_SIGNER__P2P__LISTEN_ON=tcp://0.0.0.0:4300\n"), 0o600).unwrap();
        host.push("/etc/stacks-blockchain/Config.toml", format!("[node]\nseed = \"{SECRET}\"\nrpc_bind = \"0.0.0.0:5432\"\n"), 0o600).unwrap();
        host.push("/etc/bitcoin/bitcoin.conf", format!("server=1\nrpcpassword={SECRET}\nrpcport=5432\n[main]\nport=9000\n"), 0o600).unwrap();
        give(host, ALL);
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["tcp 4300", "tcp 9000", "tcp 20444"]);
        assert_passes(&verify(host));
        tells_no_secret(host);
        // What bitcoind's own command line says wins, and listen=0 leaves nothing to open.
        host.push("/etc/systemd/system/bitcoind.service", "[Service]\nExecStart=/bin/sleep infinity -conf=/etc/bitcoin/bitcoin.conf -port=8333\n", 0o644).unwrap();
        host.sh("systemctl daemon-reload").unwrap().ok().unwrap();
        apply(host);
        assert_eq!(listeners.reached_by(&peer), ["tcp 4300", "tcp 8333", "tcp 20444"]);
        host.push("/etc/bitcoin/bitcoin.conf", "listen=0\n", 0o600).unwrap();
        let quiet = report(host, "apply");
        assert_eq!(quiet.outcome("firewall.from-config/bitcoin-p2p"), "cannot-check");
        assert_eq!(listeners.reached_by(&peer), ["tcp 4300", "tcp 20444"]);
    }
}
