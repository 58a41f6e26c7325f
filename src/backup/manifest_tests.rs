//! A manifest for others' tests.

use ed25519_dalek::SigningKey;

use super::*;
use crate::backup::statement::FORMAT;

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn manifest(id: &str, previous: Option<Link>) -> Manifest {
    manifest_of(id, previous)
}

/// The same of any kind.
pub(crate) fn manifest_of<K: Kind + Default>(id: &str, previous: Option<Link>) -> Manifest<K> {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    Manifest {
        format: FORMAT,
        id: id.to_owned(),
        number: 1,
        name: "signer-db".into(),
        database: "signer".into(),
        begun: at,
        made: at,
        archive: Archive {
            file: format!("{id}{}", K::ENDS.archive),
            bytes: 5,
            sha256: "00".repeat(32),
            plain: 7,
        },
        recipients: BTreeMap::new(),
        drill: "age1".into(),
        server_version: 170_006,
        client_major: 17,
        of: K::default(),
        read_again: BTreeMap::new(),
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
