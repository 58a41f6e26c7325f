use super::*;
use crate::key::plan::{KeyKind::*, Network::*};

/// A key, its public half and its `PeerId`, as js-libp2p printed them (mingder78/libp2p-ethereum, README.md).
const KEY: &str = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
const PUBLIC: &str = "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2";
const PEER: &str = "16Uiu2HAmE1zdG92om3Y49m3ZeT5T3jAZCZ1w7JGWi93NWGRbjmW1";

/// Keys that others published with their public halves or addresses: stacks-sbtc/sbtc's development environment and
/// Clarinet's `Devnet.toml`.
const PUBLISHED: [&str; 5] = [
    "41634762d89dfa09133a4a8e9c1378d0161d29cd0a9433b51f1e3d32947a73dc01",
    "9bfecf16c9c12792589dd2b843f850d5b89b81a04f8ab91c083bdf6709fbefee01",
    "3ec0ca5770a356d6cd1a9bfcbf6cd151eb1bd85c388cc00648ec4ef5853fdb7401",
    "753b7cc01a1a2e86221266a154af739463fce51219d97e4f856cd7200c3bd2a601",
    "7287ba251d44a4d3fd9276c88ce34c5c52a038955511cccaf77e61068649c17801",
];

fn signer(text: &str) -> Result<Material, Fault> {
    Material::parse(SbtcSigner, Mainnet, text.as_bytes())
}

#[test]
fn both_forms_of_a_signers_key_are_one_line_and_one_set_of_facts() {
    let upper = KEY.to_uppercase();
    for text in [KEY, &format!("{KEY}01"), &format!("  {KEY}\n"), &upper] {
        let material = signer(text).unwrap();
        assert_eq!(material.secret(), format!("{KEY}\n").as_bytes());
        let facts = material.facts();
        assert_eq!(facts.public.as_deref(), Some(PUBLIC));
        assert_eq!(facts.peer_id.as_deref(), Some(PEER));
    }
}

/// Clarinet's `Devnet.toml` has the addresses; sBTC's devenv/README.md that of its first signer.
#[test]
fn addresses_are_those_that_others_derived() {
    let expected = [
        (PUBLISHED[0], "ST24VB7FBXCBV6P0SRDSPSW0Y2J9XHDXNHW9Q8S7H"),
        (PUBLISHED[3], "ST1PQHQKV0RJXZFY1DGX8MNSNYVE3VGZJSRTPGZGM"),
        (PUBLISHED[4], "ST1SJ3DTE5DN7X54YDH5D64R3BCB6A2AG2ZQ8YPD5"),
    ];
    for (key, address) in expected {
        let public = SignerKey::from_hex(key).unwrap().public();
        assert_eq!(stacks_address(&public, Testnet), address);
        assert!(stacks_address(&public, Mainnet).starts_with("SP"));
    }
}

