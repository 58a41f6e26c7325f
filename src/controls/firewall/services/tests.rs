//! What services listen on, from what people write and from what nobody should.

use proptest::prelude::*;

use super::{
    bitcoind, env_file,
    gather::inspected,
    launch::{Launch, Published},
    ports::{Fault, Found, Ports},
    signer, stacks,
};
use crate::profile::schema::{Firewall, Service};

/// A key that must never be seen in an error: the signer's own, of its sample configuration.
const SECRET: &str = "41634762d89dfa09133a4a8e9c1378d0161d29cd0a9433b51f1e3d32947a73dc";

fn said(found: Result<Ports, Fault>) -> String {
    found.map_or_else(|fault| format!("! {fault}"), |ports| ports.to_string())
}

fn on(list: &str) -> String {
    said(signer::ports(
        Some(&format!("[signer]\nprivate_key = \"{SECRET}\"\n[signer.p2p]\nlisten_on = {list}\n")),
        None,
    ))
}

#[test]
fn the_signer_listens() {
    for (list, wanted) in [
        (r#"["tcp://0.0.0.0:4122"]"#, "tcp 4122"),
        (r#"["tcp://0.0.0.0:4122", "quic-v1://0.0.0.0:4122"]"#, "tcp 4122, udp 4122"),
        (r#"["tcp://[::]:4122/", "tcp://203.0.113.7:4123"]"#, "tcp 4122, tcp 4123"),
        (r#"["", "quic-v1://[2001:db8::1]:9"]"#, "udp 9"),
        (
            r#"["tcp://127.0.0.1:4122", "quic-v1://[::1]:1", "tcp://localhost:2", "tcp://[::ffff:127.0.0.1]:3"]"#,
            "no port",
        ),
        ("[]", "no port"),
        (r#"["tcp://0.0.0.0"]"#, "! entry 1 of listen_on names no port, which the signer refuses"),
        (
            r#"["tcp://0.0.0.0:0"]"#,
            "! entry 1 of listen_on leaves the port to the kernel: name one",
        ),
        (
            r#"["tcp://0.0.0.0:1", "udp://0.0.0.0:4122"]"#,
            "! entry 2 of listen_on is neither tcp:// nor quic-v1://",
        ),
        (
            r#"["tcp://me@0.0.0.0:4122"]"#,
            "! entry 1 of listen_on has more than a scheme, an address and a port",
        ),
        (
            r#"["tcp://0.0.0.0:4122/x"]"#,
            "! entry 1 of listen_on has more than a scheme, an address and a port",
        ),
        (
            r#"["tcp://signer.example.org:4122"]"#,
            "! entry 1 of listen_on has a name where an address of this host belongs",
        ),
        (
            r#"["0.0.0.0:4122"]"#,
            "! entry 1 of listen_on is not an address such as tcp://0.0.0.0:4122",
        ),
        (
            r#"["tcp://0.0.0.0:70000"]"#,
            "! entry 1 of listen_on is not an address such as tcp://0.0.0.0:4122",
        ),
        (r#""tcp://0.0.0.0:4122""#, "! signer.p2p.listen_on is not a list"),
        ("[4122]", "! signer.p2p.listen_on has an entry that is not a text"),
    ] {
        assert_eq!(on(list), wanted, "{list}");
    }
    let many = format!("[{}]", r#""tcp://0.0.0.0:1","#.repeat(65));
    assert_eq!(on(&many), "! listen_on has more than 64 addresses");
}

#[test]
fn a_signer_without_what_matters() {
    let of = |text| said(signer::ports(Some(text), None));
    assert_eq!(of(""), "! signer.p2p.listen_on is not set");
    assert_eq!(of("[signer]\np2p = 3"), "! signer.p2p is not a table");
    assert_eq!(of("signer = 1"), "! signer is not a table");
    // The parser's own words would quote the line, and with it the key.
    let broken = format!("[signer]\n\nprivate_key = {SECRET}\"\n");
    assert_eq!(of(&broken), "! line 3: this is not TOML");
}

#[test]
fn the_signers_environment_wins() {
    let file = "[signer.p2p]\nlisten_on = [\"tcp://0.0.0.0:4122\"]\n";
    let with = |variable| said(signer::ports(Some(file), Some(variable)));
    assert_eq!(with("tcp://0.0.0.0:5000, quic-v1://0.0.0.0:5001"), "tcp 5000, udp 5001");
    assert_eq!(with(""), "no port");
    assert_eq!(
        with("tcp://0.0.0.0"),
        "! entry 1 of listen_on names no port, which the signer refuses"
    );
    assert_eq!(said(signer::ports(None, Some("tcp://0.0.0.0:7"))), "tcp 7");
    // A file that the signer could not read is of no account to where it listens, but it will not start with it.
    assert_eq!(
        said(signer::ports(None, None)),
        "! there is neither a file nor SIGNER_SIGNER__P2P__LISTEN_ON"
    );
}

#[test]
fn a_stacks_node_listens() {
    let of = |text: &str| said(stacks::ports(Some(text)));
    assert_eq!(of("[node]\nrpc_bind = \"0.0.0.0:20443\"\n"), "tcp 20444");
    assert_eq!(
        of("[node]\np2p_bind = \"0.0.0.0:30444\"\nprometheus_bind = \"0.0.0.0:9153\"\n"),
        "tcp 30444"
    );
    assert_eq!(of("[node]\np2p_bind = \"[::]:1\"\n"), "tcp 1");
    assert_eq!(of("[node]\np2p_bind = \"127.0.0.1:20444\"\n"), "no port");
    let wanted = "! node.p2p_bind is not an address and a port, such as 0.0.0.0:20444";
    for bad in ["\"0.0.0.0\"", "\"node:20444\"", "\"\"", "\"0.0.0.0:70000\""] {
        assert_eq!(of(&format!("[node]\np2p_bind = {bad}\n")), wanted);
    }
    assert_eq!(of("[node]\np2p_bind = 20444\n"), "! node.p2p_bind is not a text");
    assert_eq!(
        of("[node]\np2p_bind = \"0.0.0.0:0\"\n"),
        "! node.p2p_bind leaves the port to the kernel: name one"
    );
    assert_eq!(of(""), "! there is no [node]: is this a Stacks node's configuration?");
}

#[test]
fn bitcoin_core_listens() {
    for (text, arguments, wanted) in [
        ("", "", "tcp 8333"),
        ("server=1\nrpcpassword=x\n", "", "tcp 8333"),
        ("testnet=1\n", "", "tcp 18333"),
        ("chain=signet\n", "", "tcp 38333"),
        ("regtest=0\n", "", "tcp 8333"),
        ("port=9000 # ours\n", "", "tcp 9000"),
        ("testnet=1\nport=9000\n", "", "tcp 18333"),
        ("testnet=1\nport=9000\n[test]\nport=9001\n", "", "tcp 9001"),
        ("testnet=1\ntest.port=9001\n", "", "tcp 9001"),
        ("port=9000\n[main]\nport=9001\n", "", "tcp 9001"),
        ("[test]\nport=9001\n", "", "tcp 8333"),
        ("port=9000\n", "-port=9002", "tcp 9002"),
        ("", "-testnet --port=9002", "tcp 9002"),
        ("chain=main\n", "-chain=testnet4", "tcp 48333"),
        ("listen=0\n", "", "no port"),
        ("nolisten=1\n", "", "no port"),
        ("listen=0\n", "-listen", "tcp 8333"),
        ("proxy=127.0.0.1:9050\n", "", "no port"),
        ("connect=10.0.0.1\n", "", "no port"),
        ("connect=10.0.0.1\nlisten=1\n", "", "tcp 8333"),
        ("proxy=127.0.0.1:9050\nbind=0.0.0.0\n", "", "tcp 8333"),
        ("bind=127.0.0.1\n", "", "no port"),
        ("bind=127.0.0.1\nbind=203.0.113.7:8400\n", "", "tcp 8400"),
        ("bind=[::1]:1\nbind=[::]:8401\nbind=::\nport=5\n", "", "tcp 5, tcp 8401"),
        ("bind=0.0.0.0:8334=onion\nbind=0.0.0.0\n", "", "tcp 8333"),
        ("whitebind=noban,relay@0.0.0.0:8500\n", "", "tcp 8500"),
        ("whitebind=127.0.0.1:8500\n", "", "no port"),
        ("port=0\n", "", "! line 1: port is not a port"),
        ("\nport=70000\n", "", "! line 2: port is not a port"),
        (
            "port=9000\nport=9001\n",
            "",
            "! line 2: set before to another value: leave one of the two",
        ),
        ("port=9000\nport=9000\n", "", "tcp 9000"),
        ("listen=yes\n", "", "! line 1: a switch that is neither 0 nor 1"),
        ("listen=1\nnolisten=1\n", "", "! line 2: listen and nolisten: leave one of the two"),
        (
            "testnet=1\nregtest=1\n",
            "",
            "! line 2: more than one chain is chosen, which bitcoind refuses",
        ),
        ("chain=moon\n", "", "! chain is none that bitcoind knows"),
        (
            "bind=example.org\n",
            "",
            "! line 1: bind is not an address of this host, with a port or without",
        ),
        (
            "bind=0.0.0.0:1=tor\n",
            "",
            "! line 1: bind is not an address of this host, with a port or without",
        ),
        (
            "whitebind=0.0.0.0\n",
            "",
            "! line 1: bind is not an address of this host, with a port or without",
        ),
        ("-port=1\n", "", "! line 1: bitcoind refuses a name with a leading -"),
        ("port\n", "", "! line 1: bitcoind refuses a line that is not name=value"),
        (
            "noport=1\n",
            "",
            "! line 1: a negated setting or includeconf: say the ports under tcp instead of from_config",
        ),
        (
            "includeconf=more.conf\n",
            "",
            "! line 1: a negated setting or includeconf: say the ports under tcp instead of from_config",
        ),
    ] {
        let arguments: Vec<String> = std::iter::once("bitcoind")
            .chain(arguments.split_whitespace())
            .map(str::to_owned)
            .collect();
        assert_eq!(said(bitcoind::ports(Some(text), &arguments)), wanted, "{text:?} {arguments:?}");
    }
}

#[test]
fn variables_in_files() {
    let name = signer::VARIABLE;
    let of = |text: &str| env_file::value(text, name).map_err(|fault| fault.to_string());
    let good = |text: &str| of(text).unwrap().unwrap();
    assert_eq!(of("A=b\n# SIGNER_SIGNER__P2P__LISTEN_ON=tcp://0.0.0.0:1\n"), Ok(None));
    assert_eq!(good(&format!("{name}=tcp://0.0.0.0:1")), "tcp://0.0.0.0:1");
    assert_eq!(
        good(&format!("export {name}=\"tcp://[::]:1,tcp://0.0.0.0:2\"\n")),
        "tcp://[::]:1,tcp://0.0.0.0:2"
    );
    assert_eq!(good(&format!("  {name} = 'a'\r\n")), "a");
    assert_eq!(good(&format!("{name}=a\n{}=b\n", name.to_lowercase())), "b");
    assert_eq!(good(&format!("{name}=")), "");
    let odd = format!(
        "line 2: {name} is not plain: write it without escapes, $ and comments, in one pair of quotes or none"
    );
    for value in ["\"a", "a'", "a # b", "${X}", "a\\", "\"a\" b", "\""] {
        assert_eq!(of(&format!("X=y\n{name}={value}")), Err(odd.clone()), "{value}");
    }
}

fn launch(command: &str) -> Launch {
    Launch { command: command.split(' ').map(str::to_owned).collect(), ..Launch::default() }
}

#[test]
fn the_command_line_names_the_file() {
    use Service::{Bitcoind, SbtcSigner, StacksNode};
    for (service, command, wanted) in [
        (SbtcSigner, "/usr/bin/signer --config /etc/s.toml --migrate-db", Ok(Some("/etc/s.toml"))),
        (SbtcSigner, "signer -c /etc/s.toml", Ok(Some("/etc/s.toml"))),
        (SbtcSigner, "signer --config=/etc/s.toml", Ok(Some("/etc/s.toml"))),
        (SbtcSigner, "signer --output-format json", Ok(None)),
        (SbtcSigner, "signer --config", Ok(None)),
        (SbtcSigner, "signer --config s.toml", Err(())),
        (SbtcSigner, "signer --config ${CONFIG}", Err(())),
        (SbtcSigner, "/bin/sh -c signer --config /x", Ok(None)),
        (StacksNode, "stacks-node start --config=/etc/n.toml", Ok(Some("/etc/n.toml"))),
        (Bitcoind, "/usr/bin/bitcoind -conf=/etc/b.conf -datadir=/d", Ok(Some("/etc/b.conf"))),
        (Bitcoind, "/usr/bin/bitcoind --conf=bitcoin.conf", Err(())),
    ] {
        let found = launch(command).config_file(service).map_err(drop);
        assert_eq!(found, wanted.map(|path| path.map(str::to_owned)), "{command}");
    }
}

/// Docker's word on a container, as far as it is used, with a secret where secrets stand.
fn container(mode: &str) -> serde_json::Value {
    serde_json::json!({
        "Path": "signer",
        "Args": ["--config", "/signer-config.toml"],
        "Config": { "Env": [format!("SIGNER_SIGNER__PRIVATE_KEY={SECRET}"), "SIGNER_SIGNER__P2P__LISTEN_ON=tcp://0.0.0.0:4122"] },
        "Mounts": [{ "Source": "/srv/sbtc/signer-config.toml", "Destination": "/signer-config.toml" }],
        "HostConfig": {
            "NetworkMode": mode,
            "PortBindings": {
                "4122/tcp": [{ "HostIp": "", "HostPort": "14122" }],
                "4122/udp": [{ "HostIp": "0.0.0.0", "HostPort": "" }],
                "8801/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8801" }],
            },
        },
    })
}

#[test]
fn a_container_is_reached_at_the_hosts_port() {
    let launch = inspected(&container("bridge")).unwrap();
    assert!(!format!("{launch:?}").contains(SECRET));
    assert_eq!(
        launch.config_file(Service::SbtcSigner).unwrap().unwrap(),
        "/srv/sbtc/signer-config.toml"
    );
    let listens = |list| signer::ports(None, Some(list)).unwrap();
    let host = |list| said(launch.as_published(listens(list)));
    assert_eq!(host(launch.variable.as_deref().unwrap()), "tcp 14122");
    assert_eq!(host("tcp://0.0.0.0:8801"), "no port");
    assert!(host("quic-v1://0.0.0.0:4122").contains("chosen anew at each start"));
    assert!(host("tcp://0.0.0.0:9").contains("publishes it nowhere"));
    let shared = inspected(&container("host")).unwrap();
    assert_eq!(said(shared.as_published(listens("tcp://0.0.0.0:4122"))), "tcp 4122");
    assert_eq!(inspected(&serde_json::json!({ "Path": 3 })), None);
}

#[test]
fn a_file_inside_the_container_is_not_the_hosts() {
    let mut launch = inspected(&container("bridge")).unwrap();
    launch.mounts = vec![("/etc".to_owned(), "/srv/etc".to_owned())];
    assert!(launch.config_file(Service::SbtcSigner).is_err());
    launch.mounts.push(("/".to_owned(), "/srv/root".to_owned()));
    assert_eq!(
        launch.config_file(Service::SbtcSigner).unwrap().unwrap(),
        "/srv/root/signer-config.toml"
    );
}

#[test]
fn an_allow_without_known_ports_lets_nothing_in() {
    let section: Firewall = toml::from_str(
        "[[allow]]\nname = \"a\"\nfrom_config = \"bitcoind\"\n[[allow]]\nname = \"b\"\nfrom_config = \"bitcoind\"\n[[allow]]\nname = \"c\"\ntcp = [1]\n",
    )
    .unwrap();
    let ports = bitcoind::ports(Some(""), &[]).unwrap();
    let found =
        Found([("a".to_owned(), Ok(ports)), ("b".to_owned(), Err("why".to_owned()))].into());
    let filled = found.fill(&section);
    let tcp = |index: usize| {
        filled.allow[index].tcp().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((tcp(0), tcp(1), tcp(2)), (vec!["8333".to_owned()], vec![], vec!["1".to_owned()]));
    let unread = Found::default().fill(&section);
    assert!(unread.allow[0].tcp().is_empty() && unread.allow[0].udp().is_empty());
}

#[test]
fn published_ports_are_matched_by_protocol() {
    let published = Published {
        protocol: "udp".to_owned(),
        inside: 4122,
        outside: crate::profile::types::Port::new(1),
        is_loopback: false,
    };
    let launch = Launch { published: Some(vec![published]), ..Launch::default() };
    let ports = signer::ports(None, Some("tcp://0.0.0.0:4122")).unwrap();
    assert!(launch.as_published(ports).is_err());
}

/// What somebody might leave in a configuration: good lines, torn ones, and a secret among them.
fn torn() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(format!("private_key = \"{SECRET}\"")),
        Just("[signer.p2p]".to_owned()),
        Just("[node]".to_owned()),
        Just("listen_on = [\"tcp://0.0.0.0:4122\"]".to_owned()),
        Just("p2p_bind = \"0.0.0.0:20444\"".to_owned()),
        Just("port=9000".to_owned()),
        Just("bind=0.0.0.0:8333".to_owned()),
        proptest::string::string_regex(&format!(
            "(=|\\[|\"|'|#|\\.|,|{SECRET}|[a-z]{{1,6}}|[0-9]{{1,5}}|tcp://|é){{0,8}}"
        ))
        .unwrap(),
        ".{0,40}",
    ];
    (proptest::collection::vec(line, 0..8), 0usize..400).prop_map(|(lines, cut)| {
        let text = lines.join("\n");
        let end = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text[..end.unwrap_or(0)].to_owned()
    })
}

proptest! {
    /// Nothing panics, and no fault shows what stands in the file.
    #[test]
    fn torn_files_give_faults_without_secrets(text in torn(), arguments in proptest::collection::vec(".{0,20}", 0..4)) {
        let env = env_file::value(&text, signer::VARIABLE);
        for said in [
            said(signer::ports(Some(&text), None)),
            said(signer::ports(None, Some(&text))),
            said(stacks::ports(Some(&text))),
            said(bitcoind::ports(Some(&text), &arguments)),
            env.map_or_else(|fault| fault.to_string(), |_| String::new()),
        ] {
            prop_assert!(!said.contains(&SECRET[..8]), "{said}");
        }
    }

    /// What the signer is told to listen on is what is opened, however it is written.
    #[test]
    fn what_is_listed_is_opened(list in proptest::collection::vec((any::<bool>(), 0u8..4, 1u16..), 0..8)) {
        let address = |kind: u8| ["0.0.0.0", "[::]", "127.0.0.9", "[::1]"][usize::from(kind)];
        let scheme = |tcp: bool| if tcp { "tcp" } else { "quic-v1" };
        let written: Vec<String> =
            list.iter().map(|(tcp, kind, port)| format!("{}://{}:{port}", scheme(*tcp), address(*kind))).collect();
        let mut wanted = Ports::default();
        for (tcp, _, port) in list.iter().filter(|(_, kind, _)| *kind < 2) {
            let ports = if *tcp { &mut wanted.tcp } else { &mut wanted.udp };
            ports.extend(crate::profile::types::Port::new(*port));
        }
        let file = format!("[signer.p2p]\nlisten_on = {written:?}\n");
        prop_assert_eq!(signer::ports(Some(&file), None).unwrap(), wanted.clone());
        prop_assert_eq!(signer::ports(None, Some(&written.join(","))).unwrap(), wanted);
    }
}
