//! A key in envelopes: one for each custodian, so that each can be proven, replaced and retired alone.

use std::io::{Read as _, Write as _};

use age::{
    Decryptor, Encryptor,
    armor::{ArmoredReader, ArmoredWriter, Format},
    x25519,
};
use zeroize::Zeroizing;

use crate::key::{
    material::Material,
    plan::{KeyKind, Network},
};

/// The largest envelope that is looked at, in bytes: of the longest text, twice.
pub(super) const LARGEST: usize = 16 << 10;

/// With what the child opens what it made, to see that it opens. Made for that, in locked memory, and wiped before the child
/// answers: the envelopes, in whose headers it stands, open for nobody but the custodian then.
pub(super) struct Proof(x25519::Identity);

impl Proof {
    pub(super) fn new() -> Self {
        Self(x25519::Identity::generate())
    }

    /// An envelope that somebody can open, and this.
    pub(super) fn seal(
        &self,
        secret: &[u8],
        to: &dyn age::Recipient,
    ) -> Result<String, &'static str> {
        let own = self.0.to_public();
        let recipients = [to, &own as &dyn age::Recipient];
        let encryptor = Encryptor::with_recipients(recipients.into_iter())
            .map_err(|_| "the recipient cannot share an envelope with the one that proves it")?;
        let seal = || {
            let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
            let mut sealed = encryptor.wrap_output(armor)?;
            sealed.write_all(secret)?;
            sealed.finish()?.finish()
        };
        let bytes = seal().map_err(|_: std::io::Error| "the key could not be encrypted")?;
        String::from_utf8(bytes).map_err(|_| "the armor is no text")
    }

    /// What is in an envelope that this made.
    ///
    /// # Errors
    /// When it does not open.
    pub(super) fn open(&self, armored: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        open(&self.0, armored)
    }

    /// Opens the envelope of a key, and holds what is in it to the key.
    ///
    /// # Errors
    /// When it does not open, or holds anything else.
    pub(super) fn holds(
        &self,
        kind: KeyKind,
        network: Network,
        armored: &str,
        key: &Material,
    ) -> Result<(), String> {
        let plain = self.open(armored)?;
        let found = Material::parse(kind, network, &plain).map_err(|fault| fault.to_string())?;
        let is_it = found.secret() == key.secret() && found.facts().public == key.facts().public;
        if is_it { Ok(()) } else { Err("what was sealed opens, and is another key".into()) }
    }
}

/// What is in an envelope.
///
/// # Errors
/// When it does not open with this identity.
pub(super) fn open(
    identity: &dyn age::Identity,
    armored: &str,
) -> Result<Zeroizing<Vec<u8>>, String> {
    if armored.len() > LARGEST {
        return Err("it is larger than any envelope".into());
    }
    let closed = |_| "it does not open: it was altered or cut off, or is another's".to_owned();
    // Others' age allows space around it, and this one only behind it: a mail or a scanner may leave some.
    let armored = armored.trim().as_bytes();
    let decryptor = Decryptor::new(ArmoredReader::new(armored)).map_err(closed)?;
    let mut opened = decryptor.decrypt(std::iter::once(identity)).map_err(closed)?;
    // Room for all there can be: what grows leaves copies.
    let mut plain = Zeroizing::new(Vec::with_capacity(LARGEST));
    opened
        .read_to_end(&mut plain)
        .map_err(|_| "it does not open: its end is missing or was altered")?;
    Ok(plain)
}