/// Phrases and seeds that others published, with what they come to: the key, its public half, the address on the main
/// network, and the name among peers. Derived by a program of its own, in Python, from hashlib and the curve's equation
/// alone: BIP-39, BIP-32 (m/44'/5757'/0'/0/0, as wallets of Stacks do), SIP-005, libp2p's peer-ids. The first two have the
/// keys and the test network's addresses that Clarinet's `Devnet.toml` gives for them; the last two are those of BIP-32,
/// "Test vector 1", whose extended keys hold them.
const DERIVED: [(&str, [&str; 4]); 5] = [
    (
        "hold excess usual excess ring elephant install account glad dry fragile donkey gaze humble truck breeze nation gasp vacuum limb head keep delay hospital",
        [
            "530d9f61984c888536871c6573073bdfc0058896dc1adfe9a6a10dfacadc2091",
            "021843d01fa0bb9a3495fd2caf92505a81055dbe1fd545880fd40c3a1c7fd9c40a",
            "SP2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CH94GRJ",
            "16Uiu2HAkw4PjotZ2rHVCTSdq2MfJrshEbYXC3Wwr8q8b5YTndwXw",
        ],
    ),
    (
        "cycle puppy glare enroll cost improve round trend wrist mushroom scorpion tower claim oppose clever elephant dinosaur eight problem before frozen dune wagon high",
        [
            "d655b2523bcd65e34889725c73064feb17ceb796831c0e111ba1a552b0f31b39",
            "02c4b5eacb71a27be633ed970dcbc41c00440364bc04ba38ae4683ac24e708bf33",
            "SP2JHG361ZXG51QTKY2NQCVBPPRRE2KZB1J5QKA2F",
            "16Uiu2HAm8fYn2qxG7pB6i9UgPgZoT52cKZegqjqNZeYH1JrwWb3p",
        ],
    ),
    (
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
        [
            "47382d0211f3bbb11812b5e60b696a93d7ad0a91cdeb2162f7d69d4adef48b5d",
            "03d5d038bce81b3965314dba54f636f093c7dbdd6617cded013a53474fbccb100c",
            "SPC5KHM41H6WHAST7MWWDD807YSPRQKJ69FSH54J",
            "16Uiu2HAmT3dLpV8ZcuHRiBDN5Zce2tHvb94NowG4jQaUwqXbL1UP",
        ],
    ),
    (
        "BIP-32, test vector 1, m",
        [
            "e8f32e723decf4051aefac8e2c93c9c5b214313817cdb01a1494b917c8436b35",
            "0339a36013301597daef41fbe593a02cc513d0b55527ec2df1050e2e8ff49c85c2",
            "SPT4469Y3EVGJ5Q92HAJ2WPD9RPVS7FR246AWQR1",
            "16Uiu2HAmGXz5Z9Nbh7mCjyeJqeJa9AbXXu9bAHdanvJC7MKTki2m",
        ],
    ),
    (
        "BIP-32, test vector 1, m/0H/1/2H/2/1000000000",
        [
            "471b76e389e528d6de6d816857e012c5455051cad6660850e58372a6c3e6e7c8",
            "022a471424da5e657499d1ff51cb43c47481a03b1e77f951fe64cec9f5a48f7011",
            "SP3B9N8824NFYTX1QG9WCF09707N687YZ6B66G8H7",
            "16Uiu2HAkxGhxxjE8mFVefMrZEof1nQBtGqPtdqwxMgasKYxnvsya",
        ],
    ),
];

#[test]
fn what_phrases_come_to_is_what_another_program_derived() {
    for (phrase, [key, public, address, peer]) in DERIVED {
        let material = signer(key).unwrap();
        let facts = material.facts();
        assert_eq!(facts.public.as_deref(), Some(public), "{phrase}");
        assert_eq!(facts.stacks_address.as_deref(), Some(address), "{phrase}");
        assert_eq!(facts.peer_id.as_deref(), Some(peer), "{phrase}");
    }
    let clarinets = [
        (DERIVED[0].1[0], "ST2CY5V39NHDPWSXMW9QDT3HC3GD6Q6XX4CFRK9AG"),
        (DERIVED[1].1[0], "ST2JHG361ZXG51QTKY2NQCVBPPRRE2KZB1HR05NNC"),
    ];
    for (key, address) in clarinets {
        let public = SignerKey::from_hex(key).unwrap().public();
        assert_eq!(stacks_address(&public, Testnet), address);
    }
}

#[test]
fn what_everybody_has_is_refused() {
    for key in PUBLISHED {
        assert!(matches!(signer(key), Err(Fault::Published(_))), "{key}");
    }
    let counted = "000102030405060708".repeat(4);
    for key in [&format!("{:064x}", 1), &"1".repeat(64), &"ab".repeat(32), &counted[..64]] {
        assert_eq!(signer(key).unwrap_err(), Fault::NotRandom);
        assert_eq!(
            Material::parse(Ed25519, Mainnet, key.as_bytes()).unwrap_err(),
            Fault::NotRandom
        );
    }
}

