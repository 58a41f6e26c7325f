use std::io::{Read as _, Write as _};

use age::{Decryptor, armor::ArmoredReader, x25519};

use super::{
    process::held,
    run::serve,
    seal::Proof,
    talk::{Answer, Check, Job, KeyJob, Order, Sealed, What},
};
use crate::{
    host::shield::Shield,
    key::{
        material::Material,
        plan::{From, KeyKind, Network},
    },
};

pub(super) const KEY: &str = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
pub(super) const PUBLIC: &str =
    "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2";

pub(super) fn good() -> Shield {
    Shield { is_locked: true, ..Shield::default() }
}

pub(super) fn job(from: From, custodians: &[&x25519::Identity]) -> Job {
    let recipients = custodians.iter().enumerate();
    Job {
        keys: vec![KeyJob {
            name: "signer".into(),
            kind: KeyKind::SbtcSigner,
            network: Network::Mainnet,
            from,
            public: Some(PUBLIC.into()),
        }],
        custodians: recipients
            .map(|(at, key)| (format!("c{at}"), key.to_public().to_string()))
            .collect(),
        rehearsal: false,
        may_be_unlocked: false,
        threshold: None,
    }
}

/// The one line that the child answers.
fn answer(shield: Shield, job: &Job) -> Answer {
    let line = serde_json::to_vec(&Order::Seal(job.clone())).unwrap();
    let mut said = Vec::new();
    serve(&mut &line[..], &mut said, shield).unwrap();
    serde_json::from_slice(&said).unwrap()
}

pub(super) fn sealed(job: &Job) -> Sealed {
    match answer(good(), job) {
        Answer::Sealed(sealed) => sealed,
        other @ Answer::Refused(_) => panic!("{other:?}"),
    }
}

fn refusal(shield: Shield, job: &Job) -> String {
    match answer(shield, job) {
        Answer::Refused(why) => why,
        other @ Answer::Sealed(_) => panic!("{other:?}"),
    }
}

