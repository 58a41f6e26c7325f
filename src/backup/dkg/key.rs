//! The signer's private key, which is also what its rows are encrypted with.

use std::fmt;

use k256::SecretKey;
use zeroize::Zeroizing;

use crate::backup::curve::PublicKey;

/// A signer's private key. Wiped when dropped, and printed nowhere.
pub struct SignerKey {
    bytes: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

/// Why a text is no private key. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Neither 64 nor 66 characters.
    #[error(
        "a private key has 64 hexadecimal digits, or 66 of which the last two are 01; this has {0} characters"
    )]
    Length(usize),
    /// 66 digits that end in anything but 01.
    #[error("a private key of 66 digits ends in 01, and this does not")]
    Suffix,
    /// Something else than hexadecimal digits.
    #[error("a private key has hexadecimal digits only")]
    NotHex,
    /// Zero, or not below the order of the curve.
    #[error("this is no private key of secp256k1: it is zero or too large")]
    Range,
}

impl SignerKey {
    /// The key as the signer's configuration has it: 64 digits, or 66 with the suffix 01, which is dropped
    /// (stacks-sbtc/sbtc, signer/src/config/serialization.rs).
    ///
    /// # Errors
    /// When the signer would not start with it.
    pub fn from_hex(text: &str) -> Result<Self, KeyFault> {
        let digits = match text.len() {
            64 => text,
            66 => text.strip_suffix("01").ok_or(KeyFault::Suffix)?,
            other => return Err(KeyFault::Length(other)),
        };
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            for digit in pair {
                let digit = char::from(*digit).to_digit(16).ok_or(KeyFault::NotHex)?;
                *byte = *byte << 4 | u8::try_from(digit).map_err(|_| KeyFault::NotHex)?;
            }
        }
        Self::from_bytes(bytes)
    }

    /// The key of its 32 bytes.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Result<Self, KeyFault> {
        // It wipes itself when dropped.
        let secret = SecretKey::from_slice(bytes.as_slice()).map_err(|_| KeyFault::Range)?;
        let public = PublicKey::of(&secret.public_key().to_projective()).ok_or(KeyFault::Range)?;
        Ok(Self { bytes, public })
    }

    /// The public key that the signer set knows it by.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// What the rows are encrypted with: the bytes of the key as they are.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

/// Only what everybody may know.
impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey(of {})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIP 340, test vectors of signing, index 0: secret key 3 and its x.
    const THREE: &str = "0000000000000000000000000000000000000000000000000000000000000003";
    const PUBLIC: &str = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";

    #[test]
    fn both_forms_are_the_same_key() {
        for text in [THREE.to_owned(), format!("{THREE}01")] {
            assert_eq!(SignerKey::from_hex(&text).unwrap().public().to_string(), PUBLIC);
        }
    }

    #[test]
    fn what_a_signer_refuses_is_refused_and_not_quoted() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let cases = [
            (String::new(), KeyFault::Length(0)),
            (THREE[1..].to_owned(), KeyFault::Length(63)),
            (format!("{THREE}02"), KeyFault::Suffix),
            (format!("0x{}", &THREE[2..]), KeyFault::NotHex),
            (format!("é{}", &THREE[2..]), KeyFault::NotHex),
            ("0".repeat(64), KeyFault::Range),
            (order.to_owned(), KeyFault::Range),
        ];
        for (text, fault) in cases {
            assert_eq!(SignerKey::from_hex(&text).unwrap_err(), fault);
            assert!(text.is_empty() || !fault.to_string().contains(&text));
        }
    }

    #[test]
    fn it_prints_its_public_half_only() {
        let digits = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        let printed = format!("{:?}", SignerKey::from_hex(digits).unwrap());
        assert!(printed.starts_with("SignerKey(of 0") && !printed.contains(&digits[..8]));
    }
}
