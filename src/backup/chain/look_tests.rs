//! Against a server on loopback that stands in for a Stacks node: a real one cannot run in a test.

use std::{error::Error as _, time::Instant};

use holdfast_test_node::{Answers, Authority, Node as StandIn, Reply};

use super::*;
use crate::backup::{chain::Status, curve::PublicKey};

const DEPLOYER: &str = "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4";
const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn key() -> Vec<u8> {
    crate::backup::curve::unhex(KEY).unwrap()
}

fn good() -> Answers {
    Answers::with_key(900_000, &key())
}

/// A profile's section with this node, and no patience.
fn section(url: &str) -> Chain {
    Chain {
        node: url.parse().unwrap(),
        time_limit: crate::profile::types::TimeSpan::from_secs(1),
        ..Chain::default()
    }
}

fn ask_with(section: &Chain, before: Option<Answer>) -> Result<Answer, String> {
    let inquiry = Inquiry::new(section, Ok(DEPLOYER.parse().unwrap()), before);
    inquiry.ask(&Files::below("/"), Some(900_000))
}

fn ask(answers: Answers) -> Result<Answer, String> {
    let node = StandIn::start(answers, None).unwrap();
    ask_with(&section(&node.url()), None)
}

fn rows() -> Vec<KeyRow> {
    let aggregate_key = PublicKey::from_bytes(&key()).unwrap();
    vec![KeyRow { aggregate_key, status: Status::Verified, created: Timestamp::UNIX_EPOCH }]
}

#[test]
fn the_key_is_asked_of_a_node_that_is_up_to_date() {
    let node = StandIn::start(good(), None).unwrap();
    let answer = ask_with(&section(&node.url()), None).unwrap();
    assert_eq!(answer.key.as_deref(), Some(KEY));
    let asked = node.asked();
    assert_eq!(asked[..2], ["GET /v2/info", "GET /v3/health"]);
    let call = "POST /v2/contracts/call-read/SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4/sbtc-registry/get-current-aggregate-pubkey?tip=latest";
    assert_eq!(asked[2..], [call]);
    let (word, verdict) = word(&rows(), Ok(answer), Some(900_000));
    assert_eq!(word.verdict, "equal");
    assert!(matches!(verdict, Some(Verdict::Equal { .. })));
}

