//! Where each copy stands: when it was last seen to open, and whether it failed since. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    beside::Beside,
    open::{Drilled, Looked, Tried},
};
use crate::key::transcript::{Envelope, Step, Transcript, Written};

/// A copy of a key, or of a share: on a medium, or on paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStanding {
    /// The key's name, or that it is a share.
    pub key: String,
    /// Whose.
    pub custodian: String,
    /// The medium that it is on, or that has what was printed.
    pub medium: String,
    /// Whether it is on paper.
    pub paper: bool,
    /// When it was last seen to be good: in a drill, or when it was made. `None`: paper that nobody has read again.
    pub opened: Option<Timestamp>,
    /// When a drill last opened it.
    pub drilled: Option<Timestamp>,
    /// Why it was not good, the last time that it was tried. Stands until this very copy is.
    pub failed: Option<String>,
}

impl CopyStanding {
    /// Which one it is, in words.
    pub fn told(&self) -> String {
        let on = if self.paper { format!("paper of {}", self.medium) } else { self.medium.clone() };
        format!("{} on {on}, {}'s", self.key, self.custodian)
    }

    fn is(&self, tried: &Tried) -> bool {
        (&self.key, &self.medium, self.paper) == (&tried.key, &tried.medium, tried.paper)
    }
}

/// Every copy that a ceremony made.
pub(super) fn copies(transcript: &Transcript, drills: &[Drilled]) -> Vec<CopyStanding> {
    let mut all = Vec::new();
    for written in transcript.written() {
        for envelope in &written.envelopes {
            all.push(made(transcript, written, envelope, false));
            if envelope.sheet.is_some() {
                all.push(made(transcript, written, envelope, true));
            }
        }
    }
    for drilled in drills {
        for tried in &drilled.copies {
            for copy in all.iter_mut().filter(|copy| copy.is(tried)) {
                if let Some(why) = &tried.why {
                    copy.failed = Some(format!("{}: {why}", drilled.at));
                } else {
                    (copy.failed, copy.drilled) = (None, Some(drilled.at));
                    copy.opened = copy.opened.max(Some(drilled.at));
                }
            }
        }
    }
    all
}

fn made(
    transcript: &Transcript,
    written: &Written,
    envelope: &Envelope,
    paper: bool,
) -> CopyStanding {
    // What was read of paper before its medium was written anew was another sheet.
    let lines = transcript.lines();
    let is_written = |step: &Step| matches!(step, Step::Medium(it) if it.medium == written.medium);
    let from = lines.iter().rposition(|line| is_written(&line.step)).unwrap_or(0);
    let is_read =
        |step: &Step| matches!(step, Step::Reread { medium } if *medium == written.medium);
    let is_it = |step: &Step| if paper { is_read(step) } else { is_written(step) };
    let line = lines[from..].iter().rev().find(|line| is_it(&line.step));
    CopyStanding {
        key: envelope.key.clone(),
        custodian: written.custodian.clone(),
        medium: written.medium.clone(),
        paper,
        opened: line.map(|line| line.at),
        drilled: None,
        failed: None,
    }
}

/// What of drills says that something is not good, and not of which copy or medium: stands until another is good.
pub(super) fn unplaced(drills: &[Drilled]) -> Option<String> {
    let last = drills.last()?;
    let is_placed = last.copies.iter().any(|copy| copy.why.is_some())
        || last.beside.iter().any(|it| it.told() == last.why);
    last.why.as_ref().filter(|_| !is_placed).map(|why| format!("{}: {why}", last.at))
}

/// A medium of which something beside the envelopes is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediumStanding {
    /// Its name in the plan.
    pub medium: String,
    /// What is wrong with it, when it was last looked at. Stands until this very medium is good.
    pub altered: String,
}

