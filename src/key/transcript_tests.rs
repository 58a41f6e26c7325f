use proptest::prelude::*;

use super::*;
use crate::{
    host::{medium::ReadBack, mounted::Mounted, shield::Shield},
    key::{
        material::Facts,
        plan::RoleName,
        preflight::{Check, Reading},
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn begun() -> Step {
    Step::Begun(Begun {
        kind: Kind::Rehearsal,
        ceremony: "c".into(),
        plan: "p".into(),
        version: "1".into(),
        machine: Some("m".into()),
        ..Begun::default()
    })
}

fn sample() -> (Vec<u8>, Transcript) {
    let steps = [
        begun(),
        Step::Present { role: RoleName::Operator, name: "carol".into() },
        Step::Room { readings: vec![Reading::new(Check::Swap, true, "none")] },
        Step::Exception {
            check: Check::Network,
            seen: "up: eth0".into(),
            reason: "x".into(),
            planned: true,
        },
        Step::Answered { question: "clock".into(), answer: "yes".into() },
        Step::Done,
    ];
    let mut bytes = Vec::new();
    let mut transcript = Transcript::new();
    for (second, step) in (0..).zip(steps) {
        let (line, next) = transcript.then(at(second), step);
        bytes.extend(line);
        bytes.push(b'\n');
        transcript = next;
    }
    (bytes, transcript)
}

#[test]
fn what_is_written_is_read() {
    let (bytes, transcript) = sample();
    let read = Transcript::read(&bytes).unwrap();
    assert_eq!(read, transcript);
    assert_eq!(read.done(), Some(at(5)));
    assert_eq!(read.begun().map(|begun| begun.kind), Some(Kind::Rehearsal));
}

#[test]
fn a_line_that_was_cut_off_is_no_part_of_it_and_the_next_follows_the_last_whole_one() {
    let (bytes, _) = sample();
    let cut = &bytes[..bytes.len() - 4];
    let read = Transcript::read(cut).unwrap();
    assert_eq!((read.lines().len(), read.done()), (5, None));
    let (line, _) = read.then(at(9), Step::Done);
    let whole = cut.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let mended = [&cut[..whole], &line, b"\n"].concat();
    assert_eq!(Transcript::read(&mended).unwrap().done(), Some(at(9)));
}

#[test]
fn whatever_is_removed_or_moved_shows() {
    let (bytes, _) = sample();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(Transcript::read(&lines[1..].concat()), Err(Broken::Chain(1)));
    for at in 1..lines.len() - 1 {
        let mut fewer = lines.clone();
        fewer.remove(at);
        let number = at as u64 + 1;
        assert_eq!(Transcript::read(&fewer.concat()), Err(Broken::Chain(number)));
        let mut moved = lines.clone();
        moved.swap(at, at + 1);
        assert_eq!(Transcript::read(&moved.concat()), Err(Broken::Chain(number)));
    }
    assert_eq!(Transcript::read(b""), Err(Broken::Beginning));
    let (line, _) = Transcript::new().then(at(0), Step::Done);
    assert_eq!(Transcript::read(&[&line[..], b"\n"].concat()), Err(Broken::Beginning));
}

proptest! {
    #[test]
    fn no_byte_before_the_last_line_can_be_altered(place in any::<prop::sample::Index>(), by in 1_u8..=255) {
        let (bytes, transcript) = sample();
        let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
        let at = place.index(last);
        let mut altered = bytes;
        altered[at] ^= by;
        // A line break that goes or comes makes other lines; none of them is the record that was.
        prop_assert_ne!(Transcript::read(&altered).ok(), Some(transcript));
    }
}

/// A record of these steps.
fn of(steps: Vec<Step>) -> Transcript {
    let first = Transcript::new().then(at(0), begun()).1;
    steps.into_iter().fold(first, |transcript, step| transcript.then(at(1), step).1)
}

fn sealed(public: Option<&str>) -> Step {
    let facts = Facts { public: public.map(str::to_owned), ..Facts::default() };
    let key = SealedKey { name: "k".into(), facts, opened: 1, held_for_us: 1 };
    Step::Sealed {
        keys: vec![key],
        shield: Shield::default(),
        split: None,
        to: Vec::new(),
        lived_us: 0,
    }
}

fn written(medium: &str) -> Step {
    Step::Medium(Box::new(Written {
        medium: medium.into(),
        custodian: "alice".into(),
        bag: "b".into(),
        mounted: Mounted::default(),
        folder: format!("holdfast-c-{medium}"),
        envelopes: Vec::new(),
        others: Vec::new(),
        read_back: ReadBack::Direct,
    }))
}

#[test]
fn media_of_a_key_that_nothing_tells_from_another_count_for_their_sealing_only() {
    let media = |transcript: &Transcript| -> Vec<String> {
        transcript.written().map(|it| it.medium.clone()).collect()
    };
    let twice =
        |public| of(vec![sealed(public), written("usb-1"), sealed(public), written("usb-2")]);
    assert_eq!(media(&twice(Some("02"))), ["usb-1", "usb-2"]);
    assert_eq!(media(&twice(None)), ["usb-2"]);
    assert_eq!(twice(None).ever_written().count(), 2);
}

#[test]
fn paper_of_a_medium_that_was_written_again_is_not_read() {
    let read = || Step::Reread { medium: "usb-1".into() };
    let once = vec![sealed(None), written("usb-1"), read()];
    assert!(of(once.clone()).is_reread("usb-1") && !of(once.clone()).is_reread("usb-2"));
    let again = [once, vec![sealed(None), written("usb-1")]].concat();
    assert!(!of(again).is_reread("usb-1"));
}

#[test]
fn what_is_given_up_is_so_and_its_head_stands_for_all_of_it() {
    let transcript = of(vec![sealed(None)]);
    assert_eq!((transcript.given_up(), transcript.head().0), (None, 2));
    let given_up = transcript.then(at(5), Step::GivenUp);
    assert_eq!(given_up.1.given_up(), Some(at(5)));
    assert_eq!(given_up.1.head(), (3, digest(&given_up.0).as_str()));
}