#[test]
fn what_is_no_key_of_a_signer_is_refused() {
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let cases = [
        ("", KeyFault::Length(0)),
        (&KEY[1..], KeyFault::Length(63)),
        (&format!("{KEY}02"), KeyFault::Suffix),
        (&format!("0x{}", &KEY[2..]), KeyFault::NotHex),
        (order, KeyFault::Range),
    ];
    for (text, fault) in cases {
        assert_eq!(signer(text).unwrap_err(), Fault::Signer(fault));
    }
    let bytes = Material::parse(SbtcSigner, Mainnet, &[0xff; 64]).unwrap_err();
    assert_eq!(bytes, Fault::Signer(KeyFault::NotHex));
}

/// RFC 8032, 7.1, test 1.
#[test]
fn a_seed_of_ed25519_is_taken_raw_or_in_digits() {
    let digits = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let raw = crate::backup::curve::unhex(digits).unwrap();
    for bytes in [raw.as_slice(), digits.as_bytes(), format!("{digits}\n").as_bytes()] {
        let material = Material::parse(Ed25519, Mainnet, bytes).unwrap();
        assert_eq!(material.secret(), format!("{digits}\n").as_bytes());
        assert_eq!(material.facts().public.as_deref(), Some(public));
        // It goes back as it came: holdfast reads its own as 32 bytes.
        let is_raw = material.facts().raw;
        assert_eq!(is_raw, bytes.len() == 32);
        let back = material.restored(is_raw);
        assert_eq!(back.as_slice(), if is_raw { raw.as_slice() } else { digits.as_bytes() });
    }
    let short = Material::parse(Ed25519, Mainnet, &raw[1..]).unwrap_err();
    assert_eq!(short, Fault::Seed(31));
}

#[test]
fn a_text_is_kept_as_it_is() {
    let text = b"0e6b06-32d2f7-0a7c10-9ffe5e/1e4f4a-35a4e900\n";
    let material = Material::parse(Text, Mainnet, text).unwrap();
    assert_eq!((material.secret(), material.facts().public.as_deref()), (&text[..], None));
    let back = Material::parse(Text, Mainnet, text).unwrap().restored(false);
    assert_eq!(back.as_slice(), text, "with the end of its line");
    assert_eq!(Material::parse(Text, Mainnet, b" \n").unwrap_err(), Fault::Empty);
    let long = Material::parse(Text, Mainnet, &[b'x'; 4097]).unwrap_err();
    assert_eq!(long, Fault::TooLong(4097));
}

#[test]
fn no_fault_and_no_debug_shows_a_secret() {
    let printed = format!("{:?}", signer(KEY).unwrap());
    assert!(printed.contains(PUBLIC) && !printed.contains(&KEY[10..40]), "{printed}");
    for text in [format!("{KEY}02"), KEY[1..].to_owned(), format!("{KEY}x1"), PUBLISHED[0].into()] {
        let fault = signer(&text).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains(&text[10..40]));
    }
}

#[test]
fn a_key_is_found_in_a_configuration() {
    let toml = format!(
        "[signer]\nnetwork = \"mainnet\"\nprivate_key = \"{KEY}\"\nbootstrap_signing_set = [\"{PUBLIC}\"]\n[signer.p2p]\n"
    );
    let path = ["signer".to_owned(), "private_key".to_owned()];
    let mut found = String::new();
    let located = in_toml(toml.as_bytes(), &path, |text| text.clone_into(&mut found)).unwrap();
    assert_eq!(found, KEY);
    let set = located.signing_set.unwrap();
    assert_eq!(is_in_set(PUBLIC, set.iter().map(String::as_str)), Some(true));

    let fault = |text: &str| in_toml(text.as_bytes(), &path, |_| panic!("found")).unwrap_err();
    assert_eq!(fault("[signer]\n"), NotThere::Missing("signer.private_key".into()));
    assert_eq!(fault("signer = 1"), NotThere::Missing("signer.private_key".into()));
    assert_eq!(fault("[signer]\nprivate_key = 1"), NotThere::NotAText("signer.private_key".into()));
    let broken = format!("[signer]\n\nprivate_key = {KEY}\"\n");
    let fault = fault(&broken);
    assert_eq!(fault, NotThere::NotToml(3));
    assert!(!format!("{fault} {fault:?}").contains(&KEY[..8]));
}

