//! The firewall without a host: the document, the comparison, the judgements.
//!
//! `fixtures/` holds what nft of Debian 12 (1.0.6) and Debian 13 (1.1.3) listed for [`SECTION`]: as loaded; after a rule
//! was inserted, one deleted, a policy changed, a chain, a set and its elements added; and then made dormant.

mod around;
mod compare;
mod facts;
mod judge;
mod rules;

use crate::profile::schema::Firewall;

/// The section whose table the fixtures show.
const SECTION: &str = r#"
[[allow]]
name = "ssh"
tcp = [22]
from = ["203.0.113.0/24", "198.51.100.7", "2001:db8::/32"]
[[allow]]
name = "p2p"
tcp = [4122, "20000-20010", 20011]
udp = [4122]
[[allow]]
name = "nobody"
tcp = [1]
from = []
[[allow]]
name = "all-v4"
tcp = [80]
from = ["0.0.0.0/0", "192.0.2.0/24"]
"#;

/// A section, from TOML.
fn section(toml: &str) -> Firewall {
    toml::from_str(toml).unwrap()
}

/// What one Debian's nft listed.
struct Fixture {
    suite: &'static str,
    loaded: (&'static [u8], &'static str),
    tampered: (&'static [u8], &'static str),
    dormant: (&'static [u8], &'static str),
}

macro_rules! listing {
    ($name:literal) => {
        (
            include_bytes!(concat!("fixtures/", $name, ".json")),
            include_str!(concat!("fixtures/", $name, ".txt")),
        )
    };
}

const FIXTURES: [Fixture; 2] = [
    Fixture {
        suite: "bookworm",
        loaded: listing!("bookworm-loaded"),
        tampered: listing!("bookworm-tampered"),
        dormant: listing!("bookworm-dormant"),
    },
    Fixture {
        suite: "trixie",
        loaded: listing!("trixie-loaded"),
        tampered: listing!("trixie-tampered"),
        dormant: listing!("trixie-dormant"),
    },
];

/// A listing as JSON.
fn json(listing: (&[u8], &str)) -> serde_json::Value {
    serde_json::from_slice(listing.0).unwrap()
}
