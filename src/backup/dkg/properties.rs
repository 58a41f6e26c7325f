//! Rows with bits turned, bytes changed, ends cut and noise in their place.

use proptest::prelude::*;
use prost::Message as _;

use super::{
    Flaw, Row,
    tests::{ROUND, ROW, SIGNER, group, key, open, resealed, row},
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A flipped bit in the encrypted share never opens.
    #[test]
    fn a_flipped_bit_of_the_encrypted_share_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut made = ROW.clone();
        let at = at.index(made.encrypted_private_shares.len());
        made.encrypted_private_shares[at] ^= 1u8 << bit;
        let own = key(&group(), SIGNER);
        prop_assert_eq!(open(&row(&made), &own), Err(Flaw::DoesNotOpen(own.public())));
    }

    /// A changed byte of the public shares is found, by public data or by the key at the latest, or is in what nothing is
    /// reckoned from: the number of the round and the proofs.
    #[test]
    fn a_changed_byte_of_the_public_shares_does_not_pass_for_another_polynomial(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut made = ROW.clone();
        let good = row(&made);
        let at = at.index(made.public_shares.len());
        made.public_shares[at] = byte;
        let bad = row(&made);
        if let Ok(checked) = bad.check() {
            let good = good.check().unwrap();
            let opened = checked.open(&key(&group(), SIGNER));
            let is_same = checked.public_share(3) == good.public_share(3);
            prop_assert_eq!(opened, if is_same { Ok(()) } else { Err(Flaw::Share { key_id: 3 }) });
        }
    }

    /// Cut anywhere, the public shares are refused: nothing is missing unseen.
    #[test]
    fn shortened_public_shares_are_refused(at in any::<prop::sample::Index>()) {
        let mut made = ROW.clone();
        made.public_shares.truncate(at.index(made.public_shares.len()));
        prop_assert!(row(&made).check().is_err());
    }
}

proptest! {
    /// Noise in the columns and in what a share opens to is an error, and never a panic.
    #[test]
    fn noise_is_an_error(noise in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,60}") {
        let mut made = ROW.clone();
        made.public_shares.clone_from(&noise);
        prop_assert!(row(&made).check().is_err());
        prop_assert!(open(&resealed( &noise), &key(&group(), SIGNER)).is_err());
        prop_assert!(text.trim().is_empty() || Row::from_lines(&text).is_err());
    }

    /// A changed byte inside the share, encrypted again, is an error, or in what the share is not reckoned from.
    #[test]
    fn a_changed_byte_inside_the_share_is_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let good = ROUND.state(SIGNER).encode_to_vec();
        let mut plain = good.clone();
        let at = at.index(plain.len());
        plain[at] = byte;
        let opened = open(&resealed( &plain), &key(&group(), SIGNER));
        // The party's number and its own polynomial are not looked at; the share is at the end.
        prop_assert!(opened.is_err() || plain == good || at + 40 < plain.len());
    }
}
