//! Points of secp256k1 as the signer's rows and the chain have them, and the taproot output of one.

use std::fmt;

use k256::{
    AffinePoint, FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{
        PrimeField as _,
        group::{CurveAffine as _, GroupEncoding as _},
        point::{AffineCoordinates as _, DecompressPoint as _},
        subtle::Choice,
    },
};
use sha2::{Digest as _, Sha256};

/// How many bytes a compressed point has: a byte for the parity of y, then x.
pub const COMPRESSED: usize = 33;

/// A point of secp256k1 that is a public key: never the one at infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(AffinePoint);

/// Why bytes are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointFault {
    /// Another length than [`COMPRESSED`].
    #[error("it has {0} bytes and not 33")]
    Length(usize),
    /// Neither 02 nor 03 in front.
    #[error("it begins with {0:02x} and not with 02 or 03")]
    Prefix(u8),
    /// No point of the curve has this x.
    #[error("it is no point of secp256k1")]
    OffCurve,
}

impl PublicKey {
    /// The key of its compressed bytes (SEC 1, 2.3.4).
    ///
    /// # Errors
    /// When they are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PointFault> {
        let bytes: [u8; COMPRESSED] =
            bytes.try_into().map_err(|_| PointFault::Length(bytes.len()))?;
        let [prefix @ (2 | 3), x @ ..] = bytes else { return Err(PointFault::Prefix(bytes[0])) };
        Self::lift(&x, prefix == 3)
    }

    /// The point with this x, and an odd y or an even one.
    ///
    /// # Errors
    /// When there is none.
    pub fn lift(x: &[u8; 32], odd: bool) -> Result<Self, PointFault> {
        let point = AffinePoint::decompress(&FieldBytes::from(*x), Choice::from(u8::from(odd)));
        Option::from(point).and_then(Self::of_affine).ok_or(PointFault::OffCurve)
    }

    /// The key that a sum of points comes to; `None` for the point at infinity.
    pub fn of(point: &ProjectivePoint) -> Option<Self> {
        Self::of_affine(point.to_affine())
    }

    fn of_affine(point: AffinePoint) -> Option<Self> {
        (!bool::from(point.is_identity())).then_some(Self(point))
    }

    /// Its compressed bytes.
    pub fn bytes(&self) -> [u8; COMPRESSED] {
        self.0.to_bytes().into()
    }

    /// To reckon with.
    pub fn point(&self) -> ProjectivePoint {
        self.0.into()
    }

    /// The script that pays to this key and to nothing else: the taproot output without a script tree, `5120‖x`
    /// (BIP 341, "Constructing and spending Taproot outputs"). The sign of y does not count. `None` for one key in 2^128,
    /// whose tweak is no scalar.
    pub fn taproot_script(&self) -> Option<[u8; 34]> {
        let x = self.0.x();
        let tag = Sha256::digest(b"TapTweak");
        let hash = Sha256::new().chain_update(tag).chain_update(tag).chain_update(x).finalize();
        let tweak: Option<Scalar> =
            Scalar::from_repr(FieldBytes::from(<[u8; 32]>::from(hash))).into();
        let even = Self::lift(&x.into(), false).ok()?;
        let output = Self::of(&(even.point() + ProjectivePoint::GENERATOR * tweak?))?;
        let mut script = [0; 34];
        // OP_1, then a push of 32 bytes.
        script[..2].copy_from_slice(&[0x51, 0x20]);
        script[2..].copy_from_slice(&output.bytes()[1..]);
        Some(script)
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By their bytes, as the signer sorts them.
impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(&other.bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes as hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal text, without `0x`; `None` when it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(hex: &str) -> PublicKey {
        PublicKey::from_bytes(&unhex(hex).unwrap()).unwrap()
    }

    /// BIP 341, wallet-test-vectors.json: the internal keys without a script tree, and one more with its sign turned.
    #[test]
    fn the_taproot_output_is_that_of_the_bip() {
        let internal = "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d";
        let script = "512053a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343";
        for sign in ["02", "03"] {
            let made = key(&format!("{sign}{internal}")).taproot_script().unwrap();
            assert_eq!(made.to_vec(), unhex(script).unwrap());
        }
    }

    #[test]
    fn what_is_no_point_is_said_so() {
        let generator = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let told = |hex: String| PublicKey::from_bytes(&unhex(&hex).unwrap()).unwrap_err();
        assert_eq!(told(generator.to_owned()), PointFault::Length(32));
        assert_eq!(told(format!("04{generator}")), PointFault::Prefix(4));
        assert_eq!(told(format!("05{generator}")), PointFault::Prefix(5));
        assert_eq!(told("00".repeat(33)), PointFault::Prefix(0));
        // x = 5 is on no point of secp256k1; x = p is no field element.
        assert_eq!(told(format!("02{:064x}", 5)), PointFault::OffCurve);
        let p = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";
        assert_eq!(told(format!("03{p}")), PointFault::OffCurve);
    }

    #[test]
    fn a_point_and_its_opposite_add_up_to_no_key() {
        let point =
            key("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").point();
        assert_eq!(PublicKey::of(&(point - point)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_that_prints_as_they_are_or_none(
            bytes in prop::collection::vec(any::<u8>(), 0..40), parity in 2u8..4, x in any::<[u8; 32]>(),
        ) {
            let likely = [&[parity][..], &x].concat();
            for bytes in [bytes, likely] {
                if let Ok(key) = PublicKey::from_bytes(&bytes) {
                    prop_assert_eq!(unhex(&key.to_string()), Some(bytes));
                    prop_assert_eq!(PublicKey::of(&key.point()), Some(key));
                    prop_assert!(key.taproot_script().is_some());
                }
            }
        }
    }
}
