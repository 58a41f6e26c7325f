//! Nothing that can be put into a file makes the loader panic, and what is written is read again.

use std::path::Path;

use proptest::prelude::*;

use super::options;
use crate::profile::types::{
    Cidr, MaxStartups, Port, PortRange, Rate, RateUnit, Size, SysctlKey, TimeSpan, Until,
};
use crate::profile::{MemorySources, load};

const SHIPPED: [(&str, &str); 3] = [
    ("baseline.toml", include_str!("../../../profiles/baseline.toml")),
    ("sbtc-signer.toml", include_str!("../../../profiles/sbtc-signer.toml")),
    ("example-host.toml", include_str!("../../../profiles/example-host.toml")),
];

/// Loads bytes and shows whatever is said, so that rendering is tried as well.
fn survives(bytes: &[u8]) {
    let mut sources = MemorySources::default();
    for (path, text) in SHIPPED {
        sources.insert(path, text);
    }
    sources.insert("profile.toml", bytes);
    match load(Path::new("profile.toml"), &sources, &options()) {
        Ok(loaded) => assert!(!loaded.render_warnings(false).contains("panicked")),
        Err(failed) => {
            assert!(failed.errors > 0 && !failed.render(true).is_empty());
            for each in &failed.diagnostics {
                assert!(!each.report(&failed.sources).to_string().is_empty());
            }
        }
    }
}

/// Pieces that parsers stumble over.
fn piece() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "[[firewall.allow]]\n",
        "[ssh]\n",
        "\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\n",
        "\r",
        "\0",
        "\u{feff}",
        "é",
        "remove = true\n",
        "name = 1\n",
        "extends = [\"baseline\"]\n",
        "1979-05-27",
        "0x",
        "1e9",
        "nan",
        "[sysctl.values.a]\n",
        "a.b.c = 1\n",
        "\\u{d800}",
        "\t",
        "🦀",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_text(text in "(\\PC|\n){0,300}") {
        survives(text.as_bytes());
    }

    #[test]
    fn pieces_of_toml(pieces in proptest::collection::vec(piece(), 0..40)) {
        survives(pieces.concat().as_bytes());
    }

    #[test]
    fn mutations_of_the_shipped_profiles(
        which in 0..SHIPPED.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..40usize, piece()), 1..6),
    ) {
        let mut bytes = SHIPPED[which].1.as_bytes().to_vec();
        for (at, cut, piece) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, piece.into_bytes());
        }
        survives(&bytes);
    }

    #[test]
    fn durations_read_back(secs in 0..=36_500u64 * 86_400) {
        let span = TimeSpan::from_secs(secs);
        prop_assert_eq!(span.to_string().parse(), Ok(span));
    }

    #[test]
    fn sizes_read_back(bytes in 0..=i64::MAX as u64, shift in 0..40u32) {
        let size = Size::from_bytes(bytes >> shift << shift);
        prop_assert_eq!(size.to_string().parse(), Ok(size));
    }

    #[test]
    fn ports_read_back(a in 1..=u16::MAX, b in 1..=u16::MAX) {
        let port = |number| Port::new(number).unwrap();
        let range = PortRange::new(port(a.min(b)), port(a.max(b))).unwrap();
        prop_assert_eq!(range.to_string().parse(), Ok(range));
    }

    #[test]
    fn networks_read_back(address in any::<std::net::IpAddr>(), prefix in 0..=128u8) {
        let prefix = if address.is_ipv4() { prefix.min(32) } else { prefix };
        let text = ipnet::IpNet::new(address, prefix).unwrap().trunc().to_string();
        if let Ok(cidr) = text.parse::<Cidr>() {
            prop_assert_eq!(cidr.to_string().parse(), Ok(cidr));
            prop_assert!(cidr.net().contains(&cidr.sample()));
        }
    }

    #[test]
    fn the_rest_reads_back(count in 1..=u32::MAX, rate in 1..=100u32, at in 0..4usize, day in -300_000..700_000i32) {
        let per = [RateUnit::Second, RateUnit::Minute, RateUnit::Hour, RateUnit::Day][at];
        let limit = Rate { count, per };
        prop_assert_eq!(limit.to_string().parse(), Ok(limit));
        let startups = MaxStartups { start: 1, rate, full: count >> 1 | 1 };
        prop_assert_eq!(startups.to_string().parse(), Ok(startups));
        let date = jiff::civil::date(2000, 1, 1).saturating_add(jiff::Span::new().days(day));
        if date.year() >= 0 {
            prop_assert_eq!(date.to_string().parse(), Ok(Until::new(date)));
        }
    }

    #[test]
    fn kernel_parameters_read_back_and_stay_in_their_folder(text in "[a-z./]{1,20}") {
        if let Ok(key) = text.parse::<SysctlKey>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key.clone()));
            let path = key.path();
            prop_assert!(!path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
        }
    }

    #[test]
    fn whatever_text_a_value_takes_reads_back(text in "\\PC{0,40}") {
        use crate::profile::types::{Algorithm, CheckId, KeysFile, RuleName, SysctlValue, Text, TimeZoneName, UnitName, UserName};
        macro_rules! again {
            ($($type:ty),*) => {$(
                if let Ok(value) = text.parse::<$type>() {
                    prop_assert_eq!(value.to_string().parse::<$type>(), Ok(value));
                }
            )*};
        }
        again!(Algorithm, CheckId, KeysFile, RuleName, SysctlValue, Text, TimeZoneName, UnitName, UserName);
    }
}