fn open(armored: &str, identity: &x25519::Identity) -> Option<String> {
    let decryptor = Decryptor::new(ArmoredReader::new(armored.as_bytes())).unwrap();
    let identity: &dyn age::Identity = identity;
    let mut text = String::new();
    decryptor.decrypt(std::iter::once(identity)).ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

pub(super) fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[test]
fn each_custodian_opens_their_own_envelope_and_no_other() {
    let (alice, bob) = (x25519::Identity::generate(), x25519::Identity::generate());
    let (_file, path) = file(&format!("{KEY}01\n"));
    let sealed = sealed(&job(From::File(path), &[&alice, &bob]));
    let [first, second] = sealed.keys[0].envelopes.as_slice() else { panic!("two envelopes") };
    let line = format!("{KEY}\n");
    assert_eq!(open(first, &alice).as_ref(), Some(&line));
    assert_eq!(open(second, &bob).as_ref(), Some(&line));
    assert_eq!((open(first, &bob), open(second, &alice)), (None, None));
    assert_eq!(sealed.keys[0].facts.public.as_deref(), Some(PUBLIC));
    assert!(sealed.keys[0].held_for_us > 0);
}

#[test]
fn a_key_is_read_from_a_configuration_a_variable_and_a_command() {
    let alice = x25519::Identity::generate();
    let toml =
        format!("[signer]\nprivate_key = \"{KEY}\"\nbootstrap_signing_set = [\"{PUBLIC}\"]\n");
    let (_one, config) = file(&toml);
    let (_two, variables) = file(&format!("SIGNER_SIGNER__PRIVATE_KEY={KEY}01\n"));
    let (_three, plain) = file(KEY);
    let keys = vec!["signer".to_owned(), "private_key".to_owned()];
    let cases = [
        (From::Toml(config, keys), Some(true)),
        (From::Variable(variables, "SIGNER_SIGNER__PRIVATE_KEY".into()), None),
        (From::Command(vec!["/bin/cat".into(), plain]), None),
    ];
    for (from, in_set) in cases {
        let sealed = sealed(&job(from, &[&alice]));
        assert_eq!(open(&sealed.keys[0].envelopes[0], &alice), Some(format!("{KEY}\n")));
        assert_eq!(sealed.keys[0].facts.in_signing_set, in_set);
    }
}

#[test]
fn what_is_not_the_key_of_the_plan_is_refused_without_quoting_it() {
    let alice = x25519::Identity::generate();
    let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let keys = vec!["signer".to_owned(), "private_key".to_owned()];
    let in_toml = |set: &str| {
        format!("[signer]\nprivate_key = \"{KEY}\"\nbootstrap_signing_set = [\"{set}\"]\n")
    };
    let set = file(&in_toml(other));
    let refused = refusal(good(), &job(From::Toml(set.1, keys), &[&alice]));
    assert!(refused.contains("is not in the bootstrap_signing_set"), "{refused}");

    let plain = file(KEY);
    let mut wrong = job(From::File(plain.1.clone()), &[&alice]);
    wrong.keys[0].public = Some(other.into());
    let refused = refusal(good(), &wrong);
    assert!(refused.starts_with("signer: this is another key than the plan's"), "{refused}");

    let cut = file(&KEY[1..]);
    let refused = refusal(good(), &job(From::File(cut.1), &[&alice]));
    assert!(refused.contains("this has 63 characters") && !refused.contains(&KEY[10..40]));

    let failing = job(
        From::Command(vec!["/bin/sh".into(), "-c".into(), format!("echo {KEY}; exit 3")]),
        &[&alice],
    );
    assert_eq!(refusal(good(), &failing), "signer: /bin/sh failed; run it by hand to see why");
    let missing = refusal(good(), &job(From::File("/nonexistent".into()), &[&alice]));
    assert!(missing.contains("/nonexistent"), "{missing}");
}

#[test]
fn a_process_that_is_not_shielded_touches_no_key() {
    let alice = x25519::Identity::generate();
    let job = job(From::File("/nonexistent".into()), &[&alice]);
    let cases = [
        (Shield { is_dumpable: true, ..good() }, "a dump"),
        (Shield { core_limit: 1, ..good() }, "a dump"),
        (Shield { tracer: 7, ..good() }, "process 7 traces"),
        (Shield { has_network: true, ..good() }, "has a network"),
        (Shield { is_locked: false, ..good() }, "does not lock"),
    ];
    for (shield, why) in cases {
        let refused = refusal(shield, &job);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_rehearsal_seals_another_key_each_time_and_reads_nothing() {
    let alice = x25519::Identity::generate();
    let mut job = job(From::File("/nonexistent".into()), &[&alice]);
    job.rehearsal = true;
    let opened = |job: &Job| open(&sealed(job).keys[0].envelopes[0], &alice).unwrap();
    let (one, other) = (opened(&job), opened(&job));
    assert_eq!(one.len(), 65);
    assert_ne!(one, other);
    for kind in [KeyKind::Ed25519, KeyKind::Text] {
        job.keys[0].kind = kind;
        assert_eq!(opened(&job).trim().len(), 64);
    }
}

/// Keys and shares, whose envelopes may be confused.
fn two_keys() -> Sealed {
    let (alice, bob) = (x25519::Identity::generate(), x25519::Identity::generate());
    let (_one, path) = file(KEY);
    let mut job = job(From::File(path), &[&alice, &bob]);
    let (_two, path) = file("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    job.keys.push(KeyJob {
        name: "other".into(),
        from: From::File(path),
        public: None,
        ..job.keys[0].clone()
    });
    job.threshold = Some(2);
    sealed(&job)
}

#[test]
fn what_is_read_back_is_what_was_opened_or_does_not_pass() {
    let sealed = two_keys();
    let holds = |what, armored: &str| held(&sealed, &Check { what, armored: armored.to_owned() });
    let (own, other) = (&sealed.keys[0].envelopes[0], &sealed.keys[1].envelopes[0]);
    let share = |at: usize| &sealed.split.as_ref().unwrap().shares[at].envelope;
    assert_eq!(holds(What::Key(0), own), Ok(()));
    assert_eq!((holds(What::Share(1), share(1))), Ok(()));
    let flipped = own.replacen('A', "B", 1);
    for (what, armored) in [
        (What::Key(0), other.as_str()),
        (What::Key(1), own),
        (What::Key(2), own),
        (What::Key(0), ""),
        (What::Key(0), &own[..own.len() / 2]),
        (What::Key(0), &flipped),
        (What::Share(0), share(1)),
        (What::Share(0), own),
        (What::Share(2), share(1)),
    ] {
        assert!(holds(what, armored).is_err(), "{what:?}: {armored}");
    }
}

/// How often each was opened: by the identity that proves it, and by each set of shares.
#[test]
fn all_that_is_sealed_is_opened_before_it_is_answered() {
    let sealed = two_keys();
    assert_eq!(sealed.split.as_ref().unwrap().tried, 1);
    for key in &sealed.keys {
        assert_eq!(key.opened, 2 + 2, "{}", key.name);
    }
    // What was read first was there the longest.
    assert!(sealed.keys[0].held_for_us >= sealed.keys[1].held_for_us);
    assert!(sealed.keys[1].held_for_us > 0);
}

/// What goes wrong in between is found there: an envelope of another key, or none.
#[test]
fn an_envelope_that_holds_something_else_does_not_pass() {
    let (proof, alice) = (Proof::new(), x25519::Identity::generate().to_public());
    let parse = |text: &[u8]| Material::parse(KeyKind::Text, Network::Mainnet, text).unwrap();
    let (key, other) = (parse(b"correct horse battery staple"), parse(b"another"));
    let holds =
        |armored: &str| proof.holds(KeyKind::Text, Network::Mainnet, armored, &key).map_err(drop);
    let sealed = |key: &Material| proof.seal(key.secret(), &alice).unwrap();
    assert_eq!(holds(&sealed(&key)), Ok(()));
    assert_eq!(holds(&sealed(&other)), Err(()));
    let strangers = age::encrypt_and_armor(&alice, key.secret()).unwrap();
    assert_eq!(holds(&strangers), Err(()), "that opens for nobody but the custodian");
}

/// That of a rehearsal is nobody's, and may be watched; nothing else of the shield is given up for it.
#[test]
fn only_a_rehearsal_may_be_traced() {
    let alice = x25519::Identity::generate();
    let mut job = job(From::File("/nonexistent".into()), &[&alice]);
    job.rehearsal = true;
    let traced = Shield { tracer: 7, ..good() };
    assert!(matches!(answer(traced.clone(), &job), Answer::Sealed(_)));
    let dumped = Shield { is_dumpable: true, ..traced };
    assert!(refusal(dumped, &job).contains("a dump"));
}

#[test]
fn it_takes_as_many_custodians_as_were_asked_for() {
    let people: Vec<x25519::Identity> = (0..3).map(|_| x25519::Identity::generate()).collect();
    let (_file, path) = file(KEY);
    let mut job = job(From::File(path), &people.iter().collect::<Vec<_>>());
    job.threshold = Some(2);
    let sealed = sealed(&job);
    let split = sealed.split.unwrap();
    assert_eq!((split.needed, split.shares.len(), split.tried), (2, 3, 3));
    let envelope = &sealed.keys[0].envelopes[1];
    assert!(people.iter().all(|each| open(envelope, each).is_none()), "nobody opens it alone");
    let share = |at: usize| open(&split.shares[at].envelope, &people[at]).unwrap();
    assert!(open(&split.shares[0].envelope, &people[1]).is_none(), "a share is its custodian's");
    for pair in [[0, 1], [1, 2], [2, 0]] {
        let texts = pair.map(share);
        let unlock = super::split::identity(&[&texts[0], &texts[1]]).unwrap();
        assert_eq!(open(envelope, &unlock).as_deref(), Some(&*format!("{KEY}\n")));
    }
    assert!(super::split::identity(&[&share(0)]).is_err(), "one share is not enough");
    for (at, sealed) in split.shares.iter().enumerate() {
        assert_eq!(sealed.sha256, super::split::digest(share(at).as_bytes()));
    }
    // Another split of the same key does not fit.
    let other = self::sealed(&job).split.unwrap();
    let other = open(&other.shares[1].envelope, &people[1]).unwrap();
    assert!(super::split::identity(&[&share(0), &other]).is_err());
    job.threshold = Some(4);
    assert!(refusal(good(), &job).contains("4 of 3 shares"));
}

#[test]
fn an_envelope_ends_as_what_is_typed_from_a_sheet_does() {
    let alice = x25519::Identity::generate();
    let (_file, path) = file(KEY);
    let envelope = sealed(&job(From::File(path), &[&alice])).keys[0].envelopes[0].clone();
    assert_eq!(crate::key::paper::typed(&envelope).unwrap(), envelope);
}
