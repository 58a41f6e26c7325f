use std::net::IpAddr;

use proptest::{prelude::*, sample};

use super::*;

fn model(toml: &str) -> Model {
    let section: Firewall = toml::from_str(toml).unwrap();
    Model::of(Some(&section), &Facts::default(), Timestamp::UNIX_EPOCH)
}

fn door(port: u16) -> Door {
    Door::tcp(Port::new(port).unwrap())
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

const SECTION: &str = r#"
[[allow]]
name = "ssh"
tcp = [22]
from = ["198.51.100.0/24", "2001:db8:1::/48"]
[[allow]]
name = "jump"
tcp = ["20-30"]
from = ["203.0.113.7"]
[[allow]]
name = "web"
tcp = [443]
udp = [443]
[[allow]]
name = "nobody"
tcp = [5432]
from = []
"#;

#[test]
fn one_address() {
    let model = model(SECTION);
    let cases = [
        ("198.51.100.9", 22, "ssh"),
        ("203.0.113.7", 22, "jump"),
        (
            "203.0.113.8",
            22,
            "no entry of firewall.allow lets it reach tcp 22 (ssh allows 198.51.100.0/24, 2001:db8:1::/48 only, jump allows 203.0.113.7/32 only)",
        ),
        ("2001:db8:1::5", 22, "ssh"),
        ("2001:db8:2::5", 443, "web"),
        (
            "192.0.2.1",
            23,
            "no entry of firewall.allow lets it reach tcp 23 (jump allows 203.0.113.7/32 only)",
        ),
        (
            "192.0.2.1",
            5432,
            "no entry of firewall.allow lets it reach tcp 5432 (nobody allows nobody only)",
        ),
        ("192.0.2.1", 80, "no entry of firewall.allow names tcp 80"),
    ];
    for (from, port, expected) in cases {
        let said = match model.meets(from.parse().unwrap(), door(port)) {
            Fate::Admitted(by) => by.name,
            Fate::Denied(why) => why.to_string(),
            Fate::Open(open) => open.to_string(),
        };
        assert_eq!(said, expected, "{from} {port}");
    }
    let udp = Door { protocol: Protocol::Udp, ..door(22) };
    let fate = model.meets("198.51.100.9".parse().unwrap(), udp);
    assert_eq!(fate, Fate::Denied(Denial::NoAllow { door: udp, ended: Vec::new() }));
}

#[test]
fn who_is_blocked_or_over_is_not_let_in() {
    let toml = "[[set]]\nname = \"office\"\nelements = [\"198.51.100.0/24\"]\n\
                [[allow]]\nname = \"ssh\"\ntcp = [22]\nfrom = [\"@office\"]\n\
                [[allow]]\nname = \"guest\"\ntcp = [23]\nuntil = \"2030-01-01T00:00:00Z\"\n";
    let section: Firewall = toml::from_str(toml).unwrap();
    let blocks = [("spam".to_owned(), vec![net("198.51.100.128/25"), net("192.0.2.0/24")])].into();
    let facts = Facts { blocks, ..Facts::default() };
    let at = |moment: &str| Model::of(Some(&section), &facts, moment.parse().unwrap());
    let now = at("2029-12-31T23:59:59Z");
    let meets =
        |model: &Model, from: &str, port| match model.meets(from.parse().unwrap(), door(port)) {
            Fate::Admitted(by) => by.name,
            Fate::Denied(why) => why.to_string(),
            Fate::Open(open) => open.to_string(),
        };
    assert_eq!(meets(&now, "198.51.100.9", 22), "ssh");
    assert_eq!(meets(&now, "198.51.100.200", 22), "firewall.block spam lists it");
    assert_eq!(meets(&now, "203.0.113.1", 23), "guest");
    assert_eq!(meets(&now, "192.0.2.1", 23), "firewall.block spam lists it");
    assert_eq!(
        meets(&at("2030-01-01T00:00:00Z"), "203.0.113.1", 23),
        "no entry of firewall.allow names tcp 23"
    );
}

#[test]
fn networks_are_cut() {
    let pieces = model(SECTION).pieces(net("198.51.0.0/16"), door(22));
    let (admitted, denied): (Vec<_>, Vec<_>) =
        pieces.iter().partition(|piece| piece.fate.gets_in());
    assert_eq!(
        admitted.iter().map(|piece| piece.from).collect::<Vec<_>>(),
        [net("198.51.100.0/24")]
    );
    assert_eq!(denied.len(), 8, "one for each bit: {denied:?}");
    let whole = model(SECTION).pieces(net("198.51.100.128/25"), door(22));
    assert!(
        matches!(whole.as_slice(), [Piece { fate: Fate::Admitted(by), .. }] if by.name == "ssh")
    );
    let anywhere = model(SECTION).pieces(net("0.0.0.0/0"), door(443));
    assert!(matches!(anywhere.as_slice(), [Piece { fate: Fate::Admitted(_), .. }]));
}

#[test]
fn what_decides_nothing() {
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    for (toml, open) in [("mode = \"off\"", Open::Off), ("mode = \"audit\"", Open::Audit)] {
        assert_eq!(model(toml).meets(from, door(22)), Fate::Open(open));
        assert_eq!(model(toml).admitting(door(22)), Err(open));
    }
    let absent = Model::of(None, &Facts::default(), Timestamp::UNIX_EPOCH);
    assert_eq!(absent.meets(from, door(22)), Fate::Open(Open::Absent));
    assert!(!model("").meets(from, door(22)).gets_in());
    assert_eq!(model("").admitting(door(22)), Ok(Vec::new()));
}

#[test]
fn what_has_ended() {
    let section: Firewall = toml::from_str(
        "[[allow]]\nname = \"guest\"\ntcp = [22]\nuntil = \"2026-11-21T12:00:00Z\"\n\
         [[allow]]\nname = \"counted\"\ntcp = [80]\nrate = \"5/minute\"\n\
         [[allow]]\nname = \"plain\"\ntcp = [80]\nfrom = [\"192.0.2.0/24\"]\n",
    )
    .unwrap();
    let at = |moment: &str| Model::of(Some(&section), &Facts::default(), moment.parse().unwrap());
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(at("2026-11-21T11:59:59Z").meets(from, door(22)).gets_in());
    let Fate::Denied(why) = at("2026-11-21T12:00:00Z").meets(from, door(22)) else {
        panic!("it has ended")
    };
    let said = "no entry of firewall.allow names tcp 22; guest ended on 2026-11-21T12:00:00Z";
    assert_eq!(why.to_string(), said);
    // What counts its sources is asked last.
    let fate = at("2026-11-21T12:00:00Z").meets(from, door(80));
    assert!(matches!(fate, Fate::Admitted(by) if by.name == "plain"));
}

#[test]
fn what_is_forwarded() {
    let through = Door { via: Via::Forward, ..door(443) };
    let from: IpAddr = "192.0.2.1".parse().unwrap();
    let outside = Facts { outside: vec!["eth0".parse().unwrap()], ..Facts::default() };
    let cases = [
        ("", &outside, "no entry of firewall.allow names tcp 443"),
        (SECTION, &outside, "web"),
        (SECTION, &Facts::default(), "it is not known which interfaces lead outside"),
        ("forward = \"deny\"", &outside, "firewall.forward is deny"),
        ("forward = \"off\"", &outside, "firewall.forward is off"),
    ];
    for (toml, facts, expected) in cases {
        let section: Firewall = toml::from_str(toml).unwrap();
        let model = Model::of(Some(&section), facts, Timestamp::UNIX_EPOCH);
        let said = match model.meets(from, through) {
            Fate::Admitted(by) => by.name,
            Fate::Denied(why) => why.to_string(),
            Fate::Open(open) => open.to_string(),
        };
        assert_eq!(said, expected, "{toml}");
    }
}

#[test]
fn who_is_let_in() {
    let model = model(SECTION);
    let names = |port| {
        model
            .admitting(door(port))
            .unwrap()
            .into_iter()
            .map(|a| a.name.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(22), ["ssh", "jump"]);
    assert_eq!(names(443), ["web"]);
    assert_eq!(names(5432), Vec::<&str>::new());
}

fn any_net() -> impl Strategy<Value = IpNet> {
    // Few bits, so that they meet.
    let v4 = (0u32..64, 24u8..=32).prop_map(|(bits, len)| {
        IpNet::new(IpAddr::from((0x0a00_0000 | bits).to_be_bytes()), len).unwrap().trunc()
    });
    let v6 = (0u128..64, 120u8..=128).prop_map(|(bits, len)| {
        IpNet::new(IpAddr::from((0xfd00_u128 << 112 | bits).to_be_bytes()), len).unwrap().trunc()
    });
    prop_oneof![3 => v4, 1 => v6, 1 => sample::select(vec![net("0.0.0.0/0"), net("::/0")])]
}

proptest! {
    /// The parts are the network, once; each address of them meets what its part does, and what a person would read.
    #[test]
    fn parts_make_the_whole(
        lists in prop::collection::vec((prop::option::weighted(0.9, prop::collection::vec(any_net(), 0..4)), any::<bool>()), 0..4),
        from in any_net(),
        probe in any_net(),
    ) {
        let mut toml = String::new();
        for (index, (nets, names_it)) in lists.iter().enumerate() {
            let port = if *names_it { 22 } else { 80 };
            toml.push_str(&format!("[[allow]]\nname = \"a{index}\"\ntcp = [{port}]\n"));
            if let Some(nets) = nets {
                let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
                toml.push_str(&format!("from = {nets:?}\n"));
            }
        }
        let model = model(&toml);
        let pieces = model.pieces(from, door(22));
        // Modulo 2^128, which is how many addresses `::/0` has.
        let size = |net: &IpNet| 1u128.checked_shl((net.max_prefix_len() - net.prefix_len()).into()).unwrap_or(0);
        let sum = pieces.iter().fold(0u128, |sum, piece| sum.wrapping_add(size(&piece.from)));
        prop_assert_eq!(sum, size(&from));
        for (index, piece) in pieces.iter().enumerate() {
            prop_assert!(from.contains(&piece.from));
            let again = pieces[..index].iter().any(|other| other.from.contains(&piece.from) || piece.from.contains(&other.from));
            prop_assert!(!again, "{:?}", pieces);
        }
        let address = probe.addr();
        let read = lists.iter().any(|(nets, names_it)| {
            *names_it && nets.as_ref().is_none_or(|nets| nets.iter().any(|net| net.contains(&address)))
        });
        prop_assert_eq!(model.meets(address, door(22)).gets_in(), read);
        if let Some(piece) = pieces.iter().find(|piece| piece.from.contains(&address)) {
            prop_assert_eq!(piece.fate.gets_in(), read);
        }
    }
}
