//! The decoder against every form that Clarity has, and against noise.

use std::error::Error as _;

use proptest::prelude::*;

use super::*;

/// The generator of the curve, and the same with its y turned.
const EVEN: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ODD: &str = "0379be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn key(hex: &str) -> OnChain {
    OnChain::Key(PublicKey::from_bytes(&unhex(hex).unwrap()).unwrap())
}

#[test]
fn a_key_is_decoded_with_its_sign() {
    for hex in [EVEN, ODD] {
        for text in [format!("0x0200000021{hex}"), format!("0200000021{}", hex.to_uppercase())] {
            assert_eq!(value(&text), Ok(key(hex)));
        }
    }
    assert_ne!(key(EVEN), key(ODD));
}

#[test]
fn a_single_zero_is_no_key_yet() {
    assert_eq!(value("0x020000000100"), Ok(OnChain::NotBootstrapped));
}

#[test]
fn everything_else_has_a_fault_of_its_own() {
    let x = &EVEN[2..];
    let cases = [
        (String::new(), ValueFault::Truncated(0)),
        ("0x".to_owned(), ValueFault::Truncated(0)),
        ("0X0200".to_owned(), ValueFault::NotHex),
        ("0x020".to_owned(), ValueFault::NotHex),
        ("0x+2".to_owned(), ValueFault::NotHex),
        ("0xé".to_owned(), ValueFault::NotHex),
        // What is left when the published check cuts `0x02000000210` off.
        (EVEN[1..].to_owned(), ValueFault::NotHex),
        ("0x0200000021".to_owned(), ValueFault::Length { said: 33, found: 0 }),
        ("0x02000000".to_owned(), ValueFault::Truncated(4)),
        (format!("0x0200000021{EVEN}00"), ValueFault::Length { said: 33, found: 34 }),
        (format!("0x0200000022{EVEN}"), ValueFault::Length { said: 34, found: 33 }),
        (format!("0x02ffffffff{EVEN}"), ValueFault::Length { said: u32::MAX, found: 33 }),
        ("0x0200000000".to_owned(), ValueFault::NoKey(PointFault::Length(0))),
        ("0x020000000101".to_owned(), ValueFault::NoKey(PointFault::Length(1))),
        (format!("0x0200000020{x}"), ValueFault::NoKey(PointFault::Length(32))),
        (format!("0x020000002104{x}"), ValueFault::NoKey(PointFault::Prefix(4))),
        (format!("0x020000002102{:064x}", 5), ValueFault::NoKey(PointFault::OffCurve)),
        ("0x09".to_owned(), ValueFault::Optional),
        (format!("0x0a0200000021{EVEN}"), ValueFault::Optional),
        (format!("0x070200000021{EVEN}"), ValueFault::Response),
        (format!("0x08{:034x}", 401), ValueFault::Response),
        (format!("0x00{:032x}", 1), ValueFault::Type(0)),
        ("0x03".to_owned(), ValueFault::Type(3)),
        ("0x0b00000000".to_owned(), ValueFault::Type(11)),
        ("0x0c00000000".to_owned(), ValueFault::Type(12)),
        ("0x0d0000000161".to_owned(), ValueFault::Type(13)),
        ("0xff".to_owned(), ValueFault::Type(255)),
    ];
    for (text, fault) in cases {
        assert_eq!(value(&text), Err(fault), "{text}");
    }
}

#[test]
fn both_ways_of_asking_are_read() {
    let body = format!(r#"{{"okay":true,"result":"0x0200000021{ODD}"}}"#);
    assert_eq!(call_read(body.as_bytes()).unwrap(), key(ODD));
    let body = format!(r#"{{"data":"0x0200000021{EVEN}","proof":"0x00"}}"#);
    assert_eq!(data_var(body.as_bytes()).unwrap(), key(EVEN));
    assert_eq!(data_var(br#"{"data":"020000000100"}"#).unwrap(), OnChain::NotBootstrapped);
}

#[test]
fn an_answer_that_is_none_says_why() {
    let cases: [(&[u8], &str); 8] = [
        (
            br#"{"okay":false,"cause":"Unchecked(NoSuchContract(\"SM3.x\"))\u001b[2J"}"#,
            "the node could not make the call: Unchecked(NoSuchContract(\"SM3.x\")) [2J",
        ),
        (br#"{"okay":false}"#, "the node could not make the call: it gives no cause"),
        // A result beside okay=false is not taken.
        (
            br#"{"okay":false,"result":"0x020000000100"}"#,
            "the node could not make the call: it gives no cause",
        ),
        (br#"{"okay":true}"#, "the node says that the call went well, and gives no result"),
        (br#"{"okay":true,"result":"0x09"}"#, "the value of the aggregate key cannot be used"),
        (br#"{"data":"0x"}"#, "the answer is not what a Stacks node gives to this question"),
        (b"<html>", "the answer is not what a Stacks node gives to this question"),
        (b"", "the answer is not what a Stacks node gives to this question"),
    ];
    for (body, told) in cases {
        assert_eq!(call_read(body).unwrap_err().to_string(), told);
    }
    let fault = data_var(br#"{"data":"0x0a"}"#).unwrap_err();
    assert!(fault.source().unwrap().to_string().starts_with("it is an optional"));
    let long = format!(r#"{{"okay":false,"cause":"{}"}}"#, "é".repeat(10_000));
    assert!(call_read(long.as_bytes()).unwrap_err().to_string().len() < 1000);
}

proptest! {
    #[test]
    fn noise_is_refused_without_a_panic(text in "\\PC{0,90}", bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        prop_assert!(value(&text).is_err() || text.len() >= 12);
        drop(call_read(&bytes));
        drop(data_var(&bytes));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Of 90 random bytes none make a key: its prefix alone has 6 fixed bytes.
        if let Ok(found) = value(&hex) {
            prop_assert!(hex.starts_with("0200000021") || found == OnChain::NotBootstrapped);
        }
    }

    /// Whatever one byte of a good value is made into, it is the same value, another key, or refused.
    #[test]
    fn no_changed_byte_goes_unseen(at in 0usize..38, byte in any::<u8>()) {
        let good = format!("0200000021{EVEN}");
        let mut bytes = unhex(&good).unwrap();
        let changed = bytes[at] != byte;
        bytes[at] = byte;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(value(&hex) == value(&good), !changed);
    }

    #[test]
    fn every_shorter_and_longer_value_is_refused(cut in 0usize..38, more in prop::collection::vec(any::<u8>(), 1..9)) {
        let good = format!("0200000021{EVEN}");
        prop_assert!(value(&good[..cut * 2]).is_err());
        let more: String = more.iter().map(|byte| format!("{byte:02x}")).collect();
        let longer = format!("{good}{more}");
        prop_assert!(value(&longer).is_err());
    }
}
