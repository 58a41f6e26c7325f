//! Who is blocked and what may leave, with packets.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use holdfast::{
    controls::{
        Control as _, Sight,
        firewall::{Facts, FirewallControl},
    },
    host::Reader,
    profile::schema::Profile,
};

use super::{
    forward::{OUT, Three},
    namespaces::{ANSWER_WITHIN, observed, runtime, section},
};

/// One published port, and one of the host, for all.
const RULES: &str = r#"
outside = ["veth1"]
[[allow]]
name = "web"
tcp = [8080, 22]
"#;

/// The published port, and the host's own: refused by the host, since nobody listens.
const PUBLISHED: [&str; 2] = ["10.77.1.1:8080", "[fd00:77:1::1]:8080"];

#[test]
fn a_blocked_source_gets_in_nowhere_and_what_it_had_open_ends() {
    let three = Three::new();
    three.host.load(&section(RULES));
    assert_eq!(Three::reached(&three.client, &PUBLISHED), PUBLISHED);
    let to: SocketAddr = PUBLISHED[0].parse().unwrap();
    let stream = three.client.within(|| TcpStream::connect_timeout(&to, ANSWER_WITHIN).unwrap());
    // The probes before are in the queue too.
    let port = stream.local_addr().unwrap().port();
    let mut served = loop {
        let (served, from) = three.listeners[0].accept().unwrap();
        if from.port() == port {
            break served;
        }
    };
    served.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let list = tempfile::NamedTempFile::new().unwrap();
    // The container's own network is listed too, as lists of private networks do: it keeps working.
    std::fs::write(&list, "# listed\n192.0.2.0/24 ; a comment\n10.77.1.2\n10.77.2.0/24\n").unwrap();
    let blocked = format!("{RULES}[[block]]\nname = \"listed\"\nfile = {:?}\n", list.path());
    let blocked = section(&blocked);
    three.host.load(&blocked);
    three.host.assert_holds(&blocked);
    assert_eq!(
        Three::reached(&three.client, &PUBLISHED),
        PUBLISHED[1..],
        "the other version of IP"
    );
    // The stream is dead: what is sent does not arrive.
    (&stream).write_all(b"?").unwrap();
    served.read(&mut [0; 8]).unwrap_err();
    assert_eq!(
        Three::reached(&three.container, &OUT),
        OUT[1..],
        "answers of who is blocked do not come in"
    );
    let refused = |address: &str| {
        let to: SocketAddr = address.parse().unwrap();
        let error =
            three.client.within(|| TcpStream::connect_timeout(&to, ANSWER_WITHIN)).unwrap_err();
        error.kind() == std::io::ErrorKind::ConnectionRefused
    };
    assert!(!refused("10.77.1.1:22"), "the host itself");
    assert!(refused("[fd00:77:1::1]:22"));
    let cases = [
        (
            "add element inet holdfast block-listed-v4 { 198.51.100.0/24 }",
            "element added to set block-listed-v4: 198.51.100.0/24",
        ),
        (
            "delete element inet holdfast block-listed-v4 { 10.77.1.2 }",
            "element missing from set block-listed-v4: 10.77.1.2",
        ),
        (
            "flush set inet holdfast block-listed-v4",
            "element missing from set block-listed-v4: 10.77.1.2",
        ),
        ("flush chain inet holdfast blocks", "rule missing from chain blocks: "),
    ];
    for (script, wanted) in cases {
        three.host.load(&blocked);
        three.host.run("nft", &["-f", "-"], script);
        let [ruleset, _] = three.host.judge(&blocked);
        assert!(observed(&ruleset).starts_with(wanted), "{script}: {ruleset:?}");
    }
}

#[test]
fn a_broken_list_forbids_an_apply_and_names_its_lines() {
    let list = tempfile::NamedTempFile::new().unwrap();
    let toml = format!("[[block]]\nname = \"listed\"\nfile = {:?}\n", list.path());
    let section = section(&toml);
    let obstacle = || {
        let profile = Profile { firewall: Some(section.clone()), ..Profile::default() };
        let reader = Reader::live();
        let comparison = runtime().block_on(FirewallControl.observe(&profile, &Sight::of(&reader)));
        comparison.obstacles().pop()
    };
    let host = super::namespaces::Namespace::new();
    assert_eq!(host.within(obstacle), None);
    std::fs::write(&list, "10.0.0.0/8\nnonsense\n").unwrap();
    let found = host.within(obstacle).unwrap();
    assert_eq!(found.check, "firewall.blocklists");
    assert!(found.why.contains(":2:1: `nonsense` is not a network"), "{}", found.why);
    std::fs::write(&list, "10.0.0.0/8\n").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(list.path(), open).unwrap();
    assert!(host.within(obstacle).unwrap().why.contains("others than root may write"));
    drop(list);
    let gather = || runtime().block_on(Facts::gather(&section, &Sight::of(&Reader::live())));
    assert!(host.within(gather).unwrap_err().starts_with("blocklist listed: there is no /"));
}

#[test]
fn only_what_may_leaves() {
    let three = Three::new();
    // What the host and its container reach of the client: everything in this test has a private address.
    let leaves = |egress: &str| -> [Vec<String>; 2] {
        let section = section(&format!("{RULES}{egress}"));
        three.host.load(&section);
        three.host.assert_holds(&section);
        assert_eq!(Three::reached(&three.client, &PUBLISHED), PUBLISHED, "{egress}: answers");
        let inside = ["10.77.2.2:80", "[fd00:77:2::2]:80"];
        assert_eq!(Three::reached(&three.host, &inside), inside, "{egress}: to its own container");
        [&three.host, &three.container].map(|from| Three::reached(from, &OUT))
    };
    let all = OUT.map(str::to_owned).to_vec();
    let none = Vec::<String>::new();
    assert_eq!(leaves(""), [all.clone(), all.clone()]);
    assert_eq!(leaves("[egress]\n"), [all.clone(), all.clone()]);
    assert_eq!(leaves("[egress]\ndeny_private = true\n"), [none.clone(), none.clone()]);
    let allow = "[[egress.allow]]\nname = \"it\"\ntcp = [7]\nto = [\"10.77.1.0/24\"]\n";
    let v4 = vec![OUT[0].to_owned()];
    assert_eq!(
        leaves(&format!("[egress]\ndeny_private = true\n{allow}")),
        [v4.clone(), v4.clone()]
    );
    assert_eq!(leaves(&format!("[egress]\ndefault = \"deny\"\n{allow}")), [v4.clone(), v4]);
    let other = allow.replace("tcp = [7]", "udp = [53]");
    assert_eq!(leaves(&format!("[egress]\ndefault = \"deny\"\n{other}")), [none.clone(), none]);
    let everything = "[[egress.allow]]\nname = \"it\"\n";
    assert_eq!(leaves(&format!("[egress]\ndefault = \"deny\"\n{everything}")), [all.clone(), all]);
}
