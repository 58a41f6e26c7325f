//! With what custodians open, what a key opens, and where it is put.

use age::x25519;
use zeroize::Zeroizing;

use super::{
    seal::open,
    talk::{Put, RowSeen},
};
use crate::{
    backup::dkg::{By, Row, SignerKey, Verdict, prove},
    host::{handover, page::Page},
    key::{material::Material, plan::KeyKind},
};

/// An identity file of age has a few lines.
const MOST: usize = 64 << 10;

/// The identity in a file, as `age-keygen` writes one and `combine.pl` does.
pub(super) fn identity(path: &str) -> Result<x25519::Identity, String> {
    let mut page = Page::new(MOST).map_err(|error| error.chain())?;
    let bytes = page.read_stream(path).map_err(|error| error.chain())?;
    let none = || format!("{path} has no identity of age in it");
    let text = str::from_utf8(bytes).map_err(|_| none())?;
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE") {
        return Err(format!(
            "{path} is encrypted itself: open it into memory first, `age -d {path} >/dev/shm/identity`"
        ));
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.find(|line| !line.starts_with('#')).ok_or_else(none)?;
    line.parse().map_err(|_| none())
}

/// What is in an envelope, when one of them opens it.
pub(super) fn by_any(
    identities: &[x25519::Identity],
    envelope: &str,
) -> Option<Zeroizing<Vec<u8>>> {
    identities.iter().find_map(|identity| open(identity, envelope).ok())
}

/// The joint proof: whether the key opens the rows that a backup holds.
pub(super) fn rows(rows: &[Row], material: &Material) -> Result<Vec<RowSeen>, String> {
    if material.kind() != KeyKind::SbtcSigner {
        return Err("only an sbtc-signer's key opens rows of a database".into());
    }
    let text = str::from_utf8(material.secret()).map_err(|_| "the key is no text")?;
    let key = SignerKey::from_hex(text.trim_end()).map_err(|fault| fault.to_string())?;
    let verdicts = prove(rows, By::Keys(&[key]));
    let seen = |(row, verdict): (&Row, Verdict)| RowSeen {
        row: row.name(),
        status: row.dkg_shares_status,
        opens: matches!(verdict, Verdict::Opens { .. }),
        text: verdict.to_string(),
    };
    Ok(rows.iter().zip(verdicts).map(seen).collect())
}

/// Puts a key where it is wanted.
pub(super) fn hand_over(put: &Put, material: &Material, raw: bool) -> Result<(), String> {
    let secret = material.restored(raw);
    let done = match put {
        Put::File { path, owner } => handover::file(path, &secret, *owner),
        Put::Credential { path, name, with_key, pcrs } => {
            handover::credential(path, name, with_key, pcrs.as_deref(), &secret)
        }
    };
    done.map_err(|error| error.chain())
}
