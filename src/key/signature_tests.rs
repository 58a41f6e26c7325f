use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use ssh_key::{
    HashAlg, Signature,
    public::{Ed25519PublicKey, KeyData, SkEd25519},
};

use super::*;
use crate::key::plan::NAMESPACE;

/// Made with `ssh-keygen -Y sign -n holdfast-plan@v1` of OpenSSH 9.2.
const MESSAGE: &[u8] = b"name = \"x\"\n";
const ED25519: (&str, &str) = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAgMlRsMNt+p/WV0xM8CSGsmk4WKtaGgbDpISnpdk2Lb alice",
    "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgCAyVGww236n9ZXTEzwJIayaThY
q1oaBsOkhKel2TYtsAAAAQaG9sZGZhc3QtcGxhbkB2MQAAAAAAAAAGc2hhNTEyAAAAUwAA
AAtzc2gtZWQyNTUxOQAAAECVa+HwQZO96UCT0LaBH3fC77el4iX+wH712LKzbfVj9wXH3d
zxC5W42q0qxPWPihkXh0tx3s8DHJ8/JvvZxTkF
-----END SSH SIGNATURE-----
",
);
const ECDSA: (&str, &str) = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBG3st2l9ot0haF0MjQrq48YuXBu5/Ooq7PZePgqm2b15AfN7BW05AJmhbAp7Or6SvGqFqmJbOGZFENj4Km+XgUw= bob",
    "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE
EEbey3aX2i3SFoXQyNCurjxi5cG7n86irs9l4+CqbZvXkB83sFbTkAmaFsCns6vpK8aoWq
Yls4ZkUQ2Pgqb5eBTAAAABBob2xkZmFzdC1wbGFuQHYxAAAAAAAAAAZzaGE1MTIAAABlAA
AAE2VjZHNhLXNoYTItbmlzdHAyNTYAAABKAAAAIQCA5I7bBttbM9upEdIGSQP3mzB3Y2Q3
iUULtnitEBQoLgAAACEAzGaGHNkhEjy5nvbO7zLbxFg5GszCTDzeoSr6I4Aayu4=
-----END SSH SIGNATURE-----
",
);

fn key(text: &str) -> SshKey {
    text.parse().unwrap()
}

#[test]
fn what_ssh_keygen_signs_is_good() {
    for (public, pem) in [ED25519, ECDSA] {
        let good = verify(&key(public), NAMESPACE, MESSAGE, pem.as_bytes());
        assert_eq!(good, Ok(Good { touched: false, verified: false }));
        let padded = format!("\n\n{pem}\n");
        assert!(verify(&key(public), NAMESPACE, MESSAGE, padded.as_bytes()).is_ok());
    }
}

#[test]
fn what_is_not_signed_by_them_for_this_is_refused_with_its_reason() {
    let (alice, bob) = (key(ED25519.0), key(ECDSA.0));
    let pem = ED25519.1.as_bytes();
    let altered = verify(&alice, NAMESPACE, b"name = \"y\"\n", pem);
    assert_eq!(altered, Err(Fault::Altered));
    assert!(matches!(verify(&bob, NAMESPACE, MESSAGE, pem), Err(Fault::OtherKey { .. })));
    let other = verify(&alice, "holdfast-transcript@v1", MESSAGE, pem);
    assert!(matches!(other, Err(Fault::OtherNamespace { found, .. }) if found == NAMESPACE));
    assert_eq!(verify(&alice, NAMESPACE, MESSAGE, b"name = x"), Err(Fault::NotASignature));
    assert_eq!(verify(&alice, NAMESPACE, MESSAGE, b""), Err(Fault::NotASignature));
}

/// Or it says the same: ssh-key takes some lengths in it for granted, whatever they are.
#[test]
fn no_altered_signature_is_good() {
    for (public, pem) in [ED25519, ECDSA] {
        let says = |pem: &[u8]| {
            let signature = SshSig::from_pem(pem).unwrap();
            let key = signature.public_key().clone();
            (key, signature.namespace().to_owned(), signature.signature_bytes().to_vec())
        };
        let body = pem.find('\n').unwrap() + 1..pem.rfind("\n-----END").unwrap();
        let mut refused = 0;
        for at in body.filter(|at| pem.as_bytes()[*at].is_ascii_alphanumeric()) {
            let mut altered = pem.as_bytes().to_vec();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            match verify(&key(public), NAMESPACE, MESSAGE, &altered) {
                Err(_) => refused += 1,
                Ok(_) => assert_eq!(says(&altered), says(pem.as_bytes()), "{public}: {at}"),
            }
        }
        assert!(refused > 200, "only {refused} were refused");
    }
}

/// What a hardware key does, in software (PROTOCOL.u2f, "sk-ssh-ed25519@openssh.com"): it signs `bits`, and says `said`.
fn hardware(bits: u8, said: u8) -> (SshKey, String) {
    let secret = SigningKey::from_bytes(&[7; 32]);
    let public = SkEd25519::new(Ed25519PublicKey(secret.verifying_key().to_bytes()), "ssh:");
    let data = KeyData::SkEd25519(public);
    let message = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, MESSAGE).unwrap();
    let trailer = |bits| [bits, 0, 0, 0, 9];
    let application = Sha256::digest("ssh:");
    let bytes = [&application[..], &trailer(bits), &Sha256::digest(&message)[..]].concat();
    let signature = [&secret.sign(&bytes).to_bytes()[..], &trailer(said)].concat();
    let signature = Signature::new(Algorithm::SkEd25519, signature).unwrap();
    let pem = SshSig::new(data.clone(), NAMESPACE, HashAlg::Sha512, signature).unwrap();
    let public = PublicKey::new(data, "carol").to_openssh().unwrap();
    (key(&public), pem.to_pem(ssh_key::LineEnding::LF).unwrap())
}

fn judged(bits: u8, said: u8) -> Result<Good, Fault> {
    let (key, pem) = hardware(bits, said);
    verify(&key, NAMESPACE, MESSAGE, pem.as_bytes())
}

#[test]
fn a_hardware_key_must_have_been_touched() {
    assert_eq!(judged(0x01, 0x01), Ok(Good { touched: true, verified: false }));
    assert_eq!(judged(0x05, 0x05), Ok(Good { touched: true, verified: true }));
    assert_eq!(judged(0x00, 0x00), Err(Fault::Untouched));
    // A PIN alone is no touch.
    assert_eq!(judged(0x04, 0x04), Err(Fault::Untouched));
}

#[test]
fn the_bit_of_the_touch_cannot_be_set_afterwards() {
    assert_eq!(judged(0x00, 0x01), Err(Fault::Altered));
}
