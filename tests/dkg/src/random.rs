//! Numbers that look random and are the same for the same seed. For tests only: whoever knows the seed knows the keys.

use k256::{FieldBytes, Scalar, elliptic_curve::PrimeField as _};
use sha2::{Digest as _, Sha256};

/// A stream of bytes: SHA-256 of the seed and a counter.
pub(crate) struct Random {
    seed: [u8; 32],
    taken: u64,
}

impl Random {
    pub(crate) fn of(seed: &str) -> Self {
        Self { seed: Sha256::digest(seed).into(), taken: 0 }
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        self.taken += 1;
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.taken.to_be_bytes())
            .finalize()
            .into()
    }

    /// A scalar that is not 0.
    pub(crate) fn scalar(&mut self) -> Scalar {
        loop {
            let scalar: Option<Scalar> = Scalar::from_repr(FieldBytes::from(self.bytes())).into();
            if let Some(scalar) = scalar.filter(|scalar| !bool::from(scalar.is_zero())) {
                return scalar;
            }
        }
    }
}
