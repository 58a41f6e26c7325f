//! A key that unlocks envelopes, split so that some of its holders can put it together and fewer learn nothing of it.
//!
//! What is split is a key made for that, never a signer's own: with Shamir's scheme over GF(256), each byte for itself. A
//! share says which it is and of what; that it is the right one tells its digest, which everybody may know, because a share
//! is as long as the secret and as random as can be. Shares of two ceremonies do not fit together.

use blahaj::{Share, Sharks};
use zeroize::Zeroizing;

/// How a share begins.
const HEAD: &str = "holdfast-share-v1";

/// No secret that is split is longer, in bytes: it is an identity of age.
const LONGEST: usize = 256;

/// Why shares do not come to a secret. Quotes nothing of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Fault {
    #[error("this is no share")]
    NotAShare,
    #[error("these shares are of different splits")]
    Mixed,
    #[error("share {0} is given twice")]
    Twice(u8),
    #[error("{given} of the {needed} shares that it takes are given")]
    TooFew {
        /// How many there are.
        given: usize,
        /// How many it takes.
        needed: u8,
    },
}

/// A share as text: a line that people could read to each other.
pub type Text = Zeroizing<String>;

/// Splits a secret into so many shares, of which `needed` put it together.
pub fn split(secret: &[u8], needed: u8, count: u8) -> Vec<Text> {
    let dealt = Sharks(needed).dealer(secret).take(usize::from(count));
    dealt.map(|share| text(&share, needed, count)).collect()
}

fn text(share: &Share, needed: u8, count: u8) -> Text {
    // Room for all of it is there at once: what grows leaves copies.
    let mut text = Zeroizing::new(String::with_capacity(2 * share.y.len() + 64));
    text.push_str(&format!("{HEAD} {} of {count}, {needed} needed: ", share.x.0));
    for byte in &share.y {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        text.extend([byte.0 >> 4, byte.0 & 15].map(digit));
    }
    text.push('\n');
    text
}

/// What a share says of itself: its number, of how many, and how many are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Which one, from 1 on.
    pub number: u8,
    /// Of how many.
    pub count: u8,
    /// How many put the secret together.
    pub needed: u8,
}

/// Reads what a share says of itself.
///
/// # Errors
/// When it is none.
pub fn label(text: &str) -> Result<Label, Fault> {
    parse(text).map(|(label, _)| label)
}

fn parse(text: &str) -> Result<(Label, Share), Fault> {
    let parts = || {
        let (number, rest) = text.trim().strip_prefix(HEAD)?.trim().split_once(" of ")?;
        let (count, rest) = rest.split_once(", ")?;
        let (needed, digits) = rest.split_once(" needed: ")?;
        let label = Label {
            number: number.parse().ok()?,
            count: count.parse().ok()?,
            needed: needed.parse().ok()?,
        };
        Some((label, digits.as_bytes()))
    };
    let (label, digits) = parts().ok_or(Fault::NotAShare)?;
    let Label { number, count, needed } = label;
    let is_sane = number >= 1 && number <= count && needed >= 2 && needed <= count;
    if !is_sane || digits.is_empty() || digits.len() > 2 * LONGEST || digits.len() % 2 != 0 {
        return Err(Fault::NotAShare);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 + digits.len() / 2));
    bytes.push(number);
    for pair in digits.chunks_exact(2) {
        let digit = |at: usize| pair.get(at).and_then(|it| char::from(*it).to_digit(16));
        let byte =
            digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(16 * high + low).ok());
        bytes.push(byte.ok_or(Fault::NotAShare)?);
    }
    let share = Share::try_from(bytes.as_slice()).map_err(|_| Fault::NotAShare)?;
    Ok((label, share))
}

/// Puts the secret together. Whether it is the right one only shows when it opens something.
///
/// # Errors
/// When there are too few shares, or they do not belong together as far as they say.
pub fn combine(texts: &[&str]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let parsed: Vec<(Label, Share)> =
        texts.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    let Some((first, share)) = parsed.first() else { return Err(Fault::NotAShare) };
    let (needed, length) = (first.needed, share.y.len());
    for (at, (label, share)) in parsed.iter().enumerate() {
        if (label.count, label.needed, share.y.len()) != (first.count, needed, length) {
            return Err(Fault::Mixed);
        }
        if parsed[..at].iter().any(|(other, _)| other.number == label.number) {
            return Err(Fault::Twice(label.number));
        }
    }
    if parsed.len() < usize::from(needed) {
        return Err(Fault::TooFew { given: parsed.len(), needed });
    }
    let shares = parsed.iter().map(|(_, share)| share);
    let secret = Sharks(needed).recover(shares).map_err(|_| Fault::Mixed)?;
    Ok(Zeroizing::new(secret))
}

