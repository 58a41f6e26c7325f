//! Signing, and what becomes of what is altered; and a manifest for others' tests.

use proptest::prelude::*;

use super::*;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn manifest(id: &str, previous: Option<Link>) -> Manifest {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    Manifest {
        format: FORMAT,
        id: id.to_owned(),
        name: "signer-db".into(),
        database: "signer".into(),
        begun: at,
        made: at,
        archive: Archive {
            file: format!("{id}.pgdump.zst.age"),
            bytes: 5,
            sha256: "00".repeat(32),
            plain: 7,
        },
        recipients: BTreeMap::new(),
        drill: "age1".into(),
        server_version: 170_006,
        client_major: 17,
        source: Source::default(),
        rows: BTreeMap::new(),
        newest_block: None,
        proof: Proof {
            proven: true,
            at,
            milliseconds: 1,
            server_major: Some(17),
            checks: Vec::new(),
            drill: None,
        },
        previous,
    }
}

#[test]
fn what_is_signed_is_read_again() {
    let manifest = manifest("a", None);
    let text = sign(&manifest, &key(1));
    let (again, digest) = read::<Manifest>(&text, &key(1).verifying_key()).unwrap();
    assert_eq!(again, manifest);
    assert_eq!(digest, manifest.digest());
}

#[test]
fn another_hosts_is_not_ours() {
    let text = sign(&manifest("a", None), &key(2));
    let fault = read::<Manifest>(&text, &key(1).verifying_key()).unwrap_err();
    assert!(matches!(fault, SignatureFault::OtherKey(_)));
}

#[test]
fn a_newer_form_is_said_to_be_newer() {
    let newer = Manifest { format: FORMAT + 1, ..manifest("a", None) };
    let fault = read::<Manifest>(&sign(&newer, &key(1)), &key(1).verifying_key());
    assert_eq!(fault.unwrap_err(), SignatureFault::Newer);
}

proptest! {
    #[test]
    fn no_byte_can_be_altered(at in any::<prop::sample::Index>(), by in 1..=255u8) {
        let mut bytes = sign(&manifest("a", None), &key(1)).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let read = String::from_utf8(bytes).map(|text| {
            read::<Manifest>(&text, &key(1).verifying_key()).is_ok()
        });
        prop_assert_ne!(read, Ok(true));
    }
}