/// The media that are altered, by the last look at each.
pub(super) fn altered(looks: &[Looked]) -> Vec<MediumStanding> {
    let mut last = BTreeMap::new();
    for Looked { at, media } in looks {
        for Beside { medium, why } in media {
            last.insert(medium, why.as_ref().map(|why| format!("{at}: {why}")));
        }
    }
    let standing = |(medium, altered): (&String, Option<String>)| {
        Some(MediumStanding { medium: medium.clone(), altered: altered? })
    };
    last.into_iter().filter_map(standing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{medium::ReadBack, mounted::Mounted};
    use crate::key::transcript::{Begun, Kind, Printed};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A ceremony with a medium for each of two custodians, the first one with paper.
    fn transcript() -> Transcript {
        let steps =
            [begun(), written("usb-1", "alice", true), written("usb-2", "bob", false), Step::Done];
        recorded(steps)
    }

    fn recorded(steps: impl IntoIterator<Item = Step>) -> Transcript {
        let each = |transcript: Transcript, (step, second)| transcript.then(at(second), step).1;
        steps.into_iter().zip(1..).fold(Transcript::new(), each)
    }

    fn begun() -> Step {
        let begun = Begun {
            kind: Kind::Export,
            ceremony: "c".into(),
            plan: "d".into(),
            ..Begun::default()
        };
        Step::Begun(begun)
    }

    fn written(medium: &str, custodian: &str, is_printed: bool) -> Step {
        let sheet = is_printed.then(|| Printed {
            file: "signer.pdf".into(),
            sha256: String::new(),
            serial: String::new(),
        });
        let envelope = Envelope {
            key: "signer".into(),
            file: "signer.age".into(),
            sha256: medium.into(),
            sheet,
        };
        Step::Medium(Box::new(Written {
            medium: medium.into(),
            custodian: custodian.into(),
            bag: String::new(),
            mounted: Mounted::default(),
            folder: "f".into(),
            envelopes: vec![envelope],
            others: Vec::new(),
            read_back: ReadBack::Direct,
        }))
    }

    fn drill(second: i64, tried: &[(&str, bool, Option<&str>)]) -> Drilled {
        let copies = tried.iter().map(|(medium, paper, why)| Tried {
            key: "signer".into(),
            custodian: String::new(),
            medium: (*medium).into(),
            paper: *paper,
            why: why.map(str::to_owned),
        });
        let copies: Vec<Tried> = copies.collect();
        let why = copies.iter().find_map(|it| it.why.clone());
        let good = why.is_none();
        let (backup, rows, held_for_us) = (None, None, None);
        let (beside, exceptions) = (Vec::new(), Vec::new());
        let at = at(second);
        Drilled { at, copies, beside, good, why, backup, rows, exceptions, held_for_us }
    }

    /// A look at a medium.
    fn look(second: i64, medium: &str, why: Option<&str>) -> Looked {
        let media = vec![Beside { medium: medium.into(), why: why.map(str::to_owned) }];
        Looked { at: at(second), media }
    }

    #[test]
    fn an_altered_medium_stands_until_that_very_medium_is_good() {
        let told = |looks: &[Looked]| {
            let each = |it: MediumStanding| format!("{} {}", it.medium, it.altered);
            altered(looks).into_iter().map(each).collect::<Vec<_>>()
        };
        let bad = || look(10, "usb-1", Some("README.txt"));
        let told_of_it = ["usb-1 1970-01-01T00:00:10Z: README.txt"];
        assert_eq!(told(&[bad()]), told_of_it);
        assert_eq!(told(&[bad(), look(11, "usb-2", None)]), told_of_it, "another one is good");
        assert!(told(&[bad(), look(11, "usb-2", None), look(10, "usb-1", None)]).is_empty());
        assert_eq!(told(&[look(11, "usb-1", None), bad()]), told_of_it, "the last look counts");
        assert_eq!(told(&[bad(), look(11, "usb-2", Some("combine.pl"))]).len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_medium_is_not_told_of_a_drill_too() {
        let beside = look(10, "usb-1", Some("README.txt")).media;
        let why = beside[0].told();
        let altered = Drilled { good: false, why, beside, ..drill(10, &[("usb-1", false, None)]) };
        assert_eq!(unplaced(std::slice::from_ref(&altered)), None, "it is the medium's");
        let other = Drilled { why: Some("row 1 does not open".into()), ..altered };
        assert!(unplaced(&[other]).is_some());
    }

    fn seen(drills: &[Drilled]) -> Vec<(i64, i64, bool)> {
        let second = |at: Option<Timestamp>| at.map_or(0, Timestamp::as_second);
        let copies = copies(&transcript(), drills);
        let each = |it: &CopyStanding| (second(it.opened), second(it.drilled), it.failed.is_some());
        copies.iter().map(each).collect()
    }

    #[test]
    fn each_copy_stands_for_itself() {
        // On the medium, on paper, on the other medium.
        assert_eq!(seen(&[]), [(2, 0, false), (0, 0, false), (3, 0, false)]);
        let paper = drill(10, &[("usb-1", true, None)]);
        assert_eq!(seen(&[paper]), [(2, 0, false), (10, 10, false), (3, 0, false)]);
        let both = drill(11, &[("usb-1", false, None), ("usb-2", false, Some("no"))]);
        assert_eq!(seen(std::slice::from_ref(&both))[2], (3, 0, true));
        // A good drill of another copy mends nothing; one of this copy does.
        let other = drill(12, &[("usb-1", false, None), ("usb-1", true, None)]);
        assert_eq!(seen(&[both.clone(), other])[2], (3, 0, true));
        let same = drill(13, &[("usb-2", false, None)]);
        assert_eq!(seen(&[both, same]), [(11, 11, false), (0, 0, false), (13, 13, false)]);
    }

    #[test]
    fn paper_that_was_read_before_its_medium_was_written_anew_was_never_read() {
        let reread = || Step::Reread { medium: "usb-1".into() };
        let medium = || written("usb-1", "alice", true);
        let opened = |steps: &[Step]| {
            let steps = std::iter::once(begun()).chain(steps.iter().cloned());
            let copies = copies(&recorded(steps), &[]);
            copies.iter().rev().find(|it| it.paper).unwrap().opened
        };
        assert_eq!(opened(&[medium(), reread()]), Some(at(3)));
        assert_eq!(opened(&[medium(), reread(), medium()]), None);
        assert_eq!(opened(&[medium(), reread(), medium(), reread()]), Some(at(5)));
        let other = written("usb-2", "bob", true);
        assert_eq!(opened(&[other.clone(), medium(), reread(), other]), None, "usb-2's is another");
    }

    #[test]
    fn what_failed_without_a_copy_stands_until_a_drill_is_good() {
        let none = Drilled { why: Some("no".into()), good: false, ..drill(10, &[]) };
        assert!(unplaced(std::slice::from_ref(&none)).is_some());
        assert!(unplaced(&[none.clone(), drill(11, &[("usb-2", false, None)])]).is_none());
        let placed = drill(12, &[("usb-2", false, Some("no"))]);
        assert!(unplaced(&[none, placed]).is_none(), "it is the copy's");
    }
}
