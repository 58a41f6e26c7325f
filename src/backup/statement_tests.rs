//! Signing, and what becomes of what is altered.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::backup::{
    manifest::{
        Database, Manifest, Tombstone,
        tests::{key, manifest},
    },
    rows::Rows,
};

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

/// Each kind is signed as what it is: nothing that is true of one is ever taken for a word on another.
#[test]
fn a_statement_of_one_kind_is_none_of_another() {
    let link = Link { id: "a".into(), sha256: "00".repeat(32) };
    let stone: Tombstone<Database> = Tombstone::new(link, 1, Timestamp::UNIX_EPOCH);
    let (text, key) = (sign(&stone, &key(1)), key(1).verifying_key());
    assert_eq!(read::<Tombstone>(&text, &key).unwrap().0, stone);
    let other = read::<Tombstone<Rows>>(&text, &key);
    assert_eq!(other.unwrap_err(), SignatureFault::Altered);
}
