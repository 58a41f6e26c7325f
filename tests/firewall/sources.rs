//! Where packets may come from, with packets: named sets, allows that end, sources that are counted.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use holdfast::{
    controls::firewall::{self, Bulk},
    engine::{
        change::TableState,
        image,
        store::{Image, Resource},
    },
    host::Reader,
};
use jiff::Timestamp;
use tokio::net::TcpSocket;

use super::namespaces::{ANSWER_WITHIN, Namespace, observed, runtime, section};

/// Whether a packet from this address of the peer is let in to the port: refused, since nobody listens.
fn is_let_in(peer: &Namespace, from: &str, port: u16) -> bool {
    let from: IpAddr = from.parse().unwrap();
    let to: IpAddr = if from.is_ipv4() { "10.77.1.1" } else { "fd00:77:1::1" }.parse().unwrap();
    let tried = async {
        let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        tokio::time::timeout(ANSWER_WITHIN, socket.connect(SocketAddr::new(to, port))).await
    };
    match peer.within(|| runtime().block_on(tried)) {
        Ok(connected) => connected.unwrap_err().kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

/// A host and a peer that has more than one address: `.2`, `.3` and `::2`, `::3`.
fn two() -> (Namespace, Namespace) {
    let (host, peer) = (Namespace::new(), Namespace::new());
    host.connect(&peer, 1);
    for address in ["10.77.1.3/24", "fd00:77:1::3/64", "fd00:77:9::2/64"] {
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        let args = [&["addr", "add", address, "dev", "eth0"], nodad].concat();
        peer.run("ip", &args, "");
    }
    host.run("ip", &["-6", "route", "add", "fd00:77:9::/64", "dev", "veth1"], "");
    (host, peer)
}

const SETS: &str = r#"
[[set]]
name = "office"
elements = ["10.77.1.2", "192.0.2.0/24", "fd00:77:1::3"]
[[set]]
name = "nobody"
elements = []
[[allow]]
name = "ssh"
tcp = [22]
from = ["@office", "@nobody", "fd00:77:9::/64"]
"#;

#[test]
fn a_named_set_lets_in_who_is_in_it() {
    let (host, peer) = two();
    let section = section(SETS);
    host.load(&section);
    host.assert_holds(&section);
    let listing = host.run("nft", &["list", "table", "inet", "holdfast"], "");
    assert!(listing.contains("ip saddr @set-office-v4 tcp dport 22"), "{listing}");
    let wanted = [
        ("10.77.1.2", true),
        ("10.77.1.3", false),
        ("fd00:77:1::2", false),
        ("fd00:77:1::3", true),
        ("fd00:77:9::2", true),
    ];
    for (from, is_in) in wanted {
        assert_eq!(is_let_in(&peer, from, 22), is_in, "{from}");
    }
    let cases = [
        (
            "add element inet holdfast set-office-v4 { 10.77.1.3 }",
            "element added to set set-office-v4: 10.77.1.3",
        ),
        (
            "delete element inet holdfast set-office-v4 { 192.0.2.0/24 }",
            "element missing from set set-office-v4: 192.0.2.0/24",
        ),
        (
            "flush set inet holdfast set-office-v6",
            "element missing from set set-office-v6: fd00:77:1::3",
        ),
    ];
    for (script, wanted) in cases {
        host.load(&section);
        host.run("nft", &["-f", "-"], script);
        let [ruleset, _] = host.judge(&section);
        assert!(observed(&ruleset).starts_with(wanted), "{script}: {ruleset:?}");
    }
}

/// Open to everybody for so many seconds more, beside one that stays.
fn open_for(seconds: i64) -> String {
    let end = Timestamp::now().as_second() + seconds;
    let end = Timestamp::from_second(end).unwrap();
    format!(
        "[[allow]]\nname = \"guests\"\ntcp = [80]\nuntil = \"{end}\"\n\
         [[allow]]\nname = \"guest\"\ntcp = [81]\nfrom = [\"10.77.1.3\", \"fd00:77:1::/64\"]\nuntil = \"{end}\"\n\
         [[allow]]\nname = \"web\"\ntcp = [443]\n"
    )
}

#[test]
fn what_ends_ends_by_itself_and_no_reload_extends_it() {
    let (host, peer) = two();
    // More than all of this takes on a slow machine, twice over.
    let window = Duration::from_secs(20);
    let begun = Instant::now();
    let toml = open_for(20);
    let section = section(&toml);
    let document = host.document(&section);
    host.load(&section);
    let state =
        |port| ["10.77.1.2", "10.77.1.3", "fd00:77:1::2"].map(|from| is_let_in(&peer, from, port));
    assert_eq!(state(80), [true; 3]);
    assert_eq!(state(81), [false, true, true]);
    host.assert_holds(&section);
    // As it is put back by a roll-back: what was found, loaded again.
    let look = || {
        let image = runtime().block_on(image::look(&Resource::Table, &Reader::live())).unwrap();
        let Image::Table(TableState::Listing(text)) = image else { panic!("{image:?}") };
        text
    };
    let found = host.within(look);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(document, host.document(&section), "time makes no other document");
    host.load(&section);
    host.assert_holds(&section);
    thread::sleep(Duration::from_secs(1));
    let text = holdfast::engine::listing::at(&found, Timestamp::now());
    host.run("nft", &["-f", "-"], &format!("delete table inet holdfast\n{text}"));
    host.assert_holds(&section);
    let again = host.within(look);
    assert!(
        holdfast::engine::listing::is_same(&found, &again, Timestamp::now()),
        "{found}\n{again}"
    );
    assert!(is_let_in(&peer, "10.77.1.2", 80), "it has not ended yet");
    thread::sleep((window + Duration::from_secs(1)).saturating_sub(begun.elapsed()));
    assert_eq!(state(80), [false; 3]);
    assert_eq!(state(81), [false; 3]);
    assert!(is_let_in(&peer, "10.77.1.2", 443));
    host.assert_holds(&section);
    // And loaded after its end.
    host.load(&section);
    assert_eq!(state(80), [false; 3]);
    host.assert_holds(&section);
}

#[test]
fn an_end_that_was_moved_is_seen() {
    let host = Namespace::new();
    let section = section(&open_for(3600));
    let all = "0.0.0.0/0";
    let cases = [
        (
            format!(
                "delete element inet holdfast until-guests-v4 {{ {all} }}; add element inet holdfast until-guests-v4 {{ {all} timeout 9h }}"
            ),
            format!("element {all} of set until-guests-v4 ends "),
        ),
        (
            format!(
                "delete element inet holdfast until-guests-v4 {{ {all} }}; add element inet holdfast until-guests-v4 {{ {all} }}"
            ),
            format!("element {all} of set until-guests-v4 does not end"),
        ),
        (
            "add element inet holdfast until-guest-v4 { 192.0.2.7 timeout 1h }".to_owned(),
            "element added to set until-guest-v4: 192.0.2.7".to_owned(),
        ),
        (
            "flush set inet holdfast until-guest-v6".to_owned(),
            "element missing from set until-guest-v6: fd00:77:1::/64".to_owned(),
        ),
    ];
    for (script, wanted) in cases {
        host.load(&section);
        host.assert_holds(&section);
        host.run("nft", &["-f", "-"], &script);
        let [ruleset, _] = host.judge(&section);
        assert!(observed(&ruleset).starts_with(&wanted), "{script}: {ruleset:?}");
    }
}

const RATED: &str = r#"
[[allow]]
name = "ssh"
tcp = [22]
rate = "3/hour"
[[allow]]
name = "office"
tcp = [22]
from = ["fd00:77:9::/64"]
"#;

#[test]
fn who_comes_too_often_is_dropped_and_others_are_not() {
    let (host, peer) = two();
    let section = section(RATED);
    host.load(&section);
    let tries = |from: &str, count: usize| -> Vec<bool> {
        (0..count).map(|_| is_let_in(&peer, from, 22)).collect()
    };
    assert_eq!(tries("10.77.1.2", 4), [true, true, true, false]);
    assert_eq!(tries("10.77.1.3", 1), [true], "each source has its own count");
    assert_eq!(tries("fd00:77:1::2", 2), [true, true]);
    assert_eq!(tries("fd00:77:1::3", 2), [true, false], "one /64 is one source");
    assert_eq!(tries("fd00:77:9::2", 5), [true; 5], "who is named without a rate is not counted");
    // What packets have added is no drift, and is not put back.
    host.assert_holds(&section);
    let found =
        host.within(|| runtime().block_on(image::look(&Resource::Table, &Reader::live())).unwrap());
    let Image::Table(TableState::Listing(text)) = found else { panic!("{found:?}") };
    assert!(!text.contains("10.77.1.2"), "{text}");
    let text = holdfast::engine::listing::at(&text, Timestamp::now());
    host.run("nft", &["-f", "-"], &format!("delete table inet holdfast\n{text}"));
    host.assert_holds(&section);
    assert_eq!(tries("10.77.1.2", 4), [true, true, true, false], "as it was put back");
}

#[test]
fn a_full_set_shuts_nobody_out() {
    let (host, peer) = two();
    let section = section(RATED);
    let commands = firewall::at(&host.document(&section), Timestamp::now(), Bulk::Full);
    let small = commands.replace("\"size\":65535", "\"size\":1");
    assert_ne!(commands, small);
    host.run("nft", &["-j", "-f", "-"], &small);
    // Whoever came first fills it.
    assert!(is_let_in(&peer, "10.77.1.2", 22));
    for attempt in 0..6 {
        assert!(is_let_in(&peer, "10.77.1.3", 22), "attempt {attempt}: the last to come gets in");
    }
}
