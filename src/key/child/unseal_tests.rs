use age::x25519;

use super::{
    open::{Copies, Copy, Open, Opened, Question, Wanted},
    run::serve,
    talk::{Order, Put, What},
    tests::{KEY, PUBLIC, file, good, job, sealed},
};
use crate::key::plan::{From, KeyKind, Network};

/// An identity as `age-keygen` writes one.
fn identity_file(identity: &x25519::Identity) -> (tempfile::NamedTempFile, String) {
    use age::secrecy::ExposeSecret as _;
    let secret = identity.to_string();
    file(&format!("# created: now\n# public key: x\n{}\n", secret.expose_secret()))
}

fn key(armored: &str) -> Copy {
    Copy { what: What::Key(0), armored: armored.into(), sha256: None }
}

fn copies(copies: Vec<Copy>) -> Copies {
    let public = Some(PUBLIC.into());
    let (kind, network) = (KeyKind::SbtcSigner, Network::Mainnet);
    let keys = vec![Wanted { kind, network, public, raw: false }];
    Copies { keys, copies, split: false, rows: None, put: None }
}

/// The last answer of the child.
fn said(identities: &[String], questions: &[Question]) -> serde_json::Value {
    let open = Open { identities: identities.to_vec(), may_be_unlocked: false };
    let mut lines = serde_json::to_vec(&Order::Open(open)).unwrap();
    for question in questions {
        lines.push(b'\n');
        lines.extend(serde_json::to_vec(question).unwrap());
    }
    let mut said = Vec::new();
    serve(&mut &lines[..], &mut said, good()).unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains(&KEY[10..50]));
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

fn opened(identities: &[String], asked: &Copies) -> Result<Opened, String> {
    let said = said(identities, &[Question::Copies(Box::new(asked.clone()))]);
    match said.get("opened") {
        Some(opened) => Ok(serde_json::from_value(opened.clone()).unwrap()),
        None => Err(said["refused"].as_str().unwrap().to_owned()),
    }
}

/// Why each copy is not good.
fn judged(identities: &[String], asked: &Copies) -> Vec<Result<(), String>> {
    opened(identities, asked).unwrap().copies
}