#[test]
fn where_the_call_is_not_served_the_variable_is_read() {
    let answers = Answers { call: Reply::Of(500, "busy".into()), ..good() };
    assert_eq!(ask(answers).unwrap().key.as_deref(), Some(KEY));
    // One that the node has refused is an answer, and not asked for otherwise.
    let refused = Reply::json(r#"{"okay":false,"cause":"Unchecked(NoSuchContract)"}"#);
    let why = ask(Answers { call: refused, ..good() }).unwrap_err();
    assert!(why.ends_with("the node could not make the call: Unchecked(NoSuchContract)"), "{why}");
    let neither = Reply::Of(503, "over\u{1b}[31mloaded".into());
    let why = ask(Answers { call: neither.clone(), variable: neither, ..good() }).unwrap_err();
    assert!(why.ends_with("answered with status 503: over [31mloaded"), "{why}");
}

#[test]
fn a_contract_that_is_not_there_and_one_without_a_key_are_told_apart() {
    let elsewhere = Answers { deployer: Some("SP000000000000000000002Q6VF78".into()), ..good() };
    let why = ask(elsewhere).unwrap_err();
    assert!(
        why.contains("gives no contract SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4.sbtc-registry"),
        "{why}"
    );
    let none = ask(Answers::of(1, 900_000, "020000000100")).unwrap();
    assert_eq!(none.key, None);
    assert_eq!(word(&rows(), Ok(none), None).0.verdict, "not-bootstrapped");
}

#[test]
fn what_is_no_key_is_no_answer() {
    let x = &KEY[2..];
    for (value, why) in [
        (format!("020000002002{}", &x[2..]), "its buffer is no compressed public key"),
        (format!("020000002102{}", "ff".repeat(32)), "it is no point of secp256k1"),
        (format!("0a0200000021{KEY}"), "it is an optional"),
        (format!("0200000022{KEY}"), "it says that it has 34 bytes, and 33 follow"),
        ("02".into(), "it ends after 1 bytes"),
    ] {
        let fault = ask(Answers::of(1, 900_000, &value)).unwrap_err();
        assert!(fault.contains(why), "{fault}");
    }
}

#[test]
fn a_node_that_is_not_to_be_believed_is_named_for_what_it_is() {
    let verdict = |answers: Answers| {
        let answer = ask(answers).unwrap();
        word(&rows(), Ok(answer), Some(900_000)).0
    };
    let other = verdict(Answers { info: Answers::of(0x8000_0000, 900_000, "").info, ..good() });
    assert!(other.text.contains("it is on network 2147483648, and the signer on 1"), "{other:?}");
    let behind = verdict(Answers { info: Answers::with_key(899_990, &key()).info, ..good() });
    assert!(behind.text.contains("the signer had seen block 900000"), "{behind:?}");
    let lags = Reply::json(r#"{"difference_from_max_peer":500}"#);
    let lags = verdict(Answers { health: lags, ..good() });
    assert!(lags.text.contains("it is 500 Stacks blocks behind its best peer"), "{lags:?}");
    for word in [other, behind, lags] {
        assert_eq!(word.verdict, "stale-node");
    }
    // No peers to compare with; or too old to know the question.
    for (status, expected) in [(500, "stale-node"), (503, "stale-node"), (404, "equal")] {
        let alone = Answers { health: Reply::Of(status, "no peers".into()), ..good() };
        assert_eq!(verdict(alone).verdict, expected, "{status}");
    }
}

#[test]
fn a_node_that_stands_still_is_found_by_the_look_before() {
    let node = StandIn::start(good(), None).unwrap();
    let section = section(&node.url());
    let mut first = ask_with(&section, None).unwrap();
    assert_eq!(first.block_since, first.at);
    let earlier = first.at - jiff::SignedDuration::from_hours(4);
    (first.at, first.block_since) = (earlier, earlier);
    let second = ask_with(&section, Some(first.clone())).unwrap();
    assert_eq!(second.block_since, earlier);
    assert_eq!(word(&rows(), Ok(second), None).0.verdict, "stale-node");
    node.now(Answers::with_key(900_001, &key()));
    assert_eq!(word(&rows(), ask_with(&section, Some(first)), None).0.verdict, "equal");
}

#[test]
fn a_server_that_is_wrong_in_any_way_is_no_answer_and_costs_no_more_than_its_time() {
    let body = r#"{"okay":true,"result":"0x00"}"#;
    let faults = [
        (Reply::Silence, "did not answer within 1s"),
        (Reply::Drip, "did not answer within 1s"),
        (Reply::Cut, "no conversation with"),
        (Reply::Flood, "sent more than 262144 bytes"),
        (Reply::Elsewhere("http://127.0.0.1:1/".into()), "sends on to another address"),
        (Reply::Noise, "does not speak HTTP"),
        (Reply::json("<html>"), "is not what a Stacks node gives"),
        (Reply::json(body.replace('}', "")), "is not what a Stacks node gives"),
    ];
    for (reply, why) in faults {
        for answers in [
            Answers { info: reply.clone(), ..good() },
            Answers { call: reply.clone(), variable: reply.clone(), ..good() },
        ] {
            let started = Instant::now();
            let fault = ask(answers).unwrap_err();
            assert!(fault.contains(why), "{reply:?}: {fault}");
            assert!(!fault.contains("127.0.0.1:1/"), "{fault}");
            // Not a figure: a tenth of what a server that is waited for without a limit would take.
            assert!(started.elapsed().as_secs() < 60, "{reply:?}");
        }
    }
}

#[test]
fn nobody_there_is_said_and_the_others_of_the_profile_are_asked() {
    let gone = StandIn::start(good(), None).unwrap().url();
    let stale = StandIn::start(Answers { info: Answers::with_key(1, &key()).info, ..good() }, None)
        .unwrap();
    let fresh = StandIn::start(good(), None).unwrap();
    let mut section = section("http://127.0.0.1:1");
    let why = ask_with(&section, None).unwrap_err();
    assert!(why.contains("no conversation with http://127.0.0.1:1/v2/info"), "{why}");
    assert_ne!(gone, stale.url());
    section.others = vec![stale.url().parse().unwrap()];
    let doubtful = ask_with(&section, None).unwrap();
    assert_eq!(word(&rows(), Ok(doubtful), Some(900_000)).0.verdict, "stale-node");
    section.others.push(fresh.url().parse().unwrap());
    let answer = ask_with(&section, None).unwrap();
    assert_eq!(answer.node, format!("{}/", fresh.url()));
}

#[test]
fn an_unknown_deployer_asks_nobody() {
    let node = StandIn::start(good(), None).unwrap();
    let inquiry = Inquiry::new(&section(&node.url()), Err("no file".into()), None);
    let why = inquiry.ask(&Files::below("/"), None);
    let (word, verdict) = word(&rows(), why, None);
    assert_eq!((word.verdict.as_str(), verdict), ("unknown", None));
    assert_eq!(word.text, "it is not known whose contract is to be asked: no file");
    assert!(node.asked().is_empty());
}

#[test]
fn by_tls_a_server_is_held_to_its_certificate() {
    let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
    let folder = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a fixture")]
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ca.pem", ours.pem());
    write("empty.pem", "");
    let asked = |authority: &Authority, name: &str, stale: bool, ca: &str| {
        let certificate = authority.certify(name, stale).unwrap();
        let node = StandIn::start(good(), Some(&certificate)).unwrap();
        let mut section = section(&format!("https://127.0.0.1:{}", node.port()));
        section.ca_file = ca.parse().unwrap();
        let inquiry = Inquiry::new(&section, Ok(DEPLOYER.parse().unwrap()), None);
        inquiry.ask(&Files::below(folder.path()), Some(900_000))
    };
    assert_eq!(asked(&ours, "127.0.0.1", false, "/ca.pem").unwrap().key.as_deref(), Some(KEY));
    for (authority, name, stale, why) in [
        (&theirs, "127.0.0.1", false, "UnknownIssuer"),
        (&ours, "node.example.org", false, "NotValidForName"),
        (&ours, "127.0.0.1", true, "expired"),
    ] {
        let fault = asked(authority, name, stale, "/ca.pem").unwrap_err();
        assert!(fault.contains("is not who its certificate would have to say"), "{fault}");
        assert!(fault.contains(why) || fault.contains("not valid for name"), "{why}: {fault}");
    }
    let fault = asked(&ours, "127.0.0.1", false, "/empty.pem").unwrap_err();
    assert!(fault.contains("has no certificate of an authority"), "{fault}");
    // One without TLS where TLS is asked for.
    let plain = StandIn::start(good(), None).unwrap();
    let mut section = section(&format!("https://127.0.0.1:{}", plain.port()));
    section.ca_file = folder.path().join("ca.pem").display().to_string().parse().unwrap();
    assert!(ask_with(&section, None).is_err());
}

#[test]
fn answers_have_their_fault_as_source() {
    let source = AnswerFault::NoResult;
    let fault = LookFault::Answer { url: "http://127.0.0.1".into(), source };
    assert!(fault.source().is_some());
}
