//! What a signer is called elsewhere: by its peers, and on Stacks.

use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};

use crate::{backup::curve::PublicKey, key::plan::Network};

/// libp2p's name for a signer (libp2p/specs, peer-ids): the identity multihash of the key as protobuf, in base 58.
pub fn peer_id(public: &PublicKey) -> String {
    // Multihash: 00 (identity), 37 bytes. Protobuf: field 1 (type) is 2 (secp256k1), field 2 (data) has 33 bytes.
    let head: &[u8] = &[0x00, 37, 0x08, 2, 0x12, 33];
    bs58::encode([head, &public.bytes()].concat()).into_string()
}

/// The address of one key on Stacks (SIP-005, "Transaction signatures"): version 22 on the main network, 26 on others.
pub fn stacks_address(public: &PublicKey, network: Network) -> String {
    let hash = Ripemd160::digest(Sha256::digest(public.bytes()));
    let version = match network {
        Network::Mainnet => 22,
        Network::Testnet => 26,
    };
    c32check(version, &hash.into())
}

/// Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A version and a hash with a checksum, as Stacks writes them (stacks-network/c32check).
fn c32check(version: u8, hash: &[u8; 20]) -> String {
    let first = Sha256::new().chain_update([version]).chain_update(hash).finalize();
    let checksum = Sha256::digest(first);
    let bytes = [&hash[..], &checksum[..4]].concat();
    format!("S{}{}", digit(version), c32(&bytes))
}

fn digit(value: u8) -> char {
    char::from(ALPHABET[usize::from(value & 31)])
}

/// The number that bytes are, in base 32; of zeros in front, one digit for each byte.
fn c32(bytes: &[u8]) -> String {
    let (mut digits, mut carry, mut bits) = (Vec::new(), 0_u16, 0);
    for byte in bytes.iter().rev() {
        carry |= u16::from(*byte) << bits;
        bits += 8;
        while bits >= 5 {
            digits.push(u8::try_from(carry & 31).unwrap_or_default());
            carry >>= 5;
            bits -= 5;
        }
    }
    digits.push(u8::try_from(carry & 31).unwrap_or_default());
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    digits.extend(std::iter::repeat_n(0, zeros));
    digits.iter().rev().map(|value| digit(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::curve::unhex;

    /// stacks-network/c32check, README.md, "c32address".
    #[test]
    fn c32check_is_that_of_stacks() {
        let hash = |hex: &str| <[u8; 20]>::try_from(unhex(hex).unwrap()).unwrap();
        let some = hash("a46ff88886c2ef9762d970b4d2c63678835bd39d");
        assert_eq!(c32check(22, &some), "SP2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKNRV9EJ7");
        assert_eq!(c32check(26, &some), "ST2J6ZY48GV1EZ5V2V5RB9MP66SW86PYKKQYAC0RQ");
        let zeros = hash(&"00".repeat(20));
        assert_eq!(c32check(22, &zeros), "SP000000000000000000002Q6VF78");
        assert_eq!(c32check(26, &zeros), "ST000000000000000000002AMW42H");
    }
}