#[test]
fn what_stands_beside_a_key_is_read_or_refused() {
    let path = ["signer".to_owned(), "private_key".to_owned()];
    let toml = |more: &str| {
        let text = format!("[signer]\nprivate_key = \"k\"\n{more}\n");
        in_toml(text.as_bytes(), &path, |_| {})
    };
    assert_eq!(toml("").unwrap(), Located::default());
    assert_eq!(toml("network = \"testnet\"").unwrap().network.as_deref(), Some("testnet"));
    for bad in ["\"02\"", "[1]", "[\"02\", 3]"] {
        let fault = toml(&format!("bootstrap_signing_set = {bad}")).unwrap_err();
        assert_eq!(fault, NotThere::NotASet("bootstrap_signing_set"), "{bad}");
    }
    // A file of variables wins over the configuration, and so do those in it that stand beside the key.
    let variables = |name: &str| {
        let text = format!(
            "{name}=k\nsigner_signer__bootstrap_signing_set='02, 03'\nSIGNER_SIGNER__NETWORK=mainnet\n"
        );
        in_variables(text.as_bytes(), name, |_| {}).unwrap()
    };
    let signing_set = Some(vec!["02".to_owned(), "03".to_owned()]);
    let expected = Located { signing_set, network: Some("mainnet".into()) };
    assert_eq!(variables("SIGNER_SIGNER__PRIVATE_KEY"), expected);
    assert_eq!(variables("OTHER"), Located::default(), "nothing is known of another program's");
}

#[test]
fn a_signing_set_with_anything_but_keys_says_nothing() {
    let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    assert_eq!(is_in_set(PUBLIC, [other].into_iter()), Some(false));
    assert_eq!(
        is_in_set(PUBLIC, [&*format!("0x{}", PUBLIC.to_uppercase())].into_iter()),
        Some(true)
    );
    assert_eq!(is_in_set(PUBLIC, [PUBLIC, "02"].into_iter()), None);
    assert_eq!(is_in_set(PUBLIC, std::iter::empty()), Some(false));
}

#[test]
fn a_key_is_found_among_variables() {
    let name = "SIGNER_SIGNER__PRIVATE_KEY";
    let find = |text: &str| {
        let mut found = None;
        let result = in_variables(text.as_bytes(), name, |text| found = Some(text.to_owned()));
        result.map(|_| found.unwrap())
    };
    for line in [
        format!("{name}={KEY}"),
        format!("export {name}=\"{KEY}\""),
        format!("# {name}=x\n OTHER=1\nsigner_signer__private_key='{KEY}'\n"),
    ] {
        assert_eq!(find(&line).as_deref(), Ok(KEY));
    }
    assert_eq!(find("OTHER=1\n"), Err(NotThere::Missing(name.into())));
    let twice = format!("{name}={KEY}\n\n{name}={KEY}\n");
    assert_eq!(find(&twice), Err(NotThere::Twice(name.into(), 1, 3)));
    let comment = format!("{name}={KEY} # mine\n");
    assert_eq!(find(&comment), Err(NotThere::NotPlain(name.into(), 1)));
}

#[test]
fn of_a_secret_without_a_public_half_people_see_its_shape() {
    let shape = |text: &[u8]| {
        let material = Material::parse(Text, Mainnet, text).unwrap();
        material.facts().shape.clone().unwrap()
    };
    assert_eq!(shape(b"00ffAA\n"), "7 bytes in 1 lines, of hexadecimal digits");
    assert_eq!(shape(b"a b\nc\n"), "6 bytes in 2 lines, of printable characters");
    assert_eq!(shape(b"a\xff"), "2 bytes in 1 lines, not of ASCII text");
}