/// Every set of `needed` out of `count`, as places.
pub fn subsets(count: usize, needed: usize) -> impl Iterator<Item = Vec<usize>> {
    (0_u32..1 << count.min(16)).filter_map(move |mask| {
        let places: Vec<usize> = (0..count).filter(|at| mask >> at & 1 == 1).collect();
        (places.len() == needed).then_some(places)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] =
        b"AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3JN54KH";

    fn refused(texts: &[&str]) -> Fault {
        combine(texts).map(|_| ()).unwrap_err()
    }

    #[test]
    fn every_set_of_enough_shares_is_the_secret_and_fewer_are_refused() {
        for (needed, count) in [(2, 2), (2, 3), (3, 5), (4, 7)] {
            let shares = split(SECRET, needed, count);
            let (needed, count) = (usize::from(needed), usize::from(count));
            let mut tried = 0;
            for places in subsets(count, needed) {
                let some: Vec<&str> = places.iter().map(|at| shares[*at].as_str()).collect();
                assert_eq!(combine(&some).unwrap().as_slice(), SECRET);
                let fewer = refused(&some[1..]);
                assert!(matches!(fewer, Fault::TooFew { .. } | Fault::NotAShare), "{fewer}");
                tried += 1;
            }
            // Binomial coefficients.
            let expected = [((2, 2), 1), ((2, 3), 3), ((3, 5), 10), ((4, 7), 35)];
            assert!(expected.contains(&((needed, count), tried)));
        }
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let (ours, other) = (split(SECRET, 2, 3), split(b"short", 2, 3));
        assert_eq!(refused(&[&ours[0], &ours[0]]), Fault::Twice(1));
        assert_eq!(refused(&[&ours[0], &other[1]]), Fault::Mixed);
        assert_eq!(refused(&[&ours[0], &split(SECRET, 2, 4)[1]]), Fault::Mixed);
        assert_eq!(refused(&[&ours[0]]), Fault::TooFew { given: 1, needed: 2 });
        for none in [
            "",
            "holdfast-share-v1 0 of 3, 2 needed: 00",
            "holdfast-share-v1 1 of 3, 1 needed: 00",
            "holdfast-share-v1 1 of 3, 2 needed: 0g",
        ] {
            assert_eq!(label(none), Err(Fault::NotAShare), "{none}");
        }
        // Of two splits of one secret: nothing says so but that it is not the secret.
        let mixed = combine(&[&ours[0], &split(SECRET, 2, 3)[1]]).unwrap();
        assert_ne!(mixed.as_slice(), SECRET);
    }

    /// The other byte of a split in two is uniform whatever the secret is: otherwise one share would say something of it
    /// (RUSTSEC-2024-0398 was that the coefficient was never 0). 99.9999 % of fair tries are within the limit.
    #[test]
    fn one_share_says_nothing_of_the_secret() {
        const TRIES: u32 = 64_000;
        for secret in [0_u8, 1, 255] {
            let mut counts = [0_u32; 256];
            // As many secrets of one byte, split one by one.
            let secrets = vec![secret; TRIES as usize];
            for share in Sharks(2).dealer(&secrets).take(1) {
                share.y.iter().for_each(|byte| counts[usize::from(byte.0)] += 1);
            }
            let expected = f64::from(TRIES) / 256.0;
            let chi: f64 =
                counts.iter().map(|it| (f64::from(*it) - expected).powi(2) / expected).sum();
            // Chi squared with 255 degrees of freedom exceeds 380 once in a million.
            assert!(chi < 380.0, "{secret}: {chi}");
            assert!(counts.iter().all(|count| *count > 0));
        }
    }

    /// By hand, in the field of 0x11d: the line through (0, 5) with the slope 3 is at 1: 5 ^ 3 = 6, at 2: 5 ^ 6 = 3, and at
    /// 128: 3 * 128 = 0x180, less 0x11d: 0x9d, and 5 ^ 0x9d = 0x98.
    #[test]
    fn the_field_is_the_one_that_combine_pl_has() {
        let line = |number: u8, byte: u8| {
            format!("holdfast-share-v1 {number} of 200, 2 needed: {byte:02x}")
        };
        let (one, two, far) = (line(1, 6), line(2, 3), line(128, 0x98));
        for pair in [[&one, &two], [&two, &far], [&far, &one]] {
            assert_eq!(combine(&pair.map(String::as_str)).unwrap().as_slice(), [5]);
        }
    }
}