#[test]
fn each_copy_is_opened_by_its_custodian_and_one_is_brought_back() {
    let (alice, bob) = (x25519::Identity::generate(), x25519::Identity::generate());
    let (_file, path) = file(KEY);
    let sealed = sealed(&job(From::File(path), &[&alice, &bob]));
    let [one, other] = [0, 1].map(|at| key(&sealed.keys[0].envelopes[at]));
    let ((_one, by_alice), (_two, by_bob)) = (identity_file(&alice), identity_file(&bob));
    let by = |one: &String| vec![one.clone()];
    let both = vec![one.clone(), other.clone()];
    assert_eq!(judged(&by(&by_alice), &copies(vec![one.clone()])), [Ok(())]);
    let closed = || Err("none of these identities opens this copy".to_owned());
    assert_eq!(judged(&by(&by_alice), &copies(both.clone())), [Ok(()), closed()]);
    assert_eq!(judged(&by(&by_bob), &copies(both.clone())), [closed(), Ok(())]);
    let everybody = [by_bob, by_alice.clone()];
    assert_eq!(judged(&everybody, &copies(both.clone())), [Ok(()), Ok(())]);
    let mut cut = other;
    cut.armored = cut.armored.replacen('\n', "\nA", 1);
    let judged_cut = judged(&everybody, &copies(vec![cut, one.clone()]));
    assert!(judged_cut[0].is_err() && judged_cut[1].is_ok(), "{judged_cut:?}");
    let mut other = copies(vec![one.clone()]);
    other.keys[0].public = None;
    let why = judged(&by(&by_alice), &other).remove(0).unwrap_err();
    assert!(why.contains("holds another key than the one that was exported"), "{why}");
    let why = |path: &str| opened(&[path.to_owned()], &copies(Vec::new())).unwrap_err();
    assert!(why("/etc/passwd").contains("has no identity of age"));
    assert!(why("/dev/zero").contains("neither a file nor a pipe"));
    let (_three, locked) = file(&sealed.keys[0].envelopes[0]);
    assert!(why(&locked).contains("is encrypted itself"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key").display().to_string();
    let put = Some((0, Put::File { path: path.clone(), owner: None }));
    let put = Copies { put, ..copies(vec![one]) };
    assert_eq!(judged(&by(&by_alice), &put), [Ok(())]);
    let written = crate::host::Files::below("/").text(&path).unwrap();
    assert_eq!(written.as_deref(), Some(KEY));
    let again = opened(&by(&by_alice), &put).unwrap_err();
    assert!(again.contains("File exists"), "what is there is not replaced: {again}");
}

#[test]
fn it_opens_again_with_as_many_shares_as_it_takes() {
    let people: Vec<x25519::Identity> = (0..3).map(|_| x25519::Identity::generate()).collect();
    let (_file, path) = file(KEY);
    let mut job = job(From::File(path), &people.iter().collect::<Vec<_>>());
    job.threshold = Some(2);
    let sealed = sealed(&job);
    let split = sealed.split.unwrap();
    let files: Vec<_> = people.iter().map(identity_file).collect();
    let paths: Vec<String> = files.iter().map(|(_, path)| path.clone()).collect();
    let share = |at: usize| {
        let share = &split.shares[at];
        let (armored, sha256) = (share.envelope.clone(), Some(share.sha256.clone()));
        Copy { what: What::Share(at), armored, sha256 }
    };
    let with = |shares: Vec<Copy>| {
        let all = shares.into_iter().chain([key(&sealed.keys[0].envelopes[0])]).collect();
        judged(&paths, &Copies { split: true, ..copies(all) })
    };
    assert_eq!(with(vec![share(2), share(0)]), [Ok(()), Ok(()), Ok(())]);
    let few = "1 of the 2 shares that it takes are given".to_owned();
    assert_eq!(with(vec![share(1)]), [Ok(()), Err(few)]);
    assert_eq!(with(Vec::new()), [Err("no share that opens is given".to_owned())]);
    // One that is another's is told, and the others suffice.
    let swapped = Copy { sha256: share(2).sha256, ..share(1) };
    let told = with(vec![share(0), swapped, share(2)]);
    let why = told[1].as_ref().unwrap_err();
    assert!(why.contains("another share than the one that was handed out"), "{why}");
    assert!(told[0].is_ok() && told[2].is_ok() && told[3].is_ok(), "{told:?}");
}

/// The joint proof, with rows as a signer keeps them.
#[test]
fn the_key_opens_the_rows_of_its_signer_and_of_no_other() {
    use crate::backup::{curve::hex, dkg::tests::row};
    let group = holdfast_test_dkg::Group::new("drill", 3, 2);
    let alice = x25519::Identity::generate();
    let (_file, path) = file(&hex(&group.private_key(0)));
    let mut job = job(From::File(path), &[&alice]);
    job.keys[0].public = None;
    let sealed = sealed(&job);
    let (_identity, identity) = identity_file(&alice);
    let rows = [0, 1].map(|signer| row(&group.round(1).row(signer)));
    let mut asked = copies(vec![key(&sealed.keys[0].envelopes[0])]);
    asked.keys[0].public.clone_from(&sealed.keys[0].facts.public);
    asked.rows = Some((0, rows.into()));
    let opened = opened(&[identity], &asked).unwrap();
    assert_eq!(opened.rows.iter().map(|row| row.opens).collect::<Vec<_>>(), [true, false]);
}

/// Only the file key of that very header comes out of the child, and with it the file opens.
#[test]
fn a_header_is_unwrapped_for_its_reader_and_for_nobody_else() {
    use age::{Decryptor, Encryptor};
    use std::{
        cell::RefCell,
        io::{Read as _, Write as _},
    };

    struct Recorded<'a>(&'a str, RefCell<Option<String>>);
    impl age::Identity for Recorded<'_> {
        fn unwrap_stanza(
            &self,
            it: &age_core::format::Stanza,
        ) -> Option<Result<age_core::format::FileKey, age::DecryptError>> {
            let (tag, args, body) = (it.tag.clone(), it.args.clone(), it.body.clone());
            let stanza = super::open::Stanza { tag, args, body };
            let said = said(&[self.0.to_owned()], &[Question::Unwrap(vec![stanza])]);
            let hex = said["unwrapped"].as_str()?.to_owned();
            let bytes = crate::backup::curve::unhex(&hex)?;
            *self.1.borrow_mut() = Some(hex);
            Some(Ok(age_core::format::FileKey::new(Box::new(bytes.try_into().ok()?))))
        }
    }

    let (alice, bob) = (x25519::Identity::generate(), x25519::Identity::generate());
    let to = alice.to_public();
    let encryptor = Encryptor::with_recipients(std::iter::once(&to as &dyn age::Recipient));
    let mut sealed = encryptor.unwrap().wrap_output(Vec::new()).unwrap();
    sealed.write_all(b"a dump").unwrap();
    let sealed = sealed.finish().unwrap();
    let (_one, by_alice) = identity_file(&alice);
    let (_two, by_bob) = identity_file(&bob);
    let reader = Recorded(&by_alice, RefCell::new(None));
    let mut plain = Vec::new();
    let opened = Decryptor::new(&sealed[..]).unwrap();
    opened
        .decrypt(std::iter::once(&reader as &dyn age::Identity))
        .unwrap()
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(plain, b"a dump");
    assert!(reader.1.borrow().is_some());
    let stranger = Recorded(&by_bob, RefCell::new(None));
    let closed = Decryptor::new(&sealed[..]).unwrap();
    assert!(closed.decrypt(std::iter::once(&stranger as &dyn age::Identity)).is_err());
}
